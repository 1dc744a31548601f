"""What all commands share: flags, errors as one line with an exit code, signals.

Only a command changes settings of the whole process: signal handlers, logging levels, hooks.
"""

import errno
import functools
import inspect
import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
from absl import app, flags
from ml_collections import config_flags

from alexnet_jax.errors import UserError
from alexnet_jax.system import compilation_cache, distributed, recipes, sharding
from alexnet_jax.system.atomic_file import remedy
from alexnet_jax.system.interrupt import Stopped, stop_at_once
from alexnet_jax.system.lines import say

USER_ERROR = 2
WORDS_OF_PYTHON = {  # of an error about a flag's value -> what was expected
    "invalid literal for int()": "a whole number",
    "could not convert string to float": "a number",
    "Non-boolean argument": "True or False",
    "Failed to parse": "its fields one by one, as in --config.model.lrn.enabled=False",
}
# Through absl, Orbax and TFDS log every folder that they open and every error that they also raise;
# asyncio logs the reads that Orbax abandons.
HUSHED = ("absl", "asyncio")
# What a disk or its owner refuses, whichever file it is about.
REFUSED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.EISDIR, errno.ENOTDIR),
)


def define_config_flag(default: str = "", *, required: bool = True) -> None:
    """Define --config, which must be given if there is no default, unless `required` is False.

    Args:
      default: the name of a recipe.
      required: whether it must be given.
    """
    path = recipes.find(default) if default else None
    config_flags.DEFINE_config_file("config", path, "A recipe: its name, or the path of a file.")
    if required and not default:
        flags.mark_flag_as_required("config")


def run(main: Callable[[list[str]], Any], *, words: bool = False) -> None:
    """Read the flags and run `main`.

    The process exits with one line and code 2 after an error that the user can fix, and with
    128 + the signal after a signal.

    Args:
      main: takes the program's name and the arguments that are not flags.
      words: whether the command takes arguments that are not flags; otherwise they are refused.
    """
    _open_closed_streams()
    warnings.showwarning = _one_line
    warnings.filterwarnings("ignore", module=r"PIL\.")  # strange metadata, large images
    sys.unraisablehook = _unless_abandoned
    logging.getLogger("jax").setLevel(logging.WARNING)  # INFO lists the backends that are missing
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # INFO lists the glyphs of a PDF
    for name in HUSHED:  # a filter, since reading the flags sets absl's level
        logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.CRITICAL)
    for stream in (sys.stdout, sys.stderr):  # names that the terminal's encoding lacks are escaped
        if hasattr(stream, "reconfigure"):  # a test's may not have it
            stream.reconfigure(errors="backslashreplace")
    # What a run's bits depend on, whatever JAX_ENABLE_X64 and its like say.
    jax.config.update("jax_enable_x64", False)
    jax.config.update("jax_threefry_partitionable", True)
    jax.config.update("jax_random_seed_offset", 0)
    stop_at_once()
    compilation_cache.define_flag()

    def keeping_compiled(argv: list[str]) -> Any:
        compilation_cache.keep_compiled()
        result = main(argv)
        if sys.stdout:  # None where the shell closed it
            sys.stdout.flush()
        return result

    guarded = functools.partial(_guarded, keeping_compiled)
    app.run(guarded, flags_parser=functools.partial(_parse, words=words))


def _open_closed_streams() -> None:
    """Open /dev/null as stdin, stdout and stderr where the shell closed them (>&-).

    A file that is opened later would get their number, and what libraries print.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _guarded(main: Callable[[list[str]], Any], argv: list[str]) -> Any:
    try:
        return main(argv)
    except UserError as error:
        distributed.leave(_print_error(error))
    except Stopped as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.exit_code)
    except OSError as error:
        if error.filename and error.errno in REFUSED:
            file = os.fsdecode(error.filename)
            distributed.leave(_print_error(f"{file}: {error.strerror}; {remedy(error)}"))
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT) or error.filename:
            raise
        devnull = os.open(os.devnull, os.O_WRONLY)  # for what is still to flush
        os.dup2(devnull, sys.stdout.fileno())
        if error.errno == errno.EPIPE:  # whoever reads has enough, as in `| head` or `2>&1 | head`
            os.dup2(devnull, sys.stderr.fileno())
            distributed.leave(128 + signal.SIGPIPE)
        distributed.leave(
            _print_error(f"stdout cannot be written: {error.strerror}; {remedy(error)}")
        )
    except jax.errors.JaxRuntimeError as error:
        if (line := _of_the_device(str(error))) is None:
            raise
        distributed.leave(_print_error(line))
    except (RuntimeError, AssertionError):
        if (line := sharding.no_backend()) is None:
            raise
        distributed.leave(_print_error(line))


def _of_the_device(error: str) -> str | None:
    """Return one line about an error of JAX that the user can mend, or None."""
    if not re.search("RESOURCE_EXHAUSTED|out.of.memory", error, re.IGNORECASE):
        return None
    asked = re.search(r"[\d.,]+ ?[KMGT]?i?B\b|\d+ bytes", error)
    values = flags.FLAGS
    batch = f" with batch_size {values.config.batch_size}" if "config" in values else ""
    stats = jax.local_devices()[0].memory_stats() or {}
    limit = stats.get("bytes_limit")
    has = f", which has {limit / 2**30:.1f} GiB for JAX" if limit else ""
    return (
        f"the memory of {jax.local_devices()[0].device_kind} is not enough{batch}{has}"
        f"{f' (it asked for {asked[0]})' if asked else ''}: lower config.batch_size or "
        "config.evaluate.batch_size, set config.data.resident=off, or end other programs on the "
        "device"
    )


def _parse(argv: list[str], words: bool) -> list[str]:
    try:
        rest = flags.FLAGS(recipes.with_paths(argv) if "config" in flags.FLAGS else argv)
        if "config" in flags.FLAGS and flags.FLAGS["config"].present:
            _ = flags.FLAGS.config.is_locked  # an error now where its file could not be loaded
    except (AttributeError, KeyError) as error:  # how ml_collections refuses an unknown name
        sys.exit(_print_error(not_in_config([f for f in argv if f.startswith("--config.")], error)))
    except flags.UnrecognizedFlagError as error:
        of_config = error.flagname.startswith("config.") and "config" in flags.FLAGS
        sys.exit(_print_error(_no_config(error.flagname) if of_config else error))
    except (flags.Error, UserError, TypeError, ValueError, OSError) as error:  # any wrong value
        sys.exit(_print_error(_expected(str(error))))
    if rest[1:] and not words:
        sys.exit(_print_error(_unexpected(rest[1], argv)))
    return rest


def not_in_config(given: Sequence[str], error: AttributeError | KeyError) -> str:
    """Return one line that says which of these flags ml_collections refused with `error`."""
    why: object = error
    while isinstance(why, Exception):  # an AttributeError of a KeyError, whose str() is quoted
        why = why.args[0]
    if refused := re.search(r"'(\w+)'", str(why)):
        named = [flag for flag in given if refused[1] in re.split("[.=]", flag.partition("=")[0])]
        given = named or given
    return f"a name in {' '.join(given)} is not in the config: {' '.join(str(why).split())}"


def _expected(error: str) -> str:
    """Return the error of a flag's value with what was expected in place of Python's words."""
    error = re.sub(
        r"flag (--\w+)=None: Flag .* other than None\.", r"\1 is missing (see --help)", error
    )
    for words, expected in WORDS_OF_PYTHON.items():
        before, found, _ = error.partition(words)
        if found:
            return before.rstrip(" ('") + f" expected {expected}"
    return error


def _no_config(field: str) -> str:
    return (
        f"--{field} sets a field of a config, but --config is missing: name the config's file, as "
        "in --config=configs/quickstart.py"
    )


def _unexpected(word: str, argv: list[str]) -> str:
    place = argv.index(word, 1)
    after = f" after {argv[place - 1]}" if place > 1 else ""
    runs = "; several runs each need their own --workdir=" if "workdir" in flags.FLAGS else ""
    return f"unexpected {word!r}{after}: write a flag as --name=value, in one word{runs}"


def _print_error(error: Exception | str) -> int:
    """Print an error as one line; return the exit code."""
    say(f"error: {error}")
    return USER_ERROR


def _unless_abandoned(what: Any) -> None:
    """Leave out the reads that Orbax abandons when one read of a damaged checkpoint fails."""
    if not (inspect.iscoroutine(what.object) or "loop is closed" in str(what.exc_value)):
        sys.__unraisablehook__(what)


def _one_line(message, category, filename, lineno, file=None, line=None) -> None:
    say(f"warning: {message}")
    compilation_cache.forget_damaged(str(message))
