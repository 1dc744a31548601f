"""Turns: contenders of a benchmark step one after another, so that drift is the same for all."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from alexnet_jax.errors import UserError

Step = Callable[[], float]  # takes steps, waits for them, and returns the seconds of one


def timed(run: Callable[[], Any], wait: Callable[[Any], Any], calls: int = 1) -> Step:
    """Return so many calls of `run` as a step.

    Args:
      run: does not wait; what it computes, the device computes one after another.
      wait: waits for what `run` returned last.
      calls: waited for once, since to begin and to wait may take longer than what is timed.
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

    A turn is two steps, and the second counts: on memory and caches that are the contender's own
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
    """Take the steps that the lines of standard input name, until it ends (`Process`)."""
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        print(steps[line.strip()](), flush=True)


class Process:
    """A program that serves: a contender with its own threads, and memory as its users have it.

    Args:
      command: of the program; the first line that it prints is `hello`, as JSON.
      environment: its variables, ours where None.

    Raises:
      UserError: it ended, here or in a step; what it said stands before.
    """

    def __init__(self, command: list[str], environment: dict[str, str] | None = None):
        self._command = command
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=environment
        )
        self.hello: dict = json.loads(self._line())

    def step(self, name: str) -> Step:
        """Return the step of that name."""

        def step() -> float:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it has ended, as reading will say
                self._process.stdin.write(f"{name}\n")
                self._process.stdin.flush()
            return float(self._line())

        return step

    def close(self) -> None:
        """End the program."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise UserError(f"{' '.join(self._command)} ended with exit code {code}")
        return line
