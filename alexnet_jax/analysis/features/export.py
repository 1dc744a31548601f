"""Export a layer's features with labels and names into a file, batch by batch.

.npz: arrays features (n, ...) float32, labels (n,) int32 and files (n,) str, for numpy.load.
.array_record: one record an image, a serialized tf.train.Example with features (flat floats),
shape, label and file_name. A record can be read by its index.

Either file appears only when it is complete. Memory holds the features of one batch at a time.
"""

import contextlib
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

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
      nets: their features are concatenated.
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
    parts = ((np.concatenate(values, axis=-1), batch) for values, batch in answers)
    write = _npz if out.suffix == ".npz" else _array_record
    with atomic_file(out, DataError) as half:
        count = write(half, shape, parts)
        if not count:
            raise DataError(f"{out} is not written: not one image could be read")
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


def _npz(path: pathlib.Path, shape: tuple[int, ...], parts: Iterable[Part]) -> int:
    """Write an .npz by way of a temporary file: its header needs the number of images."""
    labels: list[int] = []
    names: list[str] = []
    with (
        tempfile.TemporaryFile(dir=path.parent) as features,
        zipfile.ZipFile(path, "w", allowZip64=True) as archive,
    ):
        for values, batch in parts:
            features.write(np.ascontiguousarray(values, "<f4").data)
            labels += batch["label"].tolist()
            names += batch["file"].tolist()
        features.seek(0)
        with archive.open("features.npy", "w", force_zip64=True) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(labels), *shape)}
            np.lib.format.write_array_header_1_0(file, header)
            shutil.copyfileobj(features, file)
        for name, array in (("labels", np.array(labels, "<i4")), ("files", np.array(names, str))):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return len(labels)


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
