"""Keep features on disk: an .npy file of one vector an image, written and read part by part."""

import json
import math
import pathlib
import shutil
from collections.abc import Iterable
from typing import Any

import numpy as np

from alexnet_jax.errors import DataError
from alexnet_jax.system.atomic_file import atomic_file, write_atomic
from alexnet_jax.system.json_text import parse_json


class FeatureFile:
    """The vectors of a finished file, (n, d) float32, by slice or by index.

    Each access maps the file anew: pages that were read do not count as memory in use.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        try:
            self.shape: tuple[int, ...] = self._mapped().shape
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} is no file of features ({error}); delete it") from error

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.array(self._mapped()[rows])

    def _mapped(self) -> np.memmap:
        return np.load(self._path, mmap_mode="r", allow_pickle=False)


def kept_or_written(
    path: pathlib.Path, origin: dict[str, Any], shape: tuple[int, ...], parts: Iterable[np.ndarray]
) -> FeatureFile:
    """Return the features in a file; write them first, unless the file has the same origin.

    The origin is stored beside the file, as .json.

    Args:
      path, shape, parts: what `write_features` takes; parts are computed only if they are needed.
      origin: what the features are of.
    """
    note = path.with_suffix(".json")
    try:
        if parse_json(note.read_bytes()) == origin and path.exists():
            return FeatureFile(path)
    except (OSError, ValueError):
        pass  # there is no note, or half of one
    note.unlink(missing_ok=True)  # first, so that it never stands beside other features
    features = write_features(path, shape, parts)
    write_atomic(note, json.dumps(origin) + "\n")
    return features


def write_features(
    path: pathlib.Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]
) -> FeatureFile:
    """Write parts of (n, ...) float32 one after the other; the file appears when it is complete.

    Args:
      path: ends in .npy.
      shape: of all parts together.
      parts: (b, ...) each.

    Raises:
      DataError: the disk has no room, or the file cannot be written.
    """
    with atomic_file(path, DataError) as half:
        needed, free = 4 * math.prod(shape), shutil.disk_usage(path.parent).free
        if needed > free:
            raise DataError(
                f"the features need {needed / 1e9:.1f} GB in {path.parent}, where "
                f"{free / 1e9:.1f} GB are free: make room, or name another folder"
            )
        with half.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            rows = 0
            for part in parts:
                file.write(np.ascontiguousarray(part, "<f4").data)
                rows += len(part)
        if rows != shape[0]:
            raise DataError(f"expected features of {shape[0]} images, but {rows} came")
    return FeatureFile(path)
