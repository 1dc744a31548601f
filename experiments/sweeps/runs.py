"""The runs of a sweep: their settings and seeds, their folders, and whether they are finished."""

import copy
import csv
import dataclasses
import itertools
import json
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError
from alexnet_jax.run.config import check
from alexnet_jax.system.atomic_file import write_atomic
from experiments.support.recipe import digest, read_config

FINISHED = "finished.json"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Values of some fields of a config, under a name; none: the config as it is."""

    name: str
    overrides: tuple[tuple[str, str], ...] = ()  # (field, value as on the command line)

    def flags(self) -> tuple[str, ...]:
        """Return the values as flags of alexnet_jax.main."""
        return tuple(f"--config.{field}={value}" for field, value in self.overrides)


@dataclasses.dataclass(frozen=True)
class Run:
    """One setting with one seed, in a folder of its own."""

    setting: Setting
    seed: int
    workdir: pathlib.Path
    flags: tuple[str, ...]  # of alexnet_jax.main
    recipe: str  # digest of the resulting config, since the file of --config may change

    @property
    def name(self) -> str:
        """The folder's name, with setting and seed."""
        return self.workdir.name

    def finished(self) -> bool:
        """Whether a run with exactly these flags and this config has come to its end."""
        path = self.workdir / FINISHED
        return path.exists() and json.loads(path.read_text()) == self._identity()

    def note_finished(self) -> None:
        """Write that the run has come to its end."""
        write_atomic(self.workdir / FINISHED, json.dumps(self._identity(), indent=2) + "\n")

    def _identity(self) -> dict[str, Any]:
        return {"flags": list(self.flags), "recipe": self.recipe}


def grid(varied: Sequence[str]) -> list[Setting]:
    """Return every combination of the varied values, the first values first.

    Args:
      varied: "field=value,value" each; a value that has a comma stands in double quotes.

    Raises:
      ConfigError: no field, no value, or the same field twice.
    """
    fields = dict(map(_field_and_values, varied))
    if len(fields) < len(varied):
        raise ConfigError(f"--vary names each field once; got {' '.join(varied)}")
    rows = itertools.product(*fields.values())
    combinations = [tuple(zip(fields, row, strict=True)) for row in rows]
    return [
        Setting(",".join(f"{field}={value}" for field, value in overrides) or "base", overrides)
        for overrides in combinations
    ]


def _field_and_values(text: str) -> tuple[str, list[str]]:
    field, equals, values = text.partition("=")
    if not (field and equals):
        raise ConfigError(f"--vary is field=value,value,...; got {text!r}")
    if field == "seed":
        raise ConfigError("--vary does not take the seed: --seeds is the number of seeds")
    (row,) = csv.reader([values]) if values else [[""]]
    if len(set(row)) < len(row):
        raise ConfigError(f"--vary has a value twice: {text!r}")
    return field, row


def plan(
    settings: Sequence[Setting], recipe: Sequence[str], seeds: int, out: pathlib.Path
) -> list[Run]:
    """Return all runs, the first seed of every setting first.

    Args:
      settings: the first is compared with all others.
      recipe: flags for all runs: --config=FILE, --config.field=value.
      seeds: runs of each setting: the config's seed and those after it.
      out: the folder of the runs' folders.

    Raises:
      ConfigError: a setting that no run can have; two settings with one name.
    """
    configs = [_checked(setting, recipe) for setting in settings]
    runs = []
    for k in range(seeds):
        for setting, config in zip(settings, configs, strict=True):
            seed = config.seed + k
            workdir = out / _folder_name(f"{setting.name},seed={seed}")
            config = copy.deepcopy(config)
            config.seed = seed
            flags = (*recipe, *setting.flags(), f"--config.seed={seed}", f"--workdir={workdir}")
            runs.append(Run(setting, seed, workdir, flags, digest(config)))
    if len({run.workdir for run in runs}) < len(runs):
        raise ConfigError(
            "two settings would have one folder: their names differ in punctuation only"
        )
    return runs


def _checked(setting: Setting, recipe: Iterable[str]) -> ConfigDict:
    """Return the setting's config as alexnet_jax.main reads it; refuse it before any run begins."""
    try:
        config = read_config((*recipe, *setting.flags()))
        check(config)
    except ConfigError as error:
        raise ConfigError(f"{setting.name}: {error}") from None
    return config


def _folder_name(name: str) -> str:
    return re.sub(r"[^\w.=,+-]+", "_", name)
