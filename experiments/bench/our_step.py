"""Our training step and inference for the benchmarks, compiled as in training, on fixed images."""

import types
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from alexnet_jax.data.input import ten_crops
from alexnet_jax.data.input.pixel_stats import make_pixel_stats
from alexnet_jax.inference.predictor import make_predict
from alexnet_jax.net import resolving
from alexnet_jax.step.create import create_state
from alexnet_jax.step.train_step import make_train_step
from alexnet_jax.system import sharding
from configs import ilsvrc2012, tiny_imagenet

MEAN = 118  # of all pixels, 0-255
RECIPES = {"paper": ilsvrc2012, "small": tiny_imagenet}


def calls_of(asked: int | None) -> int:
    """Return how many calls a timing has: the flag's number, or 1 on a CPU and 20 elsewhere."""
    return asked or (1 if jax.default_backend() == "cpu" else 20)


class OurStep:
    """A net on one device, or on more, from its initial parameters.

    Args:
      batch: images a step.
      dtype: of the activations.
      arch: paper or small, with the recipe that trains it.
      devices: as many as the mesh has, or more; None: all.
      mesh: data x group.
      model: fields of config.model; lrn__n stands for lrn.n.

    Attributes:
      state: after the steps that were taken.
    """

    def __init__(
        self,
        batch: int,
        dtype: str,
        arch: str = "paper",
        devices: Sequence[jax.Device] | None = None,
        mesh: tuple[int, int] = (1, 1),
        **model: Any,
    ):
        config = RECIPES[arch].get_config()
        config.batch_size, config.model.compute_dtype = batch, dtype
        config.model.update_from_flattened_dict(
            {name.replace("__", "."): value for name, value in model.items()}
        )
        config.mesh.data, config.mesh.group = mesh
        net = resolving.resolve(config.model)
        placed = sharding.make_mesh(config.mesh, net.columns, batch, devices)
        rng, square = np.random.default_rng(0), (config.data.size, config.data.size, 3)
        statistics = types.SimpleNamespace(
            mean_image=np.full(square, MEAN, np.float32),
            eigenvalues=np.array([14830.0, 1376.0, 389.0]),
            eigenvectors=np.eye(3),
        )
        pixel_stats = make_pixel_stats(statistics, config.data)
        self._pixel_stats = sharding.put_everywhere(placed, pixel_stats)  # like the training loop
        data = {
            "image": rng.integers(0, 256, (batch, *square), np.uint8),
            "label": rng.integers(0, net.classes, batch, np.int32),
        }
        self._size = net.image_size
        mine = sharding.local_rows(placed, batch)
        self._batch = sharding.put_batch(placed, {name: x[mine] for name, x in data.items()})
        self._step = make_train_step(config, net, placed)
        self._predict = make_predict(net, placed, 1)
        self.state = create_state(config, net, placed)

    def compile(self) -> str:
        """Compile the training step, which `train` then uses; return the program's HLO."""
        self._step = self._step.lower(self.state, self._batch, self._pixel_stats).compile()
        return self._step.as_text() or ""

    def train(self) -> tuple:
        """Begin a training step; return its results, which the caller waits for."""
        self.state, loss = self._step(self.state, self._batch, self._pixel_stats)
        return self.state, loss

    def answered(self) -> dict[str, np.ndarray]:
        """Return "conv1.kernel", ...; "images", as the net sees them; "ours", their answers."""
        images = np.asarray(self._batch["image"])
        (top, left, _), size = ten_crops.view_corners(1, self._size, images.shape[1])[0], self._size
        params = {
            f"{layer}.{name}": np.asarray(value)
            for layer, values in self.state.params.items()
            for name, value in values.items()
        }
        views = images[:, top : top + size, left : left + size].astype(np.float32) - MEAN
        return {**params, "images": views, "ours": np.asarray(self.infer())}

    def infer(self) -> jax.Array:
        """Return the probabilities of a batch, which the caller waits for."""
        state, images = self.state, self._batch["image"]
        return self._predict(state.params, state.batch_stats, images, self._pixel_stats)
