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
from typing import Any

from absl import flags

from alexnet_jax.analysis import command
from alexnet_jax.analysis.figure4.figure4 import figure4
from alexnet_jax.system import command_line


def main(flags_of_run: command.RunFlags, **asked: Any) -> None:
    """Make the figure of the run that the flags name."""
    print(json.dumps(figure4(*flags_of_run.load(train=True), **asked)))


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
