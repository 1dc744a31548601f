"""Where every array lives: the only file that knows devices.

The mesh has two axes. Along "group" lie the columns: one device for both, or one for each, as the
paper's two GPUs. Along "data" lie the parts of the batch.
"""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError

DATA, GROUP = "data", "group"


def split_cpu(mesh: ConfigDict) -> None:
    """Split a CPU into mesh.cpu_devices virtual devices; to be called before JAX starts.

    Accelerators are not touched.
    """
    if mesh.cpu_devices > 1:
        jax.config.update("jax_num_cpu_devices", mesh.cpu_devices)


def compiler_options() -> dict[str, str] | None:
    """Return what `jax.jit` should tell XLA on these devices.

    On CPU: matrix products by YNNPACK, convolutions not, which XLA's own code does in half the
    time (experiments/README.md, "CPU").
    """
    if jax.default_backend() != "cpu":
        return None
    kinds = "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
    return {"xla_cpu_experimental_ynn_fusion_type": kinds}


def make_mesh(mesh: ConfigDict, columns: int, batch_size: int) -> Mesh:
    """Return the mesh (data, group) of config.mesh over all devices.

    Raises:
      ConfigError: the devices, the columns or the batch do not divide so.
    """
    devices = jax.device_count()
    group = _group(mesh.group, columns, devices)
    data = devices // group if mesh.data == -1 else mesh.data
    if data < 1 or data * group > devices:
        raise ConfigError(
            f"mesh data={mesh.data} x group={group} does not fit on {devices} device(s): ask for "
            f"at most {devices}, or split the CPU with mesh.cpu_devices"
        )
    if batch_size % data:
        raise ConfigError(f"batch_size {batch_size} does not divide over mesh.data={data} devices")
    axes = (AxisType.Auto, AxisType.Auto)
    return jax.make_mesh(
        (data, group), (DATA, GROUP), axis_types=axes, devices=jax.devices()[: data * group]
    )


def _group(asked: str | int, columns: int, devices: int) -> int:
    if asked == "auto":
        return 2 if columns == 2 and devices % 2 == 0 else 1
    if str(asked) not in ("1", "2"):
        raise ConfigError(f"mesh.group is 1, 2 or auto; got {asked!r}")
    if int(asked) > columns:
        raise ConfigError(f"mesh.group={asked} needs a net of 2 columns; this one has {columns}")
    return int(asked)


def data_axis(mesh: Mesh) -> str | None:
    """Return "data" where the batch is split, else None: an axis of one device needs no sums."""
    return DATA if mesh.shape[DATA] > 1 else None


def group_axis(mesh: Mesh) -> str | None:
    """Return "group" where the columns are on two devices, else None."""
    return GROUP if mesh.shape[GROUP] > 1 else None


def local_specs(mesh: Mesh, params):
    """Return `param_specs` for shard_map, without the axes of one device.

    What does not vary over an axis is not summed over it in the backward pass either; XLA on CPU
    makes such a sum over one device a copy.
    """
    axis = group_axis(mesh)
    return jax.tree.map(
        lambda spec: P(axis) if spec == P(GROUP) else P(),
        param_specs(params),
        is_leaf=lambda x: isinstance(x, P),
    )


def param_specs(params):
    """Return the PartitionSpec of each parameter or statistic: the column axis over "group".

    Only fc8's bias belongs to no column.
    """

    def of(path, _):
        names = tuple(getattr(key, "key", None) for key in path)
        return P() if names[-2:] == ("fc8", "bias") else P(GROUP)

    return jax.tree_util.tree_map_with_path(of, params)


def placed(mesh: Mesh, specs):
    """Return the NamedSharding of each PartitionSpec in a tree."""
    return jax.tree.map(
        lambda spec: NamedSharding(mesh, spec), specs, is_leaf=lambda x: isinstance(x, P)
    )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Return where a batch lives: its first axis over "data"."""
    return NamedSharding(mesh, P(DATA))


def put_batch(mesh: Mesh, batch):
    """Send a batch of host arrays, whole on each process that calls, to the devices."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda x: jax.device_put(x, sharding), batch)
