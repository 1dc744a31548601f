"""What a config and a listing of the images tell is said before any image is read."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

from alexnet_jax.data.input import feed
from alexnet_jax.data.prepare import prepare as prepare_module
from alexnet_jax.data.prepare.__main__ import report
from alexnet_jax.doctor.examine import examine
from alexnet_jax.errors import UserError
from alexnet_jax.net import resolving
from alexnet_jax.run import config as configs
from alexnet_jax.run import dataset_info
from alexnet_jax.run import folder as run_folder
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.restore import restore
from alexnet_jax.step.state import abstract_net
from alexnet_jax.system import sharding
from alexnet_jax.train import train
from alexnet_jax.weights import layout
from tests.support import tiny


class Preparing(Exception):
    """An image would be read now."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of images whose preparation would raise Preparing."""

    def stop(*_, **__):
        raise Preparing

    monkeypatch.setattr(prepare_module, "Preparation", stop)
    return tiny.write_images(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> pathlib.Path:
    """A folder with the run of a net of zeros on 42 images of three classes."""
    folder = tiny.write_images(tmp_path_factory.mktemp("begun"))
    config = tiny.config(folder)
    dataset = prepare_module.prepare(config.data)
    run_folder.write_run(folder / "run", config)
    dataset_info.keep(folder / "run", dataset, config.data, begun=False)
    arch = resolving.resolve(config.model, 3)
    mesh = sharding.make_mesh(config.mesh, arch.columns, config.batch_size)
    state = jax.tree.map(lambda x: jax.numpy.zeros(x.shape, x.dtype), abstract_net(arch, mesh))
    with Checkpoints(folder / "run", configs.fingerprint(config)) as checkpoints:
        checkpoints.save(state)
        checkpoints.wait()
    return folder


def weights(classes: int, folder: pathlib.Path) -> str:
    """Write a file of weights of the tiny net with so many classes, and return its path."""
    arch = resolving.resolve(tiny.config(folder, model__classes=classes).model)
    tensors = {name: np.ones(shape, np.float32) for name, shape in layout.shapes(arch).items()}
    np.savez(folder / "weights.npz", **tensors)
    return str(folder / "weights.npz")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__classes": 1000}, "model.classes is 1000 but the dataset has 3 classes"),
        ({"model__classes": 2}, "model.classes is 2 but the dataset has 3 classes"),
        ({"init_from": 1000}, "fc8.weight expected (3, 122), found (1000, 122)"),
        ({"init_from": 4, "init_layers": ("fc7", "fc8")}, "--config.init_layers=fc7 leaves them"),
        ({"data__dir": "one"}, "holds one class, 'ant': a net needs at least two"),
    ],
)
def test_item_17_refused_before_the_preparation(folder, monkeypatch, changes, said):
    """Other numbers of classes, one class, weights that do not fit: refused before preparation."""
    monkeypatch.chdir(folder)
    shutil.copytree(folder / "images" / "val" / "ant", folder / "one" / "ant")
    if "init_from" in changes:
        changes = {**changes, "init_from": weights(changes["init_from"], folder)}
    with pytest.raises(UserError) as error:
        train(tiny.config(folder, **changes), folder / "run")
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("batch", "said"), [(44, True), (1000, True), (42, False)])
def test_item_17_a_batch_of_more_than_all_images_is_said(folder, capsys, batch, said):
    """A batch of more images than there are is one warning before the preparation."""
    with pytest.raises(Preparing):
        train(tiny.config(folder, batch_size=batch), folder / "run")
    lines = [line for line in capsys.readouterr().err.splitlines() if "batch_size" in line]
    expected = f"warning: batch_size={batch} is more than the 42 training images"
    assert [line.partition(",")[0] for line in lines] == ([expected] if said else [])


def test_item_17_images_that_no_device_holds_are_refused_first(folder, monkeypatch):
    """data.resident=on with more images than fit the memory: refused before the preparation."""
    monkeypatch.setattr(feed, "split_bytes", lambda images, size: images * 10**15)
    with pytest.raises(UserError, match=r"data.resident=on: the training images are 42,000,000\.0"):
        train(tiny.config(folder, data__resident="on"), folder / "run")


def lacks_a_class(images: pathlib.Path) -> None:
    for split in ("train", "val"):
        (images / split / "bee").rename(images.parent / f"{split}_bee")


def another_class(images: pathlib.Path) -> None:
    for split in ("train", "val"):
        (images / split / "bee").rename(images / split / "elk")


def one_class_more(images: pathlib.Path) -> None:
    for split in ("train", "val"):
        shutil.copytree(images / split / "bee", images / split / "yak")


def fewer_images(images: pathlib.Path) -> None:
    (images / "train" / "bee" / "0.jpg").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lacks_a_class, "it had 3 classes, now 2"),
        (another_class, "and not the same (bee, elk)"),
        (fewer_images, "it had 42 to train on, now 41"),
    ],
)
def test_item_17_other_images_for_a_run_are_refused(run, folder, change, said):
    """A run goes on with other classes or counts: refused before their preparation."""
    change(folder / "images")
    changed = {"data__dir": str(folder / "images"), "data__prepared_dir": str(folder / "prepared")}
    with pytest.raises(UserError, match="holds a run with other images") as error:
        train(tiny.config(run, **changed), run / "run")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lacks_a_class, "(2 of 3): only evaluate takes them"),
        (another_class, "does not know 1, the first 'elk'"),
        (one_class_more, "does not know 1, the first 'yak'"),
    ],
)
def test_item_17_other_classes_for_an_evaluation_are_refused(run, folder, change, said):
    """--data_dir of other classes is refused before its preparation."""
    change(folder / "images")
    with pytest.raises(UserError) as error:
        restore(run / "run").images(str(folder / "images"))
    assert said in str(error.value)


def test_item_17_the_doctor_refuses_first(folder):
    """The doctor refuses another number of classes before the preparation."""
    with pytest.raises(UserError, match="model.classes is 7 but the dataset has 3"):
        examine(tiny.config(folder, model__classes=7))


def test_item_17_the_command_that_prepares_warns_first(folder, capsys):
    """data.prepare says before the preparation what training will refuse after it."""
    with pytest.raises(Preparing):
        report(tiny.config(folder, model__classes=7))
    said = capsys.readouterr().err
    assert "warning: training will be refused: model.classes is 7 but the dataset has 3" in said
