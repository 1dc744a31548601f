"""What to call the classes, so that a reader knows them."""

import collections
import pathlib
from collections.abc import Sequence

from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import DataError
from alexnet_jax.run.restore import Restored


def class_names(restored: Restored, dataset: PreparedDataset, words_file: str = "") -> list[str]:
    """Return a name for each class, each different: "goldfish" rather than "n01443537".

    The first of a class's words, where they are known, as in the paper's figure 4. Names that two
    classes share (ILSVRC has two cranes) have the class itself behind them.

    Args:
      restored: the net, whose dataset_info may have words for the classes.
      dataset: its images.
      words_file: lines of class, tab, words with commas between, for what it does not know; "":
        none.

    Raises:
      DataError: the file cannot be read, or knows none of the classes.
    """
    classes = dataset.class_names
    words = list(restored.dataset_info.words or classes)
    if words_file:
        found = _read(words_file, classes)
        words = [found.get(name, known) for name, known in zip(classes, words, strict=True)]
    first = [text.split(",")[0].strip() for text in words]
    count = collections.Counter(first)
    return [
        short if count[short] == 1 else f"{short} ({name})"
        for short, name in zip(first, classes, strict=True)
    ]


def _read(path: str, classes: Sequence[str]) -> dict[str, str]:
    try:
        lines = pathlib.Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"--words={path} cannot be read: {error}") from error
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    if not words.keys() & set(classes):
        raise DataError(
            f"--words={path}: expected lines of class, tab, words; none is of one of the "
            f"{len(classes)} classes, the first {classes[0]!r}"
        )
    return words
