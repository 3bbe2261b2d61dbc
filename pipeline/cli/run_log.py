"""The log of a run: what was typed and when, what was done and told, every warning and traceback; it is bounded."""

import shlex
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MOST_BYTES = 1_000_000


class RunLog:
    """Writes lines with their time into the log of the run that a command turns out to be about.

    Until that run has a folder, lines are kept; of a command that makes none, and of one that only says what it would do, nothing
    is written. A log that cannot be written never stands in the way.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._path: Path | None = None
        self._lines: list[str] = []
        self._is_dry = "--dry-run" in arguments
        self.add(f"inkproof {shlex.join(arguments)}")

    def belongs_to(self, run: Any) -> None:
        """Says which run the command is about; of several the first."""
        if self._path is None:
            self._path = run.log
            _shorten(run.log)

    def add(self, text: str) -> None:
        """Writes a text, each of its lines with the time."""
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        self._lines += [f"{now}  {line}" for line in text.splitlines()]
        self._flush()

    def add_error(self, error: BaseException) -> None:
        """Writes an error with its traceback."""
        self.add("".join(traceback.format_exception(error)))

    def catch_warnings(self) -> None:
        """Writes what libraries warn of from now on, and shows it as before."""
        shown = warnings.showwarning

        def noted(message: Any, category: Any, filename: str, lineno: int, *rest: Any) -> None:
            self.add(f"warning: {category.__name__}: {message} ({filename}:{lineno})")
            shown(message, category, filename, lineno, *rest)

        warnings.showwarning = noted  # type: ignore[assignment]

    def _flush(self) -> None:
        if self._path is None or self._is_dry or not self._path.parent.is_dir():
            return
        try:
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write("".join(f"{line}\n" for line in self._lines))
            self._lines.clear()
        except OSError:
            self._path = None


def _shorten(path: Path) -> None:
    """Leaves the later half of a log that has become long."""
    try:
        if path.stat().st_size > MOST_BYTES:
            kept = path.read_bytes()[-MOST_BYTES // 2 :]
            path.write_bytes(kept[kept.find(b"\n") + 1 :])
    except OSError:
        pass
