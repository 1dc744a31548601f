"""The progress through many images, on stderr: a bar on a terminal, else occasional lines."""

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LINE_SECONDS = 5.0


def duration(seconds: float) -> str:
    """Return a time in the two units that matter: 3 s, 2 min 10 s, 5 h 07 min, 3 d 4 h."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 48 * 60:
        hours = round(seconds / 3600)
        return f"{hours // 24} d {hours % 24} h"
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def counted(number: float, noun: str) -> str:
    """Return a number with its noun: 1 step, 2 steps, 0.5 epochs."""
    return f"{number:.12g} {noun}{'' if number == 1 else 's'}"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} images/s")


class ImageProgress:
    """Counts finished images and shows their number; a context manager, for one thread.

    Args:
      total: images to do.
      name: of the dataset.
      done: images that earlier attempts did.
      verb: what is done to them.
    """

    def __init__(self, total: int, name: str, done: int = 0, verb: str = "preparing") -> None:
        self._done = self._before = done
        self._total = total
        self._name = f"{verb} {name}"
        self._start = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(self._name, total=total, completed=done)

    def __enter__(self) -> "ImageProgress":
        self._bar.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._bar.stop()
        if self._bar.disable and error is None:
            self._line()

    def advance(self, images: int) -> None:
        """Count `images` more as done."""
        self._done += images
        self._bar.advance(self._task, images)
        if self._bar.disable and time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._line()

    def _line(self) -> None:
        self._last_line = time.monotonic()
        rate = (self._done - self._before) / max(self._last_line - self._start, 1e-9)
        left = (self._total - self._done) / max(rate, 1e-9)
        print(
            f"{self._name}: {self._done}/{self._total} images, {rate:,.0f} images/s, "
            f"{duration(left)} left",
            file=sys.stderr,
            flush=True,
        )
