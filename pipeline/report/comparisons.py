"""Paired comparisons in the report: which methods, strengths and conditions differ on the same images, and how surely."""

from collections.abc import Iterable, Sequence

from pipeline.document.blocks import Block, TableBlock, plain
from pipeline.document.formats import count, p_value, percent, points
from pipeline.document.tables import Cell, Column, Table
from pipeline.records import CASES, LEVEL, PHOTO, Comparison
from pipeline.report.content import ReportContent
from pipeline.report.words import CASE_TITLES, attack_title, cell_title

KIND_TITLES = {
    "method": "methods at the same ε",
    "epsilon": "neighbouring ε of one method",
    "condition": "files and photographs of the same images",
}
QUANTITY_TITLES = {
    "fooled_rate": "fooled",
    "destruction_rate": "destroyed",
    "clean_accuracy": "clean right",
    "adversarial_accuracy": "adversarial right",
}
_SHOWN_TOP_K = 1
_MOST_ROWS = 60
_MOST_NAMED = 4


def comparisons_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns how images are compared with themselves, what differs surely, and a table for each kind; () without any pair."""
    if not any(row.n for row in content.comparisons):
        return ()
    text = (
        "Each image is compared with itself: only images that are eligible on both sides take part, so a difference is not one "
        "of the images drawn. p is McNemar's, from the images that count on one side alone; p (Holm) is corrected over all "
        "comparisons of its table, so that the chance of any false alarm in it is 5 %. Images on one page were printed and "
        "photographed together and count for fewer independent ones; eff. says how many. A large p says that this run "
        "cannot tell the two apart, not that they are the same."
    )
    told = list(filter(None, (comparison_sentence(content.comparisons, kind) for kind in KIND_TITLES)))
    top_5 = [row for row in content.comparisons if row.top_k == 5 and row.p_holm is not None]
    if top_5:
        n_sure = sum(row.p_holm < LEVEL for row in top_5)
        told.append(f"At top-5 {n_sure} of {count(len(top_5), 'comparison')} differ; comparisons.csv has them all.")
    tables = comparison_tables(content.comparisons)
    return plain(text), *map(plain, told), *(TableBlock(f"table-{table.number.lower()}", table) for table in tables)


def comparison_sentence(rows: Iterable[Comparison], kind: str) -> str:
    """Returns how many comparisons of one kind (top-1) differ at the 5 % level after correction, and the surest; "" for none."""
    tested = [row for row in rows if row.kind == kind and row.top_k == _SHOWN_TOP_K and row.p_holm is not None]
    if not tested:
        return ""
    sure = sorted((row for row in tested if row.p_holm < LEVEL), key=lambda row: (row.p_holm, row.p))
    verb = "differs" if len(sure) == 1 else "differ"
    start = f"{KIND_TITLES[kind].capitalize()}: {len(sure)} of {count(len(tested), 'comparison')} {verb} at the 5 % level"
    if not sure:
        return f"{start}."
    return f"{start}{', the surest' if len(sure) > _MOST_NAMED else ''}: {'; '.join(map(_told, sure[:_MOST_NAMED]))}."


def comparison_tables(rows: Iterable[Comparison], top_k: int = _SHOWN_TOP_K) -> list[Table]:
    """Returns a table for each kind of comparison that the run could make; those without any image are left out and counted."""
    rows = [row for row in rows if row.top_k == top_k]
    groups = [[row for row in rows if row.kind == kind] for kind in KIND_TITLES]
    return [_table(f"C{place}", group) for place, group in enumerate((g for g in groups if any(row.n for row in g)), 1)]


def _table(table_number: str, rows: Sequence[Comparison]) -> Table:
    made = [row for row in rows if row.n]
    made.sort(key=lambda row: (CASES.index(row.case), list(QUANTITY_TITLES).index(row.quantity)))
    shown = set(sorted(made, key=lambda row: (row.p_holm, row.p))[:_MOST_ROWS])
    kept = [row for row in made if row in shown]
    starts = [place for place, row in enumerate(kept) if place and _block(row) != _block(kept[place - 1])]
    columns = (
        Column("Compared", is_number=False, is_stub=True),
        Column("counted", is_number=False, is_stub=True),
        Column("n"),
        Column("first"),
        Column("second"),
        Column("one alone"),
        Column("difference"),
        Column("p (Holm)"),
    )
    note = (
        "Difference: first minus second in points, with Newcombe's 95 % interval of paired rates beneath. One alone: images that "
        f"count for the first alone : for the second alone. p (Holm): with p itself beneath, * where it is below {LEVEL}. "
    )
    if any(row.interval == "cluster" for row in kept):
        note += "eff.: how many independent images those on shared pages are worth; interval and p are made with it. "
    note += f"Corrected over {count(made[0].n_family, 'comparison')}."
    if len(made) < len(rows):
        note += f" {len(rows) - len(made)} more had no image that is eligible on both sides."
    if len(kept) < len(made):
        note += f" {len(made) - len(kept)} with larger p are in comparisons.csv."
    title = f"Paired comparisons, {KIND_TITLES[rows[0].kind]} (top-{rows[0].top_k})"
    return Table(table_number, title, columns, tuple(_cells(row) for row in kept), note, frozenset(starts))


def _block(row: Comparison) -> tuple[str, str]:
    return row.case, row.quantity


def _cells(row: Comparison) -> tuple[Cell, ...]:
    effective = f"eff. {row.n_effective:.0f}" if row.interval == "cluster" else ""
    ends = f"{points(row.low, 0)} to {points(row.high, 0)}"
    return (
        Cell(_pair(row), CASE_TITLES.get(row.case, row.case)),
        Cell(QUANTITY_TITLES[row.quantity], _where(row)),
        Cell(str(row.n), effective),
        Cell(percent(row.first.rate), f"{row.first.n_hit}/{row.n}"),
        Cell(percent(row.second.rate), f"{row.second.n_hit}/{row.n}"),
        Cell(f"{row.n_first} : {row.n_second}"),
        Cell(points(row.difference, 1), ends),
        Cell(p_value(row.p_holm) + ("*" if row.p_holm < LEVEL else ""), f"p {p_value(row.p)}"),
    )


def _pair(row: Comparison) -> str:
    if row.kind == "epsilon":
        return f"{attack_title(row.first.attack)}, ε {row.first.epsilon_8bit} : {row.second.epsilon_8bit}"
    if row.kind == "condition":
        return cell_title(row.first.attack, row.first.epsilon_8bit)
    strength = f", ε {row.first.epsilon_8bit}" if row.first.epsilon_8bit else ""
    return f"{attack_title(row.first.attack)} : {attack_title(row.second.attack)}{strength}"


def _where(row: Comparison) -> str:
    first, second = (_condition(side.transform, side.origin) for side in (row.first, row.second))
    return first if first == second else f"{first} : {second}"


def _condition(transform: str, origin: str) -> str:
    return {"camera": "real photo", "simulated": "simulated photo"}.get(origin, origin) if transform == PHOTO else "file"


def _told(row: Comparison) -> str:
    rates = f"{percent(row.first.rate, 0)} and {percent(row.second.rate, 0)} {QUANTITY_TITLES[row.quantity]}"
    told = f"{_pair(row)} ({_where(row)}, {CASE_TITLES.get(row.case, row.case)})".replace(" : ", " against ")
    return f"{told}, {rates}, corrected p {p_value(row.p_holm)}"
