"""A folder in which commands run, are watched and disturbed, and what they leave in it."""

import contextlib
import hashlib
import os
import pathlib
import re
import runpy
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable

import jax

# Imported once, in the process that starts all commands; but no device is used there.
import alexnet_jax.analysis.explore.page
import alexnet_jax.analysis.figure4.figure
import alexnet_jax.analysis.figure4.picture
import alexnet_jax.analysis.report.refresh
import alexnet_jax.inference.predictor
import alexnet_jax.weights.importing  # noqa: F401
from alexnet_jax.run import dataset_info
from alexnet_jax.run import folder as run_folder
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.step.create import abstract_state
from alexnet_jax.system import sharding
from tests.kills.commands import FIRST, Command
from tests.support import tiny

PATIENCE = 600  # seconds for a command, on a busy machine
CHANGING = (".html",)  # they hold random names or speeds
OF_A_START = re.compile(
    rb'"(images_per_second|seconds)": [\d.e-]+|--coordinator=[^"]*|^ \(.*:\d+\)$'
)
Stop = Callable[[int, float, list[str]], bool]  # changes, seconds, the files that changed last


class Trial:
    def __init__(self, root: pathlib.Path):
        self.root, self.work, self.base = root, root / "work", root / "base"
        tiny.write_images(root)
        self.work.mkdir()
        for command in FIRST:
            self.to_the_end(command)
        self.work.rename(self.base)

    def afresh(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.base, self.work)

    def start(self, command: Command, first: Callable[[int], object] | None = None) -> list[int]:
        """Return the numbers of the command's processes; each k calls first(k) first."""

        def call(k: int, flags: list[str]) -> None:
            if first:
                first(k)
            sys.argv = [command.module, *flags]
            runpy.run_module(f"alexnet_jax.{command.module}", None, "__main__")

        for log in self.root.glob("log.*"):
            log.unlink()
        starts = enumerate(command.flags(self.work))
        return [child(lambda k=k, f=f: call(k, f), self.log(k)) for k, f in starts]

    def end(self, process: int) -> int:
        """Return the exit code of a process that ends by itself."""
        limit = time.monotonic() + PATIENCE
        while not (ended := os.waitpid(process, os.WNOHANG))[0]:
            time.sleep(0.01)
            if time.monotonic() > limit:
                os.kill(process, signal.SIGKILL)
        return os.waitstatus_to_exitcode(ended[1])

    def to_the_end(self, command: Command, first=None) -> None:
        codes = [self.end(process) for process in self.start(command, first)]
        assert not any(codes), self.said()

    def watch(self, processes: list[int], stop: Stop) -> tuple[int, float, list[str] | None]:
        """Wait until `stop` says so; return what it was given, with None if they ended before."""
        begun, before, changes, last = time.monotonic(), self.files(), 0, []
        while True:
            seconds, now = time.monotonic() - begun, self.files()
            if now != before:
                last = [p for p in now if now[p] != before.get(p)] or [*before.keys() - now.keys()]
                changes, before = changes + 1, now
            if stop(changes, seconds, last):
                return changes, seconds, last
            if os.waitid(os.P_PID, processes[0], os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return changes, seconds, None
            time.sleep(0.01)

    def files(self) -> dict[str, tuple[int, int]]:
        """Return size and time of each file."""
        found = {}
        for folder, _, names in os.walk(self.work):
            for path in (os.path.join(folder, name) for name in names):
                with contextlib.suppress(FileNotFoundError):
                    stat = os.stat(path)
                    found[os.path.relpath(path, self.work)] = (stat.st_size, stat.st_mtime_ns)
        return found

    def left(self) -> dict[str, str]:
        """Return a digest of each file, and of the state in a new run's last checkpoint.

        Orbax's files hold dates and random names. Older checkpoints than the last two stay where a
        kill came before their removal, until the next save.
        """
        found = {}
        for path in sorted(self.work.rglob("*")):
            name = str(path.relative_to(self.work))
            new, _, within = name.partition("checkpoints/")
            if within and new != "run/":
                if not within.partition("/")[0].isdigit():
                    found[name] = "unfinished"
            elif path.is_file():
                found[name] = hashlib.sha256(content(path)).hexdigest()
        out = self.root / "state"
        for workdir in (self.work / "new", self.work / "imported"):
            if any(path.name.isdigit() for path in workdir.glob("checkpoints/*")):
                look = child(lambda w=workdir: out.write_text(state_of(w)), self.log(9))
                found[f"{workdir.name}: state"] = self.said() if self.end(look) else out.read_text()
        return found

    def log(self, k: int) -> pathlib.Path:
        return self.root / f"log.{k}"

    def said(self) -> str:
        return "".join(log.read_text(errors="replace")[-1500:] for log in self.root.glob("log.*"))


def child(call: Callable[[], object], log: pathlib.Path) -> int:
    """Call a function in a copy of this process, which has imported all; return its number."""
    warnings.simplefilter("ignore")
    if number := os.fork():
        return number
    code = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, 1)
        os.dup2(file, 2)
        call()
        if jax.distributed.is_initialized():
            jax.distributed.shutdown()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def content(path: pathlib.Path) -> bytes:
    """Return what a file holds, without what differs from one run to the next."""
    if path.name == "metrics.jsonl":
        return repr(tiny.lines(path.parent)).encode()
    data = path.read_bytes()
    return data[-8:] if path.suffix in CHANGING else OF_A_START.sub(b"", data)


def state_of(workdir: pathlib.Path) -> str:
    config = run_folder.read_config(workdir)
    config.mesh.data = config.mesh.group = 1
    arch = dataset_info.read(workdir, config.data).arch(config.model)
    mesh = sharding.make_mesh(config.mesh, arch.columns, config.batch_size)
    with Checkpoints(workdir, read_only=True) as checkpoints:
        state = tiny.bits(checkpoints.restore(abstract_state(config, arch, mesh)))
    return hashlib.sha256(repr(sorted(state.items())).encode()).hexdigest()
