"""What several seeds of two settings show: means, deviations, and the difference's interval."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
ROUNDING = 1e-12  # of errors, which are fractions of an image count


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean difference and its 95 % interval (Student's t).

    The ends are None where the seeds say nothing of the spread: one pair, or runs that all agree to
    the last image, as two may by accident.
    """

    mean: float
    low: float | None
    high: float | None
    n: int  # pairs, or runs of the smaller side
    paired: bool


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and sample standard deviation (n - 1); None for the deviation of one value."""
    array = np.asarray(values, np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else None


def mean_text(values: Sequence[float]) -> str:
    """Return "18.2 ± 0.3"; the mean alone of one value."""
    mean, deviation = mean_and_deviation(values)
    return f"{mean:.1f}" if deviation is None else f"{mean:.1f} ± {deviation:.1f}"


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
    spread = np.ptp(np.subtract(b, a)) if paired else np.ptp(a) + np.ptp(b)
    if spread < ROUNDING:
        return Difference(mean, None, None, n, paired)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one of two groups has no spread
        test = stats.ttest_rel(b, a) if paired else stats.ttest_ind(b, a, equal_var=False)
        interval = test.confidence_interval(CONFIDENCE)
    return Difference(mean, float(interval.low), float(interval.high), n, paired)
