"""ops against loops in float64 NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.net.ops import local_response_norm, max_pool, spatial_response_norm
from tests.support.narrow_nets import fast_jit

PAPER = {"n": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75}
LRN_CASES = [
    (PAPER, (3, 4, 5, 16)),
    (PAPER, (7, 3)),  # a window wider than the channels
    ({"n": 1, "k": 1.0, "alpha": 1e-3, "beta": 0.5}, (9,)),
    ({"n": 3, "k": 2.0, "alpha": 2e-5, "beta": 0.75}, (4, 8)),
    ({"n": 7, "k": 0.5, "alpha": 1e-3, "beta": 1.0}, (2, 3, 10)),
    ({"n": 15, "k": 2.0, "alpha": 1e-4, "beta": 0.6}, (2, 1, 2, 6)),
    ({"n": 15, "k": 1.0, "alpha": 1e-5, "beta": 0.75}, (5, 48)),
]


def windows(channels: int, n: int) -> list[slice]:
    """The paper's sum: from max(0, i - n/2) to min(N - 1, i + n/2)."""
    return [slice(max(0, i - n // 2), min(channels - 1, i + n // 2) + 1) for i in range(channels)]


def exact_lrn(a, n, k, alpha, beta):
    b = np.empty(a.shape, np.float64)
    for i, window in enumerate(windows(a.shape[-1], n)):
        b[..., i] = a[..., i] / (k + alpha * (a[..., window] ** 2).sum(-1)) ** beta
    return b


def exact_lrn_gradient(a, g, n, k, alpha, beta):
    """d(sum g b)/da, term by term: db_j/da_i for every i in the window of j."""
    grad = np.zeros(a.shape, np.float64)
    for j, window in enumerate(windows(a.shape[-1], n)):
        d = k + alpha * (a[..., window] ** 2).sum(-1)
        grad[..., j] += g[..., j] * d**-beta
        for i in range(window.start, window.stop):
            inner = g[..., j] * a[..., j] * -beta * d ** (-beta - 1)
            grad[..., i] += inner * 2 * alpha * a[..., i]
    return grad


def pull_back(f, x, g):
    """f(x) and the gradient of sum(g f(x)), compiled."""

    @fast_jit
    def run(x, g):
        y, backward = jax.vjp(f, x)
        return y, backward(g)

    return run(x, g)


def draw(shape, scale=100.0, seed=0):
    """Values of the size that conv1 gives, so that alpha times the sum matters beside k."""
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize(("constants", "shape"), LRN_CASES)
def test_lrn_is_the_papers_formula(constants, shape):
    a = draw(shape)
    b = fast_jit(lambda a: local_response_norm(a, **constants))(a)
    assert b.dtype == jnp.float32 and b.shape == shape
    np.testing.assert_allclose(b, exact_lrn(a.astype(np.float64), **constants), rtol=3e-6)


@pytest.mark.parametrize(("constants", "shape"), LRN_CASES)
def test_lrn_gradient(constants, shape):
    a, g = draw(shape), draw(shape, 1.0, seed=1)
    (grad,) = pull_back(lambda a: local_response_norm(a, **constants), a, g)[1]
    exact = exact_lrn_gradient(a.astype(np.float64), g.astype(np.float64), **constants)
    np.testing.assert_allclose(grad, exact, rtol=1e-5, atol=1e-6 * np.abs(exact).max())


def test_the_gradients_reference_agrees_with_finite_differences():
    a, g = draw((2, 6), seed=2).astype(np.float64), draw((2, 6), 1.0, seed=3).astype(np.float64)
    step = 1e-4
    for index in np.ndindex(a.shape):
        moved = np.zeros(a.shape)
        moved[index] = step
        rise = (g * (exact_lrn(a + moved, **PAPER) - exact_lrn(a - moved, **PAPER))).sum()
        expected = exact_lrn_gradient(a, g, **PAPER)[index]
        np.testing.assert_allclose(rise / (2 * step), expected, rtol=1e-6, atol=1e-9)


def test_lrn_defaults_are_the_papers():
    a = draw((3, 11))
    np.testing.assert_array_equal(local_response_norm(a), local_response_norm(a, **PAPER))


def test_lrn_of_bfloat16_is_the_float32_result_rounded():
    a = jnp.asarray(draw((5, 4, 48)), jnp.bfloat16)
    b = local_response_norm(a, **PAPER)
    assert b.dtype == jnp.bfloat16
    exact = exact_lrn(np.asarray(a, np.float64), **PAPER)
    rounded = jnp.asarray(exact, jnp.float32).astype(jnp.bfloat16)
    assert (b == rounded).mean() > 0.99  # a value between two bfloat16 may go either way
    np.testing.assert_allclose(np.asarray(b, np.float64), exact, rtol=2**-8)
    grad = jax.grad(lambda a: local_response_norm(a, **PAPER).astype(jnp.float32).sum())(a)
    assert grad.dtype == jnp.bfloat16


def test_lrn_under_jit_and_vmap():
    a = draw((4, 3, 10))
    exact = exact_lrn(a.astype(np.float64), **PAPER)
    for transformed in (jax.jit(local_response_norm), jax.vmap(local_response_norm)):
        np.testing.assert_allclose(transformed(jnp.asarray(a)), exact, rtol=3e-6)
    grads = jax.jit(jax.vmap(jax.grad(lambda a: local_response_norm(a).sum())))(jnp.asarray(a))
    exact = exact_lrn_gradient(a.astype(np.float64), np.ones(a.shape), **PAPER)
    np.testing.assert_allclose(grads, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [4, 0, -1])
def test_lrn_refuses_windows_without_a_middle(n):
    with pytest.raises(ValueError, match=f"odd number of channels; got {n}"):
        local_response_norm(jnp.ones((2, 8)), n=n)


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
    out = ((size[0] - window) // stride + 1, (size[1] - window) // stride + 1)
    g = np.random.default_rng(1).integers(-8, 8, (2, *out, 3)).astype(np.float32)
    y, (actual,) = pull_back(lambda x: max_pool(x, window=window, stride=stride), x, g)
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
    grad = jax.grad(lambda x: max_pool(x).sum())(x)
    np.testing.assert_allclose(grad.sum(), 1, rtol=1e-6)
    assert (grad > 0).all()


def test_max_pool_keeps_bfloat16():
    x = jnp.arange(25, dtype=jnp.bfloat16).reshape(1, 5, 5, 1)
    y = max_pool(x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y[0, :, :, 0].astype(jnp.float32), [[12, 14], [22, 24]])


def test_a_window_that_does_not_fit():
    with pytest.raises(ValueError, match="window of 3 does not fit in 2 pixels"):
        max_pool(jnp.ones((1, 5, 2, 1)))


SPATIAL = [
    {"n": 5, "k": 1.0, "alpha": 1e-3, "beta": 0.75},  # layers-145.cfg: cnorm2
    {"n": 3, "k": 2.0, "alpha": 5e-5, "beta": 0.5},
    {"n": 9, "k": 1.0, "alpha": 1e-3, "beta": 0.75},  # a window larger than the image
]


def exact_spatial_norm(a, n, k, alpha, beta):
    """The program's sum over n x n pixels of one channel, 0 outside, divided by n squared."""
    padded = np.pad(a.astype(np.float64), ((0, 0), (n // 2, n // 2), (n // 2, n // 2), (0, 0)))
    b = np.empty(a.shape, np.float64)
    for y in range(a.shape[1]):
        for x in range(a.shape[2]):
            total = (padded[:, y : y + n, x : x + n] ** 2).sum((1, 2))
            b[:, y, x] = a[:, y, x] / (k + alpha / n**2 * total) ** beta
    return b


@pytest.mark.parametrize("constants", SPATIAL)
def test_spatial_norm_and_its_gradient(constants):
    a, g = draw((2, 6, 7, 3)), draw((2, 6, 7, 3), 1.0, seed=1)
    y, (grad,) = pull_back(lambda x: spatial_response_norm(x, **constants), a, g)
    expected = exact_spatial_norm(a, **constants)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    # Along a random direction, by central differences in float64.
    direction = np.random.default_rng(2).standard_normal(a.shape)
    step = 1e-4
    sides = [exact_spatial_norm(a + s * step * direction, **constants) for s in (1, -1)]
    slope = ((sides[0] - sides[1]) * g).sum() / (2 * step)
    along = (np.asarray(grad, np.float64) * direction).sum()
    np.testing.assert_allclose(along, slope, rtol=2e-5)


def test_spatial_norm_refuses_an_even_window():
    with pytest.raises(ValueError, match="odd number of pixels; got 4"):
        spatial_response_norm(jnp.ones((1, 5, 5, 2)), n=4)


@pytest.mark.parametrize(
    ("size", "window", "stride", "floor", "ceil"),
    [(55, 3, 2, 27, 27), (55, 2, 2, 27, 28), (11, 2, 2, 5, 6), (10, 3, 3, 3, 4), (3, 3, 2, 1, 1)],
)
def test_a_last_patch_that_overhangs_counts_or_not(size, window, stride, floor, ceil):
    x = draw((2, size, size, 3), seed=size)
    for rounding, count in ((False, floor), (True, ceil)):
        y = max_pool(jnp.asarray(x), window=window, stride=stride, ceil=rounding)
        assert y.shape == (2, count, count, 3)
        windows = [slice(i * stride, i * stride + window) for i in range(count)]
        expected = [[x[:, rows, columns].max((1, 2)) for columns in windows] for rows in windows]
        np.testing.assert_array_equal(y, np.transpose(expected, (2, 0, 1, 3)))
        g = np.ones(y.shape, np.float32)
        pool = functools.partial(max_pool, window=window, stride=stride, ceil=rounding)
        _, (grad,) = pull_back(pool, x, g)
        assert np.isfinite(grad).all() and grad.sum() == pytest.approx(y.size)
