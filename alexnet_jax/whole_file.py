"""Files that are there whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from alexnet_jax.errors import UserError


@contextlib.contextmanager
def whole_file(path: pathlib.Path, error: type[UserError] = UserError) -> Iterator[pathlib.Path]:
    """Give a path beside `path` to write to, which becomes `path` when all has gone well.

    Args:
      path: the file; folders above it are made.
      error: raised, with one line, where the system refuses.
    """
    half = path.with_name(f".{path.name}.half-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield half
        half.replace(path)
    except OSError as cause:
        raise error(f"{path} could not be written: {cause}") from cause
    finally:
        with contextlib.suppress(OSError):
            half.unlink()


def write_whole(path: pathlib.Path, text: str, error: type[UserError] = UserError) -> None:
    """Write a text file that is, whatever happens, the old one or the new one."""
    with whole_file(path, error) as half:
        half.write_text(text)
