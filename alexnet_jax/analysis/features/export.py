"""Export a layer's features with labels and names into a file, batch by batch.

.npz: arrays features (n, ...) float32, labels (n,) int32 and files (n,) str, for numpy.load.
.array_record: one record an image, a serialized tf.train.Example with features (flat floats),
shape, label and file_name. A record can be read by its index.

Either file appears when it is whole. Memory holds one batch at a time.
"""

import contextlib
import pathlib
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np
from array_record.python import array_record_module
from tensorflow_datasets.proto import tf_example_pb2

from alexnet_jax.analysis.features.extraction import extractor, feature_shape, last_hidden
from alexnet_jax.data.input.loader import Batch
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import ConfigError, DataError
from alexnet_jax.inference.predictor import predicted
from alexnet_jax.run.restore import Restored
from alexnet_jax.system.atomic_file import atomic_file

ENDINGS = (".npz", ".array_record")

Part = tuple[np.ndarray, Batch]  # features (b, ...) float32, and label and file of the images


def export_features(
    nets: Sequence[Restored], batches: Iterable[Batch], layer: str, out: pathlib.Path
) -> dict[str, Any]:
    """Write the features of images; return layer, shape, images and nets (workdir, step).

    Args:
      nets: their features stand side by side.
      batches: image, mask, label and file, such as `with_names` gives.
      layer: name of an activation; "": the last hidden one.
      out: .npz or .array_record.

    Raises:
      ConfigError: no such layer, layers of different sizes, or another ending.
      DataError: the file cannot be written, or the images cannot be read.
    """
    check_ending(out)
    layer = layer or last_hidden(nets[0].arch)[1]
    shapes = [feature_shape(restored, layer) for restored in nets]
    if len(set(shapes)) > 1:
        raise ConfigError(f"{layer} has shapes {shapes} in these nets: give nets of one kind")
    shape = (*shapes[0][:-1], len(nets) * shapes[0][-1])
    answers = predicted([extractor(restored, layer) for restored in nets], batches)
    parts = ((np.concatenate(list(values), axis=-1), batch) for values, batch in answers)
    count = write(out, shape, parts)
    return {
        "layer": layer,
        "shape": [count, *shape],
        "images": count,
        "nets": [{"workdir": str(net.workdir), "step": int(net.state.step)} for net in nets],
    }


def with_names(dataset: PreparedDataset, split: str, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Add each image's name as `file`, (b,) str, to the batches of a split."""
    start = 0
    for batch in batches:
        file = np.full(len(batch["mask"]), "", object)
        images = int(batch["mask"].sum())
        file[:images] = dataset.file_names(split, range(start, start + images))
        start += images
        yield {**batch, "file": file}


def check_ending(path: pathlib.Path) -> None:
    """Refuse a file of another format.

    Raises:
      ConfigError: it has another ending.
    """
    if path.suffix not in ENDINGS:
        raise ConfigError(f"--out ends in {' or '.join(ENDINGS)}; got {path}")


def write(path: pathlib.Path, shape: tuple[int, ...], parts: Iterable[Part]) -> int:
    """Write the parts in their order and return the number of images.

    Args:
      path: ends in one of ENDINGS.
      shape: of one image's features.
      parts: features with label and file.

    Raises:
      DataError: the file cannot be written, or there is no image.
    """
    check_ending(path)
    to_file = _npz if path.suffix == ".npz" else _array_record
    with atomic_file(path, DataError) as half:
        count = to_file(half, shape, parts)
        if not count:
            raise DataError(f"{path} is not written: not one image could be read")
    return count


def _npz(path: pathlib.Path, shape: tuple[int, ...], parts: Iterable[Part]) -> int:
    """Write an .npz by way of temporary files: its headers need the number of images."""
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
    """Yield the names in NumPy's form: UTF-32, padded with zeros to the longest."""
    file.seek(0)
    while size := file.read(4):
        yield file.read(int.from_bytes(size, "little")).ljust(4 * longest, b"\0")


def _utf32(name: str) -> bytes:
    return name.encode("utf-32-le", "surrogatepass")  # a name may hold bytes that are not UTF-8


def _array_record(path: pathlib.Path, shape: tuple[int, ...], parts: Iterable[Part]) -> int:
    count = 0
    try:
        new = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
        with contextlib.closing(new) as writer:
            for values, batch in parts:
                for row, label, name in zip(values, batch["label"], batch["file"], strict=True):
                    writer.write(_example(row, shape, int(label), name))
                count += len(values)
    except RuntimeError as error:  # ArrayRecord raises no other
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
