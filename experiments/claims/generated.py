"""Parts of Markdown files, between two comments, that a script writes from the records."""

import pathlib
import sys
from collections.abc import Callable, Iterable, Sequence

from absl import flags


def replaced(text: str, part: str, module: str, body: str) -> str:
    """Return a text with a new body between the comments of one of its parts.

    Raises:
      ValueError: the comments are missing, or there more than once.
    """
    begin, end = f"<!-- {part}: begin (made by {module}) -->\n", f"<!-- {part}: end -->\n"
    before, rest = text.split(begin)
    _old, after = rest.split(end)
    return f"{before}{begin}\n{body}\n{end}{after}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    rule = ["---"] * len(head)
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_bool("check", False, "Write nothing; exit code 1 where the file differs.")


def write(path: pathlib.Path, written: Callable[[str], str]) -> int:
    """Write a file's parts, or with --check compare them; return the exit code.

    Args:
      path: the file.
      written: takes its text; returns the text that the records give.
    """
    old = path.read_text()
    new = written(old)
    if not flags.FLAGS.check:
        path.write_text(new)
    elif new != old:
        print(f"error: {path} is not what the records say", file=sys.stderr)
        return 1
    return 0
