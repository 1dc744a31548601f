"""A prepared dataset on disk: random access to its images and labels."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from tensorflow_datasets.proto import tf_example_pb2

from alexnet_jax.data.decode.images import SIZE, decode_jpeg
from alexnet_jax.data.store.layout import CLASSES_FILE, ODD_FILE, SKIPPED_FILE, STATISTICS_FILE
from alexnet_jax.data.store.recycled import Recycled
from alexnet_jax.data.store.statistics import Statistics
from alexnet_jax.errors import DataError

_SLOW = 3e-4  # seconds for a record: from memory it takes 2e-5, from a network's disk 1e-3


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Keep TFDS's log lines about every directory it opens off stderr; errors still come."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


class PreparedDataset:
    """A finished directory of the builders in datasets.py. Safe to read from many threads.

    Attributes:
      directory: where it lies.
      name: TFDS's name for it, builder/config/version.
      is_jpeg: whether images are stored as JPEG; else as raw bytes.
      class_names: the class of each label.
      statistics: of the train split; None where there is none.
      skipped: {"split", "file", "reason"} of each file that could not be read when preparing.
      odd: names of the images that were odd (odd.ODD), by split and kind.
      classes: what is known of each class: of ILSVRC wnid, words, ilsvrc_id; else nothing.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Open a prepared directory.

        Raises:
          DataError: it is missing, damaged, or not one of ours.
        """
        self.directory = pathlib.Path(directory)
        self._memory = Recycled()
        try:
            with quiet_tfds():
                builder = tfds.builder_from_directory(self.directory)
            self.name: str = builder.info.full_name
            features = builder.info.features
            self.class_names: tuple[str, ...] = tuple(features["label"].names)
            self.is_jpeg = isinstance(features["image"], tfds.features.Image)
            # Serialized examples, parsed below: TFDS's own parsing takes three times as long.
            raw = tfds.decode.DeserializeMethod.RAW_BYTES
            self._sources: dict[str, Any] = {
                split: builder.as_data_source(split, deserialize_method=raw)
                for split in builder.info.splits
            }
            self.skipped: list[dict[str, str]] = self._json(SKIPPED_FILE)
            self.odd: dict[str, dict[str, list[str]]] = self._json(ODD_FILE)
            self.classes: list[dict[str, str | int]] = self._json(CLASSES_FILE)
        except Exception as error:  # TFDS, protobuf and JSON each have errors of their own
            raise DataError(
                f"{self.directory} is no prepared dataset that can be opened ({error}); delete it "
                "and prepare again"
            ) from error
        self.statistics: Statistics | None = None
        if "train" in self._sources:
            self.statistics = Statistics.load(self.directory / STATISTICS_FILE)

    def _json(self, name: str) -> Any:
        return json.loads((self.directory / name).read_text())

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
        """Read images by their place in the split.

        Args:
          split: "train" or "validation".
          indices: (b,) integers in [0, num_examples); may repeat.

        Returns:
          images (b, 256, 256, 3) uint8 RGB, labels (b,) int32.

        Raises:
          DataError: no such split, or a damaged record.
          IndexError: an index out of range.
        """
        features = self._features(split, indices)
        images = self._memory.empty((len(features), SIZE, SIZE, 3))
        labels = np.empty(len(features), np.int32)
        for i, feature in enumerate(features):
            data = feature["image"].bytes_list.value[0]
            labels[i] = feature["label"].int64_list.value[0]
            try:
                if self.is_jpeg:
                    decode_jpeg(data, images[i])
                else:
                    images[i] = np.frombuffer(data, np.uint8).reshape(SIZE, SIZE, 3)
            except ValueError as error:
                raise DataError(
                    f"{self.directory}: image {indices[i]} of {split} is damaged ({error}); delete "
                    "the directory and prepare again"
                ) from error
        return images, labels

    def stored(self, split: str, indices: Sequence[int] | np.ndarray) -> list[bytes]:
        """Return images as they are stored, JPEG or 196,608 raw bytes."""
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
            records = _read(source, keys)
        except Exception as error:  # the reader's C++ errors come as several Python classes
            raise DataError(
                f"{self.directory}: {split} cannot be read ({error}); delete it and prepare again"
            ) from error
        return [_parse(record) for record in records]


def _read(source: Any, keys: list[int]) -> list[bytes]:
    """Read records: one by one while that is quick, the rest in one request.

    From memory (the page cache) a record of a request costs 25 us more: ArrayRecord's own threads.
    From a slow disk all records of a request are waited for at once.
    """
    records: list[bytes] = []
    for place, key in enumerate(keys, 1):
        begin = time.perf_counter()
        records.append(source[key])
        if time.perf_counter() - begin > _SLOW:
            return records + source.__getitems__(keys[place:])
    return records


def _parse(record: bytes) -> Any:
    """Return the feature map of a serialized tf.train.Example."""
    return tf_example_pb2.Example.FromString(record).features.feature
