"""ImageNet as Kaggle and Hugging Face give it."""

import json
import pathlib
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from alexnet_jax.data.decode.images import decode_jpeg, encode_jpeg, to_square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.data.sources import flat, gzip_file, parquet
from alexnet_jax.data.sources.ilsvrc import ilsvrc_source
from alexnet_jax.errors import DataError
from tests.support import official, tiny

VALIDATION = 13


def write_kaggle(root: pathlib.Path) -> pathlib.Path:
    """Write what Kaggle's zip holds, with small images; return the folder."""
    images = root / "ILSVRC" / "Data" / "CLS-LOC"
    official.write_extracted_2012(images, flat=True, validation=VALIDATION)
    for kit in images.glob("*devkit*"):
        shutil.rmtree(kit)
    _, wnids = official.numbered_images("ILSVRC2012_val", VALIDATION, 1)
    rows = [
        f"ILSVRC2012_val_{k:08d},{wnid} 85 1 499 272 {wnid} 9 9 99 99 \n"
        for k, wnid in enumerate(wnids, 1)
    ]
    (root / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(rows[::-1]))
    words = [f"{wnid} {official.WORDS[wnid]}\n" for wnid in reversed(official.WNIDS)]
    (root / "LOC_synset_mapping.txt").write_text("".join(words))
    (root / "ILSVRC" / "Annotations" / "CLS-LOC" / "train").mkdir(parents=True)
    (root / "LOC_sample_submission.csv").write_text("ImageId,PredictionString\n")
    return root


@pytest.mark.parametrize("place", [".", "ILSVRC", "ILSVRC/Data/CLS-LOC"])
def test_item_9_kaggles_folder_gives_the_official_records(tmp_path, place):
    """Kaggle's folder, from the zip's root or below, gives the records of the official archives."""
    official.write_2012(tmp_path / "official", VALIDATION)
    write_kaggle(tmp_path / "kaggle")
    expected, dataset = (
        prepare(tiny.data_config(tmp_path, builder="ilsvrc", size=32, dir=str(folder)))
        for folder in (tmp_path / "official", tmp_path / "kaggle" / place)
    )
    assert dataset.class_names == expected.class_names == official.WNIDS
    assert [row["words"] for row in dataset.classes] == list(official.WORDS.values())
    assert all("ilsvrc_id" not in row for row in dataset.classes)  # Kaggle does not say them
    for split in ("train", "validation"):
        (other,) = expected.directory.glob(f"*-{split}.array_record*")
        (records,) = dataset.directory.glob(f"*-{split}.array_record*")
        assert records.read_bytes() == other.read_bytes()


def test_item_9_kaggles_validation_images_alone_are_enough_for_an_evaluation(tmp_path):
    """Without train, Kaggle's tables say the classes."""
    root = write_kaggle(tmp_path / "kaggle")
    (root / "ILSVRC" / "Data" / "CLS-LOC" / "train").rename(tmp_path / "aside")
    data = tiny.data_config(tmp_path, builder="ilsvrc", size=32, dir=str(root))
    assert prepare(data, "validation").class_names == official.WNIDS


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("LOC_val_solution.csv", ("n02119789", "n99999999"), "a wnid of the 4 classes"),
        ("LOC_val_solution.csv", ("val_00000007,", "val_7,"), "ILSVRC2012_val_<8 digits>"),
        ("LOC_val_solution.csv", ("val_00000007,", "val_00000099,"), "list images 1 to 13"),
        ("LOC_synset_mapping.txt", ("n02119789", "n02119780"), "a wnid of the 4 classes"),
        ("LOC_val_solution.csv", None, "the labels of validation are in the development kit"),
    ],
)
def test_item_9_tables_that_do_not_fit_are_one_line(tmp_path, name, change, said):
    """A table of Kaggle's that does not fit is refused in one line that names it."""
    path = write_kaggle(tmp_path / "kaggle") / name
    if change is None:
        path.unlink()
    else:
        path.write_text(path.read_text().replace(*change))
    data = tiny.data_config(tmp_path, builder="ilsvrc", size=32, dir=str(tmp_path / "kaggle"))
    with pytest.raises(DataError) as error:
        prepare(data)
    assert said in str(error.value) and "\n" not in str(error.value)


Row = tuple[bytes | None, str, int]  # image, path, label


def rows() -> dict[str, list[Row]]:
    """Return Hugging Face's rows of the images of the official archives, shuffled."""
    label = {wnid: k for k, wnid in enumerate(official.WNIDS)}
    train: list[Row] = [
        (data, f"{name.removesuffix('.JPEG')}_{wnid}.JPEG", label[wnid])
        for wnid, images in official.train_images().items()
        for name, data in images.items()
    ]
    np.random.default_rng(0).shuffle(train)  # type: ignore[arg-type]
    images, wnids = official.numbered_images("ILSVRC2012_val", VALIDATION, 1)
    validation: list[Row] = [
        (data, f"{name.removesuffix('.JPEG')}_{wnid}.JPEG", label[wnid])
        for (name, data), wnid in zip(images.items(), wnids, strict=True)
    ]
    return {"train": train, "validation": validation, "test": [(b"", "ILSVRC2012_test_1.JPEG", -1)]}


def write_parquet(folder: pathlib.Path, content: dict[str, list[Row]], files: int = 2) -> None:
    """Write <split>-0000k-of-0000n.parquet in groups of five rows."""
    folder.mkdir(parents=True)
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    for split, of_split in content.items():
        for k in range(files):
            part = [(({"bytes": row[0], "path": row[1]}), row[2]) for row in of_split[k::files]]
            columns = [pa.array([row[0] for row in part], image), pa.array([r[1] for r in part])]
            path = folder / f"{split}-{k:05d}-of-{files:05d}.parquet"
            pa.parquet.write_table(pa.table(columns, ["image", "label"]), path, row_group_size=5)


@pytest.mark.parametrize("place", [".", "data"])
@pytest.mark.parametrize("files", [1, 3])
def test_item_9_hugging_faces_parquet_files_give_the_official_images(tmp_path, place, files):
    """Parquet files give each image with its name, label and pixels."""
    content = rows()
    write_parquet(tmp_path / "source" / place, content, files)
    dataset = prepare(tiny.data_config(tmp_path, builder="ilsvrc", size=32))
    assert dataset.class_names == official.WNIDS and dataset.splits == ("train", "validation")
    assert [row["words"] for row in dataset.classes] == list(official.WORDS.values())
    for split in dataset.splits:
        expected = [row for k in range(files) for row in content[split][k::files]]
        pixels, labels = dataset.read(split, range(len(expected)))
        assert labels.tolist() == [label for _, _, label in expected]
        names = dataset.file_names(split, range(len(expected)))
        for square, name, (data, path, label) in zip(pixels, names, expected, strict=True):
            wnid = official.WNIDS[label]
            file = path.replace(f"_{wnid}.", ".")
            assert name == (f"{wnid}/{file}" if split == "train" else file)
            stored = encode_jpeg(to_square(data, "x", Resize(size=32)))
            np.testing.assert_array_equal(square, decode_jpeg(stored))


def test_item_9_parquet_without_wnids_has_the_labels_of_all_1000(tmp_path):
    """Where paths do not carry the wnid, label k is the k-th of the 1000 wnids."""
    image = official.jpeg(official.WNIDS[0], 0)
    content: dict[str, list[Row]] = {"validation": [(image, "", 999), (image, "1.jpg", 1)]}
    write_parquet(tmp_path / "source", content, 1)
    dataset = prepare(tiny.data_config(tmp_path, builder="ilsvrc", size=32), "validation")
    labels = dataset.read("validation", range(2))[1]
    assert [dataset.class_names[label] for label in labels] == ["n15075141", "n01443537"]


IMAGENET_100 = ["n01440764", "n02119789", "n15075141"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (IMAGENET_100, ["n02119789", "n15075141"]),  # ImageNet-100, Tiny ImageNet: wnids
        ([f"class {k}" for k in range(1000)], ["n01443537", "n01484850"]),
        (["tench", "springer", "player"], "lists 3 classes, 'tench', 'springer', 'player', ...: "),
    ],
)
def test_item_9_the_names_that_parquet_files_list_decide(tmp_path, names, expected):
    """Labels 1 and 2 are the wnids that the files list; other names than ImageNet's are refused."""
    root = tmp_path / "source"
    write_parquet(root, {"validation": [(b"", "1.jpg", 1), (b"", "", 2)]}, 1)
    (path,) = root.iterdir()
    said = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    table = pa.parquet.read_table(path).replace_schema_metadata({"huggingface": json.dumps(said)})
    pa.parquet.write_table(table, path)
    if isinstance(expected, list):
        source = ilsvrc_source(root, "2012", 0.1, only="validation")
        found = [source.class_names[label] for label in source.splits["validation"].labels]
        assert found == expected
    else:
        with pytest.raises(DataError) as error:
            ilsvrc_source(root, "2012", 0.1, only="validation")
        assert expected in str(error.value) and "data.builder=image_folder" in str(error.value)


def cut(folder: pathlib.Path) -> None:
    path = folder / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-9])


def flipped_bit(folder: pathlib.Path) -> None:
    path = folder / "train-00000-of-00001.parquet"
    table = pa.parquet.read_table(path)
    pa.parquet.write_table(table, path, write_page_checksum=True, compression="none")
    image = table["image"][3].as_py()["bytes"]
    data = bytearray(path.read_bytes())
    data[data.index(image) + len(image) - 9] ^= 1
    path.write_bytes(data)


def no_validation(folder: pathlib.Path) -> None:
    (folder / "validation-00000-of-00001.parquet").unlink()


def other_columns(folder: pathlib.Path) -> None:
    pa.parquet.write_table(pa.table({"x": [1]}), folder / "train-00000-of-00001.parquet")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (cut, "train-00000-of-00001.parquet cannot be read as parquet"),
        (other_columns, "cannot be read as parquet with columns image {bytes, path} and label"),
        (flipped_bit, "CRC checksum verification failed"),
        (no_validation, "has no validation-*.parquet; add them"),
        ({"train": (b"", "a_n01440764.JPEG", 3)}, "label 3 is n15075141 and, by the name"),
        ({"train": (b"", "a.JPEG", -1)}, "expected labels 0 to 999; got -1"),
        ({"train": (None, "a_n01440764.JPEG", 0)}, "the row holds no image"),
        ({"train": (b"none", "a_n01440764.JPEG", 0)}, "a_n01440764.JPEG"),
    ],
)
def test_item_9_parquet_files_that_do_not_fit_are_one_line(tmp_path, change, said):
    """A parquet file that is cut, of other columns or of other labels is one line."""
    content = rows()
    if isinstance(change, dict):
        content["train"].append(change["train"])
    write_parquet(tmp_path / "source", content, 1)
    if callable(change):
        change(tmp_path / "source")
    with pytest.raises(DataError) as error:
        prepare(tiny.data_config(tmp_path, builder="ilsvrc", size=32))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_item_9_a_damaged_footer_of_a_parquet_file_is_one_line(tmp_path):
    """Arrow reads it, or the line names the file, whatever kind of error Arrow raises."""
    write_parquet(tmp_path / "source", {split: of[:2] for split, of in rows().items()}, 1)
    files = parquet.find(tmp_path / "source")
    path = files["train"][0]
    whole = path.read_bytes()
    for at in range(-300, -250):  # the end of Arrow's own schema: sizes and kinds of numbers
        for bit in (1 << 0, 1 << 3, 1 << 5):
            damaged = bytearray(whole)
            damaged[at] ^= bit
            path.write_bytes(damaged)
            try:
                parquet.parquet_source(files)
            except DataError as error:
                assert str(path) in str(error) and "\n" not in str(error)  # noqa: PT017


def write_flat(folder: pathlib.Path, form: str, content: dict[str, list[Row]]) -> None:
    """Write train_images_<k>.tar.gz and val_images.tar.gz, or what is in them."""
    for split, stem, parts in (("train", "train_images", 3), ("validation", "val_images", 1)):
        for k in range(parts):
            files = {name: data or b"" for data, name, _ in content[split][k::parts]}
            if form == "folders":
                place = folder / stem.removesuffix("_images")
                place.mkdir(parents=True, exist_ok=True)
                for name, data in files.items():
                    (place / name).write_bytes(data)
            else:
                number = f"_{k}" if split == "train" else ""
                name = f"{stem}{number}.{form}"
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                packed = official.tar(files, "w:gz" if form == "tar.gz" else "w")
                (folder / name).write_bytes(packed)


@pytest.mark.parametrize("place", [".", "data"])
@pytest.mark.parametrize("form", ["tar.gz", "tar", "folders"])
def test_item_9_hugging_faces_flat_archives_give_the_official_images(
    tmp_path, monkeypatch, form, place
):
    """Flat archives whose names carry the wnid, packed or not, give each image its label."""
    monkeypatch.setattr(gzip_file, "_BLOCK", 4000)  # so that an archive has several blocks
    monkeypatch.setattr(gzip_file, "_PIECE", 1000)
    content = rows()
    write_flat(tmp_path / "source" / place, form, content)
    dataset = prepare(tiny.data_config(tmp_path, builder="ilsvrc", size=32))
    assert dataset.class_names == official.WNIDS and dataset.splits == ("train", "validation")
    assert dataset.left_out == {}
    for split, parts in (("train", 3), ("validation", 1)):
        expected = [row for k in range(parts) for row in content[split][k::parts]]
        if form == "folders":
            expected = sorted(expected, key=lambda row: row[1])
        pixels, labels = dataset.read(split, range(len(expected)))
        assert labels.tolist() == [label for _, _, label in expected]
        for square, (data, _, _) in zip(pixels, expected, strict=True):
            stored = encode_jpeg(to_square(data, "x", Resize(size=32)))
            np.testing.assert_array_equal(square, decode_jpeg(stored))
        names = dataset.file_names(split, range(len(expected)))
        assert all(re.fullmatch(NAMES[split], name) for name in names)


def test_item_9_an_archive_that_is_there_decompressed_too_counts_once(tmp_path):
    """The images are those of one of the two, in the order of the archives; so with parquet."""
    write_flat(tmp_path, "tar.gz", rows())
    expected = flat.find(tmp_path)
    (tmp_path / "train_images_1.tar").write_bytes(b"")
    expected["train"][1] = tmp_path / "train_images_1.tar"
    assert flat.find(tmp_path) == expected
    write_parquet(tmp_path / "twice", rows())
    expected = parquet.find(tmp_path / "twice")
    write_parquet(tmp_path / "twice" / "data", rows())
    assert parquet.find(tmp_path / "twice") == expected


def test_item_9_flat_images_may_lie_beside_other_files(tmp_path):
    """A file that is no image does not hide those that are."""
    write_flat(tmp_path, "folders", rows())
    for name in ("a.txt", "notes", "wnids.csv"):
        (tmp_path / "train" / name).touch()
    assert flat.find(tmp_path) == {"train": [tmp_path / "train"], "validation": [tmp_path / "val"]}


NAMES = {"train": r"(n\d{8})/\1_\d+\.JPEG", "validation": r"ILSVRC2012_val_\d{8}\.JPEG"}


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("train_images_1.tar.gz", "cut", "train_images_1.tar.gz cannot be read as a tar archive"),
        ("val_images.tar.gz", "none", "has no val_images*.tar.gz; add it"),
        ("train_images_2.tar.gz", "names", "expected names that end with the wnid"),
        ("train_images_0.tar.gz", "image", "train_images_0.tar.gz: n01440764_1_n01440764.JPEG"),
    ],
)
def test_item_9_flat_archives_that_do_not_fit_are_one_line(tmp_path, name, change, said):
    """An archive that is cut, missing or of other names is one line."""
    folder = tmp_path / "source"
    write_flat(folder, "tar.gz", rows())
    path = folder / name
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif change == "none":
        path.unlink()
    else:
        other = "x.JPEG" if change == "names" else "n01440764_1_n01440764.JPEG"
        path.write_bytes(official.tar({other: b"none"}, "w:gz"))
    with pytest.raises(DataError) as error:
        prepare(tiny.data_config(tmp_path, builder="ilsvrc", size=32))
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "write",
    [
        write_kaggle,
        lambda folder: write_parquet(folder, rows()),
        lambda folder: write_flat(folder, "tar.gz", rows()),
        lambda folder: write_flat(folder, "folders", rows()),
    ],
    ids=["kaggle", "parquet", "archives", "folders"],
)
def test_item_9_a_folder_for_the_other_builder_names_it(tmp_path, write):
    """With builder=image_folder the line names the builder that reads such a download."""
    write(tmp_path / "source" / "input")
    with pytest.raises(DataError, match="is read with data.builder=ilsvrc$") as error:
        prepare(tiny.data_config(tmp_path, size=32))
    assert "\n" not in str(error.value)


def test_item_9_flat_validation_images_may_lie_beside_class_folders(tmp_path):
    """A flat val/ whose names carry the wnid needs no kit, beside train/<wnid>/ too."""
    content = rows()
    write_flat(tmp_path / "source", "folders", content)
    shutil.rmtree(tmp_path / "source" / "train")
    for wnid, images in official.train_images().items():
        for name, data in images.items():
            path = tmp_path / "source" / "train" / wnid / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    dataset = prepare(tiny.data_config(tmp_path, builder="ilsvrc", size=32))
    expected = [row[2] for row in sorted(content["validation"], key=lambda row: row[1])]
    assert dataset.read("validation", range(VALIDATION))[1].tolist() == expected
    assert dataset.num_examples("train") == len(content["train"])


@pytest.mark.parametrize(
    "write",
    [
        official.write_2012,
        lambda folder: official.write_extracted_2012(folder, flat=True),
        write_kaggle,
        lambda folder: write_parquet(folder / "data", rows()),
        lambda folder: write_flat(folder, "tar", rows()),
    ],
    ids=["official", "unpacked", "kaggle", "parquet", "archives"],
)
@pytest.mark.parametrize("wrapper", ["imagenet", "input/ILSVRC2012"])
def test_item_9_single_wrappers_are_passed_through(tmp_path, write, wrapper):
    """A folder that holds nothing but a download's folder gives the same images."""
    write(tmp_path / "a")
    write(tmp_path / "b" / wrapper)
    expected, found = (ilsvrc_source(tmp_path / name, "2012", 0.1) for name in "ab")
    assert found.digest == expected.digest and found.left_out == expected.left_out == {}


@pytest.mark.parametrize("place", ["train", "kaggle", "fall2011"])
def test_item_9_archives_and_folders_of_other_classes_are_refused(tmp_path, place):
    """Where only some of the classes' archives were unpacked, the others are not forgotten."""
    folder = tmp_path / "train"
    if place == "kaggle":
        folder = write_kaggle(tmp_path) / "ILSVRC" / "Data" / "CLS-LOC" / "train"
    elif place == "train":
        official.write_extracted_2012(tmp_path, flat=False)
    else:
        folder = official.write_fall2011(tmp_path)
        (folder / "n01440764.tar").unlink()
        (folder / "n01440764").mkdir()
    if place != "fall2011":
        shutil.rmtree(folder / "n02119789")
        (folder / "n02119789.tar").write_bytes(official.tar({"x.JPEG": b""}))
    with pytest.raises(DataError, match=r"archives of some .*\.tar, .* of others \(n01440764, "):
        ilsvrc_source(tmp_path, "fall2011" if place == "fall2011" else "2012", 0.1)
