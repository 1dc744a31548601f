"""Batch, layer and group normalization of each column: the alternatives to LRN.

`scale` and `bias` are (columns, C). The arithmetic is float32.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.layers import Call, Columns, Operation

EPSILON = 1e-5
Moments = tuple[Array, Array]  # mean and variance, to be broadcast against (B, H, W, C)


class ChannelNorm(Operation):
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, with the moments of a subclass."""

    def __init__(self, arch: Architecture, channels: int):
        self.scale = nnx.Param(jnp.ones((arch.columns, channels), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((arch.columns, channels), jnp.float32))

    def moments(self, xs: Columns, call: Call) -> list[Moments]:
        """Return the moments of each column, (B, H, W, C) float32."""
        raise NotImplementedError

    def __call__(self, xs: Columns, call: Call) -> Columns:
        """Normalize each column, (B, H, W, C)."""
        moments, ys = self.moments([x.astype(jnp.float32) for x in xs], call), []
        for x, (mean, var), scale, bias in zip(
            xs, moments, self.scale[...], self.bias[...], strict=True
        ):
            y = (x.astype(jnp.float32) - mean) * lax.rsqrt(var + EPSILON)
            ys.append((y * _row(scale) + _row(bias)).astype(x.dtype))
        return ys


class BatchNorm(ChannelNorm):
    """Over the whole global batch in training; at test with running statistics, (columns, C)."""

    MOMENTUM = 0.9

    def __init__(self, arch: Architecture, channels: int):
        super().__init__(arch, channels)
        self.mean = nnx.BatchStat(jnp.zeros((arch.columns, channels), jnp.float32))
        self.var = nnx.BatchStat(jnp.ones((arch.columns, channels), jnp.float32))

    def moments(self, xs: Columns, call: Call) -> list[Moments]:
        """Return the moments of each channel; in training, update the running statistics."""
        if not call.train:
            stats = zip(self.mean[...], self.var[...], strict=True)
            return [(_row(mean), _row(var)) for mean, var in stats]
        means, variances = [], []
        for x in xs:
            mean, square = x.mean((0, 1, 2)), (x * x).mean((0, 1, 2))
            if call.data_axis is not None:
                mean, square = lax.pmean((mean, square), call.data_axis)
            means.append(mean)
            variances.append(jax.nn.relu(square - mean * mean))  # rounding can make it negative
        for stat, values in ((self.mean, means), (self.var, variances)):
            batch = lax.stop_gradient(jnp.stack(values))
            stat[...] = self.MOMENTUM * stat[...] + (1 - self.MOMENTUM) * batch
        return [(_row(mean), _row(var)) for mean, var in zip(means, variances, strict=True)]


class LayerNorm(ChannelNorm):
    """Over the channels of each pixel."""

    def moments(self, xs: Columns, call: Call) -> list[Moments]:
        """Return the moments of each pixel."""
        return [(x.mean(-1, keepdims=True), x.var(-1, keepdims=True)) for x in xs]


class GroupNorm(ChannelNorm):
    """Over the pixels and channels of each group of channels, up to 16 groups of one size."""

    GROUPS = 16

    def moments(self, xs: Columns, call: Call) -> list[Moments]:
        """Return the moments of each channel's group."""
        b, h, w, channels = xs[0].shape
        most = min(self.GROUPS, channels)
        groups = next(count for count in range(most, 0, -1) if channels % count == 0)
        size = channels // groups

        def moments(x: Array) -> Moments:
            grouped = x.reshape(b, h, w, groups, size)
            mean, var = (f(grouped, axis=(1, 2, 4), keepdims=True) for f in (jnp.mean, jnp.var))
            return of_channels(mean), of_channels(var)

        def of_channels(values: Array) -> Array:  # (B, 1, 1, groups, 1) -> (B, 1, 1, C)
            return jnp.broadcast_to(values, (b, 1, 1, groups, size)).reshape(b, 1, 1, channels)

        return [moments(x) for x in xs]


def _row(values: Array) -> Array:
    return values.reshape(1, 1, 1, -1)
