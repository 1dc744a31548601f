"""A row of the table with the fields that a config sets.

`overrides` gives the part of a config that may change single fields of a arch; `resolve` puts the
two together.
"""

import dataclasses
from typing import Any, get_type_hints

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder

from alexnet_jax.errors import ConfigError
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.architectures import ARCHITECTURES

CHOICES = {
    "activation": ("relu", "tanh", "sigmoid"),
    "norm": ("lrn", "batch", "layer", "group", "none"),
    "lrn.scope": ("column", "layer"),
    "columns": (1, 2),
    "init.form": ("normal", "fan_in"),
    "compute_dtype": ("float32", "bfloat16"),
}
_TABLE_ONLY = ("source", "layers", "widths", "name")


def overrides(name: str) -> ConfigDict:
    """Return config.model: the arch's name, and every field that may be set, each unset (None)."""
    model = _placeholders(Architecture)
    model.arch = name
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


def resolve(model: ConfigDict, found: int | None = None) -> Architecture:
    """Return the arch that config.model describes: its row with the fields that are set.

    Args:
      model: config.model.
      found: classes of the dataset, taken where model.classes is 0 and compared with it else;
        None: not known yet.

    Raises:
      ConfigError: a name, choice or number that no net can have, or not with these classes.
    """
    if model.arch not in ARCHITECTURES:
        raise ConfigError(f"model.arch is one of {', '.join(ARCHITECTURES)}; got {model.arch!r}")
    arch = _with(ARCHITECTURES[model.arch], model)
    if arch.classes == 0:
        arch = dataclasses.replace(arch, classes=found or 2)
    if found is not None and arch.classes != found:
        raise ConfigError(
            f"model.classes is {arch.classes} but the dataset has {found} classes: "
            "set model.classes=0 to take what it has"
        )
    _check(arch)
    _check_effect(arch, model)
    dropped = arch.drop_layers
    names = dropped.split(",") if isinstance(dropped, str) else dropped
    return _drop(arch, tuple(name.strip() for name in names if name.strip()))


def _with(row: Any, section: ConfigDict) -> Any:
    changes = {}
    for name, value in section.items():
        if name == "arch":
            continue
        if isinstance(value, ConfigDict):
            changes[name] = _with(getattr(row, name), value)
        elif value is not None:
            changes[name] = value
    return dataclasses.replace(row, **changes)


def _check(arch: Architecture) -> None:
    for path, choices in CHOICES.items():
        value: Any = arch
        for part in path.split("."):
            value = getattr(value, part)
        if value not in choices:
            listed = ", ".join(map(str, choices))
            raise ConfigError(f"model.{path} is one of {listed}; got {value!r}")
    if arch.columns not in arch.widths:
        forms = " or ".join(map(str, sorted(arch.widths)))
        raise ConfigError(f"model.columns of {arch.name} is {forms}; got {arch.columns}")
    bounds = (
        ("lrn.n", arch.lrn.n, arch.lrn.n >= 1 and arch.lrn.n % 2 == 1, "an odd number of maps"),
        ("lrn.k", arch.lrn.k, arch.lrn.k >= 0, "at least 0"),
        (
            "spatial_norm.n",
            arch.spatial_norm.n,
            arch.spatial_norm.n >= 1 and arch.spatial_norm.n % 2 == 1,
            "an odd number of pixels",
        ),
        ("pool.window", arch.pool.window, arch.pool.window >= 1, "at least 1"),
        ("pool.stride", arch.pool.stride, arch.pool.stride >= 1, "at least 1"),
        ("dropout.rate", arch.dropout.rate, 0 <= arch.dropout.rate < 1, "in [0, 1)"),
        ("width", arch.width, arch.width > 0, "a factor above 0"),
        ("classes", arch.classes, arch.classes >= 2, "at least 2 (0 lets the dataset say)"),
        ("image_size", arch.image_size, 67 <= arch.image_size <= 256, "67 to 256 pixels"),
    )
    for path, value, holds, expected in bounds:
        if not holds:
            raise ConfigError(f"model.{path} is {expected}; got {value!r}")


def _check_effect(arch: Architecture, model: ConfigDict) -> None:
    """Refuse what is set of an operation that none of this net's layers has, but to be off."""
    there = {op for layer in arch.layers for op in layer.then}

    def fields(section: str) -> list[str]:  # an older version's config may lack it
        found = model.get(section, {}).items()
        off = {("enabled", False)}
        return [f"{section}.{k}" for k, v in found if v is not None and (k, v) not in off]

    norm = [] if model.norm in (None, "none") else ["norm"]
    for op, names in (("norm", [*norm, *fields("lrn")]), ("spatial_norm", fields("spatial_norm"))):
        if names and op not in there:
            raise ConfigError(
                f"model.{names[0]} changes nothing in arch {arch.name}: none of its layers has "
                f"{op}; leave it out, or take a arch that has it"
            )


def _drop(arch: Architecture, names: tuple[str, ...]) -> Architecture:
    """Take layers out (paper 7: "any of the middle layers"); their pooling stays."""
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
