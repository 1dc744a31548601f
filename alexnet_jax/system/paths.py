"""Paths as users write them, in flags, in the config and from Python."""

import os
import pathlib
import re

from alexnet_jax.errors import ConfigError


def user_path(text: str | os.PathLike) -> pathlib.Path:
    """Return the path that a user means: ~ at its beginning is the home folder.

    Raises:
      ConfigError: it is the address of an object store, or ~ is nobody's home.
    """
    text = os.fspath(text)
    if re.match("(https?|ftp)://", text):
        raise ConfigError(f"{text} is no path of this machine: download it and give the file")
    if match := re.match(r"([A-Za-z][\w+.-]+):/", text):
        raise ConfigError(
            f"{text} is no path of this machine: mount {match[1]}:// as a folder (gcsfuse for gs, "
            "mountpoint-s3 for s3, FUSE for hdfs) and give that, or copy the files first"
        )
    path = pathlib.Path(text)
    try:
        return path.expanduser()
    except RuntimeError as error:  # no such user, or no HOME
        if path.exists():  # a file called ~cat.jpg
            return path
        raise ConfigError(f"{text} names no home folder ({error}): give the whole path") from error
