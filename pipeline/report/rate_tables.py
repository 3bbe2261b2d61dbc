"""The tables of accuracies and destruction rates: files and photographs, and transforms over their parameter."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.document.formats import DASH, NOT_APPLICABLE, interval, number, span
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import CASES, PHOTO, PREDICTED, SOURCE, CellFill, Comparison, Estimate, Rate
from pipeline.report.cell_tables import cell_table, difference_cell, estimate_cell, ordered_cells
from pipeline.report.content import ReportContent, TransformAxis
from pipeline.report.words import CASE_TITLES, axis_of


def photo_tables(content: ReportContent, origin: str | None = None) -> list[Table]:
    """Returns Tables 1, 2 and 3 as far as the run has cells for them; `origin` keeps real and simulated photos apart."""
    cases = {cell[0] for cell in _cells((*content.accuracies, *content.rates), content.fills)}
    tables = [accuracy_table(content.accuracies, case, content.fills, origin) for case in CASES if case in cases]
    if any(row.transform == PHOTO for row in content.rates):
        tables.append(photo_rate_table(content.rates, content.fills, origin))
    return tables


def accuracy_table(rows: Iterable[Rate], case: str, fills: Iterable[CellFill] = (), origin: str | None = None) -> Table:
    """Returns Table 1 (average case) or Table 2 (prefiltered): top-1 and top-5 accuracy, k/n beneath each.

    Without photographs the four columns of photographs are left out. A cell that is in `fills` but was never judged shows
    a dash, one without images "n/a".
    """
    rows = [row for row in rows if row.case == case]
    found = {
        (row.attack, row.epsilon_8bit, row.variant, row.transform, row.top_k): row
        for row in rows
        if row.transform == SOURCE or (row.transform == PHOTO and origin in (None, row.origin))
    }
    conditions = [PHOTO, SOURCE] if any(key[3] == PHOTO for key in found) else [SOURCE]
    keys = [(transform, variant, k) for transform in conditions for variant in ("clean", "adversarial") for k in (1, 5)]
    groups = {PHOTO: "Photos", SOURCE: "Source"}
    short = {"clean": "clean", "adversarial": "adv."}
    columns = [Column(f"top-{k}", f"{groups[transform]}, {short[variant]}") for transform, variant, k in keys]
    cells = [cell for cell in _cells(rows, fills) if cell[0] == case]
    shown = [[found.get((*cell[1:], variant, transform, k)) for transform, variant, k in keys] for cell in cells]
    body = [[estimate_cell(row, "0/0", has_interval=False) for row in of_cell] for of_cell in shown]
    return cell_table(
        "1" if case == "average" else "2",
        f"Accuracy, {CASE_TITLES.get(case, case)}",
        columns,
        cells,
        body,
        "Images classified right, k/n beneath; n counts the images of the cell that were judged.",
        "accuracy",
    )


def photo_rate_table(rows: Iterable[Rate], fills: Iterable[CellFill] = (), origin: str | None = None) -> Table:
    """Returns Table 3: destruction rates by photographs, with n_hit/n_eligible and the 95 % interval."""
    rows = [row for row in rows if row.transform == PHOTO and origin in (None, row.origin)]
    fills = tuple(fills)
    found = {(row.case, row.attack, row.epsilon_8bit, row.top_k): row for row in rows}
    cases = [case for case in CASES if any(cell[0] == case for cell in _cells(rows, fills))]
    keys = [(case, k) for case in cases for k in (1, 5)]
    cells = ordered_cells(("", attack, epsilon) for _, attack, epsilon in _cells(rows, fills))
    return cell_table(
        "3",
        "Adversarial destruction rate, photographs",
        [Column(f"top-{k}", CASE_TITLES[case].capitalize()) for case, k in keys],
        cells,
        [[estimate_cell(found.get((case, *cell[1:], k))) for case, k in keys] for cell in cells],
        f"Destroyed / eligible attacks and the {interval_words(rows)} in per cent beneath. A lower rate is a sturdier attack.",
        PHOTO,
    )


def interval_words(rows: Iterable[Estimate | Comparison]) -> str:
    """Returns how the intervals of some rates were made, as captions say it."""
    shared = any(row.interval == "cluster" for row in rows)
    return (
        "95 % Wilson interval of the effective number of images (images on one page are correlated)"
        if shared
        else "95 % Wilson interval"
    )


def transform_tables(content: ReportContent) -> list[Table]:
    """Returns one table per case and digital transform, in the order in which the run has the transforms."""
    digital = content.digital_rates
    names = list(dict.fromkeys(row.transform for row in digital))
    tables = [
        transform_table(digital, case, axis_of(name, content.axes), content.fills)
        for case in CASES
        for name in names
        if any(row.case == case and row.transform == name for row in digital)
    ]
    return [replace(table, number=f"T{place}") for place, table in enumerate(tables, 1)]


def transform_table(rows: Iterable[Rate], case: str, axis: TransformAxis, fills: Iterable[CellFill] = ()) -> Table:
    """Returns the destruction rates of one digital transform: a row per attack, ε and top-k, a column per parameter."""
    rows = [row for row in rows if row.case == case and row.transform == axis.name]
    found = {(row.attack, row.epsilon_8bit, row.top_k, row.parameter): row for row in rows}
    values = sorted({row.parameter for row in rows}, key=lambda value: (value is not None, value or 0.0))
    cells = [cell for cell in _cells(rows, fills) if cell[0] == case]
    body, stubs = [], []
    for cell in cells:
        for k in (1, 5):
            in_row = [found.get((cell[1], cell[2], k, value)) for value in values]
            n_text = span(row.n_eligible for row in in_row if row)
            stubs.append(cell)
            body.append([Cell(f"top-{k}"), Cell(n_text), *(_short_rate_cell(row) for row in in_row)])
    columns = [stub(""), stub("n", is_number=True)]
    group = f"{axis.title}: {axis.label}"
    columns += [Column(number(value) if value is not None else "all", group) for value in values]
    return cell_table(
        "T",
        f"Destruction rate, {axis.title}, {CASE_TITLES.get(case, case)}",
        columns,
        stubs,
        body,
        "Rates and 95 % Wilson intervals in per cent; n is the number of eligible attacks.",
        SOURCE,
        (1, 5),
    )


def compared_tables(rows: Iterable[Comparison]) -> list[Table]:
    """Returns what simulated photographs predict beside what real ones measured: a table for each quantity and case."""
    rows = list(rows)
    present = [(quantity, case) for quantity in PREDICTED for case in CASES]
    groups = [[row for row in rows if (row.quantity, row.case) == key] for key in present]
    return [_compared_table(f"P{place}", group) for place, group in enumerate(filter(None, groups), 1)]


def _compared_table(table_number: str, rows: Sequence[Comparison]) -> Table:
    found = {(row.case, row.first.attack, row.first.epsilon_8bit, row.top_k): row for row in rows}
    stubs = [cell for cell in ordered_cells({key[:3] for key in found}) for _ in (1, 5)]
    picked = [found[(*cell, k)] for cell, k in zip(stubs, (1, 5) * (len(stubs) // 2), strict=True)]
    body = [
        [
            Cell(f"top-{row.top_k}"),
            Cell(str(row.n)),
            estimate_cell(row.second, "0 pairs"),
            estimate_cell(row.first, "0 pairs"),
            difference_cell(row),
            Cell(DASH if not row.n else "yes" if row.is_within else "no"),
        ]
        for row in picked
    ]
    columns = (stub(""), *map(Column, ("n", "measured", "predicted", "difference, points", "within")))
    note = (
        f"Over the n pairs that were photographed both ways: k/n and the {interval_words(rows)} in per cent beneath. Difference: "
        "predicted minus measured with Newcombe's 95 % interval of paired rates. Within: the predicted rate lies in the measured "
        "one's interval."
    )
    title = f"Predicted and measured {PREDICTED[rows[0].quantity]}, {CASE_TITLES[rows[0].case]}"
    return cell_table(table_number, title, columns, stubs, body, note)


def _cells(rows: Iterable[Rate], fills: Iterable[CellFill]) -> list[tuple[str, str, int]]:
    """Every cell of a run, also those for which no image was found, in the order of tables."""
    of_rows: list[Rate | CellFill] = [*rows, *fills]
    return ordered_cells((row.case, row.attack, row.epsilon_8bit) for row in of_rows)


def _short_rate_cell(row: Rate | None) -> Cell:
    if row is None:
        return Cell(DASH)
    if row.rate is None:
        return Cell(NOT_APPLICABLE)
    return Cell(f"{100 * row.rate:.1f}", interval(row.low, row.high))
