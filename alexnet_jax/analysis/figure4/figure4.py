"""Figure 4 of the paper: the five best classes, and the neighbours in the last hidden layer."""

import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from alexnet_jax.analysis import command
from alexnet_jax.analysis.features import extraction
from alexnet_jax.analysis.figure4.shown import shown
from alexnet_jax.analysis.figure4.similar import neighbours
from alexnet_jax.analysis.names import class_names
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import ConfigError
from alexnet_jax.inference.predictor import Predictor, make_predict
from alexnet_jax.run.restore import SPLIT, Restored

IMAGES, BEST, QUERIES = 8, 5, 5


def chosen(
    count: int, seed: int, images: Sequence[int] = (), queries: Sequence[int] = ()
) -> tuple[list[int], list[int]]:
    """Return the numbers of the images to answer and of those to find neighbours of.

    Args:
      count: images in the split.
      seed: draws those that are not asked for, no image twice while there are enough.
      images, queries: numbers in [0, count) that are asked for.

    Raises:
      ConfigError: a number that is not in the split.
    """
    for name, numbers in (("images", images), ("queries", queries)):
        if wrong := [number for number in numbers if not 0 <= number < count]:
            raise ConfigError(f"--{name} are numbers from 0 to {count - 1}; got {wrong[0]}")
    drawn = np.random.default_rng(seed).permutation(count).tolist()
    return list(images) or drawn[:IMAGES], list(queries) or drawn[IMAGES:][:QUERIES] or drawn[:1]


def predictions(
    restored: Restored, dataset: PreparedDataset, numbers: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    """Return what predictions.json holds: test images with their five best classes.

    Args:
      restored, dataset: the net and its images.
      numbers: of images in the validation split.
      names: of the classes.
    """
    predictor = Predictor(restored, make_predict(restored.arch, restored.mesh, 1))
    probabilities = extraction.of_images(restored, dataset, predictor, SPLIT, numbers)
    found = []
    for number, own in zip(numbers, probabilities, strict=True):
        order = np.argsort(-own, kind="stable")[:BEST]
        top = [{"class": names[k], "probability": float(own[k])} for k in order]
        found.append({**shown(dataset, SPLIT, number, names), "top": top})
    return {"step": int(restored.state.step), "views": 1, "images": found}


def figure4(
    restored: Restored,
    dataset: PreparedDataset,
    *,
    seed: int = 0,
    images: Sequence[int] = (),
    queries: Sequence[int] = (),
    words: str = "",
    features_dir: str = "",
) -> dict[str, Any]:
    """Write predictions.json, neighbours.json and figure4.png, and return what is there to say."""
    from alexnet_jax.analysis.figure4 import picture  # brings matplotlib, which is slow to import

    begin = time.perf_counter()
    names = class_names(restored, dataset, words)
    count = dataset.num_examples(SPLIT)
    answered, looked_for = chosen(count, seed, images, queries)
    folder = command.output_folder(restored.workdir)
    features = pathlib.Path(features_dir) if features_dir else folder / "features"
    left = predictions(restored, dataset, answered, names)
    right = neighbours(restored, dataset, looked_for, names, features)
    files = [folder / name for name in ("predictions.json", "neighbours.json", "figure4.png")]
    command.write_json(files[0], left)
    command.write_json(files[1], right)
    picture.draw(left, right, files[2])
    return {
        "files": [str(file) for file in files],
        "step": left["step"],
        "searched": right["searched"],
        "seconds": round(time.perf_counter() - begin, 2),
    }
