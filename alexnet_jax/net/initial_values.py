"""Initial values: N(0, 0.01), biases 0 or 1 (paper 5), and those of the other programs."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from alexnet_jax.net.architecture import Init
from alexnet_jax.system.random_streams import stream


class Initializer:
    """Draws the initial kernel and bias of a layer (paper 5), each column from its own stream."""

    def __init__(self, init: Init, key: Array):
        self.init, self.key = init, key

    def __call__(
        self, name: str, kernel: tuple[int, ...], bias: tuple[int, ...]
    ) -> tuple[nnx.Param, nnx.Param]:
        """Return parameters of these shapes, float32.

        "fan_in" draws both from U(-b, b), b = 1 / sqrt(inputs of a unit), as PyTorch's Conv2d and
        Linear do (kaiming_uniform with a = sqrt 5).

        Args:
          name: of the layer.
          kernel: (columns, [kh, kw,] in, out).
          bias: (columns, out); (out,) for fc8, whose inputs are those of all columns.
        """
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
        if len(shape) == 1:  # fc8: it belongs to no column
            return draw(stream(self.key, f"{name}.bias"), shape)
        return self._columns(draw, f"{name}.bias", shape)
