"""Find the files of recipes: those of the package by name, others by path."""

import pathlib
import re
from collections.abc import Sequence

from alexnet_jax.errors import ConfigError
from alexnet_jax.system.paths import user_path


def folder() -> pathlib.Path:
    """Return where the package's recipes are: inside it, or in a clone beside it."""
    package = pathlib.Path(__file__).parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent / "configs"


def names() -> list[str]:
    """Return the names of the package's recipes."""
    return sorted(path.stem for path in folder().glob("*.py"))


def find(recipe: str) -> str:
    """Return the path of a recipe's file.

    Args:
      recipe: the name of one of the package, or a path; both may end in ":" and an argument of its
        get_config.

    Raises:
      ConfigError: there is no such recipe, or it is no Python file.
    """
    file, colon, argument = recipe.partition(":")
    path = user_path(file)
    if path.is_file() and path.suffix != ".json":
        return f"{path}{colon}{argument}"
    if re.fullmatch(r"\w+", file) and file in names():
        return f"{folder() / file}.py{colon}{argument}"
    if path.exists():
        raise ConfigError(
            f"a recipe is a Python file with get_config; got {file!r} (a run goes on with "
            "the recipe and the flags that it began with)"
        )
    known = ", ".join(names())
    raise ConfigError(f"no recipe {file}: give the path of a file, or one of {known}")


def with_paths(argv: Sequence[str]) -> list[str]:
    """Return a command line in which --config has the recipe's path in place of its name.

    Raises:
      ConfigError: there is no such recipe.
    """
    found = list(argv)
    for k, word in enumerate(found[1:], start=1):
        flag, equals, value = word.partition("=")
        if flag not in ("--config", "-config"):
            continue
        if equals:
            found[k] = f"{flag}={find(value)}"
        elif k + 1 < len(found):
            found[k + 1] = find(found[k + 1])
    return found
