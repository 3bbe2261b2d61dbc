"""Reads files in a child process whose memory and time are limited, and whose libraries cannot write to the terminal.

What a file's header does not tell (how many strokes a PDF draws, what a decoder takes for a pixel) costs the child, not the run:
where it takes too much or crashes, the file is refused, and the next one gets a new child.
"""

import atexit
import contextlib
import importlib
import importlib.util
import math
import mmap
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.errors import BadInput, InkproofError
from pipeline.core.memory import keep_freed_memory
from pipeline.images.formats import NoReader, reason, shown, wants_memory

# What one picture may take: memory beside what the child has anyway (on Linux), and seconds of the processor.
MAX_READ_MB, MAX_READ_CPU_S = 600, 20
# So many times as long by the clock, where a machine has other things to do too.
_PATIENCE = 6
_MAX_START_S = 120
# Of what decoders write to the terminal so much is read; their words and the shared pixels may not fill a disk.
_MAX_TOLD_BYTES, _MAX_FILE_BYTES = 2**20, 2**30
_INSTEAD = "Export it as an ordinary JPEG or PNG."
# Everything is read by one thread.
_SETTINGS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# Memory that is used again, by one ordinary photo after the other, is faster than new memory.
_KEPT_BYTES = 2**26
# Windows limits no process: there files are read in this one.
_CAN_LIMIT = importlib.util.find_spec("resource") is not None
_ROOT = str(Path(__file__).resolve().parents[2])
_DONE: tuple[Any, ...] = ()
_lock = threading.RLock()


def limited(function: str, path: Path, *arguments: Any) -> Iterator[Any]:
    """Yields what `function(path, *arguments)` yields in the child process; each item is made when it is asked for.

    Args:
        function: "module:name" of a generator function.

    Raises:
        InkproofError: what the function raises.
        BadInput: an item takes more than MAX_READ_MB or MAX_READ_CPU_S, or its decoder crashes, or raises anything else.
        NoReader: no child process can be started.
    """
    if not _CAN_LIMIT:
        yield from _without_limits(function, path, arguments)
        return
    child, name = _child(path), os.urandom(8)
    child.ask(path, ("begin", name, path, os.getcwd(), function, arguments, (MAX_READ_MB, MAX_READ_CPU_S)))
    try:
        while item := child.ask(path, ("next", name)):
            yield item[0]
    finally:
        if child.is_alive:
            with contextlib.suppress(InkproofError):
                if child.ask(path, ("end", name)):  # the libraries keep memory of what they read: libheif, of a HEIC's tiles
                    child.end()


class _Child:
    """A process that reads one file after the other; it ends when its line to this one is cut."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        shared = _shared_memory()
        self._line, self._pixels, self.is_alive = Connection(ours.detach()), _Pixels(shared), True
        numbers = theirs.fileno(), shared
        first = f"import sys; sys.path[:] = {[_ROOT, *sys.path]!r}; import pipeline"  # this one, whatever else is called so
        code = f"{first}; del sys.path[0]; from pipeline.images.limits import serve; serve{numbers}"
        with theirs, tempfile.TemporaryFile() as told:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                env=os.environ | _SETTINGS,
                pass_fds=numbers,
                start_new_session=True,  # an interruption is the parent's affair
            )

    def ask(self, path: Path, request: tuple[Any, ...], wait_s: float | None = None) -> Any:
        """Returns the answer to a request; raises what was raised there, or says why no answer comes."""
        with _lock:
            if not self.is_alive:
                raise NoReader(f"{shown(path)} cannot be read now: the process that reads it was ended.")
            is_late = False
            try:
                self._line.send((self._pixels.are_given_back(), request))
                is_late = not self._line.poll(wait_s or _PATIENCE * MAX_READ_CPU_S)
                answer = None if is_late else self._pixels.taken(*self._line.recv())
            except (OSError, EOFError):
                answer = None
            except BaseException:  # an interruption: what comes later would be taken for another answer
                self.end()
                raise
            if answer is None:
                raise self._ended(path, is_late)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def has_ended(self) -> bool:
        """Whether it ended between two files, whatever ended it."""
        return self._process.poll() is not None

    def end(self) -> int:
        """Ends the process and returns its exit status: as it ended itself, or -9."""
        self.is_alive = False
        self._line.close()
        self._pixels.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(0.5)
        self._process.kill()
        return self._process.wait()

    def _ended(self, path: Path, is_late: bool) -> BadInput:
        if self.end() == -signal.SIGXCPU or is_late:
            return BadInput(f"{shown(path)} takes more than {MAX_READ_CPU_S} s to be read.", _INSTEAD)
        return BadInput(f"{shown(path)} ends its decoder: it is damaged, or wants more than {MAX_READ_MB} MB.", _INSTEAD)


_children: dict[int, _Child] = {}  # by process: one that was forked off does not share the line


def _child(path: Path) -> _Child:
    with _lock:
        child = _children.get(os.getpid())
        if child is not None and child.is_alive and child.has_ended:
            child.end()
        if child is None or not child.is_alive:
            try:
                child = _children[os.getpid()] = _Child()
                child.ask(path, ("hello", b""), _MAX_START_S)
            except (OSError, BadInput) as error:
                raise NoReader(f"{shown(path)} cannot be read now: no process can be started that reads it.") from error
        return child


@atexit.register
def _end() -> None:
    child = _children.pop(os.getpid(), None)
    if child is not None and child.is_alive:
        child.end()


class _Pixels:
    """Memory of which both processes know: arrays lie there on their way from the child, and ordinary ones stay there.

    No array is overwritten while anything here still holds it: the next one then lies behind, and is copied.
    """

    def __init__(self, number: int) -> None:
        self._number, self._kept = number, mmap.mmap(number, _KEPT_BYTES)
        self._lent: list[weakref.ref[np.ndarray]] = []

    def put(self, what: Any, may_stay: bool) -> tuple[bytes, int, list[int]]:
        """Returns an object without its arrays, where these begin, and how many bytes each has: what `taken` needs."""
        buffers: list[pickle.PickleBuffer] = []
        content = pickle.dumps(what, 5, buffer_callback=buffers.append)
        arrays = [buffer.raw() for buffer in buffers]
        sizes = [array.nbytes for array in arrays]
        start = at = 0 if may_stay and sum(sizes) <= _KEPT_BYTES else _KEPT_BYTES
        for array in arrays:
            if start == 0:
                memoryview(self._kept)[at : at + array.nbytes] = array
            else:
                done = 0
                while done < array.nbytes:
                    done += os.pwrite(self._number, array[done:], at + done)
            at += array.nbytes
        return content, start, sizes

    def taken(self, content: bytes, start: int, sizes: list[int]) -> Any:
        """Returns the object that was put."""
        at, arrays = start, []
        for size in sizes:
            if start == 0:
                arrays.append(np.frombuffer(self._kept, np.uint8, size, at))
            else:
                arrays.append(np.empty(size, np.uint8))
                done = 0
                while done < size:
                    done += os.preadv(self._number, [arrays[-1].data[done:]], at + done)
            at += size
        if start == 0:
            self._lent += map(weakref.ref, arrays)
        else:
            os.ftruncate(self._number, _KEPT_BYTES)
        return pickle.loads(content, buffers=arrays)

    def are_given_back(self) -> bool:
        """Returns whether nothing holds what was taken before."""
        self._lent = [one for one in self._lent if one() is not None]
        return not self._lent

    def close(self) -> None:
        """Lets the memory go; arrays that are still held keep theirs."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1

    __del__ = close


def _shared_memory() -> int:
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("pictures")
    else:
        with tempfile.TemporaryFile() as file:
            number = os.dup(file.fileno())
    os.ftruncate(number, _KEPT_BYTES)
    return number


class _Server:
    """What answers in the child process."""

    def __init__(self) -> None:
        self._most_held_bytes = _held_bytes() + 2 * _KEPT_BYTES
        self._running: dict[bytes, tuple[Path, Iterator[Any], int, int]] = {}

    def answer(self, what: str, name: bytes, *more: Any) -> Any:
        """Returns (item,), _DONE or the error that was raised; at the end whether this process has come to hold too much."""
        path, max_mb = more[0] if more else Path(), MAX_READ_MB
        try:
            match what:
                case "begin":
                    _, folder, function, arguments, (max_mb, max_s) = more
                    os.chdir(folder)
                    self._running[name] = path, _items(function, path, arguments), max_mb, max_s
                case "next":
                    path, items, max_mb, max_s = self._running[name]
                    self._limit_taking(max_mb, max_s)
                    os.ftruncate(2, 0)
                    os.lseek(2, 0, os.SEEK_SET)
                    return next(((item,) for item in items), _DONE)
                case "end":
                    del self._running[name]
                    return not self._running and _held_bytes() > self._most_held_bytes
        except Exception as error:  # decoders raise anything on hostile bytes
            return _refusal(error, path, max_mb)
        return _DONE

    def _limit_taking(self, max_mb: int, max_s: int) -> None:
        import resource

        # what the pictures before left may be used again, but does not add up
        own_bytes = min(_held_bytes(), self._most_held_bytes)
        _limit(resource.RLIMIT_DATA, own_bytes + max_mb * 2**20)
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime) + max_s)


def _items(function: str, path: Path, arguments: tuple[Any, ...]) -> Iterator[Any]:
    module, _, attribute = function.partition(":")
    items: Iterator[Any] = getattr(importlib.import_module(module), attribute)(path, *arguments)
    return items


def _without_limits(function: str, path: Path, arguments: tuple[Any, ...]) -> Iterator[Any]:
    try:
        yield from _items(function, path, arguments)
    except Exception as error:  # decoders raise anything on hostile bytes
        raise _refusal(error, path, MAX_READ_MB) from error


def _refusal(error: Exception, path: Path, max_mb: int) -> InkproofError:
    """Returns why a file is not read, as an error that can be sent to another process."""
    if isinstance(error, InkproofError):
        wanted = error.__cause__ if isinstance(error, NoReader) else None
        return _too_large(path, max_mb) if wanted and wants_memory(wanted) else type(error)(error.message, error.hint)
    if isinstance(error, MemoryError):
        return _too_large(path, max_mb)
    return BadInput(f"{shown(path)} cannot be read: {reason(error)}.", _INSTEAD)


def _too_large(path: Path, max_mb: int) -> BadInput:
    return BadInput(f"{shown(path)} wants more than {max_mb} MB of memory to be read.", _INSTEAD)


def serve(number: int, shared: int) -> None:
    """Answers the requests that come in on an open socket until it is closed: what the child process does."""
    import resource

    import cv2

    cv2.setNumThreads(1)
    keep_freed_memory(2 * _KEPT_BYTES)  # one picture after the other, and what its decoder needs beside it
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _MAX_FILE_BYTES)
    global _is_child
    _is_child = True
    line, pixels, server = Connection(number), _Pixels(shared), _Server()
    with contextlib.suppress(EOFError, OSError):
        while True:
            may_stay, request = line.recv()
            line.send(pixels.put(server.answer(*request), may_stay))


_is_child = False


def told() -> str | None:
    """Returns what decoders wrote to standard error since this picture was asked for; None outside the child process."""
    return os.pread(2, _MAX_TOLD_BYTES, 0).decode("utf-8", "replace") if _is_child else None


def _held_bytes() -> int:
    """The memory of this process that files do not back: what the limit is set on."""
    try:
        with open("/proc/self/statm", encoding="ascii") as sizes:
            return int(sizes.read().split()[5]) * mmap.PAGESIZE
    except OSError:  # not on Linux, where the limit would hold
        return 2**40


def _limit(what: int, most: int) -> None:
    import resource

    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
