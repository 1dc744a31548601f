"""Nearest neighbours by Euclidean distance: exact, over as many vectors as a disk holds."""

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from alexnet_jax.errors import DataError

CHUNK_BYTES = 4 << 20  # of float32, read at a time; what the caches hold


def nearest(
    queries: np.ndarray, vectors: Any, k: int, *, chunk: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest vectors of each query, the nearest first; of equal ones the first.

    All distances are sums of (a - b)^2 in float64: |a|^2 - 2ab + |b|^2 loses digits where a and b
    are close.

    Args:
      queries: (q, d) float32.
      vectors: (n, d) float32, an array or a feature_file.FeatureFile.
      k: how many; all of them if there are fewer.
      chunk: rows read at a time; 0: CHUNK_BYTES of them.

    Returns:
      distances (q, k) float64 and indices (q, k) int64.

    Raises:
      DataError: a number is not finite.
      ValueError: shapes that do not fit.
    """
    n, d = vectors.shape
    if queries.ndim != 2 or queries.shape[1] != d or k < 1 or n < 1:
        raise ValueError(f"expected queries (q, {d}) and k >= 1, not {queries.shape} and {k}")
    queries = queries.astype(np.float64)
    distances = np.empty((len(queries), 0))
    indices = np.empty((len(queries), 0), np.int64)
    chunk = chunk or max(1, CHUNK_BYTES // (4 * d))
    for start in range(0, n, chunk):
        new = cdist(queries, vectors[start : start + chunk].astype(np.float64))  # (q, chunk)
        if not np.isfinite(new).all():
            raise DataError("features are not finite numbers: if they came from a file, delete it")
        rows = np.arange(start, start + new.shape[1])
        distances = np.concatenate([distances, new], axis=1)
        indices = np.concatenate([indices, np.broadcast_to(rows, new.shape)], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]  # stable: the first stays first
        distances = np.take_along_axis(distances, order, axis=1)
        indices = np.take_along_axis(indices, order, axis=1)
    return distances, indices
