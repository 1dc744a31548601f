"""A checkpoint after some minutes without one, however slow the steps are."""

import json

import pytest

from alexnet_jax.run import config as configs
from tests.support import commands, tiny


@pytest.mark.parametrize(("minutes", "kept"), [(1e-9, {"5", "6"}), (15.0, {"6"}), (0.0, {"6"})])
def test_a_checkpoint_is_written_by_the_clock(tmp_path, minutes, kept):
    """checkpoint.every_minutes counts beside every_steps; 0 is off."""
    tiny.write_images(tmp_path)
    every = {"checkpoint.every_steps": 0, "checkpoint.every_minutes": minutes}
    done = commands.run("main", *tiny.run_flags(tmp_path, tmp_path / "run", epochs=1, **every))
    assert done.code == 0, done.err  # six steps, a line of the log after each
    names = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert {name for name in names if name.isdigit()} == kept


def test_an_older_run_is_the_same_run(tmp_path):
    """A run of a version without the field goes on by the same command."""
    new = configs.recipe("ilsvrc2012")
    values = json.loads(configs.to_json(new))
    del values["checkpoint"]["every_minutes"]
    older = configs.complete(configs.from_json(json.dumps(values)))
    assert older.checkpoint.every_minutes == 0.0 and new.checkpoint.every_minutes == 15.0
    assert configs.differences(older, new) == []
