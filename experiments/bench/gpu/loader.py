"""The loader, copies to the device and training fed by them, on pictures made for this.

    python -m experiments.bench.gpu.loader [--images=1000] [bench.data's flags]

Writes JPEG files of 500 x 375 pixels, about as large as ILSVRC's, and runs experiments.bench.data
on them without PyTorch. The last line is that program's.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import simplejpeg
from absl import flags
from PIL import Image

from alexnet_jax.errors import UserError
from alexnet_jax.system import command_line
from experiments.bench.turns import REPOSITORY

CLASSES = 10


def write_pictures(folder: pathlib.Path, count: int) -> None:
    """Write `count` pictures in {train,val}/CLASS: noise of several sizes, as photographs have."""
    rng = np.random.default_rng(0)
    layers = []
    for pixels, strength in ((6, 60), (48, 25), (375, 8)):
        noise = rng.normal(128, strength, (pixels, pixels * 4 // 3, 3)).clip(0, 255)
        layer = Image.fromarray(noise.astype(np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
        layers.append(np.asarray(layer, np.int16))
    for number in range(count):
        moved = [np.roll(layer, rng.integers(0, 375, 2), (0, 1)) for layer in layers]
        picture = (np.sum(moved, axis=0) - 2 * 128).clip(0, 255).astype(np.uint8)
        split = "val" if number % 10 == 0 else "train"
        place = folder / split / f"class{number // 10 % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.jpg").write_bytes(simplejpeg.encode_jpeg(picture, quality=92))


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_integer("images", 1000, "Written.", lower_bound=200)


def main(argv: list[str]) -> None:
    """Write the pictures and run the benchmark of data on them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write_pictures(folder / "images", flags.FLAGS.images)
        program = [sys.executable, "-m", "experiments.bench.data", "--config=ilsvrc2012"]
        values = {"data.builder": "image_folder", "data.dir": folder / "images"}
        values |= {"data.prepared_dir": folder / "prepared", "model.classes": CLASSES}
        program += [f"--config.{name}={value}" for name, value in values.items()]
        done = subprocess.run([*program, "--notorch", *argv[1:]], cwd=REPOSITORY)
        if done.returncode:
            raise UserError(f"experiments.bench.data ended with exit code {done.returncode}")


if __name__ == "__main__":
    define_flags()
    command_line.run(main, words=True)
