"""Another run beside this one in the report: which of the two is sturdier, how surely, and what else differs between them."""

from collections.abc import Sequence

from pipeline.document.blocks import Block, Figure, TableBlock, TextTable, plain
from pipeline.document.formats import DASH, count, listed, number, p_value, percent, points
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import CASES, LEVEL, PHOTO, RUN_COMPARISONS, SIMULATED, SOURCE, Comparison
from pipeline.report.against_figure import against_figure
from pipeline.report.cell_tables import estimate_cell
from pipeline.report.comparisons import QUANTITY_TITLES, effective_n, is_sure, n_sure, table_of
from pipeline.report.content import AgainstContent, ReportContent
from pipeline.report.words import CASE_TITLES, ORIGIN_TITLES, axis_of, cell_title

_SHOWN_TOP_K = 1
_LONGEST_NAME = 22
# What the sentences speak of, in their order, and which of the two it makes the better one.
_TOLD = (
    ("destruction_rate", PHOTO, "Attacks are sturdier on paper in {lower}"),
    ("adversarial_accuracy", PHOTO, "The photographed adversarial images fool less in {higher}"),
    ("clean_accuracy", PHOTO, "Photographed clean images are recognised better in {higher}"),
    ("adversarial_accuracy", SOURCE, "The adversarial files fool less in {higher}"),
)
_WHAT = {
    ("destruction_rate", PHOTO): "photographs destroyed {} of the attacks",
    ("adversarial_accuracy", PHOTO): "{} of the photographed adversarial images are classified right",
    ("clean_accuracy", PHOTO): "{} of the photographed clean images are classified right",
    ("adversarial_accuracy", SOURCE): "{} of the adversarial files are classified right",
}
_SUBJECTS = {
    ("destruction_rate", PHOTO): "attacks destroyed by photographs",
    ("adversarial_accuracy", PHOTO): "photographed adversarial images",
    ("clean_accuracy", PHOTO): "photographed clean images",
    ("adversarial_accuracy", SOURCE): "adversarial files",
}


def against_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns the verdict, what differs between the runs, a figure a case and a table of each kind; () without another run."""
    against = content.against
    if against is None:
        return ()
    told = against_sentences(against)
    method = (
        "Where both runs have an image it is compared with itself, only images that are eligible in both take part, and p is "
        "McNemar's exact one; where they have different images it is Fisher's. Images on one page were printed and photographed "
        "together, and all attacks on one image meet the same image: they are correlated, and eff. n is the effective number of "
        "images. p (Holm) is "
        "corrected over all comparisons of its table. A large p means that there are not enough "
        "images to tell the runs apart, not that they are the same."
    )
    blocks: list[Block] = [plain(told[0], "lead"), *(plain(sentence, "bullet") for sentence in told[1:])]
    blocks += [_what_differs(against), *(plain(note) for note in against.notes), plain(method)]
    for case in CASES:
        rows = [row for row in against.rows if row.case == case and row.top_k == _SHOWN_TOP_K]
        if rows:
            blocks.append(Figure(f"against-{case}", against_figure(rows, against.first, against.second), _caption(case, against)))
    for place, table in enumerate(RUN_COMPARISONS, 1):
        rows = [row for row in against.rows if row.kind == table and row.top_k == _SHOWN_TOP_K]
        if any(row.p is not None for row in rows):
            blocks.append(_block(f"A{place}", rows, against))
    blocks.append(plain(f"{_on_top_5(against)} comparison.csv beside this report has every comparison of top-1 and top-5."))
    return tuple(blocks)


def against_sentences(against: AgainstContent) -> list[str]:
    """Returns what the comparison comes to (top-1), what was changed first; what to stress stands between double asterisks."""
    overall = [row for row in against.rows if row.kind == "overall" and row.top_k == _SHOWN_TOP_K and row.p_holm is not None]
    found = [_changed(against)]
    alike = []
    for case in CASES:
        for quantity, transform, better in _TOLD:
            rows = [row for row in overall if (row.case, row.quantity, row.first.transform) == (case, quantity, transform)]
            found += [_verdict(row, better, against) for row in rows if not _is_alike(row)]
            alike += [f"{_SUBJECTS[quantity, transform]} ({CASE_TITLES[case]}, n = {row.n})" for row in rows if _is_alike(row)]
    if alike:
        found.append(f"The same in both runs, image by image: {listed(alike)}.")
    return [*found, *_cell_by_cell(against)]


def _is_alike(row: Comparison) -> bool:
    return row.pairing != "none" and not row.n_first and not row.n_second


def _changed(against: AgainstContent) -> str:
    names = [name for name, _, _ in against.differences]
    between = f"{against.first} and {against.second}"
    other_facts = [what for what, first, second in against.facts if first != second and what in ("model", "taken with")]
    if not names:
        return f"No setting differs between {between}" + (f"; {listed(other_facts)} does." if other_facts else ".")
    if len(names) == 1:
        return f"Between {between} one setting differs: **{names[0]}**."
    groups = listed(sorted({name.partition(".")[0] for name in names}))
    more = "" if len({name.partition(".")[0] for name in names}) == 1 else "; no difference can be put down to one of them alone"
    return f"Between {between} {count(len(names), 'setting')} differ (of **{groups}**){more}."


def _verdict(row: Comparison, better: str, against: AgainstContent) -> str:
    rates = _compared_rates(row)
    each = f"{row.first.n_eligible} and {row.second.n_eligible}"
    same = {"file": f"the same {row.n}", "image": f"the {row.n} that both have", "none": each}
    what = _WHAT[row.quantity, row.first.transform].format(f"{percent(rates[0], 0)} against {percent(rates[1], 0)}")
    lower, higher = (against.first, against.second) if (row.difference or 0.0) < 0 else (against.second, against.first)
    verdict = (
        f"**{better.format(lower=lower, higher=higher)}.**" if is_sure(row) else "Not enough images to tell which is greater."
    )
    ends = f"{points(row.low, 0)} to {points(row.high, 0)}"
    return (
        f"{CASE_TITLES[row.case].capitalize()}, all cells together: {what} ({against.first} against {against.second}, "
        f"{same[row.pairing]}), {points(row.difference, 0)} points (95 % interval {ends}), p = {p_value(row.p)}, corrected "
        f"{p_value(row.p_holm)}. {verdict}"
    )


def _cell_by_cell(against: AgainstContent) -> list[str]:
    found = []
    for table in ("photo", "file", "transform"):
        rows = [row for row in against.rows if row.kind == table and row.top_k == _SHOWN_TOP_K and row.p_holm is not None]
        found += [f"{n_sure(rows)} of {count(len(rows), 'comparison')} of {RUN_COMPARISONS[table]}"] if rows else []
    return [f"Cell by cell, differences at the 5 % level after correction: {listed(found)}."] if found else []


def _on_top_5(against: AgainstContent) -> str:
    rows = [row for row in against.rows if row.top_k == 5 and row.p_holm is not None]
    n = count(len(rows), "comparison")
    return f"At top-5 {n_sure(rows)} of {n} differ at the 5 % level after correction, each in its table."


def _what_differs(against: AgainstContent) -> TextTable:
    rows = [*against.facts, *((f"{name} (setting)", first, second) for name, first, second in against.differences)]
    return TextTable("what-differs", ("", against.first, against.second), tuple(rows), (0.3, 0.35, 0.35))


def _caption(case: str, against: AgainstContent) -> str:
    photos = {side.origin for row in against.rows for side in (row.first, row.second) if side.transform == PHOTO}
    what = "files" if not photos else "simulated photographs" if photos == {SIMULATED} else "photographs"
    return (
        f"{CASE_TITLES[case].capitalize()}, top-1, {what}: {against.first} (filled circles) and {against.second} (hollow "
        "squares), each with its 95 % interval; n of the one and of the other at the right. A star marks a difference that is "
        "significant at the 5 % level after Holm's correction."
    )


def _block(table_number: str, rows: Sequence[Comparison], against: AgainstContent) -> Block:
    title = RUN_COMPARISONS[rows[0].kind]
    if not any(row.n_first or row.n_second or row.pairing == "none" for row in rows):
        return plain(f"{title.capitalize()}: the model says the same of every image in both runs, in {len(rows)} comparisons.")
    return TableBlock(f"table-{table_number.lower()}", _table(table_number, rows, against))


def _table(table_number: str, rows: Sequence[Comparison], against: AgainstContent) -> Table:
    first, second = _short(against.first), _short(against.second)
    columns = (stub("Cell"), stub("counted"), *map(Column, (first, second, "shared n")))
    note = (
        "Each run's own rate over all that is eligible there, with k/n and the 95 % interval in per cent. Shared n: images "
        "eligible in both, from which one alone, difference and p are; a dash where the images are different. One alone: images "
        "that count in the first run alone : in the second alone. Difference: first minus second in points, with Newcombe's 95 % "
        f"interval. p (Holm): with p itself beneath, * where it is below {LEVEL}."
    )
    title = table_number, f"{first} against {second}, {RUN_COMPARISONS[rows[0].kind]} (top-{rows[0].top_k})"
    return table_of(title, rows, columns, _cells, _group, note, "no image to compare", "comparison.csv")


def _group(row: Comparison) -> tuple[str, str, int]:
    return row.case, row.first.attack, row.first.epsilon_8bit


def _cells(row: Comparison) -> tuple[Cell, ...]:
    cell = cell_title(row.first.attack, row.first.epsilon_8bit) if row.first.attack else "all cells"
    return (
        Cell(cell, CASE_TITLES[row.case]),
        Cell(QUANTITY_TITLES[row.quantity], _where(row)),
        estimate_cell(row.first),
        estimate_cell(row.second),
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


def _compared_rates(row: Comparison) -> tuple[float | None, float | None]:
    """The two rates whose difference is told: over the shared images where there are any."""
    if row.pairing == "none":
        return row.first.rate, row.second.rate
    return (row.n_both + row.n_first) / row.n, (row.n_both + row.n_second) / row.n


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
