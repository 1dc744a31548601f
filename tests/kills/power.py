"""What a power loss would take: what had its name before it was on disk, or never got there."""

import pathlib
import re
import subprocess
import sys

from alexnet_jax.run.folder import LOCK_FILE
from tests.support import tiny

CALLS = "openat,write,writev,pwrite64,fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat"
FILE = re.compile(r"\d+ +(fsync|fdatasync|write|writev|pwrite64)\(\d+<(.*?)>")
NAMED = re.compile(r'\d+ +rename\w*\(.*?"(.*?)", .*?"(.*?)"')
MADE = re.compile(r'\d+ +(?:openat\(.*?"(.*?)", \S*O_CREAT|mkdir\w*\(.*?"(.*?)".* = 0)')


def run(trial, chosen: list) -> int:
    """Trace each command; print a line for each; return how many were wrong."""
    wrong = 0
    for command in (c for c in chosen if len(c.flags(trial.work)) == 1):
        trial.afresh()
        trace = trial.root / "trace"
        program = ["-m", f"alexnet_jax.{command.module}", *command.flags(trial.work)[0]]
        strace = ["strace", "-f", "--seccomp-bpf", "-y", "-o", trace, "-e", f"trace={CALLS}"]
        subprocess.run(
            [*strace, sys.executable, *program],
            cwd=tiny.REPOSITORY,
            check=True,
            capture_output=True,
        )
        early, never, named = lost(trace.read_text(errors="replace"), trial.work)
        of_orbax = {name for name in early if "checkpoints/" in name}
        print(
            f"{command.name}: {named} named, before they were on disk {sorted(early - of_orbax)} "
            f"and {len(of_orbax)} of Orbax; never there {sorted(never)}",
            flush=True,
        )
        wrong += bool(early - of_orbax or never)
    return wrong


def lost(trace: str, folder: pathlib.Path) -> tuple[set[str], set[str], int]:
    """Return what was named too early, what never came to disk, and how many were named.

    Args:
      trace: of strace -f -y.
      folder: the one that counts.
    """
    above, dirty, early, named = f"{folder}/", set(), set(), 0
    for line in trace.splitlines():
        if call := FILE.match(line):
            kind, path = call.groups()
            dirty.discard(path) if kind.startswith("f") else dirty.add(path)
        elif call := MADE.match(line):
            dirty.add(str(pathlib.Path(call[1] or call[2]).parent))
        elif call := NAMED.match(line):
            old, new = call.groups()
            moved = {p for p in dirty if p == old or p.startswith(f"{old}/")}
            early |= {new + p[len(old) :] for p in moved if new.startswith(above)}
            dirty = (dirty - moved) | {new + p[len(old) :] for p in moved}
            dirty.add(str(pathlib.Path(new).parent))
            named += new.startswith(above)
    here = {p for p in dirty if f"{p}/".startswith(above) and pathlib.Path(p).exists()}
    here = {p for p in here if not p.endswith(f"/{LOCK_FILE}")}  # of use to living processes only
    return {p.removeprefix(above) for p in early}, {p.removeprefix(above) for p in here}, named
