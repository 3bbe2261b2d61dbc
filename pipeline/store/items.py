"""Results of single items, kept between commands: each under the hash of what it depends on, and with a hash of itself."""

import errno
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pipeline.store.tables import json_bytes

T = TypeVar("T")

_FILE = "items.sqlite"
# Whatever ends the process, what was put is there; what a failure of the power leaves is told by the hashes.
_BEGIN = """
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS items (name TEXT PRIMARY KEY, digest BLOB, content BLOB) WITHOUT ROWID;
"""
_ERRNO = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
}


class Items:
    """Per-item results of one version, in one file, each under the hash of the item and of the settings that it depends on.

    A result has the SHA-256 of its key and content beside it: what was damaged counts as absent, and so does a damaged file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()
        self._open: sqlite3.Connection | None = None

    def get(self, key: str, suffix: str = ".json") -> bytes | None:
        """Returns what was kept under a key, or None."""
        name = key + suffix
        self._used.add(name)
        if not (self._folder / _FILE).is_file():
            return None
        found = self._asked(lambda kept: kept.execute("SELECT digest, content FROM items WHERE name = ?", (name,)).fetchone())
        return found[1] if found and found[0] == _digest(name, found[1]) else None

    def put(self, key: str, content: bytes, suffix: str = ".json") -> None:
        """Keeps a result; it is complete or absent, whatever interrupts."""
        name = key + suffix
        self._used.add(name)
        row = name, _digest(name, content), content
        self._asked(lambda kept: kept.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", row))

    def put_json(self, key: str, value: Any) -> None:
        """Keeps a value as JSON."""
        self.put(key, json_bytes(value, indent=None))

    def get_json(self, key: str) -> Any:
        """Returns what was kept as JSON under a key, or None."""
        content = self.get(key)
        return None if content is None else json.loads(content)

    def clear(self) -> None:
        """Removes every result."""
        self._close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def prune(self) -> None:
        """Removes every result that was not asked for since this object was made."""
        if not (self._folder / _FILE).is_file():
            return
        names = self._asked(lambda kept: [row for row in kept.execute("SELECT name FROM items") if row[0] not in self._used])
        if names:
            self._asked(lambda kept: kept.executemany("DELETE FROM items WHERE name = ?", names))
            self._asked(lambda kept: kept.execute("VACUUM"))

    def _asked(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Returns what the file says; one that is damaged is begun anew."""
        try:
            return ask(self._connection())
        except sqlite3.OperationalError as error:
            number = _ERRNO.get(error.sqlite_errorcode & 0xFF, errno.EIO)
            raise OSError(number, os.strerror(number), str(self._folder / _FILE)) from error
        except sqlite3.DatabaseError:
            self.clear()
            return ask(self._connection())

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._open = sqlite3.connect(self._folder / _FILE, isolation_level=None, check_same_thread=False)
            self._open.executescript(_BEGIN)
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            with suppress(sqlite3.Error):
                self._open.close()
            self._open = None


def _digest(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + content).digest()
