"""Paths and versions that a checkpoint does not survive, and those that it does."""

import dataclasses
import gc

import jax
import jax.numpy as jnp
import pytest

from alexnet_jax.errors import CheckpointError
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.step.state import NetState

# When one read of a checkpoint fails, Orbax abandons the others: the commands hush them.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _abandoned_reads_end_here():
    yield
    gc.collect()


def net(dtype=jnp.float32) -> NetState:
    return NetState(jnp.zeros((), jnp.int32), {"fc8": {"bias": jnp.ones(3, dtype)}}, {})


def like(state: NetState) -> NetState:
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), state)


@pytest.mark.parametrize("name", ["lr[0.01]", "seed*", "which?", "back\\slash", "latin\udce9"])
def test_a_path_that_would_lose_the_checkpoints_is_refused(tmp_path, name):
    """A folder whose checkpoints could not be read again is refused before the first step."""
    with pytest.raises(CheckpointError, match="checkpoints cannot be in") as error:
        Checkpoints(tmp_path / name)
    said = str(error.value)
    assert "\n" not in said and "another --workdir" in said and "damaged" not in said
    assert not list(tmp_path.rglob("*.trial*"))


@pytest.mark.parametrize("name", ["with space", "größe", "a#b", "50%25", "a=b,c", "it's", "{a,b}"])
def test_a_path_with_harmless_signs_works(tmp_path, name):
    """A folder with spaces, accents and other signs keeps its checkpoints."""
    with Checkpoints(tmp_path / name) as checkpoints:
        checkpoints.save(net(), {"top1_error": 0.5})
        checkpoints.wait()
    with Checkpoints(tmp_path / name, read_only=True) as checkpoints:
        assert checkpoints.restore(like(net())).params["fc8"]["bias"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (net(jnp.float16), "its params.fc8.bias is float32 (3,); this run asks for float16 (3,)"),
        (
            dataclasses.replace(net(), params={"fc8": {"bias": jnp.ones(4)}}),
            "its params.fc8.bias is float32 (3,); this run asks for float32 (4,)",
        ),
        (
            dataclasses.replace(net(), batch_stats={"norm1": jnp.ones(3)}),
            "its batch_stats.norm1 is not there; this run asks for float32 (3,)",
        ),
        (
            dataclasses.replace(net(), params={"fc7": {"bias": jnp.ones(3)}}),
            "its params.fc7.bias is not there; this run asks for float32 (3,)",
        ),
    ],
    ids=["dtype", "shape", "version", "layers"],
)
def test_a_whole_checkpoint_of_other_arrays_is_not_called_damaged(tmp_path, other, said):
    """A checkpoint of another dtype, shape, version or layer is named as that, not as damaged."""
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(net())
        checkpoints.wait()
        with pytest.raises(CheckpointError) as error:
            checkpoints.restore(like(other))
    assert said in str(error.value) and "damaged" not in str(error.value)
    assert "delete" not in str(error.value)
