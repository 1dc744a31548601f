"""The first step of a recipe, layer by layer, examined before training."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from ml_collections import ConfigDict
from rich.table import Table

from alexnet_jax.data.input import augment
from alexnet_jax.data.input.loader import train_batches
from alexnet_jax.data.input.pixel_stats import make_pixel_stats
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.doctor.dead_layers import LOOKED_AT, first_dead_layer, spreads
from alexnet_jax.errors import ConfigError
from alexnet_jax.net import architecture, resolving
from alexnet_jax.net.parameters import merge, structure_of
from alexnet_jax.run import config as configs
from alexnet_jax.step import schedule
from alexnet_jax.step.create import create_state
from alexnet_jax.step.state import TrainState
from alexnet_jax.system import sharding
from alexnet_jax.system.random_streams import stream
from alexnet_jax.system.sharding import FAST_COMPILE
from alexnet_jax.weights.init_from import initialised

# Bounds of the pull of the labels in nats a step. They come from recipes whose start was measured:
# the first step from which the loss stays 2 % below ln(classes). Pull: step of the start.
# - 40 classes of Tiny ImageNet, the full net (experiments/records/leaving_chance). arch code2012,
#   1.5: 60 to 70; arch paper, 0.017: 150 to 170.
# - The quickstart with weaker and weaker initial weights (experiments/records/doctor_check.json).
#   3.6: 20; 0.067: 30; 0.0013: 90; 8.9e-6: 260; 9.5e-8: no start in 600 steps.
# - A quarter of the width with other initial values, norms and input, 300 steps of batch 32
#   (experiments/records/plateau). On ten shapes, 0.05 and more: 20 to 100; 0.002 to 0.04: 40 to
#   110, but one run with 0.013 did not start; 0.0005: 180; 1e-5 to 2e-4: none of 18 started. On 40
#   classes no run started before step 280; with 0.05 and more four of five started, with 0.002 to
#   0.04 three of eight, with less none of ten.
STARTS = 0.05
STARTS_LATE = 1e-3


@dataclasses.dataclass(frozen=True)
class LayerSignal:
    """One layer before the first step. Sizes are root mean squares."""

    spread: float  # how much images differ in its output (dead_layers.spreads)
    weights: float
    gradient: float  # of the loss, with respect to the weights
    move: float  # the first step of the weights, divided by the weights
    pull: float  # its share of the pull of the labels, nats


def examine(config: ConfigDict) -> tuple[dict[str, LayerSignal], int]:
    """Return the layers of a recipe's net at its first batch, and the number of classes.

    Args:
      config: the run's. Its images are prepared if they are not prepared yet.

    Raises:
      UserError: the config or the images are wrong.
    """
    configs.check(config)
    if config.batch_size < 2:
        raise ConfigError(
            "the doctor compares the images of a batch: it needs a batch_size of at least 2; "
            f"got {config.batch_size}"
        )
    structure_of(resolving.resolve(config.model))  # refuses a net that has no pixels left

    def accept(class_names: tuple[str, ...], _: dict[str, int]) -> str:
        resolving.resolve(config.model, len(class_names))
        return ""

    dataset = prepare(config.data, accept=accept)
    arch = resolving.resolve(config.model, len(dataset.class_names))
    mesh = sharding.one_device()
    state = _first_state(config, arch, mesh, dataset.num_examples("train"))
    pixel_stats = make_pixel_stats(dataset.statistics, config.data)
    batches = train_batches(
        dataset, batch_size=config.batch_size, seed=config.seed, start_step=0, steps=1
    )
    (batch,) = batches
    key = stream(state.key, "step", 0)
    views = functools.partial(augment.training_views, data=config.data, size=arch.image_size)
    examples = jnp.arange(config.batch_size, dtype=jnp.int32)
    images = jax.jit(views, compiler_options=FAST_COMPILE)(
        batch["image"], pixel_stats, key=stream(key, "augment"), examples=examples
    )
    momentum = config.optimizer.momentum
    return layers(arch, state, images, jnp.asarray(batch["label"]), key, momentum), arch.classes


def _first_state(
    config: ConfigDict, arch: architecture.Architecture, mesh: Mesh, images: int
) -> TrainState:
    """Return the state before the first step, with that step's learning rates."""
    state = create_state(config, arch, mesh)
    if config.init_from:
        state, _ = initialised(state, config, arch, mesh)
    steps = schedule.Epochs(images, config.batch_size, config.epochs, 1).steps
    plateau = jax.device_get(state.plateau)
    at = {"step": 0, "epoch": 0, "steps": steps, "plateau": plateau}
    rates = jax.tree.map(np.float32, schedule.learning_rates(config, state.params, **at))
    return dataclasses.replace(state, opt_state=state.opt_state._replace(rates=rates))


def layers(
    arch: architecture.Architecture,
    state: TrainState,
    images: Array,
    labels: Array,
    key: Array,
    momentum: float,
) -> dict[str, LayerSignal]:
    """Return the layers before the first step.

    The pull of the labels is the sum over parameters of rate / (1 - momentum) times the square of
    the gradient of mean(logit of the label - logit of the next image's label). Whatever is the
    same for all images cancels in this difference.

    Args:
      arch, state: the net, its parameters and learning rates.
      images: (B, image_size, image_size, 3) float32, minus the mean.
      labels: (B,) int32.
      key: the stream of the dropout masks.
      momentum: the update's.
    """
    gradients, pulls = _gradients(arch)(state.params, state.batch_stats, images, labels, key)
    layers = {}
    spread = spreads(arch, state, images[:LOOKED_AT], stream(key, "dropout"))
    rates = state.opt_state.rates
    for name, parameters in state.params.items():
        if name not in spread:  # a norm, which is a part of its layer
            continue
        weights, gradient = (_size(tree[name]["kernel"]) for tree in (state.params, gradients))
        pull = 0.0
        for leaf in parameters:
            rate = float((rates.weights if leaf == "kernel" else rates.biases)[name])
            squares = np.square(np.asarray(pulls[name][leaf], np.float64)).sum()
            pull += rate / (1 - momentum) * float(squares)
        move = float(rates.weights[name]) * gradient / max(weights, 1e-30)
        layers[name] = LayerSignal(spread[name], weights, gradient, move, pull)
    return layers


def _gradients(arch: architecture.Architecture):
    """Return the compiled gradients of the loss, and of the difference in `layers`."""
    structure = structure_of(arch)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def gradients(params, stats, images, labels, key):
        def logits(params):
            model = merge(structure, params, stats)
            # One dropout mask for all images, so that only the images and labels differ.
            same = jnp.zeros(images.shape[0], jnp.int32)
            mask_key = stream(key, "dropout")
            return model(images, train=True, dropout_key=mask_key, examples=same)[0]

        scores, transpose = jax.vjp(logits, params)
        labelled = jax.nn.one_hot(labels, arch.classes, dtype=scores.dtype)
        of_next = jnp.roll(labelled, 1, axis=0)
        (of_loss,) = transpose((jax.nn.softmax(scores) - labelled) / labels.shape[0])
        (of_labels,) = transpose((of_next - labelled) / labels.shape[0])
        return of_loss, of_labels

    return gradients


def _size(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(x, np.float64)))))


def judge(layers: dict[str, LayerSignal], classes: int) -> tuple[str, str]:
    """Return the verdict and its reason.

    Args:
      layers: those of `examine`.
      classes: of the net.
    """
    pull = sum(layer.pull for layer in layers.values())
    told = f"the pull of the labels is {pull:.2g} nats a step"
    spread = {name: layer.spread for name, layer in layers.items()}
    if not math.isfinite(pull):
        first = next((name for name, size in spread.items() if not math.isfinite(size)), None)
        what = f"the output of {first} is not finite" if first else "a gradient is not finite"
        return "does not start", what
    if pull >= STARTS:
        return "starts", (
            f"{told}; runs with {STARTS:g} or more started after 20 to 100 steps, a narrow net's "
            "on 40 classes after about 300"
        )
    if pull >= STARTS_LATE:
        return "starts late", (
            f"{told}; of the runs with {STARTS_LATE:g} to {STARTS:g} three in four started, after "
            "40 to 300 steps"
        )
    dead = first_dead_layer(spread)
    where = f"; images hardly differ in {dead} ({spread[dead]:.1g})" if dead else ""
    return "not known to start", (
        f"{told}; of the runs with less than {STARTS_LATE:g} two started, after 180 and 260 steps, "
        "and 29 had not after 300: the loss may sit at "
        f"ln({classes}) = {math.log(classes):.3f} for long{where}"
    )


def table(layers: dict[str, LayerSignal]) -> Table:
    """Return the layers for a terminal."""
    shown = Table(
        *("layer", "images differ by", "weights", "gradient", "first move / weights", "pull, nats"),
        title="Before the first step: root mean squares",
        title_justify="left",
    )
    for name, layer in layers.items():
        shown.add_row(name, *(f"{value:.2g}" for value in dataclasses.astuple(layer)))
    return shown
