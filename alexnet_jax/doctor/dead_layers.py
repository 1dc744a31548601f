"""Why a net does not start: the layer in which the differences between images vanish.

A net whose loss stays at ln(classes) gives every image the same answer. The first layer whose
activations hardly differ from image to image is the one to look at.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.data.input import ten_crops
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.parameters import merge, structure_of
from alexnet_jax.run.restore import SPLIT
from alexnet_jax.step.state import NetState

# A layer with a smaller spread is dead. Spreads of arch `paper` before training: with the paper's
# initial values (it starts late) 0.03 at conv5 and 0.005 at fc7; with weights twice as large 0.18
# at fc7; with a tenth of them 0.009 at conv2.
DEAD = 0.01
AT_CHANCE = 0.01  # a loss within this share of ln(classes) is at chance
LOOKED_AT = 16  # images that are compared
LEAST = 5  # steps: an earlier look tells nothing


class ChanceWatch:
    """Warns once when the loss stays at ln(classes), and names the layer to look at.

    Args:
      dataset: the run's; its validation images are compared.
      pixel_stats: what `make_pixel_stats` gave.
      log: config.log: the steps between two losses, and the steps after which to warn.
      steps: of the whole run.

    Attributes:
      early: the step of a first look, a tenth of a short run; 0: there is none.
    """

    def __init__(self, arch: Architecture, dataset, pixel_stats: dict, log: ConfigDict, steps: int):
        self.arch, self.dataset, self.pixel_stats, self.log = arch, dataset, pixel_stats, log
        self.steps = 0
        tenth = steps // 10
        self.early = tenth if LEAST <= tenth < log.plateau_steps else 0

    def warning(self, loss: float, state: NetState) -> str | None:
        """Return the warning if it is due after log.every_steps more steps, else None."""
        before = self.steps
        self.steps = before + self.log.every_steps if self._at_chance(loss) else 0
        if not before < self.log.plateau_steps <= self.steps:
            return None
        layer = first_dead_layer(spreads(self.arch, state, self._views()))
        where = (
            f"the first layer whose signal is dead is {layer}"
            if layer
            else "no layer's signal is dead: the learning rate or the labels may be at fault"
        )
        return f"warning: the loss has stayed at {self._chance()} for {self.steps} steps; {where}"

    def early_warning(self, loss: float, state: NetState) -> str | None:
        """Return a warning if the loss is at ln(classes) and a layer's signal is dead, else None.

        Args:
          loss: the mean since the last line of the log.
          state: after `early` steps.
        """
        if not self._at_chance(loss):
            return None
        layer = first_dead_layer(spreads(self.arch, state, self._views()))
        if layer is None:
            return None
        self.steps = self.log.plateau_steps  # it is not told again
        return (
            f"warning: after a tenth of the run the loss is at {self._chance()}; the first layer "
            f"whose signal is dead is {layer}"
        )

    def last_words(self, loss: float, top1_error: float) -> str | None:
        """Return what to say of a run whose last validation is at chance, else None."""
        if not self._at_chance(loss) and top1_error < 1 - 1 / self.arch.classes:
            return None
        return (
            f"the run ends at chance: its validation loss is {loss:.3f}, its top-1 error "
            f"{top1_error:.3f}, and a net that gives every image the same answer has "
            f"{self._chance()} and {1 - 1 / self.arch.classes:.3f}"
        )

    def _at_chance(self, loss: float) -> bool:
        chance = math.log(self.arch.classes)
        return abs(loss - chance) < AT_CHANCE * chance

    def _chance(self) -> str:
        return f"ln({self.arch.classes}) = {math.log(self.arch.classes):.3f}"

    def _views(self) -> np.ndarray:
        """Return centre views of some images; the same in all processes."""
        count = min(LOOKED_AT, self.dataset.num_examples(SPLIT))
        images, _ = self.dataset.read(SPLIT, range(count))
        size = self.arch.image_size
        return jax.device_get(ten_crops.central_view(jnp.asarray(images), self.pixel_stats, size))


def spreads(
    arch: Architecture,
    state: NetState,
    images: jax.Array | np.ndarray,
    dropout_key: jax.Array | None = None,
) -> dict[str, float]:
    """Return, for each layer of the net, how much images differ in its output.

    The standard deviation between images is divided by the size of the output, or by 1 if that is
    smaller (both are root mean squares over units). It is 0 if all images give the same output.

    Args:
      state: the net's parameters.
      images: (B, image_size, image_size, 3) float, minus the mean.
      dropout_key: run the net as in training, with the batch statistics of these images and one
        dropout mask for all of them, drawn from this key; None: as in evaluation.
    """
    structure = structure_of(arch)
    train: dict = {}
    if dropout_key is not None:
        one_mask = jnp.zeros(images.shape[0], jnp.int32)
        train = {"train": True, "dropout_key": dropout_key, "examples": one_mask}
    outputs = {layer.name: arch.output(layer) for layer in arch.layers if not layer.identity}

    @functools.partial(jax.jit, out_shardings=state.step.sharding)  # a copy for each process
    def measure(params, stats, images):
        net = merge(structure, params, stats)
        _, kept = net(images, activations=tuple(outputs.values()), **train)
        sizes = {}
        for name, output in outputs.items():
            x = kept[output].astype(jnp.float32)
            spread = jnp.sqrt(jnp.mean(jnp.var(x, axis=1)))
            sizes[name] = spread / jnp.maximum(jnp.sqrt(jnp.mean(x * x)), jnp.ones(()))
        return sizes

    sizes = jax.device_get(measure(state.params, state.batch_stats, images))
    return {name: float(sizes[name]) for name in outputs}


def first_dead_layer(sizes: dict[str, float]) -> str | None:
    """Return the first layer of `spreads` in which images hardly differ, or None."""
    return next((name for name, size in sizes.items() if size < DEAD), None)
