"""How many processor cores this process may use."""

import os


def cores() -> int:
    """Return how many cores the system or SLURM lets this process use, which may not be all."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
