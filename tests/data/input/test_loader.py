"""loader: the order, each image once, any first step, any number of threads."""

import itertools
import os
import pathlib
import threading
import time

import numpy as np
import pytest

from alexnet_jax.data.input.loader import eval_batches, order, train_batches, train_indices
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.data.sources import shapes
from alexnet_jax.errors import DataError
from tests.support import tiny

TRAIN, VALIDATION = 23, 10


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "SPLIT_SIZES", {"train": TRAIN, "validation": VALIDATION})
        yield prepare(tiny.data_config(tmp_path_factory.mktemp("shapes"), builder="shapes", dir=""))


@pytest.fixture(scope="module")
def stored(dataset):
    """Every image of both splits, by split."""
    return {s: dataset.read(s, range(dataset.num_examples(s))) for s in ("train", "validation")}


def places(batches, images) -> list[int]:
    """Which stored image each row of the batches is."""
    known = {image.tobytes(): i for i, image in enumerate(images)}
    return [known[row.tobytes()] for batch in batches for row in batch["image"]]


def reading_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("ordered_map")]


def test_order_is_a_pure_permutation():
    first = order(0, 0, 1000)
    order.cache_clear()
    np.testing.assert_array_equal(first, order(0, 0, 1000))
    assert sorted(first.tolist()) == list(range(1000))
    for seed, epoch in ((0, 1), (1, 0), (1, 1), (-1, 0), (2**40, 0)):
        assert not np.array_equal(order(seed, epoch, 1000), first)
    assert not first.flags.writeable
    # Pinned: another order would break the resuming of runs.
    assert order(0, 0, 10).tolist() == [0, 7, 8, 6, 9, 5, 1, 3, 2, 4]


@pytest.mark.parametrize("batch_size", [1, 5, 23, 24, 60])
def test_each_image_once_an_epoch(batch_size):
    steps = -(-5 * TRAIN // batch_size)
    stream = [
        train_indices(7, TRAIN, np.arange(b * batch_size, (b + 1) * batch_size))
        for b in range(steps)
    ]
    stream = np.concatenate(stream)
    for epoch in range(5):
        seen = stream[epoch * TRAIN : (epoch + 1) * TRAIN]
        np.testing.assert_array_equal(seen, order(7, epoch, TRAIN))
    assert train_indices(7, TRAIN, np.arange(0)).shape == (0,)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_train_batches(dataset, stored, workers):
    images, labels = stored["train"]
    batches = list(
        train_batches(dataset, batch_size=6, seed=3, start_step=0, steps=9, workers=workers)
    )
    assert len(batches) == 9
    expected = train_indices(3, TRAIN, np.arange(54))
    for batch, indices in zip(batches, expected.reshape(9, 6), strict=True):
        assert set(batch) == {"image", "label"}
        assert batch["image"].dtype == np.uint8 and batch["label"].dtype == np.int32
        np.testing.assert_array_equal(batch["image"], images[indices])
        np.testing.assert_array_equal(batch["label"], labels[indices])
    assert not reading_threads()


def test_resumed_equals_continued(dataset):
    def run(start, steps):
        return list(train_batches(dataset, batch_size=6, seed=3, start_step=start, steps=steps))

    whole = run(0, 8)
    for start in (1, 4, 7):
        for a, b in zip(run(start, 8 - start), whole[start:], strict=True):
            np.testing.assert_array_equal(a["image"], b["image"])
            np.testing.assert_array_equal(a["label"], b["label"])


def test_a_far_step_comes_at_once(dataset):
    start = time.monotonic()
    batch = next(train_batches(dataset, batch_size=8, seed=0, start_step=10**9, steps=10**9))
    assert batch["image"].shape == (8, 256, 256, 3)
    assert time.monotonic() - start < 2


def test_nothing_before_the_first_step_is_read(dataset):
    read: list[int] = []

    class Noted:  # of its own: threads of an earlier test may still be reading the shared one
        num_examples = dataset.num_examples

        @staticmethod
        def read(split, indices):
            read.extend(indices.tolist())
            return dataset.read(split, indices)

    list(train_batches(Noted, batch_size=4, seed=0, start_step=3, steps=1))
    assert sorted(read) == sorted(train_indices(0, TRAIN, np.arange(12, 16)).tolist())


def test_rows_of_several_processes_make_the_whole_batch(dataset):
    common = {"batch_size": 6, "seed": 1, "start_step": 2, "steps": 4}
    whole = list(train_batches(dataset, **common))
    parts = [list(train_batches(dataset, **common, rows=slice(k, k + 3))) for k in (0, 3)]
    for batch, first, second in zip(whole, *parts, strict=True):
        for key in batch:
            np.testing.assert_array_equal(batch[key], np.concatenate([first[key], second[key]]))
    common = {"split": "validation", "batch_size": 6}
    whole = list(eval_batches(dataset, **common))
    parts = [list(eval_batches(dataset, **common, rows=slice(k, k + 3))) for k in (0, 3)]
    for batch, first, second in zip(whole, *parts, strict=True):
        for key in batch:
            np.testing.assert_array_equal(batch[key], np.concatenate([first[key], second[key]]))


@pytest.mark.parametrize("batch_size", [1, 3, 5, 9, 10, 11, 64])
@pytest.mark.parametrize("workers", [1, 2])
def test_eval_has_each_image_once(dataset, stored, batch_size, workers):
    images, labels = stored["validation"]
    batches = list(eval_batches(dataset, "validation", batch_size=batch_size, workers=workers))
    assert len(batches) == -(-VALIDATION // batch_size)
    for batch in batches:
        assert batch["image"].shape == (batch_size, 256, 256, 3)
        assert batch["mask"].dtype == np.float32 and batch["mask"].shape == (batch_size,)
        assert batch["label"].dtype == np.int32
    joined = {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}
    np.testing.assert_array_equal(joined["mask"][:VALIDATION], 1)
    np.testing.assert_array_equal(joined["mask"][VALIDATION:], 0)
    np.testing.assert_array_equal(joined["image"][:VALIDATION], images)
    np.testing.assert_array_equal(joined["label"][:VALIDATION], labels)
    assert not joined["image"][VALIDATION:].any()


def test_closing_early_ends_the_threads(dataset):
    batches = train_batches(dataset, batch_size=4, seed=0, start_step=0, steps=10**6, workers=3)
    first = list(itertools.islice(batches, 3))
    assert len(first) == 3 and reading_threads()
    batches.close()
    assert not reading_threads()
    unused = train_batches(dataset, batch_size=4, seed=0, start_step=0, steps=5)
    unused.close()
    assert not reading_threads()


def test_an_error_in_a_thread_comes_out_as_it_is(dataset, monkeypatch):
    def broken(split, indices):
        raise DataError("the disk is gone")

    monkeypatch.setattr(dataset, "read", broken)
    with pytest.raises(DataError, match="^the disk is gone$"):
        list(eval_batches(dataset, "validation", batch_size=4))
    assert not reading_threads()


def test_refusals(dataset):
    with pytest.raises(ValueError, match="batch_size >= 1"):
        next(train_batches(dataset, batch_size=0, seed=0, start_step=0, steps=1))
    with pytest.raises(ValueError, match="start_step"):
        next(train_batches(dataset, batch_size=1, seed=0, start_step=-1, steps=1))
    with pytest.raises(DataError, match="not test"):
        next(eval_batches(dataset, "test", batch_size=2))


def resident_megabytes() -> float:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_memory_is_flat(dataset):
    common = {"batch_size": 32, "seed": 0, "start_step": 0, "workers": 2}
    batches = train_batches(dataset, steps=60, **common)
    for _ in range(10):
        next(batches)
    before = resident_megabytes()
    for _ in range(50):
        next(batches)
    # 50 batches are 315 MB; what is under way at a time is four of 6.3 MB.
    assert resident_megabytes() - before < 40
