"""Find the training images that are most like a test image in the last hidden layer."""

import base64
import hashlib
import io
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from alexnet_jax.analysis.features import extraction
from alexnet_jax.analysis.figure4 import feature_file
from alexnet_jax.analysis.figure4.feature_file import FeatureFile
from alexnet_jax.analysis.figure4.knn import nearest
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.inference.predictor import Predictor, predicted
from alexnet_jax.run import checkpoint
from alexnet_jax.run.restore import SPLIT, Restored
from alexnet_jax.system.progress import ImageProgress

NEIGHBOURS = 6
TRAIN = "train"
SIDE, QUALITY = 128, 85  # of a thumbnail: pixels at most, and JPEG's quality


def neighbours(
    restored: Restored,
    dataset: PreparedDataset,
    indices: Sequence[int],
    names: Sequence[str],
    features_dir: pathlib.Path,
) -> dict[str, Any]:
    """Return the content of neighbours.json: validation images with their nearest training images.

    The features of the training images are kept in `features_dir`.
    """
    layer, activation = extraction.last_hidden(restored.arch)
    extractor = extraction.extractor(restored, activation)
    features = training_features(restored, dataset, extractor, activation, features_dir)
    queries = extraction.of_images(restored, dataset, extractor, SPLIT, indices)
    queries = queries.reshape(len(queries), -1)
    images = []
    for index, near in zip(indices, distinct(dataset, indices, queries, features), strict=True):
        training = [
            {**thumbnail(dataset, TRAIN, other, names), "distance": distance}
            for distance, other in near
        ]
        images.append({**thumbnail(dataset, SPLIT, index, names), "neighbours": training})
    step, searched = int(restored.state.step), features.shape[0]
    return {"step": step, "layer": layer, "searched": searched, "images": images}


def training_features(
    restored: Restored,
    dataset: PreparedDataset,
    extractor: Predictor,
    activation: str,
    folder: pathlib.Path,
) -> FeatureFile:
    """Return the features of all training images, (n, d): those in `folder`, or computed.

    Of a convolution an image's pixels and channels are one vector.

    Raises:
      DataError: the disk has no room for them, or the images cannot be read.
    """
    count = dataset.num_examples(TRAIN)
    sums = str(checkpoint.array_sums(restored.state)).encode()
    shape = (count, math.prod(extraction.feature_shape(restored, activation)))
    origin = {
        "activation": activation,
        "step": int(restored.state.step),
        "state": hashlib.sha256(sums).hexdigest(),
        "images": str(dataset.directory),
        "shape": list(shape),
    }

    def computed() -> Iterator[np.ndarray]:
        batches = extraction.split_batches(restored, dataset, TRAIN)
        with ImageProgress(count, TRAIN, verb="features of") as progress:
            for (features,), _ in predicted([extractor], batches):
                progress.advance(len(features))
                yield features.reshape(len(features), -1)

    return feature_file.kept_or_written(
        folder / f"{activation}-{TRAIN}.npy", origin, shape, computed()
    )


def distinct(
    dataset: PreparedDataset, indices: Sequence[int], queries: np.ndarray, features: Any
) -> list[list[tuple[float, int]]]:
    """Return (distance, training image) of the nearest six of each query, no picture twice.

    A training image is left out if its pixels equal those of the query or of a nearer one:
    collections of images have many pictures more than once, and in both splits.

    Args:
      dataset: of the images.
      indices: of the queries in the validation split.
      queries: their features, (q, d).
      features: of all training images, (n, d).
    """
    seen = [{_pixels(dataset, SPLIT, index)} for index in indices]
    near: list[list[tuple[float, int]]] = [[] for _ in indices]
    count, n = 0, features.shape[0]
    while count < n and min(map(len, near), default=NEIGHBOURS) < NEIGHBOURS:
        before, count = count, min(max(4 * count, 4 * NEIGHBOURS), n)
        distances, others = nearest(queries, features, count)
        for i, pictures in enumerate(seen):
            for distance, other in zip(distances[i, before:], others[i, before:], strict=True):
                pixels = _pixels(dataset, TRAIN, int(other))
                if len(near[i]) < NEIGHBOURS and pixels not in pictures:
                    pictures.add(pixels)
                    near[i].append((float(distance), int(other)))
    return near


def thumbnail(dataset: PreparedDataset, split: str, index: int, names: Sequence[str]) -> dict:
    """Return {"file", "label", "jpeg"} of an image; jpeg is a small picture in base64."""
    (image,), (label,) = dataset.read(split, [index])
    (file,) = dataset.file_names(split, [index])
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=QUALITY)
    return {"file": file, "label": names[label], "jpeg": base64.b64encode(jpeg.getvalue()).decode()}


def _pixels(dataset: PreparedDataset, split: str, index: int) -> bytes:
    """Return a digest of an image's pixels."""
    (image,), _ = dataset.read(split, [index])
    return hashlib.sha256(image).digest()
