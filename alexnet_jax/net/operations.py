"""What may follow a product: activations, normalizations, pooling, dropout.

To add one, write a function and enter it in ACTIVATIONS, NORMS or POOLS; its name is then a value
of model.activation, model.norm or model.pool.kind (docs/extend.md).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from alexnet_jax.net import architecture, pooling, response_norm
from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.layers import Call, Columns, Operation
from alexnet_jax.net.norms import BatchNorm, GroupNorm, LayerNorm
from alexnet_jax.system.random_streams import per_example, stream


class Each(Operation):
    """A function of an array, applied to each column separately."""

    def __init__(self, function: Callable[[Array], Array]):
        self.function = function

    def __call__(self, xs: Columns, call: Call) -> Columns:
        """Return the function of each column."""
        return [self.function(x) for x in xs]


class Across(Operation):
    """A function of all columns' channels together; each column keeps its part of the result."""

    def __init__(self, function: Callable[[Array], Array]):
        self.function = function

    def __call__(self, xs: Columns, call: Call) -> Columns:
        """Return this device's columns of the result."""
        whole, channels = self.function(call.exchange(xs)), xs[0].shape[-1]
        return [
            lax.dynamic_slice_in_dim(whole, column * channels, channels, axis=whole.ndim - 1)
            for column in call.columns
        ]


class Dropout(Operation):
    """Dropout (paper 4.2). `name` names its random stream."""

    def __init__(self, name: str, dropout: architecture.Dropout):
        self.name, self.rate, self.inverted = name, dropout.rate, dropout.inverted

    def __call__(self, xs: Columns, call: Call) -> Columns:
        """Drop units in training. Each image and column has a mask that depends on the key only."""
        keep = 1 - self.rate
        if not self.rate or (self.inverted and not call.train):
            return xs
        if not call.train:  # the paper halves at test
            return [x * keep for x in xs]
        if call.dropout_key is None:
            raise ValueError("training with dropout needs dropout_key")
        masked = []
        for column, x in zip(call.columns, xs, strict=True):
            keys = per_example(stream(call.dropout_key, self.name, column), call.examples)
            bernoulli = functools.partial(jax.random.bernoulli, p=keep, shape=x.shape[1:])
            masked.append(jnp.where(jax.vmap(bernoulli)(keys), x, jnp.zeros_like(x)))
        return [x / keep for x in masked] if self.inverted else masked


def lrn(arch: Architecture, channels: int) -> Operation:
    """Return local response normalization (paper 3.3) with the constants of arch.lrn."""
    lrn = arch.lrn
    if not lrn.enabled:
        return none(arch, channels)
    alpha = lrn.alpha / lrn.n if lrn.alpha_over_n else lrn.alpha
    norm = functools.partial(
        response_norm.local_response_norm, n=lrn.n, k=lrn.k, alpha=alpha, beta=lrn.beta
    )
    return Across(norm) if lrn.scope == "layer" and arch.columns > 1 else Each(norm)


def spatial_norm(arch: Architecture, channels: int) -> Operation:
    """Return the released program's second normalization (layers-145.cfg: cnorm2)."""
    norm = arch.spatial_norm
    if not norm.enabled:
        return none(arch, channels)
    return Each(
        functools.partial(
            response_norm.spatial_response_norm,
            n=norm.n,
            k=norm.k,
            alpha=norm.alpha,
            beta=norm.beta,
        )
    )


def none(arch: Architecture, channels: int) -> Operation:
    """Return the identity."""
    return Each(lambda x: x)


def max_pool(x: Array, pool: architecture.Pool) -> Array:
    """Return the largest values of overlapping windows (paper 3.4)."""
    return pooling.max_pool(x, window=pool.window, stride=pool.stride, ceil=pool.ceil)


# A function of one column's values: (B, H, W, channels) or (B, units) -> the same shape.
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
}

# (architecture, channels of a column) -> an operation: `Each` of a function, or a class if it has
# parameters or statistics.
NORMS: dict[str, Callable[[Architecture, int], Operation]] = {
    "lrn": lrn,
    "batch": BatchNorm,
    "layer": LayerNorm,
    "group": GroupNorm,
    "none": none,
}


def avg_pool(x: Array, pool: architecture.Pool) -> Array:
    """Return the means of windows (cuda-convnet's layers-18pct.cfg)."""
    return pooling.avg_pool(x, window=pool.window, stride=pool.stride, ceil=pool.ceil)


# A function of one column's values: (B, H, W, channels), pool -> (B, H', W', channels).
POOLS: dict[str, Callable[[Array, architecture.Pool], Array]] = {"max": max_pool, "avg": avg_pool}


def build(kind: str, name: str, arch: Architecture, layer: Layer, channels: int) -> Operation:
    """Return an operation of a net.

    Args:
      kind: an entry of Layer.then: activation, norm, spatial_norm, pool or dropout.
      name: that of the activation which it gives, such as "dropout6".
      arch: the net.
      layer: which it follows.
      channels: of one column.
    """
    if kind == "activation":
        return Each(ACTIVATIONS[arch.activation])
    if kind == "norm":
        return NORMS[arch.norm](arch, channels)
    if kind == "spatial_norm":
        return spatial_norm(arch, channels)
    if kind == "pool":
        pool = arch.pool_of(layer)
        return Each(lambda x: POOLS[pool.kind](x, pool))
    return Dropout(name, arch.dropout)
