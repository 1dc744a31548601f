"""The neighbour search against brute force in float64, where float32 alone would be wrong."""

import numpy as np
import pytest

from alexnet_jax.analysis.figure4.feature_file import FeatureFile, write_features
from alexnet_jax.analysis.figure4.knn import nearest
from alexnet_jax.errors import DataError

N, D, Q, K = 2000, 256, 5, 6


def brute_force(queries, vectors, k):
    """All distances in float64, one pair at a time; of equal ones the first."""
    distances = np.array(
        [[np.linalg.norm(v.astype(np.float64) - q) for v in vectors] for q in queries]
    )
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), order


@pytest.fixture(scope="module")
def data():
    """Features as a ReLU leaves them, far from zero, with near-ties and duplicates."""
    rng = np.random.default_rng(0)
    vectors = np.maximum(rng.normal(0.5, 1, (N, D)), 0).astype(np.float32) + np.float32(30)
    queries = np.maximum(rng.normal(0.5, 1, (Q, D)), 0).astype(np.float32) + np.float32(30)
    vectors[700] = queries[0]  # the query itself
    vectors[[41, 1999]] = vectors[900]  # three of a kind
    for place, unit in zip(range(100, 120), range(20), strict=True):  # ties in float32's last digit
        vectors[place] = queries[1]
        vectors[place, unit] += np.float32(1) + np.float32(2.0**-19) * (unit % 7)
    queries[2] = vectors[900] + np.float32(0.001)
    return queries, vectors


@pytest.mark.parametrize("chunk", [0, 1, 333, 512, 2000, 5000])
def test_equals_brute_force_in_float64(data, chunk):
    queries, vectors = data
    if chunk == 1:  # of the last few, or it takes long
        vectors = vectors[-120:]
    distances, indices = nearest(queries, vectors, K, chunk=chunk)
    expected, order = brute_force(queries, vectors, K)
    assert distances.dtype == np.float64 and indices.dtype == np.int64
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)


def test_ties_that_float32_of_expanded_squares_would_get_wrong(data):
    queries, vectors = data
    expanded = (vectors**2).sum(1)[None] - 2 * queries @ vectors.T
    wrong = np.argsort(expanded, axis=1, kind="stable")[:, :K]
    _, order = brute_force(queries, vectors, K)
    assert (wrong != order).any()  # so the test above means something


def test_the_query_itself_is_at_distance_zero(data):
    queries, vectors = data
    distances, indices = nearest(queries, vectors, K)
    assert distances[0, 0] == 0 and indices[0, 0] == 700
    assert indices[2, :3].tolist() == [41, 900, 1999]  # of equal ones the first


@pytest.mark.parametrize("chunk", [0, 256])
def test_many_ties_and_a_few_that_are_nearer_by_float32s_last_digit(chunk):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(N, 64)).astype(np.float32)
    query = np.zeros((1, 64), np.float32)
    many = rng.choice(N, 500, replace=False)
    vectors[many] = 0
    vectors[many, 0] = np.float32(0.25)
    best = np.sort(many)[[400, 450]]  # nearer than the rest by less than float32 squares can tell
    vectors[best, 0] = np.nextafter(np.float32(0.25), np.float32(0))
    distances, indices = nearest(query, vectors, K, chunk=chunk)
    expected, order = brute_force(query, vectors, K)
    assert set(best) <= set(indices[0])
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)


def test_fewer_vectors_than_are_asked_for(data):
    queries, vectors = data
    distances, indices = nearest(queries, vectors[:4], K)
    assert distances.shape == (Q, 4) and (np.sort(indices, axis=1) == np.arange(4)).all()
    assert (np.diff(distances, axis=1) >= 0).all()


def test_numbers_whose_squares_float32_does_not_have(data):
    queries, vectors = data[0], data[1] * np.float32(1e30)
    distances, indices = nearest(queries, vectors, K)
    expected, order = brute_force(queries, vectors, K)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_have_no_distance_are_one_line(data, bad):
    queries, vectors = data[0], data[1].copy()
    vectors[1234, 5] = bad
    with pytest.raises(DataError, match="not finite numbers: if they came from a file"):
        nearest(queries, vectors, K, chunk=512)
    queries = queries.copy()
    queries[1, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        nearest(queries, data[1], K)


def test_shapes_that_do_not_fit(data):
    with pytest.raises(ValueError, match=r"expected queries \(q, 256\)"):
        nearest(data[0][:, :5], data[1], K)


def test_vectors_on_disk_are_those_in_memory(data, tmp_path):
    queries, vectors = data
    made = write_features(tmp_path / "a.npy", vectors.shape, np.array_split(vectors, 7))
    assert isinstance(made, FeatureFile) and [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), vectors)
    for found, expected in zip(
        nearest(queries, made, K, chunk=300), nearest(queries, vectors, K), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_file_of_features_is_whole_or_not_there(data, tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    with pytest.raises(DataError, match="expected features of 5 images, but 4 came"):
        write_features(path, (5, D), [data[1][:4]])
    free = 10**6
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))
    with pytest.raises(DataError, match=r"need 21\.0 GB in .*, where 0\.0 GB are free"):
        write_features(path, (1_281_167, 4096), [])
    assert not list(tmp_path.iterdir())
    path.write_bytes(b"no features")
    with pytest.raises(DataError, match=r"a\.npy is no file of features"):
        FeatureFile(path)
