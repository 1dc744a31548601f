"""The 1000 classes of ILSVRC-2012 and their words, in the order of the labels: sorted by wnid."""

import functools
from importlib import resources


@functools.cache
def words() -> dict[str, str]:
    """Return wnid -> words, with commas between them, in the order of the labels."""
    file = resources.files(__package__) / "ilsvrc2012_words.tsv"
    return parsed(file.read_text(encoding="utf-8"))


def parsed(text: str) -> dict[str, str]:
    """Return wnid -> words of lines of wnid, tab, words, as in ImageNet's words.txt."""
    return {wnid: words for wnid, _, words in (line.partition("\t") for line in text.splitlines())}


def words_of(name: str) -> str:
    """Return the words of a class that is named by its wnid, or its name."""
    return words().get(name, name)
