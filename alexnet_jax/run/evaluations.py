"""What evaluations of a run have found, kept in its folder for the report."""

import contextlib
import json
import pathlib
from typing import Any

from alexnet_jax.errors import UserError
from alexnet_jax.system.atomic_file import write_atomic

FILE = "evaluations.jsonl"
KEY = ("step", "views", "resize")  # an evaluation that was done again takes the place of the first


def remember(workdir: pathlib.Path, line: dict[str, Any]) -> None:
    """Add a line to evaluations.jsonl, if the folder can be written.

    Args:
      workdir: the run's folder.
      line: split (validation where it is not there), step, views, resize, images, loss,
        top1_error, top5_error and their intervals.
    """
    others = [old for old in read(workdir) if _of(old) != _of(line)]
    text = "".join(json.dumps(each) + "\n" for each in (*others, line))
    with contextlib.suppress(UserError):  # a run may lie where only its owner writes
        write_atomic(workdir / FILE, text)


def _of(line: dict[str, Any]) -> tuple:
    return (line.get("split", "validation"), *(line[name] for name in KEY))


def read(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """Return the lines of evaluations.jsonl; what is not a line of it is left out."""
    try:
        texts = (workdir / FILE).read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for text in texts:
        with contextlib.suppress(ValueError, RecursionError):
            line = json.loads(text)
            if isinstance(line, dict) and all(name in line for name in KEY):
                found.append(line)
    return found
