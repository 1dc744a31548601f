"""Pictures of matplotlib as files. matplotlib is slow to import: who uses this is imported late."""

import pathlib

import matplotlib
from matplotlib.figure import Figure

from alexnet_jax.system.atomic_file import atomic_file

DATES = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def save(figure: Figure, path: pathlib.Path, *, dpi: float = 200) -> None:
    """Write a picture in the format that the file's ending names, completely or not at all.

    Text stays text, and the same numbers give the same bytes.
    """
    with (
        matplotlib.rc_context(
            {"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "alexnet_jax"}
        ),
        atomic_file(path) as half,
    ):
        figure.savefig(half, format=path.suffix[1:], metadata=DATES.get(path.suffix), dpi=dpi)
