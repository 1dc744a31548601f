"""The 1000 classes of ILSVRC-2012 and their words, in the order of the labels: sorted by wnid."""

import functools
from importlib import resources


@functools.cache
def words() -> dict[str, str]:
    """Return wnid -> words, with commas between them, in the order of the labels."""
    file = resources.files(__package__) / "ilsvrc2012_words.tsv"
    return parsed(file.read_text(encoding="utf-8"))


def parsed(text: str, separator: str = "\t") -> dict[str, str]:
    """Return wnid -> words of lines of wnid, separator, words, as in ImageNet's words.txt."""
    pairs = (line.partition(separator) for line in text.splitlines() if line)
    return {wnid: words.strip() for wnid, _, words in pairs}


def words_of(name: str) -> str:
    """Return the words of a class that is named by its wnid, or its name."""
    return words().get(name, name)
