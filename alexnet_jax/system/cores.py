"""How many processor cores this process may use."""

import math
import os
import pathlib

_CGROUPS, _OWN = pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/proc/self/cgroup")


def cores() -> int:
    """Return how many cores the system, SLURM or a container lets this process use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    try:  # the process's own group (cgroups v2), "0::/user.slice/user-1000.slice/..."
        own = _CGROUPS / _OWN.read_text().strip().rpartition("0::/")[2]
    except OSError:
        own = _CGROUPS
    groups = [group for group in (own, *own.parents) if group.is_relative_to(_CGROUPS)]
    return max(1, math.ceil(min(allowed, *map(_quota, {*groups, _CGROUPS}))))


def _quota(group: pathlib.Path) -> float:
    """Return the cores that a quota is worth (docker --cpus=2); infinity: there is none."""
    try:
        quota, period = (group / "cpu.max").read_text().split()  # cgroups v2
    except (OSError, ValueError):
        try:  # v1
            quota = (group / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return math.inf
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:  # "max", or -1
        return math.inf
    return int(quota) / int(period)
