"""Max pooling against loops in float64 NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.net.architecture import Pool
from alexnet_jax.net.pooling import max_pool
from tests.support.narrow_nets import draw_activations as draw
from tests.support.narrow_nets import pull_back

POOLS = [(3, 2), (2, 2), (3, 3), (5, 2), (2, 3), (1, 1)]
SIZES = [(13, 13), (6, 8), (7, 12), (5, 5)]


def patches(shape, window, stride):
    """Each output pixel and the rows and columns that it looks at."""
    for i in range((shape[1] - window) // stride + 1):
        for j in range((shape[2] - window) // stride + 1):
            top, left = i * stride, j * stride
            yield i, j, slice(top, top + window), slice(left, left + window)


@pytest.mark.parametrize(("window", "stride"), POOLS)
@pytest.mark.parametrize("size", SIZES)
def test_max_pool_and_its_gradient(window, stride, size):
    x = np.random.default_rng(0).permutation(2 * size[0] * size[1] * 3).astype(np.float32)
    x = x.reshape(2, *size, 3)  # no two values alike
    pool = Pool(window=window, stride=stride)
    out = ((size[0] - window) // stride + 1, (size[1] - window) // stride + 1)
    g = np.random.default_rng(1).integers(-8, 8, (2, *out, 3)).astype(np.float32)
    y, (actual,) = pull_back(lambda x: max_pool(x, pool), x, g)
    assert y.shape == (2, *out, 3)
    grad = np.zeros(x.shape)
    for i, j, rows, columns in patches(x.shape, window, stride):
        patch = x[:, rows, columns]
        largest = patch.max((1, 2), keepdims=True)
        np.testing.assert_array_equal(y[:, i, j], largest[:, 0, 0])
        grad[:, rows, columns] += (patch == largest) * g[:, i, j][:, None, None]
    np.testing.assert_array_equal(actual, grad)  # sums of small integers: exact


def test_tied_maxima_share_the_gradient():
    x = jnp.zeros((1, 3, 3, 1))
    grad = jax.grad(lambda x: max_pool(x, Pool()).sum())(x)
    np.testing.assert_allclose(grad.sum(), 1, rtol=1e-6)
    assert (grad > 0).all()


def test_max_pool_keeps_bfloat16():
    x = jnp.arange(25, dtype=jnp.bfloat16).reshape(1, 5, 5, 1)
    y = max_pool(x, Pool())
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y[0, :, :, 0].astype(jnp.float32), [[12, 14], [22, 24]])


def test_a_window_that_does_not_fit():
    with pytest.raises(ValueError, match="window of 3 does not fit in 2 pixels"):
        max_pool(jnp.ones((1, 5, 2, 1)), Pool())


@pytest.mark.parametrize(
    ("size", "window", "stride", "floor", "ceil"),
    [
        (55, 3, 2, 27, 27),
        (55, 2, 2, 27, 28),
        (11, 2, 2, 5, 6),
        (10, 3, 3, 3, 4),
        (3, 3, 2, 1, 1),
        # A patch that would begin outside the image is none (PyTorch's and Caffe's rule).
        (28, 1, 2, 14, 14),
        (27, 2, 3, 9, 9),
        (9, 2, 4, 2, 3),
        (5, 1, 5, 1, 1),
    ],
)
def test_a_last_patch_that_overhangs_counts_or_not(size, window, stride, floor, ceil):
    x = draw((2, size, size, 3), seed=size)
    for rounding, count in ((False, floor), (True, ceil)):
        pool = functools.partial(max_pool, pool=Pool("max", window, stride, rounding))
        y = pool(jnp.asarray(x))
        assert y.shape == (2, count, count, 3)
        windows = [slice(i * stride, i * stride + window) for i in range(count)]
        expected = [[x[:, rows, columns].max((1, 2)) for columns in windows] for rows in windows]
        np.testing.assert_array_equal(y, np.transpose(expected, (2, 0, 1, 3)))
        g = np.ones(y.shape, np.float32)
        _, (grad,) = pull_back(pool, x, g)
        assert np.isfinite(grad).all() and grad.sum() == pytest.approx(y.size)
