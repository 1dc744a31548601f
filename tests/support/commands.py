"""Command lines run inside this process: without the seconds that another Python takes to start."""

import contextlib
import dataclasses
import io
import logging
import runpy
import signal
import sys
import warnings
from collections.abc import Iterator
from unittest import mock

from absl import flags
from absl.testing import flagsaver
from array_record.python import array_record_data_source  # noqa: F401  it defines flags, to stay

from alexnet_jax.system import sharding
from alexnet_jax.system.command_line import HUSHED
from alexnet_jax.system.signals import SIGNALS
from tests.support import tiny

# What Python leaves out by itself.
QUIET = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


@dataclasses.dataclass(frozen=True)
class Done:
    """What a command left: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


def run(module: str, *arguments: str) -> Done:
    """Run `python -m alexnet_jax.<module>` with these arguments, here; nothing of it stays."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", [module, *map(str, arguments)]),
        contextlib.chdir(tiny.REPOSITORY),
        _as_it_was(),
    ):
        try:
            runpy.run_module(f"alexnet_jax.{module}", run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Take back what a command changes of its process: flags, warnings, signals, hooks, logging."""
    loggers = [logging.getLogger(name) for name in ("", "jax", "fontTools", *HUSHED)]
    before = [(x.level, x.handlers[:], x.filters[:]) for x in loggers]
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    parsed = flags.FLAGS.is_parsed()
    try:
        with (
            flagsaver.flagsaver(),
            warnings.catch_warnings(),
            mock.patch.object(sys, "unraisablehook"),
            mock.patch.object(sharding, "split_cpu"),  # pytest's devices are those of conftest.py
        ):
            warnings.resetwarnings()  # to be printed, not raised
            for category in QUIET:
                warnings.simplefilter("ignore", category)
            warnings.filterwarnings("ignore", ".* found in sys.modules")  # runpy's
            yield
    finally:
        if not parsed:
            flags.FLAGS.unparse_flags()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for logger, (level, of_it, filters) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.handlers, logger.filters = of_it, filters


def assert_refused(said: str, module: str, *arguments: str) -> None:
    """Run a command line, and see it refused in one line that says this."""
    done = run(module, *arguments)
    assert (done.code, done.out) == (2, ""), (arguments, done)
    (line,) = done.err.splitlines()
    assert line.startswith("error: ") and said in line, line
