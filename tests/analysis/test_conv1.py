"""The share of colour of kernels made by hand, and the picture of filters by column."""

import itertools

import numpy as np
import pytest

from alexnet_jax.analysis import colour, filters
from alexnet_jax.net.conv1_filters import energies, filter_grid

GREY, RED = np.array([1.0, 1, 1]), np.array([1.0, 0, 0])
OPPONENT = np.array([1.0, -1, 0])  # red against green: no brightness at all


def kernels(*columns) -> np.ndarray:
    """Return (columns, 3, 2, 3, maps): each filter one colour times an uneven pattern."""
    pattern = np.arange(1.0, 7).reshape(3, 2) * np.array([1, -1])
    made = [[pattern[..., None] * filter_ for filter_ in column] for column in columns]
    return np.moveaxis(np.array(made), 1, -1).astype(np.float32)


@pytest.mark.parametrize(
    ("filter_", "share"),
    [
        (GREY, 0),
        (7 * GREY, 0),
        (OPPONENT, 1),
        (RED, 2 / 3),
        (GREY + OPPONENT, 2 / 5),
        (np.array([2.0, 1, 0]), 1 - 9 / 3 / 5),
        (np.zeros(3), 0),
    ],
    ids=str,
)
def test_share_of_one_filter(filter_, share):
    (found,), (same,) = (
        colour.shares(kernels([filter_]))[name] for name in ("per_filter", "columns")
    )
    assert found[0] == pytest.approx(share, abs=1e-7) and same == found[0]


def test_a_filter_counts_by_its_energy_and_columns_apart():
    found = colour.shares(kernels([3 * GREY, OPPONENT], [GREY, 2 * RED]))
    assert found["per_filter"] == [pytest.approx([0, 1]), pytest.approx([0, 2 / 3])]
    # Energies 27 and 2; 3 and 4, of which 8/3 are colour.
    assert found["columns"] == pytest.approx([2 / 29, (8 / 3) / 7])
    assert found["difference"] == pytest.approx(8 / 21 - 2 / 29)
    turned = colour.shares(kernels([GREY, 2 * RED], [3 * GREY, OPPONENT]))
    assert turned["difference"] == found["difference"]  # whichever column it is


def test_noise_is_two_thirds_colour_and_its_columns_differ_by_chance_only():
    noise = np.random.default_rng(0).normal(size=(2, 11, 11, 3, 48))
    found = colour.shares(noise)
    assert found["columns"] == pytest.approx([2 / 3, 2 / 3], abs=0.02)
    assert 0 < found["difference_by_chance"] < 0.03
    apart = kernels([GREY] * 20, [OPPONENT] * 20)
    assert colour.shares(apart)["difference"] == 1 > colour.shares(apart)["difference_by_chance"]


def test_chance_is_what_dealing_in_every_way_gives():
    mixed = kernels([GREY, GREY, RED], [OPPONENT, RED, GREY])
    energy, chromatic = (values.ravel() for values in energies(mixed))
    differences = []
    for first in itertools.combinations(range(6), 3):
        rest = [k for k in range(6) if k not in first]
        one, two = (
            chromatic[list(half)].sum() / energy[list(half)].sum() for half in (first, rest)
        )
        differences.append(abs(one - two))
    assert colour.shares(mixed)["difference_by_chance"] == pytest.approx(
        np.percentile(differences, 95, method="nearest"), abs=1e-6
    )


def test_one_column_has_no_difference():
    found = colour.shares(kernels([GREY, OPPONENT]))
    assert found["difference"] is found["difference_by_chance"] is None
    assert len(found["columns"]) == 1


def test_the_picture_has_each_column_of_the_grid_below_its_label():
    values = np.random.default_rng(0).normal(size=(2, 11, 11, 3, 20)).astype(np.float32)
    made = np.asarray(filters.picture(values, ["one", "two"], 3))
    grid = filter_grid(values).repeat(3, 0).repeat(3, 1)  # two rows a column, 12 pixels each
    rows = 3 * (2 * 12 + 1)
    assert made.shape == (2 * (rows + filters.LABEL) + filters.GAP, 3 * (16 * 12 + 1), 3)
    for c, top in enumerate((filters.LABEL, rows + 2 * filters.LABEL + filters.GAP)):
        expected = grid[c * 3 * 24 : c * 3 * 24 + rows]
        np.testing.assert_array_equal(made[top : top + rows], expected)
        label = made[top - filters.LABEL : top]
        assert label.max() == 255 and label.min() < 60  # ink on paper


def test_standardized_filters_have_zero_mean_and_unit_variance():
    values = np.random.default_rng(0).normal(3, 5, size=(2, 5, 5, 3, 4))
    values[0, ..., 0] = 1.5  # of no variance
    found = filters.standardized(values)
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(found.std((1, 2, 3)).ravel()[1:], 1)
    assert not found[0, ..., 0].any()
