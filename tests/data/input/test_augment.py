"""augment: crops, mirrors, colours and test views against the paper and NumPy."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.data.input import augment, ten_crops
from alexnet_jax.data.input.pixel_stats import at_epoch, make_pixel_stats
from alexnet_jax.errors import ConfigError
from alexnet_jax.system.sharding import FAST_COMPILE
from tests.support.augment_views import (
    EIGENVALUES,
    EIGENVECTORS,
    MARGIN,
    MEAN,
    SIZE,
    STATISTICS,
    crops,
    data,
    draw_images,
    map_image,
    viewer,
    views,
)

DRAWS = 33 * 64


def many(config, part, batch=192, image=None):
    """`part` of DRAWS views of one image, a batch after the other."""
    image = map_image() if image is None else image
    images = np.broadcast_to(image, (batch, 256, 256, 3))
    pixel_stats = {k: jnp.asarray(v) for k, v in make_pixel_stats(STATISTICS, config).items()}

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(examples):
        key = jax.random.key(11)
        return part(augment.training_views(images, pixel_stats, config, SIZE, key, examples))

    starts = range(0, DRAWS, batch)
    return np.concatenate([run(s + jnp.arange(batch, dtype=jnp.int32)) for s in starts])


def corners(x):
    """The first and last pixel of the first row of each view."""
    return jnp.stack([x[:, 0, 0], x[:, 0, -1]], 1)


@pytest.fixture(scope="module")
def crops_and_flips():
    """(top, left, mirrored) of DRAWS views."""
    first, last = many(data(crop=True, flip=True), corners).transpose(1, 0, 2)
    mirrored = first[:, 1] > last[:, 1]
    left = np.where(mirrored, last[:, 1], first[:, 1]).astype(int)
    np.testing.assert_array_equal(np.abs(first[:, 1] - last[:, 1]), SIZE - 1)
    return first[:, 0].astype(int), left, mirrored


def test_every_place_from_0_to_32_is_as_likely(crops_and_flips):
    top, left, _ = crops_and_flips
    for offsets in (top, left):
        counts = np.bincount(offsets, minlength=MARGIN + 1)
        assert counts.shape == (MARGIN + 1,) and counts.min() > 0
        expected = DRAWS / (MARGIN + 1)
        assert ((counts - expected) ** 2 / expected).sum() < 32 + 5 * 8  # chi-squared, 32 degrees


@pytest.mark.parametrize(("full", "size"), [(64, 56), (32, 32), (512, 448), (41, 24)])
def test_crops_of_squares_of_any_size(full, size):
    """Every window is one of the square less the mean there; each offset comes up."""
    rng = np.random.default_rng(full)
    mean = rng.uniform(90, 150, (full, full, 3)).astype(np.float32)
    statistics = types.SimpleNamespace(
        mean_image=mean, eigenvalues=np.ones(3), eigenvectors=np.eye(3)
    )
    config = data(crop=True, mean="image", size=full)
    image = rng.integers(0, 256, (full, full, 3), np.uint8)
    pixel_stats, batch = make_pixel_stats(statistics, config), 48
    assert pixel_stats["mean"].shape == (full, full, 3)

    def see(first):
        examples = first + jnp.arange(batch, dtype=jnp.int32)
        images = jnp.broadcast_to(jnp.asarray(image), (batch, *image.shape))
        return augment.training_views(images, pixel_stats, config, size, key, examples)

    key = jax.random.key(0)
    less = image.astype(np.float32) - mean
    offsets = set()
    for view in np.asarray(jax.jit(see)(0)):
        ((top, left),) = np.argwhere((less == view[0, 0]).all(-1))  # no two pixels are alike
        np.testing.assert_array_equal(view, less[top : top + size, left : left + size])
        offsets |= {int(top), int(left)}
    assert min(offsets) < 2 and max(offsets) > full - size - 2
    if full - size == 8:
        assert offsets == set(range(full - size + 1))


def test_half_are_mirrored(crops_and_flips):
    _, _, mirrored = crops_and_flips
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / np.sqrt(DRAWS)


def test_rows_columns_and_mirrors_are_independent(crops_and_flips):
    related = np.corrcoef(np.stack(crops_and_flips).astype(float)) - np.eye(3)
    assert np.abs(related).max() < 5 / np.sqrt(DRAWS)


def test_a_crop_and_its_mirror_pixel_by_pixel():
    images = draw_images(16)
    found = views(images, data(crop=True, flip=True, mean="image"))
    # Which crop it is, from the map; then every pixel of the real image less the mean there.
    where = views(np.stack([map_image()] * 16), data(crop=True, flip=True))
    seen = set()
    for image, view, (first, last) in zip(images, found, where[:, 0, [0, -1]], strict=True):
        mirrored, top = bool(first[1] > last[1]), int(first[0])
        left = int(min(first[1], last[1]))
        window = (slice(top, top + SIZE), slice(left, left + SIZE))
        expected = image[window].astype(np.float32) - MEAN[window]
        np.testing.assert_array_equal(view, expected[:, ::-1] if mirrored else expected)
        seen.add(mirrored)
    assert seen == {False, True}


@pytest.mark.parametrize("unit", ["eigenvalue", "deviation"])
def test_colours_are_the_papers_shift_of_every_pixel(unit):
    """[p1, p2, p3][a1 l1, a2 l2, a3 l3] of pixels in [0, 1], or with sqrt(l), a ~ N(0, 0.1)."""
    config = data(colour=True, colour_unit=unit)
    black = np.zeros((256, 256, 3), np.uint8)
    shift = many(config, lambda x: x[:, 5, 9], image=black).astype(np.float64)
    along = shift @ EIGENVECTORS  # coefficients of the eigenvectors
    if unit == "eigenvalue":
        expected = 0.1 * (EIGENVALUES / 255**2) * 255  # [0, 1] -> grey levels
    else:
        expected = 0.1 * np.sqrt(EIGENVALUES)
    np.testing.assert_allclose(along.std(0), expected, rtol=5 / np.sqrt(2 * DRAWS))
    assert (np.abs(along.mean(0)) < 5 * expected / np.sqrt(DRAWS)).all()
    assert np.abs(np.corrcoef(along.T) - np.eye(3)).max() < 5 / np.sqrt(DRAWS)
    beyond = (np.abs(along) > 2 * expected).mean()
    assert abs(beyond - 0.0455) < 0.02  # a normal's


def test_one_colour_for_an_image():
    images = draw_images(4)
    shifted, plain = views(images, data(colour=True)), views(images, data())
    shift = shifted - plain
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1, :1], shift.shape), atol=1e-4)
    assert np.unique(shift[:, 0, 0].round(3), axis=0).shape == (4, 3)


def test_colour_std_scales_the_shift():
    black = np.zeros((3, 256, 256, 3), np.uint8)
    small, large = (views(black, data(colour=True, colour_std=s)) for s in (0.1, 0.3))
    np.testing.assert_allclose(large, 3 * small, rtol=1e-5)


@pytest.mark.parametrize("mean", ["none", "image", "channel"])
@pytest.mark.parametrize("size", [224, 227])
def test_with_all_off_it_is_the_centre_less_the_mean(mean, size):
    images = draw_images(2)
    start = (256 - size) // 2
    window = (slice(None), slice(start, start + size), slice(start, start + size))
    subtracted = {
        "none": np.zeros(MEAN.shape),
        "image": MEAN,
        "channel": np.broadcast_to(MEAN.astype(np.float64).mean((0, 1)), MEAN.shape),
    }[mean]
    found = views(images, data(mean=mean), size=size)
    assert found.dtype == np.float32
    expected = images[window] - subtracted[None].astype(np.float64)[window]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_draws_belong_to_a_place_in_the_global_batch():
    images = draw_images(4)
    see = viewer(data(crop=True, flip=True, colour=True, mean="image"))
    whole = see(images)
    for places in ([0, 1], [2, 3], [3, 0]):
        found = see(images[places], places)  # a program of its own, for two images
        np.testing.assert_allclose(found, whole[places], rtol=0, atol=1e-4)
    assert not np.allclose(see(images[:2], [1, 0]), whole[:2], atol=0.01)
    assert not np.allclose(see(images, seed=1), whole, atol=0.01)


def test_ten_views_are_the_papers():
    images = draw_images(2)
    pixel_stats = make_pixel_stats(STATISTICS, data(mean="image"))
    less_mean = images - MEAN[None]
    patches = [less_mean[:, t : t + SIZE, f : f + SIZE] for t, f in
               ((0, 0), (0, 32), (16, 16), (32, 0), (32, 32))]  # fmt: skip
    expected = patches + [patch[:, :, ::-1] for patch in patches]
    found = ten_crops.view_corners(10, SIZE, 256)
    assert len(found) == 10
    see = jax.jit(ten_crops.view_at, static_argnums=2)
    for view, patch in zip(found, expected, strict=True):
        top, left, mirrored = (jnp.asarray(value) for value in view)
        np.testing.assert_array_equal(see(images, pixel_stats, SIZE, top, left, mirrored), patch)


def test_one_view_is_the_centre():
    assert ten_crops.view_corners(1, 224, 256) == ((16, 16, False),)
    assert ten_crops.view_corners(1, 227, 256) == ((14, 14, False),)
    assert ten_crops.view_corners(1, 56, 64) == ((4, 4, False),)
    assert ten_crops.view_corners(1, 32, 32) == ((0, 0, False),)
    assert ten_crops.view_corners(5, 224, 256) == ten_crops.view_corners(10, 224, 256)[:5]
    with pytest.raises(ConfigError, match=r"one of \(1, 5, 10\); got 2"):
        ten_crops.view_corners(2, 224, 256)


def test_neighbours_in_the_global_batch_share_crop_and_mirror():
    found = crops(chunk=4, batch=128)
    chunks = [found[i : i + 4] for i in range(0, 128, 4)]
    assert all(len(set(chunk)) == 1 for chunk in chunks)
    assert len({chunk[0] for chunk in chunks}) > 28  # of 32; 2,178 are possible
    assert {mirrored for _, _, mirrored in found} == {False, True}
    assert len(set(crops(chunk=1, batch=128))) > 115
    # A part of a batch, as on another device.
    assert crops(chunk=4, batch=128, first=6)[:122] == found[6:]


def test_images_that_share_a_crop_have_colours_of_their_own():
    images = np.zeros((8, 256, 256, 3), np.uint8)
    config = data(crop=True, flip=True, colour=True, crop_chunk=8)
    shifts = views(images, config)[:, 0, 0]
    assert np.unique(shifts.round(3), axis=0).shape == (8, 3)
    np.testing.assert_array_equal(shifts, views(images, data(colour=True))[:, 0, 0])


def test_the_program_divides_what_has_noise():
    images = draw_images(4)
    for std in (0.1, 0.3):
        on = {"colour": True, "colour_std": std, "mean": "image"}
        plain, rescaled = (views(images, data(**on, colour_rescale=r)) for r in (False, True))
        np.testing.assert_allclose(rescaled, plain / (1 + std), rtol=1e-6)
    without = data(mean="image", colour_rescale=True)  # no noise, nothing to make up for
    np.testing.assert_array_equal(views(images, without), views(images, data(mean="image")))


@pytest.mark.parametrize("rescale", [False, True])
def test_colour_ends_without_another_program(rescale):
    config = data(colour=True, colour_rescale=rescale, mean="image", colour_until=67)
    pixel_stats, images = make_pixel_stats(STATISTICS, config), draw_images(2)
    see = jax.jit(
        lambda pixel_stats: augment.training_views(
            jnp.asarray(images), pixel_stats, config, SIZE, jax.random.key(0), jnp.arange(2)
        )
    )

    def at(epoch: int) -> np.ndarray:
        return np.asarray(see(at_epoch(pixel_stats, config, epoch)))

    plain = views(images, data(mean="image"))
    assert np.array_equal(at(0), at(66)) and np.abs(at(66) - plain).max() > 0.1
    np.testing.assert_array_equal(at(67), plain)
    np.testing.assert_array_equal(at(90), plain)
    assert see._cache_size() == 1
    never = data(colour=True, mean="image")
    assert at_epoch(pixel_stats, never, 10**6) is pixel_stats
