"""From config.model to a net: a row of the table of architectures and the fields that override it.

`overrides` gives a config.model in which no field is set; `resolve` gives its net.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder

from alexnet_jax import schema
from alexnet_jax.errors import ConfigError
from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.variants import ARCHITECTURES


def overrides(name: str) -> ConfigDict:
    """Return config.model: the row's name, and every field that may be set, each unset (None)."""
    model = schema.to_config(ARCHITECTURES["paper"], _unset)
    model.arch = name
    return model


def _unset(field: schema.Field) -> FieldReference:
    if field.type is Any:
        return FieldReference(None, field_type=object)
    return placeholder(field.type)


def resolve(model: ConfigDict, in_dataset: int | None = None) -> Architecture:
    """Return the net that config.model describes: its row with the fields that are set.

    Args:
      model: config.model.
      in_dataset: the dataset's number of classes, which model.classes must equal unless it is 0;
        None: not known yet.

    Raises:
      ConfigError: a value that no net can have, or a number of classes that is not the dataset's.
    """
    arch = _with(_row(model.arch), model)
    if arch.classes == 0:
        arch = dataclasses.replace(arch, classes=in_dataset or 2)
    if in_dataset is not None and arch.classes != in_dataset:
        raise ConfigError(
            f"model.classes is {arch.classes} but the dataset has {in_dataset} classes: "
            "set model.classes=0 to take what it has"
        )
    _check(arch)
    _check_effect(arch, model)
    return _completed(arch, model.init.std)


def architecture(name: str, **changes: Any) -> Architecture:
    """Return a row of the table, with some of its fields changed; the net that `resolve` gives.

    Args:
      name: paper, code2012, small, ...
      changes: fields of `Architecture`, such as classes=10, norm="batch", drop_layers="conv3" or
        pool={"window": 2}, which keeps the row's other fields of the pooling. The deviations of an
        `Init` among them are those of the net as it is, whatever its width.

    Raises:
      ConfigError: there is no such row, or a value that no net can have.
    """
    arch, init = _with(_row(name), changes), changes.get("init", {})
    _check(arch)
    given = init.get("std", {}) if isinstance(init, Mapping) else dataclasses.asdict(init.std)
    return _completed(arch, given)


def layer_names(field: str, given: Any) -> tuple[str, ...]:
    """Return the names of layers that a field has, as a tuple or with commas between them.

    Raises:
      ConfigError: they are no names.
    """
    names = [given] if isinstance(given, str) else given
    if not (isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)):
        raise ConfigError(
            f"{field} is names of layers with commas between them; got {given!r:.200}"
        )
    return tuple(name.strip() for name in ",".join(names).split(",") if name.strip())


def _row(name: str) -> Architecture:
    if name not in ARCHITECTURES:
        raise ConfigError(f"model.arch is one of {', '.join(ARCHITECTURES)}; got {name!r}")
    return ARCHITECTURES[name]


def _completed(arch: Architecture, given: Mapping[str, float | None]) -> Architecture:
    """Return the net without the layers to drop, its deviations fit for its width.

    Args:
      arch: as it was asked for.
      given: deviations that were asked for, by the layer's name; None: not this one.
    """
    arch = _drop(arch, layer_names("model.drop_layers", arch.drop_layers))
    return _scaled(arch, given) if arch.init.scale_with_width else arch


def _with(row: Any, section: ConfigDict | Mapping[str, Any]) -> Any:
    changes = {}
    for name, value in section.items():
        if name == "arch":
            continue
        if isinstance(value, ConfigDict | Mapping) and name != "widths":
            changes[name] = _with(getattr(row, name), value)
            if name == "pool":
                changes["layers"] = tuple(_with_pool(layer, value) for layer in row.layers)
        elif value is not None:
            changes[name] = value
    return dataclasses.replace(row, **changes)


def _with_pool(layer: Layer, section: ConfigDict) -> Layer:
    return dataclasses.replace(layer, pool=layer.pool and _with(layer.pool, section))


def _check(arch: Architecture) -> None:
    for field in schema.fields(arch, "model."):
        schema.check(field, field.value)
    if arch.columns not in arch.widths:
        forms = " or ".join(map(str, sorted(arch.widths)))
        raise ConfigError(f"model.columns of {arch.name} is {forms}; got {arch.columns}")


def _check_effect(arch: Architecture, model: ConfigDict) -> None:
    """Refuse fields of an operation that no layer of this net has, unless they switch it off."""
    operations = {op for layer in arch.layers for op in layer.then}

    def set_fields(section: str) -> list[str]:
        values = model.get(section, {}).items()  # an older version's config may lack the section
        off = {("enabled", False)}
        return [f"{section}.{k}" for k, v in values if v is not None and (k, v) not in off]

    norm = [*([] if model.norm in (None, "none") else ["norm"]), *set_fields("lrn")]
    for op, names in (("norm", norm), ("spatial_norm", set_fields("spatial_norm"))):
        if names and op not in operations:
            raise ConfigError(
                f"model.{names[0]} changes nothing in arch {arch.name}: none of its layers has "
                f"{op}; leave it out, or take an arch that has it"
            )


def _drop(arch: Architecture, names: tuple[str, ...]) -> Architecture:
    """Leave layers out (paper 7: "any of the middle layers"); their pooling stays."""
    middle = tuple(layer.name for layer in arch.layers[1:-1])
    if unknown := [name for name in names if name not in middle]:
        raise ConfigError(f"model.drop_layers takes {', '.join(middle)}; got {', '.join(unknown)}")
    rows = []
    for layer in arch.layers:
        if layer.name in names:
            kept = tuple(op for op in layer.then if op == "pool")
            layer = dataclasses.replace(layer, identity=True, then=kept)
        rows.append(layer)
    return dataclasses.replace(arch, layers=tuple(rows), drop_layers=names)


def _scaled(arch: Architecture, given: Mapping[str, float | None]) -> Architecture:
    """Return the net with larger deviations where a layer has fewer inputs than at width 1.

    A unit adds up as many independent products as it has inputs: the size of the sum goes with the
    square root of their number, times the deviation of the weights.
    """
    deviations, ratio = {}, 1.0  # inputs at width 1 over those at this width; conv1 reads the image
    for layer in arch.layers:
        if layer.identity:
            continue
        if given.get(layer.name) is None:
            deviations[layer.name] = getattr(arch.init.std, layer.name) * math.sqrt(ratio)
        if layer is not arch.layers[-1]:
            ratio = arch.widths[arch.columns][layer.name] / arch.features(layer.name)
    std = dataclasses.replace(arch.init.std, **deviations)
    return dataclasses.replace(arch, init=dataclasses.replace(arch.init, std=std))
