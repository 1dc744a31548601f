"""Signals that ask a program to stop: a run saves first, anything else just leaves."""

import os
import signal

import jax

from alexnet_jax.system import distributed

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(KeyboardInterrupt):
    """A signal asked to stop; no Exception, so that nothing on the way takes it for a failure."""

    def __init__(self, number: int, left: str):
        super().__init__(f"stopped by {signal.Signals(number).name}: {left}")
        self.exit_code = 128 + number


def stop_at_once() -> None:
    """Let SIGTERM and SIGINT raise Stopped wherever the program is, outside an Interrupt."""
    for number in SIGNALS:
        signal.signal(number, _stop)


def _stop(number: int, _) -> None:
    raise Stopped(number, "what is finished is kept; the same command does the rest")


class Interrupt:
    """Turns SIGTERM and SIGINT into a number to look at between steps; a context manager.

    Of several processes all must stop at the same step. JAX's runtime sees to that for SIGTERM,
    which it takes for itself; SIGINT is handed to it as one.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._several = jax.process_count() > 1
        self._from_user = signal.SIGTERM

    def __enter__(self) -> "Interrupt":
        notes = (
            {signal.SIGINT: self._hand_on} if self._several else dict.fromkeys(SIGNALS, self._note)
        )
        self._before = {number: signal.signal(number, note) for number, note in notes.items()}
        return self

    def asked(self, step: int) -> int | None:
        """Return the signal that asks to stop before this step, or None."""
        if self._several and distributed.stop_asked(step):
            self.number = self._from_user
        return self.number

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _) -> None:
        self.number = number

    def _hand_on(self, number: int, _) -> None:
        self._from_user = signal.Signals(number)
        os.kill(os.getpid(), signal.SIGTERM)
