"""Hashes of values and of files; a file is hashed once and known again by its inode, size and time of change."""

import csv
import hashlib
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

from pipeline.store.files import RECORDS, write_bytes
from pipeline.store.tables import json_bytes

# A file that changed this shortly before it was hashed may change again within the same tick of its clock.
_TICK_NS = 2_000_000_000
_State = tuple[int, int, int]


def content_hash(value: Any) -> str:
    """Returns the SHA-256 of a value's canonical JSON; the order of keys and fields makes no difference."""
    return hashlib.sha256(json_bytes(value, sort_keys=True)).hexdigest()


def bytes_hash(content: bytes) -> str:
    """Returns the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def named_files(table: Path, root: Path) -> list[tuple[str, int]]:
    """Returns (name, size) of every file below `root` that a CSV names, in whichever column."""
    text = table.read_text(encoding="utf-8-sig", errors="surrogateescape")
    first = text.partition("\n")[0]
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count)))
    except csv.Error:
        return []
    found = []
    cells = {cell.strip() for row in rows for cell in row if cell.strip()}
    for name in sorted(cells | {cell.replace("\\", "/") for cell in cells}):
        try:
            state = os.stat(root / name)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(state.st_mode):
            found.append((name, state.st_size))
    return found


class Hashes:
    """The hashes of a run's files and of those that it depends on, kept from one command to the next.

    What is kept holds while inode, size and time of change are the same; a hash of a file that had changed within two seconds
    before is not kept. `verify` believes nothing that was kept.
    """

    def __init__(self, kept_in: Path, base: Path, verify: bool = False) -> None:
        """`base` is the folder that the kept file's names start from where they lie below it."""
        self._kept_in, self._base = kept_in, f"{os.path.abspath(base)}{os.sep}"
        self._known: dict[str, tuple[_State, str]] = {} if verify else _read(kept_in)
        self._unsure: dict[str, tuple[_State, str]] = {}
        self._listings: dict[tuple[str, bool], list[tuple[str, int]]] = {}
        self._is_new = False

    def of(self, path: Path) -> str:
        """Returns the SHA-256 of a file's bytes.

        Raises:
            OSError: it cannot be read.
        """
        name, found = os.path.abspath(path).removeprefix(self._base), path.stat()
        state = (found.st_ino, found.st_size, found.st_mtime_ns)
        for known in (self._known, self._unsure):
            if name in known and known[name][0] == state:
                return known[name][1]
        started_ns, digest = time.time_ns(), file_hash(path)
        self._known.pop(name, None)
        is_sure = started_ns - found.st_mtime_ns > _TICK_NS
        (self._known if is_sure else self._unsure)[name] = (state, digest)
        self._is_new = True
        return digest

    def listing(self, folder: Path, follow_links: bool = False) -> list[tuple[str, int]]:
        """Returns (path below the folder, size) of every file in it, sorted, but for what runs made.

        A folder is walked once, however often it is asked for. Links are listed as such, or what they lead to.
        """
        walk = os.path.abspath(folder), follow_links
        if walk not in self._listings:
            self._listings[walk] = sorted(_walk(*walk))
        return self._listings[walk]

    def keep(self) -> None:
        """Keeps what was hashed for the next command; where nothing can be written it is hashed again then."""
        if not self._is_new or not self._kept_in.parent.is_dir():
            return
        files = {name: [*state, digest] for name, (state, digest) in sorted(self._known.items())}
        try:
            write_bytes(self._kept_in, json_bytes({"files": files, "check": content_hash(files)}))
        except OSError:
            return
        self._is_new = False


def _read(kept_in: Path) -> dict[str, tuple[_State, str]]:
    try:
        kept = json.loads(kept_in.read_bytes())
        if kept["check"] != content_hash(kept["files"]):
            return {}
        return {name: ((inode, size, mtime), digest) for name, (inode, size, mtime, digest) in kept["files"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def leads_back(root: str, link: str) -> bool:
    """Returns whether a link leads to a folder that it lies in, on the way from the root."""
    above = {os.path.realpath(parent) for parent in Path(link).parents if parent.is_relative_to(root)}
    return os.path.realpath(link) in above


def _walk(root: str, follow_links: bool) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    folders = [root]
    while folders:
        try:
            entries = list(os.scandir(folder := folders.pop()))
        except OSError:
            continue
        if folder != root and any(entry.name == RECORDS for entry in entries):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=follow_links):
                if not (entry.is_symlink() and leads_back(root, entry.path)):
                    folders.append(entry.path)
            else:
                try:
                    size = entry.stat(follow_symlinks=follow_links).st_size
                except OSError:
                    continue
                found.append((entry.path[len(root) :].lstrip(os.sep), size))
    return found
