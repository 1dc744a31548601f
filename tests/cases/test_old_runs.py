"""Runs that older versions of the program wrote."""

import json
import pathlib
import shutil

import pytest

from alexnet_jax.errors import ConfigError
from alexnet_jax.run import config as configs
from alexnet_jax.run import folder
from tests.support import commands, tiny, weight_files

# What versions wrote into config.json, and the hash that they stored in the checkpoints.
OLD = [
    json.loads(line)
    for line in pathlib.Path(__file__).with_name("old_configs.jsonl").read_text().splitlines()
]


@pytest.fixture
def written(request, tmp_path):
    """An older version's config, written into a folder in which its run has begun."""
    (tmp_path / "config.json").write_text(json.dumps(request.param["config"]))
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    return request.param


def name(row: dict) -> str:
    return f"{row['recipe']} of {row['commit']}"


@pytest.mark.parametrize("written", OLD, ids=name, indirect=True)
def test_a_config_of_an_older_version_is_its_runs(tmp_path, written):
    """An older version's config.json is read, and its checkpoints are those of its run."""
    config = folder.read_config(tmp_path)
    configs.check(config)
    assert configs.fingerprint(config) == written["hash"]
    folder.check_run(tmp_path, config)


@pytest.mark.parametrize("written", OLD, ids=name, indirect=True)
def test_a_resume_that_is_refused_names_the_fields_and_both_values(tmp_path, written):
    """Another value is refused with the field and both values, whatever the field's name was."""
    now = folder.read_config(tmp_path).unlock()
    arch, now.model.arch = now.model.arch, "owt"
    batch_size, now.batch_size = now.batch_size, 7
    with pytest.raises(ConfigError) as error:
        folder.check_run(tmp_path, now)
    assert f"(batch_size: {batch_size} -> 7; model.arch: '{arch}' -> 'owt')" in str(error.value)


def as_written(config: dict, older: dict) -> dict:
    """Return a config with the fields that an older version's had, by their names then."""
    found = {
        name: as_written(value, older[name]) if isinstance(value, dict) else value
        for name, value in config.items()
        if name in older
    }
    return found | ({"spec": config["arch"]} if "spec" in older else {})


@pytest.mark.slow
@pytest.mark.parametrize("older", OLD[:1] + OLD[2:5], ids=name)
def test_the_commands_read_an_older_versions_run(tmp_path, older):
    """predict, evaluate and export of an older version's run work, and give the same numbers."""
    tiny.write_images(tmp_path)
    weight_files.drawn_run(tmp_path, tmp_path / "new")
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    path.write_text(json.dumps(as_written(json.loads(path.read_text()), older["config"])))
    out, picture = tmp_path / "net.jaxexport", tmp_path / "images" / "val" / "ant" / "0.jpg"
    said = {}
    for run in ("new", "old"):
        workdir = f"--workdir={tmp_path / run}"
        done = [
            commands.run("predict", workdir, "--json", picture),
            commands.run("evaluate", workdir),
            commands.run("export", workdir, f"--out={out}"),
        ]
        assert [each.code for each in done] == [0, 0, 0], done
        row = json.loads(done[1].out.splitlines()[-1])["rows"][0]
        said[run] = done[0].out.splitlines()[0], row["loss"], row["top1_error"]
    assert said["old"] == said["new"]


def test_a_run_without_its_classes_says_how_to_prepare_them(tmp_path):
    """A run of the first days has no classes.json: without its data one line names the command."""
    tiny.write_images(tmp_path)
    weight_files.drawn_run(tmp_path, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["model"]["classes"] = 0
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    (tmp_path / "run" / "classes.json").unlink()
    shutil.rmtree(tmp_path / "prepared", ignore_errors=True)
    said = "prepare them again (python -m alexnet_jax.data.prepare with the run's config.data)"
    commands.assert_refused(said, "analysis.classes", f"--workdir={tmp_path / 'run'}")
