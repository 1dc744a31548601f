"""Lines and tables for the user of a script."""

import sys

from rich.console import Console
from rich.table import Table

WIDTH = 160  # characters, where no terminal gives a width


def say(line: str) -> None:
    """Print a line about the progress."""
    print(line.strip(), file=sys.stderr, flush=True)


def show(table: Table) -> None:
    """Print a table; in a file it is WIDTH wide."""
    width = None if sys.stdout.isatty() else WIDTH
    Console(width=width, markup=False, emoji=False, highlight=False).print(table)
