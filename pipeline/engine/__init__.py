"""Maps a function over items, in this process or in worker processes, and shows how far it is."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import Unavailable
from pipeline.core.memory import keep_freed_memory
from pipeline.core.progress import Progress, silent

# NumPy's threads: its matrices here are small, and threads in every worker would only wait for each other.
BLAS_THREADS = "OPENBLAS_NUM_THREADS"


def unannounced(stage: str, place: int, total: int) -> None:
    """Says nothing of a stage that begins."""


@dataclass(frozen=True)
class Context:
    """How a stage runs, as opposed to what it makes: nothing here changes a result."""

    device: str = "cpu"
    workers: int = 1
    progress: Progress = silent
    begins: Callable[[str, int, int], None] = unannounced


def map_items(function: Callable[[Any], Any], items: Sequence[Any], context: Context, label: str) -> Iterator[Any]:
    """Yields `function(item)` for every item, in order.

    `function` must be importable from its module (worker processes are spawned, so that no thread pool is forked).
    """
    if context.workers <= 1 or len(items) <= 1:
        yield from context.progress(map(function, items), len(items), label)
        return
    workers = min(context.workers, len(items))
    os.environ.setdefault(BLAS_THREADS, "1")
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker) as pool:
        try:
            yield from context.progress(pool.map(function, items), len(items), label)
        except BrokenProcessPool:
            raise Unavailable("A worker process was ended, probably for lack of memory.", "Use fewer --workers.") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker() -> None:
    """Leaves an interruption to the parent, ends with it, and keeps OpenCV to one thread: more would only wait for each other."""
    import cv2

    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()

    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
