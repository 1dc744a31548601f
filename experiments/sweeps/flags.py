"""What sweep.py and ablations.py share: their flags, and a sweep from plan to picture."""

import json
import os
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

from alexnet_jax.errors import UserError
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import write_atomic
from experiments.sweeps import local, results
from experiments.sweeps.runs import Run, Setting, plan
from experiments.sweeps.slurm import Slurm, options

WIDTH = 160  # characters, where no terminal says
FAILED = 1  # exit code where some run did


def define() -> None:
    """Define the flags."""
    command_line.define_config_flag()
    flags.DEFINE_string("out", None, "Folder of the runs' folders.")
    flags.DEFINE_integer("seeds", 3, "Runs of each setting.", lower_bound=1)
    flags.DEFINE_enum("where", "local", ["local", "slurm"], "Who runs them.")
    flags.DEFINE_integer(
        "jobs", 0, "Runs at once; 0: one for each GPU, one on a CPU, SLURM's choice.", lower_bound=0
    )
    flags.DEFINE_list("slurm", [], "Of each job: timeout_min=600,gpus_per_node=1,...")


def sweep(settings: Sequence[Setting]) -> dict[str, Any]:
    """Run what is not finished, print the table, draw; return what is to be the last line.

    Args:
      settings: the first is what the others are compared with.
    """
    if not flags.FLAGS.out:
        raise UserError("give --out=FOLDER for the runs' folders")
    out = pathlib.Path(flags.FLAGS.out)
    runs = plan(settings, given(), flags.FLAGS.seeds, out)
    run_all = _runner(out)
    todo = [run for run in runs if not run.finished()]
    say(f"{len(runs)} runs of {len(settings)} settings; {len(runs) - len(todo)} are finished")
    out.mkdir(parents=True, exist_ok=True)
    failed = run_all(todo) if todo else {}
    finished = [run for run in runs if run.name not in failed]
    rows = results.summary(settings, finished)
    show(results.table(rows))
    picture = out / "sweep.svg"
    results.draw(settings, finished, picture)
    result = {"runs": len(runs), "failed": failed, "figure": str(picture), "settings": rows}
    write_atomic(out / "summary.json", json.dumps(result, indent=2) + "\n")
    return result


def given() -> list[str]:
    """Return what of the command line is for all runs: --config=FILE, --config.field=value.

    Raises:
      UserError: one of them is not in one word.
    """
    found = [word for word in sys.argv[1:] if re.match(r"--?(no)?config([.=]|$)", word)]
    if wrong := [word for word in found if not re.match(r"--config[^=]*=", word)]:
        raise UserError(f"write it as --config...=value, in one word; got {wrong[0]}")
    return found


def _runner(out: pathlib.Path) -> Callable[[Sequence[Run]], dict[str, str]]:
    if flags.FLAGS.where == "slurm":
        return Slurm(out, flags.FLAGS.jobs, options(flags.FLAGS.slurm), say)
    # Settings and seeds share most of what is compiled, unless the user keeps it somewhere.
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(out.absolute() / "compiled"))
    places = local.places(flags.FLAGS.jobs, local.gpus())
    shared = {"JAX_COMPILATION_CACHE_DIR": cache}
    return local.Local([{**place, **shared} for place in places], say)


def say(line: str) -> None:
    """Print a line about the runs."""
    print(line.strip(), file=sys.stderr, flush=True)


def show(table: Table) -> None:
    """Print a table, not folded where no terminal says how wide it is."""
    width = None if sys.stdout.isatty() else WIDTH
    Console(width=width, markup=False, emoji=False, highlight=False).print(table)


def end(result: dict[str, Any]) -> None:
    """Print the result as the last line; leave with 1 where some run failed, named."""
    for name, why in result["failed"].items():
        say(f"failed: {name}: {why}")
    print(json.dumps(result))
    if result["failed"]:
        sys.exit(FAILED)
