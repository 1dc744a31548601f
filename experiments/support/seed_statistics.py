"""What some seeds of two settings say: means, deviations, and the difference with its interval."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean difference and its 95 % interval (Student's t); None where seeds are too few."""

    mean: float
    low: float | None
    high: float | None
    n: int  # pairs, or runs of the smaller side
    paired: bool


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and sample standard deviation (n - 1); of one value there is no deviation."""
    array = np.asarray(values, np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else None


def difference(first: Mapping[int, float], other: Mapping[int, float]) -> Difference:
    """Return other - first.

    Two runs of one seed see the same images in the same order, with the same crops and masks, so
    seeds that both have are paired. Where there are not two of those, means are compared without
    taking the variances for equal (Welch).

    Args:
      first, other: seed -> error; at least one each.
    """
    if len(both := sorted(first.keys() & other.keys())) > 1:
        mean, deviation = mean_and_deviation([other[seed] - first[seed] for seed in both])
        assert deviation is not None
        half = _half_width(deviation / math.sqrt(len(both)), len(both) - 1)
        return Difference(mean, mean - half, mean + half, len(both), paired=True)
    return _unpaired(list(first.values()), list(other.values()))


def _unpaired(first: list[float], other: list[float]) -> Difference:
    found = [mean_and_deviation(values) for values in (first, other)]
    mean = found[1][0] - found[0][0]
    parts = [
        deviation**2 / len(values)
        for values, (_, deviation) in zip((first, other), found, strict=True)
        if deviation is not None
    ]
    n = min(len(first), len(other))
    if len(parts) < 2 or sum(parts) == 0:
        return Difference(mean, None, None, n, paired=False)
    of_each = zip(parts, (first, other), strict=True)
    freedom = sum(parts) ** 2 / sum(part**2 / (len(values) - 1) for part, values in of_each)
    half = _half_width(math.sqrt(sum(parts)), freedom)
    return Difference(mean, mean - half, mean + half, n, paired=False)


def _half_width(error_of_mean: float, freedom: float) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error_of_mean
