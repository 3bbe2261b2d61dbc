"""What a table is: columns, cells and notes as plain text, and how it looks as text; its builders are in other files."""

import textwrap
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

TEXT_WIDTH = 100
_GAP = 2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Column:
    """One column; neighbours of the same `group` stand under one common heading, stub columns are repeated after a split."""

    header: str
    group: str = ""
    is_number: bool = True
    is_stub: bool = False


def stub(header: str, is_number: bool = False) -> Column:
    """Returns a column that names the rows."""
    return Column(header, is_number=is_number, is_stub=True)


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place of a table, with a `note` beneath it in small type (the counts, the interval)."""

    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as plain text; a rule is drawn above each row whose number is in `rules`. `keys`, if any, has one a row."""

    number: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    rules: frozenset[int] = frozenset()
    keys: tuple[Hashable, ...] = ()


def filled(
    columns: Iterable[tuple[Column, Callable[[_T], str]]], records: Iterable[_T]
) -> tuple[tuple[Column, ...], tuple[tuple[Cell, ...], ...]]:
    """Returns the columns, and a row of cells for each record: what stands beside a column makes its text."""
    heads, texts = zip(*columns, strict=True)
    return heads, tuple(tuple(Cell(text(record)) for text in texts) for record in records)


def as_text(table: Table, width: int = TEXT_WIDTH) -> str:
    """Returns the table as aligned text of at most `width` columns; what is wider goes on in further blocks."""
    blocks = [_block_text(block) for block in split_columns(table, lambda block: _block_width(block) <= width)]
    heading = f"Table {table.number}. {table.title}"
    note = textwrap.fill(table.note, width)
    return "\n\n".join(part for part in (heading, *blocks, note) if part)


def split_columns(table: Table, fits: Callable[[Table], bool]) -> list[Table]:
    """Returns the table as one or more tables that `fits` accepts, each with the stub columns; one data column always fits."""
    stubs = [index for index, column in enumerate(table.columns) if column.is_stub]
    data = [index for index, column in enumerate(table.columns) if not column.is_stub]
    blocks: list[list[int]] = [[]]
    for index in data:
        if blocks[-1] and not fits(_with_columns(table, stubs + blocks[-1] + [index])):
            blocks.append([])
        blocks[-1].append(index)
    return [_with_columns(table, stubs + block) for block in blocks]


def group_spans(columns: Sequence[Column]) -> list[tuple[int, int, str]]:
    """Returns (start, stop, group) for every run of neighbouring columns, those without a group too."""
    spans: list[tuple[int, int, str]] = []
    for index, column in enumerate(columns):
        if spans and column.group and spans[-1][2] == column.group:
            spans[-1] = (spans[-1][0], index + 1, column.group)
        else:
            spans.append((index, index + 1, column.group))
    return spans


def _with_columns(table: Table, indices: Sequence[int]) -> Table:
    rows = tuple(tuple(row[index] for index in indices) for row in table.rows)
    return Table(table.number, table.title, tuple(table.columns[i] for i in indices), rows, table.note, table.rules)


def _block_text(table: Table) -> str:
    widths, gap = _widths(table), " " * _GAP
    lines = []
    if any(column.group for column in table.columns):
        spans = group_spans(table.columns)
        lines.append(gap.join(g.center(sum(widths[a:b]) + _GAP * (b - a - 1)) for a, b, g in spans))
    lines.append(_line(table, widths, [column.header for column in table.columns]))
    rule = "-" * _block_width(table)
    lines.append(rule)
    for index, row in enumerate(table.rows):
        if index in table.rules:
            lines.append(rule)
        lines.append(_line(table, widths, [cell.text for cell in row]))
        if any(cell.note for cell in row):
            lines.append(_line(table, widths, [cell.note for cell in row]))
    return "\n".join(line.rstrip() for line in lines)


def _block_width(table: Table) -> int:
    return sum(_widths(table)) + _GAP * (len(table.columns) - 1)


def _widths(table: Table) -> list[int]:
    widths = [
        max([len(column.header), *(max(len(row[i].text), len(row[i].note)) for row in table.rows)])
        for i, column in enumerate(table.columns)
    ]
    for start, stop, group in group_spans(table.columns):
        missing = len(group) - sum(widths[start:stop]) - _GAP * (stop - start - 1)
        for i in range(max(0, missing)):
            widths[start + i % (stop - start)] += 1
    return widths


def _line(table: Table, widths: Sequence[int], texts: Sequence[str]) -> str:
    columns = zip(texts, widths, table.columns, strict=True)
    return (" " * _GAP).join(t.rjust(w) if column.is_number else t.ljust(w) for t, w, column in columns)
