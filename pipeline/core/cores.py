"""How many processors this process may use: fewer than the machine has in a container, a batch job or under taskset."""

import os
from math import ceil
from pathlib import Path

_CGROUP, _OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def n_cores(cgroup: Path = _CGROUP, of_process: Path = _OF_PROCESS) -> int:
    """Returns the smallest of: processors of the machine, those that this process is bound to, and its quota, rounded up.

    Args:
        cgroup, of_process: where Linux tells quotas, and of which group this process is.
    """
    found = [os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        found.append(len(os.sched_getaffinity(0)))
    return max(1, min([*found, *_quotas(cgroup, of_process)]))


def _quotas(cgroup: Path, of_process: Path) -> list[int]:
    """Returns the quotas of the process's group and of those above it (cgroup v2 `cpu.max`, v1 `cpu.cfs_quota_us`)."""
    try:
        line = next((line for line in of_process.read_text().splitlines() if line.startswith("0::")), "0::/")
    except OSError:
        return []
    group = cgroup / line[3:].strip("/")
    found = []
    for folder in (group, *group.parents, cgroup / "cpu"):
        try:
            if (folder / "cpu.max").is_file():
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota, period = (((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
            if quota != "max" and int(quota) > 0:
                found.append(ceil(int(quota) / int(period)))
        except (OSError, ValueError):  # no quota is told there
            continue
    return found
