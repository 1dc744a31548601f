"""Lines for the user of a script."""

import sys


def say(line: str) -> None:
    """Print a line about the progress."""
    print(line.strip(), file=sys.stderr, flush=True)
