"""Learning rates that are set by hand while a run goes on, as the authors did (paper 5).

The run's config.json keeps the rates that it began with. RATES_FILE, beside the checkpoints, has
each change and the step from which it holds. So a run that falls back to an earlier checkpoint
changes its rates at the same steps again.
"""

import copy
import json
import pathlib

from ml_collections import ConfigDict

from alexnet_jax.errors import CheckpointError
from alexnet_jax.schema import is_number
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.json_text import parse_json

RATES_FILE = "learning_rates.json"
NAMES = ("learning_rate", "bias_learning_rate")  # fields of config.optimizer
FIELDS = tuple(f"optimizer.{name}" for name in NAMES)


class Rates:
    """The learning rates that a run began with, and those that were set by hand since.

    Args:
      directory: of the run's checkpoints; all processes of a run share it.

    Attributes:
      changes: for each, the step from which it holds, the values of NAMES, and `drop`: what the
        schedule had multiplied the learning rate by. The first is that of step 0.

    Raises:
      CheckpointError: RATES_FILE cannot be read.
    """

    def __init__(self, directory: pathlib.Path):
        self.path = directory / RATES_FILE
        self.changes: list[dict] = []
        self._configs: dict[int, ConfigDict] = {}  # by the step of a change
        if self.path.exists():
            try:
                self.changes = parse_json(self.path.read_bytes())
                whole = all(is_number(x[k]) for x in self.changes for k in (*NAMES, "step", "drop"))
                if not self.changes or not whole:
                    raise ValueError("it has other values")
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise CheckpointError(
                    f"{self.path} cannot be read: {error}; restore it from a copy"
                ) from error

    def as_begun(self, config: ConfigDict) -> ConfigDict:
        """Return a config with the rates that the run began with."""
        return _with(config, self.changes[0]) if self.changes else config

    def latest(self, config: ConfigDict) -> ConfigDict:
        """Return a config with the rates that were set last."""
        return _with(config, self.changes[-1]) if self.changes else config

    def begin(self, config: ConfigDict) -> None:
        """Write the rates of a run that has begun with this config, before the first change."""
        if not self.changes:
            self.changes = [_change(config, 0, 1.0)]
            self.write()

    def set(self, config: ConfigDict, step: int, drop: float) -> bool:
        """Set the rates to those of a config from a step on, and return whether they differ.

        Changes from this step on are forgotten: they were made after a checkpoint that is lost.
        """
        if not self.changes or all(config.optimizer[k] == self.changes[-1][k] for k in NAMES):
            return False
        kept = [change for change in self.changes[1:] if change["step"] < step]
        self.changes = [self.changes[0], *kept, _change(config, step, drop)]
        return True

    def write(self) -> None:
        """Write RATES_FILE.

        Raises:
          CheckpointError: it cannot be written.
        """
        write_atomic(self.path, json.dumps(self.changes, indent=1) + "\n", CheckpointError)

    def at(self, step: int) -> dict | None:
        """Return the change that holds for the update after `step` others; None: none was made."""
        made = [change for change in self.changes[1:] if change["step"] <= step]
        return made[-1] if made else None

    def config_at(self, config: ConfigDict, step: int) -> ConfigDict:
        """Return a config whose rates, multiplied by the schedule's drop, are right at a step.

        What is set by hand is the rate from that step on; only later drops multiply it.
        """
        change = self.at(step)
        if change is None:
            return config
        if change["step"] not in self._configs:
            drop = change["drop"]
            rate, bias = change["learning_rate"], change["bias_learning_rate"]
            bias = (bias or rate) / (drop if config.optimizer.bias_drops else 1.0)
            values = {"learning_rate": rate / drop, "bias_learning_rate": bias}
            self._configs[change["step"]] = _with(config, values)
        return self._configs[change["step"]]


def _with(config: ConfigDict, values: dict) -> ConfigDict:
    config = copy.deepcopy(config)
    for name in NAMES:
        config.optimizer[name] = float(values[name])
    return config


def _change(config: ConfigDict, step: int, drop: float) -> dict:
    rates = {name: float(config.optimizer[name]) for name in NAMES}
    return {"step": step, **rates, "drop": drop}
