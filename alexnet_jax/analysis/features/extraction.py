"""Compute any activation of a trained net for batches of images, on any mesh."""

from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from alexnet_jax.data.input import ten_crops
from alexnet_jax.data.input.loader import Batch, eval_batches
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import ConfigError
from alexnet_jax.inference.predictor import Predictor, batch_size_for
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.on_mesh import make_forward, mesh_axes
from alexnet_jax.run.restore import Restored
from alexnet_jax.system.sharding import DATA, compiler_options, data_axis, group_axis


def activation_names(arch: Architecture) -> tuple[str, ...]:
    """Return the names of all activations of a net, in order: conv1, relu1, ..., dropout7, fc8."""
    names: list[str] = []
    for layer in arch.layers:
        names += [] if layer.identity else [layer.name]
        names += [arch.activation_name(layer, kind) for kind in layer.then]
    return tuple(names)


def last_hidden(arch: Architecture) -> tuple[str, str]:
    """Return the last hidden layer and its activation: ("fc7", "relu7"), as figure 4 has them.

    The activation is the output of the nonlinearity, before dropout.
    """
    layer = [row for row in arch.layers if "activation" in row.then and not row.identity][-1]
    return layer.name, arch.activation_name(layer, "activation")


def make_extract(arch: Architecture, mesh: Mesh, name: str) -> Callable[..., Array]:
    """Return the compiled extract(params, stats, images, pixel_stats) -> (B, ..., C) float32.

    It takes the central view of each image. C counts the channels or neurons of all columns,
    column 1 first; for fc8 it counts the classes.

    Args:
      mesh: the devices that hold the net.
      name: one of `activation_names`.

    Raises:
      ConfigError: this net has no such activation.
    """
    if name not in (names := activation_names(arch)):
        raise ConfigError(f"this net has no layer {name!r}: expected one of {', '.join(names)}")
    # fc8 is the sum of both columns' products, the same on their devices.
    columns_over = None if name == arch.layers[-1].name else group_axis(mesh)

    def local(net, images, pixel_stats):
        view = ten_crops.central_view(images, pixel_stats, arch.image_size)
        return net(view, activations=(name,), **mesh_axes(mesh))[1][name].astype(jnp.float32)

    forward = make_forward(arch, mesh, local, P(columns_over, data_axis(mesh)))

    def extract(params, stats, images, pixel_stats) -> Array:
        x = forward(params, stats, images, pixel_stats)
        x = jnp.moveaxis(x, 0, -2)  # (columns, B, ..., C) -> (B, ..., columns, C)
        return x.reshape(*x.shape[:-2], -1)

    return jax.jit(extract, compiler_options=compiler_options(mesh))


def extractor(restored: Restored, name: str) -> Predictor:
    """Return a trained net's `make_extract` as a function of (B, size, size, 3) uint8 images."""
    return Predictor(restored, make_extract(restored.arch, restored.mesh, name))


def feature_shape(restored: Restored, name: str) -> tuple[int, ...]:
    """Return the shape of one image's features."""
    extract = make_extract(restored.arch, restored.mesh, name)
    size = restored.config.data.size
    images = jax.ShapeDtypeStruct((restored.mesh.shape[DATA], size, size, 3), np.uint8)
    return jax.eval_shape(
        extract, restored.state.params, restored.state.batch_stats, images, restored.pixel_stats
    ).shape[1:]


def split_batches(restored: Restored, dataset: PreparedDataset, split: str) -> Iterator[Batch]:
    """Iterate over a split with the run's batch size and threads; see loader.eval_batches."""
    config = restored.config
    size = batch_size_for(restored.mesh, asked=config.evaluate.batch_size)
    return eval_batches(dataset, split, batch_size=size, workers=config.data.workers)


def of_images(
    restored: Restored,
    dataset: PreparedDataset,
    predictor: Predictor,
    split: str,
    indices: Sequence[int],
) -> np.ndarray:
    """Return a predictor's answers for some images of a split, (b, ...)."""
    size = batch_size_for(restored.mesh, asked=restored.config.evaluate.batch_size)
    parts = []
    for start in range(0, len(indices), size):
        images, _ = dataset.read(split, indices[start : start + size])
        batch = np.zeros((size, *images.shape[1:]), np.uint8)
        batch[: len(images)] = images
        parts.append(np.asarray(predictor(batch))[: len(images)])
    return np.concatenate(parts)
