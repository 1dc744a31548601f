"""statistics against a naive float64 computation."""

import numpy as np
import pytest

from alexnet_jax.data.store.statistics import Accumulator, Statistics
from alexnet_jax.errors import DataError


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (9, 256, 256, 3), dtype=np.uint8)
    images[..., 1] = images[..., 1] // 2 + images[..., 0] // 3  # correlated, as colours are
    images[0] = 255  # the largest sums there can be
    return images


def accumulated(images) -> Accumulator:
    sums = Accumulator()
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


def test_one_colour_has_no_variance():
    sums = Accumulator()
    sums.add([np.full((256, 256, 3), 200, np.uint8)])
    np.testing.assert_array_equal(sums.finalise().eigenvalues, np.zeros(3))


def test_no_images():
    with pytest.raises(ValueError, match="no image"):
        Accumulator().finalise()


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
