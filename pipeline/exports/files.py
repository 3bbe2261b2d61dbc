"""Exports a run as files: three tables as CSV or Parquet, or all of it as one JSON document."""

from dataclasses import asdict, fields
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.core.csv_cells import csv_text
from pipeline.core.errors import BadInput
from pipeline.exports.tables import Exported, PredictionRow, RateRow, SettingRow
from pipeline.store import json_bytes, saved_image, table_bytes, write_bytes
from pipeline.store.artefacts import IMAGES, PAIRS

Written = tuple[list[Path | str], str]


def to_csv(found: Exported, output: str) -> Written:
    """Writes rates.csv, predictions.csv and settings.csv; what cannot be known is "n/a", several values have a space between."""
    folder = _folder(found, output)
    return [_written(folder / f"{name}.csv", _csv(kind, rows)) for name, kind, rows in _tables(found)], f"open {folder}"


def to_parquet(found: Exported, output: str) -> Written:
    """Writes rates.parquet, predictions.parquet and settings.parquet, typed; what cannot be known is null."""
    folder = _folder(found, output)
    return [
        _written(folder / f"{name}.parquet", table_bytes(kind, rows)) for name, kind, rows in _tables(found)
    ], f"open {folder}"


def to_json(found: Exported, output: str) -> Written:
    """Writes one document: facts, settings by dotted name, and the rates and predictions as lists of objects."""
    file = Path(output) if output else found.run.reports / "export" / f"{found.run.name}.json"
    if file.is_dir():
        file /= f"{found.run.name}.json"
    tables = {name: [asdict(row) for row in rows] for name, _, rows in _tables(found) if name != "settings"}
    settings = {row.key: row.value for row in found.settings}
    return [_written(file, json_bytes({**found.facts, "settings": settings, **tables}))], f"open {file}"


def to_images(found: Exported, output: str) -> Written:
    """Writes every clean and every adversarial image as a PNG file, under the path that the tables name, packed or not."""
    folder, names = _folder(found, output), PAIRS.values(found.run, "clean_path", "adversarial_path")
    for path in dict.fromkeys(chain.from_iterable(names)):
        write_bytes(folder / path, saved_image(found.run.printouts, path))
    return [folder / IMAGES.name], f"open {folder / IMAGES.name}"


def predictions_csv(found: Exported) -> bytes:
    """Returns the table of predictions as CSV."""
    return _csv(PredictionRow, found.predictions)


def _tables(found: Exported) -> list[tuple[str, type[Any], list[Any]]]:
    return [
        ("rates", RateRow, found.rates),
        ("predictions", PredictionRow, found.predictions),
        ("settings", SettingRow, found.settings),
    ]


def _folder(found: Exported, output: str) -> Path:
    folder = Path(output) if output else found.run.reports / "export"
    if folder.is_file():
        raise BadInput(f"--output {folder}: a file, where a folder is needed.", "Name a folder; it is made if need be.")
    return folder


def _written(file: Path, content: bytes) -> Path:
    write_bytes(file, content)
    return file


def _csv(kind: type[Any], rows: list[Any]) -> bytes:
    names = [item.name for item in fields(kind)]
    body = ([_cell(name, getattr(row, name)) for name in names] for row in rows)
    return csv_text([names, *body]).encode("utf-8", "backslashreplace")


def _cell(name: str, value: Any) -> Any:
    if value is None:
        return "" if name == "parameter" else "n/a"
    return ("; " if name == "names" else " ").join(map(str, value)) if isinstance(value, tuple) else value
