"""Update a run's page, for the commands whose results it shows."""

import pathlib

from alexnet_jax.run.folder import REPORT_FILE
from alexnet_jax.system.lines import say


def refresh(workdir: pathlib.Path) -> None:
    """Write report.html. If that fails, for whatever reason, print one warning and go on."""
    try:
        from alexnet_jax.analysis.report import page  # only now: training starts without it

        page.write([workdir])
    except Exception as error:
        say(f"warning: no {workdir / REPORT_FILE}: {type(error).__name__}: {error}")
