"""What a run writes while it trains: a progress bar or lines, metrics.jsonl, pictures, events."""

import contextlib
import itertools
import json
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from alexnet_jax.errors import TrainingError
from alexnet_jax.run.metrics_file import parse
from alexnet_jax.system.atomic_file import atomic_file, sync, unwritable, write_atomic
from alexnet_jax.system.lines import one_line
from alexnet_jax.system.progress import duration

if TYPE_CHECKING:
    from alexnet_jax.run.tensorboard import Events


class Logger:
    """The log of one run; a context manager.

    Args:
      tensorboard: also write TensorBoard events.
    """

    def __init__(self, workdir: pathlib.Path, *, tensorboard: bool = True):
        self.path = workdir / "metrics.jsonl"
        self._workdir, self._steps = workdir, 0
        self._first: tuple[int, float] | None = None  # step and time of the first line of training
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._tensorboard = tensorboard
        self._events: Events | None = None
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
        )

    def __enter__(self) -> "Logger":
        self._task = self._progress.add_task("", total=None, epoch=0, figures="")
        self._progress.start()
        return self

    def __exit__(self, *_) -> None:
        self._progress.stop()
        if self._events is not None:
            self._events.close()

    def begin(self, step: int, validated: int, steps: int) -> None:
        """Remove the lines that a killed run wrote after its last checkpoint.

        Damaged lines are moved to metrics.damaged.jsonl, with one warning. An unfinished last line
        is what a kill leaves, and is dropped without one.

        Args:
          step: of that checkpoint, from which the run goes on.
          validated: the last step whose validation is in the checkpoint.
          steps: updates of the whole run.
        """
        data = self.path.read_bytes() if self.path.exists() else b""
        texts = data.splitlines(keepends=True)
        lines = [(text, parse(text)) for text in texts]
        damaged = [text for text, line in lines if line is None and text.endswith(b"\n")]
        if damaged:
            self._keep_damaged(damaged)
        whole = [(text.decode().strip(), line) for text, line in lines if line is not None]
        last = {"train": step, "val": validated}  # in the checkpoint
        kept = [text for text, line in whole if line["step"] <= last[line["split"]]]
        if step == 0 and any(line["split"] == "val" for _, line in whole):
            self._set_aside()
        write_atomic(self.path, "".join(text + "\n" for text in kept), TrainingError)
        if self._tensorboard:
            from alexnet_jax.run.tensorboard import Events  # slow to import, and not always wanted

            with _written(folder := self._workdir / "tensorboard"):
                self._events = Events(folder, purge_step=step + 1)
        self._steps = steps
        self._progress.update(self._task, completed=step, total=steps)

    def _keep_damaged(self, texts: list[bytes]) -> None:
        aside = self.path.with_suffix(".damaged.jsonl")
        with _written(aside), aside.open("ab") as file:
            file.writelines(texts)
        lines = "line that is" if len(texts) == 1 else "lines that are"
        self.say(f"warning: {self.path} had {len(texts)} {lines} damaged, now in {aside.name}")

    def _set_aside(self) -> None:
        """Rename an earlier run's log; its checkpoints, if there were any, are gone."""
        numbers = itertools.count(1)
        aside = next(p for k in numbers if not (p := self._workdir / f"metrics.{k}.jsonl").exists())
        with _written(aside):
            self.path.rename(aside)
        self.say(f"there is no checkpoint to go on from; what was logged before is now {aside}")

    def advance(self, step: int) -> None:
        """Move the progress bar."""
        self._progress.update(self._task, completed=step)

    def metrics(self, line: dict[str, Any]) -> None:
        """Record one line: step, epoch, split, loss, errors, learning_rate, images_per_second.

        Raises:
          TrainingError: it could not be written.
        """
        with _written(self.path), self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._events is not None:
            with _written(self._workdir / "tensorboard"):
                self._events.line(line)
        figures = (
            f"{line['split']} loss {line['loss']:.4f} top-1 error {line['top1_error']:.3f} "
            f"{line['images_per_second']:.0f} images/s"
        )
        self._progress.update(self._task, epoch=line["epoch"], figures=figures)
        if not self._live or line["split"] == "val":
            left = f", {duration(left)} left" if (left := self._left(line)) else ""
            top5 = f"top-5 error {line['top5_error']:.3f} rate {line['learning_rate']:g}"
            self.say(
                f"step {line['step']}/{self._steps} epoch {line['epoch']} {figures} {top5}{left}"
            )

    def sync(self) -> None:
        """Let the lines survive a power loss: a checkpoint that comes after them would."""
        with _written(self.path):
            sync(self.path)

    def _left(self, line: dict[str, Any]) -> float | None:
        """Return the seconds to the end, validations included once there was one; None: unknown."""
        if line["split"] != "train":
            return None
        step, now = line["step"], time.monotonic()
        if self._first is None:  # the time before this line includes compiling
            self._first = step, now
            each = (line.get("step_ms", 0.0) + line.get("data_wait_ms", 0.0)) / 1e3
        else:
            each = (now - self._first[1]) / max(1, step - self._first[0])
        return each * (self._steps - step)

    def last(self, split: str) -> dict[str, Any]:
        """Return the last recorded line of a split; empty where there is none."""
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        return next((line for line in reversed(lines) if line["split"] == split), {})

    def image(self, name: str, picture: np.ndarray, step: int) -> None:
        """Record a picture, (H, W, 3) uint8: the latest as name.png, all of them in TensorBoard."""
        with atomic_file(self._workdir / f"{name}.png", TrainingError) as half:
            Image.fromarray(picture).save(half, "png")
        if self._events is not None:
            with _written(self._workdir / "tensorboard"):
                self._events.image(name, picture, step)

    def say(self, text: str) -> None:
        """Print one line above the progress bar."""
        self._console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)
        sys.stderr.flush()


class Silence:
    """A Logger for processes that write no log: all methods do nothing."""

    def __enter__(self) -> "Silence":
        return self

    def __exit__(self, *_) -> None:
        pass

    def __getattr__(self, _: str) -> Callable[..., dict[str, Any]]:
        return lambda *_, **__: {}


@contextlib.contextmanager
def _written(path: pathlib.Path) -> Iterator[None]:
    """Raise a TrainingError of one line if `path` cannot be written."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{unwritable(path, error)}: the same command goes on from the last checkpoint"
        ) from error
