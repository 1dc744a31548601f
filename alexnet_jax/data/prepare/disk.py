"""What a preparation needs of the disk: permission, space and a lock."""

import contextlib
import errno
import fcntl
import pathlib
import shutil
from collections.abc import Iterator

from alexnet_jax.data.store.layout import bytes_per_image
from alexnet_jax.errors import DataError
from alexnet_jax.system.atomic_file import make_folder, unwritable
from alexnet_jax.system.lines import say

_SPARE_BYTES = 64 << 20  # left free besides the estimate
_IMAGES_WITH_NOTES = 65_536  # of train: 256 shards at most, of 256 images at least


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Turn an error of the system, while files are searched or read, into one line.

    Raises:
      DataError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        what = f"{error.filename} cannot be read ({error.strerror})" if error.filename else error
        raise DataError(f"{what}; fix that, or name another folder") from error


@contextlib.contextmanager
def only_one(directory: pathlib.Path) -> Iterator[None]:
    """Let one process at a time prepare `directory`.

    The kernel releases the lock when the process that holds it dies. So the one that gets it may
    continue an unfinished preparation.

    Raises:
      DataError: the folder above `directory` cannot be written or locked.
    """
    parent = directory.parent
    try:
        make_folder(parent)
        file = (parent / "prepare.lock").open("w")
    except OSError as error:
        raise DataError(os_error_line(error, directory)) from error
    with file:
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting: another process prepares {directory}")
                fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise DataError(
                f"{parent} cannot be locked ({error}): two processes could prepare at once; set "
                "data.prepared_dir to a disk with locks, and copy the result"
            ) from error
        yield


def check_space(images: int, storage: str, size: int, root: pathlib.Path) -> tuple[int, int]:
    """Check that the copy will fit on the disk, before anything is written.

    Args:
      images: how many are still to be made.
      storage: "jpeg" or "raw".
      size: pixels a side of the squares.
      root: where the copy will be.

    Returns:
      Bytes that `images` stored as `storage` need at most during the preparation, and bytes that
      are free on the disk of `root`.

    Raises:
      DataError: less is free than is needed.
    """
    # Of each 256 images or more a note holds the sums of 3 channels, 8 bytes for each pixel.
    note = 3 * 8 * size**2 / 256 + 356  # bytes an image
    needed = images * bytes_per_image(storage, size) + min(images, _IMAGES_WITH_NOTES) * round(note)
    needed += _SPARE_BYTES if images else 0
    free = shutil.disk_usage(_existing(root)).free
    if free < needed:
        raise DataError(
            f"{images} images stored as {storage} need about {needed / 1e9:.2f} GB, but {root} has "
            f"{free / 1e9:.2f} GB free; make room, or set data.prepared_dir to another disk"
        )
    return needed, free


def os_error_line(error: OSError, directory: pathlib.Path) -> str:
    """Return in one line why `directory` could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = f"{shutil.disk_usage(_existing(directory)).free / 1e9:.2f} GB free"
        what = f"ran full ({free})" if error.errno == errno.ENOSPC else "is over your quota"
        return (
            f"the disk of {directory} {what}; make room, and the same command goes on, or set "
            "data.prepared_dir to another disk"
        )
    return f"{unwritable(directory, error)}, or set data.prepared_dir to another folder"


def _existing(path: pathlib.Path) -> pathlib.Path:
    """Return the path, or the nearest folder above it that exists."""
    return next(p for p in (path, *path.parents) if p.exists())
