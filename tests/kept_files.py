"""Files of a run, read and written by path: the tests look at them from outside."""

import io
import sqlite3
from contextlib import closing
from pathlib import Path

from pipeline.core.errors import BadInput
from pipeline.store import json_bytes, json_from, table_bytes, table_rows, write_bytes


def read_table(path: Path, kind):
    return list(table_rows(io.BytesIO(_bytes(path)), kind, path))


def write_table(path: Path, kind, rows) -> None:
    write_bytes(path, table_bytes(kind, rows))


def read_json(path: Path):
    return json_from(_bytes(path), path)


def write_json(path: Path, value) -> None:
    write_bytes(path, json_bytes(value))


def item_names(folder: Path) -> set[str]:
    """Returns the names of the items that are kept in a folder."""
    if not (folder / "items.sqlite").is_file():
        return set()
    with closing(sqlite3.connect(folder / "items.sqlite")) as items:
        return {name for (name,) in items.execute("SELECT name FROM items")}


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error}).") from None
