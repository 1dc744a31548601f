"""Runs elsewhere: processes that are cut off, killed or stopped, and a folder that is moved."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

from alexnet_jax.system import distributed
from tests.kills.commands import Command, on, several, training
from tests.support import tiny

TOLD = distributed.GONE.partition("{")[0]
NAMES = ("kills0", "kills1")  # of network namespaces, and of the machines that they stand for
NEW_NAME, NEW_MOUNTS = 0x04000000, 0x00020000  # CLONE_NEWUTS, CLONE_NEWNS


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


@contextlib.contextmanager
def two_machines() -> Iterator[None]:
    """Make two network namespaces with a cable between them."""
    try:
        for name in NAMES:
            ip(f"netns add {name}")
        ip(f"-n {NAMES[0]} link add cable0 type veth peer name cable1 netns {NAMES[1]}")
        for k, name in enumerate(NAMES):
            ip(f"-n {name} addr add 10.77.0.{k + 1}/24 dev cable{k}")
            ip(f"-n {name} link set lo up")
        plug_in()
        yield
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False)


def plug_in() -> None:
    for k, name in enumerate(NAMES):
        ip(f"-n {name} link set cable{k} up")
        ip(f"-n {name} neigh flush dev cable{k} nud permanent")


def unplug(k: int) -> None:
    """Machine k sees its own link go down."""
    ip(f"-n {NAMES[k]} link set cable{k} down")


def swallow(k: int) -> None:
    """What machine k sends is lost, as behind a broken switch: nobody is told."""
    to = f"10.77.0.{2 - k} lladdr 02:00:00:00:00:01 dev cable{k} nud permanent"
    ip(f"-n {NAMES[k]} neigh replace {to}")


def move_in(k: int) -> None:
    """Let this process be on machine k."""
    libc = ctypes.CDLL(None)
    assert libc.setns(os.open(f"/run/netns/{NAMES[k]}", os.O_RDONLY), 0) == 0
    assert libc.unshare(NEW_NAME | NEW_MOUNTS) == 0
    socket.sethostname(NAMES[k])
    hosts = f"/tmp/hosts.{NAMES[k]}"
    with open(hosts, "w") as file:
        file.writelines(f"10.77.0.{n + 1} {name}\n" for n, name in enumerate(NAMES))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)


def run(trial, wanted: Callable[[str], bool]) -> int:
    """Try what is wanted; print a line for each; return how often it went wrong."""
    signals = [s for s in (signal.SIGKILL, signal.SIGSTOP) if wanted(s.name)]
    cuts = [how for how in (unplug, swallow) if wanted(how.__name__)]
    bad = moved(trial) if wanted("moved") else 0
    if signals:
        bad += disturb(
            trial, several(4, epochs=7), [(s.name, k, s) for s in signals for k in range(4)]
        )
    if cuts:
        ends = [(how.__name__, k, how) for how in cuts for k in range(2)]
        with two_machines():
            bad += disturb(trial, several(2, host="10.77.0.1", epochs=7), ends, move_in)
    return bad


def after_lines(count: int):
    """Return what stops when the log has changed so often."""
    seen: list[str] = []

    def stop(_, __, last: list[str]) -> bool:
        seen.extend(last[:1] if "metrics.jsonl" in " ".join(last) else ())
        return len(seen) >= count

    return stop


def last_line(log) -> tuple[str, str]:
    """Return what a process said, and its last line; its companion says why it ended after it."""
    limit = time.monotonic() + 20
    while TOLD not in (said := log.read_text()) and time.monotonic() < limit:
        time.sleep(0.1)
    return said, said.splitlines()[-1]


def moved(trial) -> int:
    """Kill a run, move its folder, and go on with one core; return whether that went wrong."""
    trial.afresh()
    trial.to_the_end(training(**on(1, 1)))
    expected = tiny.lines(trial.work / "new")
    trial.afresh()
    (process,) = trial.start(training(**on(1, 1)))
    finished = re.compile(r"new/checkpoints/\d+/")
    trial.watch([process], lambda _, __, last: any(map(finished.match, last)))
    os.kill(process, signal.SIGKILL)
    trial.end(process)
    (trial.work / "new").rename(trial.work / "moved")
    trial.to_the_end(training(workdir="moved", **on(1, 1)), lambda _: os.sched_setaffinity(0, {0}))
    lines = trial.log(0).read_text().splitlines()
    said = [line for line in lines if "another environment" in line]
    found = tiny.lines(trial.work / "moved")
    apart = max(abs(a["loss"] / b["loss"] - 1) for a, b in zip(found, expected, strict=True))
    print(f"moved, with one core: {said}; losses apart by {apart:.1g}", flush=True)
    return int(len(said) != 1 or "cores" not in said[0] or apart > 1e-5)


def disturb(trial, command: Command, ends: list, first: Callable | None = None) -> int:
    """Disturb one run again and again, let it end, and compare it with one left alone."""
    trial.afresh()
    trial.to_the_end(command, first)
    expected, bad = trial.left(), 0
    trial.afresh()
    for name, k, how in ends:
        processes = trial.start(command, first)
        assert trial.watch(processes, after_lines(3))[2] is not None, trial.said()
        begun = time.monotonic()
        of_process = isinstance(how, signal.Signals)
        os.kill(processes[k], how) if of_process else how(k)
        for other in set(range(len(processes))) - ({k} if of_process else set()):
            code, seconds = trial.end(processes[other]), time.monotonic() - begun
            said, last = last_line(trial.log(other))
            for kept in re.findall(r"in (\S+) says otherwise", last):
                os.unlink(kept)
            bad += not (code and last.startswith(TOLD) and "Traceback" not in said)
            who = f"{command.name}: {name} of {k}: {other}"
            print(f"{who} ended after {seconds:.1f} s, code {code}, {last!r}", flush=True)
        if of_process:
            os.kill(processes[k], signal.SIGKILL)
            trial.end(processes[k])
        else:
            plug_in()
    trial.to_the_end(command, first)
    wrong = [name for name, digest in trial.left().items() if digest != expected.get(name)]
    print(f"{command.name}: after all, {wrong or 'bit-equal'}", flush=True)
    return bad + bool(wrong)
