"""What nets answered for each image of a split, kept in a file and combined later."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from alexnet_jax.errors import DataError
from alexnet_jax.system.atomic_file import atomic_file


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Probabilities of some nets for the same images.

    Attributes:
      nets: name of each net (its run's folder).
      views: of each net, 1, 5 or 10.
      resize: of each net, how its images were made square, "aspect/area".
      class_names: in the order of the labels.
      files: name of each image.
      labels: (n,) int32.
      probabilities: (nets, n, classes) float32.
      split: of which they are.
    """

    nets: tuple[str, ...]
    views: tuple[int, ...]
    resize: tuple[str, ...]
    class_names: tuple[str, ...]
    files: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    split: str = "validation"

    def save(self, path: pathlib.Path) -> None:
        """Write an .npz of arrays with the attributes' names, whole or not at all.

        Raises:
          DataError: it cannot be written.
        """
        fields: dict[str, Any] = {
            field.name: np.asarray(getattr(self, field.name)) for field in dataclasses.fields(self)
        }
        with atomic_file(path, DataError) as half, half.open("wb") as file:
            np.savez(file, **fields)


def load(path: pathlib.Path) -> Predictions:
    """Read what `save` wrote.

    Raises:
      DataError: it is missing, damaged, or something else.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found: dict[str, Any] = {
                field.name: file[field.name]
                for field in dataclasses.fields(Predictions)
                if field.name != "split" or "split" in file  # an older file says none
            }
    except Exception as error:  # zipfile, zlib and NumPy each have errors of their own
        raise DataError(
            f"{path} holds no predictions that can be read ({error}); evaluate --out writes them"
        ) from error
    shape = (len(found["nets"]), len(found["labels"]), len(found["class_names"]))
    if found["probabilities"].shape != shape or len(found["files"]) != shape[1]:
        raise DataError(
            f"{path} is damaged: {found['probabilities'].shape} probabilities, expected {shape}"
        )
    texts = ("nets", "views", "resize", "class_names", "files")
    found |= {name: tuple(found[name].tolist()) for name in texts}
    if "split" in found:
        found["split"] = str(found["split"])
    return Predictions(**found)


def joined(paths: Sequence[pathlib.Path]) -> Predictions:
    """Return the nets of several files together.

    Raises:
      DataError: a file cannot be read, or they are of other images or classes.
    """
    parts = [load(path) for path in paths]
    first = parts[0]
    for path, part in zip(paths, parts, strict=True):
        for what in ("class_names", "files"):
            if getattr(part, what) != getattr(first, what):
                raise DataError(
                    f"{path} and {paths[0]} have different {what}: predictions are combined of the "
                    "same images only"
                )
        if not np.array_equal(part.labels, first.labels):
            raise DataError(f"{path} and {paths[0]} have different labels for the same images")
    return dataclasses.replace(
        first,
        nets=tuple(net for part in parts for net in part.nets),
        views=tuple(views for part in parts for views in part.views),
        resize=tuple(resize for part in parts for resize in part.resize),
        probabilities=np.concatenate([part.probabilities for part in parts]),
    )
