"""Write the report: a run's setup, progress and results on one HTML page.

    python -m alexnet_jax.analysis.report --workdir=runs/mine
    python -m alexnet_jax.analysis.report --workdir=runs/a --workdir=runs/b --out=both.html

Training writes DIR/report.html after each validation; evaluate writes it again if it exists. The
page needs no network and no script. It includes the results of the other analysis commands, from
DIR/analysis/; for a result that is missing it shows the command. The last line is one JSON object:
file, runs, bytes.
"""

import json
import os
from collections.abc import Sequence

from absl import flags

from alexnet_jax.analysis.report.page import write
from alexnet_jax.run.folder import REPORT_FILE
from alexnet_jax.system import command_line
from alexnet_jax.system.paths import user_path


def report(workdirs: Sequence[str], out: str | None) -> None:
    """Write the page of some runs and print a line of JSON."""
    path = write([user_path(x) for x in workdirs], user_path(out) if out else None)
    print(json.dumps({"file": str(path), "runs": len(workdirs), "bytes": os.path.getsize(path)}))


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_multi_string("workdir", None, "Folder of a run; may be repeated.", required=True)
    flags.DEFINE_string("out", None, f"The file; for one run by default DIR/{REPORT_FILE}.")


def main(_) -> None:
    """Write the page of the runs that the flags name."""
    report(flags.FLAGS.workdir, flags.FLAGS.out)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
