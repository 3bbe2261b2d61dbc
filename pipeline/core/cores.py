"""How many processors this process may use, fewer than the machine has in a container or under taskset, and its threads."""

import os
from math import ceil
from pathlib import Path

THREADS, WAITING = "OMP_NUM_THREADS", "OMP_WAIT_POLICY"
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_CGROUP, _OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def n_cores(cgroup: Path = _CGROUP, of_process: Path = _OF_PROCESS) -> int:
    """Returns the smallest of: processors of the machine, those that this process is bound to, and its quota, rounded up.

    Args:
        cgroup, of_process: where Linux tells quotas, and of which group this process is.
    """
    return max(1, min([_n_bound(), *_quotas(cgroup, of_process)]))


def settle_threads() -> None:
    """Says how this process and its workers wait and share, where the user did not; before PyTorch and NumPy are imported.

    PyTorch's threads spin while they wait for each other, and beside other work spin its time away: here they sleep. They count
    the processors that they are bound to, and no quota. NumPy's matrices are small: more than one thread would only wait.
    """
    os.environ.setdefault(WAITING, "passive")
    os.environ.setdefault(_BLAS_THREADS, "1")
    if n_cores() < _n_bound():
        os.environ.setdefault(THREADS, str(n_cores()))


def n_threads() -> int:
    """Returns how many threads PyTorch has in all: the first number of OMP_NUM_THREADS, or else one a processor."""
    told = os.environ.get(THREADS, "").split(",")[0].strip()
    return int(told) if told.isdecimal() and int(told) else n_cores()


def _n_bound() -> int:
    """Returns the processors of the machine, or those that this process is bound to."""
    found = os.cpu_count() or 1
    return min(found, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else found


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
