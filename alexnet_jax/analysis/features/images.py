"""Images of a split with their names, batch by batch, as files.batches gives those of files."""

from collections.abc import Iterator

import numpy as np

from alexnet_jax.data.input.loader import Batch, eval_batches
from alexnet_jax.data.store.prepared import PreparedDataset


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
