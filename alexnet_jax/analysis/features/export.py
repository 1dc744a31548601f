"""Features with labels and names into a file, a batch at a time.

.npz: arrays features (n, ...) float32, labels (n,) int32 and files (n,) str, for numpy.load.
.array_record: an image a record, a serialized tf.train.Example with features (floats, flat), shape,
label and file_name; any record can be read by its number.

Either file appears when it is whole, and nothing of it is kept in memory meanwhile.
"""

import contextlib
import pathlib
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
from array_record.python import array_record_module
from tensorflow_datasets.proto import tf_example_pb2

from alexnet_jax.data.input.loader import Batch
from alexnet_jax.errors import ConfigError, DataError
from alexnet_jax.system.atomic_file import atomic_file

ENDINGS = (".npz", ".array_record")

Part = tuple[np.ndarray, Batch]  # features (b, ...) float32; label and file of as many images


def check_ending(path: pathlib.Path) -> None:
    """Refuse a file that we do not know how to write.

    Raises:
      ConfigError: it has another ending.
    """
    if path.suffix not in ENDINGS:
        raise ConfigError(f"--out ends in {' or '.join(ENDINGS)}; got {path}")


def write(path: pathlib.Path, shape: tuple[int, ...], parts: Iterable[Part]) -> int:
    """Write the parts in their order and return how many images they had.

    Args:
      path: ends in one of ENDINGS.
      shape: of an image's features.
      parts: features with label and file.

    Raises:
      DataError: it cannot be written, or there is no image.
    """
    check_ending(path)
    to_file = _npz if path.suffix == ".npz" else _array_record
    with atomic_file(path, DataError) as half:
        count = to_file(half, shape, parts)
        if not count:
            raise DataError(f"{path} is not written: not one image could be read")
    return count


def _npz(path: pathlib.Path, shape: tuple[int, ...], parts: Iterable[Part]) -> int:
    """Write an .npz by way of nameless files: how long its arrays are is known at the end."""
    count, longest = 0, 1
    with contextlib.ExitStack() as stack:
        features, labels, names = (
            stack.enter_context(tempfile.TemporaryFile(dir=path.parent)) for _ in range(3)
        )
        for values, batch in parts:
            features.write(np.ascontiguousarray(values, "<f4").data)
            labels.write(np.ascontiguousarray(batch["label"], "<i4").data)
            for name in batch["file"]:
                longest = max(longest, len(name))
                names.write(_length_and_text(name))
            count += len(values)
        archive = stack.enter_context(zipfile.ZipFile(path, "w", allowZip64=True))
        _add(archive, "features", "<f4", (count, *shape), _chunks(features))
        _add(archive, "labels", "<i4", (count,), _chunks(labels))
        _add(archive, "files", f"<U{longest}", (count,), _padded(names, longest))
    return count


def _add(
    archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...], data: Iterable[bytes]
) -> None:
    """Add an array to an .npz from its bytes."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        header: dict[str, Any] = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for piece in data:
            file.write(piece)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(1 << 20):
        yield piece


def _length_and_text(name: str) -> bytes:
    text = _utf32(name)
    return len(text).to_bytes(4, "little") + text


def _padded(file: IO[bytes], longest: int) -> Iterator[bytes]:
    """Iterate over the names as NumPy has them: UTF-32, filled up with zeros to the longest."""
    file.seek(0)
    while size := file.read(4):
        yield file.read(int.from_bytes(size, "little")).ljust(4 * longest, b"\0")


def _utf32(name: str) -> bytes:
    return name.encode("utf-32-le", "surrogatepass")  # names may hold bytes that are no UTF-8


def _array_record(path: pathlib.Path, shape: tuple[int, ...], parts: Iterable[Part]) -> int:
    count = 0
    try:
        new = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
        with contextlib.closing(new) as writer:
            for values, batch in parts:
                for row, label, name in zip(values, batch["label"], batch["file"], strict=True):
                    writer.write(_example(row, shape, int(label), name))
                count += len(values)
    except RuntimeError as error:  # ArrayRecord's only one
        raise OSError(str(error)) from error
    return count


def _example(values: np.ndarray, shape: tuple[int, ...], label: int, name: str) -> bytes:
    example = tf_example_pb2.Example()
    feature = example.features.feature
    feature["features"].float_list.value.extend(values.ravel().tolist())
    feature["shape"].int64_list.value.extend(shape)
    feature["label"].int64_list.value.append(label)
    feature["file_name"].bytes_list.value.append(name.encode("utf-8", "surrogateescape"))
    return example.SerializeToString(deterministic=True)
