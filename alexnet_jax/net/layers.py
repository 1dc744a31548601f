"""Layers over columns: every parameter of a column has the column as its first axis.

Inside `jax.shard_map` a layer holds the columns of one device (one of two, or both), so the first
axis of its parameters has that many entries. The Python loop over columns keeps each
convolution dense: grouped convolutions are 2 to 6 times slower on CPU, and the partitioner
replicates them.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from alexnet_jax.net.convolution import conv2d
from alexnet_jax.net.initial_values import Initializer

Columns = list[Array]


@dataclasses.dataclass(frozen=True)
class Call:
    """What an operation may need to know of the forward pass."""

    train: bool
    dropout_key: Array | None  # typed key, shape ()
    examples: Array  # indices of the images in the global batch, (B,) int32
    data_axis: str | None  # mesh axis of the batch; None: the whole batch is here
    columns: Sequence[int | Array]  # indices of the columns that are here
    exchange: Callable[[Columns], Array]  # joins all columns along channels


class Operation(nnx.Module):
    """What may follow a product. The first axis of its parameters and statistics is the column."""

    def __call__(self, xs: Columns, call: Call) -> Columns:
        """Return the columns of this device, each (B, H, W, channels) or (B, units)."""
        raise NotImplementedError


class Convolution(nnx.Module):
    """A convolution for each column. kernel: (columns, kh, kw, in, out); bias: (columns, out)."""

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: Initializer,
        *,
        stride: int,
        padding: int,
        ceil: bool,
    ):
        self.kernel, self.bias = initializer(name, shape, (shape[0], shape[-1]))
        self.stride, self.padding, self.ceil = stride, padding, ceil

    def __call__(
        self, xs: Columns | Array, pool: Callable[[Array], Array] = lambda y: y
    ) -> Columns:
        """Convolve each column with its kernel: (B, H, W, in) -> (B, H', W', out) of each.

        A list holds one input for each column. An array is read by all columns: it is convolved
        once, with their kernels joined along `out`, and the output is split. In training on a CPU
        the forward pass is still one convolution for each column, so that one and two devices give
        the same bits.

        `pool` is applied before the bias, with which a maximum commutes.
        """
        kernel, bias = self.kernel[...], self.bias[...]
        if isinstance(xs, list):
            kernels = kernel.astype(xs[0].dtype)
            ys = [self._conv(x, k) for x, k in zip(xs, kernels, strict=True)]
            return _biased(list(map(pool, ys)), bias)
        kernel = jnp.moveaxis(kernel.astype(xs.dtype), 0, 3)  # (kh, kw, in, columns, out)
        y = self._conv(xs, kernel.reshape(*kernel.shape[:3], -1), parts=len(bias))
        return _biased(list(map(pool, jnp.split(y, len(bias), axis=-1))), bias)

    def _conv(self, x: Array, kernel: Array, parts: int = 1) -> Array:
        stride, padding, ceil = self.stride, self.padding, self.ceil
        return conv2d(x, kernel, stride=stride, padding=padding, ceil=ceil, parts=parts)


class Linear(nnx.Module):
    """A fully connected layer for each column. kernel: (columns, in, out); bias: (columns, out)."""

    def __init__(self, name: str, shape: tuple[int, ...], initializer: Initializer):
        self.kernel, self.bias = initializer(name, shape, (shape[0], shape[-1]))

    def __call__(self, xs: Columns | Array) -> Columns:
        """Multiply each column, or an array that all read, by its matrix: (B, in) -> (B, out)."""
        kernel, bias = self.kernel[...], self.bias[...]
        xs = xs if isinstance(xs, list) else [xs] * len(bias)
        return _biased(list(_products(xs, kernel)), bias)


class SummedLinear(nnx.Module):
    """The last layer: the sum of one product for each column.

    kernel: (columns, in, out); bias: (out,), since the sum belongs to no column. It computes in
    float32 whatever the input is, since different classes may have equal logits in bfloat16.
    """

    def __init__(self, name: str, shape: tuple[int, ...], initializer: Initializer):
        self.kernel, self.bias = initializer(name, shape, shape[-1:])

    def __call__(self, xs: Columns, axis: str | None) -> Array:
        """(B, ...) of each local column -> (B, out) float32, summed over the mesh axis too."""
        wide = [x.reshape(x.shape[0], -1).astype(jnp.float32) for x in xs]
        total = functools.reduce(jnp.add, _products(wide, self.kernel[...]))
        return _add_bias(total if axis is None else lax.psum(total, axis), self.bias[...])


def _products(xs: Columns, kernel: Array) -> Array:
    """Return one product for each column, batched: a slice of a large kernel would be a copy.

    (B, in) of each column, (columns, in, out) -> (columns, B, out).
    """
    x = jnp.stack(xs)
    return lax.dot_general(x, kernel.astype(x.dtype), (((2,), (1,)), ((0,), (0,))))


def _biased(xs: Columns, bias: Array) -> Columns:
    return [_add_bias(x, b) for x, b in zip(xs, bias, strict=True)]


def _add_bias(x: Array, bias: Array) -> Array:
    """Add a bias to the last axis; its gradient is summed over all other axes in float32."""
    return x + jnp.broadcast_to(bias, x.shape).astype(x.dtype)
