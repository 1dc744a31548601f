"""Do the whole paper over in miniature, on Tiny ImageNet: tables, figures, each ablation.

    python -m experiments.miniature --data_dir=tiny-imagenet-200.zip --out=runs/miniature

protocol.py says which runs it does, and what decides between them. It does them in order of worth.
The same command again goes on and repeats nothing. After each run it writes OUT/miniature.md and
OUT/miniature.html from OUT/records, and says how many runs are left and how long they will take.
--only=lrn,pooling does only these entries and the baseline. --jobs and --where=slurm are those of
the sweeps (experiments/sweeps/sweep.py). The last line is one JSON object.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from alexnet_jax.errors import ConfigError
from alexnet_jax.system import command_line, progress
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.lines import say
from alexnet_jax.system.paths import user_path
from experiments.miniature import layout, page, records, tables
from experiments.miniature.one import FROM
from experiments.miniature.pictures import lay_out
from experiments.miniature.protocol import BASELINE, ENTRIES, PRETRAINED, PRETRAINING, RECIPE
from experiments.sweeps.command import define_where, end, runner
from experiments.sweeps.runs import Run, plan

ONE = (sys.executable, "-m", "experiments.miniature.one")


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_string("data_dir", None, "tiny-imagenet-200.zip, or its folder.")
    flags.DEFINE_string("out", None, "Folder of pictures, runs, records and results.")
    flags.DEFINE_list("only", [], f"Of {', '.join(entry.name for entry in ENTRIES)}.")
    flags.DEFINE_integer("jobs", 1, "Runs at once.", lower_bound=1)
    define_where()


def main(_) -> None:
    """Do the runs that are left."""
    FLAGS = flags.FLAGS
    if not (FLAGS.data_dir and FLAGS.out):
        raise ConfigError("give --data_dir=tiny-imagenet-200.zip and --out=FOLDER")
    out = user_path(FLAGS.out).absolute()
    runs = planned(out, FLAGS.only)
    out.mkdir(parents=True, exist_ok=True)
    lay_out(user_path(FLAGS.data_dir), out)
    todo = [run for run in runs if not run.finished()]
    write_results(out)
    say(state(out, todo, FLAGS.jobs))
    failed = runner(out, ONE, lambda: write_results(out))(todo) if todo else {}
    end({"runs": len(runs), "failed": failed, "page": str(out / page.NAME)})


def planned(out: pathlib.Path, only: Sequence[str]) -> list[Run]:
    """Return the runs in order of worth; of equal worth, the first seed of each entry first.

    Raises:
      ConfigError: a name that is not in the list.
    """
    names = [entry.name for entry in ENTRIES]
    if unknown := sorted(set(only) - set(names)):
        raise ConfigError(f"--only takes {', '.join(names)}; got {', '.join(unknown)}")
    recipe = (
        f"--config={RECIPE}",
        f"--config.data.dir={out / layout.PICTURES / 'target'}",
        f"--config.data.prepared_dir={out / layout.PREPARED}",
    )
    rows = []
    for entry in ENTRIES:
        if only and entry.name not in {BASELINE, *only}:
            continue
        for run in plan([entry.setting], recipe, entry.seeds, out / layout.RUNS):
            rows.append((entry.worth, run.seed, run))
    return [_fine_tuned(run) for _, _, run in sorted(rows, key=lambda row: row[:2])]


def _fine_tuned(run: Run) -> Run:
    """Return the run with the net that it begins from, if it is fine-tuned."""
    if run.setting.name != PRETRAINED:
        return run
    first = run.workdir.with_name(f"{PRETRAINING},seed={run.seed}")
    return dataclasses.replace(run, flags=(*run.flags, f"{FROM}{first}"))


def state(out: pathlib.Path, todo: Sequence[Run], jobs: int) -> str:
    """Return a line that says what is left, and how long that will take."""
    seconds = [run.seconds for run in records.read(out / layout.RECORDS)]
    line = f"{len(todo)} runs are left"
    if todo and seconds:
        left = sum(seconds) / len(seconds) * len(todo) / jobs
        line += f", about {progress.duration(left)}"
    return f"{line}; results so far: {out / tables.NAME}"


def write_results(out: pathlib.Path) -> None:
    """Write the tables and the page from the records."""
    records.keep_together(out)
    folder = out / layout.RECORDS
    write_atomic(out / tables.NAME, tables.markdown(folder))
    write_atomic(out / page.NAME, page.html(folder))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
