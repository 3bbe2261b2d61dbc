"""What a table is: columns, cells and notes as plain text, and how it looks as text; its builders are in other files."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.report.words import attack_order, attack_title, epsilon_title

TEXT_WIDTH = 100
_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """One column; neighbours of the same `group` stand under one common heading, stub columns are repeated after a split."""

    header: str
    group: str = ""
    is_number: bool = True
    is_stub: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place of a table, with a `note` beneath it in small type (the counts, the interval)."""

    text: str
    note: str = ""


class RowKey(NamedTuple):
    """What a row of a table is about: a photo, or a cell; "" and 0 where it is about all of them.

    `transform` tells what was counted: "photo" or "source" where it is destruction rates, else "accuracy" or "file".
    """

    case: str = ""
    attack: str = ""
    epsilon_8bit: int = 0
    transform: str = ""
    top_k: int = 0
    photo: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as plain text; a rule is drawn above each row whose number is in `rules`. `keys`, if any, has one key a row."""

    number: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    rules: frozenset[int] = frozenset()
    keys: tuple[RowKey, ...] = ()


def cell_table(
    table_number: str,
    title: str,
    columns: Sequence[Column],
    cells: Sequence[tuple[str, str, int]],
    body: Sequence[Sequence[Cell]],
    note: str,
    transform: str = "file",
    top_ks: Sequence[int] = (0,),
) -> Table:
    """Returns a table with method and ε in front of each row; the method is named once per run of rows, where a rule opens it.

    `transform` and `top_ks`, which take turns, are those of the rows' keys.
    """
    rows, rules, previous = [], set(), ("", "", -1)
    for cell, values in zip(cells, body, strict=True):
        is_new_attack = cell[:2] != previous[:2]
        if is_new_attack and rows:
            rules.add(len(rows))
        method = attack_title(cell[1]) if is_new_attack else ""
        epsilon = epsilon_title(cell[2]) if cell != previous else ""
        rows.append((Cell(method), Cell(epsilon), *values))
        previous = cell
    front = (Column("Method", is_number=False, is_stub=True), Column("ε", is_stub=True))
    keys = tuple(RowKey(*cell, transform, top_ks[place % len(top_ks)]) for place, cell in enumerate(cells))
    return Table(table_number, title, (*front, *columns), tuple(rows), note, frozenset(rules), keys)


def ordered_cells(cells: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    cells = set(cells)
    order = attack_order(cell[1] for cell in cells)
    return sorted(cells, key=lambda cell: (cell[0], order.index(cell[1]), -cell[2]))


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


def points(share: float, digits: int) -> str:
    """Returns a difference of two rates in points, with its sign."""
    rounded = round(100 * share, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


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
