"""Reads photos in a few worker processes, so that the server answers meanwhile and nothing in a photo can take it down."""

import asyncio
import multiprocessing
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.engine.processes import begin_worker
from pipeline.images.reading import MAX_PIXELS, n_pixels
from pipeline.physical.registration.page_reading import FreshPage, Reading, ReadPage, capture_id, discarded
from pipeline.physical.registration.photo_reading import PhotoFile, read_file
from pipeline.records import CAMERA, Capture

# A worker is ended with its photo when it takes longer than this: a film of an hour, or a fault.
MOST_S = 300.0
_TRIES = 2
# Above this one is read while no other is: together they would take more than a gigabyte.
_LARGE_PIXELS, _MEGA = 25_000_000, 1_000_000


class _Failed(Exception):
    """The process that should read a photo ended or hung."""


class Readers:
    """`n` processes, spawned when they are first needed, each of which holds all that reading depends on."""

    def __init__(self, n: int, reading: Reading, warm_up: Path | None = None) -> None:
        """`warm_up` is any picture: who has read it has loaded what it takes, and the first photo is not the slowest."""
        self._n, self._reading, self._warm_up = n, reading, warm_up
        self._free, self._taking = asyncio.Semaphore(n), asyncio.Lock()

    async def read(self, photo: PhotoFile) -> list[FreshPage]:
        """Returns what `read_file` returns; a discard where the photo is too large, or its process ends or hangs, twice."""
        try:
            size = 1 if photo.trouble else await self._done(_n_pixels, photo, 1)
            if size > MAX_PIXELS:
                advice = f"it has {size / _MEGA:.1f} megapixels: photograph with {MAX_PIXELS // _MEGA} at most"
                return [FreshPage(failed(photo, "too large for the phone page", advice))]
            found: list[FreshPage] = await self._done(_read, photo, 1 if 0 < size <= _LARGE_PIXELS else self._n)
            return found
        except _Failed as error:
            return [FreshPage(failed(photo, str(error)))]

    async def _done(self, function: Callable[[PhotoFile], Any], photo: PhotoFile, n_processes: int) -> Any:
        """Returns what a function says of a photo, in one of so many processes, of which the others rest meanwhile."""
        async with self._taking:  # who asks for all does not wait for ever
            for _ in range(n_processes):
                await self._free.acquire()
        try:
            return await self._tried(function, photo)
        finally:
            for _ in range(n_processes):
                self._free.release()

    async def _tried(self, function: Callable[[PhotoFile], Any], photo: PhotoFile) -> Any:
        why = ""
        for _ in range(_TRIES):
            pool = self._pool
            try:
                return await asyncio.wait_for(_submitted(pool, function, photo), MOST_S)
            except BrokenProcessPool:  # of two photos that were read together, the innocent one is read again
                why = "the process that read it was ended"
            except TimeoutError:
                why = f"it was not read within {MOST_S:.0f} s"
            if self.__dict__.get("_pool") is pool:
                self.end()
        raise _Failed(why)

    async def start(self) -> None:
        """Starts every process, and waits until all are ready; where one cannot be started, the first photo says so."""
        with suppress(BrokenProcessPool):
            await asyncio.gather(*(_submitted(self._pool, _ready) for _ in range(self._n)))

    def end(self) -> None:
        """Ends the processes, whatever they do."""
        pool: ProcessPoolExecutor | None = self.__dict__.pop("_pool", None)
        if pool is not None:
            children = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.kill()

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._n, spawn, _begin, (self._reading, self._warm_up))


def failed(photo: PhotoFile, why: str, advice: str = "") -> ReadPage:
    """Returns what is listed of a photo that was not read for want of something here, or by a fault; nobody keeps it."""
    capture = Capture(capture_id(photo.sha256), photo.name, "", photo.sha256, "", "", CAMERA, trouble=advice)
    return ReadPage(capture, discards=(discarded(capture, "failed", why),))


def _submitted(pool: ProcessPoolExecutor, function: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
    """Gives work to the pool; Ctrl+C is for this process alone, also while another is being started for it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return asyncio.wrap_future(pool.submit(function, *arguments))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return asyncio.wrap_future(pool.submit(function, *arguments))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_held: list[Reading] = []


def _begin(reading: Reading, warm_up: Path | None) -> None:
    begin_worker()
    _held[:] = [reading]
    if warm_up is not None:
        read_file(PhotoFile(warm_up, warm_up.name, "", "", None, None), reading)


def _ready() -> None:
    time.sleep(0.2)  # long enough that no process takes two of these


def _n_pixels(photo: PhotoFile) -> int:
    return n_pixels(photo.path)


def _read(photo: PhotoFile) -> list[FreshPage]:
    return read_file(photo, _held[0])
