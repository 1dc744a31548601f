"""Figure 4 of the paper: the five best classes, and the neighbours in the last hidden layer.

    python -m alexnet_jax.analysis.figure4 --workdir=DIR [--checkpoint=best] [--seed=0] \
        [--images=12,407,...] [--queries=3,88,...] [--words=FILE.tsv] [--features_dir=DIR2]

Eight test images with what the net takes them for, and five test images with the six training
images whose features in the last hidden layer are nearest to theirs by Euclidean distance. The
features are what the nonlinearity gives, 4096 numbers of both columns, without dropout. All
training images are searched, exactly (neighbours.py); pictures that are pixel for pixel the test
image, or one that is nearer, are left out.

The images are drawn from the validation split by --seed, or named by --images and --queries, their
numbers in it. The features of the training images are computed once for each checkpoint and kept
in DIR/analysis/features (or --features_dir): 16 kB an image, 21 GB for ILSVRC-2012; to delete them
costs only the time to make them again.

Writes predictions.json, neighbours.json and figure4.png into DIR/analysis. The last line is one
JSON object: files, step, searched, seconds.
"""

import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from alexnet_jax import command_line
from alexnet_jax.analysis import command, extraction
from alexnet_jax.analysis.names import class_names
from alexnet_jax.analysis.shown import shown
from alexnet_jax.analysis.similar import neighbours
from alexnet_jax.errors import ConfigError
from alexnet_jax.evaluation import SPLIT, Predictor, make_predict
from alexnet_jax.saved_run import SavedRun

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


def predictions(run: SavedRun, numbers: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    """Return what predictions.json holds: test images with their five best classes.

    Args:
      run: the net and its data.
      numbers: of images in the validation split.
      names: of the classes.
    """
    predictor = Predictor(run.mesh, run.state, run.consts, make_predict(run.net, run.mesh, 1))
    probabilities = extraction.of_images(run, predictor, SPLIT, numbers)
    found = []
    for number, own in zip(numbers, probabilities, strict=True):
        order = np.argsort(-own, kind="stable")[:BEST]
        top = [{"class": names[k], "probability": float(own[k])} for k in order]
        found.append({**shown(run.dataset, SPLIT, number, names), "top": top})
    return {"step": int(run.state.step), "views": 1, "images": found}


def figure4(
    run: SavedRun,
    *,
    seed: int = 0,
    images: Sequence[int] = (),
    queries: Sequence[int] = (),
    words: str = "",
    features_dir: str = "",
) -> dict[str, Any]:
    """Write predictions.json, neighbours.json and figure4.png, and return what is there to say."""
    from alexnet_jax.analysis import figure4_picture  # brings matplotlib, which is slow to import

    begin = time.perf_counter()
    names = class_names(run, words)
    count = run.dataset.num_examples(SPLIT)
    answered, looked_for = chosen(count, seed, images, queries)
    folder = command.output_folder(run.workdir)
    features = pathlib.Path(features_dir) if features_dir else folder / "features"
    left = predictions(run, answered, names)
    right = neighbours(run, looked_for, names, features)
    files = [folder / name for name in ("predictions.json", "neighbours.json", "figure4.png")]
    command.write_json(files[0], left)
    command.write_json(files[1], right)
    figure4_picture.draw(left, right, files[2])
    return {
        "files": [str(file) for file in files],
        "step": left["step"],
        "searched": right["searched"],
        "seconds": round(time.perf_counter() - begin, 2),
    }


def main(flags_of_run: command.RunFlags, **asked: Any) -> None:
    """Make the figure of the run that the flags name."""
    print(json.dumps(figure4(flags_of_run.load(train=True), **asked)))


if __name__ == "__main__":
    _RUN = command.RunFlags()
    _SEED = flags.DEFINE_integer("seed", 0, "Draws the images.")
    _IMAGES = flags.DEFINE_list("images", [], "Validation images to answer, by number.")
    _QUERIES = flags.DEFINE_list("queries", [], "Validation images to find neighbours of.")
    _WORDS = flags.DEFINE_string("words", "", "Names of classes: lines of class, tab, words.")
    _FEATURES_DIR = flags.DEFINE_string("features_dir", "", "Where features are kept.")
    command_line.run(
        lambda _: main(
            _RUN,
            seed=_SEED.value,
            images=command.numbers("images", _IMAGES.value),
            queries=command.numbers("queries", _QUERIES.value),
            words=_WORDS.value,
            features_dir=_FEATURES_DIR.value,
        )
    )
