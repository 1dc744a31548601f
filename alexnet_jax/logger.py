"""What a run tells: a progress bar or plain lines, metrics.jsonl, pictures, TensorBoard."""

import json
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from alexnet_jax.whole_file import write_whole


class Logger:
    """The log of one run; a context manager.

    Args:
      workdir: the run's folder.
      tensorboard: also write TensorBoard events.
    """

    def __init__(self, workdir: pathlib.Path, *, tensorboard: bool = True):
        self.path = workdir / "metrics.jsonl"
        self._workdir, self._steps = workdir, 0
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._tensorboard = tensorboard
        self._events: Any = None
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
        """Forget the lines that a killed run wrote after what its checkpoint holds.

        Args:
          step: the step to go on from.
          validated: the last step whose validation the checkpoint knows.
          steps: updates of the whole run.
        """
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        kept = [line for line in lines if _known(line, step, validated)]
        write_whole(self.path, "".join(line + "\n" for line in kept))
        if self._tensorboard:
            from tensorboardX import SummaryWriter  # slow to import, and not always wanted

            self._events = SummaryWriter(
                str(self._workdir / "tensorboard"), purge_step=step + 1, write_to_disk=True
            )
        self._steps = steps
        self._progress.update(self._task, completed=step, total=steps)

    def advance(self, step: int) -> None:
        """Move the progress bar."""
        self._progress.update(self._task, completed=step)

    def metrics(self, line: dict[str, Any]) -> None:
        """Record one line: step, epoch, split, loss, errors, learning_rate, images_per_second."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._events is not None:
            for name, value in _scalars(line):
                self._events.add_scalar(f"{line['split']}/{name}", value, line["step"])
        figures = (
            f"{line['split']} loss {line['loss']:.4f} top-1 error {line['top1_error']:.3f} "
            f"{line['images_per_second']:.0f} images/s"
        )
        self._progress.update(self._task, epoch=line["epoch"], figures=figures)
        if not self._live or line["split"] == "val":
            top5 = f"top-5 error {line['top5_error']:.3f} rate {line['learning_rate']:g}"
            self.say(f"step {line['step']}/{self._steps} epoch {line['epoch']} {figures} {top5}")

    def last(self, split: str) -> dict[str, Any]:
        """Return the last recorded line of a split; empty where there is none."""
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        return next((line for line in reversed(lines) if line["split"] == split), {})

    def image(self, name: str, picture: np.ndarray, step: int) -> None:
        """Record a picture, (H, W, 3) uint8: its latest state as name.png, all in TensorBoard."""
        Image.fromarray(picture).save(self._workdir / f"{name}.png")
        if self._events is not None:
            self._events.add_image(name, picture, step, dataformats="HWC")

    def say(self, text: str) -> None:
        """Print one line above the progress bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        sys.stderr.flush()


class Silence:
    """The log of a process that writes none: takes all that Logger takes, and does nothing."""

    def __enter__(self) -> "Silence":
        return self

    def __exit__(self, *_) -> None:
        pass

    def __getattr__(self, _: str) -> Callable[..., dict[str, Any]]:
        return lambda *_, **__: {}


def _scalars(line: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield name and value of what TensorBoard is told; of a list, name_1, name_2, ...."""
    for name, value in line.items():
        if isinstance(value, list):
            yield from ((f"{name}_{k}", float(part)) for k, part in enumerate(value, start=1))
        elif name not in ("step", "epoch", "split"):
            yield name, float(value)


def _known(line: str, step: int, validated: int) -> bool:
    try:
        record = json.loads(line)
    except ValueError:  # half a line: the process was killed while it wrote
        return False
    last = validated if record["split"] == "val" else step
    return record["step"] <= last
