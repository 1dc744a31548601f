"""Make figure 4 of the paper: the five best classes, and the neighbours in the last hidden layer.

    python -m alexnet_jax.analysis.figure4 --workdir=DIR [--checkpoint=best] [--seed=0] \
        [--images=12,407,...] [--queries=3,88,...] [--classes=FILE] [--features_dir=DIR2]

Shows eight test images with their five best classes, and five test images with the six training
images whose features in the last hidden layer are nearest by Euclidean distance. The features are
the 4096 outputs of the nonlinearity, of both columns, without dropout. All training images are
searched, exactly (knn.py). A training image is left out if its pixels equal those of the test image
or of a nearer one.

The images are drawn from the validation split by --seed, or given by their indices in it, with
--images and --queries. The features of the training images are computed once for each checkpoint
and kept in DIR/analysis/features (or --features_dir): 16 kB an image, 21 GB for ILSVRC-2012. They
may be deleted; the next figure computes them again.

Writes predictions.json, neighbours.json and figure4.png, .svg and .pdf into DIR/analysis. The last
line is one JSON object: files, step, searched, seconds.
"""

import json

from absl import flags

from alexnet_jax.analysis import command
from alexnet_jax.analysis.figure4.figure import make_figure
from alexnet_jax.run import run_flags
from alexnet_jax.system import command_line


def define_flags() -> None:
    """Define the command line."""
    run_flags.define(data_dir=True, classes=True)
    flags.DEFINE_integer("seed", 0, "Draws the images.")
    flags.DEFINE_list("images", [], "Validation images to classify, by index.")
    flags.DEFINE_list("queries", [], "Validation images to find neighbours of, by index.")
    flags.DEFINE_string("features_dir", "", "Folder of the training images' features.")


def main(_) -> None:
    """Make the figure of the run that the flags name."""
    values = flags.FLAGS
    images = command.numbers("images", values.images)
    queries = command.numbers("queries", values.queries)
    result = make_figure(
        *command.load(train=True),
        seed=values.seed,
        images=images,
        queries=queries,
        features_dir=values.features_dir,
    )
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
