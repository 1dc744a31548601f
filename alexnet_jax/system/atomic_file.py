"""Files and folders that are written completely or not at all."""

import contextlib
import errno
import glob
import os
import pathlib
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent import futures

from alexnet_jax.errors import UserError

_ABANDONED_SECONDS = 24 * 3600  # not written to for so long: its process was killed


@contextlib.contextmanager
def atomic_file(path: pathlib.Path, error: type[UserError] = UserError) -> Iterator[pathlib.Path]:
    """Yield a path beside `path`, for a file or a folder, which becomes `path` if nothing fails.

    It is on disk before it gets its name, so that a power loss does not leave an empty file there.
    After an error it is removed. If the process is killed, a hidden file stays; it is removed when
    `path` is written again on the same machine, or on another one at least a day later.

    Args:
      path: folders above it are made.
      error: raised, with one line, if the system refuses.
    """
    half = path.with_name(f".{path.name}.half-{socket.gethostname()}-{os.getpid()}")
    try:
        make_folder(path.parent)
        _clear_abandoned(path)
        yield half
        sync_tree(half)
        half.replace(path)
        sync(path.parent)
    except OSError as cause:
        raise error(unwritable(path, cause)) from cause
    finally:
        _remove(half)


def write_atomic(path: pathlib.Path, text: str, error: type[UserError] = UserError) -> None:
    """Write a text file; if that fails at any point, the old file is still there."""
    with atomic_file(path, error) as half:
        half.write_text(text, encoding="utf-8")


def check_writable(path: pathlib.Path, error: type[UserError] = UserError) -> None:
    """Make sure that a file can be written, before the work that fills it.

    Args:
      path: folders above it are made.
      error: raised, with one line, if the system refuses, or if a folder is there.
    """
    try:
        make_folder(path.parent)
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as cause:
        raise error(unwritable(path, cause)) from cause


def unwritable(path: pathlib.Path, cause: OSError) -> str:
    """Return in one line that `path` could not be written, why, and what to do."""
    reason = cause.strerror or str(cause)
    if cause.filename:
        refused = pathlib.Path(os.fsdecode(cause.filename))
        if not {refused, refused.parent} & {path, path.parent}:
            reason += f": {refused}"
    return f"{path} could not be written: {reason}; {remedy(cause)}"


def remedy(cause: object) -> str:
    """Return what a user can do who could not write, by the system's error or what it says."""
    full = any(os.strerror(number) in str(cause) for number in (errno.ENOSPC, errno.EDQUOT))
    return "free some space and run again" if full else "fix that and run again"


def make_folder(path: pathlib.Path) -> None:
    """Make a folder and the missing ones above it; a power loss does not take them again.

    Raises:
      OSError: one cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        with contextlib.suppress(PermissionError):  # of one that may be written, but not listed
            sync(folder.parent)


def sync(path: pathlib.Path) -> None:
    """Let what a file holds, or which names a folder has, survive a power loss.

    Raises:
      OSError: it could not be written to disk.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network filesystems, of folders
            raise
    finally:
        os.close(number)


def sync_tree(path: pathlib.Path) -> None:
    """Call `sync` for a file, or for a folder and all that is in it; at once, which is faster."""
    with futures.ThreadPoolExecutor() as threads:
        list(threads.map(sync, (*path.rglob("*"), path)))


def _clear_abandoned(path: pathlib.Path) -> None:
    start = f".{path.name}.half-"
    for half in path.parent.glob(f"{glob.escape(start)}*"):
        host, _, number = half.name.removeprefix(start).rpartition("-")
        dead = host == socket.gethostname() and number.isdecimal() and not _runs(int(number))
        with contextlib.suppress(OSError):  # another process may clear it too
            if dead or time.time() - half.stat().st_mtime > _ABANDONED_SECONDS:
                _remove(half)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another user's, or it is no number of a process
        pass
    return True


def _remove(half: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(half) if half.is_dir() else half.unlink()
