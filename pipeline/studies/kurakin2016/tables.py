"""The paper's numbers beside those of a run: as records, and as tables in the form of the paper's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.document.formats import interval, number, percent, points
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import CASES, PHOTO, SOURCE, Rate
from pipeline.report.cell_tables import cell_of, cell_table, estimate_cell
from pipeline.report.content import ReportContent
from pipeline.report.words import CASE_TITLES, attack_order, attack_title, axis_of
from pipeline.studies.kurakin2016 import published

RATE = "destruction_rate"
_TABLES = {"average": 1, "prefiltered": 2}
_VARIANTS = {"clean": "clean", "adversarial": "adv."}
_WHERE = {PHOTO: "Photos", SOURCE: "Files"}


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One number of the paper's Tables 1 to 3 beside this run's: `n_hit` of `n` with its 95 % interval.

    `quantity` is "photo" or "source" (the files) joined to "clean" or "adversarial" for images classified right, or
    "destruction_rate"; `origin` is that of the photographs. `paper` is a share, of `paper_n` images where the paper says or lets
    infer of how many. `difference` is this run minus the paper; None where this run has nothing to count.
    """

    table: int
    case: str
    attack: str
    epsilon_8bit: int
    quantity: str
    top_k: int
    origin: str
    n_hit: int
    n: int
    rate: float | None
    low: float | None
    high: float | None
    paper: float
    paper_n: int | None
    difference: float | None

    @property
    def is_within(self) -> bool:
        """Whether the paper's number lies in this run's interval."""
        return self.low is not None and self.high is not None and self.low <= self.paper <= self.high


def paper_rows(content: ReportContent) -> list[PaperRow]:
    """Returns every number of the paper's Tables 1 to 3 that this run has a counterpart of, in the tables' order.

    Photographs are the camera's where there are any, else the simulator's.
    """
    origin = content.main_origin
    ours = {
        (*cell_of(row), RATE if row.quantity == RATE else f"{row.transform}_{row.variant}", row.top_k): row
        for row in (*content.accuracies, *content.rates)
        if row.transform == SOURCE or (row.transform == PHOTO and row.origin == origin)
    }
    printed: list[tuple[int, str, str, int, str, int, float, int | None]]
    printed = [(_TABLES[row[0]], *row) for row in published.published_accuracies()]
    printed += [(3, *row[:3], RATE, *row[3:], None) for row in published.published_rates()]
    return [
        PaperRow(
            *(table, case, attack, epsilon, quantity, top_k, "" if quantity.startswith(SOURCE) else origin),
            *(row.n_hit, row.n_eligible, row.rate, row.low, row.high, paper, paper_n),
            None if row.rate is None else row.rate - paper,
        )
        for table, case, attack, epsilon, quantity, top_k, paper, paper_n in printed
        if (row := ours.get((case, attack, epsilon, quantity, top_k)))
    ]


def paper_tables(rows: Iterable[PaperRow]) -> list[Table]:
    """Returns Tables 1, 2 and 3 (one a case) with this run, the paper and the difference side by side."""
    rows = list(rows)
    accuracies = [_accuracy_table(case, [row for row in rows if row.table == _TABLES[case]]) for case in CASES]
    rates = [_rate_table(case, [row for row in rows if row.table == 3 and row.case == case]) for case in CASES]
    return [table for table in (*accuracies, *rates) if table.rows]


def figure_6_table(content: ReportContent) -> Table | None:
    """Returns how high the curves of Fig. 6 rise in this run, beside what the paper's text says; None without its transforms."""
    rows = figure_6_rates(content)
    body: list[tuple[Cell, ...]] = []
    rules: set[int] = set()
    for transform in published.FIGURE_6:
        of_transform = [row for row in rows if row.transform == transform]
        if of_transform and body:
            rules.add(len(body))
        for place, attack in enumerate(attack_order(row.attack for row in of_transform)):
            curves = ([row for row in of_transform if (row.attack, row.top_k) == (attack, k)] for k in (1, 5))
            front = (Cell("" if place else axis_of(transform).title), Cell(attack_title(attack)))
            body.append((*front, *(cell for curve in curves for cell in _highest(curve))))
    columns = (Column(header, f"top-{k}") for k in (1, 5) for header in ("highest rate", "at"))
    stubs = stub("Transform"), stub("Method")
    cases = " and ".join(CASE_TITLES[case] for case in CASES if any(row.case == case for row in rows))
    epsilons = " and ".join(str(epsilon) for epsilon in sorted({row.epsilon_8bit for row in rows}))
    note = published.TEXTS["figure-6-table"].format(scope=f"{cases}, ε {epsilons}")
    title = "How high each curve rises, beside the paper's Fig. 6"
    return Table("R6", title, (*stubs, *columns), tuple(body), note, frozenset(rules)) if body else None


def figure_6_rates(content: ReportContent) -> list[Rate]:
    """Returns the destruction rates that are comparable to Fig. 6: its transforms and methods, random images at ε 16."""
    rows = [
        row
        for row in content.rates
        if row.transform in published.FIGURE_6 and row.attack in published.METHODS and row.rate is not None
    ]
    cells = published.in_figure_6(set(map(cell_of, rows)))
    return [row for row in rows if cell_of(row) in cells]


def _accuracy_table(case: str, rows: Sequence[PaperRow]) -> Table:
    found = {(*cell_of(row), row.quantity, row.top_k): row for row in rows}
    cells = list(dict.fromkeys(key[:3] for key in found))
    keys = [(where, top_k) for where in _WHERE if any(key[3].startswith(where) for key in found) for top_k in (1, 5)]
    body = [
        (Cell(title), *_beside([found.get((*cell, f"{where}_{variant}", top_k)) for where, top_k in keys]))
        for cell in cells
        for variant, title in _VARIANTS.items()
    ]
    columns = [stub("")]
    columns += [Column(side, f"{_WHERE[where]}, top-{top_k}") for where, top_k in keys for side in ("this run", "paper")]
    note = published.TEXTS["accuracy-table"]
    title = f"Accuracy, {CASE_TITLES[case]}, beside the paper's Table {_TABLES[case]}"
    twice = [cell for cell in cells for _ in _VARIANTS]
    return cell_table(f"R{_TABLES[case]}", title, columns, twice, body, note, transform="")


def _rate_table(case: str, rows: Sequence[PaperRow]) -> Table:
    found = {(*cell_of(row), row.top_k): row for row in rows}
    cells = list(dict.fromkeys(key[:3] for key in found))
    body = [_beside([found.get((*cell, top_k)) for top_k in (1, 5)]) for cell in cells]
    columns = [Column(side, f"top-{top_k}") for top_k in (1, 5) for side in ("this run", "paper")]
    n_within = sum(row.is_within for row in rows)
    note = published.TEXTS["rate-table"].format(n_within=n_within, n=len(rows))
    title = f"Destruction rate by photographs, {CASE_TITLES[case]}, beside the paper's Table 3"
    return cell_table("R3" if case == "average" else "R4", title, columns, cells, body, note, transform="")


def _beside(rows: Iterable[PaperRow | None]) -> list[Cell]:
    """Returns for each number this run's cell and the paper's."""
    cells = []
    for row in rows:
        if row is None:
            cells += [Cell("–"), Cell("–")]
            continue
        difference = "" if row.difference is None else points(row.difference, 1)
        ends = f" · {interval(row.low, row.high)}" if row.quantity == RATE else ""
        counted = f"{row.n_hit}/{row.n}{ends}" if row.n else "0 eligible"
        cells += [Cell(percent(row.rate), counted), Cell(percent(row.paper), difference)]
    return cells


def _highest(curve: Sequence[Rate]) -> tuple[Cell, Cell]:
    if not curve:
        return Cell("–"), Cell("–")
    row = max(curve, key=lambda row: row.rate or 0.0)
    return estimate_cell(row), Cell(number(row.parameter or 0) if row.n_hit else "–")
