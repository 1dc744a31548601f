"""A net drawn as figure 2 of the paper: its columns side by side, and where they meet."""

from xml.sax.saxutils import escape

from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.listing import Row, rows

STEP = 124  # from one layer to the next
LANE = 250  # from one column to the next
MARGIN = 40
TOP = 76  # of the first lane, below the title
SHIFT = (10, -8)  # of a box's back against its front
FACE, SIDE, EDGE = "#e8eef7", "#cbd8ea", "#44546a"
CROSS, COLUMN, NORM = "#c2571a", "#8a94a3", "#7a3db8"


def svg(arch: Architecture) -> str:
    """Return the picture as an SVG file's text."""
    drawing = _Drawing(arch)
    drawing.draw()
    lanes = arch.columns
    width = 2 * MARGIN + STEP * (len(arch.layers) + 1)
    height = TOP + LANE * lanes + 50
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11" fill="#222">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        + "\n".join(drawing.parts)
        + "\n</svg>\n"
    )


class _Drawing:
    """The parts of one picture, from left to right."""

    def __init__(self, arch: Architecture):
        self.arch, self.rows = arch, rows(arch)
        self.parts: list[str] = []
        self.middle = TOP + LANE * arch.columns / 2

    def draw(self) -> None:
        arch = self.arch
        self.text(MARGIN, 24, f"{arch.name}: {arch.source}", size=15, anchor="start")
        total = sum(row.parameters for row in self.rows)
        legend = f"{total:,} parameters. Orange: read from the other column. Purple: normalization."
        self.text(MARGIN, 44, legend, anchor="start", colour="#555")
        before = [(MARGIN + 30.0, self.middle)]
        size = arch.image_size
        self.box(*before[0], (size, size, 3))
        self.text(before[0][0], self.middle + 84, "image")
        for index, row in enumerate(self.rows, start=1):
            x = MARGIN + 30.0 + STEP * index
            lanes = 1 if row.layer.reads == "sum" else arch.columns
            here = [(x, self.lane(lane, lanes)) for lane in range(lanes)]
            self.arrows(row, before, here)
            for centre in here:
                self.box(*centre, row.product)
                self.notes(*centre, row.layer)
            before = here

    def lane(self, lane: int, lanes: int) -> float:
        """Return the height of a column's centre; what belongs to no column lies between them."""
        return self.middle if lanes == 1 else TOP + LANE * (lane + 0.5)

    def arrows(self, row: Row, before: list, here: list) -> None:
        for to, (x, y) in enumerate(here):
            for origin, (x0, y0) in enumerate(before):
                shared = len(before) == 1 or len(here) == 1
                same = shared or origin == to
                if not same and not row.received:
                    continue
                crosses = bool(row.received) and (not same or len(here) < len(before))
                colour, width = (CROSS, 2) if crosses else (COLUMN, 1.3)
                self.parts.append(
                    f'<line x1="{x0 + 30}" y1="{y0}" x2="{x - 26}" y2="{y}" '
                    f'stroke="{colour}" stroke-width="{width}"/>'
                )

    def box(self, x: float, y: float, shape: tuple[int, ...]) -> None:
        """Draw what one column's product gives, (H, W, channels) or (units,), around a centre."""
        tall = 16 + 100 * (shape[0] / 224) ** 0.7 if len(shape) == 3 else 96
        wide = 6 + 34 * min(1.0, shape[-1] / 512) if len(shape) == 3 else 10
        left, top, (dx, dy) = x - wide / 2, y - tall / 2, SHIFT
        right, bottom = left + wide, top + tall
        side = [(right, top), (right + dx, top + dy), (right + dx, bottom + dy), (right, bottom)]
        lid = [(left, top), (left + dx, top + dy), (right + dx, top + dy), (right, top)]
        for points in (side, lid):
            joined = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
            self.parts.append(f'<polygon points="{joined}" fill="{SIDE}" stroke="{EDGE}"/>')
        self.parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}" '
            f'fill="{FACE}" stroke="{EDGE}"/>'
        )
        size = "x".join(map(str, shape)) if len(shape) == 3 else f"{shape[0]:,}"
        self.text(x + dx / 2, top + dy - 6, size)

    def notes(self, x: float, y: float, layer: Layer) -> None:
        """Write what a layer is, and below it what follows, in order."""
        size = f"{layer.kernel}x{layer.kernel}" if layer.kernel else "full"
        stride = f" stride {layer.stride}" if layer.stride > 1 else ""
        lines = [
            (f"{layer.name}  {size}{stride}", "#222"),
            *(self.note(layer, op) for op in layer.then),
        ]
        for number, (line, colour) in enumerate(lines):
            self.text(x, y + 72 + 14 * number, line, colour=colour)

    def note(self, layer: Layer, op: str) -> tuple[str, str]:
        arch, pool = self.arch, self.arch.pool_of(layer)
        texts = {
            "activation": arch.activation,
            "norm": "LRN" if arch.norm == "lrn" else f"{arch.norm} norm",
            "spatial_norm": f"{arch.spatial_norm.n}x{arch.spatial_norm.n} spatial norm",
            "pool": f"{pool.kind} pool {pool.window}/{pool.stride}",
            "dropout": f"dropout {arch.dropout.rate}",
        }
        return texts[op], NORM if "norm" in op else "#555"

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int = 11,
        anchor: str = "middle",
        colour: str = "#222",
    ) -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{colour}">{escape(text)}</text>'
        )
