"""The runs of a sweep as jobs of SLURM, one array, through submitit (pip install submitit)."""

import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from alexnet_jax.errors import UserError
from experiments.sweeps.local import MAIN
from experiments.sweeps.runs import Run

POLL_SECONDS = 5
JOB = "slurm_job"  # file in a run's folder with the id of its job


def options(given: Sequence[str]) -> dict[str, Any]:
    """Return "name=value" as parameters of submitit: timeout_min, gpus_per_node, slurm_partition.

    Raises:
      UserError: a value without a name.
    """
    parameters: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UserError(f"--slurm is name=value,name=value; got {text!r}")
        parameters[name] = int(value) if value.isdigit() else value
    return parameters


class Slurm:
    """Submits runs and waits for them; one that fails does not stop the others.

    Args:
      out: the sweep's folder; SLURM's own logs go to out/slurm.
      jobs: the most at once; 0: SLURM chooses.
      given: parameters of the jobs.
      say: prints a line for the user.
      command: the command line before a run's flags.
      ended: called after each run.

    Raises:
      UserError: submitit or SLURM is missing, or a parameter is unknown to them.
    """

    def __init__(
        self,
        out: pathlib.Path,
        jobs: int,
        given: dict[str, Any],
        say: Callable[[str], None],
        command: Sequence[str] = MAIN,
        ended: Callable[[], object] = lambda: None,
    ):
        try:
            import submitit
        except ImportError:
            raise UserError("--where=slurm needs submitit: pip install submitit") from None
        self.submitit, self.logs, self.say, self.command = submitit, out / "slurm", say, command
        self.ended = ended
        at_once = {"slurm_array_parallelism": jobs} if jobs else {}
        try:
            self.executor = submitit.AutoExecutor(folder=self.logs, cluster="slurm")
            self.executor.update_parameters(name="alexnet", **at_once, **given)
        except Exception as error:  # submitit raises many kinds
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
                self.ended()
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
    """Return the error line of alexnet_jax.main in submitit's report, or the report's last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line[line.index("error:") :] for line in lines if "error:" in line]
    return (errors or lines or [""])[-1]
