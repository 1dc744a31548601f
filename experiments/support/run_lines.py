"""A file with a JSON line for each finished run, so that no run is made twice."""

import json
import pathlib
from typing import Any

from alexnet_jax.system.atomic_file import write_atomic

Line = dict[str, Any]


class RunLines:
    """The lines of a file, read once and written whole with each new line.

    Args:
      path: the file; it need not exist.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        text = path.read_text() if path.exists() else ""
        self.lines: list[Line] = [json.loads(line) for line in text.splitlines()]

    def find(self, **asked: Any) -> Line | None:
        """Return the first line that has all these values."""
        return next((line for line in self.lines if asked.items() <= line.items()), None)

    def add(self, line: Line) -> Line:
        """Add a line to the file; return it."""
        self.lines.append(line)
        write_atomic(self.path, "".join(json.dumps(each) + "\n" for each in self.lines))
        return line
