"""The command line: two nets alone and together, predictions kept and combined later."""

import dataclasses
import json
import pathlib
import shutil
import types

import jax
import numpy as np
import pytest

from alexnet_jax import evaluate
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.errors import ConfigError, DataError
from alexnet_jax.inference import predictions
from alexnet_jax.run import dataset_info, evaluations
from alexnet_jax.run.restore import restore
from tests.support import commands, tiny, weight_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two nets of drawn weights, a and b, and a folder of images."""
    folder = tiny.write_images(tmp_path_factory.mktemp("runs"))
    for seed, name in enumerate("ab"):
        weight_files.drawn_run(folder, folder / name, seed)
    return folder


def evaluated(*flags):
    """Return (lines of the table, JSON)."""
    done = commands.run("evaluate", *flags)
    assert done.code == 0, done.err
    *table, last = done.out.splitlines()
    return table, json.loads(last)


def test_two_runs_alone_together_and_later_from_what_was_kept(folder, tmp_path):
    runs = [f"--workdir={folder / name}" for name in "ab"]
    (folder / "b" / "report.html").touch()  # a page that is there is made anew
    out = tmp_path / "ab.npz"
    table, found = evaluated(*runs, "--views=10", f"--out={out}")
    a, b, together = found["rows"]
    assert (a["net"], b["net"]) == (str(folder / "a"), str(folder / "b"))
    assert together["weights"] == [0.5, 0.5] and together["net"] == "together"
    assert {row["images"] for row in found["rows"]} == {tiny.VALIDATION} and a["views"] == 10
    assert found["top1_error"] == together["top1_error"] and found["images_per_second"] > 0
    assert len(table) == 4 and table[-1].startswith("together (0.50 0.50)")

    kept = predictions.load(out)
    p = kept.probabilities.astype(np.float64)
    assert p.shape == (2, tiny.VALIDATION, 3) and kept.class_names == ("ant", "bee", "cow")
    assert [name.split("/")[0] for name in kept.files] == [
        kept.class_names[label] for label in kept.labels
    ]
    for row, own in zip(found["rows"], [*p, p.mean(0)], strict=True):
        answers = own.argmax(1)  # no two probabilities are equal here
        assert row["top1_error"] == (answers != kept.labels).mean()
        loss = -np.log(own[np.arange(len(own)), kept.labels]).mean()
        np.testing.assert_allclose(row["loss"], loss, rtol=1e-6)

    (told,) = evaluations.read(folder / "b")
    assert told == {"step": 0, **b}
    assert "evaluated" in (folder / "b" / "report.html").read_text()
    assert not (folder / "a" / "report.html").exists()
    _, later = evaluated(f"--predictions={out}")
    assert later["rows"] == found["rows"] and "images_per_second" not in later


def test_one_run_in_several_views_of_images_resized_in_two_ways(folder):
    resizes = "--resize=aspect/area,warp/lanczos"
    table, found = evaluated(f"--workdir={folder / 'a'}", "--views=1,5", resizes)
    assert len(table) == 5 and [(row["resize"], row["views"]) for row in found["rows"]] == [
        (resize, views) for resize in ("aspect/area", "warp/lanczos") for views in (1, 5)
    ]
    one, five, other, _ = found["rows"]
    assert other["images"] == tiny.VALIDATION and other["loss"] != one["loss"]
    copies = [path.name for path in (folder / "prepared" / "image_folder").iterdir()]
    assert len(copies) == 2 and any("warp-lanczos" in name for name in copies)
    assert all(name.endswith("only-validation") for name in copies)  # train was not looked at
    assert five["loss"] != one["loss"]


@pytest.mark.parametrize(("size", "remedy"), [(64, "--out, and then --pred"), (32, "--resize")])
def test_nets_of_other_images_are_not_averaged_and_what_helps_is_said(monkeypatch, size, remedy):
    def net(name: str, size: int):
        dataset = types.SimpleNamespace(directory=pathlib.Path(name, "images"), size=size)
        return types.SimpleNamespace(workdir=name, images=lambda *_, **__: dataset)

    flags = types.SimpleNamespace(data_dir="", split="validation")
    monkeypatch.setattr(evaluate, "FLAGS", flags)
    with pytest.raises(ConfigError, match=f"b has its images in b/images, a in a/.*{remedy}"):
        evaluate._images([net("a", 32), net("b", size)], None)


def test_a_mesh_that_is_not_there_is_no_hindrance(folder, tmp_path, monkeypatch):
    def with_mesh(count: int, **mesh):
        """Return the logits' loss of net a, whose run had this mesh, on so many devices."""
        shutil.copytree(folder / "a", tmp_path / "run", dirs_exist_ok=True)
        config = json.loads((tmp_path / "run" / "config.json").read_text())
        config["mesh"] |= mesh
        (tmp_path / "run" / "config.json").write_text(json.dumps(config))
        monkeypatch.setattr(jax, "devices", lambda *_: found[:count])
        return dict(restore(tmp_path / "run").mesh.shape)

    found = jax.devices()
    assert with_mesh(2, data=1, group=2) == {"data": 1, "group": 2}
    assert with_mesh(1, data=1, group=2) == {"data": 1, "group": 1}
    assert with_mesh(3, data=4, group=1) == {"data": 3, "group": 1}
    assert with_mesh(3, data=-1, group=1) == {"data": 3, "group": 1}  # 8 images a step or not


def test_a_disk_that_is_full_in_the_end_takes_no_result_away(folder, tmp_path, monkeypatch):
    def savez(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(predictions, "np", types.SimpleNamespace(asarray=np.asarray, savez=savez))
    flags = [f"--workdir={folder / 'a'}", f"--out={tmp_path / 'a.npz'}"]
    found = commands.run("evaluate", *flags)
    assert found.code == 2 and "a.npz could not be written: No space left" in found.err
    *table, last = found.out.splitlines()
    assert len(table) == 2 and json.loads(last)["images"] == tiny.VALIDATION
    assert not list(tmp_path.iterdir())


@pytest.fixture
def net(folder, tmp_path):
    """Net a, its prepared images in a folder of their own."""
    net = restore(folder / "a")
    config = net.config.copy_and_resolve_references()
    config.data.prepared_dir = str(tmp_path / "prepared")
    return dataclasses.replace(net, config=config)


def trained_on(net, place):
    """Return the net as if it had been trained on a folder of class folders, and its images."""
    config = net.config.copy_and_resolve_references()
    config.data.dir = str(place)
    dataset = prepare(config.data)
    return dataclasses.replace(
        net, config=config, dataset_info=dataset_info.of_dataset(dataset)
    ), dataset


def test_a_folder_of_class_folders_is_evaluated_whole_but_where_the_net_saw_it(
    net, folder, tmp_path
):
    train, val = (shutil.copytree(folder / "images" / k, tmp_path / k) for k in ("train", "val"))
    for path in (val / "ant").iterdir():
        path.unlink()  # of a class there may be none
    shutil.copytree(val, tmp_path / "archive" / "pets")
    moved = shutil.copytree(train, tmp_path / "moved")
    own, dataset = trained_on(net, train)
    held_out = dataset.num_examples("validation")
    for seen, place, count in (
        (net, val, tiny.VALIDATION * 2 // 3),
        (own, val, tiny.VALIDATION * 2 // 3),
        (net, tmp_path / "archive", tiny.VALIDATION * 2 // 3),
        (net, train, tiny.TRAIN),
        (own, train, held_out),
        (own, moved, held_out),
    ):
        found = seen.images(str(place))
        assert found.num_examples("validation") == count
        assert (found.directory == dataset.directory) == (seen is own and place == train)
    assert held_out < tiny.TRAIN
    assert own.images(str(train), train=True).directory == dataset.directory


def test_other_images_in_the_place_of_the_runs_own_are_refused(net, folder):
    net, dataset = trained_on(net, folder / "images" / "train")
    assert net.images().directory == dataset.directory
    before = dataset.statistics
    for change, said in (
        ({"images": 99}, f"it had 99 to train on, now {before.images}"),
        ({"mean_image": before.mean_image + 1}, "as many to train on, but their mean is not"),
    ):
        statistics = dataclasses.replace(before, **change)
        info = dataclasses.replace(net.dataset_info, statistics=statistics)
        other = dataclasses.replace(net, dataset_info=info)
        with pytest.raises(DataError, match=f"a holds a run with other images: {said}"):
            other.images()
        assert other.images(str(folder / "images"))  # they are meant


def test_other_images_are_asked_for_only_where_the_runs_own_are_gone(net, tmp_path):
    with pytest.raises(DataError, match="has splits train, validation, not test$"):
        net.images(split="test")
    net.config.data.dir = str(tmp_path / "gone")
    with pytest.raises(DataError, match="not there, or for this evaluation give --data_dir$"):
        net.images()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--views=2", "--workdir={a}"], "--views is any of 1, 5, 10; got '2'"),
        (["--resize=warp", "--workdir={a}"], "aspect|warp/area|bilinear|lanczos"),
        (["--weights=fit", "--workdir={a}"], "--weights=fit needs two nets at least; got 1"),
        # Before the nets are looked for.
        (["--weights=1,2", "--workdir=nowhere"], "--weights has 2 numbers for 1 net"),
        (
            ["--predictions={a}/kept.npz", "--views=10", "--out=there.npz"],
            "--predictions runs no net, so it takes no --views, --out",
        ),
        # Before the nets are looked at, since an evaluation may take hours.
        (["--workdir=nowhere", "--out={a}"], "/a could not be written: it is a folder"),
        (["--workdir={other}"], "does not know 1, the first 'bee' (its 3 are 'ant', 'dog', 'cow')"),
    ],
)
def test_what_cannot_be_is_one_line(flags, said, folder, tmp_path):
    if flags == ["--workdir={other}"]:  # its classes are not those of the images
        shutil.copytree(folder / "a", tmp_path / "other")
        path = tmp_path / "other" / "classes.json"
        path.write_text(path.read_text().replace("bee", "dog"))
        flags = [f"--workdir={tmp_path / 'other'}"]
    flags = [flag.replace("{a}", str(folder / "a")) for flag in flags]
    commands.assert_refused(said, "evaluate", *flags)
