"""Tables with a row for each cell of a run, rates above all, and what each row is about, so that flags can mark it."""

from collections.abc import Iterable, Sequence
from itertools import cycle
from operator import attrgetter
from typing import NamedTuple

from pipeline.document.formats import DASH, NOT_APPLICABLE, interval, number, percent, points, span
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import CASES, PHOTO, PREDICTED, SOURCE, TOP_KS, CellFill, Comparison, Estimate, Rate
from pipeline.report.content import ReportContent
from pipeline.report.words import CASE_TITLES, TEXTS, attack_order, attack_title, axis_of, epsilon_title


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
    return sorted(found, key=lambda cell: (cell[0], order.index(cell[1]), cell[2]))


def photo_tables(content: ReportContent, origin: str | None = None) -> list[Table]:
    """Returns Tables 1, 2 and 3 as far as the run has cells for them; `origin` keeps real and simulated photos apart."""
    cases = {cell_of(row)[0] for row in (*content.accuracies, *content.rates, *content.fills)}
    top_ks = content.top_ks
    tables = [accuracy_table(content.accuracies, case, content.fills, origin, top_ks) for case in CASES if case in cases]
    if any(row.transform == PHOTO for row in content.rates):
        tables.append(photo_rate_table(content.rates, content.fills, origin, top_ks))
    return tables


def accuracy_table(
    rows: Iterable[Rate],
    case: str,
    fills: Iterable[CellFill] = (),
    origin: str | None = None,
    top_ks: Sequence[int] = TOP_KS,
) -> Table:
    """Returns Table 1 (average case) or Table 2 (prefiltered): accuracy at every top-k, k/n beneath each.

    Without photographs the four columns of photographs are left out. A cell that is in `fills` but was never judged shows
    a dash, one without images "n/a".
    """
    rows = [row for row in rows if row.case == case]
    found = {
        (*cell_of(row), row.transform, row.variant, row.top_k): row
        for row in rows
        if row.transform == SOURCE or (row.transform == PHOTO and origin in (None, row.origin))
    }
    groups = {PHOTO: "Photos", SOURCE: "Source"} if any(key[3] == PHOTO for key in found) else {SOURCE: "Source"}
    keys = [(transform, variant, k) for transform in groups for variant in ("clean", "adversarial") for k in top_ks]
    short = {"clean": "clean", "adversarial": "adv."}
    columns = [Column(f"top-{k}", f"{groups[transform]}, {short[variant]}") for transform, variant, k in keys]
    cells = [cell for cell in ordered_cells(map(cell_of, (*rows, *fills))) if cell[0] == case]
    body = [[estimate_cell(found.get((*cell, *key)), "0/0", has_interval=False) for key in keys] for cell in cells]
    title = f"Accuracy, {CASE_TITLES.get(case, case)}"
    note = "Images classified right, k/n beneath; n counts the images of the cell that were judged."
    return cell_table("1" if case == "average" else "2", title, columns, cells, body, note, "accuracy")


def photo_rate_table(
    rows: Iterable[Rate], fills: Iterable[CellFill] = (), origin: str | None = None, top_ks: Sequence[int] = TOP_KS
) -> Table:
    """Returns Table 3: destruction rates by photographs, with n_hit/n_eligible and the 95 % interval."""
    rows = [row for row in rows if row.transform == PHOTO and origin in (None, row.origin)]
    found = {(*cell_of(row), row.top_k): row for row in rows}
    present = set(map(cell_of, (*rows, *fills)))
    keys = [(case, k) for case in CASES if any(cell[0] == case for cell in present) for k in top_ks]
    columns = [Column(f"top-{k}", CASE_TITLES[case].capitalize()) for case, k in keys]
    cells = ordered_cells(("", *cell[1:]) for cell in present)
    body = [[estimate_cell(found.get((case, *cell[1:], k))) for case, k in keys] for cell in cells]
    note = f"Destroyed / eligible attacks and the {interval_words(rows)} in per cent beneath. A lower rate is a sturdier attack."
    return cell_table("3", "Adversarial destruction rate, photographs", columns, cells, body, note, PHOTO)


def interval_words(rows: Iterable[Estimate | Comparison]) -> str:
    """Returns how the intervals of some rates were made, as captions say it."""
    shared = " of the effective number of images (images on one page are correlated)"
    return "95 % Wilson interval" + (shared if any(row.interval == "cluster" for row in rows) else "")


def transform_tables(content: ReportContent) -> list[Table]:
    """Returns one table per case and digital transform, in the order in which the run has the transforms."""
    names = list(dict.fromkeys(row.transform for row in content.digital_rates))
    groups = [
        [row for row in content.digital_rates if (row.case, row.transform) == (case, name)] for case in CASES for name in names
    ]
    found = enumerate(filter(None, groups), 1)
    return [_transform_table(f"T{place}", rows, content.fills, content.top_ks) for place, rows in found]


def _transform_table(table_number: str, rows: Sequence[Rate], fills: Iterable[CellFill], top_ks: Sequence[int]) -> Table:
    """Returns the destruction rates of one digital transform: a row per attack, ε and top-k, a column per parameter."""
    case, axis = rows[0].case, axis_of(rows[0].transform)
    found = {(*cell_of(row), row.top_k, row.parameter): row for row in rows}
    values = sorted({row.parameter for row in rows}, key=lambda value: (value is not None, value or 0.0))
    cells = [cell for cell in ordered_cells(map(cell_of, (*rows, *fills))) if cell[0] == case for _ in top_ks]
    body = []
    for cell, k in zip(cells, cycle(top_ks), strict=False):
        in_row = [found.get((*cell, k, value)) for value in values]
        n = span(row.n_eligible for row in in_row if row)
        body.append([Cell(f"top-{k}"), Cell(n), *map(_short_rate_cell, in_row)])
    columns = [stub(""), stub("n", is_number=True)]
    group = f"{axis.title}: {axis.label}"
    columns += [Column(number(value) if value is not None else "all", group) for value in values]
    title = f"Destruction rate, {axis.title}, {CASE_TITLES.get(case, case)}"
    note = "Rates and 95 % Wilson intervals in per cent; n is the number of eligible attacks."
    return cell_table(table_number, title, columns, cells, body, note, SOURCE, top_ks)


def compared_tables(rows: Iterable[Comparison]) -> list[Table]:
    """Returns what simulated photographs predict beside what real ones measured: a table for each quantity and case."""
    rows = list(rows)
    groups = [[row for row in rows if (row.quantity, row.case) == (quantity, case)] for quantity in PREDICTED for case in CASES]
    return [_compared_table(f"P{place}", group) for place, group in enumerate(filter(None, groups), 1)]


def _compared_table(table_number: str, rows: Sequence[Comparison]) -> Table:
    found = {(*cell_of(row.first), row.top_k): row for row in rows}
    top_ks = sorted({row.top_k for row in rows})
    cells = [cell for cell in ordered_cells(key[:3] for key in found) for _ in top_ks]
    body = []
    for cell, k in zip(cells, cycle(top_ks), strict=False):
        row = found[(*cell, k)]
        rates = [estimate_cell(side, "0 pairs") for side in (row.second, row.first)]
        is_within = Cell(DASH if not row.n else "yes" if row.is_within else "no")
        body.append([Cell(f"top-{k}"), Cell(str(row.n)), *rates, difference_cell(row), is_within])
    columns = (stub(""), *map(Column, ("n", "measured", "predicted", "difference, points", "within")))
    note = TEXTS["predicted-table"].format(interval=interval_words(rows))
    title = f"Predicted and measured {PREDICTED[rows[0].quantity]}, {CASE_TITLES[rows[0].case]}"
    return cell_table(table_number, title, columns, cells, body, note)


def _short_rate_cell(row: Rate | None) -> Cell:
    if row is None:
        return Cell(DASH)
    if row.rate is None:
        return Cell(NOT_APPLICABLE)
    return Cell(f"{100 * row.rate:.1f}", interval(row.low, row.high))
