"""Map which recipes start to learn and which stay at ln(classes).

    python -m experiments.start.plateau_map --map=start --seeds=3 --steps=300 --out=runs/plateau \
        --config=configs/quickstart.py --config.batch_size=32

--map=start varies the standard deviation of the initial weights (the paper's 0.01 everywhere, or
the released program's 0.03 in conv3 to conv5), the biases that the paper sets to 1 (0, 0.1, 1), the
input (pixels as they are, or divided by their deviation), and the normalization (the paper's,
Caffe's, none). --map=norm varies response normalization (n of 1 to 11, k of 0 to 2), batch
normalization and none, on both inputs, with the paper's initial values. A narrower net gets larger
deviations, so that its signal is that of the full net. --map=weaker multiplies the recipe's own
initial deviations by 1 to 0.25, to see whether the doctor's measure falls when a net no longer
starts.

A run ends when the mean loss of ten steps has been 2 % below ln(classes) five times in a row. Each
run is a line of OUT/MAP.jsonl, with the doctor's verdict before it, and is not made again; the
first seed of all recipes comes first. With --steps=0 only the doctor runs. It ends with a table,
OUT/MAP.svg (matplotlib), and one JSON object, also OUT/MAP.json.
"""

import json
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from absl import flags
from matplotlib import pyplot
from rich.table import Table

from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.lines import say
from alexnet_jax.system.paths import user_path
from alexnet_jax.system.terminal import show
from experiments.start.first_steps import start
from experiments.start.plateau_recipes import MAPS, Map, map_of
from experiments.support import pictures
from experiments.support.recipe import given, read_config
from experiments.support.run_lines import Line, RunLines
from experiments.sweeps.runs import Setting, plan

DOCTOR_STARTS = ("starts", "starts late")  # verdicts that a run can prove wrong


def run_all(
    settings: Sequence[Setting], recipe: Sequence[str], runs: RunLines, seeds: int, steps: int
) -> list[Line]:
    """Make the missing runs; return all runs of these settings and seeds.

    Args:
      settings: what differs.
      recipe: flags of the config, for all runs.
      runs: the finished runs.
      seeds: runs of each setting.
      steps: of each run, at most.
    """
    planned = plan(settings, recipe, seeds, runs.path.parent)
    lines = []
    for k, one in enumerate(planned, start=1):
        asked = {"setting": one.setting.name, "seed": one.seed, "steps_asked": steps}
        asked |= {"given": " ".join(recipe), "recipe": one.recipe}
        line = runs.find(**asked)
        if line is None:
            config = read_config([flag for flag in one.flags if flag.startswith("--config")])
            line = runs.add({**asked, **start(config, steps)})
            short = json.dumps({name: line[name] for name in ("pull", "left_at_step", "loss")})
            say(f"{k}/{len(planned)} {one.setting.name}, seed {one.seed}: {short}")
        lines.append(line)
    return lines


def summary(settings: Sequence[Setting], lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return a row for each setting: the doctor's pulls and verdicts, and when its runs started."""
    rows = []
    for setting in settings:
        runs = [line for line in lines if line["setting"] == setting.name]
        left = [line["left_at_step"] for line in runs]
        rows.append(
            {
                "setting": setting.name,
                "overrides": dict(setting.overrides),
                "runs": len(runs),
                "left": sum(step is not None for step in left),
                "left_at_step": left,
                "losses": [line["loss"] for line in runs],
                "made": sum(line["steps"] for line in runs),
                "pulls": [line["pull"] for line in runs],
                "verdicts": [line["verdict"] for line in runs],
                "spread": runs[0]["spread"] if runs else None,
            }
        )
    return rows


def agreement(lines: Sequence[Line]) -> dict[str, int]:
    """Return how many runs were made, and for how many of them the doctor was right."""
    runs = [line for line in lines if line["steps"]]
    right = [
        (line["verdict"] in DOCTOR_STARTS) == (line["left_at_step"] is not None) for line in runs
    ]
    return {"runs": len(runs), "right": sum(right)}


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows as a table for a terminal."""
    shown = Table(
        *("recipe", "the doctor's pull, nats", "its verdict", "left", "from step", "last loss"),
        title="Runs that left ln(classes)",
        title_justify="left",
    )
    for row in rows:
        pulls = ", ".join("-" if pull is None else f"{pull:.1g}" for pull in row["pulls"])
        verdicts = ", ".join(dict.fromkeys(row["verdicts"]))
        steps = ", ".join("-" if step is None else f"{step:g}" for step in row["left_at_step"])
        none = "no number" if row["made"] else "-"
        losses = ", ".join(none if x is None else f"{x:.3f}" for x in row["losses"])
        left = f"{row['left']}/{row['runs']}"
        shown.add_row(row["setting"], pulls, verdicts, left, steps, losses)
    return shown


def draw(drawn: Map, rows: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Draw the share of runs that left as a grid, with the median step in each cell."""
    down, across = drawn.row_names(), drawn.column_names()
    cells = [rows[i : i + len(across)] for i in range(0, len(rows), len(across))]
    shares = [[cell["left"] / max(1, cell["runs"]) for cell in line] for line in cells]
    figure, axes = pyplot.subplots(
        figsize=(3 + 1.3 * len(across), 1.5 + 0.5 * len(down)), layout="constrained"
    )
    axes.imshow(shares, cmap="PiYG", vmin=0, vmax=1, aspect="auto", alpha=0.6)
    for i, line in enumerate(cells):
        for j, cell in enumerate(line):
            axes.text(j, i, _cell(cell), ha="center", va="center", fontsize="small")
    labels = [name.replace("; ", "\n") for name in across]
    axes.set_xticks(range(len(across)), labels, fontsize="small")
    axes.set_yticks(range(len(down)), down, fontsize="small")
    axes.set_title("runs that left ln(classes), and the step", fontsize="medium")
    pictures.save(figure, path)


def _cell(row: dict[str, Any]) -> str:
    if not row["made"]:
        return "not run"
    if None in row["losses"]:
        return "no number"
    steps = [step for step in row["left_at_step"] if step is not None]
    median = f"\n{statistics.median(steps):g}" if steps else ""
    return f"{row['left']}/{row['runs']}{median}"


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag()
    flags.DEFINE_enum("map", "start", list(MAPS), "Which map.")
    flags.DEFINE_integer("seeds", 3, "Runs of each recipe.", lower_bound=1)
    flags.DEFINE_integer("steps", 300, "Of each run, at most; 0: the doctor only.", lower_bound=0)
    flags.DEFINE_string("out", None, "Folder of the runs.", required=True)


def main(_) -> None:
    """Make the missing runs, and sum up."""
    name, out = flags.FLAGS.map, user_path(flags.FLAGS.out)
    drawn = map_of(name, flags.FLAGS.config)
    settings = drawn.settings()
    runs = RunLines(out / f"{name}.jsonl")
    lines = run_all(settings, given(), runs, flags.FLAGS.seeds, flags.FLAGS.steps)
    rows = summary(settings, lines)
    show(table(rows))
    draw(drawn, rows, out / f"{name}.svg")
    result = {
        "map": name,
        "steps": flags.FLAGS.steps,
        "doctor": agreement(lines),
        "settings": rows,
    }
    write_atomic(out / f"{name}.json", json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
