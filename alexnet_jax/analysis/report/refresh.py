"""Update a run's page, for the commands whose results it shows."""

import pathlib
import sys

from alexnet_jax.run.folder import REPORT_FILE


def refresh(workdir: pathlib.Path) -> None:
    """Write report.html. If that fails, for whatever reason, print one warning and go on."""
    try:
        from alexnet_jax.analysis.report import page  # only now: training starts without it

        page.write([workdir])
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"warning: no {workdir / REPORT_FILE}: {cause}", file=sys.stderr)
