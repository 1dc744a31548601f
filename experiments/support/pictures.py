"""Pictures for the records."""

import pathlib

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure


def save(figure: Figure, path: pathlib.Path) -> None:
    """Write an SVG picture; the same numbers give the same bytes."""
    with matplotlib.rc_context({"svg.hashsalt": "alexnet"}):
        figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
