"""Checkpoints: the same bits back, the right ones kept, and damage found before it is used."""

import dataclasses
import errno
import functools
import gc
import json
import os
import pathlib
import re
import resource
import shutil
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorstore

from alexnet_jax.errors import CheckpointError, TrainingError
from alexnet_jax.net import resolving
from alexnet_jax.run import checkpoint
from alexnet_jax.run.checkpoint import Checkpoints, array_sums
from alexnet_jax.step import create
from alexnet_jax.step.state import NetState, TrainState, abstract_net
from alexnet_jax.system import sharding
from tests.support import tiny
from tests.support.power import Synced

# When one read of a damaged checkpoint fails, Orbax abandons the others: the commands hush them.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
CONFIG = tiny.config(pathlib.Path("nowhere"), model__classes=3, mesh__data=1, mesh__group=2)


@pytest.fixture(scope="module", autouse=True)
def _abandoned_reads_end_here():
    yield
    gc.collect()


@functools.cache
def setting():
    net = resolving.resolve(CONFIG.model)
    mesh = sharding.make_mesh(CONFIG.mesh, net.columns, CONFIG.batch_size)
    like = create.abstract_state(CONFIG, net, mesh)
    return like, create.create_state(CONFIG, net, mesh)


def state_at(step: int) -> TrainState:
    """Return a state whose every array is of this step alone."""

    def draw(path, x):
        if x.dtype == jnp.int32:
            new = np.asarray(step, np.int32)
        elif jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            new = jax.random.key(step)
        else:
            rng = np.random.default_rng([step, *jax.tree_util.keystr(path).encode()])
            new = rng.normal(size=x.shape).astype(np.float32)
        return jax.device_put(new, x.sharding)

    return jax.tree_util.tree_map_with_path(draw, setting()[1])


def restore(workdir, which="latest"):
    with Checkpoints(workdir) as checkpoints:
        return checkpoints.restore(setting()[0], which)


def save(workdir, *saves: tuple[int, float | None]) -> list[int]:
    """Save (step, error) one after the other and return the steps that are kept."""
    with Checkpoints(workdir) as checkpoints:
        for step, error in saves:
            checkpoints.save(state_at(step), None if error is None else {"top1_error": error})
        checkpoints.wait()
        return checkpoints.steps()


def same(a, b) -> bool:
    return tiny.bits(a) == tiny.bits(b)


def test_a_saved_checkpoint_is_on_disk(tmp_path, monkeypatch):
    of_arrays = ("ocdbt.process_0", "d", "manifest.ocdbt")  # TensorStore brings these there
    synced = Synced(monkeypatch, tmp_path)
    save(tmp_path, (1, 0.5))
    lost = [path.relative_to(tmp_path) for path in synced.lost(tmp_path / "checkpoints")]
    assert not [path for path in lost if not set(path.parts) & set(of_arrays)]


def contents(folder: pathlib.Path) -> dict[pathlib.Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder with whole checkpoints of steps 1 and 2; not to be changed, but copied."""
    workdir = tmp_path_factory.mktemp("two")
    assert save(workdir, (1, 0.5), (2, 0.6)) == [1, 2]
    return workdir


@pytest.mark.slow
def test_same_bits_back(two):
    back = restore(two)
    assert same(back, state_at(2)) and not same(back, state_at(1))
    assert jnp.issubdtype(back.key.dtype, jax.dtypes.prng_key)
    for x, like in zip(jax.tree.leaves(back), jax.tree.leaves(setting()[0]), strict=True):
        assert x.sharding == like.sharding and x.dtype == like.dtype
    draws = [jax.random.normal(state.key, (3,)).tobytes() for state in (back, state_at(2))]
    assert draws[0] == draws[1]


def test_special_numbers_come_back_as_they_are(tmp_path):
    state = state_at(1)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32)  # the last is subnormal
    bias = state.params["fc8"]["bias"]
    state.params["fc8"]["bias"] = jax.device_put(np.resize(odd, bias.shape), bias.sharding)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
    assert same(restore(tmp_path), state)


def test_latest_two_and_best_are_kept(tmp_path):
    errors = [(1, 0.9), (2, 0.3), (3, 0.6), (4, 0.5), (5, 0.7)]
    assert save(tmp_path, *errors) == [2, 4, 5]
    assert save(tmp_path, (6, None), (7, None)) == [2, 6, 7]  # between validations
    for which, step in (("latest", 7), ("best", 2), (6, 6)):
        assert same(restore(tmp_path, which), state_at(step))
    for which in (3, 8):
        with pytest.raises(CheckpointError, match=rf"no checkpoint {which} in .*: 2, 6, 7$"):
            restore(tmp_path, which)


def test_the_best_of_equals_is_the_latest(tmp_path):  # as the report and the sweeps count on
    assert save(tmp_path, *enumerate((0.3, 0.2, 0.2, 0.25, 0.26), start=1)) == [3, 4, 5]
    assert same(restore(tmp_path, "best"), state_at(3))


def test_a_reader_leaves_alone_what_the_run_is_writing(two, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(two, workdir)
    half = workdir / "checkpoints" / "3.orbax-checkpoint-tmp" / "state"
    half.mkdir(parents=True)
    (half / "written").write_bytes(b"half")
    (half.parent / "metrics").mkdir()
    (half.parent / "metrics" / "metrics").write_bytes(b'{"top1_')
    before = contents(workdir)
    with Checkpoints(workdir, read_only=True) as checkpoints:
        assert checkpoints.steps() == [1, 2]
        assert same(checkpoints.restore(setting()[0], "best"), state_at(1))
        assert same(checkpoints.restore(setting()[0]), state_at(2))
    assert contents(workdir) == before
    with Checkpoints(workdir) as checkpoints:  # the run itself, which was killed there
        assert checkpoints.steps() == [1, 2]
    deadline = time.monotonic() + 30
    while half.exists() and time.monotonic() < deadline:  # it is taken away in the background
        time.sleep(0.05)
    assert not half.exists()


def test_a_net_alone_is_read_without_the_velocity(two, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(two, workdir)
    store = {"driver": "ocdbt", "base": f"file://{workdir / 'checkpoints' / '2' / 'state'}/"}
    files = tensorstore.KvStore.open(store).result()
    others = [key for key in files.list().result() if not key.startswith((b"params.", b"step"))]
    assert any(key.startswith(b"opt_state.velocity.fc6.kernel") for key in others)
    for key in others:
        files.write(key, b"damaged").result()
    like = abstract_net(resolving.resolve(CONFIG.model), setting()[1].step.sharding.mesh)
    with Checkpoints(workdir, read_only=True) as checkpoints:
        net = checkpoints.restore(like, 2)
    state = state_at(2)
    assert same(net, NetState(state.step, state.params, state.batch_stats))
    for x, expected in zip(jax.tree.leaves(net), jax.tree.leaves(like), strict=True):
        assert x.sharding == expected.sharding
    with pytest.warns(
        UserWarning, match="2 (is damaged|cannot be read) and is not used"
    ):  # the whole state is not
        assert same(restore(workdir), state_at(1))


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert restore(tmp_path) is None
    with pytest.raises(CheckpointError, match="there are: none"):
        restore(tmp_path, "best")


def test_step_saved_on_a_signal_is_saved_again_with_its_validation(tmp_path):
    assert save(tmp_path, (1, 0.5), (2, None)) == [1, 2]
    assert save(tmp_path, (2, 0.4)) == [1, 2]
    assert same(restore(tmp_path, "best"), state_at(2))


def test_the_state_may_be_given_up_once_save_returns(tmp_path):
    state, expected = state_at(1), tiny.bits(state_at(1))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
        assert checkpoints.steps() == [1]  # one under way counts: it is not to be saved twice
        jax.tree.map(lambda x: x.delete(), state)
        del state
    assert tiny.bits(restore(tmp_path)) == expected


def test_array_sums_see_any_one_bit():
    state = state_at(1)
    before = array_sums(state)
    assert before == array_sums(state_at(1))
    kernel = np.array(state.params["fc6"]["kernel"])
    kernel.view(np.uint32).flat[123] ^= 1  # the last bit of one weight
    params = {**state.params, "fc6": {**state.params["fc6"], "kernel": jnp.asarray(kernel)}}
    assert array_sums(dataclasses.replace(state, params=params)) != before


def truncated(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 64):  # wherever the numbers lie, some are hit
        data[place] ^= 0x10
    path.write_bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [truncated, flipped, pathlib.Path.unlink])
def test_damage_to_any_file_is_harmless_or_named_and_the_one_before_used(two, tmp_path, damage):
    files = [path.relative_to(two) for path in contents(two / "checkpoints" / "2")]
    expected = {step: tiny.bits(state_at(step)) for step in (1, 2)}
    noticed = 0
    for number, file in enumerate(files):
        workdir = tmp_path / str(number)
        shutil.copytree(two, workdir)
        damage(workdir / file)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = tiny.bits(restore(workdir))
        said = [str(w.message) for w in caught if "is not used" in str(w.message)]
        assert found == expected[1 if said else 2], file
        assert len(said) <= 1
        if said:
            noticed += 1
            assert f"{workdir / 'checkpoints' / '2'} " in said[0]
            assert "\n" not in said[0] and not re.search(
                "tensorstore_?arch|pybind11|slice", said[0]
            )
            if number % 4 == 0:  # and the run can save that step again
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    save(workdir, (2, 0.4))
                assert tiny.bits(restore(workdir)) == expected[2]
    assert noticed >= 3


def test_after_a_damaged_one_the_steps_before_it_are_saved(two, tmp_path):
    save(tmp_path, (1, 0.5), (6, 0.6))
    for path in contents(tmp_path / "checkpoints" / "6" / "state"):
        truncated(path)
    with pytest.warns(UserWarning, match="6 (is damaged|cannot be read) and is not used"):
        assert same(restore(tmp_path), state_at(1))
    assert 3 in save(tmp_path, (3, None)) and 4 in save(tmp_path, (4, 0.4))
    with pytest.warns(UserWarning, match="6 (is damaged|cannot be read) and is not used"):
        assert same(restore(tmp_path), state_at(4))
    assert same(restore(tmp_path, "best"), state_at(4))
    assert save(tmp_path, (6, 0.45), (7, None)) == [4, 6, 7]
    assert same(restore(tmp_path), state_at(7)) and same(restore(tmp_path, 6), state_at(6))


def test_another_runs_checkpoint_is_refused(tmp_path):
    def run(name, which="latest"):
        with Checkpoints(tmp_path / name, f"hash of {name}", str(tmp_path / "both")) as found:
            return found.restore(setting()[0], which)

    with Checkpoints(tmp_path / "a", "hash of a", str(tmp_path / "both")) as checkpoints:
        checkpoints.save(state_at(1), {"top1_error": 0.5})
    assert same(run("a"), state_at(1))
    for which in ("latest", "best", 1):
        with pytest.raises(CheckpointError, match="both/1 is of a run with another config"):
            run("b", which)


def test_nothing_readable_is_one_error(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    for path in contents(tmp_path / "run" / "checkpoints"):
        truncated(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(CheckpointError, match=r"checkpoint of 2, 1 in .* can be read") as error:
            restore(tmp_path / "run")
    assert "\n" not in str(error.value)
    assert sum("is not used" in str(w.message) for w in caught) == 2


def test_of_a_damaged_one_that_was_asked_for_the_others_are_named(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    for path in contents(tmp_path / "run" / "checkpoints" / "1"):
        if path.name != "metrics":
            truncated(path)
    for which in ("best", 1):
        with pytest.warns(UserWarning, match="not used"), pytest.raises(CheckpointError) as error:
            restore(tmp_path / "run", which)
        said = "of 1 in .* can be read; there are also 2: --checkpoint=2 or latest$"
        assert re.search(said, str(error.value)) and "delete" not in str(error.value)
    assert same(restore(tmp_path / "run", 2), state_at(2))


def test_a_failed_write_is_an_error_and_leaves_the_earlier_ones(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    before = contents(tmp_path / "run")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Checkpoints(tmp_path / "run") as checkpoints:
        state = state_at(3)
        # A file that may not grow any further: what a full disk is to a program.
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        try:
            checkpoints.save(state)
            with pytest.raises(CheckpointError, match="could not be written to") as error:
                checkpoints.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert "\n" not in str(error.value) and str(error.value).endswith("fix that and run again")
        after = contents(tmp_path / "run")
        assert {path: after.get(path) for path in before} == before
        assert checkpoints.steps() == [1, 2]
        checkpoints.save(state)  # there is room again
        checkpoints.wait()
        assert checkpoints.steps() == [1, 2, 3]  # 1 is the best
    assert same(restore(tmp_path / "run"), state_at(3))


def test_a_full_disk_names_the_checkpoint_whose_write_failed(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Checkpoints(tmp_path / "run") as checkpoints:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        try:
            checkpoints.save(state_at(3))
            with pytest.raises(CheckpointError) as error:
                checkpoints.save(state_at(4))  # it waits for the one before, which failed
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"checkpoint 3 could not be written to {tmp_path / 'run' / 'checkpoints'}: " in str(
        error.value
    )


def test_a_write_that_fails_while_the_run_ends_names_its_checkpoint(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def run() -> None:
        with Checkpoints(tmp_path / "run") as checkpoints:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
            checkpoints.save(state_at(3))
            raise TrainingError("of the log, on the same disk")

    try:
        with pytest.raises(CheckpointError, match=r"^checkpoint 3 could not be written"):
            run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "free some space"), (errno.EDQUOT, "free some space"), (errno.EROFS, "fix")],
)
def test_space_is_advised_where_space_lacks(number, advice):
    error = OSError(number, f"{'/a/long/path' * 99}: {os.strerror(number)}")
    said = checkpoint._not_written(pathlib.Path("run"), 3, error)
    assert os.strerror(number) in said and advice in said


def edited(path: pathlib.Path, **changes) -> None:
    """Change values of a JSON file, None: remove them."""
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"config_hash": "of another"},
        {"sums": None},
        {"metrics": {"top1_error": 0.01}},
        {"checksum": None},
        {"checksum": None, "check5um": "x"},
    ],
)
def test_damaged_metadata_lead_to_the_checkpoint_before(two, tmp_path, changes):
    shutil.copytree(two, tmp_path / "run")
    edited(tmp_path / "run" / "checkpoints" / "2" / "meta" / "metadata", **changes)
    with pytest.warns(UserWarning, match="2 is damaged and is not used: its metadata have not the"):
        assert same(restore(tmp_path / "run"), state_at(1))


def test_a_copy_of_another_step_is_not_taken_for_the_latest(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    shutil.copytree(two / "checkpoints" / "1", tmp_path / "run" / "checkpoints" / "7")
    with pytest.warns(UserWarning, match="7 cannot be read and is not used: it is a copy of .* 1$"):
        assert same(restore(tmp_path / "run"), state_at(2))


@pytest.mark.parametrize("text", ['{"top1_error": 0.001}', "", '{"top1_err', "[1]", '"x"'])
def test_the_best_is_that_of_the_metrics_under_the_checksum(two, tmp_path, text, caplog):
    """And a reader, who finds it too, changes nothing."""
    shutil.copytree(two, tmp_path / "run")
    for step in (1, 2):
        (tmp_path / "run" / "checkpoints" / str(step) / "metrics" / "metrics").write_text(text)
    before = contents(tmp_path / "run")
    caplog.clear()
    with Checkpoints(tmp_path / "run", read_only=True) as reader:
        assert not caplog.records  # Orbax warns of what was asked for
        assert same(reader.restore(setting()[0], "best"), restore(two, "best"))
    assert contents(tmp_path / "run") == before
    with Checkpoints(tmp_path / "run") as writer:
        assert same(writer.restore(setting()[0], "best"), restore(two, "best"))
    assert contents(tmp_path / "run") == {
        tmp_path / "run" / path.relative_to(two): data for path, data in contents(two).items()
    }


def test_the_best_of_an_older_version_is_that_of_its_metrics(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    for step in (1, 2):
        meta = tmp_path / "run" / "checkpoints" / str(step) / "meta" / "metadata"
        edited(meta, metrics=None, checksum=None)
    for which in ("best", "latest"):
        assert same(restore(tmp_path / "run", which), restore(two, which))
