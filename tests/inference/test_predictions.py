"""Kept predictions: written whole, read back, joined, and refused where they do not fit."""

import dataclasses
import pickle

import numpy as np
import pytest

from alexnet_jax.errors import DataError
from alexnet_jax.inference import predictions
from alexnet_jax.inference.predictions import Predictions, joined, load

RNG = np.random.default_rng(0)
FOUND = Predictions(
    nets=("runs/a", "runs/ü"),
    views=(1, 10),
    resize=("aspect/area", "warp/lanczos"),
    class_names=("ant", "bee", "cow"),
    files=("ant/1.jpg", "bee/ä 2.jpg"),
    labels=np.array([0, 1], np.int32),
    probabilities=RNG.dirichlet(np.ones(3), (2, 2)).astype(np.float32),
    split="test",
)


def same(a: Predictions, b: Predictions) -> bool:
    one, other = dataclasses.asdict(a), dataclasses.asdict(b)
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_what_is_kept_comes_back(tmp_path):
    FOUND.save(tmp_path / "new" / "a.npz")
    found = load(tmp_path / "new" / "a.npz")
    assert same(found, FOUND) and found.probabilities.dtype == np.float32
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npz"]


def test_a_file_that_does_not_say_its_split_is_of_validation(tmp_path):
    fields = dataclasses.asdict(FOUND)
    del fields["split"]
    np.savez(tmp_path / "older.npz", **fields)
    assert same(load(tmp_path / "older.npz"), dataclasses.replace(FOUND, split="validation"))


def test_files_are_joined_net_by_net(tmp_path):
    for net in range(2):
        part = dataclasses.replace(
            FOUND,
            nets=FOUND.nets[net : net + 1],
            views=FOUND.views[net : net + 1],
            resize=FOUND.resize[net : net + 1],
            probabilities=FOUND.probabilities[net : net + 1],
        )
        part.save(tmp_path / f"{net}.npz")
    assert same(joined([tmp_path / "0.npz", tmp_path / "1.npz"]), FOUND)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"files": ("ant/1.jpg", "ant/2.jpg")}, "different files"),
        ({"class_names": ("ant", "cow", "bee")}, "different class_names"),
        ({"labels": np.array([0, 2], np.int32)}, "different labels"),
    ],
)
def test_other_images_are_refused(change, said, tmp_path):
    FOUND.save(tmp_path / "a.npz")
    dataclasses.replace(FOUND, **change).save(tmp_path / "b.npz")
    with pytest.raises(DataError, match=said):
        joined([tmp_path / "a.npz", tmp_path / "b.npz"])


def test_what_is_no_file_of_predictions_is_one_line(tmp_path):
    FOUND.save(tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(FOUND))
    (tmp_path / "empty.npz").touch()
    dataclasses.replace(FOUND, nets="a").save(tmp_path / "one.npz")
    for name in (
        "one.npz",
        "cut.npz",
        "other.npz",
        "array.npz.npy",
        "pickle.npz",
        "empty.npz",
        "none.npz",
    ):
        with pytest.raises(DataError, match="no predictions that can be read"):
            load(tmp_path / name)
    dataclasses.replace(FOUND, labels=FOUND.labels[:1]).save(tmp_path / "short.npz")
    with pytest.raises(
        DataError, match=r"damaged: \(2, 2, 3\) probabilities, expected \(2, 1, 3\)"
    ):
        load(tmp_path / "short.npz")


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    FOUND.save(tmp_path / "a.npz")

    def fail(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(predictions.np, "savez", fail)
    with pytest.raises(DataError, match="a.npz could not be written.*No space left"):
        dataclasses.replace(FOUND, nets=("x", "y")).save(tmp_path / "a.npz")
    assert same(load(tmp_path / "a.npz"), FOUND)
    assert len(list(tmp_path.iterdir())) == 1
