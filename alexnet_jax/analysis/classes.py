"""List the classes that a net gets wrong, and the classes that it confuses.

    python -m alexnet_jax.analysis.classes --workdir=DIR [--checkpoint=best] [--views=10] \
        [--classes=FILE] [--rows=20]

Writes DIR/analysis/classes.json: step, views, classes (class, images, top1_error, top5_error, in
the order of the labels) and confusions (class, taken_for, images; all pairs, the most frequent
first). Prints the worst classes and the most frequent confusions. The last line is one JSON object:
file, step, images, top1_error, top5_error.
"""

import collections
import json
import pathlib
from typing import Any

import numpy as np
from absl import flags
from rich.table import Table

from alexnet_jax.analysis import command
from alexnet_jax.analysis.features.extraction import split_batches
from alexnet_jax.analysis.short_names import short_names
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.inference.ensemble import ranks
from alexnet_jax.inference.predictor import predicted, predictor
from alexnet_jax.run import run_flags
from alexnet_jax.run.restore import SPLIT, Restored
from alexnet_jax.system import command_line, terminal
from alexnet_jax.system.paths import user_path


class ClassTally:
    """Counts of answers by class.

    Attributes:
      images: of each class, (classes,) int64.
      wrong: images whose class is not the first answer, or not in the first five, (2, classes)
        int64.
      pairs: (class, first answer) -> images, where they differ.
    """

    def __init__(self, classes: int):
        self.images = np.zeros(classes, np.int64)
        self.wrong = np.zeros((2, classes), np.int64)
        self.pairs: collections.Counter[tuple[int, int]] = collections.Counter()

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Count answers (b, classes) for images of these labels (b,)."""
        rank = ranks(probabilities, labels)
        np.add.at(self.images, labels, 1)
        for wrong, first in zip(self.wrong, (1, 5), strict=True):
            np.add.at(wrong, labels[rank >= first], 1)
        answers = probabilities.argmax(axis=1)
        pairs = zip(labels.tolist(), answers.tolist(), strict=True)
        self.pairs.update(pair for pair in pairs if pair[0] != pair[1])

    def line(self, label: int, name: str) -> dict[str, Any]:
        """Return a class's line of classes.json; without images its errors are None."""
        images = int(self.images[label])
        top1, top5 = (int(wrong[label]) / images if images else None for wrong in self.wrong)
        return {"class": name, "images": images, "top1_error": top1, "top5_error": top5}


def classes(restored: Restored, dataset: PreparedDataset, *, views: int = 1) -> dict[str, Any]:
    """Return the content of classes.json for a net and its validation split."""
    names = short_names(restored, dataset)
    tally, batches = ClassTally(len(names)), split_batches(restored, dataset, SPLIT)
    for (probabilities,), batch in predicted([predictor(restored, views)], batches):
        tally.add(probabilities, batch["label"])
    return {
        "step": int(restored.state.step),
        "views": views,
        "classes": [tally.line(label, name) for label, name in enumerate(names)],
        "confusions": [
            {"class": names[label], "taken_for": names[answer], "images": count}
            for (label, answer), count in sorted(
                tally.pairs.items(), key=lambda pair: (-pair[1], pair[0])
            )
        ],
    }


def report(content: dict[str, Any], path: pathlib.Path, rows: int) -> None:
    """Write classes.json, print two tables of so many rows, and a line of JSON."""
    command.write_json(path, content)
    lines = [line for line in content["classes"] if line["images"]]
    images = sum(line["images"] for line in lines)
    errors = {
        name: sum(line[name] * line["images"] for line in lines) / images
        for name in ("top1_error", "top5_error")
    }
    lines.sort(key=lambda line: (-line["top1_error"], -line["top5_error"]))
    worst = Table("class", "images", "top-1 error", "top-5 error", title=f"worst of {len(lines)}")
    for line in lines[:rows]:
        worst.add_row(line["class"], str(line["images"]), *(f"{line[name]:.3f}" for name in errors))
    confusions = Table("class", "taken for", "images", title="most frequent confusions")
    for pair in content["confusions"][:rows]:
        confusions.add_row(pair["class"], pair["taken_for"], str(pair["images"]))
    terminal.show(worst, confusions)
    print(json.dumps({"file": str(path), "step": content["step"], "images": images, **errors}))


def define_flags() -> None:
    """Define the command line."""
    run_flags.define(data_dir=True, classes=True, views=True)
    flags.DEFINE_integer("rows", 20, "Rows of each table.", lower_bound=1)


def main(_) -> None:
    """Count the answers for the run that the flags name."""
    values = flags.FLAGS
    path = command.output_folder(user_path(values.workdir)) / "classes.json"
    content = classes(*command.load(), views=int(values.views))
    report(content, path, values.rows)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
