"""GPUs given only by a description: XLA compiles for them, so that the program can be read."""

import jax
from jax.experimental import topologies

# From NVIDIA's data sheet and CUDA's device query of an H100 SXM; XLA's GpuTargetConfigProto.
H100 = """
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 10 }
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  memory_bandwidth: 3352320000000 device_memory_size: 84942979072 l2_cache_size: 52428800
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  registers_per_block_limit: 65536 registers_per_core_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
}
"""


def devices(count: int) -> list[jax.Device]:
    """Return `count` described H100s of one machine, to compile for.

    Raises:
      RuntimeError: JAX's CUDA plugin (requirements-gpu.txt) is not installed.
    """
    try:
        described = topologies.get_topology_desc(
            "described", platform="cuda", topology=f"1x1x{count}", target_config=H100
        )
    except Exception as error:  # which exception depends on what is missing
        raise RuntimeError(
            f"cannot compile for a described GPU ({error}): install requirements-gpu.txt, and on "
            "a machine without a GPU set JAX_PLATFORMS=cpu"
        ) from error
    return list(described.devices)
