"""The picture of the first layer's filters."""

import numpy as np
import pytest

from alexnet_jax.net.conv1_filters import filter_grid


@pytest.mark.parametrize(("filters", "rows", "per_row"), [(48, 3, 16), (16, 1, 16), (5, 1, 5)])
def test_every_filter_is_where_figure_3_has_it_with_lines_between(filters, rows, per_row):
    rng = np.random.default_rng(filters)
    kernel = rng.normal(size=(2, 4, 3, 3, filters)).astype(np.float32)
    picture = filter_grid(kernel)
    assert picture.dtype == np.uint8
    assert picture.shape == (2 * rows * (4 + 1) + 1, per_row * (3 + 1) + 1, 3)
    low, high = kernel.astype(np.float64).min(), kernel.astype(np.float64).max()
    seen = np.zeros(picture.shape[:2], bool)
    for column in range(2):
        for index in range(filters):
            top = 1 + 5 * (column * rows + index // 16)  # column 1 below all rows of column 0
            left = 1 + 4 * (index % 16)
            actual = picture[top : top + 4, left : left + 3].astype(np.float64)
            expected = 255 * (kernel[column, :, :, :, index] - low) / (high - low)
            np.testing.assert_allclose(actual, expected, atol=0.501)
            seen[top : top + 4, left : left + 3] = True
    assert not picture[~seen].any()
    assert picture.max() == 255 and picture[seen].min() == 0


def test_one_scale_for_all_filters():
    kernel = np.zeros((2, 2, 2, 3, 2), np.float32)
    kernel[0, ..., 0], kernel[0, ..., 1], kernel[1, ..., 0] = -1.0, 1.0, 3.0
    picture = filter_grid(kernel)
    values = [picture[r, c, 0] for r, c in ((1, 1), (1, 4), (4, 1), (4, 4))]
    assert values == [0, 128, 255, 64]  # -1, 1, 3 and 0 on the way from -1 to 3


def test_equal_weights_are_black_and_no_division_by_zero():
    assert not filter_grid(np.full((1, 2, 2, 3, 1), 0.25, np.float32)).any()
