"""Differences between settings, their intervals, and the verdicts; the rule is in protocol.py."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats

from experiments.miniature.protocol import BASELINE, Entry
from experiments.miniature.records import RunRecord

CONFIDENCE, DRAWS = 0.95, 2000
AGREES, DISAGREES, TOO_SMALL = "agrees", "disagrees", "too small to see"
TOO_FEW, NOT_RUN = "too few seeds", "not run"


@dataclasses.dataclass(frozen=True)
class Effect:
    """How much more top-1 error a setting has than the baseline, in points.

    Attributes:
      mean: over the seeds that both have.
      over_seeds: half of the interval that the seeds alone give; None: fewer than two.
      over_images: half of the one that the test images alone give.
      low, high: the interval from both.
      seeds: pairs.
    """

    mean: float
    over_seeds: float | None
    over_images: float
    low: float | None
    high: float | None
    seeds: int


def effects(entries: Sequence[Entry], runs: Sequence[RunRecord]) -> dict[str, Effect | None]:
    """Return the effect of each entry but the baseline; None: no run of it is paired."""
    pairs = {entry.name: _paired(entry.name, runs) for entry in entries if entry.name != BASELINE}
    deviation, degrees = _pooled([rows.mean(axis=1) for rows in pairs.values() if len(rows)])
    return {
        name: _effect(rows, deviation, degrees) if len(rows) else None
        for name, rows in pairs.items()
    }


def verdict(entry: Entry, effect: Effect | None) -> str:
    """Return the verdict on what the paper says of an entry; "-" where it says nothing."""
    if effect is None:
        return NOT_RUN
    if effect.low is None or effect.high is None:
        return TOO_FEW
    if not entry.sign:
        return "-"
    if effect.low <= 0 <= effect.high:
        return TOO_SMALL
    return AGREES if effect.mean * entry.sign > 0 else DISAGREES


def _paired(name: str, runs: Sequence[RunRecord]) -> np.ndarray:
    """Return (seeds, images): 100 where only the setting is wrong, -100 where only the baseline."""
    of = {(run.entry, run.seed): run.wrong(1).astype(float) for run in runs}
    seeds = sorted(seed for entry, seed in of if entry == name and (BASELINE, seed) in of)
    return np.array([100 * (of[name, seed] - of[BASELINE, seed]) for seed in seeds])


def _pooled(samples: Sequence[np.ndarray]) -> tuple[float, int]:
    """Return the standard deviation between seeds over all samples, and its degrees of freedom."""
    degrees = sum(len(sample) - 1 for sample in samples)
    squares = sum(float(((sample - sample.mean()) ** 2).sum()) for sample in samples)
    return (squares / degrees) ** 0.5 if degrees else 0.0, degrees


def _effect(rows: np.ndarray, deviation: float, degrees: int) -> Effect:
    by_image = rows.mean(axis=0)
    rng, n = np.random.default_rng(0), len(by_image)
    images = float(np.std([by_image[rng.integers(0, n, n)].mean() for _ in range(DRAWS)]))
    mean, seeds = float(by_image.mean()), len(rows)
    if seeds < 2:
        return Effect(mean, None, 1.96 * images, None, None, seeds)
    t = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees))
    of_seeds = deviation / seeds**0.5
    both = t * (of_seeds**2 + images**2) ** 0.5
    return Effect(mean, t * of_seeds, 1.96 * images, mean - both, mean + both, seeds)
