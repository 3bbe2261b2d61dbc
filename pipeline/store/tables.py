"""Records as Parquet, CSV and JSON: the same records are the same bytes."""

import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, get_args, get_origin, get_type_hints

from pipeline.core.csv_cells import csv_text
from pipeline.core.errors import BadInput
from pipeline.records import Columns

if TYPE_CHECKING:
    import pyarrow as pa

Row = TypeVar("Row")

ROW_GROUP = 10_000


def table_bytes(kind: type[Row], rows: Iterable[Row]) -> bytes:
    """Returns records as a Parquet file with one typed column a field."""
    buffer = io.BytesIO()
    with writing_table(buffer, kind) as write:
        write(rows)
    return buffer.getvalue()


@contextmanager
def writing_table(file: BinaryIO, kind: type[Row]) -> Iterator[Callable[[Iterable[Row]], None]]:
    """Gives what adds records to a Parquet file, of which no more than a row group are held; the same ones are the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, waiting = _schema(kind), list[Row]()
    with pq.ParquetWriter(file, schema, compression="zstd", store_schema=False) as table:

        def flush() -> None:
            columns = [pa.array([_column_value(getattr(row, item.name)) for row in waiting], item.type) for item in schema]
            table.write_table(pa.Table.from_arrays(columns, schema=schema))
            waiting.clear()

        def write(rows: Iterable[Row]) -> None:
            for row in rows:
                waiting.append(row)
                if len(waiting) == ROW_GROUP:
                    flush()

        yield write
        if waiting:
            flush()


def table_rows(file: BinaryIO, kind: type[Row], path: Path, where: Any = None) -> Iterator[Row]:
    """Yields the records of a Parquet file, all or those alone of which an expression of PyArrow's is true.

    Raises:
        BadInput: the file, which messages call `path`, is damaged or of another kind.
    """
    for batch in _batches(file, kind, path, None, where):
        columns = {name: _interned(column) for name, column in batch.to_pydict().items()}
        for values in zip(*columns.values(), strict=True):
            yield record_from(kind, dict(zip(columns, values, strict=True)))


def table_values(file: BinaryIO, kind: type, path: Path, names: Sequence[str], where: Any = None) -> Iterator[tuple[Any, ...]]:
    """Yields the values of some columns, row by row; see `table_rows`."""
    for batch in _batches(file, kind, path, names, where):
        columns = batch.to_pydict()
        yield from zip(*(_interned(columns[name]) for name in names), strict=True)


def _batches(file: BinaryIO, kind: type, path: Path, names: Sequence[str] | None, where: Any) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table, schema = pq.ParquetFile(file), _schema(kind)
        if table.schema_arrow.names != schema.names:
            raise BadInput(f"{path}: made by another version.", "Make it again: run the stage that wrote it with --force")
        for group in range(table.num_row_groups):
            rows = table.read_row_group(group).cast(schema)
            if where is not None:
                rows = rows.filter(where)
            yield from (rows if names is None else rows.select(list(names))).to_batches()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({str(error).splitlines()[0]}).") from None


def _interned(column: list[Any]) -> list[Any]:
    """Returns a column in which equal texts are one object: most are names that come again and again."""
    known: dict[str, str] = {}
    return [known.setdefault(value, value) if isinstance(value, str) else value for value in column]


def csv_bytes(kind: type | Columns, rows: Iterable[object]) -> bytes:
    """Returns records as CSV; what cannot be known is "n/a", a parameter that there is none of empty.

    Args:
        kind: the records' type, for one column a field, or where the value of each column stands in a record.
    """
    columns = kind if isinstance(kind, dict) else {item.name: item.name for item in dataclasses.fields(kind)}
    cells = [(name, attrgetter(place)) for name, place in columns.items()]
    body = (["n/a" if (cell := of(row)) is None and name != "parameter" else cell for name, of in cells] for row in rows)
    return csv_text([columns, *body]).encode("utf-8", "backslashreplace")


def json_bytes(value: Any, sort_keys: bool = False, indent: int | None = 1) -> bytes:
    r"""Returns the one canonical JSON form of a value; records become objects. With no indent it is one line, made faster.

    Bytes of a file name that are no text stand as `\udc..` escapes, which come back as they were.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=_plain, allow_nan=False, sort_keys=sort_keys) + "\n"
    return text.encode("utf-8", "backslashreplace")


def json_from(content: bytes, path: Path) -> Any:
    """Returns the value of a JSON file's bytes; `path` is for messages.

    Raises:
        BadInput: they are damaged.
    """
    try:
        return json.loads(content.decode("utf-8"))
    except ValueError as error:
        raise BadInput(f"{path}: cannot be read ({error}).") from None


def record_from(kind: type[Row], row: Mapping[str, Any]) -> Row:
    """Returns a record from a plain mapping: lists become the tuples that records hold, mappings the records within it."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    hashable: Any = kind
    for key, within in _records_within(hashable).items():
        value = values.get(key)
        if value is not None:
            is_many = isinstance(value, tuple)
            values[key] = tuple(record_from(within, one) for one in value) if is_many else record_from(within, value)
    return kind(**values)


@cache
def _records_within(kind: Any) -> dict[str, type]:
    """Returns the fields of a kind of record that are records themselves, or tuples of them."""
    hints = {name: get_args(hint)[0] if get_origin(hint) is tuple else hint for name, hint in get_type_hints(kind).items()}
    return {name: hint for name, hint in hints.items() if isinstance(hint, type) and dataclasses.is_dataclass(hint)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    raise TypeError(f"expected a plain value or a record, got {type(value).__name__}")


def _column_value(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _schema(kind: type) -> "pa.Schema":
    import pyarrow as pa

    hints = get_type_hints(kind)
    return pa.schema([pa.field(item.name, _arrow_type(hints[item.name])) for item in dataclasses.fields(kind)])


def _arrow_type(hint: Any) -> "pa.DataType":
    import pyarrow as pa

    if isinstance(hint, UnionType):
        return _arrow_type(next(option for option in get_args(hint) if option is not type(None)))
    if get_origin(hint) is tuple:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[hint]
