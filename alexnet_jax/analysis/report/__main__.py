"""The report page: what a run is, where it stands and what it learned, in one HTML file.

    python -m alexnet_jax.analysis.report --workdir=runs/mine
    python -m alexnet_jax.analysis.report --workdir=runs/a --workdir=runs/b --out=both.html

Training refreshes DIR/report.html after each validation, and evaluate where it is there. The page
needs no network and no script; what the other commands of this package left in DIR/analysis/ is in
it, and in the place of what is not there stands the command that makes it. The last line is one
JSON object: file, runs, bytes.
"""

import json
import os
import pathlib
from collections.abc import Sequence

from absl import flags

from alexnet_jax.analysis.report.page import write
from alexnet_jax.run.folder import REPORT_FILE
from alexnet_jax.system import command_line


def main(workdirs: Sequence[str], out: str | None) -> None:
    """Write the page that the flags ask for."""
    path = write([pathlib.Path(x) for x in workdirs], pathlib.Path(out) if out else None)
    print(json.dumps({"file": str(path), "runs": len(workdirs), "bytes": os.path.getsize(path)}))


if __name__ == "__main__":
    _WORKDIR = flags.DEFINE_multi_string(
        "workdir", None, "Folder of a run; may be repeated.", required=True
    )
    _OUT = flags.DEFINE_string("out", None, f"The file; for one run by default DIR/{REPORT_FILE}.")
    command_line.run(lambda _: main(_WORKDIR.value, _OUT.value))
