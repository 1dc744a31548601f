"""Read the records of the miniature's runs, and what the five nets and the seven say together."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from alexnet_jax.inference import predictions
from alexnet_jax.inference.comparison import compare
from alexnet_jax.system.atomic_file import write_atomic
from experiments.miniature import layout
from experiments.miniature.protocol import BASELINE, ENTRIES, PRETRAINED

TOGETHER = "together.json"


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One finished run.

    Attributes:
      entry, seed: which it is.
      result: what one.py wrote.
      validations: lines of metrics.jsonl on the held-out images, by epoch.
      seconds: of the training steps, without starts, validations and the looks at the test set.
    """

    entry: str
    seed: int
    result: dict[str, Any]
    validations: list[dict[str, Any]]
    seconds: float = 0.0

    def look(self, split: str, views: int) -> dict[str, Any]:
        """Return the errors on a split."""
        looks = self.result["looks"]
        return next(x for x in looks if (x["split"], x["views"]) == (split, views))

    def wrong(self, k: int, split: str = "test", views: int = 10) -> np.ndarray:
        """Return whether each image's class is not among the first k, (images,) bool."""
        return np.array([int(digit, 16) for digit in self.look(split, views)["ranks"]]) >= k


def read(folder: pathlib.Path) -> list[RunRecord]:
    """Return the records of all finished runs, by seed in the list's order."""
    found = []
    for entry in ENTRIES:
        for seed in range(entry.seeds):
            run = folder / f"{entry.name},seed={seed}"
            if (run / layout.RESULT).exists():
                result = json.loads((run / layout.RESULT).read_text())
                text = (run / "metrics.jsonl").read_text()
                lines = [json.loads(line) for line in text.splitlines()]
                train, val = ([x for x in lines if x["split"] == s] for s in ("train", "val"))
                found.append(RunRecord(entry.name, seed, result, val, _seconds(train)))
    return found


def _seconds(train: list[dict[str, Any]]) -> float:
    """Return the time of all steps, from the mean of each line of the log."""
    before = [0, *(line["step"] for line in train)]
    pairs = zip(train, before, strict=False)
    return sum((line["step"] - step) * line["step_ms"] for line, step in pairs) / 1000


def keep_together(out: pathlib.Path) -> None:
    """Write the errors of five nets, and of seven, with their probabilities averaged (table 2)."""
    seeds = {entry.name: entry.seeds for entry in ENTRIES}
    five = [_predictions(out, BASELINE, k) for k in range(seeds[BASELINE])]
    two = [_predictions(out, PRETRAINED, k) for k in range(seeds[PRETRAINED])]
    rows = {}
    for name, parts in (("5 nets", five), ("2 pretrained", two), ("7 nets", [*five, *two])):
        if all(part.exists() for part in parts):
            together = predictions.joined(parts)
            rows[name] = {
                key: value
                for key, value in compare(together, "equal")[-1].items()
                if key in ("images", "loss") or key.startswith("top")
            }
    if rows:
        (out / layout.RECORDS).mkdir(exist_ok=True)
        write_atomic(out / layout.RECORDS / TOGETHER, json.dumps(rows, indent=1) + "\n")


def _predictions(out: pathlib.Path, entry: str, seed: int) -> pathlib.Path:
    return layout.kept(out / layout.RUNS / f"{entry},seed={seed}", "test", 10)
