"""Every unusual file comes out right and is listed; every broken one is left out and named."""

import errno
import os
import pathlib
import re

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from alexnet_jax.data.check.check import check
from alexnet_jax.data.decode.image_issues import IMAGE_ISSUES, done_about
from alexnet_jax.data.prepare.prepare import prepare
from tests.support import official, tiny, zoo


def config(tmp_path, **changes) -> ConfigDict:
    return tiny.data_config(
        tmp_path, **{"storage": "raw", "max_bad_fraction": 1.0, "workers": 3} | changes
    )


def check_pixels(dataset, prefix: str) -> None:
    """Each good file is there once, with the halves it should have."""
    count = dataset.num_examples("train")
    images, _ = dataset.read("train", range(count))
    found = dict(zip(dataset.file_names("train", range(count)), images, strict=True))
    good = zoo.good()
    assert set(found) - {"zzz/0.png"} == {prefix + name for name in good}
    for name, (_, left, right, _) in good.items():
        square = found[prefix + name].astype(int)
        assert np.abs(square[:, :110] - left).max() <= 6, name
        assert np.abs(square[:, -110:] - right).max() <= 6, name


def check_lists(dataset, prefix: str) -> None:
    """The issues and the files left out are listed, with the reason."""
    expected: dict[str, list[str]] = {}
    for name, (*_, issues) in zoo.good().items():
        for issue in issues:
            expected.setdefault(issue, []).append(prefix + name)
    found = dataset.image_issues["train"]
    assert {issue: sorted(names) for issue, names in found.items()} == {
        issue: sorted(names) for issue, names in expected.items()
    }
    assert {done_about(issue) for issue in expected} == set(IMAGE_ISSUES.values())
    skipped = {re.split(r"[/ ]*/|: ", s["file"])[-1]: s["reason"] for s in dataset.skipped}
    for name, (_, reason) in zoo.bad().items():
        assert re.search(reason, skipped[name]), (name, skipped[name])


@pytest.fixture
def source(tmp_path) -> pathlib.Path:
    """The zoo in a folder; one of them again to validate on."""
    place = tmp_path / "source" / "train" / "zoo"
    place.mkdir(parents=True)
    for name, (content, *_) in {**zoo.good(), **zoo.bad()}.items():
        (place / name).write_bytes(content)
    validation = tmp_path / "source" / "val" / "zoo"
    validation.mkdir(parents=True)
    (validation / "again.jpg").write_bytes(zoo.YCCK)
    other = tmp_path / "source" / "train" / "zzz"  # a net needs two classes
    other.mkdir()
    Image.new("RGB", (256, 256), (1, 2, 3)).save(other / "0.png")
    return place


def test_in_a_folder(tmp_path, source, capsys):
    (source / "loop.jpg").symlink_to("loop.jpg")
    (source / "nowhere.jpg").symlink_to("not there.jpg")
    (source / "unreadable.jpg").symlink_to("/proc/self/mem")  # no permission stops root
    os.mkfifo(source / "pipe.jpg")
    (source / "again").symlink_to(source)  # a folder that holds itself
    dataset = prepare(config(tmp_path))
    check_pixels(dataset, "zoo/")
    check_lists(dataset, "zoo/")
    reasons = {pathlib.Path(s["file"]).name: s["reason"] for s in dataset.skipped}
    assert len(reasons) == len(dataset.skipped) == len(zoo.bad()) + 4
    assert os.strerror(errno.ELOOP) in reasons["loop.jpg"]
    assert os.strerror(errno.ENOENT) in reasons["nowhere.jpg"]
    assert os.strerror(errno.EIO) in reasons["unreadable.jpg"]
    assert reasons["pipe.jpg"] == "is no regular file"
    result = check(config(tmp_path))
    assert result["ok"] and len(result["skipped"]) == len(dataset.skipped)
    assert result["odd"]["train"]["other format"] == 2
    assert [d["train_file"] for d in result["duplicates"]] == ["zoo/ycck.jpg"]
    table = capsys.readouterr().out
    assert "train: YCCK" in table and "converted to RGB; first zoo/ycck.jpg" in table


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_without_permission(tmp_path, source):
    (source / "plain.jpg").chmod(0)
    dataset = prepare(config(tmp_path))
    assert os.strerror(errno.EACCES) in {s["reason"] for s in dataset.skipped}.pop()


def test_in_the_official_archives(tmp_path):
    folder = official.write_2012(tmp_path / "archives")
    files = {**zoo.good(), **zoo.bad()}
    train = {"n01440764": {name: content for name, (content, *_) in files.items()}}
    train |= {wnid: {} for wnid in official.WNIDS[1:]}
    (folder / "ILSVRC2012_img_train.tar").write_bytes(official.tar_of_tars(train))
    changes = {"builder": "ilsvrc", "dir": str(folder)}
    dataset = prepare(config(tmp_path, **changes))
    check_pixels(dataset, "n01440764/")
    check_lists(dataset, "n01440764/")
    assert len(dataset.skipped) == len(zoo.bad())
    assert check(config(tmp_path, **changes), subset=True)["ok"]
