"""Differences between seeds, against the formulas in NumPy."""

import math

import numpy as np
import pytest

from experiments.support.seed_statistics import difference, mean_and_deviation

FIRST = {0: 0.41, 1: 0.43, 2: 0.40, 3: 0.44}
OTHER = {0: 0.42, 1: 0.46, 2: 0.41, 3: 0.43}


def test_mean_and_deviation_are_those_of_a_sample():
    mean, deviation = mean_and_deviation([0.1, 0.2, 0.6])
    assert mean == pytest.approx(0.3)
    assert deviation == pytest.approx(np.sqrt((0.2**2 + 0.1**2 + 0.3**2) / 2))
    assert mean_and_deviation([0.1]) == (0.1, None)


def test_seeds_that_both_have_are_paired():
    found = difference(FIRST, {**OTHER, 7: 0.99})
    d = np.array([OTHER[seed] - FIRST[seed] for seed in FIRST])
    half = 3.182446305284263 * np.sqrt(((d - d.mean()) ** 2).sum() / 3 / 4)  # t, 3 degrees, .975
    assert (found.n, found.paired) == (4, True)
    assert [found.mean, found.low, found.high] == pytest.approx(
        [d.mean(), d.mean() - half, d.mean() + half]
    )


def test_seeds_apart_are_compared_without_taking_variances_for_equal():
    other = {4: 0.45, 5: 0.40, 6: 0.52}
    found = difference(FIRST, other)
    a, b = (np.var(list(one.values()), ddof=1) / len(one) for one in (FIRST, other))
    freedom = (a + b) ** 2 / (a**2 / 3 + b**2 / 2)
    # Of Student's t with Satterthwaite's degrees of freedom 95 % lie within the interval.
    half = (found.high - found.low) / 2
    t = np.linspace(-1, 1, 10_001) * half / np.sqrt(a + b)
    density = (1 + t**2 / freedom) ** (-(freedom + 1) / 2)
    density *= math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) / np.sqrt(freedom * np.pi)
    assert np.trapezoid(density, t) == pytest.approx(0.95, abs=1e-6)
    mean = np.mean(list(other.values())) - np.mean(list(FIRST.values()))
    assert (found.n, found.paired) == (3, False)
    assert found.mean == pytest.approx(mean)
    assert found.low + found.high == pytest.approx(2 * mean)


@pytest.mark.parametrize("other", [{0: 0.5}, {9: 0.5}])
def test_one_pair_has_a_difference_and_no_interval(other):
    found = difference(FIRST, other)
    assert found.mean == pytest.approx(0.5 - np.mean(list(FIRST.values())))
    assert (found.low, found.high, found.n, found.paired) == (None, None, 1, False)


@pytest.mark.parametrize("seeds", [(0, 1), (2, 3), (0, 1, 2)])
def test_runs_that_agree_by_accident_have_no_interval_of_no_width(seeds):
    found = difference(dict.fromkeys((0, 1, 2), 0.5), dict.fromkeys(seeds, 0.25))
    assert (found.mean, found.low, found.high) == (-0.25, None, None)


def test_one_group_without_spread_has_an_interval_from_the_other():
    found = difference({0: 0.5, 1: 0.5}, {2: 0.25, 3: 0.35})
    # Welch's degrees of freedom are those of the other group: 1. Student's t, .975: 12.706.
    assert found.high == pytest.approx(-0.2 + 12.7062 * 0.05, rel=1e-4)
