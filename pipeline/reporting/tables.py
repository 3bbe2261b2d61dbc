"""The tables of a run in the form of the paper's Tables 1 to 3, for the report's pages and for the command line alike."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

from pipeline.records import CASES, COMPARED, CORNERS, PHOTO, ROUNDING, SOURCE, AccuracyRow, CellFill, ComparedRow, Pair, RateRow
from pipeline.reporting.content import CaptureQuality, ReportContent, TransformAxis
from pipeline.reporting.words import (
    CASE_TITLES,
    NO_ROW,
    NOTHING_ELIGIBLE,
    attack_order,
    attack_title,
    axis_of,
    epsilon_title,
    interval,
    middle_cut,
    number,
    percent,
    span,
)

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


def photo_tables(content: ReportContent, origin: str | None = None) -> list[Table]:
    """Returns Tables 1, 2 and 3 as far as the run has cells for them; `origin` keeps real and simulated photos apart."""
    cases = {cell[0] for cell in _cells((*content.accuracies, *content.rates), content.fills)}
    tables = [accuracy_table(content.accuracies, case, content.fills, origin) for case in CASES if case in cases]
    if any(row.transform == PHOTO for row in content.rates):
        tables.append(photo_rate_table(content.rates, content.fills, origin))
    return tables


def accuracy_table(rows: Iterable[AccuracyRow], case: str, fills: Iterable[CellFill] = (), origin: str | None = None) -> Table:
    """Returns the paper's Table 1 (average case) or Table 2 (prefiltered): top-1 and top-5 accuracy, k/n beneath each.

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
    body = [
        [_accuracy_cell(found.get((attack, epsilon, variant, transform, k))) for transform, variant, k in keys]
        for _, attack, epsilon in cells
    ]
    return _table(
        "1" if case == "average" else "2",
        f"Accuracy, {CASE_TITLES.get(case, case)}",
        columns,
        cells,
        body,
        "Images classified right, k/n beneath; n counts the images of the cell that were judged.",
        "accuracy",
    )


def photo_rate_table(rows: Iterable[RateRow], fills: Iterable[CellFill] = (), origin: str | None = None) -> Table:
    """Returns the paper's Table 3: destruction rates by photographs, with n_hit/n_eligible and the 95 % interval."""
    rows = [row for row in rows if row.transform == PHOTO and origin in (None, row.origin)]
    fills = tuple(fills)
    found = {(row.case, row.attack, row.epsilon_8bit, row.top_k): row for row in rows}
    cases = [case for case in CASES if any(cell[0] == case for cell in _cells(rows, fills))]
    keys = [(case, k) for case in cases for k in (1, 5)]
    cells = list(dict.fromkeys(("", attack, epsilon) for _, attack, epsilon in _cells(rows, fills)))
    return _table(
        "3",
        "Adversarial destruction rate, photographs",
        [Column(f"top-{k}", CASE_TITLES[case].capitalize()) for case, k in keys],
        _ordered(cells),
        [[_rate_cell(found.get((case, attack, epsilon, k))) for case, k in keys] for _, attack, epsilon in _ordered(cells)],
        f"Destroyed / eligible attacks and the {interval_words(rows)} in per cent beneath. A lower rate is a sturdier attack.",
        PHOTO,
    )


def interval_words(rows: Iterable[AccuracyRow | RateRow]) -> str:
    """Returns how the intervals of some rates were made, as captions say it."""
    shared = any(row.interval == "cluster" for row in rows)
    return (
        "95 % Wilson interval of the effective number of images (those on a page fall together)"
        if shared
        else "95 % Wilson interval"
    )


def compared_tables(rows: Iterable[ComparedRow]) -> list[Table]:
    """Returns what simulated photographs predict beside what real ones measured: a table for each quantity and case."""
    rows = list(rows)
    present = [(quantity, case) for quantity in COMPARED for case in CASES]
    groups = [[row for row in rows if (row.quantity, row.case) == key] for key in present]
    return [_compared_table(f"P{place}", group) for place, group in enumerate(filter(None, groups), 1)]


def _compared_table(table_number: str, rows: Sequence[ComparedRow]) -> Table:
    found = {(row.case, row.attack, row.epsilon_8bit, row.top_k): row for row in rows}
    stubs = [cell for cell in _ordered({key[:3] for key in found}) for _ in (1, 5)]
    picked = [found[(*cell, k)] for cell, k in zip(stubs, (1, 5) * (len(stubs) // 2), strict=True)]
    body = [
        [
            Cell(f"top-{row.top_k}"),
            Cell(str(row.n)),
            _one_side(row.measured, row.n_measured, row.n, row.measured_low, row.measured_high),
            _one_side(row.predicted, row.n_predicted, row.n, row.predicted_low, row.predicted_high),
            _difference_cell(row),
            Cell(NO_ROW if not row.n else "yes" if row.is_within else "no"),
        ]
        for row in picked
    ]
    columns = (
        Column("", is_number=False, is_stub=True),
        Column("n"),
        Column("measured"),
        Column("predicted"),
        Column("difference, points"),
        Column("within"),
    )
    note = (
        "Over the n pairs that were photographed both ways: k/n and the 95 % Wilson interval in per cent beneath. Difference: "
        "predicted minus measured with Newcombe's 95 % interval of paired rates. Within: the predicted rate lies in the measured "
        "one's interval."
    )
    title = f"Predicted and measured {COMPARED[rows[0].quantity]}, {CASE_TITLES[rows[0].case]}"
    return _table(table_number, title, columns, stubs, body, note)


def transform_tables(content: ReportContent) -> list[Table]:
    """Returns one table per case and digital transform, in the order in which the run has the transforms."""
    digital = [row for row in content.rates if row.transform not in (PHOTO, SOURCE)]
    names = list(dict.fromkeys(row.transform for row in digital))
    tables = [
        transform_table(digital, case, axis_of(name, content.axes), content.fills)
        for case in CASES
        for name in names
        if any(row.case == case and row.transform == name for row in digital)
    ]
    return [replace(table, number=f"T{place}") for place, table in enumerate(tables, 1)]


def transform_table(rows: Iterable[RateRow], case: str, axis: TransformAxis, fills: Iterable[CellFill] = ()) -> Table:
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
    columns = [Column("", is_number=False, is_stub=True), Column("n", is_stub=True)]
    group = f"{axis.title}: {axis.label}"
    columns += [Column(number(value) if value is not None else "all", group) for value in values]
    return _table(
        "T",
        f"Destruction rate, {axis.title}, {CASE_TITLES.get(case, case)}",
        columns,
        stubs,
        body,
        "Rates and 95 % Wilson intervals in per cent; n is the number of eligible attacks.",
        SOURCE,
        (1, 5),
    )


def selection_table(fills: Iterable[CellFill]) -> Table:
    """Returns what was drawn for each cell, and how many candidates were looked at for it."""
    by_cell = {(fill.case, fill.attack, fill.epsilon_8bit): fill for fill in fills}
    fills = [by_cell[cell] for cell in _ordered(by_cell)]
    body = [
        [
            Cell(CASE_TITLES[fill.case]),
            Cell(str(fill.n_wanted)),
            Cell(str(fill.n_found)),
            Cell(str(fill.n_tried)),
            Cell("yes" if fill.n_found >= fill.n_wanted else f"{fill.n_wanted - fill.n_found} short"),
        ]
        for fill in fills
    ]
    headers = ("wanted", "found", "looked at", "filled")
    columns = [Column("Case", is_number=False, is_stub=True), *(Column(header) for header in headers)]
    return _table("S1", "Images drawn per cell", columns, [(f.case, f.attack, f.epsilon_8bit) for f in fills], body, "")


def perturbation_table(pairs: Iterable[Pair]) -> Table:
    """Returns how far the saved adversarial files of each attack and ε are from their clean files, and what they cost."""
    by_cell: dict[tuple[str, str, int], list[Pair]] = {}
    for pair in pairs:
        by_cell.setdefault(("", pair.attack, pair.epsilon_8bit), []).append(pair)
    cells = _ordered(by_cell)
    body = [
        [
            Cell(str(len(group))),
            Cell(str(max(pair.linf_8bit for pair in group))),
            Cell(f"{fmean(pair.l2_8bit for pair in group):.0f}"),
            Cell(f"{fmean(pair.n_changed_pixels for pair in group):.0f}"),
            Cell(f"{fmean(pair.ssim for pair in group):.3f}"),
            Cell(f"{fmean(pair.n_forward for pair in group):.0f}"),
            Cell(f"{fmean(pair.n_backward for pair in group):.0f}"),
        ]
        for group in (by_cell[cell] for cell in cells)
    ]
    columns = [
        Column("pairs"),
        Column("L∞", "Largest"),
        Column("L2", "Mean"),
        Column("pixels", "Mean"),
        Column("SSIM", "Mean"),
        Column("forward", "Passes per image"),
        Column("backward", "Passes per image"),
    ]
    note = (
        "Distances of the saved files in 8-bit units; pixels: how many differ in any channel (L0). SSIM is 1 where two images "
        "are equal (Wang et al. 2004)."
    )
    return _table("S2", "Adversarial files and their distance from the clean ones", columns, cells, body, note)


def rounding_table(pairs: Iterable[Pair]) -> Table | None:
    """Returns what rounding to 8 bits did to the results of minimum-norm attacks, None where the run has no such attack."""
    by_cell: dict[tuple[str, str, int], list[str]] = {}
    for pair in pairs:
        if pair.rounding:
            by_cell.setdefault(("", pair.attack, pair.epsilon_8bit), []).append(pair.rounding)
    cells = _ordered(by_cell)
    if not cells:
        return None
    body = [[Cell(str(len(by_cell[cell]))), *(Cell(str(by_cell[cell].count(word))) for word in ROUNDING)] for cell in cells]
    columns = [Column("pairs"), *(Column(word.replace("-", " ")) for word in ROUNDING)]
    note = (
        "Attacks that look for the smallest change end just behind the decision boundary, where rounding to whole levels can "
        "undo them. Kept: the rounded image fools. Repaired: rounding undid the attack, and a search over neighbouring 8-bit "
        "values mended it. Lost, not found: the clean image is saved, which never counts as an attack."
    )
    return _table("S3", "Minimum-norm attacks after rounding to 8 bits", columns, cells, body, note)


def quality_table(quality: Iterable[CaptureQuality], n_rows: int = 120) -> Table:
    """Returns how well each photograph was registered; beyond `n_rows` photographs the note says how many are left out."""
    quality = tuple(quality)
    columns = (
        Column("Photo", is_number=False, is_stub=True),
        Column("page"),
        Column("codes"),
        Column("reprojection", "Error, px"),
        Column("registration", "Error, px"),
        Column("sharpness"),
        Column("px per px"),
    )
    rows = tuple(
        (
            Cell(middle_cut(photo.photo, 34)),
            Cell(NO_ROW if photo.page is None else str(photo.page)),
            Cell(f"{photo.n_codes}/{len(CORNERS)}"),
            Cell(_decimal(photo.reprojection_rms_px, 2)),
            Cell(_decimal(photo.registration_error_px, 3)),
            Cell(_decimal(photo.sharpness, 3)),
            Cell(_decimal(photo.photo_px_per_image_px, 2)),
        )
        for photo in quality[:n_rows]
    )
    note = (
        "Reprojection is the RMS distance of the codes' corners, in photo pixels; registration, in crop pixels, is known in "
        "simulation only. px per px: photo pixels per image pixel."
    )
    if len(quality) > n_rows:
        note += f" {len(quality) - n_rows} further photographs are not listed."
    keys = tuple(RowKey(photo=photo.photo) for photo in quality[:n_rows])
    return Table("Q1", "Photographs and how well they were registered", columns, rows, note, keys=keys)


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


def _cells(rows: Iterable[AccuracyRow | RateRow], fills: Iterable[CellFill]) -> list[tuple[str, str, int]]:
    """Every cell of a run, also those for which no image was found, in the paper's order."""
    return _ordered((row.case, row.attack, row.epsilon_8bit) for row in (*rows, *fills))


def _ordered(cells: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    cells = set(cells)
    order = attack_order(cell[1] for cell in cells)
    return sorted(cells, key=lambda cell: (cell[0], order.index(cell[1]), -cell[2]))


def _decimal(value: float | None, digits: int) -> str:
    if value is None:
        return NO_ROW
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:.0f}"


def _accuracy_cell(row: AccuracyRow | None) -> Cell:
    if row is None:
        return Cell(NO_ROW)
    return Cell(percent(row.accuracy), f"{row.n_correct}/{row.n_images}")


def _rate_cell(row: RateRow | None) -> Cell:
    if row is None:
        return Cell(NO_ROW)
    if row.destruction_rate is None:
        return Cell(NOTHING_ELIGIBLE, "0 eligible")
    return Cell(percent(row.destruction_rate), f"{row.n_hit}/{row.n_eligible} · {interval(row.low, row.high)}")


def _one_side(rate: float | None, k: int, n: int, low: float | None, high: float | None) -> Cell:
    return Cell(percent(rate), f"{k}/{n} · {interval(low, high)}") if n else Cell(NOTHING_ELIGIBLE, "0 pairs")


def _difference_cell(row: ComparedRow) -> Cell:
    if not row.n:
        return Cell(NO_ROW)
    ends = f"{points(row.difference_low, 0)} to {points(row.difference_high, 0)}"
    return Cell(points(row.difference, 1), ends)


def points(share: float, digits: int) -> str:
    """Returns a difference of two rates in points, with its sign."""
    rounded = round(100 * share, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


def _short_rate_cell(row: RateRow | None) -> Cell:
    if row is None:
        return Cell(NO_ROW)
    if row.destruction_rate is None:
        return Cell(NOTHING_ELIGIBLE)
    return Cell(f"{100 * row.destruction_rate:.1f}", interval(row.low, row.high))


def _table(
    table_number: str,
    title: str,
    columns: Sequence[Column],
    cells: Sequence[tuple[str, str, int]],
    body: Sequence[Sequence[Cell]],
    note: str,
    transform: str = "file",
    top_ks: Sequence[int] = (0,),
) -> Table:
    """Puts method and ε in front; the method is named once per run of rows, where a rule opens it.

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


def _with_columns(table: Table, indices: Sequence[int]) -> Table:
    rows = tuple(tuple(row[index] for index in indices) for row in table.rows)
    return Table(table.number, table.title, tuple(table.columns[i] for i in indices), rows, table.note, table.rules)


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


def group_spans(columns: Sequence[Column]) -> list[tuple[int, int, str]]:
    """Returns (start, stop, group) for every run of neighbouring columns, those without a group too."""
    spans: list[tuple[int, int, str]] = []
    for index, column in enumerate(columns):
        if spans and column.group and spans[-1][2] == column.group:
            spans[-1] = (spans[-1][0], index + 1, column.group)
        else:
            spans.append((index, index + 1, column.group))
    return spans


def _block_width(table: Table) -> int:
    return sum(_widths(table)) + _GAP * (len(table.columns) - 1)


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


def _line(table: Table, widths: Sequence[int], texts: Sequence[str]) -> str:
    columns = zip(texts, widths, table.columns, strict=True)
    return (" " * _GAP).join(t.rjust(w) if column.is_number else t.ljust(w) for t, w, column in columns)
