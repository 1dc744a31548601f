"""Parts of Markdown files that a script writes from the records, between two comments."""

import pathlib
import sys
from collections.abc import Callable

from absl import flags

from alexnet_jax.system import command_line


def replaced(text: str, part: str, script: str, body: str) -> str:
    """Return a text with one of its parts, between its comments, made anew.

    Raises:
      ValueError: the comments are not there, or not once.
    """
    begin, end = f"<!-- {part}: begin (made by {script}) -->\n", f"<!-- {part}: end -->\n"
    before, rest = text.split(begin)
    _old, after = rest.split(end)
    return f"{before}{begin}\n{body}\n{end}{after}"


def run(path: pathlib.Path, written: Callable[[str], str]) -> None:
    """Be a command line that writes a file's parts, or with --check says whether they are so.

    Args:
      path: the file.
      written: returns its text, as the records have it.
    """
    flags.DEFINE_bool("check", False, "Write nothing; exit code 1 where the file differs.")

    def main(_) -> int:
        old = path.read_text()
        new = written(old)
        if not flags.FLAGS.check:
            path.write_text(new)
            return 0
        if new != old:
            print(f"error: {path} is not what the records say", file=sys.stderr)
        return int(new != old)

    command_line.run(main)
