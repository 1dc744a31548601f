"""Reads a process's stderr and says, in one line, which other process ended it.

    python peer_watch.py < the process's stderr

When one of several processes dies, JAX's coordination service ends the others from C++ with pages
of log and a stack trace, and no Python of theirs runs any more. So their stderr goes through this
little program, started by `distributed.start`: it passes lines on, holds back what the service
writes, and at the end says what that meant. It imports nothing but the standard library.
"""

import re
import signal
import sys
from collections.abc import Iterable, Iterator

# What the service logs, and what gRPC and the stack trace add to it.
_SERVICE = re.compile(
    r"[IWEF]\d{4} .*(coordination_service|preemption|client\.h|grpc_credentials|service\.cc)"
    r"|\*\*\* Check failure stack trace|    @ +0x|Additional GRPC error|:UNKNOWN:|RPC: /xla"
    r"|The tasks have crashed|# of tasks that reached|The first task at|Original error:"
    r"| \[type\.googleapis"
)
_UNHEALTHY = re.compile(r"tasks are unhealthy \(stopped sending heartbeats\)")
_TASK = re.compile(r"(?:/job:\S*/task:)?(\d+)$")
NAMES = "\0names "  # begins the line by which the process tells who its peers are


def relay(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines to show, and at the end which of the peers is to blame, if one is."""
    held: list[str] = []
    names: list[str] = []
    within = False  # a message of the service, which may go on with bare lines
    for line in lines:
        if line.startswith(NAMES):
            names = line.removeprefix(NAMES).split()
            continue
        bare = not line.strip() or _TASK.match(line)
        within = bool(_SERVICE.match(line) or (within and bare))
        if within:
            held.append(line)
        else:
            yield line
    if said := verdict(held, names):
        yield f"error: {said}\n"
    elif any(line.startswith("F") for line in held):
        yield from held


def verdict(held: list[str], names: list[str]) -> str | None:
    """Return which process ended this one, or None where the service does not say.

    Args:
      held: the service's lines.
      names: host:pid of each process, where they are known.
    """
    text = "".join(held)
    dead = sorted({int(task.group(1)) for task in map(_TASK.match, held) if task})
    if "RegisterTask" in text and "DEADLINE_EXCEEDED" in text:
        who = ", ".join(map(str, dead)) or "0, the coordinator,"
        return f"process {who} did not come in time; its own log, if there is one, says why"
    if _UNHEALTHY.search(text) and dead:
        who = ", ".join(_named(number, names) for number in dead)
    elif "leader task" in text:
        who = f"{_named(0, names)}, the coordinator,"
    else:
        return None
    return f"process {who} no longer answers; the same command, in all processes, goes on"


def _named(number: int, names: list[str]) -> str:
    return f"{number} ({names[number]})" if number < len(names) else str(number)


def main() -> None:
    """Relay stdin to stderr; signals are for the process that is watched."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for line in relay(sys.stdin):
        sys.stderr.write(line)
        sys.stderr.flush()


if __name__ == "__main__":
    main()
