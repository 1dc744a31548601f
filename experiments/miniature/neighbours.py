"""Figure 4 as a number: how often the nearest training image is of the test image's class."""

import pathlib

import numpy as np
from PIL import Image

QUERIES = 500  # at a time


def same_class(
    queries: np.ndarray, labels: np.ndarray, vectors: np.ndarray, their_labels: np.ndarray
) -> float:
    """Return the share of queries whose nearest vector, by Euclidean distance, has their label.

    Args:
      queries: (q, d), labels: (q,).
      vectors: (n, d), their_labels: (n,). Of equally near ones the first counts.
    """
    vectors = vectors.astype(np.float32)
    squares = (vectors**2).sum(axis=1)
    right = 0
    for start in range(0, len(queries), QUERIES):
        part = slice(start, start + QUERIES)
        distances = squares - 2 * queries[part].astype(np.float32) @ vectors.T
        right += int((their_labels[distances.argmin(axis=1)] == labels[part]).sum())
    return right / len(queries)


def pixels(folder: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of a folder of class folders, less 128, (n, d) float32, and labels."""
    images, labels = [], []
    for label, part in enumerate(sorted(folder.iterdir())):
        for path in sorted(part.iterdir()):
            with Image.open(path) as image:
                images.append(np.asarray(image.convert("RGB")).ravel())
            labels.append(label)
    return np.stack(images).astype(np.float32) - 128, np.array(labels)


def by_pixels(pictures: pathlib.Path) -> float:
    """Return the share for distances between pixels."""
    return same_class(*pixels(pictures / "test"), *pixels(pictures / "target" / "train"))


def by_features(test: pathlib.Path, train: pathlib.Path) -> float:
    """Return the share for the features of the test and of the training images."""
    queries, vectors = np.load(test), np.load(train)
    return same_class(
        queries["features"], queries["labels"], vectors["features"], vectors["labels"]
    )
