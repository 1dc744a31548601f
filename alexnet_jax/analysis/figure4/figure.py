"""Make figure 4 of the paper: five best classes, and neighbours in the last hidden layer."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from alexnet_jax.analysis import command
from alexnet_jax.analysis.features import extraction
from alexnet_jax.analysis.figure4.similar import neighbours, thumbnail
from alexnet_jax.analysis.short_names import short_names
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import ConfigError
from alexnet_jax.inference.predictor import best, predictor
from alexnet_jax.run.restore import SPLIT, Restored
from alexnet_jax.system.paths import user_path

IMAGES, BEST, QUERIES = 8, 5, 5


def choose(
    count: int, seed: int, images: Sequence[int] = (), queries: Sequence[int] = ()
) -> tuple[list[int], list[int]]:
    """Return the indices of the images to classify, and of those to find neighbours of.

    Args:
      count: images in the split.
      seed: draws what is not given; no image twice, if there are enough.
      images, queries: indices that the user gave, or none.

    Raises:
      ConfigError: an index is not in the split.
    """
    for name, indices in (("images", images), ("queries", queries)):
        if wrong := [index for index in indices if not 0 <= index < count]:
            raise ConfigError(f"--{name} are numbers from 0 to {count - 1}; got {wrong[0]}")
    drawn = np.random.default_rng(seed).permutation(count).tolist()
    return list(images) or drawn[:IMAGES], list(queries) or drawn[IMAGES:][:QUERIES] or drawn[:1]


def predictions(
    restored: Restored, dataset: PreparedDataset, indices: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    """Return the content of predictions.json: validation images with their five best classes."""
    probabilities = extraction.of_images(
        restored, dataset, predictor(restored, views=1), SPLIT, indices
    )
    images = []
    for index, row in zip(indices, probabilities, strict=True):
        top = [{"class": names[k], "probability": float(row[k])} for k in best(row, BEST)]
        images.append({**thumbnail(dataset, SPLIT, index, names), "top": top})
    return {"step": int(restored.state.step), "views": 1, "images": images}


def make_figure(
    restored: Restored,
    dataset: PreparedDataset,
    *,
    seed: int = 0,
    images: Sequence[int] = (),
    queries: Sequence[int] = (),
    features_dir: str = "",
) -> dict[str, Any]:
    """Write predictions.json, neighbours.json, and figure4 as PNG, SVG and PDF.

    Args:
      dataset: the net's images, with the train split.
      seed, images, queries: what `choose` takes.
      features_dir: where the training images' features are kept; "": DIR/analysis/features.

    Returns:
      files, step, searched (training images) and seconds.
    """
    from alexnet_jax.analysis.figure4 import picture  # imports matplotlib, which is slow

    begin = time.perf_counter()
    names = short_names(restored, dataset)
    images, queries = choose(dataset.num_examples(SPLIT), seed, images, queries)
    folder = command.output_folder(restored.workdir)
    features = user_path(features_dir) if features_dir else folder / "features"
    left = predictions(restored, dataset, images, names)
    right = neighbours(restored, dataset, queries, names, features)
    files = [folder / name for name in ("predictions.json", "neighbours.json")]
    command.write_json(files[0], left)
    command.write_json(files[1], right)
    files += picture.draw(left, right, folder / "figure4")
    return {
        "files": [str(file) for file in files],
        "step": left["step"],
        "searched": right["searched"],
        "seconds": round(time.perf_counter() - begin, 2),
    }
