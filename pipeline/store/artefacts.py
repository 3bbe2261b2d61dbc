"""Every file of a run, typed and named once: nobody else spells a folder or a file name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from pipeline import records
from pipeline.core.errors import BadInput
from pipeline.records import rates
from pipeline.store.files import replace_folder
from pipeline.store.run import CAPTURES, PRINTOUTS, REPORTS, Run, cell_folder
from pipeline.store.tables import (
    csv_bytes,
    json_bytes,
    json_from,
    record_from,
    table_bytes,
    table_rows,
    table_values,
    writing_table,
)

T = TypeVar("T")
Row = TypeVar("Row")


@dataclass(frozen=True)
class Artefact(ABC, Generic[T]):
    """One file of a run: in which of its folders it lies, and its name there."""

    folder: str
    name: str

    def path(self, run: Run) -> Path:
        """Returns where the file lies."""
        return run.folder(self.folder) / self.name

    def exists(self, run: Run) -> bool:
        """Returns whether the file is there."""
        return run.files.exists(self.path(run))

    def remove(self, run: Run) -> None:
        """Removes the file, where there is one."""
        run.files.remove(self.path(run))

    def stored(self, run: Run) -> bytes:
        """Returns the file's bytes.

        Raises:
            BadInput: it is missing, or cannot be read.
        """
        try:
            return run.files.read(self.path(run))
        except OSError as error:
            raise BadInput(f"{self.path(run)}: cannot be read ({error.strerror}).") from None

    def write(self, run: Run, value: T) -> None:
        """Writes the file, complete or not at all."""
        run.files.write(self.path(run), self.content(value))

    @abstractmethod
    def content(self, value: T) -> bytes:
        """Returns a value as the file's bytes."""


class Blob(Artefact[bytes]):
    """A file of any kind."""

    def read(self, run: Run) -> bytes:
        return self.stored(run)

    def content(self, value: bytes) -> bytes:
        return value


@dataclass(frozen=True)
class Table(Artefact[list[Row]]):
    """A Parquet file of records."""

    kind: type[Row]

    def read(self, run: Run) -> list[Row]:
        return list(self.rows(run))

    def rows(self, run: Run, where: Any = None) -> Iterator[Row]:
        """Yields the records, a row group at a time; with an expression of PyArrow's those alone of which it is true."""
        with self._opened(run) as file:
            yield from table_rows(file, self.kind, self.path(run), where)

    def values(self, run: Run, *names: str, where: Any = None) -> Iterator[tuple[Any, ...]]:
        """Yields the values of some columns, as `rows` does."""
        with self._opened(run) as file:
            yield from table_values(file, self.kind, self.path(run), names, where)

    @contextmanager
    def writing(self, run: Run) -> Iterator[Callable[[Iterable[Row]], None]]:
        """Gives what adds records to the file, which is complete at the end or absent."""
        with run.files.writing(self.path(run)) as file, writing_table(file, self.kind) as write:
            yield write

    def content(self, value: list[Row]) -> bytes:
        return table_bytes(self.kind, value)

    def _opened(self, run: Run) -> BinaryIO:
        try:
            return run.files.open(self.path(run))
        except OSError as error:
            raise BadInput(f"{self.path(run)}: cannot be read ({error.strerror}).") from None


@dataclass(frozen=True)
class Csv(Artefact[Iterable[Row]]):
    """A CSV file of records, for people and other programs: it is written and never read back."""

    kind: type[Row] | records.Columns

    def content(self, value: Iterable[Row]) -> bytes:
        return csv_bytes(self.kind, value)


class Json(Artefact[T]):
    """A JSON file."""

    def read(self, run: Run) -> T:
        value: T = json_from(self.stored(run), self.path(run))
        return value

    def content(self, value: T) -> bytes:
        return json_bytes(value)


class Layout(Json[records.Printout]):
    """The geometry of a run's printout; it goes by the run's name of today, whatever it was called when it was laid out."""

    def read(self, run: Run) -> records.Printout:
        tree = json_from(self.stored(run), self.path(run))
        if not isinstance(tree, dict) or tree.keys() != {item.name for item in fields(records.Printout)}:
            hint = "Make it again with: inkproof layout EXPERIMENT --force"
            raise BadInput(f"{self.path(run)}: not a layout of this version.", hint)
        return record_from(records.Printout, tree | {"run": run.name})


@dataclass(frozen=True)
class Folder:
    """A folder of files that come in any number."""

    folder: str
    name: str
    suffix: str = ""

    def path(self, run: Run) -> Path:
        """Returns where the folder lies."""
        return run.folder(self.folder) / self.name

    def file(self, stem: str) -> str:
        """Returns the path of a file in the folder, relative to the run's folder, as records and outputs name it."""
        return f"{self.name}/{stem}{self.suffix}"

    def write(self, run: Run, stem: str, content: bytes) -> str:
        """Writes a file and returns its path as `file` does."""
        run.files.write(run.folder(self.folder) / self.file(stem), content)
        return self.file(stem)

    def stems(self, run: Run) -> list[str]:
        """Returns the stems of the files in the folder, sorted."""
        ends = len(self.suffix)
        names = [path.relative_to(self.path(run)).as_posix() for path in run.files.list(self.path(run))]
        return [name[: len(name) - ends] for name in names if name.endswith(self.suffix)]

    def keep_only(self, run: Run, names: Iterable[str]) -> None:
        """Removes every file of the folder but these, which are named as `file` does."""
        replace_folder(self.path(run), {name.removeprefix(f"{self.name}/") for name in names})


EXPERIMENT = Blob(PRINTOUTS, "experiment.toml")
CANDIDATES = Table(PRINTOUTS, "candidates.parquet", records.Candidate)
SELECTED = Table(PRINTOUTS, "selection.parquet", records.Selected)
FIRST_LAYER = Table(PRINTOUTS, "first-layer.parquet", records.Filter)
SELECTION: Json[dict[str, Any]] = Json(PRINTOUTS, "selection.json")
PAIRS = Table(PRINTOUTS, "pairs.parquet", records.Pair)
IMAGES = Folder(PRINTOUTS, "images", ".png")
CLEAN_IMAGES = Folder(PRINTOUTS, "images/clean", ".png")
PATCHES = Folder(PRINTOUTS, "patches", ".png")
PDF = Blob(PRINTOUTS, "printout.pdf")
SCREEN = Folder(PRINTOUTS, "screen")
LAYOUT = Layout(PRINTOUTS, "layout.json")

PHOTOS = Folder(CAPTURES, "photos")
SIMULATED_PHOTO_FILES = Folder(CAPTURES, "photos", ".jpg")
TRUTH = Folder(CAPTURES, "truth", ".json")
JUDGEMENTS = Folder(CAPTURES, "judgements", ".parquet")
CAPTURED = Table(CAPTURES, "captures.parquet", records.Capture)
CROPPED = Table(CAPTURES, "views.parquet", records.View)
QUALITY = Table(CAPTURES, "quality.parquet", records.CropQuality)
DISCARDS = Table(CAPTURES, "discards.parquet", records.Discard)
TABLES_OF_CROPS: tuple[Table[Any], ...] = (CAPTURED, CROPPED, QUALITY, DISCARDS)
CROPS = Folder(CAPTURES, "views/photo", ".png")
OVERLAYS = Folder(CAPTURES, "overlays", ".jpg")
CONTACT_SHEETS = Folder(CAPTURES, "contact-sheets", ".jpg")
TRANSFORMED = Table(CAPTURES, "transforms.parquet", records.View)
TRANSFORMED_IMAGES = Folder(CAPTURES, "views/digital", ".png")

VIEWS = Table(REPORTS, "views.parquet", records.View)
PREDICTIONS = Table(REPORTS, "predictions.parquet", records.Prediction)
JUDGED = Table(REPORTS, "judged.parquet", records.Judgement)
RATES: Csv[records.Rate] = Csv(REPORTS, "rates.csv", rates.RATE_COLUMNS)
ACCURACIES: Csv[records.Rate] = Csv(REPORTS, "accuracies.csv", rates.ACCURACY_COLUMNS)
OVERALL: Csv[records.Rate] = Csv(REPORTS, "overall.csv", rates.OVERALL_COLUMNS)
COMPARISONS: Csv[records.Comparison] = Csv(REPORTS, "comparisons.csv", rates.COMPARISON_COLUMNS)
FINDINGS = Csv(REPORTS, "findings.csv", records.FindingRow)
PREDICTED: Csv[records.Comparison] = Csv(REPORTS, "predicted.csv", rates.PREDICTED_COLUMNS)
TRANSFER: Csv[records.Transfer] = Csv(REPORTS, "transfer.csv", rates.TRANSFER_COLUMNS)
DEFENCES: Csv[records.DefenceRow] = Csv(REPORTS, "defences.csv", rates.DEFENCE_COLUMNS)
FLAGS = Csv(REPORTS, "flags.csv", records.FlagRow)
COUNTED: Json[dict[str, Any]] = Json(REPORTS, "rates.json")
# The tables that are counted, in the order of rates.json, each with its name there.
TABLES_COUNTED: dict[str, Csv[Any]] = {
    "destruction_rates": RATES,
    "accuracies": ACCURACIES,
    "overall": OVERALL,
    "comparisons": COMPARISONS,
    "findings": FINDINGS,
    "predicted": PREDICTED,
    "transfer": TRANSFER,
    "defences": DEFENCES,
    "flags": FLAGS,
}
THRESHOLDS = Table(REPORTS, "thresholds.parquet", records.ThresholdRow)
THRESHOLDS_CSV = Csv(REPORTS, "thresholds.csv", records.ThresholdRow)
EXPLAIN = Folder(REPORTS, "explain")
EXPLAINED: Json[dict[str, Any]] = Json(REPORTS, "explain/explain.json")
MAPS = Blob(REPORTS, "explain/maps.npz")
REPORT_PDF = Blob(REPORTS, "report.pdf")
REPORT_HTML = Blob(REPORTS, "report.html")
FIGURES = Folder(REPORTS, "figures")
TABLES = Folder(REPORTS, "tables")

REPRODUCTION_TEXT = Blob(REPORTS, "reproduction.md")
REPRODUCTION_CSV = Blob(REPORTS, "reproduction.csv")
REPRODUCTION: Json[dict[str, Any]] = Json(REPORTS, "reproduction.json")
TRANSFER_MATRIX_CSV = Csv(REPORTS, "transfer-matrix.csv", records.MatrixCell)
TRANSFER_MATRIX: Json[dict[str, Any]] = Json(REPORTS, "transfer-matrix.json")
CERTIFIED_CSV = Csv(REPORTS, "certified.csv", records.Certificate)
CERTIFIED: Json[dict[str, Any]] = Json(REPORTS, "certified.json")
CERTIFIED_PNG, CERTIFIED_SVG = Blob(REPORTS, "certified.png"), Blob(REPORTS, "certified.svg")


def images_of_cell(attack: str, epsilon_8bit: int) -> Folder:
    """Returns the folder of one cell's adversarial images."""
    return Folder(PRINTOUTS, f"{IMAGES.name}/{cell_folder(attack, epsilon_8bit)}", IMAGES.suffix)


def has_photos(run: Run) -> bool:
    """Returns whether any of what was judged is a photograph."""
    return next(VIEWS.values(run, "view_id", where=is_photo()), None) is not None


def is_photo() -> Any:
    """Returns what is true of views and judgements of photographs, for `Table.rows`."""
    return field_of("transform") == records.PHOTO


def field_of(name: str) -> Any:
    """Returns a column as `Table.rows` compares it."""
    import pyarrow.compute as pc

    return pc.field(name)


def judgements_of(judge: str) -> Table[records.Judgement]:
    """Returns the predictions that were made outside and brought in as one judge's."""
    return Table(CAPTURES, JUDGEMENTS.file(judge), records.Judgement)


def attack_table_of(kind: str) -> Blob:
    """Returns the table of attacks of a kind, as CSV; LaTeX lies beside it."""
    return Blob(REPORTS, f"attack-table-{kind}.csv")
