"""convolution against a loop over output pixels in float64 NumPy."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.net.convolution import _deep, _pads, _plain, conv2d, convolved
from tests.support.narrow_nets import fast_jit

# batch, (H, W), window, Cin, Cout, stride, padding; overhang is what the ceil adds
CASES = [
    (2, (9, 9), (3, 3), 4, 5, 1, 1),
    (3, (8, 11), (5, 5), 3, 7, 1, 2),
    (5, (7, 6), (3, 2), 2, 3, 1, 0),
    (7, (12, 13), (3, 3), 2, 4, 2, 0),  # 12: overhangs by 1; 13: none
    (3, (10, 9), (5, 4), 3, 2, 2, 1),
    (2, (14, 15), (5, 5), 2, 3, 2, 2),
    (5, (32, 35), (11, 11), 3, 6, 4, 0),  # the paper's conv1, small: 32 overhangs by 3, 35 none
    (2, (29, 30), (11, 11), 3, 4, 4, 2),
    (1, (18, 21), (3, 5), 2, 3, 4, 1),  # a window narrower than its stride
]


def windows(x, kernel, stride, padding):
    """Pad with zeros as far as the windows go; yield each output pixel and its slices."""
    out = [
        1 + math.ceil((size + 2 * padding - window) / stride)
        for size, window in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    ]
    far = [(o - 1) * stride + w for o, w in zip(out, kernel.shape[:2], strict=True)]
    far = [max(f, s + 2 * padding) for f, s in zip(far, x.shape[1:3], strict=True)]
    padded = np.zeros((x.shape[0], *far, x.shape[3]))
    inside = tuple(slice(padding, padding + size) for size in x.shape[1:3])
    padded[(slice(None), *inside)] = x
    spots = [
        (i, j, slice(i * stride, i * stride + kernel.shape[0]),
         slice(j * stride, j * stride + kernel.shape[1]))
        for i in range(out[0])
        for j in range(out[1])
    ]  # fmt: skip
    return out, padded, inside, spots


def exact(x, kernel, g, stride, padding):
    """Return output, input gradient and kernel gradient; g None: only the output's shape."""
    out, padded, inside, spots = windows(x, kernel, stride, padding)
    y = np.zeros((x.shape[0], *out, kernel.shape[3]))
    dx, dk = np.zeros(padded.shape), np.zeros(kernel.shape)
    for i, j, rows, columns in spots:
        patch = padded[:, rows, columns]
        y[:, i, j] = np.einsum("bhwc,hwco->bo", patch, kernel)
        dk += np.einsum("bhwc,bo->hwco", patch, g[:, i, j])
        dx[:, rows, columns] += np.einsum("hwco,bo->bhwc", kernel, g[:, i, j])
    return y, dx[(slice(None), *inside)], dk


def draw(case):
    batch, size, window, cin, cout, stride, padding = case
    rng = np.random.default_rng(sum(size))
    out = [1 + math.ceil((s + 2 * padding - w) / stride) for s, w in zip(size, window, strict=True)]
    shapes = ((batch, *size, cin), (*window, cin, cout), (batch, *out, cout))
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


def close(actual, expected, tolerance=2e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def forward_and_back(case):
    """Return the compiled (x, kernel, g) -> output, input gradient, kernel gradient."""

    @fast_jit
    def run(x, kernel, g):
        y, backward = jax.vjp(
            lambda x, kernel: conv2d(x, kernel, stride=case[-2], padding=case[-1]), x, kernel
        )
        return y, *backward(g)

    return run


@pytest.mark.parametrize("case", CASES)
def test_output_and_both_gradients(case):
    x, kernel, g = draw(case)
    stride, padding = case[-2:]

    expected = exact(x, kernel, g.astype(np.float64), stride, padding)
    for actual, reference in zip(forward_and_back(case)(x, kernel, g), expected, strict=True):
        assert actual.shape == reference.shape and actual.dtype == jnp.float32
        close(actual, reference)


def test_rounded_down_the_overhanging_window_is_left_out():
    """torchvision's first layer: 224 + 2 x 2 zeros, 11x11, stride 4: 55, where up would give 56."""
    rng = np.random.default_rng(3)
    x, kernel = (
        rng.standard_normal(s).astype(np.float32) for s in ((2, 24, 24, 3), (11, 11, 3, 4))
    )
    g = rng.standard_normal((2, 5, 5, 4)).astype(np.float32)

    @fast_jit
    def run(x, kernel, g):
        def f(x, kernel):
            return conv2d(x, kernel, stride=4, padding=2, ceil=False)

        y, backward = jax.vjp(f, x, kernel)
        return y, *backward(g)

    assert convolved(224, 11, 4, 2, False) == 55 and convolved(224, 11, 4, 2, True) == 56
    # The same, of a picture that a window fits exactly: two zeros before, one after.
    wide = np.pad(x, ((0, 0), (2, 1), (2, 1), (0, 0)))
    y, dx, dkernel = exact(wide, kernel, g.astype(np.float64), 4, 0)
    for actual, expected in zip(run(x, kernel, g), (y, dx[:, 2:-1, 2:-1], dkernel), strict=True):
        assert actual.shape == expected.shape
        close(actual, expected)


@pytest.mark.parametrize("size", [224, 227])
def test_conv1_gives_55(size):
    shape = jax.eval_shape(
        lambda x, kernel: conv2d(x, kernel, stride=4, padding=0),
        jnp.ones((1, size, size, 3)),
        jnp.ones((11, 11, 3, 48)),
    ).shape
    assert shape == (1, 55, 55, 48)


def test_the_zeros_are_at_the_bottom_and_right():
    assert _pads(224, 11, 4, 0, True) == (0, 3)
    assert _pads(227, 11, 4, 0, True) == (0, 0)
    assert _pads(13, 3, 1, 1, True) == (1, 1)
    assert _pads(27, 5, 1, 2, True) == (2, 2)
    assert _pads(8, 3, 2, 1, True) == (1, 2)


@pytest.mark.parametrize("case", [CASES[4], CASES[6]])
def test_strides_as_channels_are_the_plain_convolution_in_float64(case):
    stride, padding = case[-2:]
    with jax.enable_x64(True):
        x, kernel, g = (jnp.asarray(a, jnp.float64) for a in draw(case))
        window = zip(x.shape[1:3], kernel.shape[:2], strict=True)
        pads = tuple(_pads(size, side, stride, padding, True) for size, side in window)

        def run(form):
            y, backward = jax.vjp(lambda x, kernel: form(x, kernel, stride, pads), x, kernel)
            return y, *backward(g)

        for ours, plain in zip(run(_deep), run(_plain), strict=True):
            assert ours.dtype == jnp.float64
            close(ours, plain, tolerance=1e-14)


@pytest.mark.parametrize("case", [CASES[0], CASES[6]])
def test_bfloat16_goes_in_and_comes_out(case):
    x, kernel, g = (jnp.asarray(a, jnp.bfloat16) for a in draw(case))
    stride, padding = case[-2:]

    wide = [np.asarray(a, np.float64) for a in (x, kernel, g)]
    expected = exact(*wide, stride, padding)
    for ours, reference in zip(forward_and_back(case)(x, kernel, g), expected, strict=True):
        assert ours.dtype == jnp.bfloat16
        close(np.asarray(ours, np.float64), reference, tolerance=2**-8)


def test_under_jit_and_vmap():
    x, kernel, g = draw(CASES[0])
    y, _, dk = exact(x, kernel, g.astype(np.float64), 1, 1)

    def run(x, kernel):
        return conv2d(x, kernel, stride=1, padding=1)

    close(jax.jit(run)(x, kernel), y)
    one = jax.vmap(lambda image, kernel: run(image[None], kernel)[0], in_axes=(0, None))
    close(one(jnp.asarray(x), jnp.asarray(kernel)), y)
    gradient = jax.jit(jax.grad(lambda kernel: jnp.vdot(one(jnp.asarray(x), kernel), g)))
    close(gradient(jnp.asarray(kernel)), dk)


def test_parts_have_the_bits_that_each_has_alone_and_the_same_gradients():
    """As a column that shares its device has those of one that does not."""
    x, kernel, g = draw((4, (67, 67), (11, 11), 3, 24, 4, 0))

    def run(parts):
        convolve = functools.partial(conv2d, stride=4, padding=0, parts=parts)
        training = fast_jit(lambda x, k: jax.vjp(convolve, x, k)[0])
        return training, fast_jit(lambda x, k, g: jax.vjp(convolve, x, k)[1](g))

    (together, of_parts), (alone, of_one) = run(2), run(1)
    both = together(x, kernel)
    for columns in (slice(0, 12), slice(12, 24)):
        expected = alone(x, kernel[..., columns])
        assert np.asarray(both[..., columns]).tobytes() == np.asarray(expected).tobytes()
    for actual, expected in zip(of_parts(x, kernel, g), of_one(x, kernel, g), strict=True):
        np.testing.assert_array_equal(actual, expected)
