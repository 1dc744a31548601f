"""CIFAR-10 as it comes: four forms give the same records, and nothing in a pickle is executed."""

import gzip
import io
import itertools
import pickle
import struct
import tarfile
import warnings

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.data.check.check import check
from alexnet_jax.data.decode.images import to_square
from alexnet_jax.data.decode.resize import FILTERS, Resize
from alexnet_jax.data.prepare.prepare import prepare, prepared_directory
from alexnet_jax.data.sources.source import WHOLE
from alexnet_jax.errors import DataError
from alexnet_jax.run.restore import _builder_of
from tests.support import tiny
from tests.support.official import tar

COUNTS = {"data_batch_1": 5, "data_batch_2": 4, "data_batch_5": 3, "test_batch": 6}
FORMS = ("folder", "folder itself", "archive")


def drawn(name: str) -> tuple[list[int], np.ndarray]:
    """Labels and pixels (n, 32, 32, 3) of a batch."""
    rng = np.random.default_rng(list(name.encode()))
    count = COUNTS[name]
    return rng.integers(0, 10, count).tolist(), rng.integers(0, 256, (count, 32, 32, 3), np.uint8)


def planes(pixels: np.ndarray) -> bytes:
    return pixels.transpose(0, 3, 1, 2).tobytes()


def binary(labels, pixels) -> bytes:
    return b"".join(bytes([k]) + planes(p[None]) for k, p in zip(labels, pixels, strict=True))


def text(value: bytes) -> bytes:
    """A str of Python 2: SHORT_BINSTRING."""
    return b"U" + bytes([len(value)]) + value


NDARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09"
)
DTYPE = b"cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNN" + 2 * b"J\xff\xff\xff\xff"


def pickled(labels, pixels, *, count=None, columns=3072) -> bytes:
    """A batch as Python 2's cPickle and NumPy 1 wrote it, opcode by opcode."""
    content = planes(pixels)
    count = len(labels) if count is None else count
    array = NDARRAY + b"(K\x01M" + struct.pack("<H", count) + b"M" + struct.pack("<H", columns)
    array += b"\x86" + DTYPE + b"K\x00tb\x89T" + struct.pack("<i", len(content)) + content + b"tb"
    listed = b"]q\x04(" + b"".join(b"K" + bytes([k]) for k in labels) + b"e"
    names = b"]q\x0c(" + b"".join(text(b"a_s_%06d.png" % k) for k in range(len(labels))) + b"e"
    return b"".join(
        [
            b"\x80\x02}q\x01(" + text(b"batch_label") + text(b"training batch 1 of 5"),
            text(b"labels") + listed + text(b"data") + array,
            text(b"filenames") + names + b"u.",
        ]
    )


def write(root, kind: str, form: str, batches=COUNTS, **others: bytes):
    """Write batches in a form; `others`: what stands in place of a batch."""
    make, ending = (binary, ".bin") if kind == "binary" else (pickled, "")
    files = {f"{name}{ending}": make(*drawn(name)) for name in batches}
    files |= {f"{name}{ending}": content for name, content in others.items()}
    files |= {"batches.meta": b"cos\nsystem\n(S'touch hacked'\ntR."}  # not needed, never read
    name = "cifar-10-batches-bin" if kind == "binary" else "cifar-10-batches-py"
    root.mkdir(parents=True, exist_ok=True)
    if form == "archive":
        folder = {f"{name}/": b""} | {f"{name}/{file}": files[file] for file in reversed(files)}
        (root / f"cifar-10-{kind}.tar.gz").write_bytes(tar(folder, "w:gz"))
        return root
    place = root if form == "folder itself" else root / name
    place.mkdir(exist_ok=True)
    for file, content in files.items():
        (place / file).write_bytes(content)
    return root


def data(tmp_path, **changes):
    values = {"builder": "cifar10", "size": 32, "storage": "raw", **changes}
    return tiny.data_config(tmp_path, **values)


def test_the_pickles_are_what_numpy_reads():
    labels, pixels = drawn("data_batch_1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy 2 calls the module by another name
        batch = pickle.loads(pickled(labels, pixels), encoding="bytes")
    assert batch[b"labels"] == labels
    expected = np.frombuffer(planes(pixels), np.uint8).reshape(-1, 3072)
    np.testing.assert_array_equal(batch[b"data"], expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["binary", "python"])
def test_every_form_gives_the_same_records(tmp_path, kind, form, capsys):
    write(tmp_path / "source", kind, form)
    dataset = prepare(data(tmp_path))
    said = "has 12 train and 6 validation images, CIFAR-10 50,000 and 10,000\n"
    assert said in capsys.readouterr().err
    assert dataset.class_names == (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    assert dataset.size == 32 and not any(dataset.image_issues.values())
    for split, names in (("train", list(COUNTS)[:3]), ("validation", ["test_batch"])):
        batches = [drawn(name) for name in names]
        images, labels = dataset.read(split, range(dataset.num_examples(split)))
        np.testing.assert_array_equal(images, np.concatenate([pixels for _, pixels in batches]))
        assert labels.tolist() == [label for of_batch, _ in batches for label in of_batch]
        assert dataset.file_names(split, range(len(images))) == [
            f"{name}_{k:05}" for name in names for k in range(COUNTS[name])
        ]
        if split == "train":
            mean = images.astype(np.float64).mean(0).astype(np.float32)
            np.testing.assert_array_equal(dataset.statistics.mean_image, mean)
    only = prepare(data(tmp_path, prepared_dir=str(tmp_path / "other")), only="validation")
    assert only.splits == ("validation",) and only.num_examples("validation") == 6


@pytest.mark.parametrize("name", FILTERS)
def test_another_size_is_resized_as_a_file_would_be(tmp_path, name):
    if name.startswith("opencv_"):
        pytest.importorskip("cv2")
    write(tmp_path / "source", "binary", "folder")
    dataset = prepare(data(tmp_path, size=48, resize_filter=name))
    _, pixels = drawn("test_batch")
    for image, original in zip(dataset.read("validation", range(6))[0], pixels, strict=True):
        file = io.BytesIO()
        Image.fromarray(original).save(file, "PNG")
        expected = to_square(file.getvalue(), "x.png", Resize("aspect", name, 48))
        np.testing.assert_array_equal(image, expected)
    assert len(dataset.image_issues["validation"]["smaller than 48"]) == 6


def test_a_whole_dataset_is_not_called_a_part_and_its_copy_is_checked(
    tmp_path, capsys, monkeypatch
):
    write(tmp_path / "source", "binary", "folder")
    prepare(data(tmp_path))
    assert "12 train and 6 validation" in capsys.readouterr().err
    result = check(data(tmp_path))
    assert result["problems"] == [
        "train images: expected 50000, found 12",
        "validation images: expected 10000, found 6",
    ]
    assert check(data(tmp_path), subset=True)["ok"]
    monkeypatch.setitem(WHOLE["cifar10"][1], "train", 12)
    monkeypatch.setitem(WHOLE["cifar10"][1], "validation", 6)
    prepare(data(tmp_path, prepared_dir=str(tmp_path / "other")))
    assert "CIFAR-10 " not in capsys.readouterr().err
    assert check(data(tmp_path))["ok"]


GOOD = pickled(*drawn("test_batch"))
LABELS, PIXELS = drawn("test_batch")
HOSTILE = {
    "a command": (b"cos\nsystem\n(S'touch hacked'\ntR.", "asks for os.system"),
    "of posix": (b"\x80\x02cposix\nsystem\nU\x0ctouch hacked\x85R.", "asks for posix.system"),
    "eval": (b"\x80\x03cbuiltins\neval\nX\x03\x00\x00\x001+1\x85R.", "asks for builtins.eval"),
    "in a label": (
        GOOD.replace(b"]q\x04(", b"]q\x04(cos\nsystem\n(S'touch hacked'\ntR", 1),
        "asks for os.system",
    ),
    "by stack": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "asks for os.system"),
    "an instance": (b"(S'touch hacked'\nios\nsystem\n.", "a step that NumPy never writes"),
    "numpy.load": (b"cnumpy\nload\n(S'x'\ntR.", "asks for numpy.load"),
    "another dtype": (GOOD.replace(b"U\x02u1", b"U\x02O8"), "cannot be read as a pickled batch"),
    "an array as state": (GOOD.replace(DTYPE, b"K\x07("), "cannot be read as a pickled batch"),
    "a persistent id": (b"\x80\x02U\x01xQ.", "cannot be read as a pickled batch"),
    "state of a class": (b"cnumpy\nndarray\n}U\x01aK\x01sb.", "cannot be read as a pickled batch"),
    "a large memo": (b"\x80\x02}r\xff\xff\xff\x00.", "more than 100000 steps"),
    "an endless text": (
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
        "cannot be read as a pickled batch",
    ),
    "no dict": (b"\x80\x02K\x01.", "cannot be read as a pickled batch"),
    "a dict without data": (b"\x80\x02}.", "data"),
    "cut": (GOOD[:-5000], "cannot be read as a pickled batch"),
    "nothing": (b"", "cannot be read as a pickled batch"),
    "a text for a label": (pickled(["1"] * 0, PIXELS, count=6), "0 labels for uint8 data"),
    "fewer labels": (
        pickled(LABELS[:4], PIXELS, count=6),
        r"4 labels for uint8 data of shape \(6, 3072\)",
    ),
    "another shape": (pickled(LABELS, PIXELS, columns=3071), r"into shape \(6,3071\)"),
    "a large label": (pickled([*LABELS[:-1], 10], PIXELS), "labels other than 0 to 9"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("form", ["folder", "archive"])
def test_a_hostile_or_damaged_pickle_is_refused(tmp_path, monkeypatch, name, form):
    monkeypatch.chdir(tmp_path)
    content, reason = HOSTILE[name]
    write(tmp_path / "source", "python", form, data_batch_2=content)
    with pytest.raises(DataError, match=reason) as error:
        prepare(data(tmp_path))
    said = str(error.value)
    assert "data_batch_2" in said and "\n" not in said and "download it again" in said
    assert not (tmp_path / "hacked").exists()
    assert not prepared_directory(data(tmp_path)).exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has 0 bytes, expected 3073 for each image"),
        (bytes(3073 * 2 - 1), "has 6145 bytes, expected 3073"),
        (b"\x0a" + bytes(3072), "labels other than 0 to 9"),
    ],
)
def test_a_damaged_binary_batch_is_refused(tmp_path, content, reason):
    write(tmp_path / "source", "binary", "archive", data_batch_1=content)
    with pytest.raises(DataError, match=f"data_batch_1.bin.*{reason}") as error:
        prepare(data(tmp_path))
    assert "\n" not in str(error.value)


def test_what_is_missing_or_cut_is_said(tmp_path):
    with pytest.raises(DataError, match="expected cifar-10-binary.tar.gz or cifar-10-python.tar"):
        prepare(data(tmp_path))
    with pytest.raises(DataError, match="set data.dir"):
        prepare(data(tmp_path, dir=""))
    source = tmp_path / "source"
    write(source, "binary", "archive", batches=["test_batch"])
    with pytest.raises(DataError, match=r"tar.gz lacks data_batch_1 .*; add data_batch_1"):
        prepare(data(tmp_path))
    write(source, "binary", "archive", batches=["data_batch_1"])
    with pytest.raises(DataError, match=r"tar.gz lacks test_batch; add"):
        prepare(data(tmp_path))
    whole = (write(source, "binary", "archive") / "cifar-10-binary.tar.gz").read_bytes()
    beyond = tarfile.TarInfo("a file of more bytes than an offset can say")
    beyond.size = 1 << 70
    header = gzip.compress(beyond.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    for content in (whole[: len(whole) // 2], b"", b"no archive", tar({"a": b"b"}), header):
        (source / "cifar-10-binary.tar.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"tar.gz (cannot be read|lacks)") as error:
            prepare(data(tmp_path))
        assert "\n" not in str(error.value)


def test_an_archive_that_a_browser_has_decompressed_is_read(tmp_path):
    source = write(tmp_path / "source", "python", "archive")
    packed = source / "cifar-10-python.tar.gz"
    whole, _ = prepare(data(tmp_path)).read("train", range(12))
    content = gzip.decompress(packed.read_bytes())
    packed.unlink()
    for name in ("cifar-10-python.tar", packed.name):  # with its ending taken off, or left
        (source / name).write_bytes(content)
        again, _ = prepare(data(tmp_path, prepared_dir=str(tmp_path / name))).read(
            "train", range(12)
        )
        np.testing.assert_array_equal(again, whole)
        for cut in (len(content) // 2, 700, 0):
            (source / name).write_bytes(content[:cut])
            said = rf"{name} (cannot be read as a tar archive|lacks .*; add)"
            with pytest.raises(DataError, match=said) as error:
                prepare(data(tmp_path, prepared_dir=str(tmp_path / "cut")))
            assert "\n" not in str(error.value)
        (source / name).unlink()


def test_a_link_in_an_archive_is_not_followed(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in ("data_batch_1.bin", "test_batch.bin"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "cifar-10-binary.tar.gz").write_bytes(out.getvalue())
    with pytest.raises(DataError, match="lacks data_batch_1"):
        prepare(data(tmp_path))


def test_images_for_an_evaluation_are_known_by_what_the_folder_holds(tmp_path):
    for k, (kind, form) in enumerate(itertools.product(("binary", "python"), FORMS)):
        assert _builder_of(write(tmp_path / str(k), kind, form)) == "cifar10"
    (tmp_path / "val" / "images").mkdir(parents=True)
    (tmp_path / "train" / "n01440764").mkdir(parents=True)
    assert _builder_of(tmp_path) == "ilsvrc"
    (tmp_path / "val" / "val_annotations.txt").touch()
    assert _builder_of(tmp_path) == "tiny_imagenet"
    assert _builder_of(tmp_path / "val") == "image_folder"
