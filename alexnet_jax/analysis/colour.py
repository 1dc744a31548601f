"""Measure how much of the first layer responds to colour: one number for each column.

    python -m alexnet_jax.analysis.colour --workdir=DIR [--workdir=DIR2 ...] [--checkpoint=best]

The paper (6.1, figure 3): "The kernels on GPU 1 are largely color-agnostic, while the kernels on
GPU 2 are largely color-specific", in every run, "modulo a renumbering of the GPUs".

Each pixel of a kernel is a vector (r, g, b). Its part along the grey axis (1, 1, 1)/sqrt(3)
responds to brightness. The rest, at right angles to that axis, responds to colour only. The energy
of a kernel is the sum of its squared weights, and

    share = chromatic energy / energy,   chromatic energy = energy - sum over pixels (r+g+b)^2 / 3

A kernel with share 0 sees no colour, one with share 1 sees nothing else. Noise has 2/3: two of
three directions are colour. A column's share is that of the sums over its filters, so that a filter
counts by its strength. `difference` is the larger share minus the smaller, whichever column has
which. If the filters are dealt to the columns at random, the difference is at most
`difference_by_chance` in 95 of 100 deals: only a larger one says that the columns specialize.

Writes DIR/analysis/colour.json: step, columns, difference, difference_by_chance, per_filter (a list
for each column), over_steps (step and columns for step 0, for each validation that the run has
logged, and for each checkpoint). The last line is one JSON object: runs, with workdir, step,
columns, difference and difference_by_chance of each.
"""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags
from rich.table import Table

from alexnet_jax.analysis import command
from alexnet_jax.analysis.conv1_of_runs import checkpoint_steps, initial_kernels, read_kernels
from alexnet_jax.net.conv1_filters import colour_shares, energies, share
from alexnet_jax.run import metrics_file, run_flags
from alexnet_jax.run.metrics_file import COLOUR
from alexnet_jax.system import command_line, terminal
from alexnet_jax.system.paths import user_path

DEALS = 10_000


def shares(kernels: np.ndarray) -> dict[str, Any]:
    """Return columns, difference, difference_by_chance and per_filter; see the module.

    For a net of one column the differences are None. A filter of zeros has the share 0.

    Args:
      kernels: (columns, kh, kw, 3, channels).
    """
    energy, chromatic = energies(kernels)
    columns = share(chromatic.sum(axis=1), energy.sum(axis=1))
    several = len(columns) > 1
    return {
        "columns": columns.tolist(),
        "difference": float(np.ptp(columns)) if several else None,
        "difference_by_chance": _by_chance(energy, chromatic) if several else None,
        "per_filter": share(chromatic, energy).tolist(),
    }


def over_steps(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """Return {"step", "columns"} for step 0, each validation and each checkpoint."""
    lines, _ = metrics_file.read(workdir / "metrics.jsonl")
    logged = {line["step"]: line[COLOUR] for line in lines if COLOUR in line}
    steps = checkpoint_steps(workdir)
    initial = None if 0 in steps else initial_kernels(workdir)
    others = [] if initial is None else [initial]
    others += [read_kernels(workdir, step) for step in steps if step not in logged]
    shares_of = logged | {kernels.step: colour_shares(kernels.values) for kernels in others}
    return [{"step": step, "columns": columns} for step, columns in sorted(shares_of.items())]


def colour(workdir: pathlib.Path, checkpoint: str | int = "best") -> dict[str, Any]:
    """Write analysis/colour.json of a run and return its content."""
    kernels = read_kernels(workdir, checkpoint)
    content = {
        "step": kernels.step,
        **shares(kernels.values),
        "over_steps": over_steps(workdir),
    }
    command.write_json(command.output_folder(workdir) / "colour.json", content)
    return content


def _by_chance(energy: np.ndarray, chromatic: np.ndarray) -> float:
    """Return the 95th percentile of the difference when filters go to columns at random."""
    rng = np.random.default_rng(0)
    dealt = rng.permuted(np.tile(np.arange(energy.size), (DEALS, 1)), axis=1)
    dealt = dealt.reshape(DEALS, *energy.shape)
    sums = [values.ravel()[dealt].sum(axis=2) for values in (chromatic, energy)]
    return float(np.percentile(np.ptp(share(*sums), axis=1), 95))


def report(workdirs: Sequence[pathlib.Path], checkpoint: str) -> None:
    """Measure each run; print a table and a line of JSON."""
    runs = []
    table = Table("run", "step", "share of colour, by column", "difference", "by chance")
    for workdir in workdirs:
        content = colour(workdir, checkpoint)
        summary = {key: content[key] for key in content if key not in ("per_filter", "over_steps")}
        runs.append({"workdir": str(workdir), **summary})
        columns = " ".join(f"{share:.3f}" for share in content["columns"])
        both = (content[name] for name in ("difference", "difference_by_chance"))
        differences = ("-" if value is None else f"{value:.3f}" for value in both)
        table.add_row(str(workdir), str(content["step"]), columns, *differences)
    terminal.show(table)
    print(json.dumps({"runs": runs}))


def define_flags() -> None:
    """Define the command line."""
    run_flags.define(several=True)


def main(_) -> None:
    """Measure the runs that the flags name."""
    report([user_path(path) for path in flags.FLAGS.workdir], flags.FLAGS.checkpoint)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
