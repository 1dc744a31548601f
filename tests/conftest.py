"""Settings of all tests: no silent change of dtype or rank, warnings are errors, four devices.

The tests, and the processes that they start, run on the CPU whatever else the machine has.
"""

import atexit
import importlib.metadata
import os
import shutil
import signal
import tempfile

# Set before JAX reads them, and inherited by what a test starts: pytest's workers, the commands.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# XLA takes most of the suite's time. So it optimizes little, and all processes share a cache.
if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    if importlib.metadata.version("jaxlib").startswith("0.10."):  # newer ones stop at this flag
        os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"  # a third of the time
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="alexnet_jax_compiled_")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")

import jax
import pytest

# A shell starts a background job with SIGINT ignored, nohup with SIGHUP, and the program leaves
# ignored signals alone. The tests and the processes that they start begin as in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def devices():
    """Four virtual CPU devices."""
    found = jax.devices()
    assert jax.config.jax_platforms == "cpu"
    assert len(found) == 4
    return found


def pytest_collection_modifyitems(items):
    """Mark whole runs as slow, and begin with slow files, so that the workers end together."""
    for item in items:
        if item.path.parent.name == "runs":
            item.add_marker("slow")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
