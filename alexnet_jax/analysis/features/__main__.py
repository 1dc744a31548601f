"""A layer's features of many images, for use elsewhere.

    python -m alexnet_jax.analysis.features --workdir=DIR --out=FILE.npz \
        [--workdir=DIR2 ...] [--layer=relu7] [--split=validation] [--checkpoint=best]

    python -m alexnet_jax.analysis.features --workdir=DIR --out=FILE.array_record FOLDER|IMAGE ...

Of a split of the run's images (or --data_dir's), or of all image files below a folder; the central
view of each. feature_export.py says what is in the file; FILE.json beside it has layer, shape,
images, split, class_names, and workdir and step of each net. A file that cannot be read is named
on stderr and left out.

--layer is any activation: conv1, relu1, norm1, pool1, ..., fc7, relu7, dropout7, fc8. By default it
is the last hidden layer after its nonlinearity, relu7. The channels or neurons of column 1 stand
before those of column 2. Several nets' features stand side by side, in the order of the --workdir:
unit 5 of one seed is not unit 5 of another, so a mean over nets has no meaning, but for fc8, of
which `features.reshape(n, nets, classes).mean(1)` is the mean.

The last line is one JSON object: file, images, bad, shape, images_per_second. The exit code is 0,
or 1 where a file could not be read.
"""

import json
import pathlib
import sys
import time
from typing import Any

from absl import flags

from alexnet_jax.analysis import command
from alexnet_jax.analysis.features import export
from alexnet_jax.analysis.features.features import features
from alexnet_jax.analysis.features.images import split_images
from alexnet_jax.data.decode.images import BadImageError
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.input.files import batches, image_files, squares
from alexnet_jax.inference.predictor import batch_size_for
from alexnet_jax.run.restore import SPLIT, restore, split_cpu
from alexnet_jax.system import command_line


def main(flags_of_run: command.RunFlags, words: list[str], **asked: str) -> int:
    """Export what the flags and the words after them name."""
    begin, bad = time.perf_counter(), 0

    def name(error: BadImageError) -> None:
        nonlocal bad
        bad += 1
        print(f"error: {error}", file=sys.stderr, flush=True)

    out = pathlib.Path(asked["out"])
    export.check_ending(out)
    paths = image_files(words) if words else []
    split_cpu(flags_of_run.workdirs)
    nets = [restore(workdir, flags_of_run.checkpoint) for workdir in flags_of_run.workdirs]
    config = nets[0].config
    size = batch_size_for(*(restored.mesh for restored in nets), asked=config.evaluate.batch_size)
    if words:
        resize = Resize(config.data.resize, config.data.resize_filter)
        found = batches(squares(paths, resize, config.data.workers), size, name)
        known: dict[str, Any] = {"split": None, "class_names": None}
    else:
        which: dict[str, Any] = {"train": asked["split"] == "train", "split": asked["split"]}
        dataset = nets[0].images(flags_of_run.data_dir, **which)
        found = split_images(dataset, asked["split"], size, config.data.workers)
        known = {"split": asked["split"], "class_names": dataset.class_names}
    made = features(nets, found, asked["layer"], out)
    command.write_json(out.with_name(out.name + ".json"), {**made, **known})
    speed = round(made["images"] / (time.perf_counter() - begin), 2)
    said = {"file": str(out), "images": made["images"], "bad": bad, "shape": made["shape"]}
    print(json.dumps({**said, "images_per_second": speed}))
    return 1 if bad else 0


if __name__ == "__main__":
    _RUN = command.RunFlags(several=True)
    _LAYER = flags.DEFINE_string("layer", "", "An activation; default: the last hidden layer's.")
    _SPLIT = flags.DEFINE_enum("split", SPLIT, ["train", SPLIT, "test"], "Of the run's images.")
    _OUT = flags.DEFINE_string("out", None, "File to write, .npz or .array_record.", required=True)
    command_line.run(
        lambda argv: main(_RUN, argv[1:], layer=_LAYER.value, split=_SPLIT.value, out=_OUT.value),
        words=True,
    )
