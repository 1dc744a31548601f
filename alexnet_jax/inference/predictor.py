"""Predict and evaluate: the softmax averaged over views (paper 4.1), each image counted once."""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from alexnet_jax.data.input import ten_crops
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.on_mesh import make_forward, mesh_axes
from alexnet_jax.run.restore import Restored
from alexnet_jax.step import metrics
from alexnet_jax.step.state import NetState
from alexnet_jax.system.sharding import (
    DATA,
    compiler_options,
    data_axis,
    put_batch,
    put_everywhere,
)


def make_predict(arch: Architecture, mesh: Mesh, views: int):
    """Return the compiled predict(params, stats, images, pixel_stats) -> (B, classes).

    images: (B, size, size, 3) uint8 over "data". Probabilities are float32.
    """
    return jax.jit(_averaged_softmax(arch, mesh, views), compiler_options=compiler_options(mesh))


def _averaged_softmax(arch: Architecture, mesh: Mesh, views: int):
    """Return `make_predict`'s function before it is compiled.

    The views go through the net one after the other, so that their number costs no memory.
    """
    over_data = data_axis(mesh)

    def local(net, images, pixel_stats):
        def add(total, corner):
            x = ten_crops.view_at(images, pixel_stats, arch.image_size, *corner)
            logits, _ = net(x, **mesh_axes(mesh))
            return total + jax.nn.softmax(logits), None

        total = jnp.zeros((images.shape[0], arch.classes))
        if over_data:
            total = lax.pcast(total, over_data, to="varying")
        corners = ten_crops.corner_arrays(views, arch.image_size, images.shape[1])
        return lax.scan(add, total, corners)[0] / views

    return make_forward(arch, mesh, local, P(over_data))


def make_evaluate_step(arch: Architecture, mesh: Mesh, views: int):
    """Return the compiled step: (params, stats, batch, pixel_stats) -> masked sums.

    batch: image, label and mask (B,) float32, 0 where a row is padding.
    """
    predict = _averaged_softmax(arch, mesh, views)
    least = jnp.finfo(jnp.float32).tiny  # keeps the loss finite if a probability is rounded to 0

    def evaluate_step(params, stats, batch, pixel_stats) -> metrics.Sums:
        probabilities = predict(params, stats, batch["image"], pixel_stats)
        log_probs = jnp.log(jnp.maximum(probabilities, least))
        return metrics.sums(log_probs, batch["label"], batch["mask"])

    return jax.jit(evaluate_step, compiler_options=compiler_options(mesh))


def evaluate(
    step: Callable, state: NetState, batches: Iterable[dict], pixel_stats: dict, mesh: Mesh
) -> dict[str, float]:
    """Return loss, top1_error, top5_error and images of a split, and images_per_second.

    The loss is in nats an image, the errors are fractions of the images.

    Args:
      step: what `make_evaluate_step` gave.
      state: the net's parameters.
      batches: image, label and mask; each image of the split is in one of them.
      pixel_stats: what `make_pixel_stats` gave.
      mesh: where the net lives.
    """
    begin = time.perf_counter()
    total = dict.fromkeys(metrics.zeros(), 0.0)
    pixel_stats = put_everywhere(mesh, pixel_stats)  # once, not with each batch
    results = (
        step(state.params, state.batch_stats, put_batch(mesh, batch), pixel_stats)
        for batch in batches
    )
    for sums in _one_behind(results):
        for name, value in jax.device_get(sums).items():
            total[name] += float(value)
    images, seconds = total["images"], time.perf_counter() - begin
    return {"images": int(images), **metrics.means(total), "images_per_second": images / seconds}


class Predictor:
    """A restored net with a compiled program.

    Args:
      program: what `make_predict`, or `make_extract` of analysis/features, gave for the net's arch
        and mesh.
    """

    def __init__(self, restored: Restored, program: Callable):
        self._mesh, self._program = restored.mesh, program
        self._params, self._stats = restored.state.params, restored.state.batch_stats
        self._pixel_stats = put_everywhere(restored.mesh, restored.pixel_stats)

    def __call__(self, images: np.ndarray) -> Array:
        """Return the program's answers for (b, size, size, 3) uint8, without waiting for them.

        Any b will do: black images fill up a batch that does not divide over the devices.
        """
        more = -len(images) % self._mesh.shape[DATA]
        filled = np.pad(images, [(0, more), (0, 0), (0, 0), (0, 0)]) if more else images
        batch = put_batch(self._mesh, filled)
        answers = self._program(self._params, self._stats, batch, self._pixel_stats)
        return jax.tree.map(lambda answer: answer[: len(images)], answers) if more else answers


def predictor(restored: Restored, views: int = 10) -> Predictor:
    """Return what gives the probabilities of images: (b, size, size, 3) uint8 -> (b, classes).

    Args:
      restored: the net; config.data.size is the images' size.
      views: 1 (the centre), 5 (the corners too) or 10 (flipped too, paper 4.1), averaged.
    """
    return Predictor(restored, make_predict(restored.arch, restored.mesh, views))


def predicted(
    predictors: Sequence[Predictor], batches: Iterable[dict]
) -> Iterator[tuple[list[np.ndarray], dict]]:
    """Yield ([probabilities (b, classes) float32 of each net], batch) for each batch.

    Rows whose mask is 0 are left out of both.
    """
    results = (([predict(batch["image"]) for predict in predictors], batch) for batch in batches)
    for answers, batch in _one_behind(results):
        rows = batch["mask"] > 0
        probabilities = [np.asarray(answer)[rows] for answer in answers]
        yield probabilities, {name: value[rows] for name, value in batch.items()}


def best(probabilities: np.ndarray, count: int) -> list[int]:
    """Return the labels of the highest values, (classes,); of equals the smaller label first."""
    return np.argsort(-probabilities, kind="stable")[:count].tolist()


def _one_behind(results: Iterable[Any]) -> Iterator[Any]:
    """Yield each result once the next is under way: the host reads while the device computes."""
    return (result for result, _ in itertools.pairwise(itertools.chain(results, [None])))


def batch_size_for(*meshes: Mesh, asked: int) -> int:
    """Return `asked`, rounded up to a batch size that divides over each of the meshes."""
    data = math.lcm(*(mesh.shape[DATA] for mesh in meshes))
    return -(-asked // data) * data
