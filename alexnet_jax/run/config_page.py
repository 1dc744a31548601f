"""docs/config.md: every field of the config, made from config_fields.py and net/architecture.py.

python -m alexnet_jax.run.config_page > docs/config.md
"""

import ast
import inspect
import itertools
import pathlib
from collections.abc import Iterator

from alexnet_jax import schema
from alexnet_jax.config_fields import Config, all_fields
from alexnet_jax.system import recipes

_INTRODUCTION = """\
# The config

A recipe is a Python file with a function `get_config`, which returns a `ConfigDict` with the fields
below. `--config` takes the name of a recipe of the package, or the path of a file; a flag sets any
of its fields:

```
python -m alexnet_jax.main --config=image_folder --config.data.dir=/path/to/folder \\
    --config.model.lrn.enabled=False "--config.schedule.epochs=(20, 40)"
```

A recipe of your own begins with the paper's values, or with another recipe, and changes what
differs. The file works wherever it is:

```python
from alexnet_jax.run.config import base_config, recipe


def get_config():
    config = base_config()  # or recipe("ilsvrc2012_code2012")
    config.batch_size = 256
    return config
```

Every field is checked before anything else is done. If a flag sets a field that has no effect with
the values of the others, a warning says so. The run's folder keeps the config in `config.json`.
"resume" marks the fields that may change when a run is continued: they decide where and how it
computes, not what.

"paper 4.1" is a section of the paper; files such as `layers-145.cfg` belong to the released 2012
program ("the program"). This page is written by
`python -m alexnet_jax.run.config_page > docs/config.md`.
"""


def page() -> str:
    """Return the page in Markdown."""
    parts = [_INTRODUCTION, _recipes()]
    of_section = itertools.groupby(all_fields().values(), lambda field: _section(field.path))
    for name, fields in of_section:
        section = Config()
        for part in name.split(".") if name else ():
            section = getattr(section, part)
        title = f"## {name}" if name else "## The run"
        parts.append(f"{title}\n\n{inspect.getdoc(type(section))}\n\n{_table(fields)}")
    return "\n".join(parts)


def _section(path: str) -> str:
    return path.rpartition(".")[0]


def _recipes() -> str:
    rows = []
    for name in recipes.names():
        path = pathlib.Path(recipes.find(name))
        title = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
        rows.append(f"| `{name}` | {title} |")
    head = "| `--config=` | |\n|---|---|\n"
    return "## Recipes\n\n" + head + "\n".join(rows) + "\n"


def _table(fields: Iterator[schema.Field]) -> str:
    rows = ["| field | default | values | resume | |", "|---|---|---|---|---|"]
    for field in fields:
        name, default = field.path.rpartition(".")[2], field.value
        doc = field.doc.replace("<", "&lt;")
        if field.effects:
            doc += f" It counts {_where(field.effects)}."
        shown = '""' if default == "" else default
        rows.append(f"| `{name}` | `{shown}` | {_values(field)} | {_resume(field)} | {doc} |")
    return "\n".join(rows) + "\n"


def _values(field: schema.Field) -> str:
    if field.choices is not None:
        return ", ".join(f"`{choice}`" for choice in field.choices)
    return field.bound.words if field.bound else ""


def _resume(field: schema.Field) -> str:
    if isinstance(field.resume, bool):
        return "yes" if field.resume else ""
    return _where(field.resume.items())


def _where(conditions) -> str:
    told = [f"`{name}` is {' or '.join(map(str, values))}" for name, values in conditions]
    return "where " + " and ".join(told)


if __name__ == "__main__":
    print(page(), end="")
