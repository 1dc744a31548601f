"""A line of metrics.jsonl: read by the logger that continues it, and by the report."""

import json
from typing import Any

from alexnet_jax.schema import is_number

Line = dict[str, Any]
COLOUR = "conv1_colour"  # in a validation's line: a share for each column


def parse(text: bytes) -> Line | None:
    """Return the split and the numbers of a line, or None if it is damaged."""
    try:
        record = json.loads(text.decode())
    except (ValueError, RecursionError):
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
