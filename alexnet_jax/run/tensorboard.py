"""The events of a run, for TensorBoard.

tensorboardX's SummaryWriter writes from a thread. Where the disk is full that thread dies with a
traceback, and the run waits for it forever. So this uses its RecordWriter and messages directly.
"""

import contextlib
import io
import pathlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX import RecordWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

FLUSH_SECONDS = 10  # a flush waits for the disk


class Events:
    """A file of events. Every method raises OSError where it cannot be written.

    Args:
      folder: the one that TensorBoard reads; made if it is missing.
      purge_step: TensorBoard ignores what earlier files hold for this step and later ones.
    """

    def __init__(self, folder: pathlib.Path, purge_step: int):
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        self._file, self._flushed = RecordWriter(str(folder / name)), time.monotonic()
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))
        self._file.flush()

    def line(self, line: dict[str, Any]) -> None:
        """Write each number of a line of metrics.jsonl as split/name; a list as name_1, name_2."""
        for name, value in _scalars(line):
            self._value(line["step"], tag=f"{line['split']}/{name}", simple_value=value)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def image(self, name: str, picture: np.ndarray, step: int) -> None:
        """Write a picture, (H, W, 3) uint8."""
        png = io.BytesIO()
        Image.fromarray(picture).save(png, "png")
        height, width, channels = picture.shape
        image = Summary.Image(
            height=height,
            width=width,
            colorspace=channels,
            encoded_image_string=png.getvalue(),
        )
        self._value(step, tag=name, image=image)
        self._flush()

    def close(self) -> None:
        """Close the file. Errors are ignored: nothing of importance is left to be written."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _value(self, step: int, **value: Any) -> None:
        self._write(Event(step=step, summary=Summary(value=[Summary.Value(**value)])))

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
