"""What a run keeps of its training images, so that it is of use where they are not: the names of
its classes and the statistics that each image loses."""

import contextlib
import dataclasses
import json
import pathlib

import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.data.input.pixel_stats import OF_A_FILE, OF_THE_DATA, make_pixel_stats, read_mean
from alexnet_jax.data.prepare.prepare import prepared_directory
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.data.store.statistics import Statistics
from alexnet_jax.errors import CheckpointError, DataError
from alexnet_jax.net import architecture, resolving
from alexnet_jax.run.folder import MEAN_FILE
from alexnet_jax.system.atomic_file import atomic_file, write_atomic

CLASSES_FILE = "classes.json"
STATISTICS_FILE = "statistics.npz"
DECODERS = 0.5  # levels of 0-255 in which the means of the same files may differ


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What is known of a run's training images.

    Attributes:
      class_names: in the order of the labels; None: not known (weights that were imported).
      words: what a person calls the classes: of ILSVRC the synset's words; else class_names.
      statistics: of the training images; None: not known.
      missing: why something is not known.
    """

    class_names: tuple[str, ...] | None = None
    words: tuple[str, ...] | None = None
    statistics: Statistics | None = None
    missing: str = ""

    def pixel_stats(self, data: ConfigDict) -> dict[str, np.ndarray]:
        """Return `make_pixel_stats` for config.data.

        Raises:
          DataError: the mean is that of the data, which are gone.
        """
        if self.statistics is None and data.mean in OF_THE_DATA:
            raise DataError(f"the run's mean is that of its data, which are gone: {self.missing}")
        return make_pixel_stats(self.statistics, data)

    def arch(self, model: ConfigDict) -> architecture.Architecture:
        """Return the net of config.model.

        Raises:
          DataError: the number of classes is that of the data, which are gone.
        """
        if self.class_names is not None:
            return resolving.resolve(model, len(self.class_names))
        if model.classes == 0:
            raise DataError(
                f"the run's classes are those of its data, which are gone: {self.missing}"
            )
        return resolving.resolve(model)


def of_dataset(dataset: PreparedDataset) -> DatasetInfo:
    """Return what a prepared dataset says."""
    rows = dataset.classes or [{} for _ in dataset.class_names]
    names = dataset.class_names
    words = tuple(str(row.get("words") or name) for row, name in zip(rows, names, strict=True))
    return DatasetInfo(names, words, dataset.statistics)


def write(workdir: pathlib.Path, known: DatasetInfo) -> None:
    """Write classes.json and statistics.npz, as far as they are known, each whole.

    Raises:
      UserError: they cannot be written.
    """
    if known.class_names is not None:
        pairs = zip(known.class_names, known.words or known.class_names, strict=True)
        rows = [{"name": name, "words": words} for name, words in pairs]
        write_atomic(workdir / CLASSES_FILE, json.dumps(rows, indent=1) + "\n")
    if known.statistics is not None:
        with atomic_file(workdir / STATISTICS_FILE, DataError) as half, half.open("wb") as file:
            known.statistics.save(file)


def keep(workdir: pathlib.Path, dataset: PreparedDataset, data: ConfigDict, *, begun: bool) -> None:
    """Write what the run needs of its images, or make sure that it goes on with the same.

    Args:
      workdir: the run's folder.
      dataset: its images.
      data: its config.data; of a mean_file a copy is kept.
      begun: whether the run has a checkpoint.

    Raises:
      DataError: it has, and these are other images, or of other classes, or another mean.
      UserError: something cannot be written.
    """
    known = of_dataset(dataset)
    mean = read_mean(data.mean_file) if data.mean in OF_A_FILE else None
    if begun and (other := _other(workdir, known, mean)):
        raise DataError(
            f"{workdir} holds a run with other images: {other}; give it its own (data.dir) to go "
            "on, or another --workdir to begin anew"
        )
    write(workdir, known)
    if mean is not None:
        with atomic_file(workdir / MEAN_FILE, DataError) as half, half.open("wb") as file:
            np.save(file, mean)


def _other(workdir: pathlib.Path, known: DatasetInfo, mean: np.ndarray | None) -> str:
    """Say how what is known differs from what the folder keeps, as far as it keeps it."""
    with contextlib.suppress(CheckpointError):
        names, now = _classes(workdir / CLASSES_FILE)[0], known.class_names or ()
        if names is not None and names != now:
            of_one = ", ".join(sorted(set(names) ^ set(now))[:3])
            return f"it had {len(names)} classes, now {len(now)}, and not the same ({of_one})"
    with contextlib.suppress(DataError):
        if other := difference(Statistics.load(workdir / STATISTICS_FILE), known.statistics):
            return other
    kept = workdir / MEAN_FILE
    if mean is not None and kept.is_file() and not np.array_equal(read_mean(str(kept)), mean):
        return f"data.mean_file is not what {kept} keeps of it"
    return ""


def difference(before: Statistics, after: Statistics | None) -> str:
    """Say how the training images of a run and those of now differ, as far as that is known."""
    if after is not None and before.images != after.images:
        return f"it had {before.images} to train on, now {after.images}"
    if after is not None and np.abs(before.mean_image - after.mean_image).max() > DECODERS:
        return "as many to train on, but their mean is not the same"
    return ""


def read(workdir: pathlib.Path, data: ConfigDict) -> DatasetInfo:
    """Return what the folder knows, and for the rest what the prepared data say if they are there.

    Args:
      workdir: the run's folder.
      data: its config.data.

    Raises:
      CheckpointError: classes.json is damaged.
      DataError: statistics.npz is damaged.
    """
    known = DatasetInfo(*_classes(workdir / CLASSES_FILE))
    if (workdir / STATISTICS_FILE).exists():
        known = dataclasses.replace(known, statistics=Statistics.load(workdir / STATISTICS_FILE))
    if known.class_names is not None and known.statistics is not None:
        return known
    try:
        directory = prepared_directory(data)
        if not directory.exists():
            raise DataError(f"{directory} is not there")
        prepared = of_dataset(PreparedDataset(directory))
    except DataError as error:
        return dataclasses.replace(known, missing=str(error))
    return DatasetInfo(
        known.class_names or prepared.class_names,
        known.words or prepared.words,
        known.statistics or prepared.statistics,
    )


def _classes(path: pathlib.Path) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    try:
        rows = json.loads(path.read_text())
        return tuple(row["name"] for row in rows), tuple(row["words"] for row in rows)
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); restore it from a copy, or delete it where the "
            "prepared data still are"
        ) from error
