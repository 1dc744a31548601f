"""Response normalization against loops in float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.net.response_norm import local_response_norm, spatial_response_norm
from tests.support.narrow_nets import draw_activations as draw
from tests.support.narrow_nets import fast_jit, pull_back

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


@pytest.mark.parametrize("size", [3e17, 1e18, 3e18])
@pytest.mark.parametrize("norm", [local_response_norm, spatial_response_norm])
def test_the_gradient_of_huge_activations_does_not_underflow(norm, size):
    a = draw((2, 6, 7, 5)) * np.float32(size / 100)
    a, g = np.clip(a, -size, size).astype(np.float32), draw((2, 6, 7, 5), 1.0, seed=1)
    (grad,) = pull_back(norm, a, g)[1]
    with jax.enable_x64(True):
        (exact,) = jax.vjp(norm, jnp.asarray(a, jnp.float64))[1](jnp.asarray(g, jnp.float64))
        exact = np.asarray(exact)
    np.testing.assert_allclose(grad, exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("norm", [local_response_norm, spatial_response_norm])
def test_where_squares_overflow_the_norm_is_0_as_its_limit(norm, dtype):
    """At 1e30 it is about 1e-12, and its slope 1e-42."""
    a = jnp.asarray(np.sign(draw((2, 6, 7, 5))) * np.float32(1e30), dtype)
    y, (grad,) = pull_back(norm, a, jnp.ones_like(a))
    assert not np.asarray(y, np.float32).any() and not np.asarray(grad, np.float32).any()


@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0])
@pytest.mark.parametrize("norm", [local_response_norm, spatial_response_norm])
def test_with_k_0_a_window_of_zeros_gives_0_and_so_does_its_gradient(norm, beta):
    a = draw((1, 9, 9, 12))
    a[:, :6, :, :8] = 0
    y, (grad,) = pull_back(lambda x: norm(x, k=0.0, beta=beta), a, np.ones_like(a))
    assert np.isfinite(y).all() and np.isfinite(grad).all()
    assert not y[a == 0].any()
    assert not grad[:, :3, :, :4].any()  # all windows that they are in are zeros
    others = y[:, 6:, :, 8:]
    assert others.any() and (np.sign(others) == np.sign(a[:, 6:, :, 8:])).all()


@pytest.mark.parametrize("beta", [0.5, 0.75])
@pytest.mark.parametrize(("k", "size"), [(0.0, 1e-10), (0.0, 1e-5), (0.0, 1e16), (1e-30, 1e-7)])
def test_the_gradient_of_tiny_activations_does_not_overflow_where_k_is_0(k, size, beta):
    constants = {**PAPER, "k": k, "beta": beta}
    a, g = draw((3, 12)) * np.float32(size / 100), draw((3, 12), 1.0, seed=1)
    (grad,) = pull_back(lambda a: local_response_norm(a, **constants), a, g)[1]
    exact = exact_lrn_gradient(a.astype(np.float64), g.astype(np.float64), **constants)
    np.testing.assert_allclose(grad, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


def test_a_k_that_float32_takes_for_0_counts_as_0():
    y, (grad,) = pull_back(lambda x: local_response_norm(x, k=1e-40), *2 * (np.zeros((2, 7)),))
    assert not y.any() and not np.asarray(grad).any()
