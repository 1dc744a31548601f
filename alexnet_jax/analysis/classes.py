"""Which classes a net gets wrong, and what it takes them for.

    python -m alexnet_jax.analysis.classes --workdir=DIR [--checkpoint=best] [--views=10] \
        [--words=FILE.tsv] [--rows=20]

Writes DIR/analysis/classes.json: step, views, classes (class, images, top1_error, top5_error, in
the order of the labels) and confusions (class, taken_for, images; all pairs, the most frequent
first). Prints the worst classes and the most frequent confusions; the last line is one JSON object:
file, step, images, top1_error, top5_error.
"""

import collections
import json
from typing import Any

import numpy as np
from absl import flags
from rich.table import Table

from alexnet_jax.analysis import command
from alexnet_jax.analysis.names import class_names
from alexnet_jax.data.input import augment
from alexnet_jax.data.input.loader import eval_batches
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.inference.ensemble import ranks
from alexnet_jax.inference.predictor import (
    Predictor,
    batch_size_for,
    make_predict,
    predicted,
)
from alexnet_jax.run.restore import SPLIT, Restored
from alexnet_jax.system import command_line


class Tally:
    """Answers counted by class.

    Attributes:
      images: of each class, (classes,) int64.
      wrong: answers without the class among the first one and the first five, (2, classes) int64.
      pairs: (class, first answer) -> images, where they differ.
    """

    def __init__(self, classes: int):
        self.images = np.zeros(classes, np.int64)
        self.wrong = np.zeros((2, classes), np.int64)
        self.pairs: collections.Counter[tuple[int, int]] = collections.Counter()

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Count answers (b, classes) to images of these labels (b,)."""
        rank = ranks(probabilities, labels)
        np.add.at(self.images, labels, 1)
        for wrong, first in zip(self.wrong, (1, 5), strict=True):
            np.add.at(wrong, labels[rank >= first], 1)
        answers = probabilities.argmax(axis=1)
        pairs = zip(labels.tolist(), answers.tolist(), strict=True)
        self.pairs.update(pair for pair in pairs if pair[0] != pair[1])


def classes(
    restored: Restored, dataset: PreparedDataset, *, views: int = 1, words: str = ""
) -> dict[str, Any]:
    """Return the content of classes.json for a net and its validation split."""
    names = class_names(restored, dataset, words)
    predictor = Predictor(restored, make_predict(restored.arch, restored.mesh, views))
    batches = eval_batches(
        dataset,
        SPLIT,
        batch_size=batch_size_for(restored.mesh, asked=restored.config.evaluate.batch_size),
        workers=restored.config.data.workers,
    )
    total = Tally(len(names))
    for (probabilities,), batch in predicted([predictor], batches):
        total.add(probabilities, batch["label"])
    return {
        "step": int(restored.state.step),
        "views": views,
        "classes": [_of_class(total, label, name) for label, name in enumerate(names)],
        "confusions": [
            {"class": names[label], "taken_for": names[answer], "images": count}
            for (label, answer), count in sorted(
                total.pairs.items(), key=lambda pair: (-pair[1], pair[0])
            )
        ],
    }


def _of_class(total: Tally, label: int, name: str) -> dict[str, Any]:
    """Return a class's line; its errors are None where the split has no image of it."""
    images = int(total.images[label])
    top1, top5 = (int(wrong[label]) / images if images else None for wrong in total.wrong)
    return {"class": name, "images": images, "top1_error": top1, "top5_error": top5}


def _summary(content: dict[str, Any]) -> dict[str, Any]:
    seen = [line for line in content["classes"] if line["images"]]
    images = sum(line["images"] for line in seen)
    errors = {
        name: sum(line[name] * line["images"] for line in seen) / images
        for name in ("top1_error", "top5_error")
    }
    return {"step": content["step"], "images": images, **errors}


def _tables(content: dict[str, Any], rows: int) -> list[Table]:
    seen = [line for line in content["classes"] if line["images"]]
    seen.sort(key=lambda line: (-line["top1_error"], -line["top5_error"]))
    left = Table("class", "images", "top-1 error", "top-5 error", title=f"worst of {len(seen)}")
    for line in seen[:rows]:
        errors = (f"{line[name]:.3f}" for name in ("top1_error", "top5_error"))
        left.add_row(line["class"], str(line["images"]), *errors)
    right = Table("class", "taken for", "images", title="most frequent confusions")
    for pair in content["confusions"][:rows]:
        right.add_row(pair["class"], pair["taken_for"], str(pair["images"]))
    return [left, right]


def main(flags_of_run: command.RunFlags, views: int, words: str, rows: int) -> None:
    """Count, write, print."""
    path = command.output_folder(flags_of_run.workdir) / "classes.json"
    content = classes(*flags_of_run.load(), views=views, words=words)
    command.write_json(path, content)
    for table in _tables(content, rows):
        command.console().print(table)
    print(json.dumps({"file": str(path), **_summary(content)}))


if __name__ == "__main__":
    _RUN = command.RunFlags()
    _VIEWS = flags.DEFINE_enum(
        "views", "1", [str(views) for views in augment.VIEWS], "Views of each image (paper 4.1)."
    )
    _WORDS = flags.DEFINE_string("words", "", "Names of classes: lines of class, tab, words.")
    _ROWS = flags.DEFINE_integer("rows", 20, "Of each table.", lower_bound=1)
    command_line.run(lambda _: main(_RUN, int(_VIEWS.value), _WORDS.value, _ROWS.value))
