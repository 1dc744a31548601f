"""shapes: deterministic, balanced, and told apart by what the names say."""

import hashlib

import numpy as np
import pytest

from alexnet_jax.data.sources import shapes


def test_same_image_every_time_and_no_two_alike():
    seen = set()
    for split in ("train", "validation"):
        for index in range(20):
            image, label = shapes.render(split, index)
            assert image.shape == (256, 256, 3) and image.dtype == np.uint8
            assert label == index % 10
            np.testing.assert_array_equal(image, shapes.render(split, index)[0])
            seen.add(hashlib.sha256(image.tobytes()).hexdigest())
    assert len(seen) == 40


def test_the_same_scene_at_any_size():
    for index in range(20):
        large = shapes.render("train", index, 256)[0].astype(float)
        for size in (64, 512):  # at 32 a texture has 4 pixels a period
            image, label = shapes.render("train", index, size)
            assert image.shape == (size, size, 3) and label == index % 10
            ratio = max(size, 256) // min(size, 256)
            one, other = (large, image) if size < 256 else (image, large)
            shrunk = one.reshape(len(other), ratio, len(other), ratio, 3).mean((1, 3))
            away = np.abs(shrunk - other).max(2)  # noise of 16 levels; edges by half a pixel
            assert np.median(away) < 17 and (away > 40).mean() < 0.12, (index, size)


def test_colour_alone_tells_the_discs_apart():
    for label, channel in ((0, 0), (1, 1), (2, 2)):
        for k in range(10):
            image = shapes.render("train", 10 * k + label)[0].astype(int)
            # Over the disc its channel leads by far; the background is nearly grey.
            others = image.sum(axis=2) - image[..., channel]
            lead = image[..., channel] - others / 2
            assert (lead > 50).mean() > 0.12


def test_every_shape_stands_off_from_its_background():
    for index in range(100):
        image = shapes.render("validation", index)[0].astype(float)
        edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        away = np.linalg.norm(image - np.median(edge, axis=0), axis=2) > 90
        assert 0.04 < away.mean() < 0.5
        assert not away[0].any() and not away[-1].any()  # nothing is cut off


def test_refuses_what_is_not_there():
    with pytest.raises(ValueError, match="expected split train or validation"):
        shapes.render("test", 0)
    with pytest.raises(ValueError, match="expected split train or validation"):
        shapes.render("train", -1)
