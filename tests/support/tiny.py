"""Runs small enough to be trained in a second: what the tests of whole runs have in common."""

import contextlib
import json
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from alexnet_jax.train import train
from tests.support import narrow_recipe

REPOSITORY = pathlib.Path(__file__).parents[2]
COLOURS = {"ant": (200, 40, 40), "bee": (40, 200, 40), "cow": (40, 40, 200)}  # one a class
TRAIN, VALIDATION = 42, 15  # images
TIMINGS = ("images_per_second", "step_ms", "data_wait_ms")
FLAGS = {
    "data.builder": "image_folder",
    "model.classes": 0,
    "model.width": 0.03,
    "model.image_size": 67,
    "schedule.kind": "plateau",
    "batch_size": 8,
    "evaluate.batch_size": 4,
    "log.every_steps": 1,
    "log.tensorboard": False,
    "checkpoint.every_steps": 2,
    "data.workers": 2,
    "data.validation_fraction": 0.1,
}
# With 42 images and batches of 8, epochs 1, 2 and 3 end with steps ceil(42/8), ceil(84/8), ...
EPOCH_ENDS = [6, 11, 16]


def config(folder: pathlib.Path, **changes) -> ConfigDict:
    """Return the narrow recipe made tiny, on the images that `write_images` put there.

    A double underscore stands for the dot: optimizer__learning_rate=1.0.
    """
    made = narrow_recipe.get_config()
    values = {**FLAGS, "data.dir": str(folder / "images"), "epochs": 3}
    values["data.prepared_dir"] = str(folder / "prepared")
    values |= {name.replace("__", "."): value for name, value in changes.items()}
    made.update_from_flattened_dict(values)
    return made


def data_config(folder: pathlib.Path, **changes) -> ConfigDict:
    """Return a config.data for folder/source, prepared in folder/prepared."""
    data = ConfigDict(
        {
            "builder": "image_folder",
            "release": "2012",
            "dir": str(folder / "source"),
            "prepared_dir": str(folder / "prepared"),
            "size": 256,
            "storage": "jpeg",
            "resize": "aspect",
            "resize_filter": "area",
            "validation_fraction": 0.1,
            "held_out": "class",
            "max_bad_fraction": 0.0,
            "workers": 2,
        }
    )
    data.update(changes)
    return data.lock()


class Unplugged(Exception):
    """The machine is gone."""


class Plug(contextlib.nullcontext):
    """In place of an Interrupt: pulled before the update that follows `step`."""

    number = None

    def __init__(self, step: int):
        super().__init__(self)
        self.step = step

    def asked(self, step: int) -> None:
        if step == self.step:
            raise Unplugged


def train_until_unplugged(made: ConfigDict, workdir: pathlib.Path, step: int) -> None:
    """Train, and stop without a word before the update that follows `step`; all saves are done."""
    with contextlib.suppress(Unplugged):
        train(made, workdir, interrupt=Plug(step))
    assert lines(workdir)[-1]["step"] == step


def write_images(folder: pathlib.Path) -> pathlib.Path:
    """Write images/{train,val}/{ant,bee,cow}/*.jpg, each class of one colour; return `folder`."""
    rng = np.random.default_rng(0)
    for split, count in (("train", TRAIN // 3), ("val", VALIDATION // 3)):
        for name, colour in COLOURS.items():
            place = folder / "images" / split / name
            place.mkdir(parents=True)
            for i in range(count):
                noise = rng.integers(-40, 40, (8, 8, 3))
                blocks = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(blocks).resize((40, 30)).save(place / f"{i}.jpg")
    return folder


def start(*flags: str, module: str = "main") -> subprocess.Popen:
    """Start a command line of the program."""
    return subprocess.Popen(
        [sys.executable, "-m", f"alexnet_jax.{module}", *flags],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_flags(folder: pathlib.Path, workdir: pathlib.Path, **changes) -> list[str]:
    """Return the command line of the tiny run."""
    values = {**FLAGS, "data.dir": folder / "images", "data.prepared_dir": folder / "prepared"}
    values |= {"epochs": 3} | {name.replace("__", "."): value for name, value in changes.items()}
    return [
        "--config=tests/support/narrow_recipe.py",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in values.items()),
    ]


def lines(workdir: pathlib.Path) -> list[dict]:
    """Return the lines of metrics.jsonl without what differs from one run to the next."""
    text = (workdir / "metrics.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in record.items() if k not in TIMINGS} for record in records]


def bits(tree) -> dict[str, bytes]:
    """Return the bytes of each array of a tree by its path; a typed key by its data."""

    def of(x) -> bytes:
        if jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        x = np.asarray(x)
        return repr((x.dtype, x.shape)).encode() + x.tobytes()

    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path): of(x) for path, x in leaves}


def python_in(page: str, having: str) -> str:
    """Return the block of Python in a page that has this in it."""
    text = (REPOSITORY / page).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    (wanted,) = [block for block in blocks if having in block]
    return wanted
