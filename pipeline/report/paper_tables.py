"""The numbers of Kurakin et al. 2016 beside those of a run: as records, and as tables in the form of the paper's."""

from collections.abc import Iterable, Sequence

from pipeline.document.formats import NOT_APPLICABLE, interval, number, percent, points
from pipeline.document.tables import Cell, Column, Table
from pipeline.records import CASES, PHOTO, SOURCE, PaperRow, Rate
from pipeline.report.content import ReportContent
from pipeline.report.words import CASE_TITLES, attack_order, attack_title, axis_of
from pipeline.statistics.kurakin2016 import FIGURE_6, FIGURE_6_TEXT, METHODS, in_figure_6, published_accuracies, published_rates

_TABLES = {"average": 1, "prefiltered": 2}
_VARIANTS = {"clean": "clean", "adversarial": "adv."}
_WHERE = {"photo": "Photos", "source": "Files"}


def paper_rows(content: ReportContent) -> list[PaperRow]:
    """Returns every number of the paper's Tables 1 to 3 that this run has a counterpart of, in the tables' order.

    Photographs are the camera's where there are any, else the simulator's.
    """
    origin = content.main_origin
    accuracies = {
        (row.case, row.attack, row.epsilon_8bit, f"{row.transform}_{row.variant}", row.top_k): row
        for row in content.accuracies
        if row.transform == SOURCE or (row.transform == PHOTO and row.origin == origin)
    }
    rates = {
        (row.case, row.attack, row.epsilon_8bit, row.top_k): row
        for row in content.rates
        if row.transform == PHOTO and row.origin == origin
    }
    rows = []
    for *key, paper, paper_n in published_accuracies():
        if found := accuracies.get(tuple(key)):
            case, attack, epsilon, quantity, top_k = key
            shown = (found.n_hit, found.n_eligible, found.rate, found.low, found.high)
            where = origin if quantity.startswith(PHOTO) else ""
            rows.append(_row(_TABLES[case], case, attack, epsilon, quantity, top_k, where, shown, paper, paper_n))
    for *key, paper in published_rates():
        if found := rates.get(tuple(key)):
            case, attack, epsilon, top_k = key
            shown = (found.n_hit, found.n_eligible, found.rate, found.low, found.high)
            rows.append(_row(3, case, attack, epsilon, "destruction_rate", top_k, origin, shown, paper, None))
    return rows


def paper_tables(rows: Iterable[PaperRow]) -> list[Table]:
    """Returns Tables 1, 2 and 3 (one a case) with this run, the paper and the difference side by side."""
    rows = list(rows)
    accuracies = [_accuracy_table(case, [row for row in rows if row.table == _TABLES[case]]) for case in CASES]
    rates = [_rate_table(case, [row for row in rows if row.table == 3 and row.case == case]) for case in CASES]
    return [table for table in (*accuracies, *rates) if table.rows]


def figure_6_table(content: ReportContent) -> Table | None:
    """Returns how high the curves of Fig. 6 rise in this run, beside what the paper's text says; None without its transforms."""
    rows = figure_6_rates(content)
    body, rules = [], set()
    for transform in FIGURE_6:
        of_transform = [row for row in rows if row.transform == transform]
        if of_transform and body:
            rules.add(len(body))
        for place, attack in enumerate(attack_order(row.attack for row in of_transform)):
            curves = ([row for row in of_transform if (row.attack, row.top_k) == (attack, k)] for k in (1, 5))
            front = (Cell("" if place else axis_of(transform, content.axes).title), Cell(attack_title(attack)))
            body.append((*front, *(cell for curve in curves for cell in _highest(curve))))
    stubs = (Column("Transform", is_number=False, is_stub=True), Column("Method", is_number=False, is_stub=True))
    columns = [Column(header, f"top-{k}") for k in (1, 5) for header in ("highest rate", "at")]
    said = "; ".join(f"{words}: {text}" for words, text in FIGURE_6_TEXT.items())
    note = (
        f"The highest point of each curve and the parameter it stands at, {_scope(rows)}: destroyed / eligible and the 95 % "
        f"Wilson interval in per cent beneath. The paper draws its curves, of 1,000 images, without numbers; its "
        f"text says: {said}."
    )
    title = "How high each curve rises, beside the paper's Fig. 6"
    return Table("R6", title, (*stubs, *columns), tuple(body), note, frozenset(rules)) if body else None


def figure_6_rates(content: ReportContent) -> list[Rate]:
    """Returns the destruction rates that are comparable to Fig. 6: its transforms and methods, random images at ε 16."""
    rows = [row for row in content.rates if row.transform in FIGURE_6 and row.attack in METHODS and row.rate is not None]
    cells = in_figure_6({(row.case, row.attack, row.epsilon_8bit) for row in rows})
    return [row for row in rows if (row.case, row.attack, row.epsilon_8bit) in cells]


def _row(
    table: int, case: str, attack: str, epsilon: int, quantity: str, top_k: int, origin: str, shown, paper, paper_n
) -> PaperRow:
    difference = None if shown[2] is None else shown[2] - paper
    return PaperRow(table, case, attack, epsilon, quantity, top_k, origin, *shown, paper, paper_n, difference)


def _accuracy_table(case: str, rows: Sequence[PaperRow]) -> Table:
    found = {(row.attack, row.epsilon_8bit, row.quantity, row.top_k): row for row in rows}
    keys = [(where, top_k) for where in _WHERE if any(key[2].startswith(where) for key in found) for top_k in (1, 5)]
    body, rules, previous = [], set(), ""
    for attack, epsilon in dict.fromkeys(key[:2] for key in found):
        if previous not in ("", attack):
            rules.add(len(body))
        for variant, title in _VARIANTS.items():
            is_first = variant == "clean"
            method = attack_title(attack) if is_first and attack != previous else ""
            front = (Cell(method), Cell(str(epsilon) if is_first else ""), Cell(title))
            cells = (found.get((attack, epsilon, f"{where}_{variant}", top_k)) for where, top_k in keys)
            body.append((*front, *(cell for row in cells for cell in _beside(row, ""))))
        previous = attack
    stubs = (
        Column("Method", is_number=False, is_stub=True),
        Column("ε", is_stub=True),
        Column("", is_number=False, is_stub=True),
    )
    columns = [Column(side, f"{_WHERE[where]}, top-{top_k}") for where, top_k in keys for side in ("this run", "paper")]
    note = (
        "Images classified right: k/n beneath this run's, beneath the paper's the difference in points (this run minus the "
        "paper). The paper judged 102 files a cell, and 90 to 102 photographs."
    )
    title = f"Accuracy, {CASE_TITLES[case]}, beside the paper's Table {_TABLES[case]}"
    return Table(f"R{_TABLES[case]}", title, (*stubs, *columns), tuple(body), note, frozenset(rules))


def _rate_table(case: str, rows: Sequence[PaperRow]) -> Table:
    found = {(row.attack, row.epsilon_8bit, row.top_k): row for row in rows}
    body, rules, previous = [], set(), ""
    for attack, epsilon in dict.fromkeys(key[:2] for key in found):
        if previous not in ("", attack):
            rules.add(len(body))
        front = (Cell("" if attack == previous else attack_title(attack)), Cell(str(epsilon)))
        cells = (found.get((attack, epsilon, top_k)) for top_k in (1, 5))
        body.append((*front, *(cell for row in cells for cell in _beside(row, interval(row.low, row.high) if row else ""))))
        previous = attack
    columns = [Column(side, f"top-{top_k}") for top_k in (1, 5) for side in ("this run", "paper")]
    n_within = sum(row.is_within for row in rows)
    note = (
        "Destroyed / eligible attacks and the 95 % interval in per cent beneath this run's, beneath the paper's the difference "
        f"in points (this run minus the paper). The paper's number lies in this run's interval in {n_within} of {len(rows)}. "
        "The paper does not print how many attacks were eligible."
    )
    stubs = (Column("Method", is_number=False, is_stub=True), Column("ε", is_stub=True))
    title = f"Destruction rate by photographs, {CASE_TITLES[case]}, beside the paper's Table 3"
    return Table("R3" if case == "average" else "R4", title, (*stubs, *columns), tuple(body), note, frozenset(rules))


def _beside(row: PaperRow | None, ends: str) -> tuple[Cell, Cell]:
    """This run's cell and the paper's."""
    if row is None:
        return Cell("–"), Cell("–")
    difference = "" if row.difference is None else points(row.difference, 1)
    counted = f"{row.n_hit}/{row.n}{f' · {ends}' if ends else ''}" if row.n else "0 eligible"
    ours = Cell(percent(row.rate) if row.rate is not None else NOT_APPLICABLE, counted)
    return ours, Cell(percent(row.paper), difference)


def _highest(curve: Sequence[Rate]) -> tuple[Cell, Cell]:
    if not curve:
        return Cell("–"), Cell("–")
    row = max(curve, key=lambda row: row.rate)
    counted = f"{row.n_hit}/{row.n_eligible} · {interval(row.low, row.high)}"
    return Cell(percent(row.rate), counted), Cell(number(row.parameter or 0) if row.n_hit else "–")


def _scope(rows: Iterable[Rate]) -> str:
    cells = [(row.case, row.epsilon_8bit) for row in rows]
    cases = " and ".join(CASE_TITLES[case] for case in CASES if any(cell[0] == case for cell in cells))
    return f"{cases}, ε {' and '.join(str(epsilon) for epsilon in sorted({cell[1] for cell in cells}))}"
