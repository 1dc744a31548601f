"""Short names of classes for pictures and tables, such as "goldfish"."""

import collections

from alexnet_jax.data.sources import ilsvrc2012_words
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.run.restore import Restored


def short_names(restored: Restored, dataset: PreparedDataset) -> list[str]:
    """Return a different name for each class: "goldfish" rather than "n01443537".

    It is the first of the class's words, as in the paper's figure 4. If two classes share a word
    (ILSVRC has two cranes), the class's name follows in brackets. A class without words keeps its
    name.

    Args:
      restored: the net, whose dataset_info may have words for the classes.
    """
    classes = dataset.class_names
    words = restored.dataset_info.words or map(ilsvrc2012_words.words_of, classes)
    first = [text.split(",")[0].strip() for text in words]
    count = collections.Counter(first)
    return [
        short if count[short] == 1 else f"{short} ({name})"
        for short, name in zip(first, classes, strict=True)
    ]
