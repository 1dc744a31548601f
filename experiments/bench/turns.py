"""Run the programs of a benchmark in turns, so that a drift of the machine affects all alike."""

import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from alexnet_jax.errors import UserError

REPOSITORY = pathlib.Path(__file__).parents[2]
Step = Callable[[], float]  # takes steps, waits for them, and returns the seconds of one


def define_flags() -> None:
    """Define the flags of what a benchmark times."""
    flags.DEFINE_enum("arch", "paper", ["paper", "small"], "The net: of 224 pixels, or of 56.")
    flags.DEFINE_integer("batch", 32, "Images a step.")
    flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of the activations.")


def define_turns() -> None:
    """Define the flags of the turns."""
    flags.DEFINE_integer("rounds", 7, "Timings of each contender.")
    default = "Calls of a timing; default: 1 on a CPU, else 20."
    flags.DEFINE_integer("calls", None, default, lower_bound=1)


def timed(run: Callable[[], Any], wait: Callable[[Any], Any], calls: int = 1) -> Step:
    """Return a step that calls `run` several times.

    Args:
      run: does not wait; the device computes one call's work after another.
      wait: waits for the last result of `run`.
      calls: waited for once, since to begin and to wait may take longer than the work itself.
    """

    def step() -> float:
        begin = time.perf_counter()
        for _ in range(calls):
            result = run()
        wait(result)
        return (time.perf_counter() - begin) / calls

    return step


def take_turns(contenders: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each contender's steps, `rounds` of each.

    A turn is two steps, and the second counts: by then memory and caches are the contender's own
    again, as they are in a run. The first round does not count either. A contender whose process
    ends is left out, and named on stderr.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(1 + rounds):
        for name in list(seconds):
            try:
                contenders[name]()
                took = contenders[name]()
            except UserError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                del seconds[name]
                continue
            if round_:
                seconds[name].append(took)
    return seconds


def serve(hello: dict, steps: dict[str, Step]) -> None:
    """Take the steps named by the lines of standard input, until it ends (`Process`)."""
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        print(steps[line.strip()](), flush=True)


def processes(programs: dict[str, list[str]]) -> dict[str, "Process"]:
    """Return name -> the process of a program, by its arguments; one that ends is left out."""
    started = {}
    for name, arguments in programs.items():
        try:
            started[name] = Process(arguments)
        except UserError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return started


class Process:
    """A Python program that serves: a contender with threads and memory of its own.

    It is stopped between its steps: idle threads of some engines wait in a loop, and would take
    cores from the others.

    Args:
      arguments: of the interpreter: -m, the module, its flags. The program's first line is JSON.
      environment: its variables; None: those of this process.

    Attributes:
      hello: the first line.

    Raises:
      UserError: the program ended, here or in a step; its own message is already on stderr.
    """

    def __init__(self, arguments: Sequence[str], environment: dict[str, str] | None = None):
        self._arguments = arguments
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=REPOSITORY,
        )
        try:
            self.hello: dict = json.loads(self._line())
        except UserError:
            self._process.communicate()  # closes the pipes
            raise

    def step(self, name: str) -> Step:
        """Return the step of that name."""

        def step() -> float:
            assert self._process.stdin is not None
            self._process.send_signal(signal.SIGCONT)
            with contextlib.suppress(BrokenPipeError):  # reading says that it has ended
                self._process.stdin.write(f"{name}\n")
                self._process.stdin.flush()
            seconds = float(self._line())
            self._process.send_signal(signal.SIGSTOP)
            return seconds

        return step

    def close(self) -> dict:
        """End the program; return its hello."""
        self._process.send_signal(signal.SIGCONT)
        self._process.communicate()
        return self.hello

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise UserError(f"python {' '.join(self._arguments)} ended with exit code {code}")
        return line
