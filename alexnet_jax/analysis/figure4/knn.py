"""Nearest neighbours by Euclidean distance: exact, over as many vectors as a disk holds.

The vectors are read in chunks. The device keeps for each query the CANDIDATES nearest so far, by
squared distances in float32; they are then measured again in float64. The device sums
(a - b)^2 and not |a|^2 - 2ab + |b|^2: sums of squares lose no digits to cancellation, so their
relative error is at most (d + 2) 2^-24 in whatever order they are taken (Higham, "Accuracy and
Stability of Numerical Algorithms", 3.1), and reading takes longer than either. From that bound
follows whether a vector that was let go could be nearer than those that are returned. Where it
could, among many that are equally near, the query is searched again in float64 throughout.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from alexnet_jax.errors import DataError

CANDIDATES = 64  # for each query; more where more neighbours are asked for
CHUNK_BYTES = 64 << 20  # read at a time
_DOUBLE_BYTES = 16 << 20  # of a chunk where float64 is the rule
_NOT_FINITE = "features are not finite numbers, or too large for float32"

Found = tuple[np.ndarray, np.ndarray]


def nearest(queries: np.ndarray, vectors: Any, k: int, *, chunk: int = 0) -> Found:
    """Return the k nearest vectors of each query, the nearest first.

    Of vectors at the same distance, the one that stands first comes first.

    Args:
      queries: (q, d) float32.
      vectors: (n, d) float32: an array, or what gives rows by slice and by index as an array does
        (feature_file.FeatureFile) and has a shape.
      k: how many; all of them where there are fewer.
      chunk: rows read at a time; 0: CHUNK_BYTES of them.

    Returns:
      distances (q, k) float64 and places (q, k) int64.

    Raises:
      DataError: a number that is not finite, or whose square is not in float32.
      ValueError: shapes that do not fit.
    """
    n, d = vectors.shape
    if queries.ndim != 2 or queries.shape[1] != d or k < 1 or n < 1:
        raise ValueError(f"expected queries (q, {d}) and k >= 1, not {queries.shape} and {k}")
    _check_finite(queries)
    queries, k = np.asarray(queries, np.float32), min(k, n)
    chunk = min(chunk or max(1, CHUNK_BYTES // (4 * d)), n)
    worst, places = _candidates(queries, vectors, min(max(CANDIDATES, 4 * k), n), chunk)
    distances = np.empty((len(queries), k))
    found = np.empty((len(queries), k), np.int64)
    for i, query in enumerate(queries):
        own = np.sort(places[i])
        squares = _squares(query, vectors[own])
        order = np.argsort(squares, kind="stable")[:k]
        if len(own) < n and not squares[order[-1]] < _least(float(worst[i]), d):
            squares, own = _in_float64(query, vectors, k)
            order = np.arange(k)
        distances[i], found[i] = np.sqrt(squares[order]), own[order]
    return distances, found


def _candidates(queries: np.ndarray, vectors: Any, m: int, chunk: int) -> Found:
    """Return the worst kept square (q,) float32, and the places of the m nearest, (q, m) int64."""
    on_device = jnp.asarray(queries)
    best = jnp.full((len(queries), m), jnp.inf, jnp.float32)
    places = jnp.full((len(queries), m), -1, jnp.int32)
    finite = jnp.ones((), bool)
    for start, rows in _chunks(vectors, chunk):
        here = np.arange(start, start + chunk, dtype=np.int32)
        if len(rows) < chunk:
            here[len(rows) :] = -1
            rows = np.concatenate([rows, np.zeros((chunk - len(rows), rows.shape[1]), np.float32)])
        waiting = finite
        best, places, finite = _step(on_device, rows, here, best, places, finite)
        waiting.block_until_ready()  # one chunk on the device while the next is read
    if not finite:
        raise DataError(f"{_NOT_FINITE}, or the file of features is damaged: delete it")
    return np.asarray(best[:, -1]), np.asarray(places, np.int64)


@functools.partial(jax.jit, donate_argnums=(3, 4))
def _step(
    queries: Array, rows: Array, here: Array, best: Array, places: Array, finite: Array
) -> tuple[Array, Array, Array]:
    """Take in a chunk: rows (c, d), here (c,) their places, -1 where there is no row."""
    squares = jnp.sum(jnp.square(queries[:, None, :] - rows[None, :, :]), axis=-1)  # (q, c)
    finite = jnp.logical_and(finite, jnp.all(jnp.isfinite(squares)))
    squares = jnp.where(here[None, :] < 0, jnp.inf, squares)
    m = best.shape[1]
    best = jnp.concatenate([best, squares], axis=1)
    places = jnp.concatenate([places, jnp.broadcast_to(here[None], squares.shape)], axis=1)
    negative, kept = jax.lax.top_k(-best, m)
    return -negative, jnp.take_along_axis(places, kept, axis=1), finite


def _least(worst: float, d: int) -> float:
    """Return what the square is at least, exactly, of a vector whose float32 square is `worst`."""
    share = (d + 2) * 2.0**-24
    lost = (d + 2) * float(np.finfo(np.float32).tiny)  # by numbers too small for float32
    return (worst - lost) * (1 - share) / (1 + share)


def _in_float64(query: np.ndarray, vectors: Any, k: int) -> Found:
    """Return the k smallest squares of all vectors, and their places."""
    squares, places = np.empty(0), np.empty(0, np.int64)
    for start, rows in _chunks(vectors, max(1, _DOUBLE_BYTES // (8 * vectors.shape[1]))):
        squares = np.concatenate([squares, _squares(query, rows)])
        places = np.concatenate([places, np.arange(start, start + len(rows))])
        order = np.argsort(squares, kind="stable")[:k]
        squares, places = squares[order], places[order]
    return squares, places


def _squares(query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return squared distances in float64, (r,)."""
    return np.square(rows.astype(np.float64) - query.astype(np.float64)).sum(axis=1)


def _chunks(vectors: Any, size: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, vectors.shape[0], size):
        yield start, np.asarray(vectors[start : start + size], np.float32)


def _check_finite(queries: np.ndarray) -> None:
    if not np.isfinite(queries).all():
        raise DataError(_NOT_FINITE)
