"""Draw the first layer's filters by column, as in figure 3 of the paper.

    python -m alexnet_jax.analysis.filters --workdir=DIR [--checkpoint=best] [--each]

Writes DIR/analysis/filters.png: column 1 above column 2, each with its share of colour (colour.py).
All filters have one scale. With --each, each filter has zero mean and unit variance, so that weak
ones can be seen beside strong ones. The last line is one JSON object: file, step, columns, filters.
"""

import json
import math
import pathlib
from typing import Any

import numpy as np
from absl import flags
from PIL import Image, ImageDraw, ImageFont

from alexnet_jax.analysis import command
from alexnet_jax.analysis.colour import shares
from alexnet_jax.analysis.conv1_of_runs import read_kernels
from alexnet_jax.net.conv1_filters import filter_grid
from alexnet_jax.run import run_flags
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import atomic_file
from alexnet_jax.system.paths import user_path

MAGNIFICATION = 5  # pixels for each weight
LABEL, GAP = 30, 14  # pixels high
INK, PAPER = "black", "white"
# Below, kernels are (columns, kh, kw, 3, channels), as they act on RGB 0-255.


def grids(kernels: np.ndarray) -> list[np.ndarray]:
    """Return the filters of each column as a picture, (H, W, 3) uint8, all on one scale."""
    grid = filter_grid(kernels)
    height = (len(grid) - 1) // len(kernels)  # of a column, without the line below it
    return [grid[c * height : (c + 1) * height + 1] for c in range(len(kernels))]


def labels(kernels: np.ndarray) -> list[str]:
    """Return what to write above each column's filters."""
    return [
        f"column {c + 1}: {share:.0%} of the energy is colour"
        for c, share in enumerate(shares(kernels)["columns"])
    ]


def picture(kernels: np.ndarray, labels: list[str], magnification: int) -> Image.Image:
    """Return the filters, all on one scale, each column below its label.

    `magnification` is the pixels for each weight.
    """
    columns = kernels.shape[0]
    parts = [p.repeat(magnification, 0).repeat(magnification, 1) for p in grids(kernels)]
    each = parts[0].shape[0] + LABEL
    font = ImageFont.load_default(18)
    width = max(parts[0].shape[1], *(math.ceil(font.getlength(label)) for label in labels))
    made = Image.new("RGB", (width, columns * each + (columns - 1) * GAP), PAPER)
    draw = ImageDraw.Draw(made)
    for c, (part, label) in enumerate(zip(parts, labels, strict=True)):
        top = c * (each + GAP)
        draw.text((0, top + LABEL / 2), label, INK, font, anchor="lm")
        made.paste(Image.fromarray(part), (0, top + LABEL))
    return made


def standardized(kernels: np.ndarray) -> np.ndarray:
    """Return the kernels with zero mean and unit variance in each filter."""
    axes = (1, 2, 3)
    deviation = kernels.std(axis=axes, keepdims=True)
    return (kernels - kernels.mean(axis=axes, keepdims=True)) / np.maximum(deviation, 1e-12)


def filters(
    workdir: pathlib.Path,
    checkpoint: str | int = "best",
    *,
    each: bool = False,
    magnification: int = MAGNIFICATION,
) -> dict[str, Any]:
    """Draw analysis/filters.png of a run and return its file, step, columns and filters."""
    step, kernels = read_kernels(workdir, checkpoint)
    shown = standardized(kernels) if each else kernels
    made = picture(shown, labels(kernels), magnification)
    path = command.output_folder(workdir) / "filters.png"
    with atomic_file(path) as half:
        made.save(half, format="PNG", optimize=True)
    count = len(kernels) * kernels.shape[-1]
    return {"file": str(path), "step": step, "columns": len(kernels), "filters": count}


def define_flags() -> None:
    """Define the command line."""
    run_flags.define()
    flags.DEFINE_bool("each", False, "Scale each filter by itself.")
    flags.DEFINE_integer("magnification", MAGNIFICATION, "Pixels for each weight.", lower_bound=1)


def main(_) -> None:
    """Draw the filters of the run that the flags name."""
    values = flags.FLAGS
    result = filters(
        user_path(values.workdir),
        values.checkpoint,
        each=values.each,
        magnification=values.magnification,
    )
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
