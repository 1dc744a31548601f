"""Tables on stdout."""

import sys

from rich.console import Console
from rich.table import Table

_WIDTH = 1000  # characters, if the output is no terminal: so wide that no row is broken


def show(*tables: Table) -> None:
    """Print tables: as wide as the terminal, or in a file as wide as they need."""
    width = None if sys.stdout.isatty() else _WIDTH
    Console(width=width, markup=False, emoji=False, highlight=False).print(*tables)
