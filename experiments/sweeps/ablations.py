"""Leave out one idea of the paper at a time, and compare the cost with the paper's.

    python -m experiments.sweeps.ablations --config=configs/ilsvrc2012.py --out=runs/ablations \
        --config.data.dir=/path/to/imagenet --names=lrn,pooling,columns,dropout --seeds=3

This is a sweep over the whole recipe and each ablation in --names (sweep.py describes resuming,
--jobs and --where=slurm). --names=help lists them all, without --out. net147 and similar names are
exactly the nets of the released program, and need --config=configs/ilsvrc2012_code2012.py.

It ends with sweep.py's table; a table of our last top-1 and top-5 errors minus those of the whole
recipe, beside the paper's and the original log's; and one JSON object, also OUT/ablations.json. The
paper's numbers are for ILSVRC, ten views and 90 epochs: with another dataset or a shorter run only
the sign can be compared.
"""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags
from rich.table import Table

from alexnet_jax.errors import ConfigError
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.terminal import show
from experiments.support.recipe import given, read_config
from experiments.sweeps import command
from experiments.sweeps.results import interval_text
from experiments.sweeps.runs import Setting

Points = tuple[float, float | None]  # more top-1 and top-5 error without the idea, in % points


@dataclasses.dataclass(frozen=True)
class Ablation:
    """One idea left out: the fields that do it, and the authors' numbers."""

    name: str
    overrides: dict[str, str]
    source: str  # of the paper's words
    paper: Points | None = None  # None: no number
    logged: Points | None = None  # the released program's runs, less net 145's
    log: str = ""  # where
    arch: str = ""  # the architecture that it is an ablation of; "": any


# Differences to net 145, whose errors with ten views are .406640, .182100 on the validation set of
# 2012 (layer-params-145.cfg:182) and .374727, .169987 on the test set of 2010
# (layer-params-145-2010.cfg:178):
_147 = (0.39, 0.30), "net 147, layer-params-147.cfg:174: .410580, .185100 (2012)"
_148 = (1.37, 1.15), "net 148, layer-params-148.cfg:148: .420340, .193620 (2012)"
_150 = (1.16, 1.12), "net 150, layer-params-150.cfg:179: .418280, .193300 (2012)"
_HALF = (1.70, 1.23), "net 145-half, layer-params-145-half.cfg:100: .391680, .182287 (2010)"

_LRN, _POOLING = "paper 3.3", "paper 3.4"
_COLUMNS = "paper 3.2: one GPU and about as many parameters"
_REMOVED = "paper 7: about 2 for any of the middle layers"

ABLATIONS = (
    Ablation(
        "lrn",
        {"model.lrn.enabled": "False", "model.spatial_norm.enabled": "False"},
        _LRN,
        (1.4, 1.2),
        *_148,
    ),
    Ablation(
        "pooling",
        {"model.pool.window": "2", "model.pool.ceil": "False"},  # ceil: to 27, 13 and 6 pixels too
        _POOLING,
        (0.4, 0.3),
        *_147,
    ),
    Ablation("columns", {"model.columns": "1"}, _COLUMNS, (1.7, 1.2), *_HALF),
    Ablation(
        "communication",
        {"model.cross_columns": "False"},
        "paper 3.2: the pattern of connections needs cross-validation",
        None,
        *_150,
    ),
    Ablation("relu", {"model.activation": "tanh"}, "paper 3.1, figure 1: six times slower"),
    Ablation(
        "crops_and_flips",
        {"data.crop": "False", "data.flip": "False"},
        "paper 4.1: substantial overfitting",
    ),
    Ablation("colour", {"data.colour": "False"}, "paper 4.1: over 1", (1.0, None)),
    Ablation("dropout", {"model.dropout.rate": "0.0"}, "paper 4.2: substantial overfitting"),
    Ablation(
        "weight_decay",
        {"optimizer.weight_decay": "0.0"},
        "paper 5: important for the model to learn",
    ),
    *(
        Ablation(f"no_{layer}", {"model.drop_layers": layer}, _REMOVED, (2.0, None))
        for layer in ("conv2", "conv3", "conv4", "conv5")
    ),
    Ablation("net147", {"model.arch": "nonoverlapping"}, _POOLING, (0.4, 0.3), *_147, "code2012"),
    Ablation("net148", {"model.arch": "no_norm"}, _LRN, (1.4, 1.2), *_148, "code2012"),
    Ablation(
        "net150", {"model.arch": "no_communication"}, "paper: no number", None, *_150, "code2012"
    ),
    Ablation("net145-half", {"model.arch": "half"}, _COLUMNS, (1.7, 1.2), *_HALF, "code2012"),
)


def named(names: Sequence[str], arch: str) -> list[Ablation]:
    """Return the ablations of these names.

    Raises:
      ConfigError: a name that is not in the list, or one of another net than `arch`.
    """
    by_name = {ablation.name: ablation for ablation in ABLATIONS}
    if unknown := [name for name in names if name not in by_name]:
        raise ConfigError(f"--names takes {', '.join(by_name)}; got {', '.join(unknown)}")
    ablations = [by_name[name] for name in names]
    for ablation in ablations:
        if ablation.arch not in ("", arch):
            raise ConfigError(
                f"{ablation.name} is an ablation of arch {ablation.arch}, but the config's is "
                f"{arch}: take --config=configs/ilsvrc2012_code2012.py"
            )
    return ablations


def settings(ablations: Sequence[Ablation]) -> list[Setting]:
    """Return the setting of the whole recipe, then one for each ablation."""
    return [
        Setting("whole"),
        *(Setting(ablation.name, tuple(ablation.overrides.items())) for ablation in ablations),
    ]


def listing() -> Table:
    """Return all ablations, for a terminal."""
    shown = Table("name", "fields", "the paper, points", "its log", "source")
    for one in ABLATIONS:
        fields = ", ".join(f"{field}={value}" for field, value in one.overrides.items())
        source = "; ".join(filter(None, (one.source, one.log)))
        shown.add_row(one.name, fields, text(one.paper), text(one.logged), source)
    return shown


def beside(ablations: Sequence[Ablation], rows: Sequence[dict[str, Any]]) -> Table:
    """Return our differences beside the paper's and the log's.

    Args:
      ablations: the rows.
      rows: of the sweep's summary, the whole recipe first.
    """
    shown = Table(
        *("without", "n", "top-1, ours", "top-5, ours", "paper", "log", "source"),
        title="More error without it, in % points; ours: last validation, 95 % interval",
        title_justify="left",
    )
    for one, row in zip(ablations, rows[1:], strict=True):
        ours = [interval_text(row[f"final_{name}_error"]) or "-" for name in ("top1", "top5")]
        n = str(row["final_top1_error"]["n"])
        shown.add_row(one.name, n, *ours, text(one.paper), text(one.logged), one.source)
    return shown


def text(points: Points | None) -> str:
    """Return "1.4 / 1.2"; "-" where there is no number."""
    return " / ".join("-" if x is None else f"{x:g}" for x in points) if points else "-"


def define_flags() -> None:
    """Define the command line."""
    command.define_flags()
    flags.DEFINE_list("names", ["lrn", "pooling", "columns", "dropout"], "Ablations, or help.")


def main(_) -> None:
    """Run the ablations named."""
    if flags.FLAGS.names == ["help"]:
        show(listing())
        return
    arch = read_config(given()).model.arch
    ablations = named(flags.FLAGS.names, arch)
    result = command.sweep(settings(ablations))
    show(beside(ablations, result["settings"]))
    for one, row in zip(ablations, result["settings"][1:], strict=True):
        row["ablation"] = dataclasses.asdict(one)
    path = pathlib.Path(result["figure"]).with_name("ablations.json")
    write_atomic(path, json.dumps(result, indent=2) + "\n")
    command.end(result)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
