"""How the config is described: a frozen dataclass for each section, a `field` for each field.

    @dataclasses.dataclass(frozen=True)
    class Log:
        every_steps: int = field(100, "Updates between two lines of the log.", bound=at_least(1))

The sections are in config_fields.py, except config.model, which is in net/architecture.py.
Defaults, checks, warnings, what a resumed run may change, and docs/config.md come from them.
"""

import dataclasses
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError

ABSENT: Any = dataclasses.MISSING
_LARGEST = 2**63  # no number of a config is as large
Condition = Mapping[str, tuple]  # dotted name of another field -> its values
_TYPES: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "True or False"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a text"),
    tuple: ((tuple, list), "a tuple"),
}


class Bound(NamedTuple):
    """A condition on a value, and the same in words."""

    holds: Callable[[Any], bool]
    words: str


class Field(NamedTuple):
    """A field of the config with its whole description, as `field` takes it.

    Attributes:
      path: dotted name.
      value: the default, or what the described object has.
      effects: the conditions of the field and of the sections around it.
    """

    path: str
    type: Any
    value: Any
    doc: str
    choices: tuple | None
    bound: Bound | None
    effects: tuple[tuple[str, tuple], ...]
    resume: bool | Condition
    per_process: bool
    before: Any


def field(
    default: Any,
    doc: str = "",
    *,
    choices: Sequence | str | None = None,
    bound: Bound | None = None,
    effect: Condition | None = None,
    resume: bool | Condition = False,
    per_process: bool = False,
    before: Any = ABSENT,
    name: str = "",
) -> Any:
    """Return a dataclass field that is a field of the config, or a section of it.

    A section's `effect` and `resume` hold for all of its fields, and its `doc` for those that have
    none.

    Args:
      default: its value where nothing else is given.
      doc: what it is, with units and source.
      choices: the values it may have; or "module:NAME" of a dictionary, for its keys at the time of
        the check, so that others may add to it.
      bound: a condition on its values.
      effect: it has an effect only where these other fields have these values.
      resume: whether a resumed run may change it, because it decides where and how a run computes,
        and not what. A condition: only where that holds.
      per_process: whether each process of a run may have its own value, because it says where
        something is on its machine, or how much of it to use.
      before: only for a field that was added after runs had been made: the value that does what
        versions without the field did. The hash of a config leaves out a field with this value.
      name: its name in the config, where that differs from the dataclass's.
    """
    metadata = {
        "doc": doc,
        "choices": choices,
        "bound": bound,
        "effect": effect or {},
        "resume": resume,
        "per_process": per_process,
        "before": before,
        "name": name,
    }
    return dataclasses.field(default=default, metadata=metadata)


def at_least(least: float) -> Bound:
    """Return the bound of numbers from `least` on."""
    return Bound(lambda value: value >= least, f"at least {least}")


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # False of NaN too


def fields(
    section: Any,
    path: str = "",
    doc: str = "",
    effects: tuple[tuple[str, tuple], ...] = (),
    resume: bool | Condition = False,
) -> Iterator[Field]:
    """Yield the fields of a section, and those of the sections in it.

    Args:
      section: an instance of its dataclass, which holds each field's value.
      path: its name in the config, with a dot at the end.
      doc, effects, resume: those of the section, for its fields.
    """
    for member in dataclasses.fields(section):
        metadata, value = member.metadata, getattr(section, member.name)
        if "doc" not in metadata:  # no field of the config, such as the layers of a net
            continue
        name = path + (metadata["name"] or member.name)
        all_effects = (*effects, *metadata["effect"].items())
        may_change = metadata["resume"] or resume
        if dataclasses.is_dataclass(value):
            yield from fields(value, f"{name}.", metadata["doc"], all_effects, may_change)
            continue
        choices = metadata["choices"]
        if isinstance(choices, str):
            choices = pkgutil.resolve_name(choices)
        yield Field(
            path=name,
            type=member.type,
            value=value,
            doc=metadata["doc"] or doc,
            choices=None if choices is None else tuple(choices),
            bound=metadata["bound"],
            effects=all_effects,
            resume=may_change,
            per_process=metadata["per_process"],
            before=metadata["before"],
        )


def to_config(section: Any, value_of: Callable[[Field], Any]) -> ConfigDict:
    """Return a ConfigDict with all fields of a section.

    Args:
      section: an instance of its dataclass.
      value_of: returns the value of each field.
    """
    values: dict[str, Any] = {}
    for described in fields(section):
        put(values, described.path, value_of(described))
    return ConfigDict(values)


def put(section: dict[str, Any], name: str, value: Any) -> Any:
    """Set a field by its dotted name, unless it is there already, and return its value.

    Raises:
      ConfigError: where one of its sections should be, there is something else.
    """
    *parents, last = name.split(".")
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{parent} holds the field {name}; got {section!r:.200}")
    return section.setdefault(last, value)


def check(described: Field, value: Any) -> None:
    """Refuse a value that the field cannot have.

    Raises:
      ConfigError: the field, what it takes, and what it got.
    """
    if described.choices is not None:
        if not (_has_type(value, described.type) and value in described.choices):
            raise _other(described, f"one of {', '.join(map(str, described.choices))}", value)
        return
    check_type(described, value)
    if described.bound is not None and not described.bound.holds(value):
        raise _other(described, described.bound.words, value)


def check_type(described: Field, value: Any) -> None:
    """Refuse a value of another type, such as an older or a later version's config may have.

    Raises:
      ConfigError: the field, what it takes, and what it got.
    """
    if not _has_type(value, described.type):
        raise _other(described, _TYPES[described.type][1], value)


def _other(described: Field, expected: str, value: Any) -> ConfigError:
    return ConfigError(f"{described.path} is {expected}; got {value!r:.200}")


def _has_type(value: Any, expected: Any) -> bool:
    if expected not in _TYPES:
        return True
    if isinstance(value, bool):
        return expected is bool
    if isinstance(value, int | float) and not abs(value) < _LARGEST:  # NaN is not either
        return False
    return isinstance(value, _TYPES[expected][0])


def holds(condition: bool | Condition, values: Mapping[str, Any]) -> bool:
    """Whether a condition holds for a config's values, given by their dotted names."""
    if isinstance(condition, bool):
        return condition
    return all(values[name] in allowed for name, allowed in condition.items())
