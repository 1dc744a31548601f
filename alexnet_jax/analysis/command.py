"""What the analysis commands share: the net and the images that flags name, and their files."""

import json
import pathlib
import tempfile
from typing import Any

from absl import flags

from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import ConfigError
from alexnet_jax.run.restore import Restored, restore, split_cpu
from alexnet_jax.system.atomic_file import make_folder, unwritable, write_atomic
from alexnet_jax.system.paths import user_path

FOLDER = "analysis"


def load(*, train: bool = False) -> tuple[Restored, PreparedDataset]:
    """Return the net and the images that the flags name."""
    values = flags.FLAGS
    split_cpu([values.workdir])
    restored = restore(values.workdir, values.checkpoint, classes=values.classes)
    return restored, restored.images(values.data_dir, train=train)


def output_folder(workdir: pathlib.Path, named: str = "") -> pathlib.Path:
    """Return the folder that the user named, or the run's for the analysis; it is made.

    Raises:
      ConfigError: it cannot be made or written.
    """
    folder = user_path(named) if named else workdir / FOLDER
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ConfigError(unwritable(folder, error)) from error


def write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Write a JSON file, completely or not at all."""
    write_atomic(path, json.dumps(content) + "\n")


def numbers(flag: str, values: list[str]) -> list[int]:
    """Return the whole numbers of a list flag.

    Raises:
      ConfigError: a value is no whole number.
    """
    if wrong := [value for value in values if not value.strip().isdecimal()]:
        raise ConfigError(f"--{flag} are whole numbers with commas between; got {wrong[0]!r}")
    return [int(value) for value in values]
