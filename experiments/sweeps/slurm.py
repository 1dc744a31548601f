"""The runs of a sweep as jobs of SLURM, one array, through submitit (pip install submitit)."""

import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from alexnet_jax.errors import UserError
from experiments.sweeps.local import MAIN
from experiments.sweeps.runs import Run

POLL_SECONDS = 5
JOB = "slurm_job"  # in a run's folder: the id of its job


def options(given: Sequence[str]) -> dict[str, Any]:
    """Return "name=value" as parameters of submitit: timeout_min, gpus_per_node, slurm_partition.

    Raises:
      UserError: a value without a name.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UserError(f"--slurm is name=value,name=value; got {text!r}")
        found[name] = int(value) if value.isdigit() else value
    return found


class Slurm:
    """Submits what is not finished, waits for it; one that fails does not stop the others.

    Args:
      out: the sweep's folder; SLURM's own logs go to out/slurm.
      jobs: at most so many at once; 0: as many as SLURM likes.
      given: parameters of the jobs.
      say: takes a line for the user.

    Raises:
      UserError: no submitit, no SLURM, or a parameter that they do not know.
    """

    def __init__(
        self,
        out: pathlib.Path,
        jobs: int,
        given: dict[str, Any],
        say: Callable[[str], None],
        command: Sequence[str] = MAIN,
    ):
        try:
            import submitit
        except ImportError:
            raise UserError("--where=slurm needs submitit: pip install submitit") from None
        self.submitit, self.logs, self.say, self.command = submitit, out / "slurm", say, command
        at_once = {"slurm_array_parallelism": jobs} if jobs else {}
        try:
            self.executor = submitit.AutoExecutor(folder=self.logs, cluster="slurm")
            self.executor.update_parameters(name="alexnet", **at_once, **given)
        except Exception as error:  # whatever submitit has against it
            raise UserError(f"--where=slurm: {error}") from error

    def __call__(self, runs: Sequence[Run]) -> dict[str, str]:
        """Run all; return the name of each that failed, and why."""
        waiting = {run: job for run in runs if (job := self._job_of(run)) is not None}
        new = [run for run in runs if run not in waiting]
        with self.executor.batch():
            submitted = [self.executor.submit(self._function(run)) for run in new]
        for run, job in zip(new, submitted, strict=True):
            run.workdir.mkdir(parents=True, exist_ok=True)
            (run.workdir / JOB).write_text(job.job_id)
            waiting[run] = job
            self.say(f"submitted {run.name} as job {job.job_id}")
        failed: dict[str, str] = {}
        while waiting:
            for run in [run for run, job in waiting.items() if job.done()]:
                self._ended(run, waiting.pop(run), failed)
            if waiting:
                time.sleep(POLL_SECONDS)
        return failed

    def _function(self, run: Run):
        return self.submitit.helpers.CommandFunction([*self.command, *run.flags])

    def _job_of(self, run: Run):
        """Return the job that an earlier sweep submitted for this run, if it is not over."""
        path = run.workdir / JOB
        if not path.exists():
            return None
        job = self.submitit.SlurmJob(folder=self.logs, job_id=path.read_text())
        if job.done(force_check=True):
            path.unlink()
            return None
        self.say(f"waits for {run.name}, job {job.job_id} of an earlier sweep")
        return job

    def _ended(self, run: Run, job, failed: dict[str, str]) -> None:
        (run.workdir / JOB).unlink(missing_ok=True)
        error = job.exception()
        if error is None:
            run.note_finished()
            self.say(f"finished {run.name}")
            return
        failed[run.name] = f"{_reason(str(error)) or job.state} (see {job.paths.stderr})"
        self.say(f"FAILED {run.name} {failed[run.name]}")


def _reason(text: str) -> str:
    """Return of submitit's report the line of alexnet_jax.main, else its last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ours = [line[line.index("error:") :] for line in lines if "error:" in line]
    return (ours or lines or [""])[-1]
