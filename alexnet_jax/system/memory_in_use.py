"""How much of the memory that this process may have is in use, by whomever. Linux only."""

import pathlib
from collections.abc import Iterator

ROOT = pathlib.Path("/")


def share_in_use(root: pathlib.Path = ROOT) -> float:
    """Return the largest share in use: of the machine's memory, and of each limit around us.

    Limits are those of control groups, as SLURM, Docker and Kubernetes set them, version 2 and 1.
    Pages of files that can be read again do not count as used.

    Args:
      root: of the file system.
    """
    machine = _numbers(root / "proc/meminfo")
    shares = [1 - machine["MemAvailable:"] / machine["MemTotal:"]]
    return max([*shares, *_of_groups(root)])


def _of_groups(root: pathlib.Path) -> Iterator[float]:
    top = root / "sys/fs/cgroup"
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, kinds, path = line.split(":", 2)
        inner = pathlib.PurePosixPath(path.lstrip("/"))
        if not kinds:
            for folder in (top / inner, *(top / parent for parent in inner.parents)):
                yield from _second(folder)
        elif "memory" in kinds.split(","):
            # In a container the path is the host's, and its own group is mounted at the top.
            yield from _first(top / "memory" / inner)
            yield from _first(top / "memory")


def _second(folder: pathlib.Path) -> Iterator[float]:
    try:
        limit = (folder / "memory.max").read_text().strip()
        if limit != "max":
            yield _numbers(folder / "memory.stat")["anon"] / int(limit)
    except OSError:  # the topmost group, or one that does not count memory
        return


def _first(folder: pathlib.Path) -> Iterator[float]:
    try:
        found = _numbers(folder / "memory.stat")
    except OSError:
        return
    yield found["total_rss"] / found["hierarchical_memory_limit"]  # without one 2**63, about


def _numbers(path: pathlib.Path) -> dict[str, int]:
    """Return the first number of each line, by the word before it."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}
