"""How far a command is: one line that is renewed twice a second on a terminal, a plain line every ten seconds elsewhere."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

LINE_EVERY_S = 10.0
_TICK_S = 0.5
_REDRAW_S = 0.1
_COLUMNS = 80
_CLEAR = "\r\x1b[K"


class Progress(Protocol):
    """Wraps an iterable and shows its progress; the default shows nothing."""

    def __call__(self, items: Iterable[Any], total: int, label: str) -> Iterator[Any]: ...


def silent(items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
    """Returns the items as they are."""
    return iter(items)


@dataclass(eq=False)
class _Task:
    label: str
    total: int
    started_s: float
    done: int = 0


class Display:
    """Tells on a stream what is being done, with done and total, rate and time left, also while nothing moves.

    `progress` is what a `Context` wants. Nothing is written at once, nor where `shows` is False; what is written on a
    terminal is gone when the display is closed.
    """

    def __init__(self, stream: TextIO, shows: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._shows, self._clock = stream, shows, clock
        self._is_terminal = stream.isatty()
        self._lock, self._closed = threading.RLock(), threading.Event()
        self._started_s = clock()
        self._what, self._since_s = "starting", self._started_s
        self._drawn_s, self._is_drawn = self._since_s, False
        self._tasks: list[_Task] = []

    def __enter__(self) -> "Display":
        if self._shows:
            threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._clear()

    def begins(self, what: str, place: int = 0, total: int = 0) -> None:
        """Says what is done from now on, and which of how many steps it is."""
        with self._lock:
            self._what, self._since_s = f"stage {place} of {total}, {what}" if total else what, self._clock()

    def progress(self, items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
        """Yields the items and counts those that are done with."""
        task = _Task(label, total, self._clock())
        with self._lock:
            self._tasks.append(task)
        try:
            for item in items:
                yield item
                task.done += 1
                if self._is_terminal:
                    self._draw(_REDRAW_S)
        finally:
            with self._lock:
                self._tasks.remove(task)

    def say(self, text: str) -> None:
        """Writes a line that stays, above the one that is renewed."""
        if self._shows:
            with self._lock:
                self._clear()
                self._stream.write(text + "\n")
                self._stream.flush()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the display was made."""
        return self._clock() - self._started_s

    def line(self) -> str:
        """Returns what is being done now: "stage 2 of 9, generate: fgsm 40/96, 3.1/s, 18 s left"."""
        with self._lock:
            tasks, now_s = list(self._tasks), self._clock()
            if not tasks:
                return f"{self._what}, {duration(now_s - self._since_s)}"
            counted = " · ".join(f"{task.label} {task.done}/{max(task.total, task.done)}" for task in tasks)
            timed = next((task for task in tasks if task.done), None)
        if timed is None or now_s <= timed.started_s:
            return f"{self._what}: {counted}, {duration(now_s - tasks[0].started_s)}"
        rate = timed.done / (now_s - timed.started_s)
        left_s = max(0, timed.total - timed.done) / rate
        return f"{self._what}: {counted}, {_speed(rate)}, {duration(left_s)} left"

    def _tick(self) -> None:
        while not self._closed.wait(_TICK_S):
            self._draw(_TICK_S if self._is_terminal else LINE_EVERY_S)

    def _draw(self, at_most_every_s: float) -> None:
        with self._lock:
            if not self._shows or self._closed.is_set() or self._clock() - self._drawn_s < at_most_every_s:
                return
            self._drawn_s = self._clock()
            text = self.line()
            if self._is_terminal:
                columns = self._columns() - 1
                self._stream.write(_CLEAR + (text if len(text) <= columns else text[: columns - 1] + "…"))
                self._is_drawn = True
            else:
                self._stream.write(text + "\n")
            self._stream.flush()

    def _clear(self) -> None:
        with self._lock:
            if self._is_drawn:
                self._stream.write(_CLEAR)
                self._stream.flush()
                self._is_drawn = False

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
        except (OSError, ValueError):
            return _COLUMNS


def _speed(rate: float) -> str:
    return f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"


def duration(seconds: float) -> str:
    """Returns "18 s", "3 min 20 s" or "1 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
