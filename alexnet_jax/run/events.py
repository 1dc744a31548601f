"""What TensorBoard reads of a run, written as it comes.

tensorboardX's own SummaryWriter writes from a thread; where the disk is full that thread dies with
a traceback, and nobody empties its queue any more.
"""

import contextlib
import pathlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter

FLUSH_SECONDS = 10  # a flush waits for the disk


class Events:
    """A file of events. Every method raises OSError where it cannot be written.

    Args:
      folder: the one that TensorBoard is pointed at; made.
      purge_step: what earlier files say of this step and later ones is not shown any more.
    """

    def __init__(self, folder: pathlib.Path, purge_step: int):
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        self._file, self._flushed = RecordWriter(str(folder / name)), time.monotonic()
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))
        self._file.flush()

    def line(self, line: dict[str, Any]) -> None:
        """Write each number of a line of metrics.jsonl as split/name; of a list, name_1, ...."""
        for name, value in _scalars(line):
            said = summary.scalar(f"{line['split']}/{name}", value)
            self._write(Event(step=line["step"], summary=said))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def image(self, name: str, picture: np.ndarray, step: int) -> None:
        """Write a picture, (H, W, 3) uint8."""
        self._write(Event(step=step, summary=summary.image(name, picture, dataformats="HWC")))
        self._flush()

    def close(self) -> None:
        """Close the file, silently: it comes after an error or after a validation's flush."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._file.write(event.SerializeToString())

    def _flush(self) -> None:
        self._file.flush()
        self._flushed = time.monotonic()


def _scalars(line: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in line.items():
        if isinstance(value, list):
            yield from ((f"{name}_{k}", float(part)) for k, part in enumerate(value, start=1))
        elif name not in ("step", "epoch", "split"):
            yield name, float(value)
