"""Memory: what a computation frees is kept for the next one, how much there is, and how much this process took."""

import ctypes
import os
import sys
from typing import Any

# Numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 2**30


def keep_freed_memory(kept_bytes: int = _KEPT_BYTES) -> bool:
    """Returns whether this process now keeps freed blocks below so many bytes: with glibc, unless the user set it (`MALLOC_…`).

    By default glibc hands every freed block above 32 MiB (at first 128 KiB) back, and the next pass of a network or the next
    simulated photo asks for the same blocks again, page by page. Kept, occlusion maps with MobileNetV2 at 224 px take two thirds
    of the time and simulated photographs four fifths, with a tenth to a fifth more memory.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, kept_bytes) == 1 and mallopt(_M_TRIM_THRESHOLD, kept_bytes) == 1)


def available_bytes() -> int:
    """Returns how much memory more processes can take before others have to go without; 0 where it is not told."""
    psutil = _psutil()
    return int(psutil.virtual_memory().available) if psutil else 0


def peak_bytes(with_children: bool = False) -> int:
    """Returns the most memory that this process held, or any of those that it started and that have ended; 0 if not told."""
    try:
        import resource
    except ImportError:  # Windows, which tells it of this process alone
        psutil = _psutil()
        told = psutil.Process().memory_info() if psutil else None
        return int(getattr(told, "peak_wset", 0))
    who = (resource.RUSAGE_SELF, *((resource.RUSAGE_CHILDREN,) if with_children else ()))
    peak = max(resource.getrusage(one).ru_maxrss for one in who)
    return peak * maxrss_bytes(sys.platform)


def _psutil() -> Any:
    """Its part for Linux asks for `resource` itself, which a small build of Python may lack."""
    try:
        import psutil
    except ImportError:
        return None
    return psutil


def maxrss_bytes(platform: str) -> int:
    """Returns the unit in which a system tells how much memory a process held: a byte on macOS, else a KiB."""
    return 1 if platform == "darwin" else 1024
