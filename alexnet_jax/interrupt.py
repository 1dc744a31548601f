"""Signals as something to look at between steps: a run that is asked to stop saves first."""

import signal


class Stopped(Exception):
    """The run was asked to stop by a signal, and has saved."""

    def __init__(self, number: int, step: int):
        super().__init__(
            f"stopped by {signal.Signals(number).name}: saved at step {step}; "
            "the same command goes on from there"
        )
        self.exit_code = 128 + number


class Interrupt:
    """Turns SIGTERM and SIGINT into a number to look at; a context manager."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __enter__(self) -> "Interrupt":
        self._before = {n: signal.signal(n, self._note) for n in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _) -> None:
        self.number = number
