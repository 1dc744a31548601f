"""Where batches come from: which images fit on the devices, and that both ways give the same."""

import dataclasses
import types

import jax
import numpy as np
import pytest

from alexnet_jax.data.input import feed
from alexnet_jax.data.input.loader import eval_batches, train_batches
from alexnet_jax.errors import ConfigError
from alexnet_jax.system import sharding
from tests.support import narrow_recipe

N, SIZE = 13, 4
RNG = np.random.default_rng(0)


@dataclasses.dataclass
class Images:
    """In place of a prepared dataset."""

    images: np.ndarray
    labels: np.ndarray
    size: int = SIZE

    def num_examples(self, split: str) -> int:
        assert split == "train"
        return len(self.labels)

    def read(self, split: str, indices: np.ndarray):
        assert split == "train"
        return self.images[indices], self.labels[indices]


@pytest.fixture
def dataset():
    return Images(RNG.integers(0, 256, (N, SIZE, SIZE, 3), np.uint8), np.arange(N, dtype=np.int32))


def devices(count: int, memory: int | None):
    stats = {"bytes_limit": memory} if memory else None
    device = types.SimpleNamespace(memory_stats=lambda: stats)
    return types.SimpleNamespace(local_devices=[device] * count)


# 50,000 pictures of 32 pixels with their labels are 153.8 MB; 1.28 million of 256, 252 GB.
CIFAR, ILSVRC = feed.split_bytes(50_000, 32), feed.split_bytes(1_281_167, 256)


@pytest.mark.parametrize(
    ("asked", "size", "count", "memory", "resident"),
    [
        ("auto", CIFAR, 1, None, True),
        ("auto", CIFAR, 6, None, True),
        ("auto", CIFAR, 7, None, False),  # each virtual device has a copy: 1.08 GB
        ("auto", CIFAR, 8, 16 << 30, True),  # an accelerator has memory of its own
        ("auto", CIFAR, 1, 615_200_000, False),  # exactly a quarter
        ("auto", CIFAR, 1, 615_200_004, True),
        ("auto", ILSVRC, 1, 80 << 30, False),
        ("on", CIFAR, 7, None, True),
        ("on", CIFAR, 1, 153_800_000, True),
        ("off", CIFAR, 1, None, False),
    ],
)
def test_images_are_resident_where_they_fit(asked, size, count, memory, resident):
    assert CIFAR == 50_000 * (32 * 32 * 3 + 4) == 153_800_000
    assert feed.is_resident(asked, size, devices(count, memory)) is resident


def test_images_that_do_not_fit_are_refused_in_one_line():
    said = (
        "data.resident=on: the training images are 251.9 GB, and a device has 85.9 GB; auto reads "
        "them as they are needed"
    )
    with pytest.raises(ConfigError) as refused:
        feed.is_resident("on", ILSVRC, devices(1, 80 << 30))
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("platform", "batch_size", "image_size", "steps"),
    [("cpu", 128, 32, 1), ("gpu", 128, 32, 32), ("gpu", 128, 56, 10), ("gpu", 128, 224, 1)],
)
def test_calls_have_several_steps_where_these_are_short(platform, batch_size, image_size, steps):
    grid = np.array([types.SimpleNamespace(platform=platform)])
    mesh = types.SimpleNamespace(devices=grid)
    assert feed.steps_in_a_call(mesh, batch_size, image_size) == steps


def test_all_images_are_read_without_the_padding(dataset):
    batches = eval_batches(dataset, "train", batch_size=5)
    images, labels = feed.read_all(dataset, batches, pytest.fail)
    np.testing.assert_array_equal(images, dataset.images)
    np.testing.assert_array_equal(labels, dataset.labels)


@pytest.mark.parametrize("data", [1, 2])
def test_resident_batches_are_those_that_are_read(dataset, data):
    config = narrow_recipe.get_config()
    config.mesh.data, config.mesh.group = data, 1
    mesh, how = sharding.make_mesh(config.mesh, 1, 4), {"batch_size": 4, "seed": 3}
    read = list(train_batches(dataset, start_step=0, steps=9, **how))  # an epoch has 3.25 steps
    loaded = feed.Loaded(mesh, iter(read))
    single = feed.Resident(mesh, dataset.images, dataset.labels, most=1, **how)
    for step, expected in enumerate(read):
        for batch in (single.take(step, 1), loaded.take(step, 1)):
            assert batch["image"].sharding == sharding.batch_sharding(mesh)
            jax.tree.map(np.testing.assert_array_equal, batch, expected)
    several = feed.Resident(mesh, dataset.images, dataset.labels, most=4, **how)
    taken = several.take(5, 3)
    assert (taken["count"], taken["indices"].shape) == (3, (4, 4))
    for indices, expected in zip(np.asarray(taken["indices"]), read[5:9], strict=True):
        np.testing.assert_array_equal(dataset.labels[indices], expected["label"])
