"""Draw figure 4 as a picture."""

import base64
import io
import pathlib
import textwrap
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch, Rectangle
from PIL import Image

from alexnet_jax.system import pictures

RIGHT, OTHER = "#8fd19e", "#c9d1d9"  # bars
SAME = "#116329"  # a neighbour of the test image's class
FORMATS = ("png", "svg", "pdf")
PER_ROW = 4  # classified images
DPI = 110


def draw(
    predictions: dict[str, Any], neighbours: dict[str, Any], path: pathlib.Path
) -> list[pathlib.Path]:
    """Draw the content of predictions.json and neighbours.json; return the files, one a format.

    Left: images with their five best classes. Right: images, and after a gap the training images
    nearest to them. The image's class is green.

    Args:
      predictions, neighbours: the content.
      path: of the files, without their ending.
    """
    files = [path.with_suffix(f".{form}") for form in FORMATS]
    rows = max(2 * -(-len(predictions["images"]) // PER_ROW), len(neighbours["images"]))
    with matplotlib.rc_context({"font.size": 8, "axes.linewidth": 0.6}):
        figure = Figure(figsize=(15, 0.4 + 1.32 * rows), layout="constrained")
        left, right = figure.subfigures(1, 2, squeeze=False)[0]
        answers(left, predictions)
        similar(right, neighbours)
        for file in files:
            pictures.save(figure, file, dpi=DPI)
    return files


def answers(figure: SubFigure | Figure, content: dict[str, Any], per_row: int = PER_ROW) -> None:
    """Draw the left part: images with their five best classes.

    Args:
      figure: what it is drawn into; its text has the size of rc's font.size, or near it.
      content: of predictions.json.
      per_row: images in a row.
    """
    images = content["images"]
    rows = -(-len(images) // per_row)
    grid = figure.subplots(
        2 * rows, per_row, squeeze=False, gridspec_kw={"height_ratios": (1.3, 1) * rows}
    )
    for axes in grid.ravel():
        axes.set_axis_off()
    for index, image in enumerate(images):
        row, column = divmod(index, per_row)
        _picture(grid[2 * row, column], image)
        _bars(grid[2 * row + 1, column], image)
    figure.suptitle(
        f"five best classes by probability, step {content['step']}", fontsize=_size(1.25)
    )
    patches = [Patch(color=RIGHT, label="the right class"), Patch(color=OTHER, label="another")]
    figure.legend(handles=patches, loc="outside lower center", ncols=2, frameon=False)


def _bars(axes: Axes, image: dict[str, Any]) -> None:
    axes.set_axis_on()
    top = image["top"]
    colours = [RIGHT if line["class"] == image["label"] else OTHER for line in top]
    axes.barh(range(len(top)), [line["probability"] for line in top], color=colours)
    for row, line in enumerate(top):
        axes.text(0.02, row, _short(line["class"], 30), va="center")
    axes.set(xlim=(0, 1), ylim=(len(top) - 0.4, -0.6), yticks=[])
    axes.tick_params(labelsize=_size(0.75), length=2)


def similar(figure: SubFigure | Figure, content: dict[str, Any], *, named: bool = True) -> None:
    """Draw the right part: images, and after a gap the training images nearest to them.

    Args:
      figure: what it is drawn into; its text has the size of rc's font.size, or near it.
      content: of neighbours.json.
      named: whether there is room for the neighbours' classes and distances; else those of the
        image's class have a frame.
    """
    images = content["images"]
    most = max(len(image["neighbours"]) for image in images)
    grid = figure.subplots(
        len(images),
        most + 2,
        squeeze=False,
        gridspec_kw={"width_ratios": (1, 0.12, *[1] * most)},
    )
    for axes in grid.ravel():
        axes.set_axis_off()
    for row, image in zip(grid, images, strict=True):
        _picture(row[0], image, "\n" if named else None)
        for axes, near in zip(row[2:], image["neighbours"], strict=False):
            same = near["label"] == image["label"]
            below = f"\n{near['distance']:#.3g}" if named else None
            _picture(axes, near, below, SAME if same else "black")
            if same and not named:
                frame = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False)
                frame.set(edgecolor=SAME, linewidth=1.5, clip_on=False)
                axes.add_patch(frame)
    searched = f"nearest of {content['searched']:,} training images in {content['layer']}"
    end = "by distance" if named else "framed: of the image's class"
    between = ", " if named else "\n"
    title = f"test image | {searched}{between}{end}"
    figure.suptitle(title, fontsize=_size(1.25 if named else 1))


def _picture(
    axes: Axes, image: dict[str, Any], below: str | None = "", colour: str = "black"
) -> None:
    """Show an image, with its label and `below` above it, or without if `below` is None."""
    with Image.open(io.BytesIO(base64.b64decode(image["jpeg"]))) as jpeg:
        axes.imshow(jpeg.convert("RGB"))
    if below is not None:
        text = _short(image["label"], 18) + below
        axes.set_title(text, fontsize=_size(0.875), pad=2, color=colour)


def _size(of: float) -> float:
    """Return a size of text, in points, as a part of rc's."""
    return of * matplotlib.rcParams["font.size"]


def _short(text: str, width: int) -> str:
    return textwrap.shorten(text, width, placeholder=" ...")
