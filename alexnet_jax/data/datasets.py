"""TFDS builders of 256x256 RGB datasets: image_folder, shapes, imagenet2012. No TensorFlow.

Each writes splits `train` and `validation` of {image, label, file_name} in ArrayRecord files,
with statistics.npz (of train) and skipped.json beside them. TFDS writes into a directory named
incomplete.* and renames it when all is done.

TFDS's own writer is not used: above 1 GB it sorts the examples through TensorFlow's file system,
which is not installed, and writes everything twice. These builders stream into the shards in the
order of the source; the loader reads at random anyway.
"""

import concurrent.futures
import dataclasses
import errno
import itertools
import json
import math
import os
import pathlib
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from etils import epath
from tensorflow_datasets.core import example_serializer

from alexnet_jax.data.convert import Converted, convert
from alexnet_jax.data.images import SIZE, BadImageError
from alexnet_jax.data.progress import PreparationProgress
from alexnet_jax.data.sources import Source
from alexnet_jax.data.statistics import Accumulator
from alexnet_jax.errors import DataError

VERSION = "1.0.0"  # to be raised whenever the same source would give other bytes
STATISTICS_FILE = "statistics.npz"
SKIPPED_FILE = "skipped.json"
# Upper estimates for the space on disk. JPEG: photographs have a mean of 35 KB.
BYTES_PER_IMAGE = {"jpeg": 45_000, "raw": SIZE * SIZE * 3 + 300}

_SHARD_BYTES = 256 << 20


@dataclasses.dataclass(eq=False, kw_only=True)
class PrepareConfig(tfds.core.BuilderConfig):
    """What a builder prepares, and how; `name` is the directory and tells what decides the content.

    Attributes:
      source: the images.
      storage: "jpeg" (quality 95, 4:2:0) or "raw" (uint8).
      workers: threads, at least 1.
      max_bad_fraction: share of each split that may be unreadable and is then skipped and listed.
    """

    source: Source = dataclasses.field(repr=False)
    storage: str
    workers: int
    max_bad_fraction: float


class _SquaresBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Writes the squares of a source, their statistics and the list of what was skipped."""

    VERSION = tfds.core.Version(VERSION)
    # TFDS looks for these through importlib_resources, which it does not install.
    pkg_dir_path = epath.Path(__file__).parent
    code_path = epath.Path(__file__)

    def __init__(self, *, data_dir: pathlib.Path, config: PrepareConfig) -> None:
        super().__init__(data_dir=data_dir, config=config, file_format="array_record")
        self._config = config
        self._sums = Accumulator()
        self._skipped: dict[str, list[BadImageError]] = {}
        self._pool: concurrent.futures.ThreadPoolExecutor
        self._progress: PreparationProgress

    def _info(self) -> tfds.core.DatasetInfo:
        config: PrepareConfig = self.builder_config
        if config.storage == "jpeg":
            image = tfds.features.Image(shape=(SIZE, SIZE, 3), encoding_format="jpeg")
        else:  # encoding "bytes": TFDS would store each uint8 as an int64 otherwise
            image = tfds.features.Tensor(shape=(SIZE, SIZE, 3), dtype=np.uint8, encoding="bytes")
        label = tfds.features.ClassLabel(names=list(config.source.class_names))
        return tfds.core.DatasetInfo(
            builder=self,
            description="Shorter side scaled to 256, central 256x256, RGB (AlexNet, section 2).",
            features=tfds.features.FeaturesDict(
                {"image": image, "label": label, "file_name": tfds.features.Text()}
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict]]]:
        del dl_manager  # nothing is downloaded
        return {name: self._generate_examples(name) for name in self._config.source.splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict]]:
        """Iterate over (name, example), in the order of the source.

        Raises:
          DataError: more unreadable images than max_bad_fraction allows; the first is named.
        """
        config = self._config
        bad = self._skipped[split] = []
        for chunk in convert(
            config.source.splits[split].items(),
            self._pool,
            workers=config.workers,
            storage=config.storage,
            with_sums=split == "train",
        ):
            bad.extend(chunk.bad)
            self._check_skipped(split)
            if chunk.sums is not None:
                self._sums.merge(chunk.sums)
            self._progress.advance(len(chunk.converted) + len(chunk.bad))
            for item in chunk.converted:
                yield item.name, _example(item)
        if len(bad) == config.source.splits[split].count:
            raise DataError(f"not one image of {split} can be read; the first: {bad[0]}")

    def _check_skipped(self, split: str) -> None:
        bad, count = self._skipped[split], self._config.source.splits[split].count
        if len(bad) > self._config.max_bad_fraction * count:
            number = f"{len(bad)} of {count} images of {split} cannot be read"
            raise DataError(
                f"{bad[0]}; {number}, more than data.max_bad_fraction="
                f"{self._config.max_bad_fraction} allows: repair or remove the file, or raise it"
            )

    def _generate_splits(
        self, dl_manager: Any, download_config: Any
    ) -> Sequence[tfds.core.SplitInfo]:
        """Stream every split into its shards; stands in for TFDS's writer (see the module)."""
        del download_config
        self.info.set_file_format("array_record", override=True)
        serializer = example_serializer.ExampleSerializer(self.info.features.get_serialized_info())
        infos = []
        for split, examples in self._split_generators(dl_manager).items():
            template = self._get_filename_template(split_name=split)
            encoded = (
                serializer.serialize_example(self.info.features.encode_example(example))
                for _, example in examples
            )
            count = self._config.source.splits[split].count
            size = count * BYTES_PER_IMAGE[self._config.storage]
            shards = max(1, min(math.ceil(size / _SHARD_BYTES), count))
            paths = [
                template.sharded_filepath(shard_index=i, num_shards=shards) for i in range(shards)
            ]
            lengths, total = _write_shards(paths, encoded, math.ceil(count / shards))
            infos.append(
                tfds.core.SplitInfo(
                    name=split,
                    shard_lengths=lengths,
                    num_bytes=total,
                    filename_template=template,
                )
            )
        return infos

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Write splits, statistics and the skipped list into the directory TFDS will rename."""
        total = sum(split.count for split in self._config.source.splits.values())
        with (
            concurrent.futures.ThreadPoolExecutor(self._config.workers, "prepare") as self._pool,
            PreparationProgress(total, self.name) as self._progress,
        ):
            super()._download_and_prepare(dl_manager, download_config)
        directory = pathlib.Path(self.data_dir)
        self._sums.finalise().save(directory / STATISTICS_FILE)
        skipped = [
            {"split": split, "file": error.name, "reason": error.reason}
            for split, errors in self._skipped.items()
            for error in errors
        ]
        (directory / SKIPPED_FILE).write_text(json.dumps(skipped, indent=1) + "\n")

    # There is nothing to download: no folder for it, and no announcement on stdout.
    def _make_download_manager(self, download_dir: Any, download_config: Any) -> Any:
        del download_dir, download_config
        return types.SimpleNamespace(downloaded_size=0)

    def _log_download_bytes(self) -> None:
        pass

    def _log_download_done(self) -> None:
        pass


class ImageFolder(_SquaresBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Any folder of class folders (data.builder=image_folder)."""

    name = "image_folder"


class Shapes(_SquaresBuilder, skip_registration=True):  # type: ignore[call-arg]
    """The drawn shapes (data.builder=shapes)."""

    name = "shapes"


class ImageNet2012(_SquaresBuilder, skip_registration=True):  # type: ignore[call-arg]
    """ILSVRC-2012 (data.builder=imagenet2012); not to be confused on disk with TFDS's own."""

    name = "imagenet2012_256"


BUILDERS = {"image_folder": ImageFolder, "shapes": Shapes, "imagenet2012": ImageNet2012}


def _example(item: Converted) -> dict[str, Any]:
    return {"image": item.image, "label": item.label, "file_name": item.name}


def _write_shards(
    paths: Sequence[Any], records: Iterator[bytes], per_shard: int
) -> tuple[list[int], int]:
    """Write records to ArrayRecord files, `per_shard` to each; return their lengths and bytes.

    Raises:
      OSError: a file cannot be written, ENOSPC where the disk is full.
    """
    lengths, total = [], 0
    for path in paths:
        # One record a group for random reads; no zstd, which costs time and gains little on images.
        writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1,uncompressed")
        length = 0
        try:
            for record in itertools.islice(records, per_shard):
                _checked(writer.write, record)
                length += 1
                total += len(record)
        finally:
            _checked(writer.close)
        lengths.append(length)
    # The generator behind `records` has its last word (is every image bad?) when it is asked again.
    if next(records, None) is not None:
        raise AssertionError("the source gave more items than it counted")
    return lengths, total


def _checked(call: Callable[..., None], *arguments: Any) -> None:
    """Call ArrayRecord's writer; turn its one kind of error into the system's."""
    try:
        call(*arguments)
    except RuntimeError as error:
        number = errno.ENOSPC if os.strerror(errno.ENOSPC) in str(error) else errno.EIO
        raise OSError(number, str(error)) from error
