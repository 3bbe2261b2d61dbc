"""How far a command is: bars on a terminal, a plain line every ten seconds elsewhere."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from pipeline.core.bars import Bars

LINE_EVERY_S = 10.0
_FIRST_S = 0.5


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
    terminal is gone when the display is closed. `noted` is told of what begins and of lines that stay, shown or not.
    """

    def __init__(
        self,
        stream: TextIO,
        shows: bool = True,
        clock: Callable[[], float] = time.monotonic,
        noted: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._stream, self._shows, self._clock, self._noted = stream, shows, clock, noted
        self._lock, self._closed = threading.RLock(), threading.Event()
        self._what, self._started_s, self._waits = "starting", clock(), False
        self._since_s = self._told_s = self._started_s
        self._tasks: list[_Task] = []
        self._bars: Bars | None = None
        if shows and stream.isatty():
            from pipeline.core import bars

            self._bars = bars.Bars(stream, self._stage)

    def __enter__(self) -> "Display":
        if self._shows:
            threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed.set()
            if self._bars is not None:
                self._bars.stop()

    def begins(self, what: str, place: int = 0, total: int = 0) -> None:
        """Says what is done from now on, and which of how many steps it is."""
        with self._lock:
            self._what, self._since_s = f"stage {place} of {total}, {what}" if total else what, self._clock()
            self._waits = False
            self._noted(self._what)

    def waits(self, what: str) -> None:
        """Says for whom or what the command waits from now on: no line tells every ten seconds that it still does."""
        self.begins(what)
        self._waits = True

    def progress(self, items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
        """Yields the items and counts those that are done with."""
        task = _Task(label, total, self._clock())
        bar = None if self._bars is None else self._bars.add_task(label, total=total or None, told=lambda: self._count(task))
        with self._lock:
            self._tasks.append(task)
        try:
            for item in items:
                yield item
                task.done += 1
                if self._bars is not None and bar is not None:
                    self._bars.update(bar, completed=task.done, total=max(total, task.done))
        finally:
            with self._lock:
                self._tasks.remove(task)
            if self._bars is not None and bar is not None:
                self._bars.remove_task(bar)

    def say(self, text: str) -> None:
        """Writes a line that stays, above what is drawn."""
        self._noted(text)
        if self._bars is not None:
            self._bars.console.print(text, markup=False, soft_wrap=True)
        elif self._shows:
            self._write(text)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the display was made."""
        return self._clock() - self._started_s

    def line(self) -> str:
        """Returns what is being done now: "stage 2 of 9, generate: fgsm 40/96, 3.1/s, 18 s left"."""
        with self._lock:
            tasks = list(self._tasks)
        if not tasks:
            return self._stage()
        counted = " · ".join(f"{task.label} {self._done(task)}" for task in tasks)
        return f"{self._what}: {counted}, {self._pace(next((task for task in tasks if task.done), tasks[0]))}"

    def _stage(self) -> str:
        return f"{self._what}, {duration(self._clock() - self._since_s)}"

    def _count(self, task: _Task) -> str:
        return f"{self._done(task)}, {self._pace(task)}"

    def _done(self, task: _Task) -> str:
        return f"{task.done}/{max(task.total, task.done)}"

    def _pace(self, task: _Task) -> str:
        """Rate and time left, or for how long it has been under way."""
        worked_s = self._clock() - task.started_s
        if not task.done or worked_s <= 0:
            return duration(worked_s)
        rate = task.done / worked_s
        speed = f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"
        return f"{speed}, {duration(max(0, task.total - task.done) / rate)} left"

    def _tick(self) -> None:
        """Begins to draw on a terminal after a moment; elsewhere writes a line now and then."""
        if self._bars is not None:
            if not self._closed.wait(_FIRST_S):
                with self._lock:
                    if not self._closed.is_set():
                        self._bars.start()
            return
        while not self._closed.wait(_FIRST_S):
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            if not self._closed.is_set() and not self._waits and self._clock() - self._told_s >= LINE_EVERY_S:
                self._told_s = self._clock()
                self._write(self.line())

    def _write(self, line: str) -> None:
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


def duration(seconds: float) -> str:
    """Returns "18 s", "3 min 20 s" or "1 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
