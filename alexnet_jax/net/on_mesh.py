"""The net on a mesh: what every device computes with its columns and its images.

Training, evaluation and feature extraction all run the net through `make_forward`.
"""

from collections.abc import Callable

import jax
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.parameters import merge, structure_of
from alexnet_jax.system.sharding import data_axis, group_axis, local_specs


def mesh_axes(mesh: Mesh) -> dict[str, str | None]:
    """Return the mesh axes to call the net with inside `make_forward`."""
    return {"group_axis": group_axis(mesh), "data_axis": data_axis(mesh)}


def make_forward(arch: Architecture, mesh: Mesh, local: Callable, out_specs) -> Callable:
    """Return forward(params, stats, batch, *shared): `local` run on each device, not compiled.

    Its transpose is the backward pass, with one sum of gradients over "data".

    Args:
      mesh: where the net's parameters live.
      local: local(net, batch, *shared) on one device. The net holds that device's columns, batch
        is its part of the images, and shared is the same everywhere. It calls the net with
        `mesh_axes`.
      out_specs: the PartitionSpecs of what `local` returns, as `jax.shard_map` takes them; or a
        function from the specs of the batch statistics to them.
    """
    structure, over_data = structure_of(arch), data_axis(mesh)

    def on_device(params, stats, batch, *shared):
        if over_data:
            # With this mark a gradient is summed over "data" when it has the parameter's shape.
            # Without it a bias's gradient would be summed earlier, while it still has an axis of
            # images.
            params = lax.pcast(params, over_data, to="varying")
        return local(merge(structure, params, stats), batch, *shared)

    def forward(params, stats, batch, *shared):
        specs = local_specs(mesh, params), local_specs(mesh, stats)
        return jax.shard_map(
            on_device,
            mesh=mesh,
            in_specs=(*specs, P(over_data), *[P() for _ in shared]),
            out_specs=out_specs(specs[1]) if callable(out_specs) else out_specs,
        )(params, stats, batch, *shared)

    return forward
