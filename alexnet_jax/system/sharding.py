"""Where every array lives: the only file that places arrays on devices.

The mesh has two axes. The columns lie along "group": one device for both, or one for each, as on
the paper's two GPUs. The parts of the batch lie along "data".
"""

import collections
import functools
import importlib.util
import os
import warnings
from collections.abc import Sequence
from importlib import metadata

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError

DATA, GROUP = "data", "group"
# XLA options for functions that run once: they compile in half the time and give the same bits.
FAST_COMPILE = {"xla_backend_optimization_level": 1}
CPU_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
    )
}


def split_cpu(mesh: ConfigDict) -> None:
    """Split a CPU into mesh.cpu_devices virtual devices; to be called before JAX starts.

    Accelerators are not touched.
    """
    if mesh.cpu_devices > 1:
        jax.config.update("jax_num_cpu_devices", mesh.cpu_devices)


def no_backend() -> str | None:
    """Return one line if JAX_PLATFORMS asks for devices that JAX does not find, else None."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX raises either
        why = " ".join(str(error).split())
        return (
            f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')} asks for a device that JAX does "
            f"not find{f' ({why})' if why else ''}: install its driver and requirements-gpu.txt, "
            "or unset JAX_PLATFORMS to compute on what is there"
        )
    return None


def unused_plugins(platform: str, platforms: str | None) -> str | None:
    """Return a warning if a plugin for accelerators is installed, but JAX computes on the CPU.

    Args:
      platform: of the devices that JAX found.
      platforms: JAX_PLATFORMS; where it is set, the CPU was asked for.
    """
    plugins = [plugin.name for plugin in metadata.entry_points(group="jax_plugins")]
    plugins += ["libtpu"] if importlib.util.find_spec("libtpu") else []
    if platform != "cpu" or platforms or not plugins:
        return None
    return (
        f"JAX's plugin {', '.join(sorted(plugins))} is installed but found no device, so this "
        "computes on the CPU: look at the driver (nvidia-smi), or set JAX_PLATFORMS=cpu if this "
        "is meant"
    )


def compiler_options(mesh: Mesh) -> dict[str, str]:
    """Return XLA's options for `jax.jit` on the devices of a mesh.

    On CPU YNNPACK computes the matrix products, but not the convolutions, for which XLA's own code
    takes half the time (experiments/README.md, "CPU").
    """
    return _cpu_options() if mesh.devices.flat[0].platform == "cpu" else {}


@functools.cache
def _cpu_options() -> dict[str, str]:
    """Return the options for CPU, or none if this version of XLA does not know them."""
    try:
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            jax.jit(lambda: 0, compiler_options=CPU_OPTIONS).lower().compile()
    except jax.errors.JaxRuntimeError as error:
        text = f"an option of XLA is left out, so that steps on CPU may be slower: {error}"
        warnings.warn(text, stacklevel=3)
        return {}
    return CPU_OPTIONS


def make_mesh(
    mesh: ConfigDict, columns: int, batch_size: int, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """Return the mesh (data, group) of config.mesh over all devices, or over those given.

    Devices are ordered process by process. So each process reads one contiguous part of a batch,
    and a pair of columns is on one machine if that has an even number of devices. `jax.make_mesh`
    orders a TPU by its links instead, and refuses GPUs of more than one machine.

    Args:
      mesh: config.mesh.
      columns: of the net, 1 or 2.
      batch_size: of all devices together; 0 divides over any mesh.
      devices: None: all.

    Raises:
      ConfigError: the devices, the columns or the batch cannot be divided in this way, or the
        processes have different numbers of devices, which JAX's barriers do not support.
    """
    devices = jax.devices() if devices is None else devices
    if text := unused_plugins(devices[0].platform, os.environ.get("JAX_PLATFORMS")):
        warnings.warn(text, stacklevel=2)
    count = len(devices)
    of_each = collections.Counter(device.process_index for device in devices)
    if len(set(of_each.values())) > 1:
        have = ", ".join(str(of_each[process]) for process in sorted(of_each))
        raise ConfigError(f"the processes have {have} devices: give each as many as the others")
    group = _group(mesh.group, columns, count)
    data = count // group if mesh.data == -1 else mesh.data
    if data < 1 or data * group > count:
        raise ConfigError(
            f"mesh data={mesh.data} x group={group} does not fit on {count} device(s): ask for "
            f"at most {count}, or split the CPU with mesh.cpu_devices"
        )
    if batch_size % data:
        raise ConfigError(f"batch_size {batch_size} does not divide over mesh.data={data} devices")
    if mesh.data == -1 and count % group:
        text = f"mesh.group={group} uses {count - count % group} of the {count} devices"
        warnings.warn(text, stacklevel=2)
    in_order = sorted(devices, key=lambda device: (device.process_index, device.id))
    grid = np.asarray(in_order[: data * group]).reshape(data, group)
    return Mesh(grid, (DATA, GROUP), axis_types=(AxisType.Auto, AxisType.Auto))


def one_device() -> Mesh:
    """Return a mesh of this process's first device, for any net and batch."""
    return make_mesh(ConfigDict({"data": 1, "group": 1}), 1, 1, jax.local_devices()[:1])


def _group(asked: str | int, columns: int, devices: int) -> int:
    if asked == "auto":
        return 2 if columns == 2 and devices % 2 == 0 else 1
    if int(asked) > columns:
        raise ConfigError(f"mesh.group={asked} needs as many columns; this net has {columns}")
    return int(asked)


def data_axis(mesh: Mesh) -> str | None:
    """Return "data" where the batch is split, else None: an axis of one device needs no sums."""
    return DATA if mesh.shape[DATA] > 1 else None


def group_axis(mesh: Mesh) -> str | None:
    """Return "group" where the columns are on two devices, else None."""
    return GROUP if mesh.shape[GROUP] > 1 else None


def local_specs(mesh: Mesh, params):
    """Return `param_specs` for shard_map, without the axes of one device: P() for P("group").

    shard_map sums gradients over the axes along which its inputs vary. On CPU such a sum over an
    axis of one device is a copy, which this avoids.
    """
    axis = group_axis(mesh)
    return jax.tree.map(
        lambda spec: P(axis) if spec == P(GROUP) else P(),
        param_specs(params),
        is_leaf=lambda x: isinstance(x, P),
    )


def param_specs(params):
    """Return the PartitionSpec of each parameter or statistic: the column axis over "group".

    A kernel (columns, kh, kw, in, out) has P("group"). Only fc8's bias belongs to no column: P().
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
    """Send this process's rows (`local_rows`) of a batch of host arrays to its devices.

    Each array is (rows, ...); the result is the whole batch, (B, ...), split over "data". The rows
    divide over the process's parts of the batch.
    """
    sharding = batch_sharding(mesh)
    parts = len(_parts_here(mesh))

    def put(x) -> jax.Array:  # where two processes share a pair of columns, JAX cannot guess
        size = len(x) // parts * mesh.shape[DATA]
        return jax.make_array_from_process_local_data(sharding, x, (size, *x.shape[1:]))

    return jax.tree.map(put, batch)


def put_everywhere(mesh: Mesh, tree):
    """Send small host values, the same in all processes, to every device."""
    return jax.tree.map(lambda value: _put(np.asarray(value), everywhere(mesh)), tree)


def put_like(like, tree):
    """Send host values to the devices that hold `like`, a tree of arrays of the same shapes.

    Every process has all the values, and sends those of its own devices.
    """
    return jax.tree.map(lambda old, x: _put(np.asarray(x, old.dtype), old.sharding), like, tree)


def _put(value: np.ndarray, sharding: NamedSharding) -> jax.Array:
    return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])


def everywhere(mesh: Mesh) -> NamedSharding:
    """Return the sharding of an array of which every device has a full copy."""
    return NamedSharding(mesh, P())


def whole(mesh: Mesh, x: jax.Array) -> np.ndarray:
    """Return a whole array on the host, whatever its sharding; all processes must call this."""
    return np.asarray(x if x.is_fully_addressable else _gather(mesh)(x))


@functools.cache  # compiled once, not for each validation
def _gather(mesh: Mesh):
    return jax.jit(lambda x: x, out_shardings=everywhere(mesh))


def local_rows(mesh: Mesh, batch_size: int) -> slice:
    """Return the rows of a batch that this process reads.

    Processes that hold columns of the same images read the same rows.
    """
    mine = _parts_here(mesh)
    rows = batch_size // mesh.shape[DATA]
    if not mine:
        raise ConfigError(
            f"mesh {dict(mesh.shape)} leaves process {jax.process_index()} without a device: "
            "mesh.data=-1 takes all"
        )
    if mine != list(range(mine[0], mine[-1] + 1)):
        raise ConfigError(f"this process holds parts {mine} of the batch, which are not neighbours")
    return slice(mine[0] * rows, (mine[-1] + 1) * rows)


def _parts_here(mesh: Mesh) -> list[int]:
    """Return which parts of the batch have a device of this process."""
    here = jax.process_index()
    return [k for k, row in enumerate(mesh.devices) if any(d.process_index == here for d in row)]
