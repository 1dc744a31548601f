"""Read .npy and .npz files from untrusted sources: nothing in a file is ever called.

A dict saved with numpy.save is a pickle (array_pickle.py). Sizes are read first: a small file that
would become gigabytes is refused before it does.
"""

import io
import math
import pathlib
import zipfile
from typing import Any

import numpy as np
from numpy.lib import format as npy

from alexnet_jax.system import array_pickle

MOST_BYTES = 2**29  # what a file may become: more than twice the paper's net in float32
_MOST_STEPS = 10_000  # of a pickle; a converted net has some 400


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
    return array_pickle.load(data[stream.tell() :], encoding="latin1", most_steps=_MOST_STEPS)


def read_npz(path: pathlib.Path) -> dict[str, Any]:
    """Return name -> array of an .npz file.

    Raises:
      ValueError: the file is cut off, too large, or holds other objects than arrays.
    """
    with zipfile.ZipFile(path) as file:
        if (size := sum(part.file_size for part in file.infolist())) > MOST_BYTES:
            raise ValueError(f"it unpacks to {size} bytes, more than any AlexNet")
        if any(part.flag_bits & 1 for part in file.infolist()):
            raise ValueError("it is encrypted: unpack it, and save it again with np.savez")
        return {part.filename.removesuffix(".npy"): _read(file, part) for part in file.infolist()}


def _read(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Any:
    with archive.open(part) as file:  # not all that it may unpack to, whatever its header says
        return read_npy(file.read(part.file_size))
