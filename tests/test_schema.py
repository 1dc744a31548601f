"""The descriptions of the config's fields: whole, consistent, and the only ones."""

import ast
import dataclasses

import pytest

from alexnet_jax import config_fields, schema
from alexnet_jax.errors import ConfigError
from tests.support import tiny

FIELDS = config_fields.all_fields()
PACKAGE = tiny.REPOSITORY / "alexnet_jax"
DESCRIPTIONS = {PACKAGE / "config_fields.py", PACKAGE / "net" / "architecture.py"}
OTHERS = sorted(set(PACKAGE.rglob("*.py")) - DESCRIPTIONS)


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_says_what_it_is_and_may_have_its_default(name):
    field = FIELDS[name]
    assert field.doc and field.doc.endswith(".")
    value = list(field.value) if isinstance(field.value, tuple) else field.value
    schema.check(field, value)
    for other, looking in (*field.effects, *dict(_conditions(field)).items()):
        choices = FIELDS[other].choices
        assert set(looking) <= set(choices if choices is not None else (True, False)), other
        assert other != name


def _conditions(field: schema.Field):
    return () if isinstance(field.resume, bool) else field.resume.items()


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if field.type is not None])
def test_a_value_of_another_type_is_refused(name):
    field = FIELDS[name]
    wrong = {"bool": 1, "int": 1.5, "float": "0.1", "str": 3, "tuple": "x"}
    kind = getattr(field.type, "__name__", "Any")
    if kind not in wrong:
        assert name in ("mesh.group", "model.drop_layers")
        return
    with pytest.raises(ConfigError, match=rf"^{name} is .*; got {wrong[kind]!r}$"):
        schema.check(field, wrong[kind])
    if kind in ("int", "float"):
        with pytest.raises(ConfigError, match=f"^{name} is .*; got True$"):
            schema.check(field, True)


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_other_module_lists_fields_or_what_they_may_be(path):
    choices = [set(field.choices) for field in FIELDS.values() if field.choices is not None]
    several = [names for names in choices if len(names) > 1 and all(type(n) is str for n in names)]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            texts = [part.value for part in node.elts if isinstance(part, ast.Constant)]
            assert set(texts) not in several, f"line {node.lineno}: {texts}"
        elif isinstance(node, ast.Dict):
            texts = [part.value for part in node.keys if isinstance(part, ast.Constant)]
        else:
            continue
        assert len({text for text in texts if text in FIELDS and "." in str(text)}) < 3, texts


def test_every_field_is_read_by_some_module():
    read = set()
    for path in PACKAGE.rglob("*.py"):  # a description assigns to names; methods read attributes
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                read.add(node.attr)
    for name in FIELDS:
        *sections, last = name.split(".")
        assert last in read or (sections[-1:] and sections[-1] in ("std", "bias")), name
        assert set(sections) <= read, name


@dataclasses.dataclass(frozen=True)
class Inner:
    size: int = schema.field(3, "Of it.", bound=schema.at_least(1))
    kind: str = schema.field("a", choices="tests.test_schema:KINDS")


@dataclasses.dataclass(frozen=True)
class Outer:
    source: str  # of the object alone: no field of the config
    on: bool = schema.field(True, "Whether.", name="enabled")
    inner: Inner = schema.field(Inner(), "Both.", effect={"enabled": (True,)}, resume=True)


KINDS = {"a": 1, "b": 2}


def test_what_is_said_of_a_section_holds_for_its_fields():
    enabled, size, kind = schema.fields(Outer("here", inner=Inner(size=5)), "x.")
    assert (enabled.path, enabled.value, enabled.resume, enabled.effects) == (
        "x.enabled", True, False, (),
    )  # fmt: skip
    assert (size.path, size.type, size.value, size.doc) == ("x.inner.size", int, 5, "Of it.")
    assert (size.effects, size.resume, kind.doc) == ((("enabled", (True,)),), True, "Both.")
    config = schema.to_config(Outer("here"), lambda field: field.value)
    assert config.to_dict() == {"enabled": True, "inner": {"size": 3, "kind": "a"}}


def test_choices_are_those_of_the_dictionary_at_the_time_of_the_check(monkeypatch):
    (_, before), monkey = schema.fields(Inner()), {"c": 3}
    with pytest.raises(ConfigError, match="kind is one of a, b; got 'c'"):
        schema.check(before, "c")
    monkeypatch.setattr(f"{__name__}.KINDS", KINDS | monkey)
    _, after = schema.fields(Inner())
    assert after.choices == ("a", "b", "c")
    schema.check(after, "c")
