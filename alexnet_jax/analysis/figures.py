"""Draw figures 1 to 4 of the paper from your own runs, for a slide and for a column of text.

    python -m alexnet_jax.analysis.figures --workdir=DIR [--workdir=DIR2 ...] [--out=FOLDER] \
        [--figures=1,2,3,4] [--checkpoint=best] [--data_dir=DIR3]

1  training error by epoch of all the runs: give two or more, such as one with ReLU, one with tanh
2  the net of the first run: its columns, their sizes and where they meet
3  its first layer's filters, by column, all on one scale
4  test images with their five best classes, and with their nearest training images

Writes figure1-slide.svg and .pdf, figure1-column.svg and .pdf, and so on into DIR/analysis, or
FOLDER; figure 4 has two parts, figure4-left and figure4-right. A slide's are 12.3 inches wide, a
column's 3.25. Text stays text in both formats. Runs whose folders have one name are seeds in figure
1. Figure 4 shows what the figure4 command, which chooses the images, has left in DIR/analysis for
this checkpoint; otherwise it is made here with that command's defaults.

A figure that cannot be drawn is named on stderr with the reason. The last line is one JSON object:
files, not_drawn (figure -> reason).
"""

import functools
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from absl import flags

from alexnet_jax.analysis import command, filters
from alexnet_jax.analysis.conv1_of_runs import Kernels, read_kernels
from alexnet_jax.analysis.figure4.figure import make_figure
from alexnet_jax.analysis.report import run_record
from alexnet_jax.errors import ConfigError, UserError
from alexnet_jax.run import dataset_info, run_flags
from alexnet_jax.run.folder import read_config
from alexnet_jax.run.restore import restore, split_cpu
from alexnet_jax.system import command_line
from alexnet_jax.system.json_text import parse_json
from alexnet_jax.system.lines import say
from alexnet_jax.system.paths import user_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TARGET = 0.25  # the paper's training error
CONTENT = ("predictions.json", "neighbours.json")  # of figure 4
STYLES = ("-", "--", ":", "-.")  # the first two as in the paper's figure 1


class Size(NamedTuple):
    """What a picture is for: its width in inches, its text in points."""

    name: str
    width: float
    font: float
    wide: bool


SIZES = (Size("slide", 12.3, 13.0, True), Size("column", 3.25, 7.0, False))
Parts = dict[str, Callable[[Size], "Figure"]]  # name of a file -> what draws it


class Runs:
    """What the figures are drawn from. Each raises a UserError if it cannot be."""

    def __init__(self, workdirs: Sequence[pathlib.Path], checkpoint: str, data_dir: str = ""):
        self.workdirs, self.workdir = workdirs, workdirs[0]
        self.checkpoint, self.data_dir = checkpoint, data_dir

    @functools.cached_property
    def kernels(self) -> Kernels:
        """conv1's of the first run."""
        return read_kernels(self.workdir, self.checkpoint)

    def figure1(self) -> Parts:
        """Training error by epoch, of two or more runs."""
        curves: dict[str, list] = {}
        for record in map(run_record.read, self.workdirs):
            if points := record.of("train", "top1_error"):
                curves.setdefault(record.name, []).append(points)
        if sum(map(len, curves.values())) < 2:
            raise ConfigError("it compares the training of runs: give --workdir for each of them")

        def draw(size: Size) -> "Figure":
            figure = _figure(size, size.width * (0.55 if size.wide else 0.75))
            race(figure.subplots(), curves)
            return figure

        return {"figure1": draw}

    def figure2(self) -> Parts:
        """The net."""
        from alexnet_jax.net import figure

        config = read_config(self.workdir)
        arch = dataset_info.read(self.workdir, config.data).arch(config.model)
        return {
            "figure2": lambda size: figure.draw(
                arch, width=size.width, font=size.font, down=not size.wide
            )
        }

    def figure3(self) -> Parts:
        """The first layer's filters."""
        values = self.kernels.values
        labels, grids = filters.labels(values), filters.grids(values)
        ratio = sum(len(grid) for grid in grids) / grids[0].shape[1]

        def draw(size: Size) -> "Figure":
            figure = _figure(size, size.width * ratio + len(grids) * size.font / 32)
            for row, label, grid in zip(
                figure.subplots(len(grids), squeeze=False), labels, grids, strict=True
            ):
                row[0].imshow(grid, interpolation="nearest")
                row[0].set_title(label, loc="left", fontsize=size.font)
                row[0].set_axis_off()
            return figure

        return {"figure3": draw}

    def figure4(self) -> Parts:
        """The classes and the neighbours of test images, as `figure4` left them or makes them."""
        import matplotlib

        from alexnet_jax.analysis.figure4 import picture

        left, right = self._kept() or self._made()

        def draw_left(size: Size) -> "Figure":
            per_row = 4 if size.wide else 2
            rows = -(-len(left["images"]) // per_row)
            with matplotlib.rc_context({"font.size": 0.88 * size.font}):
                figure = _figure(size, 0.5 + rows * size.width / per_row)
                picture.answers(figure, left, per_row)
            return figure

        def draw_right(size: Size) -> "Figure":
            height = 0.5 + len(right["images"]) * (1.25 if size.wide else 0.48)
            with matplotlib.rc_context({"font.size": 0.88 * size.font}):
                figure = _figure(size, height)
                picture.similar(figure, right, named=size.wide)
            return figure

        return {"figure4-left": draw_left, "figure4-right": draw_right}

    def _kept(self) -> list[dict] | None:
        """Return the content of figure 4 that is there for this checkpoint, or None."""
        folder = self.workdir / command.FOLDER
        try:
            kept = [parse_json((folder / name).read_bytes()) for name in CONTENT]
            fits = all(x["step"] == self.kernels.step for x in kept)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return kept if fits else None

    def _made(self) -> list[dict]:
        restored = restore(self.workdir, self.checkpoint)
        made = make_figure(restored, restored.images(self.data_dir, train=True))
        return [json.loads(pathlib.Path(file).read_bytes()) for file in made["files"][:2]]


def race(axes: "Axes", curves: Mapping[str, Sequence[Sequence[tuple[float, float]]]]) -> None:
    """Draw figure 1: training error by epoch, the first solid and the second dashed.

    Args:
      axes: what it is drawn into.
      curves: label -> the curves of its seeds, (epoch, error).
    """
    for number, (label, seeds) in enumerate(curves.items()):
        colour = "black" if number < len(STYLES) else "grey"
        style = STYLES[number % len(STYLES)]
        for k, points in enumerate(seeds):
            name = None if k else label
            axes.plot(*zip(*points, strict=True), label=name, linestyle=style, color=colour)
    axes.axhline(TARGET, color="grey", linewidth=0.5)
    axes.set(xlabel="epochs", ylabel="training error rate", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False)


def _figure(size: Size, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(size.width, height), layout="constrained")


def write(parts: Parts, folder: pathlib.Path) -> list[str]:
    """Write each part in each size as SVG and PDF; return the files."""
    import matplotlib  # slow

    from alexnet_jax.system import pictures

    files = []
    for name, draw in parts.items():
        for size in SIZES:
            with matplotlib.rc_context(
                {
                    "font.size": size.font,
                    "lines.linewidth": size.font / 7,
                    "axes.linewidth": size.font / 14,
                }
            ):
                figure = draw(size)
                for form in ("svg", "pdf"):
                    files.append(folder / f"{name}-{size.name}.{form}")
                    pictures.save(figure, files[-1])
    return [str(file) for file in files]


def define_flags() -> None:
    """Define the command line."""
    run_flags.define(several=True, data_dir=True)
    flags.DEFINE_string("out", "", "Folder of the figures; by default DIR/analysis.")
    flags.DEFINE_list("figures", ["1", "2", "3", "4"], "Which of the paper's figures to draw.")


def main(_) -> None:
    """Draw the figures of the runs that the flags name."""
    values = flags.FLAGS
    numbers = command.numbers("figures", values.figures)
    if wrong := [number for number in numbers if number not in (1, 2, 3, 4)]:
        raise ConfigError(f"--figures are numbers from 1 to 4; got {wrong[0]}")
    split_cpu(values.workdir)
    runs = Runs([user_path(path) for path in values.workdir], values.checkpoint, values.data_dir)
    out = command.output_folder(runs.workdir, values.out)
    files: list[str] = []
    not_drawn = {}
    for number in numbers:
        try:
            files += write(getattr(runs, f"figure{number}")(), out)
        except UserError as error:
            not_drawn[number] = str(error)
            say(f"figure {number} is not drawn: {error}")
    print(json.dumps({"files": files, "not_drawn": not_drawn}))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
