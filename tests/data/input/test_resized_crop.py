"""RandomResizedCrop: boxes against torchvision's rule in plain Python, scaling against Pillow."""

import math
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from alexnet_jax.data.input import resized_crop
from tests.support.augment_views import MEAN, data, draw_images, map_image, viewer

FULL, DRAWS = 256, 20_000


def slow_box(rng: random.Random) -> tuple[int, int, int, int]:
    """Return top, left, height, width as torchvision's RandomResizedCrop.get_params draws them."""
    for _ in range(10):
        area = FULL * FULL * rng.uniform(0.08, 1.0)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= FULL and 0 < height <= FULL:
            top, left = rng.randint(0, FULL - height), rng.randint(0, FULL - width)
            return top, left, height, width
    return 0, 0, FULL, FULL  # the middle of a square, as large as its sides allow


@pytest.fixture(scope="module")
def boxes():
    """(top, left, height, width) of DRAWS boxes, the program's and the slow ones."""
    keys = jax.random.split(jax.random.key(3), DRAWS)
    found = jax.jit(jax.vmap(lambda key: resized_crop.draw_box(key, FULL)))(keys)
    rng = random.Random(0)
    return np.asarray(found), np.array([slow_box(rng) for _ in range(DRAWS)])


def quantities(boxes: np.ndarray) -> dict[str, np.ndarray]:
    top, left, height, width = boxes.T.astype(np.float64)
    return {
        "area": height * width,
        "ratio": width / height,
        "top": top,
        "left": left,
        "height": height,
        "width": width,
        # Where in what is left: uniform whatever the size.
        "share": (top + 0.5) / (FULL - height + 1),
        "moved_right": left - top,
        "taller_and_lower": height * top,
    }


def test_boxes_are_inside_and_of_an_allowed_size(boxes):
    top, left, height, width = boxes[0].T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= FULL).all() and (left + width <= FULL).all()
    assert (height * width / FULL**2).min() > 0.078  # 8%, and rounding of the sides
    assert (width / height).min() > 0.74 and (width / height).max() < 1.35


def test_boxes_are_distributed_as_torchvisions(boxes):
    found, slow = (quantities(each) for each in boxes)
    for name in found:
        # Two-sample Kolmogorov-Smirnov; 1.95 is passed once in a thousand draws of equals.
        values = np.unique(np.concatenate([found[name], slow[name]]))
        below = [np.searchsorted(np.sort(x[name]), values, side="right") for x in (found, slow)]
        distance = np.abs(below[0] - below[1]).max() / DRAWS
        assert distance < 1.95 * math.sqrt(2 / DRAWS), name


def test_the_whole_square_where_no_try_fits(monkeypatch):
    monkeypatch.setattr(resized_crop, "AREA", (1.5, 2.0))
    box = jax.jit(lambda key: resized_crop.draw_box(key, FULL))(jax.random.key(0))
    assert box.tolist() == [0, 0, FULL, FULL]


def pillow(image: np.ndarray, box, size: int) -> np.ndarray:
    """Cut the box out, then scale it with Pillow, each channel as float: no rounding."""
    top, left, height, width = box
    cut = image[top : top + height, left : left + width].astype(np.float32)
    channels = [
        Image.fromarray(np.ascontiguousarray(cut[..., c])).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], -1)


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 256, 256),
        (5, 40, 224, 200),
        (0, 13, 100, 131),  # enlarged
        (173, 156, 83, 100),  # enlarged, at the far corner
        (16, 0, 240, 180),  # smaller down, larger across
        (7, 9, 64, 85),
    ],
)
@pytest.mark.parametrize("size", [224, 67])
def test_scaling_is_pillows(box, size):
    image = draw_images(1)[0]
    found = jax.jit(resized_crop.resize, static_argnums=2)(
        jnp.asarray(image, jnp.float32), jnp.asarray(box, jnp.int32), size
    )
    assert found.shape == (size, size, 3) and found.dtype == jnp.float32
    np.testing.assert_allclose(found, pillow(image, box, size), atol=2e-4)


def test_nothing_outside_of_the_box_counts():
    image = np.full((256, 256, 3), np.float32(1e6))
    image[30:130, 50:170] = 7.0
    box = jnp.array([30, 50, 100, 120], jnp.int32)
    found = jax.jit(resized_crop.resize, static_argnums=2)(jnp.asarray(image), box, 224)
    np.testing.assert_allclose(found, 7.0, rtol=1e-6)


def box_of(view: np.ndarray) -> tuple[tuple[int, int, int, int], bool]:
    """Return the box that a view of `map_image` shows, and whether it is mirrored."""
    rows, columns = view[:, 112, 0].astype(np.float64), view[112, :, 1].astype(np.float64)
    mirrored = columns[0] > columns[-1]
    columns = columns[::-1] if mirrored else columns
    ends = []
    for line in (rows, columns):  # away from the borders a straight line goes through
        slope = (line[204] - line[20]) / 184
        ends.append((line[112] - 112.5 * slope + 0.5, 224 * slope))
    (top, height), (left, width) = ends
    return tuple(round(x) for x in (top, left, height, width)), mirrored


@pytest.mark.parametrize("mean", ["none", "image", "centre"])
def test_training_views_are_scaled_boxes_less_the_mean(mean):
    images = draw_images(12)
    options = {"crop": True, "crop_form": "resized", "flip": True}
    maps = viewer(data(**options))(np.stack([map_image()] * 12))
    found = viewer(data(**options, mean=mean))(images)
    seen = set()
    for image, view, where in zip(images, found, maps, strict=True):
        box, mirrored = box_of(where)
        expected = pillow(image, box, 224)
        if mean == "image":
            expected = expected - pillow(MEAN, box, 224)
        expected = expected[:, ::-1] if mirrored else expected
        if mean == "centre":
            expected = expected - MEAN[16:240, 16:240]
        np.testing.assert_allclose(view, expected, atol=4e-4)
        seen.add((box, mirrored))
    assert len(seen) == 12 and {mirrored for _, mirrored in seen} == {False, True}


def test_neighbours_share_the_box_and_without_crop_it_is_the_centre():
    images = np.stack([map_image()] * 8)
    options = {"crop": True, "crop_form": "resized", "crop_chunk": 4}
    found = viewer(data(**options))(images)
    assert (found[:4] == found[0]).all() and (found[4:] == found[4]).all()
    assert not np.array_equal(found[0], found[4])
    centre = viewer(data(crop=False, crop_form="resized"))(images)
    np.testing.assert_array_equal(centre, images[:, 16:240, 16:240].astype(np.float32))
