"""statistics against a naive float64 computation."""

import itertools

import numpy as np
import pytest

from alexnet_jax.data.store import statistics as module
from alexnet_jax.data.store.statistics import MOST_IMAGES, Accumulator, Statistics
from alexnet_jax.errors import DataError


@pytest.fixture(scope="module", params=[32, 41, 256, 512])
def images(request):
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (9, request.param, request.param, 3), dtype=np.uint8)
    images[..., 1] = images[..., 1] // 2 + images[..., 0] // 3  # correlated, as colours are
    images[0] = 255  # the largest sums there can be
    return images


def accumulated(images) -> Accumulator:
    sums = Accumulator(images.shape[1])
    for image in images:
        sums.add([image])
    return sums


def test_equals_the_naive_float64(images):
    statistics = accumulated(images).finalise()
    exact = images.astype(np.float64)
    assert statistics.images == 9
    np.testing.assert_array_equal(statistics.mean_image, exact.mean(axis=0).astype(np.float32))
    covariance = np.cov(exact.reshape(-1, 3).T, bias=True)
    values, vectors = statistics.eigenvalues, statistics.eigenvectors
    np.testing.assert_allclose(values, np.linalg.eigvalsh(covariance)[::-1], rtol=1e-11)
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, covariance, rtol=1e-11)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-14)
    assert (np.diff(values) <= 0).all()
    assert (vectors[np.abs(vectors).argmax(axis=0), range(3)] > 0).all()
    assert [statistics.mean_image.dtype, values.dtype] == [np.float32, np.float64]


def test_order_and_chunks_do_not_matter(images):
    whole = accumulated(images).finalise()
    merged = accumulated(images[5:])
    merged.merge(accumulated(images[2:5]))
    merged.merge(accumulated(images[:2][::-1]))
    other = merged.finalise()
    for field in ("mean_image", "eigenvalues", "eigenvectors", "images"):
        np.testing.assert_array_equal(getattr(whole, field), getattr(other, field))


def test_sums_are_exact_integers(images):
    sums = accumulated(images)
    exact = images.reshape(-1, 3).astype(np.int64)
    np.testing.assert_array_equal(sums.product_sum, (exact.T @ exact).astype(np.uint64))
    assert sums.plane_sum.dtype == sums.product_sum.dtype == np.uint64


@pytest.mark.parametrize("size", [32, 256, 512])
def test_no_sum_overflows(size):
    """The bounds of the sums by hand, in whole numbers, where all pixels are white."""
    assert MOST_IMAGES * 255 <= 2**24  # float32: of a pixel
    assert module._ROW * 255**2 <= 2**24  # float32: of the products of a row, of one image
    row = MOST_IMAGES * module._ROW * 255**2
    assert -(-(size**2) // module._ROW) * row <= 2**53  # float64: of all rows and images of a call
    assert 10**9 * size**2 * 255**2 < 2**64  # of a billion images together


def test_the_sums_of_as_many_white_images_as_one_call_takes():
    """So many of 32 pixels; of 512 a few, whose rows alone would be beyond 2**24 if not cut."""
    for size, count in ((32, MOST_IMAGES), (512, 3)):
        sums = Accumulator(size)
        white = np.full((size, size, 3), 255, np.uint8)
        white[0, 0] = 254, 253, 251  # odd and even
        sums.add(itertools.repeat(white, count))
        np.testing.assert_array_equal(sums.plane_sum[:, 1:], np.uint64(count * 255))
        assert sums.plane_sum[:, 0, 0].tolist() == [count * level for level in (254, 253, 251)]
        flat = white.reshape(-1, 3).astype(object)
        assert sums.product_sum.tolist() == (count * (flat.T @ flat)).tolist()
        exact = white.reshape(-1, 3).astype(np.float64)
        found = sums.finalise()
        np.testing.assert_array_equal(found.mean_image, white.astype(np.float32))
        np.testing.assert_allclose(found.covariance(), np.cov(exact.T, bias=True), rtol=1e-9)


def test_sums_near_the_end_of_the_integers_are_merged_exactly():
    """As of a billion images of 512 pixels, nearly white."""
    size, images = 512, 10**9
    full = Accumulator(size)
    full.images = images
    full.plane_sum[:] = 255 * images
    full.product_sum[:] = 255**2 * size**2 * images
    full.plane_sum[:, 0, 0] -= np.uint64(images)  # one pixel of 254
    full.product_sum -= np.uint64((255**2 - 254**2) * images)
    more = Accumulator(size)
    white = np.full((size, size, 3), 255, np.uint8)
    more.add([white])
    full.merge(more)
    assert int(full.product_sum[0, 0]) == images * (255**2 * size**2 - 509) + 255**2 * size**2
    pixels = (images + 1) * size**2
    # One pixel in `images` of them is 254: its share times one less its share.
    share = images / pixels
    variance = full.finalise().covariance()[0, 0]
    np.testing.assert_allclose(variance, share * (1 - share), rtol=1e-12)


def test_one_colour_has_no_variance():
    sums = Accumulator(256)
    sums.add([np.full((256, 256, 3), 200, np.uint8)])
    np.testing.assert_array_equal(sums.finalise().eigenvalues, np.zeros(3))


def test_no_images():
    with pytest.raises(ValueError, match="no image"):
        Accumulator(256).finalise()


def test_save_and_load(images, tmp_path):
    statistics = accumulated(images).finalise()
    path = tmp_path / "statistics.npz"
    statistics.save(path)
    loaded = Statistics.load(path)
    for field in ("mean_image", "eigenvalues", "eigenvectors", "images"):
        saved = getattr(statistics, field)
        np.testing.assert_array_equal(getattr(loaded, field), saved)
        assert np.asarray(getattr(loaded, field)).dtype == np.asarray(saved).dtype
    for damage in (path.read_bytes()[:1000], b""):
        path.write_bytes(damage)
        with pytest.raises(DataError, match="statistics.npz cannot be read"):
            Statistics.load(path)
    with pytest.raises(DataError, match="nowhere"):
        Statistics.load(tmp_path / "nowhere.npz")
