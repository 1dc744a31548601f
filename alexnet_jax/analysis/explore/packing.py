"""Arrays as short text for a page: half precision, gzip, base64."""

import base64
import gzip
from typing import Any

import numpy as np

LARGEST = 15  # exponent of float16's largest values


def pack(values: np.ndarray) -> dict[str, Any]:
    """Return an array as shape, scale and data.

    data is the base64 of the gzip of values / scale as float16: first all low bytes, then all high
    bytes, which compress better apart. The scale is a power of two, so a value has 11 bits: it is
    wrong by at most 1/2048 of itself, or by 2^-40 of the largest one where it is tiny.

    Args:
      values: finite floats of any shape.
    """
    largest = float(np.abs(values).max(initial=0))
    exponent = int(np.frexp(largest)[1]) - LARGEST if largest else 0
    halves = np.ldexp(np.asarray(values, np.float64), -exponent).astype("<f2")
    planes = np.frombuffer(halves.tobytes(), np.uint8).reshape(-1, 2).T
    data = gzip.compress(planes.tobytes(), 6, mtime=0)
    return {
        "shape": list(values.shape),
        "scale": 2.0**exponent,
        "data": base64.b64encode(data).decode(),
    }
