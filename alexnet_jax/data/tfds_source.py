"""TFDS's own prepared `imagenet2012` as a source, read without TensorFlow.

TFDS writes that dataset as TFRecord files unless told otherwise, and reads those only through
TensorFlow. The format is small (length, checksum, bytes, checksum), and preparation needs no more
than to go through it once, so it is read here.
"""

import functools
import os
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from alexnet_jax.data.images import to_square
from alexnet_jax.data.sources import Item, Source, Split
from alexnet_jax.errors import DataError

NAME = "imagenet2012"


def find(prepared_dir: pathlib.Path) -> pathlib.Path | None:
    """Return the newest version of TFDS's imagenet2012 below prepared_dir, or None."""
    found = prepared_dir.joinpath(NAME).glob("*/dataset_info.json")
    versions = [p.parent for p in found if all(n.isdigit() for n in p.parent.name.split("."))]
    return max(versions, key=lambda p: [int(n) for n in p.name.split(".")], default=None)


def tfds_source(directory: pathlib.Path) -> Source:
    """Source of the `train` and `validation` splits that TFDS prepared in `directory`.

    Raises:
      DataError: it holds other splits or features, or files that cannot be read here.
    """
    try:
        builder = tfds.builder_from_directory(directory)
        class_names = tuple(builder.info.features["label"].names)
        counts = {s: builder.info.splits[s].num_examples for s in ("train", "validation")}
    except Exception as error:
        raise DataError(
            f"{directory} was expected to be TFDS's imagenet2012 with splits train and validation, "
            f"but cannot be opened ({error}); set data.dir to an ImageNet folder instead"
        ) from error
    file_format = builder.info.file_format.value
    if file_format not in ("array_record", "tfrecord"):
        raise DataError(
            f"{directory} is stored as {file_format}; expected array_record or tfrecord, or set "
            "data.dir to an ImageNet folder instead"
        )
    items = _array_record_items if file_format == "array_record" else _tfrecord_items
    splits = {s: Split(n, functools.partial(items, builder, s)) for s, n in counts.items()}
    return Source(class_names, splits)


def _item(record: bytes, where: str) -> Item:
    """Return the item of a serialized example of TFDS's imagenet2012."""
    feature = tf_example_pb2.Example.FromString(record).features.feature
    name = feature["file_name"].bytes_list.value[0].decode() if "file_name" in feature else where
    data = feature["image"].bytes_list.value[0]
    label = feature["label"].int64_list.value[0]
    return Item(name, label, functools.partial(_load, data, f"{where} ({name})"))


def _load(data: bytes, name: str) -> np.ndarray:
    return to_square(data, name)


def _array_record_items(builder: Any, split: str) -> Iterator[Item]:
    """Iterate over a split stored as ArrayRecord."""
    source = builder.as_data_source(
        split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )
    for index in range(len(source)):
        yield _item(source[index], f"{builder.data_dir}/{split}[{index}]")


def _tfrecord_items(builder: Any, split: str) -> Iterator[Item]:
    """Iterate over a split stored as TFRecord.

    Raises:
      DataError: a file is missing or ends within a record.
    """
    for path in builder.info.splits[split].filepaths:
        try:
            with open(path, "rb") as file:
                yield from (_item(r, f"{path}[{i}]") for i, r in enumerate(_records(file)))
        except (OSError, EOFError) as error:
            raise DataError(
                f"{os.fspath(path)} cannot be read ({error}); prepare imagenet2012 with TFDS "
                "again, or set data.dir to an ImageNet folder"
            ) from error


def _records(file: Any) -> Iterator[bytes]:
    """Iterate over the records of an open TFRecord file; the checksums are not compared."""
    while header := file.read(12):  # uint64 length, uint32 masked CRC of the length
        if len(header) < 12:
            raise EOFError("it ends within a record")
        (length,) = struct.unpack("<Q", header[:8])
        record = file.read(length)
        if len(record) < length or len(file.read(4)) < 4:
            raise EOFError("it ends within a record")
        yield record
