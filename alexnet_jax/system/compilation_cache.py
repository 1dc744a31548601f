"""Compiled programs that are kept from one start to the next, by JAX's own cache."""

import glob
import os
import pathlib
import re
import warnings

import jax
from absl import flags

DIRECTORY = "JAX_COMPILATION_CACHE_DIR"
_UNREADABLE = re.compile(r"Error reading persistent compilation cache entry for '(.+?)'")
LEAST_SECONDS = 0.1  # to compile what is kept; JAX's own 1 leaves out half of a start


def define_flag() -> None:
    """Define --keep_compiled."""
    text = (
        "Keep compiled programs for the next start, in alexnet_jax/compiled of the user's cache "
        f"folder or in {DIRECTORY}."
    )
    flags.DEFINE_bool("keep_compiled", True, text)


def keep_compiled() -> None:
    """Let JAX keep what it compiles, and use what is there, unless a flag or a variable says no.

    For commands: it changes settings of the whole process. A folder that cannot be made is a
    warning, since everything works without it.
    """
    if not flags.FLAGS.keep_compiled:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
    if DIRECTORY in os.environ:
        return
    try:
        folder = _cache_folder() / "alexnet_jax" / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"no permission to write into {folder}")
    except (OSError, RuntimeError) as error:  # RuntimeError: no home
        warnings.warn(
            f"compiled programs are not kept for the next start ({error}): name a folder in "
            f"{DIRECTORY}, or give --nokeep_compiled",
            stacklevel=2,
        )
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))


def forget_damaged(warning: str) -> None:
    """Remove the kept programs of which JAX has just warned that it cannot read them.

    A kill or a full disk leaves them half written. JAX compiles again, but replaces no file.
    """
    folder: str | None = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if folder and (found := _UNREADABLE.match(warning)):
        for path in pathlib.Path(folder).glob(f"{glob.escape(found[1])}-*-cache"):
            path.unlink(missing_ok=True)


def _cache_folder() -> pathlib.Path:
    """Return the user's cache folder (XDG Base Directory Specification)."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return pathlib.Path(given) if os.path.isabs(given) else pathlib.Path.home() / ".cache"
