"""Images with their names, batch by batch: of a split, or of files."""

import pathlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from alexnet_jax.data.images import SIZE, BadImageError
from alexnet_jax.data.loader import Batch, eval_batches
from alexnet_jax.data.prepared import PreparedDataset

UNKNOWN = -1  # label of an image without one


def split_images(
    dataset: PreparedDataset, split: str, batch_size: int, workers: int
) -> Iterator[Batch]:
    """Iterate over loader.eval_batches with each image's name as `file`, (b,) str, beside."""
    start = 0
    for batch in eval_batches(dataset, split, batch_size=batch_size, workers=workers):
        file = np.full(batch_size, "", object)
        images = int(batch["mask"].sum())
        file[:images] = dataset.file_names(split, range(start, start + images))
        start += images
        yield {**batch, "file": file}


def file_images(
    read: Iterable[tuple[pathlib.Path, np.ndarray | BadImageError]],
    batch_size: int,
    bad: Callable[[BadImageError], None],
) -> Iterator[Batch]:
    """Iterate over image files as `split_images` does over a split; their label is UNKNOWN.

    Args:
      read: what files.squares gives; `file` is the path.
      batch_size: images in a batch; the last one is filled up with black ones.
      bad: is told of each file that cannot be read; it is left out.
    """
    waiting: list[tuple[str, np.ndarray]] = []
    for path, found in read:
        if isinstance(found, BadImageError):
            bad(found)
            continue
        waiting.append((str(path), found))
        if len(waiting) == batch_size:
            yield _batch(waiting, batch_size)
            waiting = []
    if waiting:
        yield _batch(waiting, batch_size)


def _batch(pictures: list[tuple[str, np.ndarray]], size: int) -> Batch:
    image, file = np.zeros((size, SIZE, SIZE, 3), np.uint8), np.full(size, "", object)
    for row, (name, pixels) in enumerate(pictures):
        image[row], file[row] = pixels, name
    mask = (np.arange(size) < len(pictures)).astype(np.float32)
    return {"image": image, "label": np.full(size, UNKNOWN, np.int32), "mask": mask, "file": file}
