"""Where a benchmark runs: the machine, and the variables by which malloc keeps freed memory."""

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Mapping

# What glibc's malloc reads when a process starts: mallopt(3), M_ARENA_MAX and so on. -1: it never
# trims.
KEPT_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "-1",
}


def with_kept_memory(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which malloc keeps what a training step frees for the next step.

    Otherwise each step on a CPU takes its workspace from the system anew, which clears 144,000
    pages at batch 32 (experiments/README.md, "CPU"). A variable that is set already stays. Nothing
    is added where JAX may have an accelerator: its steps need none of this, and the loader is
    slower with one arena.
    """
    return {**KEPT_MEMORY, **environment} if only_cpu(environment) else dict(environment)


def restart_with_kept_memory() -> None:
    """Start this program again with `with_kept_memory`: malloc reads its variables only once."""
    environment = with_kept_memory(os.environ)
    if environment != os.environ:
        os.execve(sys.executable, sys.orig_argv, environment)


def machine() -> dict:
    """Return the devices, the cores and the width of the processor's vectors, in bits."""
    from alexnet_jax.run.folder import environment  # PyTorch's processes do not load JAX

    return {name: environment()[name] for name in ("devices", "cores", "vector_bits")}


def only_cpu(environment: Mapping[str, str]) -> bool:
    """Return whether JAX can have no device but the CPU, without starting JAX."""
    if asked := environment.get("JAX_PLATFORMS"):
        return asked == "cpu"
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    modules = (importlib.util.find_spec(name) for name in ("jax_plugins", "libtpu"))
    return not (plugins or any(modules) or "TPU_LIBRARY_PATH" in environment)
