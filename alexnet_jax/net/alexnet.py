"""AlexNet (NIPS 2012): one forward pass for one device or two.

A row of `variants.py` says which blocks a net has, `blocks.py` builds them from `layers.py`
and `operations.py`, and this file runs them.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.blocks import blocks_of
from alexnet_jax.net.initial_values import Initializer
from alexnet_jax.net.layers import Call, Columns, SummedLinear


def exchange(xs: Columns, group_axis: str | None) -> Array:
    """Join all columns along channels, column 0 first: what crosses between the paper's GPUs.

    Args:
      xs: (B, ..., C) of each column that is here.
      group_axis: mesh axis of the columns; None: all are here.

    Returns:
      (B, ..., columns * C). Its gradient goes back to the column that was read, summed over the
      readers (a reduce-scatter between devices).
    """
    here = jnp.concatenate(xs, axis=-1)  # the columns of this device
    if group_axis is None:
        return here
    return lax.all_gather(here, group_axis, axis=here.ndim - 1, tiled=True)


class AlexNet(nnx.Module):
    """The net of an architecture.

    The paper's (section 3, figure 2), for 224 x 224 pixels:

        layer  reads   one column computes            product    output
        conv1  image   11x11 /4, relu, LRN, pool 3/2  55x55x48   27x27x48
        conv2  column  5x5 +2, relu, LRN, pool 3/2    27x27x128  13x13x128
        conv3  both    3x3 +1, relu                   13x13x192  13x13x192
        conv4  column  3x3 +1, relu                   13x13x192  13x13x192
        conv5  column  3x3 +1, relu, pool 3/2         13x13x128  6x6x128
        fc6    both    full, relu, dropout            2048       2048
        fc7    both    full, relu, dropout            2048       2048
        fc8    sum     full                           1000       1000

        net = AlexNet(arch, key=jax.random.key(0))
        logits, _ = net(images)                       # (B, 224, 224, 3) -> (B, classes)
        _, kept = net(images, activations=("fc7",))   # kept["fc7"]: (columns, B, 2048)
    """

    def __init__(self, arch: Architecture, *, key: Array):
        initializer = Initializer(arch.init, key)
        blocks = blocks_of(arch, initializer)
        self.compute_dtype = jnp.dtype(arch.compute_dtype)
        self.blocks = nnx.List(blocks)
        units = math.prod(blocks[-1].shape)  # of pixels, if fc6 and fc7 are dropped
        self.fc8 = SummedLinear("fc8", (arch.columns, units, arch.classes), initializer)

    def __call__(
        self,
        images: Array,
        *,
        train: bool = False,
        dropout_key: Array | None = None,
        examples: Array | None = None,
        group_axis: str | None = None,
        data_axis: str | None = None,
        activations: Sequence[str] = (),
    ) -> tuple[Array, dict[str, Array]]:
        """Return logits and the named activations.

        Args:
          images: (B, image_size, image_size, 3) float, RGB 0-255 minus the mean.
          train: whether to draw dropout masks and to use the batch's statistics.
          dropout_key: typed key, shape (); needed in training if dropout.rate > 0.
          examples: indices of these images in the global batch, (B,) int32; default 0..B-1.
          group_axis: mesh axis of the columns, inside shard_map; None: all are here.
          data_axis: mesh axis of the batch, inside shard_map.
          activations: any of conv1, relu1 (tanh1, sigmoid1), norm1, pool1, ..., fc8.

        Returns:
          Logits (B, classes) float32, and name -> (local columns, B, ...) in compute_dtype. fc8's
          are (1, B, classes) float32, since they belong to no column. In training the running
          statistics of batch normalization are updated in place.

        Raises:
          ValueError: an activation that this net does not have, or training with dropout without
            a key.
        """
        if examples is None:
            examples = jnp.arange(images.shape[0], dtype=jnp.int32)
        all_columns = list(range(self.fc8.kernel.shape[0]))
        call = Call(
            train=train,
            dropout_key=dropout_key,
            examples=examples,
            data_axis=data_axis,
            columns=all_columns if group_axis is None else [lax.axis_index(group_axis)],
            exchange=functools.partial(exchange, group_axis=group_axis),
        )
        kept: dict[str, Array] = {}
        xs: Any = images.astype(self.compute_dtype)  # one array, which all columns read
        for block in self.blocks:
            with jax.named_scope(block.name):
                xs, of_block = block(xs, call, activations)
            kept |= of_block
        with jax.named_scope("fc8"):
            logits = self.fc8(xs, group_axis)  # columns of (B, 2048) -> their sum, (B, 1000)
        if "fc8" in activations:
            kept["fc8"] = logits[None]
        if missing := set(activations) - set(kept):
            raise ValueError(f"this net has no activation named {', '.join(sorted(missing))}")
        return logits, kept
