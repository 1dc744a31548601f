"""What the command lines share: a user's error is one line, and the exit code says so."""

import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

from absl import app, flags

from alexnet_jax import distributed, host_memory
from alexnet_jax.errors import UserError
from alexnet_jax.interrupt import Stopped, stop_at_once

USER_ERROR = 2


def run(main: Callable[[list[str]], Any], *, steps: bool = True) -> None:
    """Run `main` after reading the flags.

    Exits with one line and 2 where the user can mend it, 128 + the signal where one came.

    Args:
      main: takes what is no flag.
      steps: whether it computes step by step, on memory that is kept between them; threads that
        prepare images ask for memory of many sizes, and gain nothing by it.
    """
    if steps:
        host_memory.keep()
    warnings.showwarning = _one_line
    # At INFO they name each kind of device that this machine does not have, and each address.
    for name in ("xla_bridge", "distributed"):
        logging.getLogger(f"jax._src.{name}").setLevel(logging.WARNING)
    stop_at_once()
    app.run(lambda argv: _guarded(main, argv), flags_parser=_parse)


def _guarded(main: Callable[[list[str]], Any], argv: list[str]) -> Any:
    try:
        return main(argv)
    except UserError as error:
        distributed.leave(_said(error))
    except Stopped as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.exit_code)


def _parse(argv: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
        if "config" in flags.FLAGS:
            _ = flags.FLAGS.config.is_locked  # an error now where its file could not be loaded
        return rest
    except (AttributeError, KeyError) as error:  # how ml_collections refuses an unknown name
        given = [flag for flag in argv if flag.startswith("--config.")]
        sys.exit(_said(f"a name in {' '.join(given)} is not in the config: {error}"))
    except (flags.Error, TypeError, ValueError, OSError) as error:  # a value of the wrong type, too
        sys.exit(_said(error))


def _said(error: Exception | str) -> int:
    text = " ".join(str(error).replace('"', "").split())
    print(f"error: {text}", file=sys.stderr)
    return USER_ERROR


def _one_line(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"warning: {message}", file=sys.stderr)
