"""Weights into a run's folder and out of one, and what a failure leaves."""

import dataclasses
import json
import os
import stat

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.errors import CheckpointError, DataError, WeightsError
from alexnet_jax.net import resolving
from alexnet_jax.run import config as configs
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.restore import restore
from alexnet_jax.step.create import abstract_state
from alexnet_jax.weights import files, layout
from alexnet_jax.weights.container import Weights
from alexnet_jax.weights.exporting import export_weights
from alexnet_jax.weights.importing import import_weights
from alexnet_jax.weights.mean import read_mean
from alexnet_jax.weights.runs import read_run
from tests.support import commands, tiny, weight_files
from tests.support.narrow_nets import draw_images, run
from tests.support.weight_files import bgr, blob, caffemodel


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_images(tmp_path_factory.mktemp("data"))


def tiny_config(folder, **changes):
    """The tiny run's, for as many CPU devices as the tests have."""
    return tiny.config(folder, mesh__cpu_devices=1, **changes)


def tiny_net(config, classes=3):
    return resolving.resolve(config.model, classes)


def imported(folder, tmp_path, name="caffe", mean=None, **changes):
    """Import drawn weights; return (weights, config, workdir)."""
    recipe = tiny_config(folder, model__arch=name, **changes)
    tensors = weight_files.draw_tensors(tiny_net(recipe))
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel(bgr(tensors), old=True, order=()))
    weights = files.read(path)
    if mean is not None:
        (tmp_path / "mean.binaryproto").write_bytes(blob(mean[None], old=True))
        mean = read_mean(tmp_path / "mean.binaryproto", size=256, bgr=True)
        weights = dataclasses.replace(weights, mean=mean)
    config, _ = import_weights(weights, recipe, tmp_path / "run", name)
    return weights, config, tmp_path / "run"


def test_an_imported_run_holds_the_weights_and_their_mean(folder, tmp_path):
    mean = np.random.default_rng(0).uniform(90, 130, (3, 256, 256)).astype(np.float32)
    weights, config, workdir = imported(folder, tmp_path, mean=mean)
    assert config.data.mean == "file" and config.data.mean_file == "mean_image.npy"
    assert config.model.classes == 3
    moved = workdir.rename(tmp_path / "moved")  # all that it needs is in its folder
    found = restore(moved)
    np.testing.assert_array_equal(found.pixel_stats["mean"], mean[::-1].transpose(1, 2, 0))
    tensors = layout.to_torch(found.arch, jax.device_get(found.state.params), {})
    for name, value in weights.tensors.items():
        np.testing.assert_array_equal(tensors[name], value)
    assert int(found.state.step) == 0
    like = abstract_state(config, found.arch, found.mesh)
    with Checkpoints(moved, read_only=True) as checkpoints:
        velocity = checkpoints.restore(like).opt_state.velocity
    assert jax.tree.leaves(velocity) and not any(v.any() for v in jax.tree.leaves(velocity))


def test_the_caffe_values_are_the_mean_where_none_is_given(folder, tmp_path):
    _, config, workdir = imported(folder, tmp_path)
    assert config.data.mean == "values" and tuple(config.data.mean_values) == (123, 117, 104)
    assert tuple(config.data.divide_by) == (1, 1, 1)
    assert not (workdir / "mean_image.npy").exists()


def test_a_file_of_the_version_that_said_spec_is_read(folder, tmp_path):
    config = tiny_config(folder, model__lrn__k=1.5)
    mean = np.array([100, 110, 120], np.float32)
    drawn = weight_files.draw_tensors(tiny_net(config))
    import_weights(Weights("drawn", drawn, ("paper",), mean=mean), config, tmp_path / "run")
    new, old = tmp_path / "new.safetensors", tmp_path / "old.safetensors"
    header = export_weights(read_run(tmp_path / "run"), new)
    model = json.loads(header.pop("model"))
    assert "spec" not in model and "spec" not in header
    header |= {"spec": header.pop("arch"), "model": json.dumps(model | {"spec": model["arch"]})}
    header["model"] = header["model"].replace('"arch": "paper", ', "", 1)
    assert "arch" not in header["model"]
    save_file(files.read(new).tensors, old, header)
    assert files.read(old).model == files.read(new).model
    assert files.read(old).archs == files.read(new).archs == ("paper",)


@pytest.mark.parametrize(
    ("name", "size"), [("paper", 256), ("owt", 256), ("six_conv", 80), ("cifar26", 80)]
)
def test_export_and_import_are_bit_exact(name, size, folder, tmp_path):
    has_norm = name in ("paper", "six_conv")
    changed = {"model__lrn__k": 1.5} if has_norm else {"model__dropout__rate": 0.5}
    config = tiny_config(folder, model__arch=name, **changed)
    net, rng = tiny_net(config), np.random.default_rng(3)
    mean = rng.uniform(90, 130, (size, size, 3)).astype(np.float32)
    drawn = Weights("drawn", weight_files.draw_tensors(net), (name,), mean=mean)
    drawn = dataclasses.replace(drawn, divide_by=(58.395, 57.12, 57.375))
    import_weights(drawn, config, tmp_path / "first")
    first = read_run(tmp_path / "first")
    header = export_weights(first, tmp_path / "net.safetensors")
    weights = files.read(tmp_path / "net.safetensors")
    made, again = import_weights(weights, tiny_config(folder), tmp_path / "second")
    second = read_run(tmp_path / "second")
    assert again == net and configs.flattened(made).items() >= {
        (field.replace("__", "."), value) for field, value in changed.items()
    }
    for found in (first, weights, second):
        assert tiny.bits(found.tensors) == tiny.bits(drawn.tensors)
        assert found.divide_by == drawn.divide_by
        np.testing.assert_array_equal(found.mean, mean)
    assert made.data.size == size and header["size"] == str(size)
    assert header["arch"] == name and header["classes"] == "3" and header["image_size"] == "67"
    assert json.loads(header["keep"]) == (0.5 if has_norm else 1.0)  # owt's dropout is inverted
    np.testing.assert_allclose(json.loads(header["mean"]), mean.mean((0, 1)), rtol=1e-4)
    with safe_open(tmp_path / "net.safetensors", framework="numpy") as file:
        assert file.metadata() == header
        np.testing.assert_array_equal(file.get_tensor("mean_image"), mean.transpose(2, 0, 1))
        assert file.get_tensor("features.0.weight" if name == "owt" else "conv1.weight").size


def test_a_centre_mean_goes_out_and_comes_back_as_one(folder, tmp_path):
    rng = np.random.default_rng(7)
    mean = rng.uniform(90, 130, (256, 256, 3)).astype(np.float32)
    config = tiny_config(folder)
    tensors = weight_files.draw_tensors(tiny_net(config))
    drawn = Weights("drawn", tensors, ("paper",), mean=mean, extra={"mean_of": "centre"})
    made, _ = import_weights(drawn, config, tmp_path / "first")
    assert made.data.mean == "centre_file"
    first = read_run(tmp_path / "first")
    assert export_weights(first, tmp_path / "net.safetensors")["mean_of"] == "centre"
    import_weights(files.read(tmp_path / "net.safetensors"), config, tmp_path / "second")
    for name in ("first", "second"):
        pixel_stats = restore(tmp_path / name).pixel_stats
        assert "mean" not in pixel_stats
        np.testing.assert_array_equal(pixel_stats["centre_mean"], mean)


def another_mean(workdir):
    """Let a run that was imported with the mean of three values have had that of its images."""
    text = (workdir / "config.json").read_text().replace('"mean": "values"', '"mean": "image"')
    (workdir / "config.json").write_text(text)
    (workdir / "metrics.jsonl").touch()  # as a run that was trained
    meta = workdir / "checkpoints" / "0" / "meta" / "metadata"
    said = json.loads(meta.read_text())
    del said["checksum"], said["metrics"]  # as an older version wrote it
    said["config_hash"] = configs.fingerprint(configs.from_json(text))
    meta.write_text(json.dumps(said))


def test_an_export_knows_the_mean_and_the_classes_of_the_data(folder, tmp_path):
    _, config, workdir = imported(folder, tmp_path)
    dataset = prepare(config.data)
    another_mean(workdir)
    weights = read_run(workdir)
    np.testing.assert_array_equal(weights.mean, dataset.statistics.mean_image)
    assert json.loads(weights.extra["class_names"]) == list(tiny.COLOURS)
    # Other images lose the mean of those that the net was trained on, too.
    other = tiny.write_images(tmp_path / "other")
    for path in (other / "images" / "train" / "ant").glob("*[1-9].jpg"):
        path.unlink()
    found = restore(workdir)
    assert found.images(str(other / "images")).directory != dataset.directory
    np.testing.assert_array_equal(found.pixel_stats["mean"], weights.mean)


def test_an_export_needs_the_data_only_for_their_mean(folder, tmp_path):
    _, _, workdir = imported(folder, tmp_path)
    config_text = (workdir / "config.json").read_text()
    (workdir / "config.json").write_text(config_text.replace(str(folder), "/nowhere"))
    weights = read_run(workdir)
    assert weights.mean.tolist() == [123, 117, 104]
    another_mean(workdir)
    with pytest.raises(DataError, match="that of its data, which are gone"):
        read_run(workdir)
    assert read_run(workdir, with_mean=False).mean is None
    with pytest.raises(CheckpointError, match="no checkpoint 7"):
        read_run(workdir, 7, with_mean=False)


def test_another_net_is_refused_layer_by_layer(folder, tmp_path):
    recipe = tiny_config(folder)
    tensors = weight_files.draw_tensors(tiny_net(tiny_config(folder, model__arch="owt")))
    save_file(tensors, tmp_path / "net.safetensors")
    weights = files.read(tmp_path / "net.safetensors")
    weights = dataclasses.replace(weights, mean=np.zeros(3, np.float32))
    with pytest.raises(WeightsError, match=r"does not say which net.*--arch=paper or --arch="):
        import_weights(weights, recipe, tmp_path / "run")
    with pytest.raises(WeightsError) as caught:
        import_weights(weights, recipe, tmp_path / "run", "caffe")
    said = str(caught.value)
    assert "is no net of arch caffe: conv1.bias expected (2,), found (2,)" not in said
    assert "conv2.weight expected" in said and "more" in said and "\n" not in said
    assert not list(tmp_path.glob("*run*")) and not list(tmp_path.glob(".run*"))


def test_a_missing_mean_is_asked_for(folder, tmp_path):
    save_file(weight_files.draw_tensors(tiny_net(tiny_config(folder))), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="give it by --mean"):
        import_weights(
            files.read(tmp_path / "a.safetensors"), tiny_config(folder), tmp_path / "run", "paper"
        )


@pytest.mark.parametrize(
    "model",
    [
        {"arch": "paper", "depth": 9},
        {"arch": "paper", "width": "wide"},
        {"arch": "paper", "lrn": 3},
        {"arch": "resnet"},
        {"arch": "paper", "size": "-5"},
        {"arch": "paper", "divide_by": "[1e-300, 1, 1]"},
    ],
    ids=str,
)
def test_a_header_that_asks_for_what_no_net_has_is_refused(model, folder, tmp_path):
    header = {"mean": "[0, 0, 0]", "divide_by": "[1, 1, 1]"}
    header |= {name: model.pop(name) for name in ("size", "divide_by") if name in model}
    header["model"] = json.dumps(model)
    save_file(
        weight_files.draw_tensors(weight_files.net_of("paper")), tmp_path / "a.safetensors", header
    )
    with pytest.raises(WeightsError, match=r"a\.safetensors (cannot be|sets config)"):
        import_weights(
            files.read(tmp_path / "a.safetensors"), tiny_config(folder), tmp_path / "run"
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors"]


def test_nothing_half_written_is_left(folder, tmp_path, monkeypatch):
    def fail(self):
        raise CheckpointError("the disk is full")

    monkeypatch.setattr(Checkpoints, "wait", fail)
    with pytest.raises(CheckpointError, match="full"):
        imported(folder, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["net.caffemodel"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").touch()
    with pytest.raises(WeightsError, match="not empty"):
        imported(folder, tmp_path)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_an_export_goes_to_a_safetensors_file_and_leaves_no_half(folder, tmp_path):
    weights = imported(folder, tmp_path)[0]
    for out in (tmp_path / "net.pth", tmp_path / "net.caffemodel" / "net.safetensors"):
        with pytest.raises(WeightsError, match=r"ends in .safetensors|could not be written"):
            export_weights(weights, out)
    assert not list(tmp_path.glob("**/*half*"))


def test_the_command_lines(folder, tmp_path):
    recipe = tiny_config(folder, model__arch="caffenet")
    tensors = weight_files.draw_tensors(tiny_net(recipe))
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel(bgr(tensors), old=False, order=("pool1", "norm1")))
    work, prepared = tmp_path / "run", f"--config.data.prepared_dir={folder / 'prepared'}"
    changes = [f"--config.model.{k}={v}" for k, v in (("width", 0.03), ("image_size", 67))]
    made = ended(
        commands.run(
            "weights", "import", path, f"--out={work}", prepared,
            "--config.evaluate.batch_size=4", *changes,
        )
    )  # fmt: skip
    assert made["arch"] == "caffenet" and made["classes"] == 3 and made["mean"] == "values"
    images = f"--data_dir={folder / 'images'}"
    commands.assert_refused("--classes=FILE", "evaluate", f"--workdir={work}", images)
    (tmp_path / "names.txt").write_text("".join(f"{name}\n" for name in tiny.COLOURS))
    names = f"--classes={tmp_path / 'names.txt'}"
    found = ended(commands.run("evaluate", f"--workdir={work}", images, names))
    assert found["images"] == tiny.VALIDATION and 0 <= found["top1_error"] <= 1
    out = tmp_path / "net.safetensors"
    said = ended(commands.run("weights", "export", f"--workdir={work}", f"--out={out}"))
    assert said == {**said, "arch": "caffenet", "classes": 3, "step": 0}
    net = tiny_net(recipe)
    images = draw_images(size=67)
    logits, _ = run(net, layout.from_torch(net, files.read(out).tensors)[0], images)
    expected = weight_files.reference(net, tensors, images)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3 * expected.std())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["import", "nowhere.npy", "--out=x"], "nowhere.npy is not there"),
        (["impart", "--out=x"], "expected import FILE --out=DIR, or export"),
        (
            ["export", "--out=x.safetensors"],
            "expected import FILE --out=DIR, or export --workdir=DIR",
        ),
        (["import", "nowhere.npy"], "--out"),
        (["export", "--workdir=nowhere", "--out=x.safetensors"], "holds no run"),
    ],
)
def test_a_command_line_fails_in_one_line(flags, said):
    commands.assert_refused(said, "weights", *flags)


def ended(done: commands.Done) -> dict:
    """Return the JSON on the last line."""
    assert done.code == 0, done.err
    return json.loads(done.out.splitlines()[-1])


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_an_exported_file_has_the_mode_of_the_umask(umask, mode, tmp_path):
    tensors = weight_files.draw_tensors(weight_files.net_of("caffe"))
    weights = Weights("run", tensors, ("caffe",), mean=np.zeros(3, np.float32))
    before = os.umask(umask)
    try:
        export_weights(weights, tmp_path / "net.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "net.safetensors").stat().st_mode) == mode
