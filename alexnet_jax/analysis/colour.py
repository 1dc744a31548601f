"""How much of the first layer looks at colour: one number for each column.

    python -m alexnet_jax.analysis.colour --workdir=DIR [--workdir=DIR2 ...] [--checkpoint=best]

The paper (6.1, figure 3): "The kernels on GPU 1 are largely color-agnostic, while the kernels on
GPU 2 are largely color-specific", in every run, "modulo a renumbering of the GPUs".

A kernel has a vector (r, g, b) at each of its places. Its part along the grey axis
(1, 1, 1)/sqrt(3) answers to brightness; the rest, at right angles to it, only to colour. With the
energy of a kernel the sum of its squared weights,

    share = chromatic energy / energy,   chromatic energy = energy - sum over places (r+g+b)^2 / 3

0: it sees no colour; 1: nothing else; 2/3: as noise, since two of three directions are colour.
A column's share is that of the sums over its filters, so that a filter counts by its strength.
`difference` is the larger column's share less the smaller's, whichever has which. What the same
filters give when dealt out to the columns at random, 95 times of 100 at most, is
`difference_by_chance`: only what is above it says that the columns have divided the work.

Writes DIR/analysis/colour.json: step, columns, difference, difference_by_chance, per_filter (a list
for each column), over_steps (step and columns of each validation that the run has logged, of every
checkpoint that is kept, and of step 0 as it was drawn). The last line is one JSON object: runs,
with workdir, step, columns, difference and difference_by_chance of each.
"""

import json
import pathlib
from typing import Any

import numpy as np
from rich.table import Table

from alexnet_jax.analysis import command
from alexnet_jax.analysis.conv1 import drawn_kernels, kept_steps, read_kernels
from alexnet_jax.net.filters import colour_shares, energies, share
from alexnet_jax.system import command_line

DEALS = 10_000
COLOUR = "conv1_colour"  # of a validation's line in metrics.jsonl


def shares(kernels: np.ndarray) -> dict[str, Any]:
    """Return columns, difference, difference_by_chance and per_filter; see the module.

    A net of one column has no differences: None. A filter of zeros has the share 0.

    Args:
      kernels: (columns, kh, kw, 3, maps).
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
    """Return {"step", "columns"} of the draw, of each validation and of every kept checkpoint."""
    told = _told(workdir / "metrics.jsonl")
    steps = kept_steps(workdir)
    drawn = None if 0 in steps else drawn_kernels(workdir)
    found = [] if drawn is None else [drawn]
    found += [read_kernels(workdir, step) for step in steps if step not in told]
    told |= {kernels.step: colour_shares(kernels.values) for kernels in found}
    return [{"step": step, "columns": columns} for step, columns in sorted(told.items())]


def _told(path: pathlib.Path) -> dict[int, list[float]]:
    """Return the shares that the run itself has logged, by step."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
            found[int(record["step"])] = [float(value) for value in record[COLOUR]]
        except (ValueError, KeyError, TypeError):  # of training, or half written
            continue
    return found


def colour(workdir: pathlib.Path, checkpoint: str | int = "best") -> dict[str, Any]:
    """Write analysis/colour.json of a run and return what it says."""
    kernels = read_kernels(workdir, checkpoint)
    content = {
        "step": kernels.step,
        **shares(kernels.values),
        "over_steps": over_steps(workdir),
    }
    command.write_json(command.output_folder(workdir) / "colour.json", content)
    return content


def _by_chance(energy: np.ndarray, chromatic: np.ndarray) -> float:
    """Return the 95th percentile of the difference where filters are dealt to columns at random."""
    rng = np.random.default_rng(0)
    dealt = rng.permuted(np.tile(np.arange(energy.size), (DEALS, 1)), axis=1)
    dealt = dealt.reshape(DEALS, *energy.shape)
    sums = [values.ravel()[dealt].sum(axis=2) for values in (chromatic, energy)]
    return float(np.percentile(np.ptp(share(*sums), axis=1), 95))


def _table(runs: list[dict[str, Any]]) -> Table:
    table = Table("run", "step", "share of colour, by column", "difference", "by chance")
    for run in runs:
        columns = " ".join(f"{share:.3f}" for share in run["columns"])
        row = [run["workdir"], str(run["step"]), columns]
        for name in ("difference", "difference_by_chance"):
            row.append("-" if run[name] is None else f"{run[name]:.3f}")
        table.add_row(*row)
    return table


def main(workdirs: list[pathlib.Path], checkpoint: str) -> None:
    """Measure each run, print a table, and all as one JSON line."""
    runs = []
    for workdir in workdirs:
        content = colour(workdir, checkpoint)
        said = {name: content[name] for name in content if name not in ("per_filter", "over_steps")}
        runs.append({"workdir": str(workdir), **said})
    command.console().print(_table(runs))
    print(json.dumps({"runs": runs}))


if __name__ == "__main__":
    _RUN = command.RunFlags(several=True, images=False)
    command_line.run(lambda _: main(_RUN.workdirs, _RUN.checkpoint))
