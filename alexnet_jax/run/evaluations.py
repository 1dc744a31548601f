"""Results of evaluations, kept in the run's folder for the report."""

import contextlib
import json
import pathlib
from typing import Any

from alexnet_jax.errors import UserError
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.json_text import parse_json

FILE = "evaluations.jsonl"
KEY = ("step", "views", "resize")  # of evaluations that agree in these, the latest is kept


def remember(workdir: pathlib.Path, line: dict[str, Any]) -> None:
    """Add a line to evaluations.jsonl; do nothing if the folder cannot be written.

    Args:
      line: split (validation where it is missing), step, views, resize, images, loss,
        top1_error, top5_error and their intervals.
    """
    others = [old for old in read(workdir) if _key(old) != _key(line)]
    text = "".join(json.dumps(each) + "\n" for each in (*others, line))
    with contextlib.suppress(UserError):  # the run may belong to someone else
        write_atomic(workdir / FILE, text)


def _key(line: dict[str, Any]) -> tuple:
    return (line.get("split", "validation"), *(line[name] for name in KEY))


def read(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """Return the lines of evaluations.jsonl, without those that are damaged."""
    try:
        texts = (workdir / FILE).read_text(errors="replace").splitlines()
    except OSError:
        return []
    lines = []
    for text in texts:
        with contextlib.suppress(ValueError):
            line = parse_json(text)
            if isinstance(line, dict) and all(name in line for name in KEY):
                lines.append(line)
    return lines
