"""How many processor cores this process may use."""

import math
import os
import pathlib

_CGROUPS = pathlib.Path("/sys/fs/cgroup")


def cores() -> int:
    """Return how many cores the system, SLURM or a container lets this process use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _quota(_CGROUPS))))


def _quota(cgroups: pathlib.Path) -> float:
    """Return the cores that a container's quota is worth (docker --cpus=2); infinity: no quota."""
    try:
        quota, period = (cgroups / "cpu.max").read_text().split()  # cgroups v2
    except (OSError, ValueError):
        try:  # v1
            quota = (cgroups / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroups / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return math.inf
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:  # "max", or -1
        return math.inf
    return int(quota) / int(period)
