"""The run's page, made anew by the commands that add to what it shows."""

import pathlib
import sys

from alexnet_jax.run.folder import REPORT_FILE


def refresh(workdir: pathlib.Path) -> None:
    """Write report.html. A run goes on without it, whatever is wrong with it: one warning."""
    try:
        from alexnet_jax.analysis.report import (
            page,  # where there is something to show, and not before
        )

        page.write([workdir])
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"warning: no {workdir / REPORT_FILE}: {said}", file=sys.stderr)
