"""All tests run strict: no silent change of dtype or rank, no warning overlooked, four devices.

They run on the CPU whatever else the machine has, the processes that they start too.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before JAX reads it

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from alexnet_jax.inference import predictor
from alexnet_jax.step import train_step
from alexnet_jax.system.sharding import compiler_options

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


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory):
    """Let all runs of this file share what they compile, and compile it in half the time.

    Also with the files before it, but not with pytest's other process, which may be writing.
    """
    options = {
        "jax_compilation_cache_dir": str(tmp_path_factory.getbasetemp() / "compiled"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    quick = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    patch = pytest.MonkeyPatch()
    for module in (predictor, train_step):
        patch.setattr(module, "compiler_options", lambda mesh: {**compiler_options(mesh), **quick})
    before = {name: getattr(jax.config, name) for name in options}
    for values in (options, before):
        for name, value in values.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        if values is options:
            yield
    patch.undo()
