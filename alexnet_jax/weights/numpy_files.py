"""Read .npy and .npz files from untrusted sources: nothing in a file is ever called.

A dict saved with numpy.save is a pickle, and a pickle may name any function for the reader to call.
This reader accepts only the three names that a pickled array needs, and calls substitutes for them.
It reads arrays, dicts, lists, tuples, text and numbers, and refuses everything else. Sizes are read
first: a small file that would become gigabytes is refused before it does.
"""

import io
import math
import pathlib
import pickle
import pickletools
import zipfile
from typing import Any

import numpy as np
from numpy.lib import format as npy

MOST_BYTES = 2**29  # what a file may become: more than twice the paper's net in float32
_MOST_STEPS = 10_000  # of a pickle; a converted net has some 400
_NOT_OF_NUMPY = ("DUP", "POP", "POP_MARK", "FROZENSET", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX")
_DTYPES = ("f2", "f4", "f8", "i4", "i8", "O8", "O4", "O")


def read_npy(data: bytes) -> Any:
    """Return the array of an .npy file, or the dict that was saved.

    Raises:
      ValueError: the file is cut off, or holds other objects than arrays. A damaged pickle may
        raise any other error.
    """
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format cannot be read")
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if not dtype.hasobject:
        if dtype.kind not in "fiubc":
            raise ValueError(f"it holds an array of {dtype}, expected floats")
        if len(data) - stream.tell() != math.prod(shape) * dtype.itemsize:
            raise ValueError("it is cut off")
        array = np.frombuffer(data, dtype, offset=stream.tell())
        return array.reshape(shape, order="F" if fortran else "C")
    if math.prod(shape) != 1:
        raise ValueError(f"it holds {math.prod(shape)} objects, expected one dict")
    _bounded(data[stream.tell() :])
    return _whole(_Reader(stream, encoding="latin1").load(), {})


def _bounded(data: bytes) -> None:
    """Refuse a pickle that could grow: too many steps, or tuples that stand in several places.

    A tuple may be the name of something, which is hashed whole when it is unpickled. NumPy's
    pickles have no tuple twice.
    """
    tuples, new, on_top = set(), 0, False
    for count, (step, argument, _) in enumerate(pickletools.genops(data)):
        index = argument if isinstance(argument, int) else new
        if count > _MOST_STEPS or (step.name.endswith("PUT") and index > _MOST_STEPS):
            raise ValueError(f"its pickle has more than {_MOST_STEPS} steps")
        if step.name.endswith("PUT") or step.name == "MEMOIZE":
            if on_top:
                tuples.add(index)
            new += 1
        elif step.name in _NOT_OF_NUMPY or (step.name.endswith("GET") and index in tuples):
            raise ValueError(f"its pickle has a step that NumPy never writes, {step.name}")
        elif step.name != "FRAME":  # BUILD and others leave what was there before
            on_top = step.name.startswith(("TUPLE", "BUILD", "APPEND", "SETITEM"))


def read_npz(path: pathlib.Path) -> dict[str, Any]:
    """Return name -> array of an .npz file.

    Raises:
      ValueError: the file is cut off, too large, or holds other objects than arrays.
    """
    with zipfile.ZipFile(path) as file:
        if (size := sum(part.file_size for part in file.infolist())) > MOST_BYTES:
            raise ValueError(f"it unpacks to {size} bytes, more than any AlexNet")
        return {name.removesuffix(".npy"): read_npy(file.read(name)) for name in file.namelist()}


class _Dtype:
    def __init__(self, code: Any = None, *_: Any):
        if not isinstance(code, str) or code not in _DTYPES:
            what = repr(code) if isinstance(code, str) else "something else"
            raise ValueError(f"it holds an array of {what}, expected floats")
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


def _whole(value: Any, made: dict[int, Any]) -> Any:
    """Return the value with NumPy's arrays for each _Array; an array of one object is unpacked.

    Args:
      value: what was unpickled.
      made: id of a value -> what became of it. A list that stands in many places is made once.
    """
    if id(value) in made:
        if made[id(value)] is None:
            raise ValueError("its pickle holds a list that contains itself")
        return made[id(value)]
    if not isinstance(value, _Array | dict | list | tuple):
        return value
    made[id(value)] = None
    if isinstance(value, dict):
        done: Any = {key: _whole(item, made) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        done = [_whole(item, made) for item in value]
    elif isinstance(value.raw, list):  # of objects
        if len(value.raw) != 1:
            raise ValueError(f"it holds {len(value.raw)} objects, expected one dict")
        done = _whole(value.raw[0], made)
    else:
        raw = value.raw.encode("latin1") if isinstance(value.raw, str) else value.raw
        dtype = np.dtype(f"{value.dtype.order}{value.dtype.code}")
        array = np.frombuffer(raw, dtype)
        done = array.reshape(value.shape, order="F" if value.fortran else "C")
    made[id(value)] = done
    return done
