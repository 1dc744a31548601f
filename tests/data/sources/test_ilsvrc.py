"""ILSVRC's archives as they come: labels, names, order, and what is missing or does not fit."""

import pathlib
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from alexnet_jax.data.decode.images import decode_jpeg, encode_jpeg, to_square
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.data.sources import ilsvrc
from alexnet_jax.data.sources.source import WHOLE
from alexnet_jax.errors import ConfigError, DataError
from tests.support import official, tiny


def config(tmp_path, **changes) -> ConfigDict:
    return tiny.data_config(
        tmp_path,
        **{"builder": "ilsvrc", "dir": str(tmp_path / "archives"), "validation_fraction": 0.2}
        | changes,
    )


def contents(directory: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def as_stored(data: bytes) -> np.ndarray:
    return decode_jpeg(encode_jpeg(to_square(data, "x")))


def check_numbered(dataset, split: str, images: dict[str, bytes], wnids: list[str]) -> None:
    """A split of numbered images: their order, names, labels and pixels."""
    pixels, labels = dataset.read(split, range(len(images)))
    assert dataset.file_names(split, range(len(images))) == list(images)
    assert [dataset.class_names[label] for label in labels] == wnids
    for square, data in zip(pixels, images.values(), strict=True):
        np.testing.assert_array_equal(square, as_stored(data))


def check_train(dataset, train: dict[str, dict[str, bytes]]) -> None:
    whole = {f"{w}/{n}": data for w, images in train.items() for n, data in images.items()}
    pixels, labels = dataset.read("train", range(len(whole)))
    names = dataset.file_names("train", range(len(whole)))
    assert names == sorted(whole)
    for square, label, name in zip(pixels, labels, names, strict=True):
        assert dataset.class_names[label] == name.partition("/")[0]
        np.testing.assert_array_equal(square, as_stored(whole[name]))


def test_2012(tmp_path):
    source = official.write_2012(tmp_path / "archives")
    before = {path: path.stat().st_mtime_ns for path in source.iterdir()}
    dataset = prepare(config(tmp_path))
    assert dataset.class_names == official.WNIDS  # sorted; not in the order of the ILSVRC ids
    assert dataset.splits == ("train", "validation")
    assert dataset.classes == [
        {"wnid": w, "words": official.WORDS[w], "ilsvrc_id": official.ILSVRC_IDS[w]}
        for w in official.WNIDS
    ]
    check_train(dataset, official.train_images())
    check_numbered(dataset, "validation", *official.numbered_images("ILSVRC2012_val", 13, 1))
    assert dataset.name.startswith("ilsvrc/2012-archives-")
    assert {path: path.stat().st_mtime_ns for path in source.iterdir()} == before
    # Prepared is prepared: the archives may go.
    shutil.rmtree(source)
    assert prepare(config(tmp_path)).directory == dataset.directory


def test_2010(tmp_path):
    official.write_2010(tmp_path / "archives")
    dataset = prepare(config(tmp_path, release="2010"))
    assert dataset.splits == ("train", "validation", "test")
    check_train(dataset, official.train_images())
    check_numbered(dataset, "validation", *official.numbered_images("ILSVRC2010_val", 9, 10))
    check_numbered(dataset, "test", *official.numbered_images("ILSVRC2010_test", 17, 4))
    assert [c["ilsvrc_id"] for c in dataset.classes] == [3, 4, 1, 2]
    assert dataset.statistics.images == 44


@pytest.mark.parametrize("whole", [False, True])
def test_fall2011(tmp_path, whole):
    source = official.write_fall2011(tmp_path / "archives")
    if whole:  # all synsets' archives in one
        tars = {path.name: path.read_bytes() for path in source.glob("n*.tar")}
        for name in tars:
            (source / name).unlink()
        (source / "fall11_whole.tar").write_bytes(official.tar(tars))
    dataset = prepare(config(tmp_path, release="fall2011"))
    assert dataset.class_names == ("n01440764", "n01443537", "n02119789", "n04399382", "n15075141")
    assert dataset.classes[2] == {"wnid": "n02119789", "words": "kit fox, Vulpes macrotis"}
    assert dataset.classes[3] == {"wnid": "n04399382"}
    counts = [dataset.num_examples(split) for split in ("train", "validation")]
    assert sum(counts) == 44 and 2 <= counts[1] <= 20
    names = [
        name
        for split, count in zip(("train", "validation"), counts, strict=True)
        for name in dataset.file_names(split, range(count))
    ]
    assert len(set(names)) == 44
    labels = dataset.read("train", range(counts[0]))[1]
    assert set(labels.tolist()) == {0, 1, 2, 4}


def test_a_part_of_a_release_is_named(tmp_path, monkeypatch, capsys):
    source = official.write_2012(tmp_path / "archives")
    prepare(config(tmp_path, size=32))
    said = f"{source} has 44 train and 13 validation images, ILSVRC-2012 1,281,167 and 50,000\n"
    assert said in capsys.readouterr().err
    monkeypatch.setitem(WHOLE["2012"][1], "validation", 13)
    prepare(config(tmp_path, size=32, storage="raw"), "validation")
    assert "ILSVRC-2012" not in capsys.readouterr().err


def test_words_of_another_encoding_are_no_hindrance(tmp_path):
    source = official.write_fall2011(tmp_path / "archives")
    (source / "words.txt").write_bytes(b"n01440764\ttench, caf\xe9\n")
    words = [row.get("words") for row in ilsvrc.ilsvrc_source(source, "fall2011", 0.2).classes]
    assert words == ["tench, caf\ufffd", None, None, None, None]


def test_archives_and_folders_give_the_same_records(tmp_path):
    official.write_2012(tmp_path / "archives")
    official.write_extracted_2012(tmp_path / "flat", flat=True)
    official.write_extracted_2012(tmp_path / "sorted", flat=False)
    half = official.write_2012(tmp_path / "half")  # the outer archive unpacked, the inner ones not
    (half / "ILSVRC2012_img_train.tar").unlink()
    (half / "train").mkdir()
    for wnid, images in official.train_images().items():
        (half / "train" / f"{wnid}.tar").write_bytes(official.tar(images))
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in (tmp_path / "archives").iterdir():
        (linked / path.name).symlink_to(path)
    made = {}
    for name in ("archives", "flat", "sorted", "half", "linked"):
        directory = prepare(config(tmp_path, dir=str(tmp_path / name))).directory
        made[name] = contents(directory)
        del made[name]["dataset_info.json"]  # it tells the directory's name
    assert len(made["archives"]) == 9
    for name, files in made.items():
        assert files == made["archives"], name


def test_sorted_validation_needs_no_kit(tmp_path):
    source = official.write_extracted_2012(tmp_path / "archives", flat=False)
    shutil.rmtree(source / "ILSVRC2012_devkit_t12")
    dataset = prepare(config(tmp_path))
    check_numbered(dataset, "validation", *official.numbered_images("ILSVRC2012_val", 13, 1))
    assert dataset.classes[0] == {"wnid": "n01440764"}


def no_train(source):
    (source / "ILSVRC2012_img_train.tar").unlink()


@pytest.mark.parametrize("packed", [True, False])
def test_the_kits_of_both_years_in_one_folder(tmp_path, packed):
    source = official.write_2010(tmp_path / "archives")
    alone = prepare(config(tmp_path, release="2010", prepared_dir=str(tmp_path / "alone")))
    turned = dict(zip(official.ILSVRC_IDS, reversed(official.ILSVRC_IDS.values()), strict=True))
    if packed:
        kit = {"ILSVRC2012_devkit_t12/data/meta.mat": official.meta_mat("2012", turned)}
        (source / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(official.tar(kit, "w:gz"))
    else:
        (source / "ILSVRC2012_devkit_t12" / "data").mkdir(parents=True)
        meta = source / "ILSVRC2012_devkit_t12" / "data" / "meta.mat"
        meta.write_bytes(official.meta_mat("2012", turned))
    both = prepare(config(tmp_path, release="2010"))
    assert both.classes == alone.classes
    for split in ("validation", "test"):
        _, labels = alone.read(split, range(alone.num_examples(split)))
        np.testing.assert_array_equal(both.read(split, range(len(labels)))[1], labels)


def no_validation(source):
    (source / "ILSVRC2012_img_val.tar").unlink()


def a_file(source):
    shutil.rmtree(source)
    source.touch()


def no_kit(source):
    (source / "ILSVRC2012_devkit_t12.tar.gz").unlink()


def kit_cut_short(source):
    path = source / "ILSVRC2012_devkit_t12.tar.gz"
    path.write_bytes(path.read_bytes()[:500])


def no_truth(source):
    kit = {"kit/data/meta.mat": official.meta_mat("2012")}
    (source / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(official.tar(kit, "w:gz"))


def kit_of_2010(source):
    kit = {"kit/data/meta.mat": official.meta_mat("2010")}
    (source / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(official.tar(kit, "w:gz"))


def other_truth(source):
    kit = official.devkit_2012(["n01440764"] * 12)
    (source / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(kit)


def train_cut_short(source):
    path = source / "ILSVRC2012_img_train.tar"
    path.write_bytes(path.read_bytes()[:30_000])


def one_class_cut_short(source):
    """An archive in the archive, and so what follows it is a header of the outer one."""
    tars = {f"{wnid}.tar": official.tar(i) for wnid, i in official.train_images().items()}
    tars["n02119789.tar"] = tars["n02119789.tar"][: 3 * 1536]  # where the next file would begin
    (source / "ILSVRC2012_img_train.tar").write_bytes(official.tar(tars))


def one_class_empty(source):
    tars = {f"{wnid}.tar": official.tar(i) for wnid, i in official.train_images().items()}
    (source / "ILSVRC2012_img_train.tar").write_bytes(official.tar(tars | {"n02119789.tar": b""}))


def one_class_compressed(source):
    tars = {f"{wnid}.tar": official.tar(i) for wnid, i in official.train_images().items()}
    tars["n02119789.tar"] = official.tar(official.train_images()["n02119789"], "w:gz")
    (source / "ILSVRC2012_img_train.tar").write_bytes(official.tar(tars))


def validation_cut_short(source):
    path = source / "ILSVRC2012_img_val.tar"
    path.write_bytes(path.read_bytes()[: 3 * 1536 + 100])  # within a header


def validation_cut_between(source):
    path = source / "ILSVRC2012_img_val.tar"
    path.write_bytes(path.read_bytes()[: 3 * 1536])  # where the next file would begin


def compressed(source):
    images, _ = official.numbered_images("ILSVRC2012_val", 13, 1)
    (source / "ILSVRC2012_img_val.tar").write_bytes(official.tar(images, "w:gz"))


def validation_zeros(source):
    archive = source / "ILSVRC2012_img_val.tar"  # as a download leaves it that reserves its space
    archive.write_bytes(archive.read_bytes()[:5120] + bytes(1 << 21))


def strange_name(source):
    images = official.train_images()
    tars = {f"{wnid}.tar": official.tar(i) for wnid, i in images.items()}
    tars["cats.tar"] = tars.pop("n01440764.tar")
    (source / "ILSVRC2012_img_train.tar").write_bytes(official.tar(tars))


def class_missing(source):
    images = official.train_images()
    del images["n02119789"]
    (source / "ILSVRC2012_img_train.tar").write_bytes(official.tar_of_tars(images))


def class_unknown(source):
    images = official.train_images()
    images["n09999999"] = images.pop("n02119789")
    (source / "ILSVRC2012_img_train.tar").write_bytes(official.tar_of_tars(images))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "expected ILSVRC 2012 in data.dir=.*not there"),
        (a_file, "data.dir=.*archives is a file; give the folder that it is in"),
        (no_train, "expected ILSVRC2012_img_train.tar or train/ in .*archives; add it"),
        (no_validation, "expected ILSVRC2012_img_val.tar or val/ in .*archives; add it"),
        (no_kit, "labels of validation are in the development kit, or .*: add it"),
        (kit_cut_short, "development kit of ILSVRC-2012 .* cannot be read"),
        (kit_of_2010, "meta.mat has no ILSVRC2012_ID: it is of another release"),
        (no_truth, "holds no ground truth of validation"),
        (other_truth, "lists 12 images of validation, but .*val.tar holds 13"),
        (
            train_cut_short,
            "img_train.tar cannot be read .*unexpected end of data.*download it again",
        ),
        (one_class_cut_short, "img_train.tar cannot be read .*unexpected end of data"),
        (one_class_empty, "img_train.tar cannot be read .*unexpected end of data"),
        (one_class_compressed, "img_train.tar cannot be read as an uncompressed tar archive"),
        (validation_cut_short, "img_val.tar cannot be read .*unexpected end of data"),
        (validation_cut_between, "img_val.tar cannot be read .*unexpected end of data"),
        (
            validation_zeros,
            r"img_val.tar cannot .*zeros from byte \d+ of 2102272 on.*download it again",
        ),
        (compressed, "img_val.tar cannot be read as an uncompressed tar archive"),
        (strange_name, "expected classes named n<8 digits> in .*train.tar, but found 'cats'"),
        (class_missing, "of validation is of class n02119789, which train does not have"),
        (
            class_unknown,
            "is of class n02119789, which train|1 classes of train are not in .*n09999999",
        ),
    ],
)
def test_what_is_wrong(tmp_path, spoil, message):
    spoil(official.write_2012(tmp_path / "archives"))
    with pytest.raises(DataError, match=message) as caught:
        prepare(config(tmp_path))
    assert "\n" not in str(caught.value)


def test_unknown_release(tmp_path):
    with pytest.raises(ConfigError, match="data.release is one of .*; got '2014'"):
        prepare(config(tmp_path, release="2014"))
