"""Names of classes that a reader understands."""

import collections
from collections.abc import Sequence

from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import DataError
from alexnet_jax.run.restore import Restored
from alexnet_jax.system.paths import user_path


def class_names(restored: Restored, dataset: PreparedDataset, words_file: str = "") -> list[str]:
    """Return a different name for each class: "goldfish" rather than "n01443537".

    It is the first of the class's words, as in the paper's figure 4. If two classes share a word
    (ILSVRC has two cranes), the class's own name follows in brackets. A class without words keeps
    its name.

    Args:
      restored: the net, whose dataset_info may have words for the classes.
      dataset: its images.
      words_file: a file with more words, in lines of class, tab, words with commas between; "":
        none.

    Raises:
      DataError: the file cannot be read, or has none of the classes.
    """
    classes = dataset.class_names
    words = list(restored.dataset_info.words or classes)
    if words_file:
        others = _read(words_file, classes)
        words = [others.get(name, text) for name, text in zip(classes, words, strict=True)]
    first = [text.split(",")[0].strip() for text in words]
    count = collections.Counter(first)
    return [
        short if count[short] == 1 else f"{short} ({name})"
        for short, name in zip(first, classes, strict=True)
    ]


def _read(path: str, classes: Sequence[str]) -> dict[str, str]:
    try:
        lines = user_path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"--words={path} cannot be read: {error}") from error
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    if not words.keys() & set(classes):
        raise DataError(
            f"--words={path}: expected lines of class, tab, words; none is of one of the "
            f"{len(classes)} classes, the first {classes[0]!r}"
        )
    return words
