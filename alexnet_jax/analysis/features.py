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
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import flags

from alexnet_jax import command_line, saved_run
from alexnet_jax.analysis import command, feature_export
from alexnet_jax.analysis.extraction import extractor, feature_shape, last_hidden
from alexnet_jax.analysis.images import split_images
from alexnet_jax.data.files import batches, image_files, squares
from alexnet_jax.data.images import BadImageError
from alexnet_jax.data.loader import Batch
from alexnet_jax.data.resize import Resize
from alexnet_jax.errors import ConfigError
from alexnet_jax.evaluation import SPLIT, batch_size_for, predicted
from alexnet_jax.saved_run import SavedNet


def features(
    nets: Sequence[SavedNet], images: Iterator[Batch], layer: str, out: pathlib.Path
) -> dict[str, Any]:
    """Write the features of some images and return what FILE.json holds.

    Args:
      nets: whose features stand side by side.
      images: batches with `file`, as of images.py or files.py.
      layer: name of an activation; "": the last hidden one.
      out: .npz or .array_record.

    Raises:
      ConfigError: no such layer, layers of different sizes, or another ending.
      DataError: the file cannot be written, or the images cannot be read.
    """
    feature_export.check_ending(out)
    layer = layer or last_hidden(nets[0].net)[1]
    shapes = [feature_shape(net, layer) for net in nets]
    if len(set(shapes)) > 1:
        raise ConfigError(f"{layer} has shapes {shapes} in these nets: give nets of one kind")
    shape = (*shapes[0][:-1], len(nets) * shapes[0][-1])
    answers = predicted([extractor(net, layer) for net in nets], images)
    parts = ((np.concatenate(list(values), axis=-1), batch) for values, batch in answers)
    count = feature_export.write(out, shape, parts)
    return {
        "layer": layer,
        "shape": [count, *shape],
        "images": count,
        "nets": [{"workdir": str(net.workdir), "step": int(net.state.step)} for net in nets],
    }


def main(flags_of_run: command.RunFlags, words: list[str], **asked: str) -> int:
    """Export what the flags and the words after them name."""
    begin, bad = time.perf_counter(), 0

    def name(error: BadImageError) -> None:
        nonlocal bad
        bad += 1
        print(f"error: {error}", file=sys.stderr, flush=True)

    out = pathlib.Path(asked["out"])
    feature_export.check_ending(out)
    paths = image_files(words) if words else []
    nets = saved_run.load_nets(flags_of_run.workdirs, flags_of_run.checkpoint)
    config = nets[0].config
    size = batch_size_for(*(net.mesh for net in nets), asked=config.evaluate.batch_size)
    if words:
        resize = Resize(config.data.resize, config.data.resize_filter)
        found = batches(squares(paths, resize, config.data.workers), size, name)
        known: dict[str, Any] = {"split": None, "class_names": None}
    else:
        which: dict[str, Any] = {"train": asked["split"] == "train", "split": asked["split"]}
        dataset = saved_run.images(nets[0], flags_of_run.data_dir, **which)
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
