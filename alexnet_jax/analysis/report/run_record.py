"""What a run left in its folder, read as it is: also of other versions, damaged or half-written."""

import dataclasses
import functools
import itertools
import json
import math
import pathlib
import zipfile
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import architecture, resolving
from alexnet_jax.run import config as configs
from alexnet_jax.run import dataset_info, evaluations, folder

Line = dict[str, Any]
COLOUR = "conv1_colour"  # of validations: a share for each column


@dataclasses.dataclass(frozen=True)
class Record:
    """A run as its folder tells it.

    Attributes:
      workdir: the folder.
      name: what the page calls the run.
      config: as config.json has it.
      environment: environment.json; empty where it cannot be read.
      class_count: how many classes.json names; None where that is not there.
      train_images: how many statistics.npz is of; likewise.
      lines: those of metrics.jsonl that are whole, by step; of two for the same, the later.
      damaged: how many are not.
      evaluations: what evaluate found: step, views, resize, images, loss, top1_error, top5_error.
    """

    workdir: pathlib.Path
    name: str
    config: ConfigDict
    environment: dict
    class_count: int | None
    train_images: int | None
    lines: list[Line]
    damaged: int
    evaluations: list[Line]

    def of(self, split: str, field: str) -> list[tuple[float, Any]]:
        """Return (epoch, value) of a figure, where a line has it."""
        lines = (line for line in self.lines if line["split"] == split and field in line)
        return [(line["epoch"], line[field]) for line in lines]

    def colour(self, column: int) -> list[tuple[float, float]]:
        """Return (epoch, share of colour) of a column of conv1, where a validation has it."""
        return [(x, shares[column]) for x, shares in self.of("val", COLOUR) if column < len(shares)]

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """The config with dotted names."""
        return configs.flattened(self.config)

    def setting(self, name: str, default: Any = None) -> Any:
        """Return a setting, or `default` where the run's version had none of that name."""
        return self.settings.get(name, default)

    def _number(self, name: str) -> float | None:
        found = self.setting(name)
        return found if _is_number(found) else None

    @property
    def validations(self) -> list[Line]:
        """The lines of validations that have an error."""
        return [x for x in self.lines if x["split"] == "val" and "top1_error" in x]

    @property
    def best(self) -> Line | None:
        """The validation with the lowest top-1 error, the one of `--checkpoint=best`.

        Of equal ones the latest, as Orbax has it.
        """
        lines = self.validations
        return min(lines, key=lambda line: (line["top1_error"], -line["step"]), default=None)

    @property
    def epoch(self) -> float:
        """Epochs done, as far as is logged."""
        return max((line["epoch"] for line in self.lines), default=0.0)

    @property
    def epochs(self) -> float | None:
        """Epochs to do."""
        return self._number("epochs")

    @property
    def finished(self) -> bool:
        """Whether the last epoch is validated."""
        done = max((line["epoch"] for line in self.validations), default=0.0)
        return self.epochs is not None and done >= self.epochs

    @property
    def classes(self) -> int | None:
        """How many classes there are; None where the data decide and did not leave it here."""
        if self.class_count is not None:
            return self.class_count
        arch = self.arch
        return arch.classes if arch and self.setting("model.classes") != 0 else None

    @functools.cached_property
    def arch(self) -> architecture.Architecture | None:
        """The net, or None where this version does not know it."""
        try:
            return resolving.resolve(self.config.model)
        except (ConfigError, AttributeError, KeyError, TypeError, ValueError):
            return None

    def images(self, split: str) -> int | None:
        """Return how many images a split has, "train" or "validation", as far as is known."""
        if split == "validation":
            return next((int(x["images"]) for x in self.validations if "images" in x), None)
        if self.train_images is not None:
            return self.train_images
        batch, last = self._number("batch_size"), self.lines[-1] if self.lines else None
        if not batch or not last or not last["epoch"]:
            return None
        return round(last["step"] * batch / last["epoch"])  # of an epoch with four decimals

    def seconds(self, split: str) -> float:
        """Return the time that training or the validations took, as far as is logged."""
        if split == "val":
            timed = [x for x in self.validations if x.get("images_per_second")]
            return sum(x.get("images", 0) / x["images_per_second"] for x in timed)
        total, batch = 0.0, self._number("batch_size") or 0
        train = [x for x in self.lines if x["split"] == "train"]
        for before, line in itertools.pairwise([{"step": 0}, *train]):
            if rate := line.get("images_per_second"):
                total += (line["step"] - before["step"]) * batch / rate
        return total

    @property
    def drops(self) -> list[tuple[float, float, float]]:
        """(epoch, rate before, rate after) of each fall of the learning rate."""
        rates = [(x["epoch"], x["learning_rate"]) for x in self.lines if "learning_rate" in x]
        pairs = itertools.pairwise(rates)
        return [(epoch, old, new) for (epoch, old), (_, new) in pairs if new < old]


def read(workdir: pathlib.Path, name: str = "") -> Record:
    """Return what a run left in its folder.

    Raises:
      CheckpointError: there is no run, or its config.json cannot be read.
    """
    config = folder.read_config(workdir, as_it_is=True)
    lines, damaged = _lines(workdir / "metrics.jsonl")
    environment = _json(workdir / "environment.json")
    return Record(
        workdir=workdir,
        name=name or workdir.resolve().name,
        config=config,
        environment=environment if isinstance(environment, dict) else {},
        class_count=_class_count(workdir / dataset_info.CLASSES_FILE),
        train_images=_train_images(workdir / dataset_info.STATISTICS_FILE),
        lines=lines,
        damaged=damaged,
        evaluations=[line for line in evaluations.read(workdir) if _is_evaluation(line)],
    )


def _json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _class_count(path: pathlib.Path) -> int | None:
    found = _json(path)
    return len(found) if isinstance(found, list) and len(found) > 1 else None


def _train_images(path: pathlib.Path) -> int | None:
    """Return what statistics.npz says, without reading its mean image."""
    try:
        with np.load(path) as file:
            return int(file["images"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _lines(path: pathlib.Path) -> tuple[list[Line], int]:
    try:
        texts = path.read_bytes().splitlines()
    except OSError:
        return [], 0
    known, damaged = {}, 0
    for text in texts:
        line = _line(text)
        if line is None:
            damaged += 1
        else:
            known[line["step"], line["split"]] = line
    return [known[key] for key in sorted(known)], damaged  # of a step: train, then val


def _line(text: bytes) -> Line | None:
    """Return a line with those of its figures that are numbers, or None."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("split") not in ("train", "val"):
        return None
    line = {key: value for key, value in found.items() if _is_figure(key, value)}
    step, epoch = line.get("step"), line.get("epoch", -1)
    if type(step) is not int or step < 0 or epoch < 0:
        return None
    return {**line, "split": found["split"]}


def _is_figure(key: str, value: Any) -> bool:
    if key == COLOUR:
        return isinstance(value, list) and all(map(_is_number, value))
    return _is_number(value)


def _is_evaluation(line: Line) -> bool:
    figures = ("step", "views", "images", "loss", "top1_error", "top5_error")
    return isinstance(line["resize"], str) and all(_is_number(line.get(name)) for name in figures)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
