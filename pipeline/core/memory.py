"""Memory: what a computation frees is kept for the next one, how much there is, and how much this process took."""

import ctypes
import os
import sys

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
    """Returns how much memory more processes can take before others have to go without; half of all where it is not told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            told = dict(line.split(":", 1) for line in lines)
        return int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def peak_bytes() -> int:
    """Returns the most memory that this process held at any time."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
