"""All tests run strict: no silent change of dtype or rank, no warning overlooked, four devices."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def devices():
    """Four virtual CPU devices."""
    found = jax.devices()
    assert len(found) == 4
    return found
