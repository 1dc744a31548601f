"""Evaluate a trained net: centre crop or ten views, every image exactly once.

    python -m alexnet_jax.evaluate --workdir=runs/ilsvrc2012 --views=10 --checkpoint=best

    python -m alexnet_jax.evaluate --workdir=runs/imported --data_dir=/path/to/imagenet

The last line is one JSON object: images, views, loss, top1_error, top5_error, images_per_second.
"""

import json
import pathlib

from absl import flags

from alexnet_jax import command_line
from alexnet_jax.data import augment
from alexnet_jax.data.loader import eval_batches
from alexnet_jax.errors import CheckpointError
from alexnet_jax.evaluation import SPLIT, batch_size_for, evaluate, make_evaluate_step
from alexnet_jax.saved_run import load

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_VIEWS = flags.DEFINE_enum("views", "1", ["1", "10"], "Views of each image (paper 4.1).")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", "", "Images, train/<class>/<file> and val/<class>/<file>, in place of the run's."
)
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")


def main(_) -> None:
    """Evaluate the run that the flags name."""
    which = _CHECKPOINT.value
    if which not in ("best", "latest") and not which.isdigit():
        raise CheckpointError(f"--checkpoint is best, latest or a step; got {which!r}")
    run = load(pathlib.Path(_WORKDIR.value), which, _DATA_DIR.value)
    views = int(_VIEWS.value)
    batches = eval_batches(
        run.dataset,
        SPLIT,
        batch_size=batch_size_for(run.mesh, run.config.evaluate.batch_size),
        workers=run.config.data.workers,
    )
    consts = augment.constants(run.dataset.statistics, run.config.data)
    step = make_evaluate_step(run.net, run.mesh, views)
    found = evaluate(step, run.state, batches, consts, run.mesh)
    print(json.dumps({"images": found.pop("images"), "views": views, **found}))


if __name__ == "__main__":
    command_line.run(main)
