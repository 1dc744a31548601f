"""Features on disk: an .npy file of one vector an image, written and read a part at a time."""

import json
import pathlib
import shutil
from collections.abc import Iterable
from typing import Any

import numpy as np

from alexnet_jax.errors import DataError
from alexnet_jax.system.atomic_file import atomic_file, write_atomic


class FeatureFile:
    """The vectors of a finished file, (n, d) float32, by slice or by index.

    Each request maps the file anew, so that pages which were read do not count as memory in use.
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


def write_features(
    path: pathlib.Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]
) -> FeatureFile:
    """Write parts of (n, ...) float32, one after the other; the file appears when it is whole.

    Args:
      path: ends in .npy.
      shape: of all.
      parts: (b, ...) each, together of that shape.

    Raises:
      DataError: no room on the disk, or it cannot be written.
    """
    with atomic_file(path, DataError) as half:
        _check_room(path.parent, 4 * int(np.prod(shape, dtype=np.int64)))
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


def kept_features(path: pathlib.Path, what: dict[str, Any]) -> FeatureFile | None:
    """Return the file if it is there and `what` it was made of, as `keep_note` had it, is this."""
    try:
        same = json.loads(_note(path).read_text()) == what
    except (OSError, ValueError):
        return None
    return FeatureFile(path) if same and path.exists() else None


def forget_note(path: pathlib.Path) -> None:
    """Let a file that is about to be replaced be of nothing known."""
    _note(path).unlink(missing_ok=True)


def keep_note(path: pathlib.Path, what: dict[str, Any]) -> None:
    """Say what a finished file was made of."""
    write_atomic(_note(path), json.dumps(what) + "\n")


def _note(path: pathlib.Path) -> pathlib.Path:
    return path.with_suffix(".json")


def _check_room(folder: pathlib.Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"the features need {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are "
            "free: make room, or name another folder"
        )
