"""The only module that knows folder names: atomic writes, hashes, tables of records, and what is done or stale (and why)."""

import csv
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pipeline.core.errors import BadInput, Unavailable
from pipeline.core.version import VERSION
from pipeline.records import Columns, Fiducial, Mark, Patch, Placement, Printout, Tag

Row = TypeVar("Row")
PARTIAL = ".partial"
SIMULATED_PHOTOS = ("simulated-page-", "simulated-calibration")


@dataclass(frozen=True)
class Run:
    """The three folders of one run, below a workspace."""

    workspace: Path
    name: str

    @property
    def printouts(self) -> Path:
        return self.workspace / "printouts" / self.name

    @property
    def captures(self) -> Path:
        return self.workspace / "captures" / self.name

    @property
    def reports(self) -> Path:
        return self.workspace / "reports" / self.name

    @property
    def photos(self) -> Path:
        return self.captures / "photos"

    @property
    def truth(self) -> Path:
        return self.captures / "truth"

    @property
    def judgements(self) -> Path:
        """Where predictions that were made outside are kept, one file a judge: what a person brought, which no stage removes."""
        return self.captures / "judgements"

    @property
    def overlays(self) -> Path:
        return self.captures / "overlays"

    @property
    def experiment(self) -> Path:
        return self.printouts / "experiment.toml"

    @property
    def pdf(self) -> Path:
        return self.printouts / "printout.pdf"

    @property
    def screen(self) -> Path:
        return self.printouts / "screen"

    @property
    def layout(self) -> Path:
        return self.printouts / "layout.json"

    @property
    def journal(self) -> Path:
        return self.reports / "journal.jsonl"

    def clean_image(self, image_id: str) -> str:
        """Returns the path of a clean image, relative to `printouts`."""
        return f"images/clean/{image_id}.png"

    def adversarial_image(self, attack: str, epsilon_8bit: int, image_id: str) -> str:
        """Returns the path of an adversarial image, relative to `printouts`."""
        return f"images/{cell_folder(attack, epsilon_8bit)}/{image_id}.png"

    def patch(self, attack: str) -> str:
        """Returns the path, below the printouts, of the picture that an attack learnt, to be printed alone."""
        return f"patches/{attack}.png"

    def items(self, stage: str, folder: Path) -> "Items":
        """Returns the per-item results of a stage, kept in a hidden folder beside its outputs."""
        return Items(folder / ".items" / f"{stage}-{VERSION}")


def cell_folder(attack: str, epsilon_8bit: int) -> str:
    """Returns the folder of one cell's images, which is also the first part of its pairs' ids."""
    return f"{attack}-eps{epsilon_8bit}" if epsilon_8bit else attack


class Items:
    """Per-item results of one version, each under the hash of the item and of the settings that it depends on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def get(self, key: str, suffix: str = ".json") -> bytes | None:
        """Returns what was kept under a key, or None."""
        self._used.add(key + suffix)
        try:
            return (self._folder / (key + suffix)).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, key: str, content: bytes, suffix: str = ".json") -> None:
        """Keeps a result; it is complete or absent, whatever interrupts."""
        self._used.add(key + suffix)
        write_bytes(self._folder / (key + suffix), content)

    def get_json(self, key: str) -> Any:
        """Returns what was kept as JSON under a key; None also where it is damaged."""
        try:
            return json.loads(self.get(key) or b"null")
        except ValueError:
            return None

    def clear(self) -> None:
        """Removes every result."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def prune(self) -> None:
        """Removes every result that was not asked for since this object was made."""
        for path in sorted(self._folder.glob("*")):
            if path.name not in self._used:
                path.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file so that it is either complete or absent, and durable before its name appears."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".inkproof-", suffix=PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes JSON in one canonical form."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Returns the one canonical JSON form of a value; records become objects."""
    return (json.dumps(value, indent=1, ensure_ascii=False, default=_plain, allow_nan=False) + "\n").encode()


def csv_bytes(kind: type | Columns, rows: Iterable[object]) -> bytes:
    """Returns records as CSV; what cannot be known is "n/a", a parameter that there is none of empty.

    Args:
        kind: the records' type, for one column a field, or where the value of each column stands in a record.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    columns = kind if isinstance(kind, dict) else {item.name: item.name for item in dataclasses.fields(kind)}
    cells = [(name, attrgetter(place)) for name, place in columns.items()]
    writer.writerow(columns)
    writer.writerows(["n/a" if (cell := of(row)) is None and name != "parameter" else cell for name, of in cells] for row in rows)
    return buffer.getvalue().encode()


def read_json(path: Path) -> Any:
    """Returns the value of a JSON file.

    Raises:
        BadInput: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({error}).") from None


def write_table(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Writes records as a Parquet file with one typed column a field."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(rows)
    schema = _schema(kind)
    columns = [pa.array([_column_value(getattr(row, item.name)) for row in rows], item.type) for item in schema]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), buffer, compression="zstd", store_schema=False)
    write_bytes(path, buffer.getvalue())


def read_table(path: Path, kind: type[Row]) -> list[Row]:
    """Returns the records of a Parquet file.

    Raises:
        BadInput: the file is missing, damaged or of another kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if pq.read_schema(path).names != _schema(kind).names:
            raise BadInput(f"{path}: made by another version.", "Make it again: run the stage that wrote it with --force")
        table = pq.read_table(path, schema=_schema(kind))
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"{path}: cannot be read ({str(error).splitlines()[0]}).") from None
    return [record_from(kind, row) for row in table.to_pylist()]


def read_layout(run: "Run") -> Printout:
    """Returns the geometry of a run's printout.

    Raises:
        BadInput: the layout file is missing or damaged.
    """
    tree = read_json(run.layout)
    try:
        parts = {
            name: tuple(kind(**row) for row in tree.pop(name))
            for name, kind in (
                ("placements", Placement),
                ("fiducials", Fiducial),
                ("tags", Tag),
                ("marks", Mark),
                ("patches", Patch),
            )
        }
        return Printout(**tree, **parts)
    except (KeyError, TypeError, AttributeError):
        raise BadInput(
            f"{run.layout}: not a layout of this version.", "Make it again with: inkproof layout EXPERIMENT --force"
        ) from None


def record_from(kind: type[Row], row: Mapping[str, Any]) -> Row:
    """Returns a record from a plain mapping: lists become the tuples that records hold, mappings the records within it."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    for key in values.keys() & _records_within(kind).keys():
        values[key] = record_from(_records_within(kind)[key], values[key])
    return kind(**values)


@lru_cache
def _records_within(kind: type) -> dict[str, type]:
    return {name: hint for name, hint in get_type_hints(kind).items() if dataclasses.is_dataclass(hint)}


def content_hash(value: Any) -> str:
    """Returns the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json_bytes(value)).hexdigest()


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_partial(folder: Path) -> None:
    """Removes what an interrupted write left behind."""
    for path in folder.rglob(f".inkproof-*{PARTIAL}"):
        path.unlink(missing_ok=True)


def replace_folder(folder: Path, wanted: Iterable[str]) -> None:
    """Removes every file below a folder whose relative path is not wanted, and folders left empty."""
    keep = set(wanted)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path.relative_to(folder).as_posix() not in keep:
            path.unlink()


def photo_files(run: Run, by_camera: bool = False) -> list[Path]:
    """Returns every entry below the photos folder, whatever its kind, in a fixed order; hidden ones are left out.

    Links are listed, never walked: a folder that is linked from elsewhere, or cannot be opened, is one entry; a link to a folder
    inside is none, for its files are listed where they lie. With `by_camera` the simulator's own files are left out too: they
    never stand in for photographs that are still to be taken.
    """
    if not run.photos.is_dir():
        return []
    paths = _entries(run.photos, os.path.realpath(run.photos))
    return sorted(path for path in paths if not (by_camera and path.name.startswith(SIMULATED_PHOTOS)))


def photo_trouble(run: Run, path: Path) -> tuple[str, str] | None:
    """Returns why an entry of the photos folder must not be opened, as (reason, detail) of a discard; None where it may."""
    try:
        if path.is_symlink() and not _is_below(path, os.path.realpath(run.photos)):
            return "linked", f"it leads to {_one_line(os.readlink(path))}"
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            names = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder that cannot be opened"}
            return "unreadable", f"it is {names.get(stat.S_IFMT(kind), 'a device')}, not a picture"
        path.open("rb").close()
    except OSError as error:
        return "unreadable", f"it cannot be opened: {(error.strerror or type(error).__name__).lower()}"
    return None


def photo_digest(run: Run, path: Path) -> str:
    """Returns the SHA-256, in hex, of a photo's bytes; of a few words about an entry that must not be opened."""
    trouble = photo_trouble(run, path)
    if trouble is None:
        try:
            return file_hash(path)
        except OSError as error:
            trouble = "unreadable", str(error.strerror)
    return content_hash([photo_name(run, path), *trouble])


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Keeps every other process from working on the run meanwhile.

    Raises:
        Unavailable: one is working on it already.
    """
    run.printouts.mkdir(parents=True, exist_ok=True)
    with (run.printouts / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f'Another inkproof is working on the run "{run.name}".', "Wait until it has ended.") from None
        yield


def photo_name(run: Run, path: Path) -> str:
    """Returns a photo's path below the photos folder as one line; line breaks and bytes that are no text become escapes."""
    return _one_line(path.relative_to(run.photos).as_posix())


def free_space_mb(folder: Path) -> int:
    """Returns the free space of the disk that a folder is, or will be, on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // 2**20


@dataclass(frozen=True)
class StageRecord:
    """What a finished stage used and made. Its presence means complete, a mismatch means stale."""

    stage: str
    version: str
    seed: int
    settings: dict[str, Any]
    inputs: dict[str, str]
    outputs: dict[str, str]
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The hash of everything the stage made, for the stages that read it."""
        return content_hash(self.outputs)


def write_stage_record(folder: Path, record: StageRecord) -> None:
    """Writes the record of a finished stage: always the last thing that a stage does."""
    write_json(_record_path(folder, record.stage), dataclasses.asdict(record))


def read_stage_record(folder: Path, stage: str) -> StageRecord | None:
    """Returns the record of a finished stage, or None where there is none that can be read."""
    try:
        return StageRecord(**json.loads(_record_path(folder, stage).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def forget_stage(folder: Path, stage: str) -> None:
    """Removes a stage's record, so that an interrupted re-run is never taken for complete."""
    _record_path(folder, stage).unlink(missing_ok=True)


def why_stale(record: StageRecord, folder: Path, settings: dict[str, Any], inputs: dict[str, str], seed: int) -> str:
    """Returns why a finished stage no longer holds, or "" where it still does."""
    if record.version != VERSION:
        return f"inkproof {record.version} → {VERSION}"
    plain = json.loads(json_bytes(settings))
    if changes := _differences(record.settings, plain, ""):
        return "; ".join(changes[:3])
    if record.seed != seed:
        return f"seed {record.seed} → {seed}"
    for name in sorted(record.inputs.keys() | inputs.keys()):
        if name not in record.inputs:
            return f"{name} is new"
        if name not in inputs:
            return f"{name} is gone"
        if record.inputs[name] != inputs[name]:
            return f"{name} changed"
    for name, digest in record.outputs.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if file_hash(path) != digest:
            return f"{name} was changed by hand"
    return ""


def _entries(folder: Path, root: str) -> Iterator[Path]:
    folders = [folder]
    while folders:
        for path in folders.pop().iterdir():
            if path.name.startswith("."):
                continue
            if path.is_symlink():
                if not _is_below(path, root) or not path.is_dir():
                    yield path
            elif path.is_dir() and os.access(path, os.R_OK | os.X_OK):
                folders.append(path)
            else:
                yield path


def _is_below(path: Path, root: str) -> bool:
    real = os.path.realpath(path)
    return real == root or real.startswith(root.rstrip(os.sep) + os.sep)


def _one_line(text: str) -> str:
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in plain)


def _record_path(folder: Path, stage: str) -> Path:
    return folder / ".stages" / f"{stage}.json"


def _differences(old: Any, new: Any, name: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [line for key in keys for line in _differences(old.get(key), new.get(key), f"{name}.{key}".strip("."))]
    return [] if old == new else [f"{name} {_short(old)} → {_short(new)}"]


def _short(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    raise TypeError(f"expected a plain value or a record, got {type(value).__name__}")


def _column_value(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@lru_cache
def _schema(kind: type) -> Any:
    import pyarrow as pa

    hints = get_type_hints(kind)
    return pa.schema([pa.field(item.name, _arrow_type(hints[item.name])) for item in dataclasses.fields(kind)])


def _arrow_type(hint: Any) -> Any:
    import pyarrow as pa

    if isinstance(hint, UnionType):
        return _arrow_type(next(option for option in get_args(hint) if option is not type(None)))
    if get_origin(hint) is tuple:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[hint]
