"""Tiny ImageNet as it comes: the archive and the folder give the same records."""

import io
import zipfile

import numpy as np
import pytest
import simplejpeg

from alexnet_jax.data.check.check import check
from alexnet_jax.data.decode.images import to_square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.prepare.prepare import prepare, prepared_directory
from alexnet_jax.data.sources.source import WHOLE
from alexnet_jax.errors import DataError
from tests.support import tiny
from tests.support.official import WNIDS, WORDS, jpeg

NAME = "tiny-imagenet-200/"
TRAIN, VALIDATION = 12, 11  # of a class; in all
FORMS = ("archive", "folder", "folder itself")


def files() -> dict[str, bytes]:
    """Return the files of the dataset by name, in no order of use."""
    found = {"wnids.txt": b"".join(b"%s\n" % wnid.encode() for wnid in WNIDS)}
    words = {"n00001740": "entity", **WORDS}
    found["words.txt"] = "".join(f"{wnid}\t{text}\n" for wnid, text in words.items()).encode()
    lines = []
    for k in range(VALIDATION):
        wnid = WNIDS[(k * k + 1) % len(WNIDS)]
        found[f"val/images/val_{k}.JPEG"] = jpeg(wnid, 100 + k, (64, 64))
        lines.append(f"val_{k}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    found["val/val_annotations.txt"] = "".join(reversed(lines)).encode()
    for wnid in reversed(WNIDS):
        found[f"train/{wnid}/{wnid}_boxes.txt"] = b"x.JPEG\t0\t0\t1\t1\n"
        for k in range(TRAIN):
            found[f"train/{wnid}/images/{wnid}_{k}.JPEG"] = jpeg(wnid, k, (64, 64))
    found["test/images/test_0.JPEG"] = jpeg(WNIDS[0], 999, (64, 64))
    return found


def write(root, form: str, content: dict[str, bytes] | None = None, top: str = NAME):
    content = files() if content is None else content
    root.mkdir(parents=True, exist_ok=True)
    if form == "archive":
        with zipfile.ZipFile(root / "tiny-imagenet-200.zip", "w") as archive:
            archive.writestr(top, b"")
            for k, (name, data) in enumerate(content.items()):
                packing = zipfile.ZIP_DEFLATED if k % 2 else zipfile.ZIP_STORED
                archive.writestr(top + name, data, packing)
        return
    for name, data in content.items():
        path = root / (NAME if form == "folder" else ".") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def data(tmp_path, **changes):
    values = {"builder": "tiny_imagenet", "size": 64, "storage": "raw", **changes}
    return tiny.data_config(tmp_path, **values)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_records(tmp_path, form, capsys):
    write(tmp_path / "source", form)
    dataset = prepare(data(tmp_path))
    said = "has 48 train and 11 validation images, Tiny ImageNet 100,000 and 10,000\n"
    assert said in capsys.readouterr().err
    assert dataset.class_names == tuple(sorted(WNIDS)) and dataset.size == 64
    assert dataset.classes == [{"wnid": w, "words": WORDS[w]} for w in sorted(WNIDS)]
    assert not any(dataset.image_issues.values()) and dataset.splits == ("train", "validation")
    content, wnids = files(), sorted(WNIDS)
    images, labels = dataset.read("train", range(48))
    names = dataset.file_names("train", range(48))
    assert names == sorted(names) and len(set(names)) == 48
    for image, label, name in zip(images, labels, names, strict=True):
        wnid, file = name.split("/")
        assert wnids[label] == wnid
        expected = to_square(content[f"train/{wnid}/images/{file}"], name, Resize(size=64))
        np.testing.assert_array_equal(image, expected)
    images, labels = dataset.read("validation", range(VALIDATION))
    names = dataset.file_names("validation", range(VALIDATION))
    assert names == [f"val_{k}.JPEG" for k in range(VALIDATION)]
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        assert wnids[label] == WNIDS[(k * k + 1) % len(WNIDS)]
        expected = to_square(content[f"val/images/val_{k}.JPEG"], "x.jpg", Resize(size=64))
        np.testing.assert_array_equal(image, expected)
    only = prepare(data(tmp_path, prepared_dir=str(tmp_path / "other")), only="validation")
    np.testing.assert_array_equal(only.read("validation", range(VALIDATION))[0], images)


@pytest.mark.parametrize("top", ["tiny/", "data/tiny/"])
def test_an_archive_packed_again_under_another_name_and_edited_annotations(tmp_path, top):
    content = files()
    lines = content["val/val_annotations.txt"].replace(b"\n", b"\r\n")
    content["val/val_annotations.txt"] = b"\xef\xbb\xbf" + lines + b"\r\n"  # as Notepad saves it
    content[f"train/{WNIDS[0]}/interval/val_annotations.txt"] = b""
    write(tmp_path / "source", "archive", content, top)
    write(tmp_path / "plain/source", "archive")
    ours, plain = prepare(data(tmp_path)), prepare(data(tmp_path / "plain"))
    for split in ("train", "validation"):
        indices = range(plain.num_examples(split))
        assert ours.file_names(split, indices) == plain.file_names(split, indices)
        np.testing.assert_array_equal(ours.read(split, indices)[1], plain.read(split, indices)[1])
    assert ours.classes == plain.classes


def test_at_its_own_size_the_pixels_are_those_of_the_file_and_another_size_is_resized(tmp_path):
    write(tmp_path / "source", "archive")
    own, large = prepare(data(tmp_path)), prepare(data(tmp_path, size=80))
    assert own.directory != large.directory
    assert len(large.image_issues["train"]["smaller than 80"]) == 48

    (image,), _ = own.read("validation", [3])
    file = files()["val/images/val_3.JPEG"]
    np.testing.assert_array_equal(image, simplejpeg.decode_jpeg(file, colorspace="RGB"))
    (image,), _ = large.read("validation", [3])
    np.testing.assert_array_equal(image, to_square(file, "x.jpg", Resize(size=80)))


def test_a_whole_dataset_is_not_called_a_part_and_its_copy_is_checked(
    tmp_path, capsys, monkeypatch
):
    write(tmp_path / "source", "archive")
    prepare(data(tmp_path))
    problems = check(data(tmp_path))["problems"]
    assert "train images: expected 100000, found 48" in problems
    assert "classes: expected 200, found 4" in problems
    assert check(data(tmp_path), subset=True)["ok"]
    monkeypatch.setitem(WHOLE["tiny_imagenet"][1], "train", 48)
    monkeypatch.setitem(WHOLE["tiny_imagenet"][1], "validation", VALIDATION)
    capsys.readouterr()
    prepare(data(tmp_path, prepared_dir=str(tmp_path / "other")))
    assert "Tiny ImageNet" not in capsys.readouterr().err


ANNOTATIONS = "val/val_annotations.txt"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"val/images/val_3.JPEG": None}, r"names 'val_3.JPEG', which is not there"),
        ({ANNOTATIONS: b"val_0.JPEG\tn01440764\n" * 2}, "names 'val_0.JPEG', twice"),
        ({"val/images": None, ANNOTATIONS: b""}, "source has no image of validation"),
        ({"val/images/val_99.JPEG": b"x"}, r"does not say the class of val/images/val_99.JPEG"),
        ({ANNOTATIONS: b"val_0.JPEG\tn99999999\t0\n"}, "val_0.JPEG is of class 'n99999999', which"),
        ({ANNOTATIONS: b"val_0.JPEG\n"}, "val_0.JPEG is of class '', which"),
        ({ANNOTATIONS: b"\xff\xfe\n"}, "val_annotations.txt cannot be read"),
        ({ANNOTATIONS: b"../../words.txt\tn01440764\n"}, "names '../../words.txt', which is not"),
        ({"train/cats/images/cats_0.JPEG": b"x"}, "expected classes named n<8 digits>"),
        ({"train": None}, "expected classes named n<8 .* nothing|train cannot be read"),
    ],
)
@pytest.mark.parametrize("form", ["archive", "folder"])
def test_what_does_not_fit_together_is_refused(tmp_path, form, change, reason):
    content = {**files(), **change}
    gone = tuple(name for name, data in change.items() if data is None)
    content = {name: data for name, data in content.items() if not name.startswith(gone or ("?",))}
    write(tmp_path / "source", form, content)
    with pytest.raises(DataError, match=reason) as error:
        prepare(data(tmp_path))
    assert "\n" not in str(error.value)
    assert not prepared_directory(data(tmp_path)).exists()


def test_what_is_missing_or_cut_is_said(tmp_path):
    with pytest.raises(DataError, match="expected tiny-imagenet-200.zip, or what is in it"):
        prepare(data(tmp_path))
    source = tmp_path / "source"
    write(source, "archive")
    archive = source / "tiny-imagenet-200.zip"
    with pytest.raises(DataError, match="200.zip is a file; give the folder that it is in"):
        prepare(data(tmp_path, dir=str(archive)))
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no archive"):
        archive.write_bytes(content)
        with pytest.raises(DataError, match=r"zip cannot be read .*; download it again"):
            prepare(data(tmp_path))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as empty:
        empty.writestr("words.txt", "")
    archive.write_bytes(other.getvalue())
    with pytest.raises(DataError, match="zip lacks tiny-imagenet-200/val/val_annotations.txt"):
        prepare(data(tmp_path))


def test_a_damaged_image_is_named_and_may_be_skipped(tmp_path):
    content = files()
    write(tmp_path / "source", "archive", content)
    archive = tmp_path / "source" / "tiny-imagenet-200.zip"
    damaged, jpeg_file = archive.read_bytes(), content["val/images/val_3.JPEG"]
    place = damaged.find(jpeg_file)
    if place < 0:  # it was packed
        with zipfile.ZipFile(archive) as opened:
            place = opened.getinfo(f"{NAME}val/images/val_3.JPEG").header_offset + 80
    damaged = damaged[: place + 5] + b"#####" + damaged[place + 10 :]
    archive.write_bytes(damaged)
    with pytest.raises(DataError, match=r"val/images/val_3.JPEG: cannot be read \(.*1 of 11"):
        prepare(data(tmp_path))
    dataset = prepare(data(tmp_path, max_bad_fraction=0.1))
    assert [s["split"] for s in dataset.skipped] == ["validation"]
    assert dataset.num_examples("validation") == VALIDATION - 1
