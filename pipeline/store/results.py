"""What a run has made, for whoever works on with it in Python: states of its stages, and its tables as columns."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.csv_cells import unquoted
from pipeline.core.errors import BadInput, Unavailable, WrongUse, near_match
from pipeline.store import artefacts
from pipeline.store.run import Run
from pipeline.store.stage import StageStatus

if TYPE_CHECKING:
    import pandas

_NOT_KNOWN = ("", "n/a")


class Results:
    """What a run has made.

    Attributes:
        name: the run's. files: where its files lie: `files.printouts`, `files.captures`, `files.reports`.
        states: of every stage: `stage`, `state` ("done", "stale", "missing" or "waiting"), `reason`, `summary`.
        todo: what a person has to do next, "" where nothing waits for one.
    """

    def __init__(self, files: Run, states: Sequence[StageStatus], todo: str = "") -> None:
        self.name, self.files, self.states, self.todo = files.name, files, list(states), todo

    def __repr__(self) -> str:
        return f"<run {self.name}: {', '.join(f'{state.stage} {state.state}' for state in self.states)}>"

    @property
    def tables(self) -> list[str]:
        """The names of the tables that there are (docs/report.md says what is in each)."""
        return sorted(_tables(self.files))

    def table(self, name: str) -> "Columns":
        """Returns a table, such as "rates"; what cannot be known is None.

        Raises:
            WrongUse: the run has no such table. BadInput: its file is damaged.
        """
        paths = _tables(self.files)
        if name not in paths:
            raise WrongUse(f'Run "{self.name}" has no table "{name}".', near_match(name, paths))
        return columns_of(paths[name])

    @property
    def report(self) -> Path:
        """The report as one HTML page; the PDF lies beside it."""
        return artefacts.REPORT_HTML.path(self.files)


class Columns(dict[str, list[Any]]):
    """A table as columns by name: `pandas.DataFrame(table)` takes it as it is, and so does `table.frame()`."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows, each by column name."""
        return [dict(zip(self, values, strict=True)) for values in zip(*self.values(), strict=True)]

    def frame(self) -> "pandas.DataFrame":
        """Returns a pandas DataFrame.

        Raises:
            Unavailable: pandas is not installed; everything else works without it.
        """
        try:
            import pandas
        except ImportError as error:
            raise Unavailable("pandas is not installed.", "Install it: pip install pandas") from error
        return pandas.DataFrame(self)


def columns_of(path: Path) -> Columns:
    """Returns a Parquet or CSV file's columns by name, each of whole numbers, numbers, truth values or text; None is unknown.

    Raises:
        BadInput: the file cannot be read.
    """
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
            return Columns({name: _typed([unquoted(row[i]) for row in rows]) for i, name in enumerate(header)})
        import pyarrow.parquet as pq

        return Columns(pq.read_table(path).to_pydict())
    except (OSError, ValueError, IndexError) as error:
        raise BadInput(f"{path}: cannot be read ({error}).") from None


def _tables(run: Run) -> dict[str, Path]:
    """The files of tables that a run has, by name; where one is there for people too, the typed one is taken."""
    kinds = (artefacts.Csv, artefacts.Table)
    listed = [file for kind in kinds for file in vars(artefacts).values() if isinstance(file, kind)]
    return {Path(file.name).stem: file.path(run) for file in listed if file.exists(run)}


def _typed(cells: list[str]) -> list[Any]:
    known = [cell for cell in cells if cell not in _NOT_KNOWN]
    if not known:
        return [None] * len(cells)
    if set(known) <= {"True", "False"}:
        return [None if cell in _NOT_KNOWN else cell == "True" for cell in cells]
    for kind in (int, float):
        try:
            return [None if cell in _NOT_KNOWN else kind(cell) for cell in cells]
        except ValueError:
            continue
    return [None if cell == "n/a" else cell for cell in cells]
