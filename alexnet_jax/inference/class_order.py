"""Bring a net's probabilities into the order of the classes of other images."""

from collections.abc import Iterable, Sequence

import numpy as np

from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import ConfigError
from alexnet_jax.inference.comparison import Answers
from alexnet_jax.run import class_matching
from alexnet_jax.run.restore import Restored
from alexnet_jax.system.lines import say


def outputs(restored: Restored, dataset: PreparedDataset, softmax: str) -> list[int]:
    """Return the net's outputs in the order of the images' labels.

    With softmax="all" those of its other classes follow, by name; with "these" they do not.

    Raises:
      DataError: the images have other classes.
    """
    these = restored.outputs(dataset.class_names, dataset.directory)
    if softmax == "these":
        return list(these)
    ours = restored.dataset_info.class_names
    others = sorted(set(range(restored.arch.classes)) - set(these))
    return [*these, *(sorted(others, key=ours.__getitem__) if ours else others)]


def names(restored: Restored, dataset: PreparedDataset, outputs: Sequence[int]) -> tuple[str, ...]:
    """Return the names of the classes of the probabilities that `reordered` yields."""
    ours, these = restored.dataset_info.class_names or (), len(dataset.class_names)
    return (*dataset.class_names, *(ours[output] for output in outputs[these:]))


def check_same(
    nets: Sequence[Restored], dataset: PreparedDataset, outputs: Sequence[Sequence[int]]
) -> None:
    """Raise a ConfigError if the probabilities that `reordered` yields are of other classes."""
    first = names(nets[0], dataset, outputs[0])
    for restored, each in zip(nets, outputs, strict=True):
        if names(restored, dataset, each) != first:
            raise ConfigError(
                f"{nets[0].workdir} and {restored.workdir} do not share the classes that the "
                "images do not have: give --softmax=these"
            )


def reordered(
    answers: Iterable[tuple[Sequence[np.ndarray], dict]], outputs: Sequence[Sequence[int]]
) -> Answers:
    """Yield the probabilities of each net's outputs, in their order; their sum is 1."""
    for probabilities, batch in answers:
        taken = [_taken(p, each) for p, each in zip(probabilities, outputs, strict=True)]
        yield np.stack(taken), batch


def _taken(probabilities: np.ndarray, outputs: Sequence[int]) -> np.ndarray:
    taken = probabilities[:, outputs]
    if len(outputs) < probabilities.shape[-1]:
        taken /= np.maximum(taken.sum(-1, keepdims=True), np.finfo(np.float32).tiny)
    return taken


def print_matching(
    restored: Restored, dataset: PreparedDataset, outputs: Sequence[int], softmax: str
) -> None:
    """Print how the classes of the images were matched with the net's, unless they are the same."""
    theirs, ours = dataset.class_names, restored.dataset_info.class_names
    text = class_matching.in_words(ours, theirs, outputs[: len(theirs)])
    if len(theirs) < restored.arch.classes:
        other = "these" if softmax == "all" else "all"
        text += (
            f" of the net's {restored.arch.classes:,}; softmax over {softmax} "
            f"(--softmax={other}: over {other})"
        )
    if text:
        say(f"classes: {text}")
