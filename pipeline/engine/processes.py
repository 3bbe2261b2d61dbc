"""The back end that works in processes of this machine, each with its own copy of what is shared."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from itertools import islice
from typing import Any

from pipeline.core.cores import THREADS, n_threads, settle_threads
from pipeline.core.errors import Unavailable
from pipeline.core.memory import available_bytes, keep_freed_memory, peak_bytes
from pipeline.engine import Local, Shared

# Opening a network elsewhere takes seconds, and PyTorch uses every core here: it is done where more than this is left to do.
WORTH_S = 60.0
# Workers that neither end anything nor use the processor for so long hang.
SILENT_S = 300.0
_LOOK_EVERY_S, _BEAT_EVERY_S, _MOVES_S = 1.0, 1.0, 0.5
# As many items wait in a line as are under way, so that no worker waits.
_ITEMS_A_WORKER = 2


class Processes:
    """Works in `n` processes at most.

    Those that need nothing shared end with their items, and their memory with them. Those that opened something wait for the
    next items that need the same.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._held: _Workers | None = None
        self._recipe = b""

    def map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Shared[Any] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yields (place, result): see `Backend`.

        What needs something shared begins here, where it is open already, and goes on in workers where much is left.
        """
        recipe = b"" if shared is None else pickle.dumps(shared)
        rest, is_open = deque(range(len(items))), self._held is not None and recipe == self._recipe
        if len(rest) == 1:
            yield from Local().map(function, items, shared)
            return
        if shared is not None and not is_open:
            yield from self._until_it_is_worth(function, items, rest, shared)
        if not rest:
            return
        if self._held is None or not is_open:
            self.end()
            self._held, self._recipe = _Workers(min(self._fitting() if recipe else self._n, len(rest))), recipe
        is_whole = False
        try:
            yield from self._held.map(function, ((place, items[place]) for place in rest), recipe)
            is_whole = True
        finally:
            if not is_whole or not recipe:
                self.end(at_once=not is_whole)

    def end(self, at_once: bool = False) -> None:
        """Ends the processes that wait, or, at once, whatever they do."""
        if self._held is not None:
            self._held.end(at_once)
            self._held = None

    def _until_it_is_worth(
        self, function: Callable[..., Any], items: Sequence[Any], rest: deque[int], shared: Shared[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Takes items from the rest and works on them here, until what is left takes longer than to open workers."""
        n_done, worked_s = 0, 0.0
        while rest and (n_done == 0 or len(rest) == 1 or worked_s / n_done * len(rest) <= WORTH_S or self._fitting() == 1):
            place = rest.popleft()
            began_s = time.monotonic()
            result = function(items[place], shared.opened())
            n_done, worked_s = n_done + 1, worked_s + time.monotonic() - began_s
            yield place, result

    def _fitting(self) -> int:
        """How many processes like this one fit into the memory that is free."""
        return max(1, min(self._n, available_bytes() // max(1, peak_bytes())))


class _Workers:
    """Processes that are spawned when they are first needed; `beats` holds the id and the processor seconds of each."""

    def __init__(self, n: int) -> None:
        settle_threads()
        spawn = multiprocessing.get_context("spawn")
        self._n, self._beats = n, spawn.Array("d", 2 * n, lock=False)
        # the workers share PyTorch's threads
        share = max(1, n_threads() // n)
        self._pool = ProcessPoolExecutor(n, spawn, _start, (spawn.Value("i", 0), self._beats, share))

    def map(self, function: Callable[..., Any], items: Iterable[tuple[int, Any]], recipe: bytes) -> Iterator[tuple[int, Any]]:
        """Yields (place, result) of (place, item), as they end; the first error after those that began before it."""
        rest = iter(items)
        under_way: dict[Future[Any], int] = {}
        errors: dict[int, BaseException] = {}
        while True:
            room = 0 if errors else _ITEMS_A_WORKER * self._n - len(under_way)
            for place, item in islice(rest, room):
                try:
                    under_way[self._pool.submit(_work, function, item, recipe)] = place
                except BrokenProcessPool as error:
                    errors[place] = error
                    break
            if not under_way:
                break
            for future in self._ended(under_way):
                place = under_way.pop(future)
                if (raised := future.exception()) is None:
                    yield place, future.result()
                else:
                    errors[place] = raised
        if errors:
            first = errors[min(errors)]
            if isinstance(first, BrokenProcessPool):
                if not any(self._beats[::2]):
                    advice = 'A script calls inkproof under: if __name__ == "__main__":'
                    raise Unavailable("No worker process could begin.", advice) from None
                advice = "Use fewer --workers; what is done is kept."
                raise Unavailable("A worker process was ended, probably for lack of memory.", advice) from None
            raise first

    def end(self, at_once: bool) -> None:
        """Ends every process: when it has nothing more to do, or at once."""
        if at_once:
            for child in list((self._pool._processes or {}).values()):  # also those that have not said yet that they are there
                child.kill()
        self._pool.shutdown(wait=not at_once, cancel_futures=True)

    def _ended(self, under_way: dict[Future[Any], int]) -> list[Future[Any]]:
        """Returns those that have ended, at least one, by place.

        Raises:
            Unavailable: nothing has moved for `SILENT_S`.
        """
        moved_s, used_s = time.monotonic(), self._used_s()
        while True:
            ended, _ = wait(under_way, _LOOK_EVERY_S, FIRST_COMPLETED)
            if ended:
                return sorted(ended, key=lambda future: under_way[future])
            if self._used_s() - used_s > _MOVES_S:
                moved_s, used_s = time.monotonic(), self._used_s()
            elif time.monotonic() - moved_s > SILENT_S:
                raise Unavailable(
                    f"No worker process has done anything for {SILENT_S:.0f} s.",
                    "Type the same command again: what is done is kept. With --workers 1 there are none.",
                )

    def _used_s(self) -> float:
        return float(sum(self._beats[1::2]))


def _start(counter: Any, beats: MutableSequence[float], share: int) -> None:
    begin_worker(share)
    keep_freed_memory()
    with counter.get_lock():
        place, counter.value = counter.value, counter.value + 1
    beats[2 * place] = os.getpid()
    threading.Thread(target=_beat, args=(beats, 2 * place + 1), daemon=True).start()


def begin_worker(share: int = 1) -> None:
    """Leaves an interruption to the parent and ends with it; gives PyTorch its share of threads, and OpenCV one."""
    os.environ[THREADS] = str(share)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _beat(beats: MutableSequence[float], place: int) -> None:
    while True:
        beats[place] = time.process_time()
        time.sleep(_BEAT_EVERY_S)


def _work(function: Callable[..., Any], item: Any, recipe: bytes) -> Any:
    return function(item, _opened(recipe)) if recipe else function(item)


@lru_cache(maxsize=1)
def _opened(recipe: bytes) -> Any:
    return pickle.loads(recipe).opened()
