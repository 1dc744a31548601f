"""Why a net does not start: where the difference between images dies on the way up.

A loss that sits at ln(classes) is that of a net which gives every image the same answer. The
first layer whose activations hardly differ from image to image is the one to look at.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from alexnet_jax.data.input import augment
from alexnet_jax.inference.predictor import SPLIT
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.forward import graphdef_of
from alexnet_jax.step.state import NetState

# Measured before training on the net of the text: with its own initial values 0.03 at conv5 and
# 0.005 at fc7, and it starts late; with twice those 0.18 at fc7; with a tenth 0.009 at conv2.
DEAD = 0.01
AT_CHANCE = 0.01  # a loss within this share of ln(classes) says nothing about the images
LOOKED_AT = 16  # images in the search for the layer whose signal is dead


class ChanceWatch:
    """Says once, with the layer to look at, that the loss sits at ln(classes).

    Args:
      arch: the net.
      dataset: whose images are looked at.
      pixel_stats: what they lose before the net (pixel_stats.make_pixel_stats).
      log: config.log: how many steps a loss is of, and how many are too many.
    """

    def __init__(self, arch: Architecture, dataset, pixel_stats: dict, log: ConfigDict):
        self.arch, self.dataset, self.pixel_stats, self.log = arch, dataset, pixel_stats, log
        self.steps = 0

    def warning(self, loss: float, state: NetState) -> str | None:
        """Return what there is to say after the mean loss of log.every_steps more steps."""
        chance, before = math.log(self.arch.classes), self.steps
        at_chance = abs(loss - chance) < AT_CHANCE * chance
        self.steps = before + self.log.every_steps if at_chance else 0
        if not before < self.log.plateau_steps <= self.steps:
            return None
        layer = first_dead_layer(spreads(self.arch, state, self._views()))
        where = (
            f"the first layer whose signal is dead is {layer}"
            if layer
            else "no layer's signal is dead: the rate or the labels may be at fault"
        )
        return (
            f"warning: the loss has sat at ln({self.arch.classes}) = {chance:.3f} for "
            f"{self.steps} steps; {where}"
        )

    def _views(self) -> np.ndarray:
        """Return centre views of some images, the same in all processes."""
        count = min(LOOKED_AT, self.dataset.num_examples(SPLIT))
        images, _ = self.dataset.read(SPLIT, range(count))
        (corner,) = augment.view_corners(1, self.arch.image_size)
        places = map(jnp.asarray, corner)
        views = augment.view_at(
            jnp.asarray(images), self.pixel_stats, self.arch.image_size, *places
        )
        return jax.device_get(views)


def spreads(
    arch: Architecture,
    state: NetState,
    images: jax.Array | np.ndarray,
    dropout_key: jax.Array | None = None,
) -> dict[str, float]:
    """Return, for each layer of the net, how far images differ in what it passes on.

    The root mean square over units of the deviation between images, over that of the output
    itself, or over 1 where that is smaller: 0 where all images look alike, or where nothing
    comes through.

    Args:
      arch: the net.
      state: its parameters.
      images: (B, image_size, image_size, 3) float, less the mean.
      dropout_key: the net as in training, with batch statistics of these images and masks of this
        key, one for all images; None: as at test.
    """
    graph = graphdef_of(arch)
    train: dict = {}
    if dropout_key is not None:
        one_mask = jnp.zeros(images.shape[0], jnp.int32)
        train = {"train": True, "dropout_key": dropout_key, "examples": one_mask}
    outputs = {layer.name: arch.output(layer) for layer in arch.layers if not layer.identity}

    @functools.partial(jax.jit, out_shardings=state.step.sharding)  # a copy for each process
    def measure(params, stats, images):
        net = nnx.merge(graph, params, stats)
        _, kept = net(images, activations=tuple(outputs.values()), **train)
        sizes = {}
        for name, output in outputs.items():
            x = kept[output].astype(jnp.float32)
            spread = jnp.sqrt(jnp.mean(jnp.var(x, axis=1)))
            sizes[name] = spread / jnp.maximum(jnp.sqrt(jnp.mean(x * x)), jnp.ones(()))
        return sizes

    found = jax.device_get(measure(state.params, state.batch_stats, images))
    return {name: float(found[name]) for name in outputs}


def first_dead_layer(sizes: dict[str, float]) -> str | None:
    """Return the first layer of `spreads` that says nothing, or None."""
    return next((name for name, size in sizes.items() if size < DEAD), None)
