"""TFDS's own prepared `imagenet2012` as a source, read without TensorFlow.

TFDS writes it as TFRecord files unless told otherwise, and reads those only through TensorFlow. The
format is simple (length, checksum, bytes, checksum), so it is read here: all lengths once, then
each record at its offset. Both checksums are compared, as TensorFlow does.
"""

import functools
import os
import pathlib
import struct
from collections.abc import Callable, Iterator
from typing import Any

import google_crc32c
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2  # see store/layout.py

from alexnet_jax.data.decode.images import BadImageError, read_square
from alexnet_jax.data.sources.source import Item, Source, Split, digest_of
from alexnet_jax.errors import DataError

NAME = "imagenet2012"


def find(prepared_dir: pathlib.Path) -> pathlib.Path | None:
    """Return the newest version of TFDS's imagenet2012 below prepared_dir, or None."""
    infos = prepared_dir.joinpath(NAME).glob("*/dataset_info.json")
    versions = [p.parent for p in infos if all(n.isdigit() for n in p.parent.name.split("."))]
    return max(versions, key=lambda p: [int(n) for n in p.name.split(".")], default=None)


def tfds_source(directory: pathlib.Path, only: str | None = None) -> Source:
    """Return the source of the splits train and validation that TFDS prepared in `directory`.

    Args:
      directory: of TFDS's imagenet2012.
      only: one of the two splits, if the other one is not needed.

    Raises:
      DataError: it has other splits or features, or its files cannot be read here.
    """
    try:
        builder = tfds.builder_from_directory(directory)
        class_names = tuple(builder.info.features["label"].names)
        counts = {
            split: builder.info.splits[split].num_examples
            for split in ("train", "validation")
            if only in (None, split)
        }
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
    reader = _array_record_reader if file_format == "array_record" else _tfrecord_reader
    splits = {}
    for name, count in counts.items():
        read = reader(builder, name, count)
        splits[name] = Split(count, functools.partial(_item, read, f"{directory}/{name}"))
    return Source(class_names, splits, digest_of([directory, *class_names, *counts.items()]))


def _item(read: Callable[[int], bytes], where: str, index: int) -> Item:
    """Return the item of a serialized example of TFDS's imagenet2012."""
    record = f"{where}[{index}]"
    try:
        feature = tf_example_pb2.Example.FromString(read(index)).features.feature
    except Exception as error:  # the system, protobuf and ArrayRecord raise their own
        raise BadImageError(record, f"the record cannot be read ({error})") from error
    name = feature["file_name"].bytes_list.value[0].decode() if "file_name" in feature else record
    data = feature["image"].bytes_list.value[0]
    label = feature["label"].int64_list.value[0]
    return Item(name, label, functools.partial(read_square, data, f"{record} {name}"))


def _array_record_reader(builder: Any, split: str, count: int) -> Callable[[int], bytes]:
    """Return the function that reads record i of a split stored as ArrayRecord."""
    del count
    source = builder.as_data_source(
        split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )
    return source.__getitem__


def _tfrecord_reader(builder: Any, split: str, count: int) -> Callable[[int], bytes]:
    """Return the function that reads record i of a split stored as TFRecord."""
    paths = [os.fspath(path) for path in builder.info.splits[split].filepaths]
    records = []
    for number, path in enumerate(paths):
        try:
            with open(path, "rb") as file:
                records += [(number, *record) for record in _records(file)]
        except (OSError, EOFError, ValueError) as error:
            raise DataError(
                f"{path} cannot be read ({error}); prepare imagenet2012 with TFDS "
                "again, or set data.dir to an ImageNet folder"
            ) from error
    if len(records) != count:
        raise DataError(
            f"{builder.data_dir} holds {len(records)} records of {split}, but its "
            f"dataset_info.json says {count}; prepare imagenet2012 with TFDS again"
        )
    table = np.array(records, np.int64).reshape(-1, 3)

    def read(index: int) -> bytes:
        number, offset, length = (int(value) for value in table[index])
        with open(paths[number], "rb", buffering=0) as file:
            data = os.pread(file.fileno(), length + 4, offset)
        return _checked(data[:-4], data[-4:])

    return read


def _records(file: Any) -> Iterator[tuple[int, int]]:
    """Iterate over (offset, length), in bytes, of the records of an open TFRecord file.

    Raises:
      EOFError: the file ends within a record.
      ValueError: the checksum of a length does not fit.
    """
    size = os.fstat(file.fileno()).st_size
    while header := file.read(12):  # uint64 length, uint32 masked CRC of the length
        if len(header) < 12:
            raise EOFError("it ends within a record")
        (length,) = struct.unpack("<Q", _checked(header[:8], header[8:]))
        offset = file.tell()
        if offset + length + 4 > size:
            raise EOFError("it ends within a record")
        yield offset, length
        file.seek(offset + length + 4)


def _checked(data: bytes, checksum: bytes) -> bytes:
    """Return the data of a record if its checksum fits: a CRC32C, rotated and shifted.

    Raises:
      ValueError: it does not.
    """
    crc = google_crc32c.value(data)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    if struct.pack("<I", masked) != checksum:
        raise ValueError("its checksum does not fit: the file is damaged")
    return data
