"""Any activation of a trained net, for batches of images, on any mesh."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from alexnet_jax.data.decode.images import SIZE
from alexnet_jax.data.input import augment
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import ConfigError
from alexnet_jax.inference.predictor import Predictor, batch_size_for
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.forward import make_forward, mesh_axes
from alexnet_jax.run.restore import Restored
from alexnet_jax.system.sharding import DATA, compiler_options, data_axis, group_axis


def activation_names(arch: Architecture) -> tuple[str, ...]:
    """Return the names of all activations of a net, in order: conv1, relu1, ..., dropout7, fc8."""
    names: list[str] = []
    for layer in arch.layers:
        names += [] if layer.identity else [layer.name]
        for op in layer.then:
            names.append(f"{arch.activation if op == 'activation' else op}{layer.label}")
    return tuple(names)


def last_hidden(arch: Architecture) -> tuple[str, str]:
    """Return the last hidden layer and its activation: ("fc7", "relu7"), as figure 4 has them.

    After the nonlinearity, and without dropout's mask or its factor of one half.
    """
    layer = [row for row in arch.layers if "activation" in row.then and not row.identity][-1]
    return layer.name, f"{arch.activation}{layer.label}"


def make_extract(arch: Architecture, mesh: Mesh, name: str) -> Callable[..., Array]:
    """Return the compiled extract(params, stats, images, pixel_stats) -> (B, ..., C) float32.

    The central view of each image. C counts the channels or neurons of all columns, column 1's
    first; of fc8 the classes.

    Args:
      arch: the net.
      mesh: where it lives.
      name: one of `activation_names`.

    Raises:
      ConfigError: this net has no such activation.
    """
    if name not in activation_names(arch):
        known = ", ".join(activation_names(arch))
        raise ConfigError(f"this net has no layer {name!r}: expected one of {known}")
    ((top, left, mirrored),) = augment.view_corners(1, arch.image_size)
    # fc8 is the sum of both columns' products, the same on their devices.
    columns_over = None if name == arch.layers[-1].name else group_axis(mesh)

    def local(net, images, pixel_stats):
        view = augment.view_at(images, pixel_stats, arch.image_size, top, left, mirrored)
        return net(view, activations=(name,), **mesh_axes(mesh))[1][name].astype(jnp.float32)

    forward = make_forward(arch, mesh, local, P(columns_over, data_axis(mesh)))

    def extract(params, stats, images, pixel_stats) -> Array:
        kept = forward(params, stats, images, pixel_stats)
        kept = jnp.moveaxis(kept, 0, -2)  # (columns, B, ..., C) -> (B, ..., columns, C)
        return kept.reshape(*kept.shape[:-2], -1)

    return jax.jit(extract, compiler_options=compiler_options(mesh))


def extractor(restored: Restored, name: str) -> Predictor:
    """Return a trained net's `make_extract` as a function of (B, 256, 256, 3) uint8 images."""
    return Predictor(restored, make_extract(restored.arch, restored.mesh, name))


def feature_shape(restored: Restored, name: str) -> tuple[int, ...]:
    """Return the shape of one image's features."""
    extract = make_extract(restored.arch, restored.mesh, name)
    some = jax.ShapeDtypeStruct((restored.mesh.shape[DATA], SIZE, SIZE, 3), np.uint8)
    return jax.eval_shape(
        extract, restored.state.params, restored.state.batch_stats, some, restored.pixel_stats
    ).shape[1:]


def of_images(
    restored: Restored,
    dataset: PreparedDataset,
    predictor: Predictor,
    split: str,
    numbers: Sequence[int],
) -> np.ndarray:
    """Return a predictor's answers for some images of a split, by their indices, (b, ...)."""
    size = batch_size_for(restored.mesh, asked=restored.config.evaluate.batch_size)
    parts = []
    for start in range(0, len(numbers), size):
        some, _ = dataset.read(split, numbers[start : start + size])
        filled = np.zeros((size, *some.shape[1:]), np.uint8)
        filled[: len(some)] = some
        parts.append(np.asarray(predictor(filled))[: len(some)])
    return np.concatenate(parts)
