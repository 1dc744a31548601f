"""The training images that the last hidden layer takes to be most like a test image."""

import hashlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from alexnet_jax.analysis.features import extraction
from alexnet_jax.analysis.figure4.feature_file import (
    FeatureFile,
    forget_note,
    keep_note,
    kept_features,
    write_features,
)
from alexnet_jax.analysis.figure4.knn import nearest
from alexnet_jax.analysis.figure4.shown import shown
from alexnet_jax.data.input.loader import eval_batches
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.inference.predictor import Predictor, batch_size_for, predicted
from alexnet_jax.run import checkpoint
from alexnet_jax.run.restore import SPLIT, Restored
from alexnet_jax.system.progress import PreparationProgress

NEIGHBOURS = 6
TRAIN = "train"


def neighbours(
    restored: Restored,
    dataset: PreparedDataset,
    numbers: Sequence[int],
    names: Sequence[str],
    features_dir: pathlib.Path,
) -> dict[str, Any]:
    """Return what neighbours.json holds: test images, each with its nearest training images.

    Args:
      restored, dataset: the net and its images.
      numbers: of images in the validation split.
      names: of the classes.
      features_dir: where the training images' features are kept.
    """
    layer, activation = extraction.last_hidden(restored.arch)
    extractor = extraction.extractor(restored, activation)
    features = training_features(restored, dataset, extractor, activation, features_dir)
    queries = extraction.of_images(restored, dataset, extractor, SPLIT, numbers)
    found = []
    for number, near in zip(numbers, distinct(dataset, numbers, queries, features), strict=True):
        pictures = [
            {**shown(dataset, TRAIN, place, names), "distance": distance}
            for distance, place in near
        ]
        found.append({**shown(dataset, SPLIT, number, names), "neighbours": pictures})
    searched = features.shape[0]
    return {"step": int(restored.state.step), "layer": layer, "searched": searched, "images": found}


def training_features(
    restored: Restored,
    dataset: PreparedDataset,
    extractor: Predictor,
    activation: str,
    folder: pathlib.Path,
) -> FeatureFile:
    """Return the features of all training images, (n, d), computed unless they are in `folder`.

    Raises:
      DataError: no room for them, or the images cannot be read.
    """
    count = dataset.num_examples(TRAIN)
    sums = str(checkpoint.fingerprint(restored.state)).encode()
    shape = (count, *extraction.feature_shape(restored, activation))
    what = {
        "activation": activation,
        "step": int(restored.state.step),
        "state": hashlib.sha256(sums).hexdigest(),
        "images": str(dataset.directory),
        "shape": list(shape),
    }
    path = folder / f"{activation}-{TRAIN}.npy"
    if (kept := kept_features(path, what)) is not None:
        return kept
    forget_note(path)
    made = write_features(path, shape, _computed(restored, dataset, extractor))
    keep_note(path, what)
    return made


def _computed(
    restored: Restored, dataset: PreparedDataset, extractor: Predictor
) -> Iterator[np.ndarray]:
    """Iterate over the features of the training images, batch by batch."""
    batches = eval_batches(
        dataset,
        TRAIN,
        batch_size=batch_size_for(restored.mesh, asked=restored.config.evaluate.batch_size),
        workers=restored.config.data.workers,
    )
    with PreparationProgress(dataset.num_examples(TRAIN), TRAIN, verb="features of") as progress:
        for (features,), _ in predicted([extractor], batches):
            progress.advance(len(features))
            yield features


def distinct(
    dataset: PreparedDataset, numbers: Sequence[int], queries: np.ndarray, features: Any
) -> list[list[tuple[float, int]]]:
    """Return (distance, training image) of the nearest six of each query, no picture twice.

    What is pixel for pixel the query, or one that is nearer, is left out: collections of images
    have many of them more than once, and in both splits.

    Args:
      dataset: of the images.
      numbers: of the queries in the validation split.
      queries: their features, (q, d).
      features: of all training images, (n, d).
    """
    seen = [{_pixels(dataset, SPLIT, number)} for number in numbers]
    near: list[list[tuple[float, int]]] = [[] for _ in numbers]
    asked, n = 0, features.shape[0]
    while asked < n and min(map(len, near), default=NEIGHBOURS) < NEIGHBOURS:
        before, asked = asked, min(max(4 * asked, 4 * NEIGHBOURS), n)
        distances, places = nearest(queries, features, asked)
        for i, pixels in enumerate(seen):
            for distance, place in zip(distances[i, before:], places[i, before:], strict=True):
                own = _pixels(dataset, TRAIN, int(place))
                if len(near[i]) < NEIGHBOURS and own not in pixels:
                    pixels.add(own)
                    near[i].append((float(distance), int(place)))
    return near


def _pixels(dataset: PreparedDataset, split: str, number: int) -> bytes:
    """Return a digest of an image's pixels."""
    (image,), _ = dataset.read(split, [number])
    return hashlib.sha256(image).digest()
