"""What may follow a product: activations, normalizations, pooling, dropout.

To add one, write a function and enter it in ACTIVATIONS, NORMS or POOLS; its name is then a value
of model.activation, model.norm or model.pool.kind (docs/extend.md).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from alexnet_jax.net import response_norm
from alexnet_jax.net.architecture import Architecture, Layer, Pool
from alexnet_jax.net.dropout import Dropout
from alexnet_jax.net.layers import Call, Columns, Operation
from alexnet_jax.net.norms import BatchNorm, GroupNorm, LayerNorm
from alexnet_jax.net.pooling import avg_pool, max_pool


class PerColumn(Operation):
    """A function of an array, applied to each column separately."""

    def __init__(self, function: Callable[[Array], Array]):
        self.function = function

    def __call__(self, xs: Columns, call: Call) -> Columns:
        """Return the function of each column."""
        return [self.function(x) for x in xs]


class AcrossColumns(PerColumn):
    """A function of all columns' channels together; each column keeps its part of the result."""

    def __call__(self, xs: Columns, call: Call) -> Columns:
        """Return this device's columns of the result."""
        whole, channels = self.function(call.exchange(xs)), xs[0].shape[-1]
        return [
            lax.dynamic_slice_in_dim(whole, column * channels, channels, axis=whole.ndim - 1)
            for column in call.columns
        ]


def lrn(arch: Architecture, channels: int) -> Operation:
    """Return local response normalization (paper 3.3) with the constants of arch.lrn."""
    lrn = arch.lrn
    if not lrn.enabled:
        return none(arch, channels)
    alpha = lrn.alpha / lrn.n if lrn.alpha_over_n else lrn.alpha
    norm = functools.partial(
        response_norm.local_response_norm, n=lrn.n, k=lrn.k, alpha=alpha, beta=lrn.beta
    )
    return AcrossColumns(norm) if lrn.scope == "layer" and arch.columns > 1 else PerColumn(norm)


def spatial_norm(arch: Architecture, channels: int) -> Operation:
    """Return the released program's second normalization (layers-145.cfg: cnorm2)."""
    norm = arch.spatial_norm
    if not norm.enabled:
        return none(arch, channels)
    return PerColumn(
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
    return PerColumn(lambda x: x)


# A function of one column's values: (B, H, W, channels) or (B, units) -> the same shape.
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
}

# (architecture, channels of a column) -> an operation: `PerColumn` of a function, or a class if it
# has parameters or statistics.
NORMS: dict[str, Callable[[Architecture, int], Operation]] = {
    "lrn": lrn,
    "batch": BatchNorm,
    "layer": LayerNorm,
    "group": GroupNorm,
    "none": none,
}


# A function of one column's values: (B, H, W, channels), pool -> (B, H', W', channels).
POOLS: dict[str, Callable[[Array, Pool], Array]] = {"max": max_pool, "avg": avg_pool}


def build(kind: str, name: str, arch: Architecture, layer: Layer, channels: int) -> Operation:
    """Return an operation of a net.

    Args:
      kind: an entry of Layer.then: activation, norm, spatial_norm, pool or dropout.
      name: that of the activation which it gives, such as "dropout6".
      layer: which it follows.
      channels: of one column.
    """
    if kind == "activation":
        return PerColumn(ACTIVATIONS[arch.activation])
    if kind == "norm":
        return NORMS[arch.norm](arch, channels)
    if kind == "spatial_norm":
        return spatial_norm(arch, channels)
    if kind == "pool":
        pool = arch.pool_of(layer)
        return PerColumn(lambda x: POOLS[pool.kind](x, pool))
    return Dropout(name, arch.dropout)
