"""The command line of sweep.py and ablations.py: their flags, and a sweep from plan to picture."""

import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from alexnet_jax.errors import UserError
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.lines import say
from alexnet_jax.system.paths import user_path
from alexnet_jax.system.terminal import show
from experiments.support.environment import with_kept_memory
from experiments.support.recipe import given
from experiments.sweeps import crossed, local, results
from experiments.sweeps.local import MAIN
from experiments.sweeps.runs import Run, Setting, plan
from experiments.sweeps.slurm import Slurm, options

FAILED = 1  # exit code where some run failed


def define_flags() -> None:
    """Define the flags that both commands have."""
    command_line.define_config_flag()
    flags.DEFINE_string("out", None, "Folder of the runs' folders.")
    flags.DEFINE_integer("seeds", 3, "Runs of each setting.", lower_bound=1)
    text = "Runs at once; 0: one for each GPU, one on a CPU, or SLURM's choice."
    flags.DEFINE_integer("jobs", 0, text, lower_bound=0)
    define_where()


def define_where() -> None:
    """Define where the runs are made, for `runner`."""
    flags.DEFINE_enum("where", "local", ["local", "slurm"], "Where the runs are made.")
    flags.DEFINE_list("slurm", [], "Of each job: timeout_min=600,gpus_per_node=1,...")


def sweep(settings: Sequence[Setting]) -> dict[str, Any]:
    """Run what is not finished, print the table, draw the picture; return the result.

    Args:
      settings: the first is compared with all others.
    """
    if not flags.FLAGS.out:
        raise UserError("give --out=FOLDER for the runs' folders")
    out = user_path(flags.FLAGS.out)
    runs = plan(settings, given(), flags.FLAGS.seeds, out)
    run_all = runner(out)
    todo = [run for run in runs if not run.finished()]
    say(f"{len(runs)} runs of {len(settings)} settings; {len(runs) - len(todo)} are finished")
    out.mkdir(parents=True, exist_ok=True)
    failed = run_all(todo) if todo else {}
    finished = [run for run in runs if run.name not in failed]
    rows = results.summary(settings, finished)
    show(results.table(rows))
    if effects := crossed.effects(settings, finished):
        show(crossed.table(effects))
    picture = out / "sweep.svg"
    results.draw(settings, finished, picture)
    result = {"runs": len(runs), "failed": failed, "figure": str(picture), "settings": rows}
    if effects:
        result["effects"] = {name: dataclasses.asdict(one) for name, one in effects.items()}
    write_atomic(out / "summary.json", json.dumps(result, indent=2) + "\n")
    return result


def runner(
    out: pathlib.Path, command: Sequence[str] = MAIN, ended: Callable[[], object] = lambda: None
) -> Callable[[Sequence[Run]], dict[str, str]]:
    """Return what does runs where the flags say, and returns why some have failed, by name.

    Args:
      out: the sweep's folder.
      command: the command line before a run's flags.
      ended: called after each run.
    """
    if flags.FLAGS.where == "slurm":
        return Slurm(out, flags.FLAGS.jobs, options(flags.FLAGS.slurm), say, command, ended)
    environment = with_kept_memory(os.environ)
    devices = local.devices(flags.FLAGS.jobs, local.gpus())
    return local.Local([{**environment, **one} for one in devices], say, command, ended)


def end(result: dict[str, Any]) -> None:
    """Name the failed runs and print the result as the last line; exit with 1 where some failed."""
    for name, why in result["failed"].items():
        say(f"failed: {name}: {why}")
    print(json.dumps(result))
    if result["failed"]:
        sys.exit(FAILED)
