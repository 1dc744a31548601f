"""The mean and the scale of each choice, in training and test views, and what cannot be."""

import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.data.input import ten_crops
from alexnet_jax.data.input.pixel_stats import make_pixel_stats
from alexnet_jax.errors import ConfigError, DataError
from configs import ilsvrc2012
from tests.support.augment_views import MEAN, SIZE, STATISTICS, crops, data, draw_images, views


def test_a_switch_that_is_off_leaves_no_entry():
    paper = ilsvrc2012.get_config().data
    assert make_pixel_stats(STATISTICS, paper).keys() == {"mean", "colour"}
    assert make_pixel_stats(STATISTICS, data(mean="centre")).keys() == {"centre_mean", "colour"}
    program = data(mean="centre", colour=True, colour_rescale=True)
    assert make_pixel_stats(STATISTICS, program).keys() == {
        "centre_mean",
        "colour",
        "colour_divisor",
    }
    scaled = make_pixel_stats(STATISTICS, data(divide_by=(1.0, 2.0, 1.0)))
    assert scaled.keys() == {"mean", "colour", "divide_by"}
    for name, value in {**scaled, **make_pixel_stats(STATISTICS, program)}.items():
        assert value.dtype == np.float32, name


def test_unknown_choices():
    for field, expected in (
        (
            "mean",
            "data.mean is one of image, centre, channel, values, file, centre_file, none; got 'x'",
        ),
        ("colour_unit", "data.colour_unit is one of eigenvalue, deviation; got 'x'"),
    ):
        with pytest.raises(ConfigError, match=expected):
            make_pixel_stats(STATISTICS, data(**{field: "x"}))


def test_evaluation_without_training_images():
    for mean in ("image", "centre", "channel"):
        with pytest.raises(DataError, match=f"data.mean={mean} is that of the training images"):
            make_pixel_stats(None, data(mean=mean))
    for mean in ("values", "none"):
        config = data(mean=mean, divide_by=(1.0, 2.0, 1.0))
        found, expected = make_pixel_stats(None, config), make_pixel_stats(STATISTICS, config)
        assert found.keys() == {"mean", "divide_by"}  # colours are of training only
        for name in found:
            np.testing.assert_array_equal(found[name], expected[name])


def test_a_mean_file_of_either_float(tmp_path):
    for dtype in (np.float32, np.float64):
        np.save(tmp_path / "mean.npy", MEAN.astype(dtype))
        found = make_pixel_stats(
            STATISTICS, data(mean="file", mean_file=str(tmp_path / "mean.npy"))
        )
        np.testing.assert_array_equal(found["mean"], MEAN)
    centre = data(mean="centre_file", mean_file=str(tmp_path / "mean.npy"))
    found, whole = (
        make_pixel_stats(STATISTICS, centre),
        make_pixel_stats(STATISTICS, data(mean="centre")),
    )
    assert found.keys() == whole.keys()
    np.testing.assert_array_equal(found["centre_mean"], MEAN)


def npy(header: str) -> bytes:
    """Return an .npy file of this header, and next to no numbers."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(64)


CLAIM = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d, 3)}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (npy(CLAIM % (256, 256)), "cannot be read"),
        (npy(CLAIM % (10**7, 10**7)), "cannot be read"),
        (npy(CLAIM % (10**12, 10**12)), "cannot be read"),
        (npy("(" * 5000), "cannot be read"),
        (npy(CLAIM[:20]), "cannot be read"),
        (None, "cannot be read"),
        (b"no array", "cannot be read"),
        (b"", "cannot be read"),
        (np.zeros((3, 256, 256)), r"has \(3, 256, 256\) float64"),
        (np.zeros((227, 227, 3), np.float32), r"has \(227, 227, 3\) float32"),
        (np.zeros((256, 256, 3), np.uint8), r"has \(256, 256, 3\) uint8"),
        (np.full((256, 256, 3), np.nan), "not finite"),
        (np.array([{}]), "cannot be read"),  # would have to be unpickled
    ],
)
def test_a_mean_file_that_is_none_is_one_line(tmp_path, content, expected):
    path = tmp_path / "mean.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(ConfigError, match=expected) as error:
        make_pixel_stats(STATISTICS, data(mean="file", mean_file=str(path)))
    said = str(error.value)
    assert said.startswith("data.mean_file is an .npy of (256, 256, 3) floats, RGB 0-255; ")
    assert str(path) in said and "\n" not in said


def test_no_mean_file_and_an_archive_are_refused(tmp_path):
    np.savez(tmp_path / "mean.npz", mean=MEAN)
    for path, expected in (("", "cannot be read"), (str(tmp_path / "mean.npz"), "cannot be read")):
        with pytest.raises(ConfigError, match=expected):
            make_pixel_stats(STATISTICS, data(mean="file", mean_file=path))


def expected_mean(config, top: int, left: int, mirrored: bool, size: int) -> np.ndarray:
    """Return what a view at this place loses, in float64."""
    middle = (256 - size) // 2
    if config.mean == "centre":  # convdata_jpeg.py:95: of the middle, never mirrored
        return MEAN[middle : middle + size, middle : middle + size].astype(np.float64)
    if config.mean == "values":
        return np.broadcast_to(np.array(config.mean_values, np.float64), (size, size, 3))
    mean = np.load(config.mean_file) if config.mean == "file" else MEAN
    window = mean[top : top + size, left : left + size].astype(np.float64)
    return window[:, ::-1] if mirrored else window


@pytest.fixture(params=["image", "centre", "values", "file"])
def with_mean(request, tmp_path):
    """config.data fields of each mean, with a scale too."""
    np.save(tmp_path / "mean.npy", np.random.default_rng(5).uniform(80, 140, (256, 256, 3)))
    return {
        "mean": request.param,
        "mean_values": (123.675, 116.28, 103.53),
        "mean_file": str(tmp_path / "mean.npy"),
        "divide_by": (58.395, 57.12, 57.375),
    }


def test_training_views_lose_the_mean_that_is_asked_and_are_divided(with_mean):
    images, config = draw_images(8), data(crop=True, flip=True, **with_mean)
    found, seen = views(images, config), set()
    for image, view, place in zip(images, found, crops(chunk=1, batch=8), strict=True):
        top, left, mirrored = place
        x = image[top : top + SIZE, left : left + SIZE].astype(np.float64)
        x = x[:, ::-1] if mirrored else x
        expected = (x - expected_mean(config, *place, SIZE)) / np.array(config.divide_by)
        np.testing.assert_allclose(view, expected, rtol=0, atol=2e-6)
        seen.add(mirrored)
    assert seen == {False, True}


def test_test_views_lose_the_mean_that_is_asked_and_are_divided(with_mean):
    images, config = draw_images(2), data(**with_mean)
    pixel_stats = make_pixel_stats(STATISTICS, config)
    see = jax.jit(ten_crops.view_at, static_argnums=2)
    for place in ten_crops.view_corners(10, SIZE, 256):
        top, left, mirrored = place
        x = images[:, top : top + SIZE, left : left + SIZE].astype(np.float64)
        x = x[:, :, ::-1] if mirrored else x
        expected = (x - expected_mean(config, *place, SIZE)[None]) / np.array(config.divide_by)
        found = see(images, pixel_stats, SIZE, *(jnp.asarray(value) for value in place))
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
