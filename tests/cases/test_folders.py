"""Folders of images as users have them."""

import hashlib
import json
import pathlib
import zipfile

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.data.check.check import check
from alexnet_jax.data.decode.images import BadImageError, to_square
from alexnet_jax.data.input.files import image_files
from alexnet_jax.data.prepare.prepare import prepare, prepared_directory
from alexnet_jax.data.sources.folders import folder_source
from alexnet_jax.data.sources.source import Source
from alexnet_jax.errors import DataError
from alexnet_jax.run import config as configs
from alexnet_jax.run import folder
from tests.support import official, tiny


def put(folder: pathlib.Path, *names: str) -> pathlib.Path:
    """Make small pictures of these names, and files of other names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (len(name), 0, 0)).save(path, "PNG")
    return folder


@pytest.mark.parametrize(
    ("wrapper", "classes", "counts"),
    [
        ("imagenette2/{}", ("cat", "dog"), (4, 2)),
        ("archive/data/{}", ("cat", "dog"), (4, 2)),
        ("__MACOSX/._x\n.git/x\nflowers/{}", ("cat", "dog"), (4, 2)),
        ("{}", ("cat", "dog"), (4, 2)),
    ],
)
def test_item_4_single_wrappers_are_passed_through(tmp_path, wrapper, classes, counts):
    """A folder whose only folder holds train and val has those splits, not one class."""
    *others, inner = wrapper.split("\n")
    for name in others:
        put(tmp_path, name)
    for name in ("train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "train/dog/2.png"):
        put(tmp_path, inner.format(name))
    for name in ("val/cat/1.png", "val/dog/1.png"):
        put(tmp_path, inner.format(name))
    source = folder_source(tmp_path, 0.1)
    assert source.class_names == classes
    assert (source.splits["train"].count, source.splits["validation"].count) == counts


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("seg_train/seg_train/{}", "seg_test/seg_test/{}"), "seg_train/ (1 folder: seg_train)"),
        (("Train_Data/{}", "Test_Data/{}"), "Train_Data/ (2 folders: cat, dog)"),
        (("train/{}", "val_images/{}"), "there is no val"),
        (("ILSVRC/Data/CLS-LOC/train/{}", "other/{}"), "splits in .*ILSVRC/Data"),
        (("trainset/{}", "valset/{}"), "there is no train"),
        (("Train/{}", "train/{}"), "there are two of one name"),
    ],
)
def test_item_4_names_like_splits_that_do_not_fit_are_refused(tmp_path, names, said):
    """Folders named like splits that do not fit are refused, and named with what they hold."""
    for name in names:
        put(tmp_path, name.format("cat/1.png"), name.format("dog/1.png"))
    with pytest.raises(DataError, match="look like splits") as error:
        folder_source(tmp_path, 0.1)
    assert said.split(".*")[-1] in str(error.value) and "\n" not in str(error.value)


def test_item_4_a_class_may_be_called_train(tmp_path):
    """Among flat classes, train is a vehicle."""
    put(tmp_path, *(f"{name}/{k}.png" for name in ("bus", "car", "train") for k in range(3)))
    assert folder_source(tmp_path, 0.1).class_names == ("bus", "car", "train")


LEFT = {
    "cat/x.jxl": "files *.jxl",
    "cat/IMG_0001": "files without an ending",
    "dog/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg": "thumbnails of a NAS (@eaDir)",
    "cat/.ipynb_checkpoints/1.png": "hidden folders",
    "cat/._1.png": "hidden files",
    "cat/#recycle/1.png": "recycled files",
    "__MACOSX/cat/1.png": "files of macOS (__MACOSX)",
    "loose.png": "pictures beside the class folders",
    "emu.zip": "files *.zip",  # a class that is not unpacked
    "dog/more/1.png": "deeper than class/file, taken for pictures of the class",
}


@pytest.mark.parametrize("name", LEFT)
def test_item_3_what_a_listing_leaves_out_is_said(tmp_path, capsys, name):
    """Prepare and check say by reason how many files were left out."""
    put(tmp_path / "source", *(f"{c}/{k}.png" for c in ("cat", "dog") for k in range(4)), name)
    data = tiny.data_config(tmp_path, size=32)
    dataset = prepare(data)
    images = sum(dataset.num_examples(split) for split in dataset.splits)
    assert images == (9 if "deeper" in LEFT[name] else 8)
    said = capsys.readouterr().err
    assert "source: 2 classes, " in said.splitlines()[0]
    assert LEFT[name] in said.splitlines()[1] and "1 " in said.splitlines()[1]
    assert check(data)["left_out"] == {LEFT[name]: 1}
    assert json.loads((dataset.directory / "left_out.json").read_text()) == {LEFT[name]: 1}


@pytest.mark.parametrize("name", ["loose.png", "train/dog.tar", "val/x.jxl", "../Thumbs.db"])
def test_item_3_what_stands_beside_splits_and_wrappers_is_said(tmp_path, name):
    """Files beside train and val, beside their classes and beside a wrapper are counted, too."""
    root = tmp_path / "archive"
    put(root / "pets", *(f"{split}/{c}/1.png" for split in ("train", "val") for c in ("a", "b")))
    put(root / "pets", name)
    ending = pathlib.PurePath(name).suffix
    of_name = "pictures beside the class folders" if ending == ".png" else f"files *{ending}"
    assert folder_source(root, 0.1).left_out == {of_name: 1}


@pytest.mark.parametrize(
    "name", ["a/x.jxl", "a/IMG_0001", "@eaDir/1.png", "a/notes.txt", "a/clip.mp4"]
)
def test_item_3_predict_says_what_a_folder_has_besides(tmp_path, capsys, name):
    """Predict names by reason what it takes for no picture."""
    put(tmp_path, "a/1.png", "2.png", name)
    assert [path.name for path in image_files([str(tmp_path)])] == ["2.png", "1.png"]
    assert f"{tmp_path}: left out: 1 " in capsys.readouterr().err


def test_item_3_nothing_is_said_where_nothing_is_left_out(tmp_path, capsys):
    """A clean folder has a copy of the same files as before, and no line about left-out files."""
    put(tmp_path / "source", *(f"{c}/{k}.png" for c in ("cat", "dog") for k in range(4)))
    dataset = prepare(tiny.data_config(tmp_path, size=32))
    assert "left out" not in capsys.readouterr().err
    assert not (dataset.directory / "left_out.json").exists()


@pytest.mark.parametrize("name", ["cat.heic", "IMG_0001.HEIC", "cat.heif", "DSC0001.HIF"])
def test_item_3_heic_is_read_where_pillow_heif_is_installed(tmp_path, monkeypatch, name):
    """A HEIC picture has its colours; without pillow-heif the line says what to install."""
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / name
    heif.from_pillow(Image.new("RGB", (64, 64), (200, 30, 40))).save(tmp_path / "x", quality=95)
    (tmp_path / "x").rename(path)
    square = to_square(path.read_bytes(), str(path))
    assert np.abs(square.astype(int) - (200, 30, 40)).max() <= 4
    assert image_files([str(tmp_path)]) == [path]
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(BadImageError, match="pip install pillow-heif"):
        to_square(path.read_bytes(), str(path))


@pytest.mark.parametrize("name", ["cat/{}.png", "train/cat/{}.png", "pets/cat/deep/{}.png"])
def test_item_4_one_class_is_refused_before_the_preparation(tmp_path, name):
    """A folder of one class is refused in one line, and nothing is prepared."""
    put(tmp_path / "source", *(name.format(k) for k in range(4)))
    with pytest.raises(DataError, match="holds one class, '(cat|deep)': a net needs at least two"):
        prepare(tiny.data_config(tmp_path))
    assert not list((tmp_path / "prepared").rglob("*.array_record*"))


def held_out_of(source: Source) -> dict[str, int]:
    names = [source.class_names[label] for label in source.splits["validation"].labels]
    return {name: names.count(name) for name in source.class_names}


@pytest.mark.parametrize(
    ("counts", "fraction", "expected"),
    [
        ({"cat": 2, "dog": 200}, 0.1, {"cat": 1, "dog": 20}),
        ({"cat": 3, "dog": 4, "emu": 5}, 0.01, {"cat": 1, "dog": 1, "emu": 1}),
        ({"cat": 1, "dog": 2, "emu": 14}, 0.1, {"cat": 0, "dog": 1, "emu": 1}),
        ({"cat": 2, "dog": 8}, 0.99, {"cat": 1, "dog": 7}),
    ],
)
def test_item_5_each_class_gives_its_share(tmp_path, counts, fraction, expected):
    """Of each class its share is held out: at least one image where it has two, never all."""
    for name, count in counts.items():
        (tmp_path / name).mkdir()
        for k in range(count):
            (tmp_path / name / f"{k}.png").touch()  # a listing opens no file
    source = folder_source(tmp_path, fraction)
    assert held_out_of(source) == expected
    split = source.splits["validation"]
    held = {split.item(index).name for index in range(split.count)}
    by_hash = sorted(
        (f"dog/{k}.png" for k in range(counts["dog"])),
        key=lambda name: hashlib.sha256(name.encode()).hexdigest(),
    )
    assert {name for name in held if name.startswith("dog")} == {*by_hash[: expected["dog"]]}


@pytest.mark.parametrize(
    ("names", "held_out", "said"),
    [
        (("cat/1.png", "dog/1.png", "dog/2.png"), "class", "no validation image of cat"),
        (("train/cat/1.png", "train/dog/1.png", "val/dog/1.png"), "class", "of cat"),
        # The hashes of both dogs are below a half (0.20 and 0.03), those of both cats above.
        (
            ("cat/4.png", "cat/6.png", "dog/4.png", "dog/5.png"),
            "all",
            "no train image of dog; no validation image of cat",
        ),
    ],
)
def test_item_5_a_class_without_images_of_a_split_is_named(tmp_path, capsys, names, held_out, said):
    """A class without a training image or without a validation image is named in one line."""
    put(tmp_path / "source", *names)
    prepare(tiny.data_config(tmp_path, size=32, held_out=held_out, validation_fraction=0.5))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "image of" in line]
    assert line.endswith(said)


def test_item_5_older_copies_and_runs_go_on_with_all(tmp_path):
    """A copy or a run of before is found with the images that it held out then."""
    put(tmp_path / "source", *(f"{name}/{k}.png" for name in ("cat", "dog") for k in range(9)))
    older = prepared_directory(tiny.data_config(tmp_path, held_out="all"))
    assert older.parent.name.endswith("-jpeg-holdout0.1")
    new = prepared_directory(tiny.data_config(tmp_path))
    assert new.parent.name.endswith("-jpeg-holdout0.1-of-each-class")
    values = tiny.config(tmp_path).to_dict()
    del values["data"]["held_out"]
    config = tiny.config(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(values))
    assert folder.as_begun(tmp_path / "run", config).data.held_out == "class"  # nothing trained
    (tmp_path / "run" / "checkpoints" / "4").mkdir(parents=True)
    assert folder.as_begun(tmp_path / "run", config).data.held_out == "all"
    assert configs.fingerprint(config) == configs.fingerprint(folder.read_config(tmp_path / "run"))


def flat(folder: pathlib.Path) -> dict[str, str]:
    put(folder / "source", *(f"{name}/{k}.png" for name in ("cat", "dog") for k in range(10)))
    return {}


def with_a_test_folder(folder: pathlib.Path) -> dict[str, str]:
    for split in ("train", "test"):
        put(folder / "source" / split, "cat/1.png", "dog/1.png", "dog/2.png")
    return {}


@pytest.mark.parametrize(
    ("make", "only", "said"),
    [
        (flat, None, "source: 2 classes, 18 train and 2 validation images"),
        (with_a_test_folder, None, "source: 2 classes, 3 train and 3 validation images"),
        (with_a_test_folder, "validation", "source: 2 classes, 3 validation images"),
    ],
)
def test_item_19_classes_and_images_are_always_said_first(tmp_path, capsys, make, only, said):
    """The first line about the data has its classes and images, also where a copy exists."""
    data = tiny.data_config(tmp_path, size=32, **make(tmp_path))
    for _ in range(2):
        prepare(data, only)
        first = capsys.readouterr().err.splitlines()[0]
        assert first == f"data: {tmp_path}/{said}"


OTHERS = {  # beside the images: below train/<wnid>/ or val/, or in their archives
    "Thumbs.db": "1 files *.db",
    "more.jxl": "1 files *.jxl",
    "._1.JPEG": "1 hidden files",
    "README": "1 files without an ending",
}


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize("form", ["archives", "folders", "flat"])
def test_item_3_what_ilsvrc_leaves_out_is_said(tmp_path, capsys, form, part):
    """Of ILSVRC's archives and folders the other files are counted in one line, too."""
    root, others = tmp_path / "source", dict.fromkeys(OTHERS, b"none")
    images, wnids = official.numbered_images("ILSVRC2012_val", 13, 1)
    train = official.train_images()
    if form == "archives":
        official.write_2012(root)
        if part == "train":
            train[official.WNIDS[0]] |= others
            (root / "ILSVRC2012_img_train.tar").write_bytes(official.tar_of_tars(train))
        else:
            (root / "ILSVRC2012_img_val.tar").write_bytes(official.tar(images | others))
    else:
        official.write_extracted_2012(root, flat=form == "flat")
        of_train = root / "train" / official.WNIDS[0]
        of_val = root / "val" if form == "flat" else root / "val" / wnids[0]
        for name in OTHERS:
            (of_train if part == "train" else of_val).joinpath(name).write_bytes(b"none")
    dataset = prepare(tiny.data_config(tmp_path, builder="ilsvrc", size=32))
    assert (dataset.num_examples("train"), dataset.num_examples("validation")) == (44, 13)
    line = capsys.readouterr().err.splitlines()[1]
    assert line.startswith(f"{root}: left out: ") and all(said in line for said in OTHERS.values())
    assert sum(dataset.left_out.values()) == len(OTHERS)


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_item_3_what_tiny_imagenet_leaves_out_is_said(tmp_path, capsys, form):
    """Of Tiny ImageNet all but its own files is counted in one line, too."""
    wnid = official.WNIDS[0]
    of_class = {f"train/{wnid}/images/{name}": b"none" for name in OTHERS}
    of_class |= {f"train/{wnid}/{wnid}_boxes.txt": b"", f"train/{wnid}/x.JPEG": b"none"}
    picture = official.jpeg(wnid, 1)
    content = of_class | {f"train/{wnid}/images/{k}.JPEG": picture for k in range(3)}
    content |= {f"train/n02119789/images/{k}.JPEG": picture for k in range(3)}
    content |= {"val/images/val_0.JPEG": picture, "val/@eaDir/x.JPEG": b"none"}
    content["val/val_annotations.txt"] = f"val_0.JPEG\t{wnid}\n".encode()
    (tmp_path / "source").mkdir()
    with zipfile.ZipFile(tmp_path / "source" / "tiny-imagenet-200.zip", "w") as archive:
        for name, data in content.items():
            archive.writestr(f"tiny-imagenet-200/{name}", data)
    if form == "folder":
        with zipfile.ZipFile(tmp_path / "source" / "tiny-imagenet-200.zip") as archive:
            archive.extractall(tmp_path / "source")
    dataset = prepare(tiny.data_config(tmp_path, builder="tiny_imagenet", size=64))
    assert (dataset.num_examples("train"), dataset.num_examples("validation")) == (6, 1)
    line = capsys.readouterr().err.splitlines()[1]
    assert all(said in line for said in OTHERS.values())
    assert "1 pictures outside train/<wnid>/images" in line and "(@eaDir)" in line
    assert sum(dataset.left_out.values()) == len(OTHERS) + 2
