"""The prepared copy of a dataset on disk: the names of its files and the content of a record.

A copy lies in <prepared_dir>/<builder>/<name>/<VERSION>, and TFDS can read it. Each split has
records of {image, label, file_name} in ArrayRecord files. Beside them are

    statistics.npz  mean image and RGB covariance of train (statistics.py); missing without train
    skipped.json    {split, file, reason} of the images that could not be read
    odd.json        names of the images with issues, by split and issue (IMAGE_ISSUES)
    left_out.json   how many files of the source were left out, by reason; only if there were any
    classes.json    what the source says about each class, in the order of the labels
    SHA256SUMS      of all record files, as `sha256sum -c` reads it

prepare/ writes all of them. TFDS's own writer is not used: above 1 GB it sorts the examples through
TensorFlow's file system, which is not installed, writes everything twice, and starts again when it
was interrupted.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds

# TFDS has two public ways to read and write a tf.train.Example without TensorFlow:
# ExampleSerializer leaves the order of the fields to chance, and as_data_source takes three times
# as long to parse one. So its compiled message is used directly.
from tensorflow_datasets.proto import tf_example_pb2

from alexnet_jax.data.decode.resize import PAPER, Resize

VERSION = "1.1.2"  # raise it whenever the same source would give other bytes
STATISTICS_FILE = "statistics.npz"
SKIPPED_FILE = "skipped.json"
IMAGE_ISSUES_FILE = "odd.json"
LEFT_OUT_FILE = "left_out.json"
CLASSES_FILE = "classes.json"
SUMS_FILE = "SHA256SUMS"


def bytes_per_image(storage: str, size: int) -> int:
    """Return an upper estimate of what an image of `size` pixels a side takes on disk.

    As JPEG a photograph of 256x256 takes 35 KB on average, and a smaller one more for each pixel.
    """
    if storage == "raw":
        return 3 * size**2 + 300
    scale = size / PAPER.size
    return round(45_000 * max(scale**1.5, scale**2))


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one prepared copy is stored.

    Attributes:
      directory: <prepared_dir>/<builder>/<name>/<VERSION>.
      class_names: in the order of the labels.
      storage: "jpeg" (quality 95, 4:2:0) or "raw" (uint8).
      resize: how the squares were made, and their size.
    """

    directory: pathlib.Path
    class_names: tuple[str, ...]
    storage: str
    resize: Resize = PAPER

    @property
    def full_name(self) -> str:
        """TFDS's name of the copy: builder/name/version."""
        return "/".join(self.directory.parts[-3:])

    def template(self, split: str) -> tfds.core.ShardedFileTemplate:
        """Return the template of the names of a split's files."""
        return tfds.core.ShardedFileTemplate(
            data_dir=self.directory,
            dataset_name=self.directory.parts[-3],
            split=split,
            filetype_suffix="array_record",
        )

    def dataset_info(self, splits: Sequence[tfds.core.SplitInfo]) -> tfds.core.DatasetInfo:
        """Return what TFDS needs to know of the copy, to be written beside its files."""
        builder, name, version = self.directory.parts[-3:]
        shape = (self.resize.size, self.resize.size, 3)
        if self.storage == "jpeg":
            image = tfds.features.Image(shape=shape, encoding_format="jpeg")
        else:  # encoding "bytes": TFDS would store each uint8 as an int64 otherwise
            image = tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")
        label = tfds.features.ClassLabel(names=list(self.class_names))
        info = tfds.core.DatasetInfo(
            builder=tfds.core.DatasetIdentity(
                name=builder,
                version=tfds.core.Version(version),
                data_dir=str(self.directory),
                module_name="",
                config_name=name,
            ),
            description=_description(self.resize),
            features=tfds.features.FeaturesDict(
                {"image": image, "label": label, "file_name": tfds.features.Text()}
            ),
            split_dict=tfds.core.SplitDict(splits),
        )
        info.set_file_format("array_record")
        return info


def _description(resize: Resize) -> str:
    size = resize.size
    if resize.form == "aspect":
        text = f"Shorter side scaled to {size}, central {size}x{size}, RGB (AlexNet, section 2)."
    else:
        text = f"Each side scaled to {size}, RGB."
    return text if resize.filter == PAPER.filter else f"{text} Filter: {resize.filter}."


def encode(name: str, label: int, image: bytes | np.ndarray) -> bytes:
    """Return the record of an image: a serialized tf.train.Example of the features above.

    Args:
      name: the source's name of the image.
      label: index of its class.
      image: JPEG bytes, or (size, size, 3) uint8.
    """
    example = tf_example_pb2.Example()
    feature = example.features.feature
    pixels = image if isinstance(image, bytes) else image.tobytes()
    feature["image"].bytes_list.value.append(pixels)
    feature["label"].int64_list.value.append(label)
    feature["file_name"].bytes_list.value.append(name.encode("utf-8", "surrogateescape"))
    return example.SerializeToString(deterministic=True)
