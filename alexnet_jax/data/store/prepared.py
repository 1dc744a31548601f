"""A prepared dataset on disk: random access to its images and labels."""

import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2  # see layout.py

from alexnet_jax.data.decode.images import decode_jpeg
from alexnet_jax.data.store.layout import (
    CLASSES_FILE,
    IMAGE_ISSUES_FILE,
    LEFT_OUT_FILE,
    SKIPPED_FILE,
    STATISTICS_FILE,
)
from alexnet_jax.data.store.recycled import Recycled
from alexnet_jax.data.store.statistics import Statistics
from alexnet_jax.errors import DataError
from alexnet_jax.system.json_text import parse_json

_SLOW = 3e-4  # seconds for a record: it takes 2e-5 from memory, 1e-3 from a network disk


class PreparedDataset:
    """A prepared copy: see layout.py. Many threads may read it at the same time.

    Attributes:
      directory: of the copy.
      name: TFDS's name of it, builder/name/version.
      is_jpeg: whether images are stored as JPEG; else as raw bytes.
      size: pixels a side of its squares.
      class_names: in the order of the labels.
      statistics: of the train split; None if there is no such split.
      skipped: {"split", "file", "reason"} of each file that could not be read in the preparation.
      left_out: how many files of the source were left out, by reason.
      image_issues: names of images, by split and IMAGE_ISSUES.
      classes: wnid, words and ilsvrc_id of each class of ILSVRC; empty for other sources.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Open a prepared directory.

        Raises:
          DataError: it is missing, damaged, or not a prepared copy.
        """
        self.directory = pathlib.Path(directory)
        self._memory = Recycled()
        try:
            builder = tfds.builder_from_directory(self.directory)
            self.name: str = builder.info.full_name
            features = builder.info.features
            self.class_names: tuple[str, ...] = tuple(features["label"].names)
            if not (self.directory / "label.labels.txt").read_text().strip():
                raise ValueError("label.labels.txt is empty")  # for TFDS the names are 0, 1, 2
            self.size: int = features["image"].shape[0]
            self.is_jpeg = isinstance(features["image"], tfds.features.Image)
            # The records as they are: `_parse` takes a third of the time of TFDS's own parsing.
            raw = tfds.decode.DeserializeMethod.RAW_BYTES
            self._sources: dict[str, Any] = {
                split: builder.as_data_source(split, deserialize_method=raw)
                for split in builder.info.splits
            }
            self.skipped: list[dict[str, str]] = self._json(
                SKIPPED_FILE, [{"split": str, "file": str, "reason": str}]
            )
            there = (self.directory / LEFT_OUT_FILE).exists()
            self.left_out: dict[str, int] = self._json(LEFT_OUT_FILE, {...: int}) if there else {}
            self.image_issues: dict[str, dict[str, list[str]]] = self._json(
                IMAGE_ISSUES_FILE, {...: {...: [str]}}
            )
            self.classes: list[dict[str, str | int]] = self._json(CLASSES_FILE, [{...: (str, int)}])
            if self.classes and len(self.classes) != len(self.class_names):
                raise ValueError(f"{CLASSES_FILE} has {len(self.classes)} classes")
            self.statistics: Statistics | None = None
            if "train" in self._sources:
                self.statistics = Statistics.load(self.directory / STATISTICS_FILE, self.size)
                if self.statistics.images != self.num_examples("train"):
                    raise ValueError(f"{STATISTICS_FILE} is of other images")
        except Exception as error:  # TFDS, protobuf and JSON each raise their own kinds
            raise DataError(
                f"{self.directory} is no prepared dataset that can be opened ({error}); delete it "
                "and prepare again"
            ) from error

    def _json(self, name: str, pattern: Any) -> Any:
        content = parse_json((self.directory / name).read_bytes())
        if not _fits(content, pattern):
            raise ValueError(f"{name} has other content than it should")
        return content

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self._sources)

    def num_examples(self, split: str) -> int:
        """Return how many images a split has."""
        return len(self._source(split))

    def read(
        self, split: str, indices: Sequence[int] | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read images by their index in the split.

        Args:
          split: one of `splits`.
          indices: (b,) integers in [0, num_examples), which may repeat.

        Returns:
          images (b, size, size, 3) uint8 RGB, labels (b,) int32.

        Raises:
          DataError: there is no such split, or a record is damaged.
          IndexError: an index is out of range.
        """
        features = self._features(split, indices)
        shape = (self.size, self.size, 3)
        images = self._memory.empty((len(features), *shape))
        labels = np.empty(len(features), np.int32)
        for i, feature in enumerate(features):
            data = feature["image"].bytes_list.value[0]
            labels[i] = feature["label"].int64_list.value[0]
            try:
                if self.is_jpeg:
                    decode_jpeg(data, images[i])
                else:
                    images[i] = np.frombuffer(data, np.uint8).reshape(shape)
            except ValueError as error:
                raise DataError(
                    f"{self.directory}: image {indices[i]} of {split} is damaged ({error}); delete "
                    "the directory and prepare again"
                ) from error
        if labels.max(initial=0) >= len(self.class_names):
            raise DataError(
                f"{self.directory} has labels up to {labels.max()} and {len(self.class_names)} "
                "names of classes; delete it and prepare again"
            )
        return images, labels

    def stored(self, split: str, indices: Sequence[int] | np.ndarray) -> list[bytes]:
        """Return images as they are stored: as JPEG, or as 3 size^2 raw bytes."""
        return [f["image"].bytes_list.value[0] for f in self._features(split, indices)]

    def file_names(self, split: str, indices: Sequence[int] | np.ndarray) -> list[str]:
        """Return the source's names of images (files below the split's folder)."""
        features = self._features(split, indices)
        names = [f["file_name"].bytes_list.value[0] for f in features]
        return [name.decode("utf-8", "surrogateescape") for name in names]

    def _source(self, split: str) -> Any:
        if split not in self._sources:
            raise DataError(f"{self.directory} has splits {', '.join(self._sources)}, not {split}")
        return self._sources[split]

    def _features(self, split: str, indices: Sequence[int] | np.ndarray) -> list[Any]:
        """Read and parse records."""
        source = self._source(split)
        keys = [int(i) for i in indices]
        if keys and not 0 <= min(keys) <= max(keys) < len(source):
            raise IndexError(
                f"{split} has images 0 to {len(source) - 1}, not {min(keys)}..{max(keys)}"
            )
        try:
            return [_parse(record) for record in _read(source, keys)]
        except Exception as error:  # the C++ reader and protobuf raise several kinds
            raise DataError(
                f"{self.directory}: {split} cannot be read ({error}); delete it and prepare again"
            ) from error


def _fits(content: Any, pattern: Any) -> bool:
    """Whether JSON is like a pattern: [x] is a list of such, {...: x} a dictionary of such."""
    if isinstance(pattern, list):
        return isinstance(content, list) and all(_fits(x, pattern[0]) for x in content)
    if not isinstance(pattern, dict):
        return isinstance(content, pattern)
    if ... in pattern:
        return isinstance(content, dict) and all(_fits(x, pattern[...]) for x in content.values())
    return isinstance(content, dict) and all(_fits(content.get(k), pattern[k]) for k in pattern)


def _read(source: Any, keys: list[int]) -> list[bytes]:
    """Read records: one by one as long as that is fast, the rest in one request.

    In a request ArrayRecord's threads wait for all records at once, which is faster on a slow disk.
    From memory (the page cache) a request costs 25 us more for each record.
    """
    records: list[bytes] = []
    for count, key in enumerate(keys, 1):
        begin = time.perf_counter()
        records.append(source[key])
        if time.perf_counter() - begin > _SLOW:
            return records + source.__getitems__(keys[count:])
    return records


def _parse(record: bytes) -> Any:
    """Return the feature map of a serialized tf.train.Example."""
    return tf_example_pb2.Example.FromString(record).features.feature
