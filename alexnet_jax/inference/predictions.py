"""The probabilities of nets for each image of a split, in a file for later evaluations."""

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
      nets: the name of each net (its run's folder).
      views: the views of each net, 1, 5 or 10.
      resize: how each net's images were made square, such as "aspect/area".
      class_names: in the order of the labels.
      files: the name of each image.
      labels: (n,) int32.
      probabilities: (nets, n, classes) float32.
      split: the images' split.
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
        """Write the attributes as arrays of an .npz file, complete or not at all.

        Raises:
          DataError: the file cannot be written.
        """
        fields: dict[str, Any] = {
            field.name: np.asarray(getattr(self, field.name)) for field in dataclasses.fields(self)
        }
        with atomic_file(path, DataError) as half, half.open("wb") as file:
            np.savez(file, **fields)


def load(path: pathlib.Path) -> Predictions:
    """Read a file of `Predictions.save`.

    Raises:
      DataError: the file is missing or damaged, or holds something else.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            fields: dict[str, Any] = {
                field.name: file[field.name]
                for field in dataclasses.fields(Predictions)
                if field.name != "split" or "split" in file  # an older file has none
            }
        lists = fields.keys() - {"probabilities", "split"}
        if other := sorted(name for name in lists if fields[name].ndim != 1):
            raise ValueError(f"its {other[0]} are no list")
    except Exception as error:  # zipfile, zlib and NumPy each have errors of their own
        raise DataError(
            f"{path} holds no predictions that can be read ({error}); evaluate --out writes them"
        ) from error
    shape = (len(fields["nets"]), len(fields["labels"]), len(fields["class_names"]))
    if fields["probabilities"].shape != shape or len(fields["files"]) != shape[1]:
        raise DataError(
            f"{path} is damaged: {fields['probabilities'].shape} probabilities, expected {shape}"
        )
    texts = ("nets", "views", "resize", "class_names", "files")
    fields |= {name: tuple(fields[name].tolist()) for name in texts}
    if "split" in fields:
        fields["split"] = str(fields["split"])
    return Predictions(**fields)


def joined(paths: Sequence[pathlib.Path]) -> Predictions:
    """Return the predictions of several files as one.

    Raises:
      DataError: a file cannot be read, or the files have different images or classes.
    """
    parts = [load(path) for path in paths]
    first = parts[0]
    for path, part in zip(paths, parts, strict=True):
        for what in ("class_names", "files"):
            if getattr(part, what) != getattr(first, what):
                raise DataError(
                    f"{path} and {paths[0]} have different {what}: only predictions for the same "
                    "images can be combined"
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
