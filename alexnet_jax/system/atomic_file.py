"""Files and folders that are written completely or not at all."""

import contextlib
import glob
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from alexnet_jax.errors import UserError

_ABANDONED_SECONDS = 24 * 3600  # not written to for so long: its process was killed


@contextlib.contextmanager
def atomic_file(path: pathlib.Path, error: type[UserError] = UserError) -> Iterator[pathlib.Path]:
    """Yield a path beside `path`, for a file or a folder, which becomes `path` if nothing fails.

    After an error it is removed. If the process is killed, a hidden file stays; it is removed when
    `path` is written again at least a day later.

    Args:
      path: folders above it are made.
      error: raised, with one line, if the system refuses.
    """
    half = path.with_name(f".{path.name}.half-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(path)
        yield half
        half.replace(path)
    except OSError as cause:
        raise error(f"{path} could not be written: {cause}") from cause
    finally:
        _remove(half)


def write_atomic(path: pathlib.Path, text: str, error: type[UserError] = UserError) -> None:
    """Write a text file; if that fails at any point, the old file is still there."""
    with atomic_file(path, error) as half:
        half.write_text(text)


def check_writable(path: pathlib.Path, error: type[UserError] = UserError) -> None:
    """Make sure that a file can be written, before the work that fills it.

    Args:
      path: folders above it are made.
      error: raised, with one line, if the system refuses, or if a folder is there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as cause:
        raise error(f"{path} cannot be written: {cause}") from cause


def _clear_abandoned(path: pathlib.Path) -> None:
    for half in path.parent.glob(f".{glob.escape(path.name)}.half-*"):
        with contextlib.suppress(OSError):  # another process may clear it too
            if time.time() - half.stat().st_mtime > _ABANDONED_SECONDS:
                _remove(half)


def _remove(half: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(half) if half.is_dir() else half.unlink()
