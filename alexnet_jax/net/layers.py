"""Layers over columns: every parameter of a column has the column as its first axis.

Inside `jax.shard_map` a layer holds the columns of its own device (one of two, or both); its
parameters then have that many on their first axis. The Python loop over columns keeps each
convolution dense: grouped convolutions are 2 to 6 times slower on CPU, and the partitioner
replicates them.
"""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from alexnet_jax.net.architecture import Init
from alexnet_jax.net.convolution import conv2d
from alexnet_jax.system.random_streams import stream

Columns = list[Array]


class Initializer:
    """Draws the initial kernel and bias of a layer; each column has a random stream of its own."""

    def __init__(self, init: Init, key: Array):
        self.init, self.key = init, key

    def __call__(
        self, name: str, kernel: tuple[int, ...], bias: tuple[int, ...]
    ) -> tuple[nnx.Param, nnx.Param]:
        """Return parameters of these shapes, float32."""
        if self.init.form == "fan_in":
            fan_in = math.prod(kernel[1:-1]) * (1 if len(bias) == 2 else kernel[0])
            bound = 1 / math.sqrt(fan_in)
            draw = functools.partial(jax.random.uniform, minval=-bound, maxval=bound)
            weights = self._columns(draw, name, kernel)
            return nnx.Param(weights), nnx.Param(self._biases(draw, name, bias))
        weights = getattr(self.init.std, name) * self._columns(jax.random.normal, name, kernel)
        biases = jnp.full(bias, getattr(self.init.bias, name), jnp.float32)
        return nnx.Param(weights), nnx.Param(biases)

    def _columns(self, draw, name: str, shape: tuple[int, ...]) -> Array:
        return jnp.stack(
            [draw(stream(self.key, name, column), shape[1:]) for column in range(shape[0])]
        )

    def _biases(self, draw, name: str, shape: tuple[int, ...]) -> Array:
        if len(shape) == 1:  # of no column
            return draw(stream(self.key, f"{name}.bias"), shape)
        return self._columns(draw, f"{name}.bias", shape)


class Convolution(nnx.Module):
    """A convolution for each column. kernel: (columns, kh, kw, in, out); bias: (columns, out)."""

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        stride: int,
        padding: int,
        ceil: bool,
        draw: Initializer,
    ):
        self.kernel, self.bias = draw(name, shape, (shape[0], shape[-1]))
        self.stride, self.padding, self.ceil = stride, padding, ceil

    def of_own(self, xs: Columns) -> Columns:
        """Convolve each local column with its own kernel, (B, H, W, in) -> (B, H', W', out)."""
        kernels = self.kernel[...].astype(xs[0].dtype)
        ys = [self._conv(x, kernel) for x, kernel in zip(xs, kernels, strict=True)]
        return _biased(ys, self.bias[...])

    def of_shared(self, x: Array) -> Columns:
        """One dense convolution with all local columns' maps: x is read once, not once a column.

        On CPU only its gradients are: forward each column has a product of its own, of the same
        shape as where it is alone on a device, for the same bits.
        """
        columns = self.kernel.shape[0]
        kernel = jnp.moveaxis(self.kernel[...].astype(x.dtype), 0, 3)  # (kh, kw, in, columns, out)
        y = self._conv(x, kernel.reshape(*kernel.shape[:3], -1), columns)
        return _biased(jnp.split(y, columns, axis=-1), self.bias[...])

    def _conv(self, x: Array, kernel: Array, parts: int = 1) -> Array:
        stride, padding, ceil = self.stride, self.padding, self.ceil
        return conv2d(x, kernel, stride=stride, padding=padding, ceil=ceil, parts=parts)


class Matrix(nnx.Module):
    """A fully connected layer for each column. kernel: (columns, in, out); bias: (columns, out)."""

    def __init__(self, name: str, shape: tuple[int, ...], *, draw: Initializer):
        self.kernel, self.bias = draw(name, shape, (shape[0], shape[-1]))

    def of_own(self, xs: Columns) -> Columns:
        """Multiply each local column by its own matrix, (B, in) -> (B, out)."""
        return _biased(list(_products(xs, self.kernel[...])), self.bias[...])

    def of_shared(self, x: Array) -> Columns:
        """Multiply one input by the matrix of each local column."""
        return self.of_own([x] * self.kernel.shape[0])


class SummedMatrix(nnx.Module):
    """The last layer: each column's product with its own part of the input, added up.

    kernel: (columns, in, out); bias: (out,), since the sum belongs to no column. In float32
    whatever comes in: bfloat16 gives classes the same logit that are not alike.
    """

    def __init__(self, name: str, shape: tuple[int, ...], *, draw: Initializer):
        self.kernel, self.bias = draw(name, shape, shape[-1:])

    def __call__(self, xs: Columns, axis: str | None) -> Array:
        """(B, in) of each local column -> (B, out) float32, summed over the mesh axis too."""
        wide = [x.astype(jnp.float32) for x in xs]
        total = functools.reduce(jnp.add, _products(wide, self.kernel[...]))
        return _add_bias(total if axis is None else lax.psum(total, axis), self.bias[...])


def _products(xs: Columns, kernel: Array) -> Array:
    """One product a column, batched: a slice of a large kernel would be a copy of it.

    (B, in) of each column, (columns, in, out) -> (columns, B, out).
    """
    x = jnp.stack(xs)
    return lax.dot_general(x, kernel.astype(x.dtype), (((2,), (1,)), ((0,), (0,))))


def _biased(xs: Columns, bias: Array) -> Columns:
    return [_add_bias(x, b) for x, b in zip(xs, bias, strict=True)]


def _add_bias(x: Array, bias: Array) -> Array:
    """Add a row to the last axis. Its gradient, a sum over all places, is of float32."""
    return x + jnp.broadcast_to(bias, x.shape).astype(x.dtype)


class ChannelNorm(nnx.Module):
    """Batch, layer or group normalization of each column, the alternatives to LRN.

    scale, bias: (columns, C). Batch normalization keeps running statistics of shape (columns, C)
    with the momentum of common practice, and takes them over the whole global batch.
    """

    GROUPS = 16
    MOMENTUM = 0.9
    EPSILON = 1e-5

    def __init__(self, kind: str, columns: int, channels: int):
        self.kind = kind
        self.scale = nnx.Param(jnp.ones((columns, channels), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((columns, channels), jnp.float32))
        if kind == "batch":
            self.mean = nnx.BatchStat(jnp.zeros((columns, channels), jnp.float32))
            self.var = nnx.BatchStat(jnp.ones((columns, channels), jnp.float32))

    def __call__(self, xs: Columns, *, train: bool, data_axis: str | None) -> Columns:
        """Normalize each local column, (B, H, W, C), in float32."""
        moments = [
            self._moments(x.astype(jnp.float32), c, train, data_axis) for c, x in enumerate(xs)
        ]
        if self.kind == "batch" and train:
            self._remember(moments)
        outs = []
        for c, (x, (mean, var)) in enumerate(zip(xs, moments, strict=True)):
            y = (x.astype(jnp.float32) - mean) * lax.rsqrt(var + self.EPSILON)
            y = y * _row(self.scale[...][c], x) + _row(self.bias[...][c], x)
            outs.append(y.astype(x.dtype))
        return outs

    def _moments(self, x: Array, c: int, train: bool, data_axis: str | None):
        """Mean and variance, of a shape that broadcasts against x at full rank."""
        if self.kind == "batch":
            if not train:
                return _row(self.mean[...][c], x), _row(self.var[...][c], x)
            mean, square = x.mean((0, 1, 2)), (x * x).mean((0, 1, 2))
            if data_axis is not None:
                mean, square = lax.pmean((mean, square), data_axis)
            var = jax.nn.relu(square - mean * mean)  # rounding may leave less than nothing
            return _row(mean, x), _row(var, x)
        if self.kind == "layer":
            return x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        b, h, w, channels = x.shape
        groups = _divisor(channels, self.GROUPS)
        grouped = x.reshape(b, h, w, groups, channels // groups)
        mean, var = (f(grouped, axis=(1, 2, 4), keepdims=True) for f in (jnp.mean, jnp.var))
        spread = (b, 1, 1, groups, channels // groups)
        return tuple(jnp.broadcast_to(m, spread).reshape(b, 1, 1, channels) for m in (mean, var))

    def _remember(self, moments) -> None:
        for stat, values in zip((self.mean, self.var), zip(*moments, strict=True), strict=True):
            batch = jnp.stack([value.reshape(-1) for value in values])
            old = stat[...]
            stat[...] = self.MOMENTUM * old + (1 - self.MOMENTUM) * lax.stop_gradient(batch)


def _row(values: Array, like: Array) -> Array:
    return values.reshape((1,) * (like.ndim - 1) + (-1,))


def _divisor(channels: int, most: int) -> int:
    return next(g for g in range(min(most, channels), 0, -1) if channels % g == 0)
