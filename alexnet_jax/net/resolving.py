"""A row of the table with the fields that a config sets.

`overrides` gives the part of a config that may change single fields of a spec; `resolve` puts the
two together.
"""

import dataclasses
from typing import Any, get_type_hints

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder

from alexnet_jax.errors import ConfigError
from alexnet_jax.net.architecture import Spec
from alexnet_jax.net.architectures import SPECS

CHOICES = {
    "activation": ("relu", "tanh", "sigmoid"),
    "norm": ("lrn", "batch", "layer", "group", "none"),
    "lrn.scope": ("column", "layer"),
    "columns": (1, 2),
    "init.form": ("normal", "fan_in"),
    "compute_dtype": ("float32", "bfloat16"),
}
_TABLE_ONLY = ("source", "layers", "widths")


def overrides(name: str) -> ConfigDict:
    """Return config.model: the spec's name, and every field that may be set, each unset (None)."""
    model = _placeholders(Spec)
    model.spec = name
    return model


def _placeholders(kind: type) -> ConfigDict:
    section = ConfigDict()
    for name, hint in get_type_hints(kind).items():
        if name in _TABLE_ONLY:
            continue
        if dataclasses.is_dataclass(hint):
            section[name] = _placeholders(hint)  # type: ignore[arg-type]
        elif hint is Any:
            section[name] = FieldReference(None, field_type=object)
        else:
            section[name] = placeholder(hint)
    return section


def resolve(model: ConfigDict, found: int | None = None) -> Spec:
    """Return the spec that config.model describes: its row with the fields that are set.

    Args:
      model: config.model.
      found: classes of the dataset, taken where model.classes is 0 and compared with it else;
        None: not known yet.

    Raises:
      ConfigError: a name, choice or number that no net can have, or not with these classes.
    """
    if model.spec not in SPECS:
        raise ConfigError(f"model.spec is one of {', '.join(SPECS)}; got {model.spec!r}")
    spec = _with(SPECS[model.spec], model)
    if spec.classes == 0:
        spec = dataclasses.replace(spec, classes=found or 2)
    if found is not None and spec.classes != found:
        raise ConfigError(
            f"model.classes is {spec.classes} but the dataset has {found} classes: "
            "set model.classes=0 to take what it has"
        )
    _check(spec)
    _check_effect(spec, model)
    dropped = spec.drop_layers
    names = dropped.split(",") if isinstance(dropped, str) else dropped
    return _drop(spec, tuple(name.strip() for name in names if name.strip()))


def _with(row: Any, section: ConfigDict) -> Any:
    changes = {}
    for name, value in section.items():
        if isinstance(value, ConfigDict):
            changes[name] = _with(getattr(row, name), value)
        elif value is not None:
            changes[name] = value
    return dataclasses.replace(row, **changes)


def _check(spec: Spec) -> None:
    for path, choices in CHOICES.items():
        value: Any = spec
        for part in path.split("."):
            value = getattr(value, part)
        if value not in choices:
            listed = ", ".join(map(str, choices))
            raise ConfigError(f"model.{path} is one of {listed}; got {value!r}")
    if spec.columns not in spec.widths:
        forms = " or ".join(map(str, sorted(spec.widths)))
        raise ConfigError(f"model.columns of {spec.spec} is {forms}; got {spec.columns}")
    bounds = (
        ("lrn.n", spec.lrn.n, spec.lrn.n >= 1 and spec.lrn.n % 2 == 1, "an odd number of maps"),
        ("lrn.k", spec.lrn.k, spec.lrn.k >= 0, "at least 0"),
        (
            "spatial_norm.n",
            spec.spatial_norm.n,
            spec.spatial_norm.n >= 1 and spec.spatial_norm.n % 2 == 1,
            "an odd number of pixels",
        ),
        ("pool.window", spec.pool.window, spec.pool.window >= 1, "at least 1"),
        ("pool.stride", spec.pool.stride, spec.pool.stride >= 1, "at least 1"),
        ("dropout.rate", spec.dropout.rate, 0 <= spec.dropout.rate < 1, "in [0, 1)"),
        ("width", spec.width, spec.width > 0, "a factor above 0"),
        ("classes", spec.classes, spec.classes >= 2, "at least 2 (0 lets the dataset say)"),
        ("image_size", spec.image_size, 67 <= spec.image_size <= 256, "67 to 256 pixels"),
    )
    for path, value, holds, expected in bounds:
        if not holds:
            raise ConfigError(f"model.{path} is {expected}; got {value!r}")


def _check_effect(spec: Spec, model: ConfigDict) -> None:
    """Refuse what is set of an operation that none of this net's layers has, but to be off."""
    there = {op for layer in spec.layers for op in layer.then}

    def fields(section: str) -> list[str]:  # an older version's config may lack it
        found = model.get(section, {}).items()
        off = {("enabled", False)}
        return [f"{section}.{k}" for k, v in found if v is not None and (k, v) not in off]

    norm = [] if model.norm in (None, "none") else ["norm"]
    for op, names in (("norm", [*norm, *fields("lrn")]), ("spatial_norm", fields("spatial_norm"))):
        if names and op not in there:
            raise ConfigError(
                f"model.{names[0]} changes nothing in spec {spec.spec}: none of its layers has "
                f"{op}; leave it out, or take a spec that has it"
            )


def _drop(spec: Spec, names: tuple[str, ...]) -> Spec:
    """Take layers out (paper 7: "any of the middle layers"); their pooling stays."""
    middle = tuple(layer.name for layer in spec.layers[1:-1])
    if unknown := [name for name in names if name not in middle]:
        raise ConfigError(f"model.drop_layers takes {', '.join(middle)}; got {', '.join(unknown)}")
    rows = []
    for layer in spec.layers:
        if layer.name in names:
            kept = tuple(op for op in layer.then if op == "pool")
            layer = dataclasses.replace(layer, identity=True, then=kept)
        rows.append(layer)
    return dataclasses.replace(spec, layers=tuple(rows), drop_layers=names)
