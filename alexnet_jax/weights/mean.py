"""Read a net's mean from a separate file: Caffe's .binaryproto, or .npy."""

import pathlib

import numpy as np

from alexnet_jax.errors import WeightsError
from alexnet_jax.weights import caffe, numpy_files


def read_mean(path: pathlib.Path, *, size: int, bgr: bool) -> np.ndarray:
    """Return a mean, (size, size, 3) or (3,) float32, RGB 0-255.

    Args:
      path: a .binaryproto (BlobProto), or an .npy of (3, size, size) or (3,), such as Caffe's
        ilsvrc_2012_mean.npy.
      size: pixels a side of a mean image.
      bgr: whether the file's channels are blue, green, red (Caffe) and not red, green, blue.

    Raises:
      WeightsError: the file cannot be read, or has another shape, or numbers that are not finite.
    """
    readers = {".binaryproto": caffe.read_blob, ".npy": numpy_files.read_npy}
    if path.suffix not in readers:
        raise WeightsError(f"{path} ends in none of {' '.join(readers)}, the formats of a mean")
    try:
        mean = readers[path.suffix](path.read_bytes())
    except Exception as error:  # whatever a damaged file makes a library raise
        raise WeightsError(f"{path} cannot be read: {error}") from error
    if not isinstance(mean, np.ndarray) or mean.dtype.kind not in "fiu":
        raise WeightsError(f"{path} holds no array of numbers")
    shape, mean = mean.shape, mean.astype(np.float32)
    if mean.ndim == 4 and len(mean) == 1:
        mean = mean[0]
    if mean.shape not in ((3,), (3, size, size)):
        raise WeightsError(f"{path} expected (3, {size}, {size}) or (3,), found {shape}")
    if not np.isfinite(mean).all():
        raise WeightsError(f"{path} holds numbers that are not finite")
    mean = mean[::-1] if bgr else mean
    return np.ascontiguousarray(np.moveaxis(mean, 0, -1))
