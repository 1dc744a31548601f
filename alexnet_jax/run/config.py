"""Configs: made, checked before anything starts, written into the run's folder, compared.

The fields themselves are described in config_fields.py and, for config.model, in
net/architecture.py.
"""

import hashlib
import json
import runpy
from collections.abc import Iterable
from typing import Any

from flax import traverse_util
from ml_collections import ConfigDict, FieldReference

from alexnet_jax import schema
from alexnet_jax.config_fields import Config, all_fields
from alexnet_jax.errors import ConfigError
from alexnet_jax.net import resolving
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.system import recipes

# Fields that a run may change when it goes on: where and how it computes, not what.
FREE = frozenset(path for path, field in all_fields().items() if field.resume is True)


def base_config() -> ConfigDict:
    """Return the paper's recipe, locked: every field of the config with its default."""
    config = schema.to_config(Config(), _default)
    config.model = resolving.overrides("paper")
    return config.lock()


def recipe(name: str) -> ConfigDict:
    """Return the config of a recipe, locked.

    Args:
      name: of one of the package, such as quickstart, or the path of a file.

    Raises:
      ConfigError: there is no such recipe.
    """
    return runpy.run_path(recipes.find(name))["get_config"]().lock()


def _default(field: schema.Field) -> Any:
    if field.type is Any:
        return FieldReference(field.value, field_type=object)
    return field.value


def check(config: ConfigDict) -> None:
    """Refuse what no run can have.

    Raises:
      ConfigError: the field, what it takes and what it got; or a missing or unknown field.
    """
    values, fields = flattened(config), all_fields()
    if missing := [name for name in fields if name not in values]:
        raise ConfigError(f"the config has no {', '.join(missing)}")
    if unknown := [name for name in values if name not in fields]:
        raise ConfigError(
            f"the config has {', '.join(unknown)}, which this version of the program does not know"
        )
    for name, field in fields.items():
        if not name.startswith("model."):  # `resolve` checks those, with the row's values
            schema.check(field, values[name])
    arch = resolving.resolve(config.model)
    if arch.image_size > config.data.size:
        raise ConfigError(
            f"model.image_size is at most data.size={config.data.size}, from which the views are "
            f"cut; got {arch.image_size}"
        )
    names = [layer.name for layer in arch.layers]
    _check_layers(config.schedule.layers, names)
    _check_decays(config.optimizer.layer_weight_decay, names)


def _check_layers(rows: Iterable, names: list[str]) -> None:
    """Refuse rows of schedule.layers that do not fit the net, or whose numbers make no sense."""
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
        if not schema.is_number(factor) or factor < 0:
            raise ConfigError(f"schedule.layers: the factor is at least 0; got {row!r}")


def _check_decays(rows: Iterable, names: list[str]) -> None:
    """Refuse rows of optimizer.layer_weight_decay that do not fit the net."""
    for row in rows:
        if (
            not isinstance(row, list | tuple)
            or len(row) != 2
            or row[0] not in names
            or not schema.is_number(row[1])
            or row[1] < 0
        ):
            raise ConfigError(
                "optimizer.layer_weight_decay holds rows of (layer, weight decay of at least 0), "
                f"of the layers {', '.join(names)}, as in (('fc8', 1.0),); got {row!r}"
            )


def idle(config: ConfigDict, given: Iterable[str]) -> list[str]:
    """Return a line for each of the fields `given` that has no effect.

    Such a flag is usually a mistake: an ablation by it would compare a run with itself.

    Args:
      given: names of the fields that a command line sets, such as schedule.patience.

    Raises:
      ConfigError: no run can have this config.
    """
    check(config)
    asked, arch = set(given), resolving.resolve(config.model)
    net = schema.fields(arch, "model.")
    values = flattened(config) | {field.path: field.value for field in net}
    lines: dict[str, str] = {}
    for name, field in all_fields().items():
        for other, needed in field.effects if name in asked else ():
            if values[other] not in needed:
                where = f"{other} is {' or '.join(map(str, needed))}, not {values[other]}"
                lines[name] = f"{name}={values[name]} changes nothing: it counts where {where}"
        if name in asked and (lacks := _lacked(arch, name)):
            lines[name] = f"{name}={values[name]} changes nothing: arch {arch.name} has no {lacks}"
    return list(lines.values())


def _lacked(arch: Architecture, name: str) -> str:
    """Return the layer or operation that a field of config.model is of, if the net lacks it."""
    *section, last = name.split(".")
    if section in (["model", "init", "std"], ["model", "init", "bias"]):
        there = {layer.name for layer in arch.layers if not layer.identity}
        return "" if last in there else last
    operation = {"model.dropout": "dropout", "model.lrn": "norm"}.get(".".join(section), "")
    return "" if operation in {"", *(op for row in arch.layers for op in row.then)} else operation


def to_json(config: ConfigDict) -> str:
    """Return the configuration as indented JSON."""
    return json.dumps(config.to_dict(), indent=2) + "\n"


def from_json(text: str) -> ConfigDict:
    """Return the configuration of a run's config.json, without fields added since, locked.

    Raises:
      ConfigError: it is no config.
    """
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("expected {...}")
        if isinstance(values.get("model"), dict):
            values["model"] = renamed(values["model"])
        config = ConfigDict(values).lock()
        names = flattened(config)
    except Exception as error:  # json and ml_collections raise many kinds
        raise ConfigError(f"it is no config: {' '.join(str(error).split()):.200}") from error
    if strange := [name for name in names if not name.replace(".", "_").isidentifier()]:
        raise ConfigError(f"it is no config: {strange[0]!r:.200} is no name of a field")
    return config


def renamed(model: dict[str, Any]) -> dict[str, Any]:
    """Return the values of config.model with `arch` for `spec`, its name in older runs."""
    return {"arch" if name == "spec" else name: value for name, value in model.items()}


def complete(config: ConfigDict) -> ConfigDict:
    """Return an older run's config with the fields added since, set to what it did, locked.

    Raises:
      ConfigError: it names no net, or a field has a value of another type.
    """
    given = flattened(config)
    if "model.arch" not in given:
        raise ConfigError("it has no model.arch")
    found = traverse_util.unflatten_dict(given, sep=".")
    for name, field in all_fields().items():
        of_model = name.startswith("model.")
        before = field.before
        if before is schema.ABSENT:
            before = None if of_model else field.value  # unset: the row of the net has it
        value = schema.put(found, name, before)
        if value is not None or not of_model:
            schema.check_type(field, value)
    return ConfigDict(found).lock()


def fingerprint(config: ConfigDict) -> str:
    """Return a hash of all fields that change what a run computes."""
    matters = _what_matters(config)
    matters["model.spec"] = matters.pop("model.arch")  # the name that older runs hashed
    for name, field in all_fields().items():
        before = list(field.before) if isinstance(field.before, tuple) else field.before  # as JSON
        if before is not schema.ABSENT and matters.get(name) == before:
            del matters[name]  # older runs did the same without the field
    text = json.dumps(sorted(matters.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Return "name: old -> new" for each field that differs and changes what a run computes."""
    before, after = _what_matters(old), _what_matters(new)
    return [
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _what_matters(config: ConfigDict) -> dict[str, Any]:
    values = flattened(config)
    free = {name for name, field in all_fields().items() if schema.holds(field.resume, values)}
    return {name: value for name, value in values.items() if name not in free}


def flattened(config: ConfigDict) -> dict[str, Any]:
    """Return dotted names and values, with the types that JSON keeps."""
    return traverse_util.flatten_dict(json.loads(json.dumps(config.to_dict())), sep=".")
