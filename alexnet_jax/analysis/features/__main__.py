"""Export a layer's features of many images, for other programs.

    python -m alexnet_jax.analysis.features --workdir=DIR --out=FILE.npz \
        [--workdir=DIR2 ...] [--layer=relu7] [--split=validation] [--checkpoint=best]

    python -m alexnet_jax.analysis.features --workdir=DIR --out=FILE.array_record FOLDER|IMAGE ...

The images are a split of the run's (or of --data_dir), or all image files below a folder; the
central view of each is taken. export.py describes the file. FILE.json beside it has layer, shape,
images, split, class_names, and workdir and step of each net. A file that cannot be read is named on
stderr and left out.

--layer is any activation: conv1, relu1, norm1, pool1, ..., fc7, relu7, dropout7, fc8. The default
is the last hidden layer after its nonlinearity, relu7. The channels or neurons of column 1 come
before those of column 2. The features of several nets are concatenated, in the order of --workdir.
Unit 5 of one seed is not unit 5 of another, so a mean over nets has a meaning for fc8 only:
`features.reshape(n, nets, classes).mean(1)`.

The last line is one JSON object: file, images, bad, shape, images_per_second. The exit code is 0,
or 1 if a file could not be read.
"""

import json
import time
from typing import Any

from absl import flags

from alexnet_jax.analysis import command
from alexnet_jax.analysis.features import export
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.input import files
from alexnet_jax.data.input.loader import eval_batches
from alexnet_jax.inference.predictor import batch_size_for
from alexnet_jax.run import run_flags
from alexnet_jax.run.restore import SPLIT, restore, split_cpu
from alexnet_jax.system import command_line
from alexnet_jax.system.paths import user_path


def define_flags() -> None:
    """Define the command line."""
    run_flags.define(several=True, data_dir=True, classes=True)
    flags.DEFINE_string("layer", "", "An activation; default: the last hidden layer's.")
    flags.DEFINE_enum("split", SPLIT, ["train", SPLIT, "test"], "Split of the run's images.")
    flags.DEFINE_string("out", None, "File to write, .npz or .array_record.", required=True)


def main(argv: list[str]) -> int:
    """Export the features of the images that the flags, or the words after them, name."""
    begin, bad = time.perf_counter(), files.BadFiles()
    values, words = flags.FLAGS, argv[1:]
    out, split = user_path(values.out), values.split
    export.check_ending(out)
    paths = files.image_files(words) if words else []
    split_cpu(values.workdir)
    nets = [restore(w, values.checkpoint, classes=values.classes) for w in values.workdir]
    config = nets[0].config
    size = batch_size_for(*(net.mesh for net in nets), asked=config.evaluate.batch_size)
    if words:
        resize = Resize.of(config.data)
        squares = files.squares(paths, resize, config.data.workers)
        batches = files.batches(squares, size, bad.append)
        source: dict[str, Any] = {"split": None, "class_names": None}
    else:
        dataset = nets[0].images(values.data_dir, train=split == "train", split=split)
        plain = eval_batches(dataset, split, batch_size=size, workers=config.data.workers)
        batches = export.with_names(dataset, split, plain)
        source = {"split": split, "class_names": dataset.class_names}
    content = export.export_features(nets, batches, values.layer, out)
    command.write_json(out.with_name(out.name + ".json"), {**content, **source})
    speed = round(content["images"] / (time.perf_counter() - begin), 2)
    result = {"file": str(out), "images": content["images"], "bad": len(bad)}
    result |= {"shape": content["shape"], "images_per_second": speed}
    print(json.dumps(result))
    return 1 if bad else 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main, words=True)
