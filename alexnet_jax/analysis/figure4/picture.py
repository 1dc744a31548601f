"""Draw figure 4 as a picture."""

import base64
import io
import pathlib
import textwrap
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from PIL import Image

from alexnet_jax.system.atomic_file import atomic_file

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
        _answers(left, predictions)
        _similar(right, neighbours)
        for form, file in zip(FORMATS, files, strict=True):
            with atomic_file(file) as half:
                figure.savefig(half, dpi=DPI, format=form)
    return files


def _answers(figure: SubFigure | Figure, content: dict[str, Any]) -> None:
    images = content["images"]
    rows = -(-len(images) // PER_ROW)
    grid = figure.subplots(
        2 * rows, PER_ROW, squeeze=False, gridspec_kw={"height_ratios": (1.3, 1) * rows}
    )
    for axes in grid.ravel():
        axes.set_axis_off()
    for index, image in enumerate(images):
        row, column = divmod(index, PER_ROW)
        _picture(grid[2 * row, column], image)
        _bars(grid[2 * row + 1, column], image)
    figure.suptitle(f"five best classes by probability, step {content['step']}", fontsize=10)
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
    axes.tick_params(labelsize=6, length=2)


def _similar(figure: SubFigure | Figure, content: dict[str, Any]) -> None:
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
        _picture(row[0], image, "\n")
        for axes, near in zip(row[2:], image["neighbours"], strict=False):
            colour = SAME if near["label"] == image["label"] else "black"
            _picture(axes, near, f"\n{near['distance']:#.3g}", colour)
    searched = f"nearest of {content['searched']:,} training images in {content['layer']}"
    figure.suptitle(f"test image | {searched}, by distance", fontsize=10)


def _picture(axes: Axes, image: dict[str, Any], below: str = "", colour: str = "black") -> None:
    with Image.open(io.BytesIO(base64.b64decode(image["jpeg"]))) as jpeg:
        axes.imshow(jpeg.convert("RGB"))
    axes.set_title(_short(image["label"], 18) + below, fontsize=7, pad=2, color=colour)


def _short(text: str, width: int) -> str:
    return textwrap.shorten(text, width, placeholder=" ...")
