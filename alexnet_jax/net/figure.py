"""A net drawn as figure 2 of the paper: its columns side by side, and where they meet."""

from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.blocks import IMAGE_CHANNELS
from alexnet_jax.net.listing import Row, operations, rows

WIDTH, FONT = 12.3, 13.0  # a slide's: inches, and points
FACE, SIDE, EDGE = "#e8eef7", "#cbd8ea", "#44546a"
CROSS, COLUMN, NORM = "#c2571a", "#8a94a3", "#7a3db8"
INK, FAINT = "#222222", "#555555"
# In sizes of the text, as all lengths below:
TOP = 4.5  # height of the title
DEPTH = (0.7, -0.5)  # from a box's front to its back
LINE = 1.25  # from one line of text to the next

Point = tuple[float, float]


def draw(
    arch: Architecture, *, width: float = WIDTH, font: float = FONT, down: bool = False
) -> Figure:
    """Return the picture, with the layers from left to right or from top to bottom.

    Args:
      width: of the picture, in inches.
      font: size of the text, in points.
      down: whether the layers go downward, for a narrow picture.
    """
    return _Drawing(arch, 72 * width / font, font, down).figure


class _Drawing:
    """The picture of a net, from its upper left corner."""

    def __init__(self, arch: Architecture, width: float, font: float, down: bool):
        self.arch, self.rows, self.font, self.down = arch, rows(arch), font, down
        self.channels = max(row.product[-1] for row in self.rows if len(row.product) == 3)
        steps, lanes = len(self.rows) + 1, arch.columns - 1
        self.step = 7.5 if down else width / steps  # from one layer to the next
        self.lane = 10.5 if down else 11.0  # from one column to the next
        self.biggest = 5.0 if down else 8.0  # height of the image's box
        self.first = 5.0 if down else TOP + 5  # of the columns
        self.beside = self.first + self.lane * lanes + (9.2 if down else 5.5)  # the notes
        height = TOP + self.step * steps if down else self.beside + 6 * LINE
        inches = font / 72
        self.figure = Figure(figsize=(width * inches, height * inches))
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()
        self.draw()

    def draw(self) -> None:
        total = sum(row.parameters for row in self.rows)
        self.text((0.7, 1), f"{self.arch.name}: {total:,} parameters", "left", weight="bold")
        if any(row.received for row in self.rows):
            self.text((0.7, 1 + LINE), "orange: read from the other column", "left", FAINT)
        last: tuple[int, ...] = (self.arch.image_size, self.arch.image_size, IMAGE_CHANNELS)
        before = [self.centre(0, 0, 1)]
        self.box(before[0], last)
        self.notes(0, [("image", INK)])
        for index, row in enumerate(self.rows, start=1):
            lanes = 1 if row.layer.reads == "sum" else self.arch.columns
            here = [self.centre(index, lane, lanes) for lane in range(lanes)]
            starts = [self.ends(point, last)[1] for point in before]
            self.lines(row, starts, [self.ends(point, row.product)[0] for point in here])
            for point in here:
                self.box(point, row.product)
            self.notes(index, self.words(row.layer))
            before, last = here, row.product

    def centre(self, index: int, lane: int, lanes: int) -> Point:
        """Return the centre of a layer's box; what belongs to no column lies between them."""
        along = self.step * (index + 0.5) + (TOP if self.down else 0)
        across = self.first + self.lane * ((self.arch.columns - 1) / 2 if lanes == 1 else lane)
        return (across, along) if self.down else (along, across)

    def size(self, shape: tuple[int, ...]) -> Point:
        """Return the width and height of a box: by its channels and its pixels, or a bar."""
        if len(shape) < 3:
            bar = 0.8, 0.8 * self.biggest
            return bar[::-1] if self.down else bar
        tall = 1 + (self.biggest - 1) * (shape[0] / self.arch.image_size) ** 0.7
        return 0.5 + 2.8 * min(1, shape[-1] / self.channels), tall

    def ends(self, centre: Point, shape: tuple[int, ...]) -> tuple[Point, Point]:
        """Return where the lines to a box end, and where those from it begin."""
        (x, y), (wide, tall), (dx, dy) = centre, self.size(shape), DEPTH
        if self.down:
            return (x, y - tall / 2 + dy - 0.2), (x, y + tall / 2 + 0.2)
        return (x - wide / 2 - 0.2, y), (x + wide / 2 + dx + 0.2, y)

    def lines(self, row: Row, starts: list[Point], ends: list[Point]) -> None:
        for to, end in enumerate(ends):
            for origin, start in enumerate(starts):
                shared = len(starts) == 1 or len(ends) == 1
                same = shared or origin == to
                if not same and not row.received:
                    continue
                crosses = bool(row.received) and (not same or len(ends) < len(starts))
                colour, width = (CROSS, 0.16) if crosses else (COLUMN, 0.1)
                both = zip(start, end, strict=True)
                self.axes.plot(*both, color=colour, linewidth=width * self.font)

    def box(self, centre: Point, shape: tuple[int, ...]) -> None:
        """Draw what one column's product gives, (H, W, channels) or (units,), and its size."""
        (x, y), (wide, tall), (dx, dy) = centre, self.size(shape), DEPTH
        left, right, top, bottom = x - wide / 2, x + wide / 2, y - tall / 2, y + tall / 2
        front = [(left, top), (right, top), (right, bottom), (left, bottom)]
        side = [(right, top), (right + dx, top + dy), (right + dx, bottom + dy), (right, bottom)]
        lid = [(left, top), (left + dx, top + dy), (right + dx, top + dy), (right, top)]
        for points, colour in ((side, SIDE), (lid, SIDE), (front, FACE)):
            patch = Polygon(points, facecolor=colour, edgecolor=EDGE, zorder=3)
            patch.set_linewidth(0.07 * self.font)
            self.axes.add_patch(patch)
        size = "x".join(map(str, shape)) if len(shape) == 3 else f"{shape[0]:,}"
        if self.down:
            self.text((right + dx + 0.4, y), size, "left")
        else:
            self.text((x + dx / 2, top + dy - 0.8), size)

    def words(self, layer: Layer) -> list[tuple[str, str]]:
        """Return the lines that say what a layer is and what follows it, with their colours."""
        parts = operations(self.arch, layer).split(", ")
        norms = [part == "LRN" or part.endswith("norm") for part in parts]
        colours = [NORM if norm else FAINT for norm in norms]
        return [(layer.name, INK), *zip(parts, colours, strict=True)]

    def notes(self, index: int, lines: list[tuple[str, str]]) -> None:
        """Write the lines beside or below a layer's boxes."""
        x, y = self.centre(index, 0, 1)
        for number, (line, colour) in enumerate(lines):
            if self.down:
                below = LINE * (number - (len(lines) - 1) / 2)
                self.text((self.beside, y + below), line, "left", colour)
            else:
                self.text((x, self.beside + LINE * number), line, colour=colour)

    def text(
        self,
        at: Point,
        text: str,
        anchor: str = "center",
        colour: str = INK,
        weight: str = "normal",
    ) -> None:
        drawn = self.axes.text(*at, text, fontsize=self.font, color=colour, zorder=2.5)
        drawn.set(ha=anchor, va="center", fontweight=weight)
        drawn.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
