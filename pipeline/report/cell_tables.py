"""Tables with a row for each cell of a run: its method and ε in front, and what the row is about, so that flags can mark it."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from pipeline.document.formats import DASH, NOT_APPLICABLE, interval, percent, points
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import Comparison, Estimate
from pipeline.report.words import attack_order, attack_title, epsilon_title


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


cell_of = attrgetter("case", "attack", "epsilon_8bit")


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
    """Returns a table with method and ε in front of each row, both named once; a rule stands above each new method.

    `transform` and `top_ks`, which take turns, are those of the rows' keys; there are no keys without a transform.
    """
    rows: list[tuple[Cell, ...]] = []
    rules, previous = set(), ("", "", -1)
    for cell, values in zip(cells, body, strict=True):
        is_new_attack = cell[:2] != previous[:2]
        if is_new_attack and rows:
            rules.add(len(rows))
        front = Cell(attack_title(cell[1]) if is_new_attack else ""), Cell(epsilon_title(cell[2]) if cell != previous else "")
        rows.append((*front, *values))
        previous = cell
    keys = tuple(RowKey(*cell, transform, top_ks[place % len(top_ks)]) for place, cell in enumerate(cells) if transform)
    stubs = (stub("Method"), stub("ε", is_number=True))
    return Table(table_number, title, (*stubs, *columns), tuple(rows), note, frozenset(rules), keys)


def estimate_cell(found: Estimate | None, nothing: str = "0 eligible", has_interval: bool = True) -> Cell:
    """Returns a rate above its counts and interval: a dash for None, "n/a" above `nothing` where none is eligible."""
    if found is None:
        return Cell(DASH)
    if found.rate is None:
        return Cell(NOT_APPLICABLE, nothing)
    ends = f" · {interval(found.low, found.high)}" if has_interval else ""
    return Cell(percent(found.rate), f"{found.n_hit}/{found.n_eligible}{ends}")


def difference_cell(row: Comparison) -> Cell:
    """Returns a difference in points above its interval."""
    ends = f"{points(row.low, 0)} to {points(row.high, 0)}" if row.difference is not None else ""
    return Cell(points(row.difference, 1), ends)


def ordered_cells(cells: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Returns cells (case, attack, epsilon) once each, in the order of tables."""
    found = set(cells)
    order = attack_order(cell[1] for cell in found)
    return sorted(found, key=lambda cell: (cell[0], order.index(cell[1]), -cell[2]))
