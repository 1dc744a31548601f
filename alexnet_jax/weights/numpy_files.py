"""Read .npy and .npz files from untrusted sources: nothing in a file is ever called.

A dict saved with numpy.save is a pickle, and a pickle may name any function for the reader to call.
This reader accepts only the three names that a pickled array needs, and calls substitutes for them.
It reads arrays, dicts, lists, tuples, text and numbers, and refuses everything else.
"""

import io
import math
import pickle
import zipfile
from typing import Any

import numpy as np
from numpy.lib import format as npy

_DTYPES = ("f2", "f4", "f8", "i4", "i8", "O8", "O4", "O")


def read_npy(data: bytes) -> Any:
    """Return the array of an .npy file, or the dict that was saved.

    Raises:
      ValueError: the file is cut off, or holds other objects than arrays.
    """
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format cannot be read")
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = header(stream)
    if not dtype.hasobject:
        if len(data) - stream.tell() != math.prod(shape) * dtype.itemsize:
            raise ValueError("it is cut off")
        return npy.read_array(io.BytesIO(data), allow_pickle=False)
    if math.prod(shape) != 1:
        raise ValueError(f"it holds {math.prod(shape)} objects, expected one dict")
    try:
        return _whole(_Reader(stream, encoding="latin1").load())
    except ValueError:
        raise
    except Exception as error:  # a damaged pickle may raise any error
        raise ValueError(f"its pickle is damaged: {error}") from error


def read_npz(data: bytes) -> dict[str, Any]:
    """Return name -> array of an .npz file.

    Raises:
      ValueError: the file is cut off, or holds other objects than arrays.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            return {
                name.removesuffix(".npy"): read_npy(file.read(name)) for name in file.namelist()
            }
    except ValueError:
        raise
    except Exception as error:  # a damaged archive may raise any error
        raise ValueError(f"it is damaged: {error}") from error


class _Dtype:
    def __init__(self, code: Any = None, *_: Any):
        if code not in _DTYPES:
            raise ValueError(f"it holds an array of {code!r}, expected floats")
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1] if state[1] in ("<", ">") else "<"


class _Array:
    """The state that numpy.ndarray.__setstate__ would get."""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, self.raw = state


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Any] = {
            ("multiarray", "_reconstruct"): lambda *_: _Array(),
            ("numpy", "ndarray"): None,  # the first argument of _reconstruct
            ("numpy", "dtype"): _Dtype,
        }
        short = module if module == "numpy" else module.removeprefix("numpy.")
        short = short.removeprefix("_core.").removeprefix("core.")
        if not module.startswith("numpy") or (short, name) not in allowed:
            raise ValueError(f"its pickle asks for {module}.{name}; only arrays are read")
        return allowed[short, name]

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("its pickle refers to another file")


def _whole(value: Any) -> Any:
    """Return the value with NumPy's arrays for each _Array; an array of one object is unpacked."""
    if isinstance(value, _Array):
        if isinstance(value.raw, list):  # of objects
            if len(value.raw) != 1:
                raise ValueError(f"it holds {len(value.raw)} objects, expected one dict")
            return _whole(value.raw[0])
        raw = value.raw.encode("latin1") if isinstance(value.raw, str) else value.raw
        dtype = np.dtype(f"{value.dtype.order}{value.dtype.code}")
        return np.frombuffer(raw, dtype).reshape(value.shape, order="F" if value.fortran else "C")
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value
