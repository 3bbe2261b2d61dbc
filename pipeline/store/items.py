"""Results of single items, kept between commands: each under the hash of what it depends on, and with a hash of itself."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from pipeline.store.files import write_bytes


class Items:
    """Per-item results of one version, each under the hash of the item and of the settings that it depends on.

    A file starts with a line that holds the SHA-256 of its key and content: what was damaged, or lies under another key, counts
    as absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def get(self, key: str, suffix: str = ".json") -> bytes | None:
        """Returns what was kept under a key, or None."""
        name = key + suffix
        self._used.add(name)
        try:
            digest, _, content = (self._folder / name).read_bytes().partition(b"\n")
        except OSError:
            return None
        return content if digest == _digest(name, content) else None

    def put(self, key: str, content: bytes, suffix: str = ".json") -> None:
        """Keeps a result; it is complete or absent, whatever interrupts."""
        name = key + suffix
        self._used.add(name)
        write_bytes(self._folder / name, _digest(name, content) + b"\n" + content)

    def get_json(self, key: str) -> Any:
        """Returns what was kept as JSON under a key, or None."""
        content = self.get(key)
        return None if content is None else json.loads(content)

    def clear(self) -> None:
        """Removes every result."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def prune(self) -> None:
        """Removes every result that was not asked for since this object was made."""
        for path in sorted(self._folder.glob("*")):
            if path.name not in self._used:
                path.unlink()


def _digest(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + content).hexdigest().encode()
