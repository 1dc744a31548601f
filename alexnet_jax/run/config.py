"""Configurations: checked before anything starts, written into the run's folder, compared."""

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import architecture, resolving

# A run may go on with other values of these: they change where and how, not what is computed.
FREE = (
    "init_from",
    "init_layers",
    "data.dir",
    "data.prepared_dir",
    "data.workers",
    "mesh.",
    "checkpoint.",
    "distributed.",
    "log.tensorboard",
    "log.plateau_steps",
    "evaluate.batch_size",
)


_AT_LEAST = {
    "epochs": 1,
    "batch_size": 1,
    "optimizer.learning_rate": 0,
    "optimizer.bias_learning_rate": 0,
    "optimizer.momentum": 0,
    "optimizer.weight_decay": 0,
    "schedule.patience": 1,
    "schedule.drops": 0,
    "schedule.dexp_steps": 1,
    "mesh.cpu_devices": 1,
    "distributed.timeout_seconds": 5,
    "checkpoint.every_steps": 0,
    "evaluate.every_epochs": 1,
    "evaluate.batch_size": 1,
    "log.every_steps": 1,
    "log.plateau_steps": 1,
    "data.max_bad_fraction": 0,
    "data.workers": 0,
    "data.colour_std": 0,
    "data.colour_until": 0,
    "data.crop_chunk": 1,
}
_CHOICES: dict[str, tuple] = {
    "data.builder": ("ilsvrc", "image_folder", "shapes"),
    "data.release": ("2012", "2010", "fall2011"),
    "data.storage": ("jpeg", "raw"),
    "data.resize": ("aspect", "warp"),
    "data.resize_filter": ("area", "bilinear", "lanczos", "opencv_area", "opencv_linear"),
    "data.mean": ("image", "centre", "channel", "values", "file", "centre_file", "none"),
    "data.crop_form": ("window", "resized"),
    "data.colour_unit": ("eigenvalue", "deviation"),
    "optimizer.decay_form": ("velocity", "decoupled"),
    "optimizer.rate_form": ("inside", "outside"),
    "schedule.kind": ("plateau", "epochs", "dexp"),
    "evaluate.views": (1, 5, 10),
}


def check(config: ConfigDict) -> None:
    """Refuse numbers that no run can have; the model's own are checked by `arch.resolve`.

    Raises:
      ConfigError: the field, what it takes and what it got.
    """
    flat = flattened(config)
    if missing := [name for name in (*_AT_LEAST, *_CHOICES) if name not in flat]:
        raise ConfigError(
            f"the config has no {', '.join(missing)}: another version of this program wrote it; "
            "use that version, or train anew"
        )
    for name, least in _AT_LEAST.items():
        if not flat[name] >= least:
            raise ConfigError(f"{name} is at least {least}; got {flat[name]}")
    for name in ("schedule.factor", "schedule.min_improvement"):
        if not 0 < flat[name] < 1:
            raise ConfigError(f"{name} is above 0 and below 1; got {flat[name]}")
    if not flat["schedule.dexp_factor"] > 0:
        raise ConfigError(f"schedule.dexp_factor is above 0; got {flat['schedule.dexp_factor']}")
    for name, allowed in _CHOICES.items():
        if flat[name] not in allowed:
            listed = ", ".join(map(str, allowed))
            raise ConfigError(f"{name} is one of {listed}; got {flat[name]!r}")
    if not _three_numbers(flat["data.mean_values"]):
        raise ConfigError(f"data.mean_values is three numbers; got {flat['data.mean_values']}")
    divide_by = flat["data.divide_by"]
    if not (_three_numbers(divide_by) and min(divide_by) > 0):
        raise ConfigError(f"data.divide_by is three numbers above 0; got {divide_by}")
    if not 0 <= flat["seed"] < 2**32:  # JAX's keys drop what is above
        raise ConfigError(f"seed is a whole number from 0 to 2**32 - 1; got {flat['seed']}")
    if not flat["optimizer.momentum"] < 1:
        raise ConfigError(f"optimizer.momentum is below 1; got {flat['optimizer.momentum']}")
    epochs = flat["schedule.epochs"]
    if not (isinstance(epochs, list) and all(type(at) is int and at >= 0 for at in epochs)):
        raise ConfigError(f"schedule.epochs is whole numbers, as in (60, 80); got {epochs!r}")
    _check_layers(config.schedule.layers, resolving.resolve(config.model).layers)


def _three_numbers(values: Any) -> bool:
    return (
        isinstance(values, list) and len(values) == 3 and all(_is_number(value) for value in values)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_layers(rows: Any, layers: Iterable[architecture.Layer]) -> None:
    """Refuse rows of schedule.layers that the net or the clock cannot follow."""
    names = [layer.name for layer in layers]
    for row in rows:
        if not isinstance(row, list | tuple) or len(row) != 3:
            raise ConfigError(
                "schedule.layers holds rows of (layer, epoch, factor), as in "
                f"(('conv1', 67, 0.1),); got {row!r}"
            )
        layer, epoch, factor = row
        if layer not in names:
            raise ConfigError(f"schedule.layers names one of {', '.join(names)}; got {layer!r}")
        if type(epoch) is not int or epoch < 0:
            raise ConfigError(f"schedule.layers: the epoch is a whole number; got {row!r}")
        if not _is_number(factor) or factor < 0:
            raise ConfigError(f"schedule.layers: the factor is at least 0; got {row!r}")


def to_json(config: ConfigDict) -> str:
    """Return the configuration as indented JSON."""
    return json.dumps(config.to_dict(), indent=2) + "\n"


def from_json(text: str) -> ConfigDict:
    """Return the configuration of a run's config.json, locked."""
    found = json.loads(text)
    model = found.get("model")
    if isinstance(model, dict) and "spec" in model:  # what older versions called it
        model["arch"] = model.pop("spec")
    return ConfigDict(found).lock()


def fingerprint(config: ConfigDict) -> str:
    """Return a hash of all that matters to the numbers of a run."""
    matters = _what_matters(config)
    matters["model.spec"] = matters.pop("model.arch")  # its name when the first runs were hashed
    text = json.dumps(sorted(matters.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Return a line for each field that matters and differs, "name: old -> new"."""
    before, after = _what_matters(old), _what_matters(new)
    return [
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _what_matters(config: ConfigDict) -> dict[str, Any]:
    free = FREE if config.schedule.kind == "dexp" else (*FREE, "epochs")
    return {k: v for k, v in flattened(config).items() if not k.startswith(free)}


def flattened(config: ConfigDict) -> dict[str, Any]:
    """Return dotted names and values, as JSON would give them back."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, section: dict) -> None:
        for name, value in section.items():
            if isinstance(value, dict):
                walk(f"{prefix}{name}.", value)
            else:
                flat[prefix + name] = value

    walk("", json.loads(json.dumps(config.to_dict())))
    return flat
