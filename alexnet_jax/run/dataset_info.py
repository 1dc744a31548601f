"""Facts about the training images, kept in the run's folder: class names and statistics.

With them a net can be used where its training images are not.
"""

import contextlib
import dataclasses
import json
import pathlib

import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.data.input.pixel_stats import OF_A_FILE, OF_THE_DATA, make_pixel_stats, read_mean
from alexnet_jax.data.prepare.prepare import prepared_directory
from alexnet_jax.data.sources import ilsvrc2012_words
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.data.store.statistics import Statistics
from alexnet_jax.errors import CheckpointError, DataError
from alexnet_jax.net import architecture, resolving
from alexnet_jax.run.folder import MEAN_FILE
from alexnet_jax.system import distributed
from alexnet_jax.system.atomic_file import atomic_file, write_atomic
from alexnet_jax.system.json_text import parse_json

CLASSES_FILE = "classes.json"
STATISTICS_FILE = "statistics.npz"
_RESTORE = "restore it from a copy, or delete it where the prepared data still are"
MEAN_TOLERANCE = 0.5  # of 0-255: the means by two JPEG decoders differ by less


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Facts about a run's training images.

    Attributes:
      class_names: in the order of the labels; None: unknown (imported weights).
      words: readable names: ILSVRC's words for the synset; else class_names.
      statistics: of the training images; None: unknown.
      missing: why something is unknown.
    """

    class_names: tuple[str, ...] | None = None
    words: tuple[str, ...] | None = None
    statistics: Statistics | None = None
    missing: str = ""

    def pixel_stats(self, data: ConfigDict) -> dict[str, np.ndarray]:
        """Return `make_pixel_stats` for config.data.

        Raises:
          DataError: the mean is that of the data, and they are gone.
        """
        if self.statistics is None and data.mean in OF_THE_DATA:
            raise self._gone("mean is that")
        return make_pixel_stats(self.statistics, data)

    def arch(self, model: ConfigDict) -> architecture.Architecture:
        """Return the net of config.model.

        Raises:
          DataError: the data determine the number of classes, and they are gone.
        """
        if self.class_names is not None:
            return resolving.resolve(model, len(self.class_names))
        if model.classes == 0:
            raise self._gone("classes are those")
        return resolving.resolve(model)

    def _gone(self, what: str) -> DataError:
        return DataError(
            f"the run's {what} of its data, which are gone: {self.missing}; prepare them again "
            "(python -m alexnet_jax.data.prepare with the run's config.data)"
        )


def of_dataset(dataset: PreparedDataset) -> DatasetInfo:
    """Return the facts about a prepared dataset."""
    rows = dataset.classes or [{} for _ in dataset.class_names]
    names = dataset.class_names
    words = tuple(
        str(row.get("words") or ilsvrc2012_words.words_of(name))
        for row, name in zip(rows, names, strict=True)
    )
    return DatasetInfo(names, words, dataset.statistics)


def write(workdir: pathlib.Path, info: DatasetInfo) -> None:
    """Write classes.json and statistics.npz, each if its content is known.

    Raises:
      UserError: a file cannot be written.
    """
    if info.class_names is not None:
        pairs = zip(info.class_names, info.words or info.class_names, strict=True)
        rows = [{"name": name, "words": words} for name, words in pairs]
        write_atomic(workdir / CLASSES_FILE, json.dumps(rows, indent=1) + "\n")
    if info.statistics is not None:
        with atomic_file(workdir / STATISTICS_FILE, DataError) as half, half.open("wb") as file:
            info.statistics.save(file)


def keep(workdir: pathlib.Path, dataset: PreparedDataset, data: ConfigDict, *, begun: bool) -> None:
    """Write the facts about a run's images; refuse to continue a run with other images.

    Args:
      data: the run's config.data; a mean_file is copied into the folder.
      begun: whether the run has a checkpoint.

    Raises:
      DataError: the run has begun with other images, other classes or another mean.
      UserError: a file cannot be written.
    """
    info = of_dataset(dataset)
    mean = read_mean(data.mean_file, data.size) if data.mean in OF_A_FILE else None
    if begun and (other := _difference_from(workdir, info, mean)):
        raise _other_images(workdir, other)
    write(workdir, info)
    if mean is not None:
        with atomic_file(workdir / MEAN_FILE, DataError) as half, half.open("wb") as file:
            np.save(file, mean)


def check_same_in_all(dataset: PreparedDataset) -> None:
    """Refuse other images than those of process 0, which trains with them at the same time.

    Raises:
      DataError: classes, numbers or means of the images differ.
    """
    assert dataset.statistics is not None  # it has a train split
    mean, splits = np.float32(dataset.statistics.mean_image), ("train", "validation")
    here = [list(dataset.class_names), *map(dataset.num_examples, splits)]
    first = json.loads(distributed.first_has(json.dumps(here).encode()))
    mean_of_first = np.frombuffer(distributed.first_has(mean.tobytes()), np.float32)
    if here != first or np.abs(mean_of_first - mean.ravel()).max() > MEAN_TOLERANCE:
        raise DataError(
            f"{dataset.directory} holds other images than process 0 of this run has: give all "
            "processes the same (data.dir), and delete this copy where it was made of others"
        )


def _other_images(workdir: pathlib.Path, other: str) -> DataError:
    return DataError(
        f"{workdir} holds a run with other images: {other}; give it its own (data.dir) to go on, "
        "or another --workdir to begin anew"
    )


def _other_classes(workdir: pathlib.Path, now: tuple[str, ...]) -> str:
    """Return how the classes differ from those in the folder's file, or ""."""
    with contextlib.suppress(CheckpointError):
        names = _classes(workdir / CLASSES_FILE)[0]
        if names is not None and names != now:
            of_one = ", ".join(sorted(set(names) ^ set(now))[:3])
            return f"it had {len(names)} classes, now {len(now)}, and not the same ({of_one})"
    return ""


def _difference_from(workdir: pathlib.Path, info: DatasetInfo, mean: np.ndarray | None) -> str:
    """Return how the images differ from those in the folder's files, or ""."""
    if other := _other_classes(workdir, info.class_names or ()):
        return other
    with contextlib.suppress(DataError):
        if other := difference(Statistics.load(workdir / STATISTICS_FILE), info.statistics):
            return other
    kept = workdir / MEAN_FILE
    if mean is not None and kept.is_file():
        before = read_mean(str(kept), len(mean))
        if not np.array_equal(before, mean):
            return f"data.mean_file is not what {kept} keeps of it"
    return ""


def check_listing(
    workdir: pathlib.Path, class_names: tuple[str, ...], images: int, max_bad_fraction: float
) -> None:
    """Refuse to continue a run with images of other classes or of another number.

    `keep` compares more, but only once the images are prepared.

    Args:
      workdir: the folder of a run that has begun.
      class_names: in the order of the labels.
      images: number of training images, of which a share of max_bad_fraction may be unreadable.
      max_bad_fraction: config.data's.

    Raises:
      DataError: the run has begun with others.
    """
    other = _other_classes(workdir, class_names)
    with contextlib.suppress(DataError):
        before = Statistics.load(workdir / STATISTICS_FILE).images
        if not other and not images * (1 - max_bad_fraction) <= before <= images:
            other = f"it had {before} to train on, now {images}"
    if other:
        raise _other_images(workdir, other)


def difference(before: Statistics, after: Statistics | None) -> str:
    """Return how the training images differ from the earlier ones, or "" if no difference shows."""
    if after is not None and before.images != after.images:
        return f"it had {before.images} to train on, now {after.images}"
    means = [] if after is None else [before.mean_image, after.mean_image]
    if means and not (len(means[0]) == len(means[1]) and np.ptp(means, 0).max() <= MEAN_TOLERANCE):
        return "as many to train on, but their mean is not the same"
    return ""


def read(workdir: pathlib.Path, data: ConfigDict) -> DatasetInfo:
    """Return the facts in the folder's files; the prepared data, if they exist, supply the rest.

    Args:
      data: the run's config.data.

    Raises:
      CheckpointError: classes.json or statistics.npz is damaged.
    """
    info = DatasetInfo(*_classes(workdir / CLASSES_FILE))
    if (path := workdir / STATISTICS_FILE).exists():
        try:
            info = dataclasses.replace(info, statistics=Statistics.load(path, data.size))
        except DataError as error:
            raise CheckpointError(f"{error}; {_RESTORE}") from error
    if info.class_names is not None and info.statistics is not None:
        return info
    try:
        directory = prepared_directory(data)
        if not directory.exists():
            raise DataError(f"{directory} is not there")
        prepared = of_dataset(PreparedDataset(directory))
    except DataError as error:
        return dataclasses.replace(info, missing=str(error))
    if not (workdir / "metrics.jsonl").exists():  # imported weights: the data are not theirs
        prepared = dataclasses.replace(prepared, class_names=None, words=None)
    return DatasetInfo(
        info.class_names or prepared.class_names,
        info.words or prepared.words,
        info.statistics or prepared.statistics,
    )


def _classes(path: pathlib.Path) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    try:
        rows = parse_json(path.read_bytes())
        names, words = (tuple(row[key] for row in rows) for key in ("name", "words"))
        if not names or not all(isinstance(text, str) for text in (*names, *words)):
            raise ValueError("it has other values")
        # Of wnids the older versions did not know the words.
        return names, tuple(ilsvrc2012_words.words_of(text) for text in words)
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); {_RESTORE}") from error
