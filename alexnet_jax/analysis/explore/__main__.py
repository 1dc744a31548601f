"""Look inside a trained net: its channels on your pictures, layer by layer, on one page.

    python -m alexnet_jax.analysis.explore --workdir=DIR IMAGE... [--out=explore.html] \
        [--training_images=5000]

Writes DIR/explore.html, or the file that --out names. The page needs no network. It steps through
the net as figure 2 of the paper has it, and shows at each step the channels of both columns, what
crosses between them, and the numbers of normalization and pooling under the pointer. Below a unit
of conv5 or fc7 are the nine training images that drive it most, of as many as --training_images
says (pieces.py); none, if they are no longer prepared. Five pictures and the paper's net make about
13 MB. A file that cannot be read is named on stderr and left out.

The values in the page are rounded to half precision (packing.py). The last line is one JSON object:
file, images, bad, bytes. The exit code is 0, or 1 if a file could not be read.
"""

import json
import os

from absl import flags

from alexnet_jax.analysis.explore import content, page, pieces
from alexnet_jax.analysis.explore.activations import looker
from alexnet_jax.data.decode.images import BadImageError
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.input.files import BadFiles, image_files, squares
from alexnet_jax.errors import ConfigError, DataError
from alexnet_jax.run import run_flags
from alexnet_jax.run.restore import restore, split_cpu
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import check_writable, write_atomic
from alexnet_jax.system.paths import user_path

FILE = "explore.html"
MOST = 5  # pictures
SEARCHED = 5000  # training images: half a minute of the paper's net on two cores


def define_flags() -> None:
    """Define the command line."""
    run_flags.define(classes=True)
    flags.DEFINE_string("out", None, f"The file; by default DIR/{FILE}.")
    text = "How many training images to look at for those that drive a unit most; 0: none."
    flags.DEFINE_integer("training_images", SEARCHED, text, lower_bound=0)


def main(argv: list[str]) -> int:
    """Write the page of the pictures that the command line names."""
    values = flags.FLAGS
    paths = image_files(argv[1:])
    if len(paths) > MOST:
        raise ConfigError(f"a page has at most {MOST} images; got {len(paths)}: give fewer")
    split_cpu([values.workdir])
    restored = restore(values.workdir, values.checkpoint, classes=values.classes)
    out = user_path(values.out) if values.out else restored.workdir / FILE
    check_writable(out, ConfigError)
    dataset = pieces.training_images(restored, values.training_images)
    look, pictures, seen, bad = looker(restored), [], [], BadFiles()
    config = restored.config.data
    for path, pixels in squares(paths, Resize.of(config), config.workers):
        if isinstance(pixels, BadImageError):
            bad.append(pixels)
            continue
        seen.append(look(pixels))
        pictures.append(content.picture(restored, path, pixels, seen[-1]))
    if not pictures:
        raise DataError(f"{out} is not written: not one image could be read")
    of_training = None
    if dataset is not None:
        of_training = pieces.pieces(restored, dataset, values.training_images, seen)
    write_atomic(out, page.page(content.net(restored), pictures, of_training), DataError)
    result = {"file": str(out), "images": len(pictures), "bad": len(bad)}
    print(json.dumps({**result, "bytes": os.path.getsize(out)}))
    return 1 if bad else 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main, words=True)
