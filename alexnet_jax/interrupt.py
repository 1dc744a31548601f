"""Signals that ask a program to stop: a run saves first, anything else just leaves."""

import signal

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
    raise Stopped(number, "there was nothing to save; the same command starts again")


class Interrupt:
    """Turns SIGTERM and SIGINT into a number to look at between steps; a context manager."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __enter__(self) -> "Interrupt":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _) -> None:
        self.number = number
