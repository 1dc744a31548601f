"""What the analysis commands share: the flags that name a run, and where their files go."""

import json
import pathlib
import sys
import tempfile
from typing import Any

from absl import flags
from rich.console import Console

from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import CheckpointError, ConfigError
from alexnet_jax.run.restore import Restored, restore, split_cpu
from alexnet_jax.system.atomic_file import write_atomic

FOLDER = "analysis"
WIDTH = 120  # characters, where no terminal says


class RunFlags:
    """--workdir and --checkpoint, and --data_dir where images are looked at.

    To be made where a command starts and nowhere else: commands that are imported would define
    the same flags twice.
    """

    def __init__(self, *, several: bool = False, images: bool = True):
        define: Any = flags.DEFINE_multi_string if several else flags.DEFINE_string
        said = "Folder of the run" + ("; may be repeated." if several else ".")
        self._workdir = define("workdir", None, said, required=True)
        self._checkpoint = flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")
        self._data_dir = None
        if images:
            said = "Images, train/<class>/<file> and val/<class>/<file>, in place of the run's."
            self._data_dir = flags.DEFINE_string("data_dir", "", said)
        for name in ("workdir", "checkpoint", *(["data_dir"] if images else [])):
            # So that --help of the command shows it.
            flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])

    @property
    def workdir(self) -> pathlib.Path:
        """The run's folder, or the first."""
        return self.workdirs[0]

    @property
    def workdirs(self) -> list[pathlib.Path]:
        """All folders that were given."""
        given = self._workdir.value
        return [pathlib.Path(path) for path in ([given] if isinstance(given, str) else given)]

    @property
    def checkpoint(self) -> str:
        """Which checkpoint is asked for.

        Raises:
          CheckpointError: it is no step and has no name that we know.
        """
        which = self._checkpoint.value
        if which not in ("best", "latest") and not which.isdigit():
            raise CheckpointError(f"--checkpoint is best, latest or a step; got {which!r}")
        return which

    @property
    def data_dir(self) -> str:
        """The images in place of the run's own; "": none."""
        return "" if self._data_dir is None else self._data_dir.value

    def load(self, *, train: bool = False) -> tuple[Restored, PreparedDataset]:
        """Return the run's net and its images, or those of --data_dir."""
        split_cpu(self.workdirs)
        restored = restore(self.workdir, self.checkpoint)
        return restored, restored.images(self.data_dir, train=train)


def output_folder(workdir: pathlib.Path) -> pathlib.Path:
    """Return the folder for what analysis writes, made where it is missing.

    Raises:
      ConfigError: it cannot be made or written.
    """
    folder = workdir / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error.strerror}); mend that") from error


def write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    write_atomic(path, json.dumps(content) + "\n")


def console() -> Console:
    """Return where tables go: stdout, before the last line."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def numbers(flag: str, values: list[str]) -> list[int]:
    """Return the whole numbers of a list flag.

    Raises:
      ConfigError: one is none.
    """
    if wrong := [value for value in values if not value.strip().isdigit()]:
        raise ConfigError(f"--{flag} are whole numbers with commas between; got {wrong[0]!r}")
    return [int(value) for value in values]
