"""Draw the curve of a run: loss, errors and learning rate by epoch.

python -m experiments.claims.plot_run --workdir=runs/mine [--out=runs/mine/curve.svg]
"""

import itertools
import json
import math
import pathlib

import matplotlib
from absl import flags
from matplotlib import pyplot

from alexnet_jax.system import command_line


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.DEFINE_string("out", None, "Picture to write; default: curve.svg in the run's folder.")
    flags.DEFINE_integer("classes", None, "For the line of chance; default: the config's.")


def main(_) -> None:
    """Draw the run."""
    workdir = pathlib.Path(flags.FLAGS.workdir)
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["split"] == "train"]
    val = [line for line in lines if line["split"] == "val"]
    classes = flags.FLAGS.classes
    if classes is None:
        classes = json.loads((workdir / "config.json").read_text())["model"]["classes"]
    matplotlib.rcParams["svg.hashsalt"] = "alexnet"  # the same picture from the same numbers
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axes, name, label in ((left, "loss", "loss, nats"), (right, "top1_error", "top-1 error")):
        axes.plot(*points(train, name), color="tab:blue", alpha=0.6, label="train")
        axes.plot(*points(val, name), color="tab:orange", marker="o", label="validation")
        axes.set(xlabel="epoch", ylabel=label)
    if classes:
        left.axhline(math.log(classes), color="grey", linestyle=":", label=f"ln({classes})")
        right.axhline(1 - 1 / classes, color="grey", linestyle=":", label="chance")
    right.plot(*points(val, "top5_error"), color="tab:green", marker="o", label="validation, top-5")
    for before, line in itertools.pairwise(train):
        if line["learning_rate"] < before["learning_rate"]:
            left.axvline(before["epoch"], color="lightgrey", label="learning rate drops")
    for axes in (left, right):
        axes.legend()
    out = pathlib.Path(flags.FLAGS.out or workdir / "curve.svg")
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)
    print(out)


def points(lines: list[dict], name: str) -> tuple[list, list]:
    """Return (epochs, values) of one column of the log."""
    return [line["epoch"] for line in lines], [line[name] for line in lines]


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
