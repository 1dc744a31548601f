"""The lines of metrics.jsonl, for the logger that continues it and for the analysis."""

import pathlib
from typing import Any

from alexnet_jax.schema import is_number
from alexnet_jax.system.json_text import parse_json

Line = dict[str, Any]
COLOUR = "conv1_colour"  # in a validation's line: a share for each column


def read(path: pathlib.Path) -> tuple[list[Line], int]:
    """Return the undamaged lines by step, and the number of damaged ones; none of a missing file.

    Of two lines of one step and split the later counts. Of a step "train" comes before "val".
    """
    try:
        texts = path.read_bytes().splitlines()
    except OSError:
        return [], 0
    lines = [line for text in texts if (line := parse(text)) is not None]
    by_step = {(line["step"], line["split"]): line for line in lines}
    return [by_step[key] for key in sorted(by_step)], len(texts) - len(lines)


def parse(text: bytes) -> Line | None:
    """Return the split and the numbers of a line, or None if it is damaged."""
    try:
        record = parse_json(text.decode())
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("split") not in ("train", "val"):
        return None
    line = {key: value for key, value in record.items() if _is_figure(key, value)}
    step, epoch = line.get("step"), line.get("epoch", -1)
    if type(step) is not int or step < 0 or epoch < 0:
        return None
    return {**line, "split": record["split"]}


def _is_figure(key: str, value: Any) -> bool:
    if key == COLOUR:
        return isinstance(value, list) and all(map(_is_float32, value))
    return _is_float32(value)


def _is_float32(value: Any) -> bool:
    return is_number(value) and abs(value) < 2**128  # a run writes no others
