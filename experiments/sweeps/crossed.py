"""Two ideas crossed, two values each: what each does alone, and what they do together.

A main effect is the mean over the other field's values. The interaction is how much more the second
field does where the first one has its second value.
"""

import dataclasses
from collections.abc import Sequence

from rich.table import Table

from experiments.support.seed_statistics import Difference, difference
from experiments.sweeps.results import figures, interval_text
from experiments.sweeps.runs import Run, Setting

FIGURE = "final_top1_error"


def effects(settings: Sequence[Setting], finished: Sequence[Run]) -> dict[str, Difference]:
    """Return the two main effects and the interaction on the last top-1 error, paired by seed.

    {} where the settings are not those of two fields with two values each, or no seed has all four.

    Args:
      settings: as `grid` gives them.
      finished: their runs.
    """
    fields = list(dict.fromkeys(field for one in settings for field, _ in one.overrides))
    if len(settings) != 4 or len(fields) != 2:
        return {}
    errors = [
        {run.seed: figures(run)[FIGURE] for run in finished if run.setting == one}
        for one in settings
    ]
    seeds = sorted(set.intersection(*map(set, errors)))
    if not seeds:
        return {}
    rows = {seed: [each[seed] for each in errors] for seed in seeds}  # first's first value first
    a, b = fields
    return {
        a: _difference(rows, lambda w, x, y, z: ((w + x) / 2, (y + z) / 2)),
        b: _difference(rows, lambda w, x, y, z: ((w + y) / 2, (x + z) / 2)),
        f"{a} x {b}": _difference(rows, lambda w, x, y, z: (x - w, z - y)),
    }


def _difference(rows: dict[int, list[float]], sides) -> Difference:
    pairs = {seed: sides(*row) for seed, row in rows.items()}
    return difference({s: p[0] for s, p in pairs.items()}, {s: p[1] for s, p in pairs.items()})


def table(found: dict[str, Difference]) -> Table:
    """Return the effects for a terminal, in percent points."""
    shown = Table(
        *("effect", "n", "top-1"),
        title="Effects on the last top-1 error, % points, 95 % interval",
        title_justify="left",
    )
    for name, one in found.items():
        text = interval_text({"difference": dataclasses.asdict(one)})
        shown.add_row(name, str(one.n), text)
    return shown
