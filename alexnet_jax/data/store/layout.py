"""TFDS builders of 256x256 RGB datasets: ilsvrc, image_folder, shapes. No TensorFlow.

Each has splits of {image, label, file_name} in ArrayRecord files, and beside them

    statistics.npz  mean image and RGB covariance of train (statistics.py); none without train
    skipped.json    {split, file, reason} of the images that could not be read
    odd.json        the names of odd images, by split and kind (odd.ODD)
    classes.json    what is known of each class, in the order of the labels
    SHA256SUMS      of all record files, as `sha256sum -c` reads it

prepare/ writes them. TFDS's own writer is not used: above 1 GB it sorts the examples through
TensorFlow's file system, which is not installed, writes everything twice, and begins anew when it
was interrupted.
"""

import dataclasses
import pathlib
from typing import Any, NoReturn

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import dataset_builder
from tensorflow_datasets.proto import tf_example_pb2

from alexnet_jax.data.decode.images import SIZE
from alexnet_jax.data.decode.resize import PAPER, Resize

VERSION = "1.1.2"  # to be raised whenever the same source would give other bytes
STATISTICS_FILE = "statistics.npz"
SKIPPED_FILE = "skipped.json"
ODD_FILE = "odd.json"
CLASSES_FILE = "classes.json"
SUMS_FILE = "SHA256SUMS"
# Upper estimates for the space on disk. JPEG: photographs have a mean of 35 KB.
BYTES_PER_IMAGE = {"jpeg": 45_000, "raw": SIZE * SIZE * 3 + 300}


@dataclasses.dataclass(eq=False, kw_only=True)
class PrepareConfig(tfds.core.BuilderConfig):
    """What a builder holds; `name` is the directory and tells what decides the content.

    Attributes:
      class_names: in the order of the labels.
      storage: "jpeg" (quality 95, 4:2:0) or "raw" (uint8).
      resize: how the squares were made.
    """

    class_names: tuple[str, ...] = dataclasses.field(repr=False)
    storage: str
    resize: Resize = PAPER


class SquaresBuilder(dataset_builder.FileReaderBuilder, skip_registration=True):  # type: ignore[call-arg]
    """The layout of a dataset of squares: features, and names of files."""

    VERSION = tfds.core.Version(VERSION)
    # TFDS looks for these through importlib_resources, which it does not install.
    pkg_dir_path = epath.Path(__file__).parent
    code_path = epath.Path(__file__)

    def __init__(self, *, data_dir: pathlib.Path, config: PrepareConfig) -> None:
        super().__init__(data_dir=data_dir, config=config, file_format="array_record")
        self.info.set_file_format("array_record", override=True)

    def _info(self) -> tfds.core.DatasetInfo:
        config: PrepareConfig = self.builder_config
        if config.storage == "jpeg":
            image = tfds.features.Image(shape=(SIZE, SIZE, 3), encoding_format="jpeg")
        else:  # encoding "bytes": TFDS would store each uint8 as an int64 otherwise
            image = tfds.features.Tensor(shape=(SIZE, SIZE, 3), dtype=np.uint8, encoding="bytes")
        label = tfds.features.ClassLabel(names=list(config.class_names))
        return tfds.core.DatasetInfo(
            builder=self,
            description=_description(config.resize),
            features=tfds.features.FeaturesDict(
                {"image": image, "label": label, "file_name": tfds.features.Text()}
            ),
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> NoReturn:
        raise NotImplementedError("prepare it with python -m alexnet_jax.data.prepare")

    def template(self, split: str) -> Any:
        """Return TFDS's template for the files of a split."""
        return self._get_filename_template(split_name=split)


class ImageFolder(SquaresBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Any folder of class folders (data.builder=image_folder)."""

    name = "image_folder"


class Shapes(SquaresBuilder, skip_registration=True):  # type: ignore[call-arg]
    """The drawn shapes (data.builder=shapes)."""

    name = "shapes"


class Ilsvrc(SquaresBuilder, skip_registration=True):  # type: ignore[call-arg]
    """The releases of ILSVRC (data.builder=ilsvrc); not to be confused with TFDS's imagenet2012."""

    name = "ilsvrc"


def _description(resize: Resize) -> str:
    if resize.form == "aspect":
        text = "Shorter side scaled to 256, central 256x256, RGB (AlexNet, section 2)."
    else:
        text = "Each side scaled to 256, RGB."
    return text if resize.filter == PAPER.filter else f"{text} Filter: {resize.filter}."


BUILDERS = {"ilsvrc": Ilsvrc, "image_folder": ImageFolder, "shapes": Shapes}


def encode(name: str, label: int, image: bytes | np.ndarray) -> bytes:
    """Return the record of an image: a serialized tf.train.Example of the features above.

    TFDS's own serializer leaves the order of the fields to chance, another in each process.

    Args:
      name: the source's name of it.
      label: its class.
      image: JPEG bytes, or (256, 256, 3) uint8.
    """
    example = tf_example_pb2.Example()
    feature = example.features.feature
    pixels = image if isinstance(image, bytes) else image.tobytes()
    feature["image"].bytes_list.value.append(pixels)
    feature["label"].int64_list.value.append(label)
    feature["file_name"].bytes_list.value.append(name.encode("utf-8", "surrogateescape"))
    return example.SerializeToString(deterministic=True)
