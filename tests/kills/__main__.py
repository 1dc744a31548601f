"""Kill commands at random moments, give them again, and compare with what nothing disturbed.

    python -m tests.kills [--kills=50] [--seed=0] [--only=train,export]
    python -m tests.kills --cut [--only=unplug]   any of several processes cut off, killed, stopped
    python -m tests.kills --power                 what each command names before it is on disk

It prints a line a kill, with its moment, and a table at the end. A quarter of the moments are drawn
over a command's time, the others over the changes that it makes in its folder. In trainings every
fourth is a pause instead: SIGSTOP while a checkpoint is written, seconds later SIGCONT. --cut needs
root, for network namespaces; --power needs strace.
"""

import argparse
import collections
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

from tests.kills import cut, power
from tests.kills.commands import COMMANDS, Command
from tests.kills.trial import Stop, Trial

PAUSE = 3  # seconds
SIGNS = (
    (".orbax-checkpoint-tmp", "a checkpoint"),
    (".half-", "a half of a whole file"),
    ("incomplete.", "a shard"),
    ("metrics.jsonl", "the log"),
    ("checkpoints/", "a checkpoint's name"),
)


def under_way(last: list[str]) -> str:
    text = " ".join(last) or "nothing"
    return next((name for sign, name in SIGNS if sign in text), "a whole file" * bool(last) or text)


def moment(usual: tuple[int, float], pause: bool, draw: random.Random) -> Stop:
    """Draw when to disturb a command that usually takes so many changes and seconds."""
    changes, seconds = usual
    if not pause and draw.random() < 0.25:
        at = draw.uniform(0, seconds)
        return lambda _, now, __: now >= at
    nth = draw.randint(1, changes)
    return lambda now, _, last: now >= nth and not (pause and "checkpoint" not in under_way(last))


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    return sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))


def half_written(
    found: dict[str, str], expected: dict[str, str], base: dict[str, str]
) -> list[str]:
    """Return what has its last name and is neither as before nor as it will be."""
    hidden = ("/.", ".half-", "incomplete.", "prepare.lock")
    names = [n for n in found if found[n] not in (expected.get(n), base.get(n))]
    return [f"half-written {n}" for n in names if not any(sign in f"/{n}" for sign in hidden)]


def disturb(trial: Trial, command: Command, stop: Stop, pause: bool, victim: float, expected, base):
    """Disturb a command once and give it again; return (moment, what differs), or None."""
    trial.afresh()
    processes = trial.start(command)
    changes, seconds, last = trial.watch(processes, stop)
    if last is None:  # it ended before the moment
        for process in processes:
            trial.end(process)
        return None
    process = processes[int(victim * len(processes))]
    os.kill(process, signal.SIGSTOP if pause else signal.SIGKILL)
    if pause:
        time.sleep(PAUSE)
        os.kill(process, signal.SIGCONT)
    codes = [trial.end(process) for process in processes]
    wrong = []
    if not pause:
        left = trial.left() if command.module != "main" else {}
        wrong = half_written(left, expected, base)
        codes = []
        if command.repeats or differences(left, expected):
            codes = [trial.end(process) for process in trial.start(command)]
    if any(codes):
        wrong.append(f"code {codes}: {trial.said()}")
    return (changes, seconds, under_way(last)), wrong + differences(trial.left(), expected)


def kill_all(trial: Trial, chosen: list[Command], kills: int, seed: int) -> int:
    """Disturb each command in turn; print lines and a table; return how often it went wrong."""
    draw, usual, table, number = random.Random(seed), {}, collections.defaultdict(list), 0
    trial.afresh()
    base = trial.left()
    while number < kills:
        command, begun = chosen[number % len(chosen)], time.monotonic()
        if command.name not in usual:
            trial.afresh()
            processes = trial.start(command)
            most = trial.watch(processes, lambda *_: False)[:2]
            codes = [trial.end(process) for process in processes]
            assert not any(codes), trial.said()
            usual[command.name] = most, trial.left()
            print(f"{command.name}: undisturbed {most[1]:.1f} s, {most[0]} changes", flush=True)
        most, expected = usual[command.name]
        pause = command.module == "main" and number // len(chosen) % 4 == 3
        stop, victim = moment(most, pause, draw), draw.random()
        result = disturb(trial, command, stop, pause, victim, expected, base)
        if result is None:
            continue
        (changes, seconds, what), wrong = result
        number += 1
        how = "paused" if pause else "killed"
        table[what, how].append(not wrong)
        print(
            f"{number:3} {command.name:18} {how} after {seconds:5.1f} s of {most[1]:5.1f}, "
            f"change {changes:3} of {most[0]:3}, {what}: {'; '.join(wrong) or 'equal'} "
            f"({time.monotonic() - begun:.0f} s)",
            flush=True,
        )
    print(f"\n{'under way':24} {'how':8} times equal")
    for (what, how), equal in sorted(table.items()):
        print(f"{what:24} {how:8} {len(equal):5} {sum(equal):5}")
    return sum(not right for equal in table.values() for right in equal)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="parts of names, with commas between")
    parser.add_argument("--cut", action="store_true")
    parser.add_argument("--power", action="store_true")
    given = parser.parse_args()

    def wanted(name: str) -> bool:
        return any(part in name for part in given.only.split(","))

    chosen = [command for command in COMMANDS if wanted(command.name)]
    with tempfile.TemporaryDirectory(prefix="kills_") as root:
        trial = Trial(pathlib.Path(root))
        if given.cut:
            return cut.run(trial, wanted)
        if given.power:
            return power.run(trial, chosen)
        return kill_all(trial, chosen, given.kills, given.seed)


if __name__ == "__main__":
    sys.exit(main())
