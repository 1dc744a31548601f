"""A run's folder: its configuration, the environment it ran in, and what may go on in it."""

import json
import os
import pathlib
import platform
import subprocess
import sys
from importlib import metadata

import jax
from ml_collections import ConfigDict

from alexnet_jax import config as configs
from alexnet_jax.errors import CheckpointError, ConfigError
from alexnet_jax.whole_file import write_whole

REPORT_FILE = "report.html"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def open_folder(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Make the folder, or make sure that the run in it is this one.

    Raises:
      ConfigError: the folder holds a run whose config differs in what matters, or cannot be made.
    """
    path = workdir / "config.json"
    if path.exists() and (different := configs.differences(read_config(workdir), config)):
        raise ConfigError(
            f"{workdir} holds a run with another config ({'; '.join(different)}): "
            "give its values again to go on with it, or another --workdir to begin anew"
        )
    write_whole(path, configs.to_json(config), ConfigError)
    text = json.dumps(environment(), indent=2) + "\n"
    write_whole(workdir / "environment.json", text, ConfigError)


def read_config(workdir: pathlib.Path) -> ConfigDict:
    """Return the config of the run in this folder.

    Raises:
      CheckpointError: there is no run, or its config.json cannot be read.
    """
    path = workdir / "config.json"
    try:
        return configs.from_json(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{workdir} holds no run: {path} is not there") from None
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def mean_file(workdir: pathlib.Path, config: ConfigDict) -> str:
    """Return config.data.mean_file, found: a run that was imported has its own in its folder."""
    path = workdir / config.data.mean_file
    return str(path) if path.is_file() else config.data.mean_file


def environment() -> dict:
    """Return versions, devices, host and commit."""
    return {
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "devices": [f"{device.platform}:{device.device_kind}" for device in jax.devices()],
        "processes": jax.process_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "command": [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": _commit(),
    }


def _commit() -> str | None:
    """Return the source's commit, marked where it has changed since; None outside a clone."""
    here = pathlib.Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
