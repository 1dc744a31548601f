"""Preparation: what it finds, what it writes, what it refuses, and what is left when it dies."""

import dataclasses
import errno
import fcntl
import json
import os
import pathlib
import shutil
import time
import types

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from PIL import Image

from alexnet_jax.data.decode.images import decode_jpeg, encode_jpeg, to_square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.prepare import disk, preparation, unfinished
from alexnet_jax.data.prepare.disk import check_space
from alexnet_jax.data.prepare.preparation import partial_directory
from alexnet_jax.data.prepare.prepare import prepare, prepared_directory
from alexnet_jax.data.sources import shapes
from alexnet_jax.data.store import prepared
from alexnet_jax.data.store.layout import VERSION, bytes_per_image
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.data.store.statistics import Accumulator
from alexnet_jax.errors import ConfigError, DataError
from tests.support import commands, tiny

config = tiny.data_config


def write_images(folder: pathlib.Path, count: int, seed: int = 0, size=(40, 30)) -> None:
    """Write small PNG files of blocks of random colour."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        blocks = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        image = Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)
        image.save(folder / f"{i:03d}.png")


@pytest.fixture
def source(tmp_path):
    """Two classes with 20 and 17 images to train on, 3 and 2 to validate on."""
    for k, (split, name, count) in enumerate(
        [("train", "ant", 20), ("train", "bee", 17), ("val", "ant", 3), ("val", "bee", 2)]
    ):
        write_images(tmp_path / "source" / split / name, count, seed=k)
    return tmp_path / "source"


def files_of(root: pathlib.Path) -> list[pathlib.Path]:
    return [p for p in root.rglob("*") if p.is_file() and p.name != "prepare.lock"]


def contents(directory: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("size", [32, 256, 512])
@pytest.mark.parametrize("storage", ["jpeg", "raw"])
def test_content(tmp_path, source, storage, size):
    (source / "train" / "ant" / "notes.txt").write_text("no image, and not taken for one")
    (source / "train" / "ant" / "deeper").mkdir()
    shutil.move(source / "train" / "ant" / "000.png", source / "train" / "ant" / "deeper")
    dataset = prepare(config(tmp_path, storage=storage, size=size))
    assert dataset.class_names == ("ant", "bee") and dataset.skipped == []
    assert dataset.size == PreparedDataset(dataset.directory).size == size
    assert (dataset.num_examples("train"), dataset.num_examples("validation")) == (37, 5)
    sums = Accumulator(size)
    for split, folder, n in (("train", "train", 37), ("validation", "val", 5)):
        images, labels = dataset.read(split, range(n))
        assert images.shape == (n, size, size, 3) and images.dtype == np.uint8
        assert labels.dtype == np.int32
        names = dataset.file_names(split, range(n))
        assert len(set(names)) == n
        for image, label, name in zip(images, labels, names, strict=True):
            assert name.startswith(dataset.class_names[label])
            expected = to_square((source / folder / name).read_bytes(), name, Resize(size=size))
            if storage == "jpeg":
                expected = decode_jpeg(encode_jpeg(expected))
            np.testing.assert_array_equal(image, expected)
            if split == "train":
                sums.add([expected])
    expected = sums.finalise()
    assert dataset.statistics.images == 37
    for field in ("mean_image", "eigenvalues", "eigenvectors"):
        np.testing.assert_array_equal(getattr(dataset.statistics, field), getattr(expected, field))
    issues = dataset.image_issues["train"]  # each image is 40x30, and named once
    assert list(issues) == [f"smaller than {size}"]
    assert len(issues[f"smaller than {size}"]) == len(set(*issues.values())) == 37


@pytest.mark.parametrize("storage", ["jpeg", "raw"])
def test_tfds_reads_it_too(tmp_path, source, storage):
    dataset = prepare(config(tmp_path, storage=storage))
    theirs = tfds.builder_from_directory(dataset.directory).as_data_source("train")
    images, labels = dataset.read("train", range(37))
    names = dataset.file_names("train", range(37))
    for k in (0, 20, 36):
        assert theirs[k]["label"] == labels[k] and theirs[k]["file_name"].decode() == names[k]
        # TFDS decodes with OpenCV where that is there, which rounds as Pillow does or by 1 apart.
        assert np.abs(theirs[k]["image"].astype(int) - images[k]).max() <= 1


def test_raw_is_not_bloated(tmp_path, source):
    dataset = prepare(config(tmp_path, storage="raw"))
    size = sum(p.stat().st_size for p in dataset.directory.glob("*array_record*"))
    assert size < 1.1 * 42 * 256 * 256 * 3


def test_reading(tmp_path, source):
    dataset = prepare(config(tmp_path))
    images, labels = dataset.read("train", np.array([30, 2, 30]))
    np.testing.assert_array_equal(images[0], images[2])
    np.testing.assert_array_equal(images[1], dataset.read("train", [2])[0][0])
    assert labels.tolist() == [1, 0, 1]
    assert dataset.read("train", [])[0].shape == (0, 256, 256, 3)
    for wrong in ([37], [-1]):
        with pytest.raises(IndexError, match="0 to 36"):
            dataset.read("train", wrong)
    with pytest.raises(DataError, match="splits train, validation, not test"):
        dataset.num_examples("test")


def test_same_bytes_with_any_number_of_workers(tmp_path, source):
    made = []
    for workers in (1, 2, 5):
        root = tmp_path / f"prepared{workers}"
        dataset = prepare(config(tmp_path, workers=workers, prepared_dir=str(root)))
        made.append({p.relative_to(root): p.read_bytes() for p in files_of(root)})
        assert dataset.directory.is_relative_to(root)
    assert made[0] == made[1] == made[2]
    assert len(made[0]) == 10


def test_a_slow_disk_is_asked_for_all_at_once(tmp_path, source):
    dataset = prepare(config(tmp_path))
    indices = [30, 2, 30, 7, 11]
    expected = dataset.read("train", indices)
    quick, asked = dataset._sources["train"], []

    class Slow:
        def __len__(self):
            return len(quick)

        def __getitem__(self, key):
            asked.append(key)
            if key == 2:
                time.sleep(0.01)
            return quick[key]

        def __getitems__(self, keys):
            asked.append(tuple(keys))
            return quick.__getitems__(keys)

    dataset._sources["train"] = Slow()
    for found, one in zip(dataset.read("train", indices), expected, strict=True):
        np.testing.assert_array_equal(found, one)
    assert asked in ([30, 2, (30, 7, 11)], [30, (2, 30, 7, 11)])  # the first may be late as well
    dataset._sources["train"] = quick
    assert prepared._read(quick, []) == []


def test_opened_again_without_its_source(tmp_path, source):
    first = prepare(config(tmp_path))
    before = {p: p.stat().st_mtime_ns for p in files_of(tmp_path / "prepared")}
    shutil.rmtree(source)
    again = prepare(config(tmp_path))
    assert again.directory == first.directory
    assert {p: p.stat().st_mtime_ns for p in files_of(tmp_path / "prepared")} == before


def test_directory_names_what_decides_the_content(tmp_path, source):
    names = {
        prepared_directory(config(tmp_path)),
        prepared_directory(config(tmp_path, storage="raw")),
        prepared_directory(config(tmp_path, resize="warp")),
        prepared_directory(config(tmp_path, resize_filter="lanczos")),
        prepared_directory(config(tmp_path, resize="warp", resize_filter="lanczos")),
        prepared_directory(config(tmp_path, dir=str(source / "train"))),
        prepared_directory(config(tmp_path, dir=str(source / "train"), validation_fraction=0.2)),
        prepared_directory(config(tmp_path, builder="ilsvrc")),
        prepared_directory(config(tmp_path, builder="shapes", dir="")),
        prepared_directory(config(tmp_path, size=64)),
        prepared_directory(config(tmp_path, size=64, storage="raw")),
        prepared_directory(config(tmp_path, size=64, resize="warp")),
        prepared_directory(config(tmp_path, size=128)),
        prepared_directory(config(tmp_path, size=64, builder="shapes", dir="")),
    }
    assert len(names) == 14
    # As it was called when all squares had 256 pixels.
    assert prepared_directory(config(tmp_path)).parent.name.endswith("-jpeg")
    shapes_at = prepared_directory(config(tmp_path, builder="shapes")).parent.name
    assert shapes_at == "4000-1000-jpeg"
    # The fraction is used only where nothing else is the validation split.
    same = prepared_directory(config(tmp_path, validation_fraction=0.3))
    assert same in names
    write_images(tmp_path / "elsewhere" / "source" / "train" / "ant", 1)
    write_images(tmp_path / "elsewhere" / "source" / "val" / "ant", 1)
    other = prepared_directory(config(tmp_path, dir=str(tmp_path / "elsewhere" / "source")))
    assert other not in names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dir": ""}, "set data.dir"),
        ({"builder": "ilsvrc", "dir": ""}, "TFDS's imagenet2012 in .*; set data.dir"),
    ],
)
def test_no_folder_of_images(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        prepare(config(tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"builder": "cifar"}, "data.builder is one of ilsvrc, image_folder, .*; got 'cifar'"),
        ({"size": 31}, "data.size is 32 to 512 pixels; got 31"),
        ({"size": 513}, "data.size is 32 to 512 pixels; got 513"),
        ({"storage": "png"}, "data.storage is one of jpeg, raw; got 'png'"),
        ({"resize": "crop"}, "data.resize is one of aspect, warp; got 'crop'"),
        ({"resize_filter": "box"}, "data.resize_filter is one of area, bilinear, .*; got 'box'"),
        ({"workers": -1}, "data.workers"),
        ({"max_bad_fraction": 1.5}, "data.max_bad_fraction"),
        ({"validation_fraction": 1.0, "dir": "<train>"}, "data.validation_fraction"),
    ],
)
def test_what_is_wrong_with_the_config(tmp_path, source, changes, message):
    if changes.get("dir") == "<train>":
        changes = {**changes, "dir": str(source / "train")}
    with pytest.raises(ConfigError, match=message):
        prepare(config(tmp_path, **changes))


def test_held_out_where_there_is_no_validation_folder(tmp_path, source):
    data = config(tmp_path, dir=str(source / "train"), validation_fraction=0.3)
    dataset = prepare(data)
    counts = [dataset.num_examples(s) for s in ("train", "validation")]
    assert sum(counts) == 37 and 4 <= counts[1] <= 20
    assert dataset.statistics.images == counts[0]
    assert "holdout0.3" in dataset.name


def test_what_is_wrong_with_the_folder(tmp_path, source):
    (source / "train" / "cat").mkdir()
    with pytest.raises(DataError, match="class folder .*cat holds no image"):
        prepare(config(tmp_path))
    assert not files_of(tmp_path / "prepared")


def test_bad_files(tmp_path, source):
    whole = (source / "train" / "bee" / "003.png").read_bytes()
    (source / "train" / "bee" / "003.png").write_bytes(whole[:60])
    (source / "train" / "bee" / "009.png").write_bytes(b"")
    for fraction in (0.0, 0.05):  # 2 of 37 is more than 0.05
        with pytest.raises(DataError, match=r"bee/003.png: (truncated|damaged)") as caught:
            prepare(config(tmp_path, max_bad_fraction=fraction))
        assert "data.max_bad_fraction" in str(caught.value) and "\n" not in str(caught.value)
        assert not prepared_directory(config(tmp_path)).exists()
    dataset = prepare(config(tmp_path, max_bad_fraction=0.06))
    assert dataset.num_examples("train") == 35 and dataset.statistics.images == 35
    assert [(s["split"], pathlib.Path(s["file"]).name) for s in dataset.skipped] == [
        ("train", "003.png"),
        ("train", "009.png"),
    ]
    assert dataset.skipped[1]["reason"] == "the file is empty"
    names = dataset.file_names("train", range(35))
    assert "bee/003.png" not in names and "bee/010.png" in names
    with pytest.raises(DataError, match="lacks 2 of 37 images of train"):
        prepare(config(tmp_path, max_bad_fraction=0.0))


def test_all_files_bad(tmp_path, source):
    for path in (source / "val").rglob("*.png"):
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="not one image of validation can be read; the first: "):
        prepare(config(tmp_path, max_bad_fraction=1.0))
    assert not prepared_directory(config(tmp_path)).exists()


def test_several_shards_one_of_them_empty(tmp_path, source, monkeypatch):
    monkeypatch.setattr(preparation, "_SHARD_ITEMS", 10)
    for i in range(17):
        (source / "train" / "bee" / f"{i:03d}.png").write_bytes(b"bad")
    dataset = prepare(config(tmp_path, max_bad_fraction=0.5))
    assert len(list(dataset.directory.glob("*train.array_record*"))) == 4
    assert dataset.num_examples("train") == 20
    assert dataset.read("train", range(20))[1].tolist() == [0] * 20


def test_never_more_files_than_may_be_open(tmp_path, source, monkeypatch):
    monkeypatch.setattr(preparation, "_SHARD_ITEMS", 1)
    monkeypatch.setattr(preparation, "_MAX_SHARDS", 5)
    dataset = prepare(config(tmp_path))
    assert len(list(dataset.directory.glob("*train.array_record*"))) == 5
    assert dataset.num_examples("train") == 37


def test_disk_space_is_checked_first(tmp_path, source, monkeypatch):
    little = types.SimpleNamespace(free=65 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: little)
    with pytest.raises(DataError, match=r"42 images stored as raw need about 0.08 GB.*0.07 GB"):
        prepare(config(tmp_path, storage="raw"))
    assert not prepared_directory(config(tmp_path, storage="raw")).exists()
    with pytest.raises(DataError, match=r"42 images stored as raw need about 0.10 GB"):
        prepare(config(tmp_path, storage="raw", size=512))
    little.free = 67 << 20  # 42 images of 64 pixels take little besides what is spared
    assert prepare(config(tmp_path, storage="raw", size=32)).num_examples("train") == 37


def test_the_disk_estimate_of_256_pixels_is_what_it_was(tmp_path):
    needed = [
        check_space(images, storage, 256, tmp_path)[0]
        for images in (1, 100_000)
        for storage in ("jpeg", "raw")
    ]
    spare = 64 << 20
    assert needed == [
        45_000 + 6500 + spare,
        196_908 + 6500 + spare,
        100_000 * 45_000 + 65_536 * 6500 + spare,
        100_000 * 196_908 + 65_536 * 6500 + spare,
    ]


@pytest.mark.parametrize("size", [32, 64, 256, 512])
def test_the_disk_estimate_is_enough_for_shapes_and_not_twice_as_much(size):
    squares = [shapes.render("train", index, size)[0] for index in range(20)]
    taken = np.mean([len(encode_jpeg(square)) for square in squares])
    assert taken < bytes_per_image("jpeg", size) < 2 * taken
    assert bytes_per_image("raw", size) >= squares[0].nbytes


class FullDiskWriter:
    """ArrayRecord's writer on a disk with room for 30 records."""

    left = 30

    def __init__(self, path, options):
        self.writer = array_record_module.ArrayRecordWriter(path, options)

    def write(self, record):
        FullDiskWriter.left -= 1
        if self.left < 0:
            raise RuntimeError("write() failed: No space left on device; writing x")
        self.writer.write(record)

    def close(self):
        self.writer.close()
        if self.left < 0:
            raise RuntimeError("write() failed: No space left on device; writing x")


def test_a_quota_is_not_called_a_full_disk(tmp_path):
    def refuse():
        raise RuntimeError(f"write() failed: {os.strerror(errno.EDQUOT)}; writing x")

    with pytest.raises(OSError, match="quota") as refused:
        unfinished._checked(refuse)
    said = disk.os_error_line(refused.value, tmp_path)
    assert "is over your quota; make room" in said and "free)" not in said


def test_disk_runs_full_and_is_cleared(tmp_path, source, monkeypatch):
    monkeypatch.setattr(preparation, "_SHARD_ITEMS", 8)
    whole = prepare(config(tmp_path, prepared_dir=str(tmp_path / "whole"))).directory
    fake = types.SimpleNamespace(ArrayRecordWriter=FullDiskWriter)
    with monkeypatch.context() as patch:
        patch.setattr(unfinished, "array_record_module", fake)
        with pytest.raises(DataError, match="ran full .*same command goes on.*data.prepared_dir"):
            prepare(config(tmp_path))
    directory = prepared_directory(config(tmp_path))
    partial = partial_directory(directory)
    assert not directory.exists() and not list((partial / "writing").iterdir())
    kept = {path: path.stat().st_mtime_ns for path in (partial / "data").iterdir()}
    assert len(kept) == 3
    prepare(config(tmp_path))
    for path, written in kept.items():
        assert (directory / path.name).stat().st_mtime_ns == written
    assert contents(directory) == contents(whole)
    assert not partial.exists()


def test_a_disk_without_locks(tmp_path, source, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(DataError, match="cannot be locked .*set data.prepared_dir to a disk with"):
        prepare(config(tmp_path))


def test_says_first_what_it_takes(tmp_path, source, capsys):
    prepare(config(tmp_path))
    counts, first = capsys.readouterr().err.splitlines()[:2]
    assert counts.endswith("source: 2 classes, 37 train and 5 validation images")
    assert f"/{VERSION}: 42 images, 0 of them done, with 2 threads; at most 0.07 GB" in first
    assert " GB free)" in first


def test_unwritable(tmp_path, source):
    (tmp_path / "prepared").write_text("a file in the way")
    with pytest.raises(DataError, match="could not be written"):
        prepare(config(tmp_path))


@pytest.mark.parametrize("place", ["source", "prepared"])
def test_a_folder_in_a_folder_without_permission(tmp_path, source, place, monkeypatch):
    stat = os.stat

    def refuse(path, **kwargs):
        if str(path).startswith(str(tmp_path / place / "")):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, **kwargs)

    monkeypatch.setattr(os, "stat", refuse)  # root may do anything
    data = config(tmp_path, dir=str(tmp_path / "source" / "below"))
    with pytest.raises(DataError, match=f"{tmp_path / place}/.* cannot be read .Permission denied"):
        prepare(data)


def test_another_process_clears_the_rest_away_first(tmp_path, source, monkeypatch):
    rename = pathlib.Path.rename

    def and_clear(path, target):
        moved = rename(path, target)
        if path.name == "data":
            shutil.rmtree(path.parent)
        return moved

    monkeypatch.setattr(pathlib.Path, "rename", and_clear)
    assert prepare(config(tmp_path)).num_examples("train") == 37


def test_damaged_copy_is_named(tmp_path, source):
    dataset = prepare(config(tmp_path))
    directory, statistics = dataset.directory, dataset.statistics
    said = f"^{directory} is no prepared dataset [^\n]*; delete it and prepare again$"
    for name, texts in {
        "features.json": ["{"],
        "label.labels.txt": ["", "\n"],
        "classes.json": ["5", "{}", "[5]", '[{"words": "ant"}]', "[" * 9000, "\0"],
        "skipped.json": ["null", "[5]", '[{"split": "train"}]'],
        "odd.json": ["[]", '{"train": 5}', '{"train": {"CMYK": 5}}'],
        "statistics.npz": ["", "PK"],
    }.items():
        good = (directory / name).read_bytes()
        for text in texts:
            (directory / name).write_text(text)
            with pytest.raises(DataError, match=said):
                PreparedDataset(directory)
        (directory / name).write_bytes(good)
    for change in (
        {"mean_image": statistics.mean_image[:64, :64]},
        {"mean_image": statistics.mean_image * np.float32(np.nan)},
        {"eigenvalues": -np.ones(3)},
        {"eigenvectors": np.array(["a"])},
        {"images": statistics.images + 1},
    ):
        dataclasses.replace(statistics, **change).save(directory / "statistics.npz")
        with pytest.raises(DataError, match=said):
            PreparedDataset(directory)
    statistics.save(directory / "statistics.npz")
    (directory / "label.labels.txt").write_text("ant\n")
    with pytest.raises(DataError, match="has labels up to 1 and 1 names of classes"):
        PreparedDataset(directory).read("train", range(dataset.num_examples("train")))


def test_shapes(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes, "SPLIT_SIZES", {"train": 30, "validation": 10})
    dataset = prepare(config(tmp_path, builder="shapes", dir="", storage="raw"))
    assert dataset.class_names == shapes.CLASS_NAMES
    images, labels = dataset.read("validation", range(10))
    assert labels.tolist() == list(range(10))
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image, shapes.render("validation", index)[0])


@pytest.mark.slow
def test_command_line(tmp_path, source):
    recipe = tmp_path / "recipe.py"
    values = config(tmp_path).to_dict()
    recipe.write_text(
        "from ml_collections import ConfigDict\n"
        f"def get_config():\n    return ConfigDict({{'data': {values!r}}}).lock()\n"
    )
    flag = f"--config={recipe}"
    # At once: one prepares, the other waits.
    processes = [tiny.start(flag, module="data.prepare") for _ in range(2)]
    results = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        results.append(json.loads(out.splitlines()[-1]))
    for result in results:
        assert list(result) == [
            *("dataset", "directory", "train", "validation", "classes", "skipped"),
            *("images_per_second", "seconds"),
        ]
        assert (result["train"], result["validation"], result["classes"]) == (37, 5, 2)
        assert pathlib.Path(result["directory"]) == prepared_directory(config(tmp_path))
    for change, what in (
        ("dir=/nowhere", "/nowhere"),
        ("wrokers=1", "wrokers=1 is not in the con"),
    ):
        commands.assert_refused(what, "data.prepare", flag, f"--config.data.{change}")
