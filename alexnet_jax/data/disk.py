"""What a preparation needs of the disk: room, a lock, and what a dead one left cleared away."""

import contextlib
import errno
import fcntl
import pathlib
import shutil
import sys
from collections.abc import Iterator

from alexnet_jax.data.datasets import BYTES_PER_IMAGE
from alexnet_jax.errors import DataError

_SPARE_BYTES = 64 << 20  # left free besides the estimate


@contextlib.contextmanager
def only_one(directory: pathlib.Path) -> Iterator[None]:
    """Let one process at a time prepare `directory`, and clear what a dead one left.

    The lock is the kernel's and dies with its process, so an incomplete.* directory that is seen
    while holding it belongs to nobody.

    Raises:
      DataError: the folder above `directory` cannot be written.
    """
    parent = directory.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        file = (parent / "prepare.lock").open("w")
    except OSError as error:
        raise DataError(os_error_line(error, directory)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting: another process prepares {directory}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        for stale in parent.glob(f"incomplete.*_{directory.name}"):
            shutil.rmtree(stale)
        yield


def check_space(images: int, storage: str, root: pathlib.Path) -> None:
    """Stop before anything is written when the copy would not fit.

    Raises:
      DataError: less is free on the disk of `root` than `images` stored as `storage` need.
    """
    needed = images * BYTES_PER_IMAGE[storage] + _SPARE_BYTES
    free = shutil.disk_usage(_existing(root)).free
    if free < needed:
        raise DataError(
            f"{images} images stored as {storage} need about {needed / 1e9:.2f} GB, but {root} has "
            f"{free / 1e9:.2f} GB free; make room, or set data.prepared_dir to another disk"
        )


def os_error_line(error: OSError, directory: pathlib.Path) -> str:
    """Say in one line why `directory` could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(_existing(directory)).free
        return (
            f"the disk of {directory} ran full ({free / 1e9:.2f} GB free); make room, or set "
            "data.prepared_dir to another disk"
        )
    return f"{directory} could not be written ({error}); mend that or set data.prepared_dir"


def _existing(path: pathlib.Path) -> pathlib.Path:
    """Return the path, or the nearest folder above it that is there."""
    return next(p for p in (path, *path.parents) if p.exists())
