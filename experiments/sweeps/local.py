"""The runs of a sweep on this machine: processes, several at once, each with its own devices."""

import concurrent.futures
import contextlib
import fcntl
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from alexnet_jax.errors import UserError
from alexnet_jax.system import progress
from experiments.sweeps.runs import Run

MAIN = (sys.executable, "-m", "alexnet_jax.main")
OUTPUT = "output.txt"
VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL_SECONDS = 0.2


def gpus() -> list[str]:
    """Return the GPUs that a run may have, as CUDA_VISIBLE_DEVICES names them."""
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return []
    if (visible := os.environ.get(VISIBLE)) is not None:
        return [name for name in visible.split(",") if name]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split()


def devices(jobs: int, gpus: Sequence[str]) -> list[dict[str, str]]:
    """Return for each of the runs at once the variables that give it its devices.

    Args:
      jobs: runs at once; 0: one for each GPU, or one where there is none.
      gpus: each run gets an equal number of them.

    Raises:
      UserError: more runs at once than GPUs.
    """
    jobs = jobs or max(1, len(gpus))
    if not gpus:
        return [{}] * jobs
    if jobs > len(gpus):
        raise UserError(f"--jobs is at most the number of GPUs, {len(gpus)}; got {jobs}")
    each = len(gpus) // jobs
    return [{VISIBLE: ",".join(gpus[k * each : (k + 1) * each])} for k in range(jobs)]


def cores(jobs: int) -> list[set[int]]:
    """Return the cores of each of the runs at once; none: any, where there are too few."""
    if jobs == 1 or not hasattr(os, "sched_getaffinity"):
        return []
    here = sorted(os.sched_getaffinity(0))
    return [set(here[k::jobs]) for k in range(jobs)] if len(here) >= jobs else []


class Local:
    """Runs processes; one that fails does not stop the others.

    Args:
      environments: the variables of each of the runs at once.
      say: prints a line for the user.
      command: the command line before a run's flags.
      ended: called after each run.
    """

    def __init__(
        self,
        environments: Sequence[dict[str, str]],
        say: Callable[[str], None],
        command: Sequence[str] = MAIN,
        ended: Callable[[], object] = lambda: None,
    ):
        self.say, self.command, self.jobs = say, command, len(environments)
        self.ended = ended
        # Two nets on the same cores would take turns at each layer.
        groups = [] if any(VISIBLE in one for one in environments) else cores(self.jobs)
        self.free: queue.SimpleQueue[tuple[dict[str, str], set[int]]] = queue.SimpleQueue()
        for environment, group in zip(environments, groups or [set()] * self.jobs, strict=True):
            self.free.put((environment, group))
        self.stopping = threading.Event()

    def __call__(self, runs: Sequence[Run]) -> dict[str, str]:
        """Run all; return the name of each that failed, and why."""
        failed, begin = {}, time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            futures = {pool.submit(self._run, run): run for run in runs}
            try:
                for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                    run, why = futures[future], future.result()
                    if why is None:
                        run.note_finished()
                    else:
                        failed[run.name] = why
                    left = (time.monotonic() - begin) / done * (len(runs) - done)
                    count = f"{done} of {len(runs)}, about {progress.duration(left)} left"
                    self.say(
                        f"{'finished' if why is None else f'FAILED ({why})'} {run.name}: {count}"
                    )
                    self.ended()
            except BaseException:  # a signal: the runs save, then this process ends
                self.stopping.set()
                pool.shutdown(cancel_futures=True)
                raise
        return failed

    def _run(self, run: Run) -> str | None:
        """Run one to its end; return None, or why it failed."""
        environment, group = self.free.get()
        run.workdir.mkdir(parents=True, exist_ok=True)
        output = run.workdir / OUTPUT
        try:
            with self._alone(run) as lock, output.open("ab") as file:
                self.say(f"begins {run.name} {environment.get(VISIBLE, '')}")
                child = subprocess.Popen(
                    [*self.command, *run.flags],
                    env=environment,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    pass_fds=[lock],
                )
                if group:
                    os.sched_setaffinity(child.pid, group)
                code = self._wait(child)
        finally:
            self.free.put((environment, group))
        return None if code == 0 else f"exit code {code}: {last_line(output)} (see {output})"

    def _wait(self, child: subprocess.Popen) -> int:
        """Wait for a run, or ask it to save and end; return its exit code."""
        asked = False
        while (code := child.poll()) is None:
            if self.stopping.is_set() and not asked:
                child.terminate()
                asked = True
            time.sleep(POLL_SECONDS)
        return code

    @contextlib.contextmanager
    def _alone(self, run: Run) -> Iterator[int]:
        """Lock the folder through a file that the run inherits.

        The runs of a killed sweep go on, and two processes in one folder would spoil it.
        """
        with (run.workdir / "lock").open("w") as file:
            if not _locked(file.fileno()):
                self.say(f"waits for {run.name}, which an earlier sweep began")
            while not _locked(file.fileno()):
                if self.stopping.is_set():
                    raise UserError(f"{run.name} is still running")
                time.sleep(POLL_SECONDS)
            yield file.fileno()


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def last_line(path: pathlib.Path) -> str:
    """Return the last line of a file that is not empty."""
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "no output")
