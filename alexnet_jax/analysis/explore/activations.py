"""Compute all activations of a picture's central view, and the answer to each of its ten views."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from alexnet_jax.analysis.features.extraction import activation_names
from alexnet_jax.data.input import ten_crops
from alexnet_jax.errors import DataError
from alexnet_jax.inference.predictor import Predictor, batch_size_for
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.on_mesh import make_forward, mesh_axes
from alexnet_jax.run.restore import Restored
from alexnet_jax.system.sharding import compiler_options, data_axis, group_axis

VIEWS = 10  # paper 4.1


class Seen(NamedTuple):
    """What a net makes of one picture.

    Attributes:
      activations: name -> (columns, H, W, channels) or (columns, units) float32; fc8: (1, classes).
      probabilities: (views, classes) float32, in the order of ten_crops.view_corners.
    """

    activations: dict[str, np.ndarray]
    probabilities: np.ndarray


def looker(restored: Restored) -> Callable[[np.ndarray], Seen]:
    """Return what gives `Seen` of a (size, size, 3) uint8 picture.

    Raises (when it is called):
      DataError: an activation is not finite.
    """
    program = make_look(restored.arch, restored.mesh)
    predictor, rows = Predictor(restored, program), batch_size_for(restored.mesh, asked=1)

    def look(picture: np.ndarray) -> Seen:
        batch = np.zeros((rows, *picture.shape), np.uint8)
        batch[0] = picture
        kept, probabilities = jax.device_get(predictor(batch))
        ours = {name: kept[name][:, 0] for name in activation_names(restored.arch)}
        for name, values in ours.items():
            if not np.isfinite(values).all():
                raise DataError(
                    f"{name} of {restored.workdir} has values that are not finite: take an earlier "
                    "--checkpoint"
                )
        return Seen(ours, probabilities[:, 0])

    return look


def make_look(arch: Architecture, mesh: Mesh) -> Callable:
    """Return the compiled look(params, stats, images, pixel_stats).

    It gives name -> (columns, B, ...) float32 of the central views, and the probabilities of all
    views, (views, B, classes).
    """
    names = activation_names(arch)
    over_data, columns_over = data_axis(mesh), group_axis(mesh)

    def local(net, images, pixel_stats):
        size = arch.image_size

        def answer(corner):
            view = ten_crops.view_at(images, pixel_stats, size, *corner)
            return jax.nn.softmax(net(view, **mesh_axes(mesh))[0])

        probabilities = lax.map(answer, ten_crops.corner_arrays(VIEWS, size, images.shape[1]))
        central = ten_crops.central_view(images, pixel_stats, size)
        _, kept = net(central, activations=names, **mesh_axes(mesh))
        return {name: x.astype(jnp.float32) for name, x in kept.items()}, probabilities

    # fc8 is the sum of both columns' products, the same on their devices.
    last = arch.layers[-1].name
    specs = {name: P(None if name == last else columns_over, over_data) for name in names}
    forward = make_forward(arch, mesh, local, (specs, P(None, over_data)))
    return jax.jit(forward, compiler_options=compiler_options(mesh))
