"""Reads photos in a few worker processes, so that the server answers meanwhile and nothing in a photo can take it down."""

import asyncio
import multiprocessing
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.engine.processes import begin_worker
from pipeline.physical.registration.page_reading import FreshPage, Reading, ReadPage, capture_id, discarded
from pipeline.physical.registration.photo_reading import PhotoFile, read_file
from pipeline.records import CAMERA, Capture

# A worker is ended with its photo when it takes longer than this: a film of an hour, or a fault.
MOST_S = 300.0
_TRIES = 2


class Readers:
    """`n` processes, spawned when they are first needed, each of which holds all that reading depends on."""

    def __init__(self, n: int, reading: Reading, warm_up: Path | None = None) -> None:
        """`warm_up` is any picture: who has read it has loaded what it takes, and the first photo is not the slowest."""
        self._n, self._reading, self._warm_up = n, reading, warm_up

    async def read(self, photo: PhotoFile) -> list[FreshPage]:
        """Returns what `read_file` returns; a discard where the process that reads it ends or hangs, twice."""
        why = ""
        for _ in range(_TRIES):
            pool = self._pool
            try:
                return await asyncio.wait_for(_submitted(pool, _read, photo), MOST_S)
            except BrokenProcessPool:  # of two photos that were read together, the innocent one is read again
                why = "the process that read it was ended"
            except TimeoutError:
                why = f"it was not read within {MOST_S:.0f} s"
            if self.__dict__.get("_pool") is pool:
                self.end()
        return [FreshPage(failed(photo, why))]

    async def start(self) -> None:
        """Starts every process, and waits until all are ready."""
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


def failed(photo: PhotoFile, why: str) -> ReadPage:
    """Returns what is listed of a photo that could not be read by a fault of the program or the machine."""
    capture = Capture(capture_id(photo.sha256), photo.name, "", photo.sha256, "", "", CAMERA)
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


def _read(photo: PhotoFile) -> list[FreshPage]:
    return read_file(photo, _held[0])
