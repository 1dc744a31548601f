"""What several seeds of two settings show: means, deviations, and the difference's interval."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean difference and its 95 % interval (Student's t); None where there are too few seeds."""

    mean: float
    low: float | None
    high: float | None
    n: int  # pairs, or runs of the smaller side
    paired: bool


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and sample standard deviation (n - 1); None for the deviation of one value."""
    array = np.asarray(values, np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else None


def difference(first: Mapping[int, float], other: Mapping[int, float]) -> Difference:
    """Return other - first.

    Two runs of one seed see the same images in the same order, with the same crops and masks, so
    seeds that both settings have are paired. Where there are fewer than two of those, the means
    are compared without assuming equal variances (Welch).

    Args:
      first, other: seed -> error; at least one each.
    """
    shared = sorted(first.keys() & other.keys())
    paired = len(shared) > 1
    a, b = ([one[seed] for seed in (shared if paired else one)] for one in (first, other))
    mean, n = float(np.mean(b) - np.mean(a)), min(len(a), len(b))
    if n < 2:
        return Difference(mean, None, None, n, paired)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # runs that all agree have no variance
        test = stats.ttest_rel(b, a) if paired else stats.ttest_ind(b, a, equal_var=False)
        interval = test.confidence_interval(CONFIDENCE)
    return Difference(mean, float(interval.low), float(interval.high), n, paired)
