"""Paired comparisons in the report: which methods, strengths and conditions differ on the same images, and how surely."""

from collections.abc import Callable, Hashable, Iterable, Sequence

from pipeline.document.blocks import Block, numbered, plain
from pipeline.document.formats import DASH, count, p_value, percent
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import CASES, LEVEL, PHOTO, Comparison
from pipeline.report.cell_tables import difference_cell, estimate_cell
from pipeline.report.content import ReportContent
from pipeline.report.words import CASE_TITLES, ORIGIN_TITLES, TEXTS, attack_title, cell_title

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
    told = [comparison_sentence(content.comparisons, kind) for kind in KIND_TITLES]
    told.append(others_sentence(content.comparisons, "comparisons.csv has them all."))
    return plain(TEXTS["comparisons"]), *map(plain, filter(None, told)), *numbered(comparison_tables(content.comparisons))


def others_sentence(rows: Iterable[Comparison], ending: str) -> str:
    """Returns how many comparisons differ at the top-k that is not shown, and where they all are; "" for none."""
    others = [row for row in rows if row.top_k != _SHOWN_TOP_K and row.p_holm is not None]
    if not others:
        return ""
    return f"At top-{others[0].top_k} {sum(map(is_sure, others))} of {count(len(others), 'comparison')} differ; {ending}"


def comparison_sentence(rows: Iterable[Comparison], kind: str) -> str:
    """Returns how many comparisons of one kind (top-1) differ at the 5 % level after correction, and the surest; "" for none."""
    tested = [row for row in rows if row.kind == kind and row.top_k == _SHOWN_TOP_K and row.p_holm is not None]
    if not tested:
        return ""
    sure = sorted((row for row in tested if is_sure(row)), key=lambda row: (row.p_holm, row.p))
    verb = "differs" if len(sure) == 1 else "differ"
    start = f"{KIND_TITLES[kind].capitalize()}: {len(sure)} of {count(len(tested), 'comparison')} {verb} at the 5 % level"
    if not sure:
        return f"{start}."
    told = []
    for row in sure[:_MOST_NAMED]:
        rates = f"{percent(row.first.rate, 0)} and {percent(row.second.rate, 0)} {QUANTITY_TITLES[row.quantity]}"
        compared = f"{_pair(row)} ({_where(row)}, {CASE_TITLES.get(row.case, row.case)})".replace(" : ", " against ")
        told.append(f"{compared}, {rates}, corrected p {p_value(row.p_holm)}")
    return f"{start}{', the surest' if len(sure) > _MOST_NAMED else ''}: {'; '.join(told)}."


def comparison_tables(rows: Iterable[Comparison], top_k: int = _SHOWN_TOP_K) -> list[Table]:
    """Returns a table for each kind of comparison that the run could make; those without any image are left out and counted."""
    rows = [row for row in rows if row.top_k == top_k]
    groups = [[row for row in rows if row.kind == kind] for kind in KIND_TITLES]
    return [_table(f"C{place}", group) for place, group in enumerate((g for g in groups if any(row.n for row in g)), 1)]


def table_of(
    title: tuple[str, str],
    rows: Sequence[Comparison],
    columns: Sequence[Column],
    cells: Callable[[Comparison], tuple[Cell, ...]],
    group: Callable[[Comparison], Hashable],
    note: str,
    missing: str,
    in_full: str,
) -> Table:
    """Returns comparisons as a table that ends with what each comes to: the surest, in the order in which they are given.

    Args:
        title: the table's number and its title.
        cells: what stands in `columns`, in front of one alone, difference and p.
        group: what is equal within a block of rows; a rule stands above each.
        missing: what those that are left out did not have.
        in_full: the file that has all of them.
    """
    made = [row for row in rows if row.p_holm is not None]
    surest = set(sorted(made, key=lambda row: (row.p_holm, row.p))[:_MOST_ROWS])
    kept = [row for row in made if row in surest]
    rules = frozenset(place for place, row in enumerate(kept) if place and group(row) != group(kept[place - 1]))
    note += f" Corrected over {count(made[0].n_family, 'comparison')}."
    if len(made) < len(rows):
        note += f" {len(rows) - len(made)} more had {missing}."
    if len(kept) < len(made):
        note += f" {len(made) - len(kept)} with larger p are in {in_full}."
    ending = map(Column, ("one alone", "difference", "p (Holm)"))
    body = []
    for row in kept:
        alone = f"{row.n_first} : {row.n_second}" if row.pairing != "none" else DASH
        p = Cell(p_value(row.p_holm) + ("*" if is_sure(row) else ""), f"p {p_value(row.p)}")
        body.append((*cells(row), Cell(alone), difference_cell(row), p))
    return Table(*title, (*columns, *ending), tuple(body), note, rules)


def effective_n(row: Comparison) -> str:
    """Returns the effective number of images where those on one page, or of one image, are correlated, else ""."""
    return f"eff. n {row.n_effective:.0f}" if row.n_effective is not None else ""


def is_sure(row: Comparison) -> bool:
    """Returns whether two rates differ at the 5 % level after correction."""
    return row.p_holm is not None and row.p_holm < LEVEL


def _table(table_number: str, rows: Sequence[Comparison]) -> Table:
    rows = sorted(rows, key=lambda row: (CASES.index(row.case), list(QUANTITY_TITLES).index(row.quantity)))
    columns = (stub("Compared"), stub("counted"), *map(Column, ("n", "first", "second")))
    note = TEXTS["comparisons-table"].format(LEVEL=LEVEL)
    if any(row.interval == "cluster" for row in rows):
        note += " Eff. n: the effective number of images, since images on one page are correlated; interval and p use it."
    title = table_number, f"Paired comparisons, {KIND_TITLES[rows[0].kind]} (top-{rows[0].top_k})"
    missing = "no image that is eligible on both sides"
    return table_of(title, rows, columns, _cells, lambda row: (row.case, row.quantity), note, missing, "comparisons.csv")


def _cells(row: Comparison) -> tuple[Cell, ...]:
    return (
        Cell(_pair(row), CASE_TITLES.get(row.case, row.case)),
        Cell(QUANTITY_TITLES[row.quantity], _where(row)),
        Cell(str(row.n), effective_n(row)),
        *(estimate_cell(side, has_interval=False) for side in (row.first, row.second)),
    )


def _pair(row: Comparison) -> str:
    if row.kind == "epsilon":
        return f"{attack_title(row.first.attack)}, ε {row.first.epsilon_8bit} : {row.second.epsilon_8bit}"
    if row.kind == "condition":
        return cell_title(row.first.attack, row.first.epsilon_8bit)
    return f"{attack_title(row.first.attack)} : {cell_title(row.second.attack, row.first.epsilon_8bit)}"


def _where(row: Comparison) -> str:
    sides = ((side.transform, ORIGIN_TITLES.get(side.origin, side.origin)) for side in (row.first, row.second))
    return " : ".join(dict.fromkeys(f"{origin} photo" if transform == PHOTO else "file" for transform, origin in sides))
