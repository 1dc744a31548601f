"""ImageNet as Kaggle and Hugging Face give it."""

import pathlib
import shutil

import pytest

from alexnet_jax.data.prepare.prepare import prepare
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
