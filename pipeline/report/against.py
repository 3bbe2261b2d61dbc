"""Another run beside this one in the report: which of the two is sturdier, how surely, and what else differs between them."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot
from matplotlib.lines import Line2D

from pipeline.document.blocks import Block, Figure, TableBlock, TextTable, plain
from pipeline.document.figures import styled
from pipeline.document.formats import DASH, count, listed, number, p_value, percent, points
from pipeline.document.tables import Cell, Column, stub
from pipeline.document.theme import INK, QUIET
from pipeline.records import CASES, LEVEL, PHOTO, RUN_COMPARISONS, SIMULATED, SOURCE, Comparison
from pipeline.report.cell_tables import estimate_cell
from pipeline.report.comparisons import QUANTITY_TITLES, effective_n, is_sure, others_sentence, table_of
from pipeline.report.content import AgainstContent, ReportContent
from pipeline.report.rate_figures import cell_panels, counts_beside, interval_dot
from pipeline.report.words import CASE_TITLES, ORIGIN_TITLES, TEXTS, attack_order, axis_of, cell_title

_SHOWN_TOP_K = 1
_LONGEST_NAME = 22
# What the sentences speak of, in their order, and which of the two it makes the better one.
_TOLD = {
    ("destruction_rate", PHOTO): ("attacks destroyed by photographs", "Attacks are sturdier on paper in {lower}"),
    ("adversarial_accuracy", PHOTO): (
        "photographed adversarial images",
        "The photographed adversarial images fool less in {higher}",
    ),
    ("clean_accuracy", PHOTO): ("photographed clean images", "Photographed clean images are recognised better in {higher}"),
    ("adversarial_accuracy", SOURCE): ("adversarial files", "The adversarial files fool less in {higher}"),
}
# Colour, marker, face and line width of either run: told apart without colour too.
_FIRST, _SECOND = ("#0072b2", "o", "", 1.5), ("#d55e00", "s", "white", 0.8)


def against_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns the verdict, what differs between the runs, a figure a case and a table of each kind; () without another run."""
    against = content.against
    if against is None:
        return ()
    first, *others = against_sentences(against)
    blocks: list[Block] = [plain(first, "lead"), *(plain(sentence, "bullet") for sentence in others)]
    differing = [*against.facts, *((f"{name} (setting)", first, second) for name, first, second in against.differences)]
    blocks.append(TextTable("what-differs", ("", against.first, against.second), tuple(differing), (0.3, 0.35, 0.35)))
    blocks += [*map(plain, against.notes), plain(TEXTS["against"])]
    shown = [row for row in against.rows if row.top_k == _SHOWN_TOP_K]
    for case in CASES:
        if rows := [row for row in shown if row.case == case]:
            blocks.append(Figure(f"against-{case}", against_figure(rows, against.first, against.second), _caption(case, against)))
    for place, table in enumerate(RUN_COMPARISONS, 1):
        rows = [row for row in shown if row.kind == table]
        if any(row.p is not None for row in rows):
            blocks.append(_block(f"A{place}", rows, against))
    in_full = "comparison.csv beside this report has every comparison, corrected within its table."
    blocks.append(plain(others_sentence(against.rows, in_full) or in_full))
    return tuple(blocks)


def against_sentences(against: AgainstContent) -> list[str]:
    """Returns what the comparison comes to (top-1), what was changed first; what to stress stands between double asterisks."""
    tested = [row for row in against.rows if row.top_k == _SHOWN_TOP_K and row.p_holm is not None]
    found, alike = [_changed(against)], []
    for case in CASES:
        for told in _TOLD:
            for row in tested:
                if (row.kind, row.case, row.quantity, row.first.transform) != ("overall", case, *told):
                    continue
                if row.pairing != "none" and not row.n_first and not row.n_second:
                    alike.append(f"{_TOLD[told][0]} ({CASE_TITLES[case]}, n = {_n_shared(row)})")
                else:
                    found.append(_verdict(row, against))
    if alike:
        found.append(f"The same in both runs, image by image: {listed(alike)}.")
    by_cell = []
    for table in ("photo", "file", "transform"):
        if rows := [row for row in tested if row.kind == table]:
            by_cell.append(f"{sum(map(is_sure, rows))} of {count(len(rows), 'comparison')} of {RUN_COMPARISONS[table]}")
    if by_cell:
        found.append(f"Cell by cell, differences at the 5 % level after correction: {listed(by_cell)}.")
    return found


@styled
def against_figure(rows: Sequence[Comparison], first: str, second: str) -> Plot:
    """Returns both runs' rates of one case and top k as dumbbells, a panel for each rate of photographs (of files, without)."""
    table = "photo" if any(row.kind == "photo" for row in rows) else "file"
    of_cells = [row for row in rows if row.kind == table]
    transform = of_cells[0].first.transform if of_cells else ""
    shown = [row for row in rows if row.kind == "overall" and row.first.transform == transform] + of_cells
    order = attack_order(row.first.attack for row in of_cells)
    found = {_cell(row)[1:] for row in shown}
    cells = sorted(found, key=lambda cell: (order.index(cell[0]) if cell[0] else -1, -cell[1]))
    quantities = {row.quantity for row in shown}
    names: list[str] = [name for name in ("destruction_rate", "adversarial_accuracy", "clean_accuracy") if name in quantities]
    titles = {name: QUANTITY_TITLES[name].capitalize() for name in names}
    height_in = 0.95 + 0.34 * max(2, len(cells))
    figure, panels = cell_panels(titles, cells, height_in, "share (n of either run, right)")
    for row in (row for row in shown if row.quantity in panels):
        _dumbbell(panels[row.quantity], row, cells.index(_cell(row)[1:]))
    handles = [
        Line2D([], [], color=colour, marker=marker, mfc=face or colour, lw=width, ms=4.2, label=name)
        for (colour, marker, face, width), name in ((_FIRST, first), (_SECOND, second))
    ]
    handles.append(Line2D([], [], color=INK, marker="*", ls="none", ms=5, label="significant at the 5 % level (Holm)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=2.6)
    return figure


def _dumbbell(panel: Axes, row: Comparison, place: int) -> None:
    counts_beside(panel, place, f"{row.first.n_eligible} · {row.second.n_eligible}", 1.09)
    if is_sure(row):
        panel.plot(1.045, place, "*", color=INK, ms=5, transform=panel.get_yaxis_transform(), clip_on=False, zorder=5)
    if row.first.rate is not None and row.second.rate is not None:
        panel.plot([100 * row.first.rate, 100 * row.second.rate], [place - 0.13, place + 0.13], color=QUIET, lw=0.7, zorder=1)
    interval_dot(panel, row.first, place - 0.13, *_FIRST)
    interval_dot(panel, row.second, place + 0.13, *_SECOND)


def _changed(against: AgainstContent) -> str:
    names = [name for name, _, _ in against.differences]
    between = f"{against.first} and {against.second}"
    other_facts = [what for what, first, second in against.facts if first != second and what in ("model", "taken with")]
    if not names:
        return f"No setting differs between {between}" + (f"; {listed(other_facts)} does." if other_facts else ".")
    if len(names) == 1:
        return f"Between {between} one setting differs: **{names[0]}**."
    groups = sorted({name.partition(".")[0] for name in names})
    more = "" if len(groups) == 1 else "; no difference can be put down to one of them alone"
    return f"Between {between} {count(len(names), 'setting')} differ (of **{listed(groups)}**){more}."


def _verdict(row: Comparison, against: AgainstContent) -> str:
    subject, better = _TOLD[row.quantity, row.first.transform]
    rates = row.first.rate, row.second.rate
    if row.pairing != "none":  # the difference is that over the shared images
        rates = (row.n_both + row.n_first) / row.n, (row.n_both + row.n_second) / row.n
    both = f"{percent(rates[0], 0)} against {percent(rates[1], 0)}"
    is_destroyed = row.quantity == "destruction_rate"
    what = f"photographs destroyed {both} of the attacks" if is_destroyed else f"{both} of the {subject} are classified right"
    ends = f"{points(row.low, 0)} to {points(row.high, 0)}"
    each = f"{row.first.n_eligible} and {row.second.n_eligible}"
    same = {"file": f"the same {_n_shared(row)}", "image": f"the {_n_shared(row)} that both have", "none": each}
    lower, higher = (against.first, against.second) if (row.difference or 0.0) < 0 else (against.second, against.first)
    verdict = f"**{better.format(lower=lower, higher=higher)}.**"
    return (
        f"{CASE_TITLES[row.case].capitalize()}, all cells together: {what} ({against.first} against {against.second}, "
        f"{same[row.pairing]}), {points(row.difference, 0)} points (95 % interval {ends}), "
        f"p = {p_value(row.p)}, corrected {p_value(row.p_holm)}. "
        f"{verdict if is_sure(row) else 'Not enough images to tell which is greater.'}"
    )


def _n_shared(row: Comparison) -> str:
    """Returns how many attacks or photographs both runs have, and of how many images they are where these come several times."""
    return str(row.n) if row.n_different == row.n else f"{row.n} from {count(row.n_different or 0, 'image')}"


def _caption(case: str, against: AgainstContent) -> str:
    photos = {side.origin for row in against.rows for side in (row.first, row.second) if side.transform == PHOTO}
    what = "files" if not photos else "simulated photographs" if photos == {SIMULATED} else "photographs"
    return TEXTS["against-figure"].format(case=CASE_TITLES[case].capitalize(), what=what, against=against)


def _block(table_number: str, rows: Sequence[Comparison], against: AgainstContent) -> Block:
    what = RUN_COMPARISONS[rows[0].kind]
    if not any(row.n_first or row.n_second or row.pairing == "none" for row in rows):
        return plain(f"{what.capitalize()}: the model says the same of every image in both runs, in {len(rows)} comparisons.")
    first, second = (
        name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in (against.first, against.second)
    )
    columns = (stub("Cell"), stub("counted"), *map(Column, (first, second, "shared n")))
    note = TEXTS["against-table"].format(LEVEL=LEVEL)
    title = table_number, f"{first} against {second}, {what} (top-{rows[0].top_k})"
    table = table_of(title, rows, columns, _cells, _cell, note, "no image to compare", "comparison.csv")
    return TableBlock(f"table-{table_number.lower()}", table)


def _cell(row: Comparison) -> tuple[str, str, int]:
    return row.case, row.first.attack, row.first.epsilon_8bit


def _cells(row: Comparison) -> tuple[Cell, ...]:
    return (
        Cell(cell_title(row.first.attack, row.first.epsilon_8bit) if row.first.attack else "all cells", CASE_TITLES[row.case]),
        Cell(QUANTITY_TITLES[row.quantity], _where(row)),
        *map(estimate_cell, (row.first, row.second)),
        Cell(str(row.n), effective_n(row)) if row.pairing != "none" else Cell(DASH),
    )


def _where(row: Comparison) -> str:
    transform, parameter = row.first.transform, row.first.parameter
    if transform == SOURCE:
        return "file"
    if transform != PHOTO:
        return axis_of(transform).title + (f" {number(parameter)}" if parameter is not None else "")
    kinds = [ORIGIN_TITLES.get(side.origin, side.origin) for side in (row.first, row.second)]
    return f"{' : '.join(dict.fromkeys(kinds))} photo"
