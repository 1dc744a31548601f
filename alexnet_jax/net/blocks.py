"""The blocks of a net: products with learned weights, each followed by its operations."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import operations
from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.convolution import convolved
from alexnet_jax.net.initial_values import Initializer
from alexnet_jax.net.layers import Call, Columns, Convolution, Linear
from alexnet_jax.net.pooling import max_pool

IMAGE_CHANNELS = 3
Shape = tuple[int, ...]  # of one column: (H, W, channels) or (units,)


class Block(nnx.Module):
    """A convolution or matrix product for each column, and the operations that follow it.

    Attributes:
      name: conv1, ..., fc7.
      flattens: whether it is the first fully connected layer, which reads pixels as a vector.
      crosses: whether its product reads all columns.
      product: None where the layer is dropped (model.drop_layers).
      max_pool: the first operation where that is a max pool, else None.
      names: of the operations' activations: relu1, norm1, pool1.
      operations: what follows the product, in order.
      shape: of one column's output.
    """

    def __init__(self, arch: Architecture, layer: Layer, shape: Shape, initializer: Initializer):
        self.name = layer.name
        self.flattens = not layer.kernel and len(shape) == 3
        self.crosses = arch.crosses(layer)
        if self.flattens:
            shape = (math.prod(shape),)
        product = None
        if not layer.identity:
            inputs = shape[-1] * (arch.columns if self.crosses else 1)
            product = _product(arch, layer, inputs, initializer)
            shape = (*_convolved(arch, layer, shape[:-1]), arch.features(layer.name))
        self.product = product
        self.max_pool = None
        if layer.then[:1] == ("pool",) and arch.pool_of(layer).kind == "max":
            self.max_pool = functools.partial(max_pool, pool=arch.pool_of(layer))
        self.names = tuple(arch.activation_name(layer, kind) for kind in layer.then)
        built = []
        for kind, name in zip(layer.then, self.names, strict=True):
            if kind == "pool":
                shape = _pooled(arch, layer, shape)
            built.append(operations.build(kind, name, arch, layer, shape[-1]))
        self.operations = nnx.List(built)
        self.shape = shape

    def __call__(
        self, xs: Any, call: Call, activations: Sequence[str]
    ) -> tuple[Columns, dict[str, Array]]:
        """Return the block's output, and those of the named activations that it has.

        Args:
          xs: (B, ..., channels) of each column that is here, or one array that all columns read.
          call: what the operations need to know.
          activations: names of activations to return, each (columns here, B, ...).
        """
        kept: dict[str, Array] = {}

        def keep(name: str, ys: Columns) -> Columns:
            if name in activations:
                kept[name] = jnp.stack(ys)
            return ys

        if self.flattens:
            xs = [x.reshape(x.shape[0], -1) for x in xs]  # (B, 6, 6, 128) -> (B, 4608)
        if self.crosses:
            xs = call.exchange(xs)  # columns of (B, ..., C) -> (B, ..., columns * C)
        rest = list(zip(self.names, self.operations, strict=True))
        if self.max_pool and isinstance(self.product, Convolution) and self.name not in activations:
            # A maximum commutes with adding the bias, which then has a quarter of the pixels.
            name, _ = rest.pop(0)
            xs = keep(name, self.product(xs, jax.named_scope(name)(self.max_pool)))
        elif self.product is not None:
            xs = keep(self.name, self.product(xs))
        for name, operation in rest:
            with jax.named_scope(name):  # for profiles
                xs = keep(name, operation(xs, call))
        return xs, kept


def blocks_of(arch: Architecture, initializer: Initializer) -> list[Block]:
    """Return the blocks of a net: all layers but the last, fc8."""
    blocks: list[Block] = []
    shape: Shape = (arch.image_size, arch.image_size, IMAGE_CHANNELS)
    for layer in arch.layers[:-1]:
        blocks.append(Block(arch, layer, shape, initializer))
        shape = blocks[-1].shape
    return blocks


def _product(
    arch: Architecture, layer: Layer, inputs: int, initializer: Initializer
) -> Convolution | Linear:
    """Return the product of a layer with this number of input channels or units."""
    outputs = arch.features(layer.name)
    if not layer.kernel:
        return Linear(layer.name, (arch.columns, inputs, outputs), initializer)
    shape = (arch.columns, layer.kernel, layer.kernel, inputs, outputs)
    window: Any = {"stride": layer.stride, "padding": layer.padding, "ceil": layer.ceil}
    return Convolution(layer.name, shape, initializer, **window)


def _convolved(arch: Architecture, layer: Layer, sides: Shape) -> Shape:
    """Return the pixels of each side after a convolution; of a vector, nothing."""
    window = (layer.kernel, layer.stride, layer.padding, layer.ceil)
    left = tuple(convolved(side, *window) for side in sides)
    if min(left, default=1) < 1:
        raise ConfigError(
            f"{layer.name}'s kernel of {layer.kernel} does not fit in the {min(sides)} pixels that "
            f"are left of model.image_size={arch.image_size}: take larger images, or another arch"
        )
    return left


def _pooled(arch: Architecture, layer: Layer, shape: Shape) -> Shape:
    """Return the shape of one column after pooling."""
    pool = arch.pool_of(layer)
    if min(shape[:2]) < pool.window:
        raise ConfigError(
            f"model.pool.window={pool.window} does not fit in the {min(shape[:2])} pixels that "
            f"{layer.name} leaves of model.image_size={arch.image_size}: take larger images, or a "
            "smaller window or stride"
        )
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    return jax.eval_shape(lambda x: operations.POOLS[pool.kind](x, pool), x).shape[1:]
