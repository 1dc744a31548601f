"""Signals that ask a program to stop: a run saves first, anything else just leaves.

`signals.py` lists them. Only commands handle signals; `train` looks at the `Interrupt` that it is
given.
"""

import os
import signal

import jax
from jax.experimental import multihost_utils

from alexnet_jax.system.signals import heeded


class Stopped(KeyboardInterrupt):
    """A signal asked to stop. It is no Exception, so that no handler takes it for a failure."""

    def __init__(self, number: int, left: str):
        super().__init__(f"stopped by {signal.Signals(number).name}: {left}")
        self.exit_code = 128 + number


def stop_at_once() -> None:
    """Let each of SIGNALS raise Stopped wherever the program is, except in an Interrupt."""
    for number in heeded():
        signal.signal(number, _stop)


def _stop(number: int, _) -> None:
    raise Stopped(number, "what is finished is kept; the same command does the rest")


class Interrupt:
    """Turns each of SIGNALS into a number to look at between steps; a context manager.

    Several processes must all stop at the same step. JAX's runtime ensures that for SIGTERM, which
    it handles itself; the others are passed to it as a SIGTERM.
    """

    number: int | None = None

    def __enter__(self) -> "Interrupt":
        self._several = jax.process_count() > 1
        self._asked = 0
        self._from_user = signal.SIGTERM
        handler = self._hand_on if self._several else self._note
        self._before = {
            number: signal.signal(number, handler)
            for number in heeded()
            if not (self._several and number == signal.SIGTERM)
        }
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self, step: int) -> int | None:
        """Return the signal that asks to stop before this step: the same one in all processes."""
        self._asked += 1  # JAX's processes stop at a number that none may leave out, as steps may
        if self._several and multihost_utils.reached_preemption_sync_point(self._asked):
            self.number = self._from_user
        return self.number

    def _note(self, number: int, _) -> None:
        self.number = self.number or number  # a second one changes nothing

    def _hand_on(self, number: int, _) -> None:
        self._from_user = signal.Signals(number)
        os.kill(os.getpid(), signal.SIGTERM)
