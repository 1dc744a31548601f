"""Read a run's folder for the report, even if it is damaged or of another version."""

import dataclasses
import functools
import itertools
import pathlib
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import architecture, resolving
from alexnet_jax.run import config as configs
from alexnet_jax.run import dataset_info, evaluations, folder, metrics_file
from alexnet_jax.run.metrics_file import COLOUR, Line
from alexnet_jax.schema import is_number
from alexnet_jax.system.json_text import parse_json


@dataclasses.dataclass(frozen=True)
class Record:
    """The content of a run's folder.

    Attributes:
      workdir: the folder.
      name: the run's name on the page.
      config: config.json.
      environment: environment.json; empty if it cannot be read.
      class_count: number of classes in classes.json; None if it cannot be read.
      train_images: number of images in statistics.npz; None if it cannot be read.
      lines: of metrics.jsonl.
      damaged: number of damaged lines.
      evaluations: evaluate's results: step, views, resize, images, loss, top1_error, top5_error.
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
        """Return (epoch, value) of a field, from the lines that have it."""
        lines = (line for line in self.lines if line["split"] == split and field in line)
        return [(line["epoch"], line[field]) for line in lines]

    def colour(self, column: int) -> list[tuple[float, float]]:
        """Return (epoch, share of colour) of a column of conv1, from the validations."""
        return [(x, shares[column]) for x, shares in self.of("val", COLOUR) if column < len(shares)]

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """The config with dotted names."""
        return configs.flattened(self.config)

    def setting(self, name: str, default: Any = None) -> Any:
        """Return a setting, or `default` if the run's version had none of that name."""
        return self.settings.get(name, default)

    def number(self, name: str) -> float | None:
        """Return a setting that is a number; None if it is missing, or damaged."""
        value = self.setting(name)
        return value if is_number(value) else None

    @property
    def validations(self) -> list[Line]:
        """The lines of validations with an error."""
        return [x for x in self.lines if x["split"] == "val" and "top1_error" in x]

    @property
    def best(self) -> Line | None:
        """The validation with the lowest top-1 error, that of `--checkpoint=best`.

        Of equal ones it is the latest, as for Orbax.
        """
        lines = self.validations
        return min(lines, key=lambda line: (line["top1_error"], -line["step"]), default=None)

    @property
    def epoch(self) -> float:
        """Epochs done, from the log."""
        return max((line["epoch"] for line in self.lines), default=0.0)

    @property
    def epochs(self) -> float | None:
        """Epochs to do."""
        return self.number("epochs")

    @property
    def finished(self) -> bool:
        """Whether the last epoch is validated."""
        done = max((line["epoch"] for line in self.validations), default=0.0)
        return self.epochs is not None and done >= self.epochs

    @property
    def classes(self) -> int | None:
        """Number of classes; None if the data determine it and the folder does not have it."""
        if self.class_count is not None:
            return self.class_count
        arch = self.arch
        return arch.classes if arch and self.setting("model.classes") != 0 else None

    @functools.cached_property
    def arch(self) -> architecture.Architecture | None:
        """The net, or None if this version does not have it."""
        try:
            return resolving.resolve(self.config.model)
        except (ConfigError, AttributeError, KeyError, TypeError, ValueError):
            return None

    def images(self, split: str) -> int | None:
        """Return the number of images of a split, "train" or "validation", if it is known."""
        if split == "validation":
            return next((int(x["images"]) for x in self.validations if "images" in x), None)
        if self.train_images is not None:
            return self.train_images
        batch, last = self.number("batch_size"), self.lines[-1] if self.lines else None
        if not batch or not last or not last["epoch"]:
            return None
        return round(last["step"] * batch / last["epoch"])  # epoch has four decimals

    def seconds(self, split: str) -> float:
        """Return the time that training or the validations took, from the log."""
        if split == "val":
            timed = [x for x in self.validations if x.get("images_per_second")]
            return sum(x.get("images", 0) / x["images_per_second"] for x in timed)
        total, batch = 0.0, self.number("batch_size") or 0
        train = [x for x in self.lines if x["split"] == "train"]
        for before, line in itertools.pairwise([{"step": 0}, *train]):
            if rate := line.get("images_per_second"):
                total += (line["step"] - before["step"]) * batch / rate
        return total

    @property
    def drops(self) -> list[tuple[float, float, float]]:
        """(epoch, learning rate before, after) of each drop of the learning rate."""
        rates = [(x["epoch"], x["learning_rate"]) for x in self.lines if "learning_rate" in x]
        pairs = itertools.pairwise(rates)
        return [(epoch, old, new) for (epoch, old), (_, new) in pairs if new < old]

    @property
    def by_hand(self) -> list[tuple[int, float]]:
        """(step, learning rate from there on) of each change by hand."""
        first: dict[int, float] = {}
        for line in self.lines:
            if "by_hand_at" in line and "learning_rate" in line:
                first.setdefault(int(line["by_hand_at"]), line["learning_rate"])
        return list(first.items())


def read(workdir: pathlib.Path, name: str = "") -> Record:
    """Return the content of a run's folder.

    Raises:
      CheckpointError: there is no run, or its config.json cannot be read.
    """
    config = folder.read_config(workdir, as_it_is=True)
    lines, damaged = metrics_file.read(workdir / "metrics.jsonl")
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
        return parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def _class_count(path: pathlib.Path) -> int | None:
    classes = _json(path)
    return len(classes) if isinstance(classes, list) and len(classes) > 1 else None


def _train_images(path: pathlib.Path) -> int | None:
    """Return the number of images in statistics.npz, without reading its mean image."""
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            return int(file["images"])
    except Exception:  # zipfile, zlib and NumPy each raise their own kinds
        return None


def _is_evaluation(line: Line) -> bool:
    figures = ("step", "views", "images", "loss", "top1_error", "top5_error")
    return isinstance(line["resize"], str) and all(is_number(line.get(name)) for name in figures)
