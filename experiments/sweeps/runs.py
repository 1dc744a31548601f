"""The runs of a sweep: which there are, what each is called, which are finished."""

import copy
import csv
import dataclasses
import hashlib
import itertools
import json
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from alexnet_jax.errors import ConfigError
from alexnet_jax.run import config as configs
from alexnet_jax.system import command_line, recipes
from alexnet_jax.system.atomic_file import write_atomic

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
    recipe: str  # digest of the config that they give: the file that --config names may change

    @property
    def name(self) -> str:
        """The folder's name, which tells setting and seed."""
        return self.workdir.name

    def finished(self) -> bool:
        """Whether these very flags, giving this very config, have been run to the end."""
        path = self.workdir / FINISHED
        return path.exists() and json.loads(path.read_text()) == self._noted()

    def note_finished(self) -> None:
        """Remember that it has come to its end."""
        write_atomic(self.workdir / FINISHED, json.dumps(self._noted(), indent=2) + "\n")

    def _noted(self) -> dict[str, Any]:
        return {"flags": list(self.flags), "recipe": self.recipe}


def digest(config: ConfigDict) -> str:
    """Return a hash of all values of a config."""
    text = json.dumps(configs.flattened(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def grid(varied: Sequence[str]) -> list[Setting]:
    """Return every combination of what is varied, the first values first.

    Args:
      varied: "field=value,value" each; a value with a comma in it stands in double quotes.

    Raises:
      ConfigError: no field, no value, or the same field twice.
    """
    fields = dict(map(_field_and_values, varied))
    if len(fields) < len(varied):
        raise ConfigError(f"--vary names each field once; got {' '.join(varied)}")
    rows = itertools.product(*fields.values())
    found = [tuple(zip(fields, row, strict=True)) for row in rows]
    return [
        Setting(",".join(f"{field}={value}" for field, value in overrides) or "base", overrides)
        for overrides in found
    ]


def _field_and_values(text: str) -> tuple[str, list[str]]:
    field, equals, values = text.partition("=")
    if not (field and equals):
        raise ConfigError(f"--vary is field=value,value,...; got {text!r}")
    if field == "seed":
        raise ConfigError("--vary leaves the seed alone: --seeds says how many there are")
    (row,) = csv.reader([values]) if values else [[""]]
    if len(set(row)) < len(row):
        raise ConfigError(f"--vary has a value twice: {text!r}")
    return field, row


def plan(
    settings: Sequence[Setting], config_flags: Sequence[str], seeds: int, out: pathlib.Path
) -> list[Run]:
    """Return all runs, the first seed of every setting first.

    Args:
      settings: which there are; the first is what the others are compared with.
      config_flags: --config=FILE and what holds for all runs, --config.field=value.
      seeds: runs of each setting: the config's seed and those after it.
      out: the folder of the runs' folders.

    Raises:
      ConfigError: a setting that no run can have, named; two settings of one name.
    """
    found = [_checked(setting, config_flags) for setting in settings]
    runs = []
    for k in range(seeds):
        for setting, config in zip(settings, found, strict=True):
            seed = config.seed + k
            workdir = out / _folder_name(f"{setting.name},seed={seed}")
            own = copy.deepcopy(config)
            own.seed = seed
            flags = (*config_flags, *setting.flags(), f"--config.seed={seed}")
            runs.append(Run(setting, seed, workdir, (*flags, f"--workdir={workdir}"), digest(own)))
    if len({run.workdir for run in runs}) < len(runs):
        raise ConfigError("two settings would have one folder: their names differ in signs only")
    return runs


def _checked(setting: Setting, given: Iterable[str]) -> ConfigDict:
    """Return the setting's config as alexnet_jax.main would read it, and refuse it early."""
    try:
        config = read_config((*given, *setting.flags()))
        configs.check(config)
    except ConfigError as error:
        raise ConfigError(f"{setting.name}: {error}") from None
    return config


def read_config(given: Sequence[str]) -> ConfigDict:
    """Return the config that these flags of alexnet_jax.main describe.

    Raises:
      ConfigError: no file, no such field, or a value of the wrong type.
    """
    argv = ["sweep", *given]
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    try:
        values(recipes.with_paths(argv))
        return holder.value
    except (AttributeError, KeyError) as error:
        raise ConfigError(command_line.not_in_config(given, error)) from None
    except (flags.Error, TypeError, ValueError, OSError) as error:
        raise ConfigError(str(error)) from None


def _folder_name(name: str) -> str:
    return re.sub(r"[^\w.=,+-]+", "_", name)
