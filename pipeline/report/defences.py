"""Defences: what is right behind each, as files and in photographs, by what the attacker knew, beside what is right without."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from pipeline.document.blocks import Block, Figure, TableBlock, numbered, plain
from pipeline.document.formats import DASH, count, p_value, percent, span
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import ADAPTIVE, CASES, LEVEL, NO_DEFENCE, PHOTO, SOURCE, Comparison, DefenceRow
from pipeline.report.cell_tables import cell_of, estimate_cell, interval_words, ordered_cells
from pipeline.report.comparisons import effective_n, is_sure, table_of
from pipeline.report.content import ReportContent
from pipeline.report.defence_curves import curved, defence_curves
from pipeline.report.words import (
    CASE_TITLES,
    ORIGIN_TITLES,
    TEXTS,
    attack_order,
    attack_title,
    cell_title,
    epsilon_title,
    subject,
)

_MOST_NAMED = 4
_N_ATTACKS_A_FIGURE, _N_DEFENCES_A_FIGURE = 3, 4


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: a defence, or none, against one attack; `file` and `photo` are None where it was not judged."""

    file: DefenceRow | None
    photo: DefenceRow | None

    @property
    def about(self) -> DefenceRow:
        """What both are of."""
        found = self.file or self.photo
        if found is None:
            raise ValueError("expected a row of files or of photographs")
        return found


def defences_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns what differs surely, then for each case a figure over ε and a table, and the differences; () without defences."""
    rows = shown_rows(content)
    if not rows:
        return ()
    blocks: list[Block] = [plain(TEXTS["defences"])]
    if told := adaptive_sentence(rows):
        blocks.append(plain(told))
    cases = [case for case in CASES if any(row.case == case for row in rows)]
    for case in cases:  # before the tables, which are kept whole and may leave the rest of a page free
        blocks += _curves([row for row in rows if row.case == case], case, content)
    blocks += numbered(_table(f"D{place}", rows, case, content) for place, case in enumerate(cases, 1))
    compared = [row for row in rows if row.attacker != NO_DEFENCE and row.compared.n]
    if compared:
        blocks.append(TableBlock("table-dp", _paired_table("DP", compared)))
    return tuple(blocks)


def shown_rows(content: ReportContent) -> list[DefenceRow]:
    """Returns the rows that the section speaks of: top-1, of files and of photographs of the main origin."""
    wanted = (SOURCE, ""), (PHOTO, content.main_origin)
    return [
        row
        for row in content.defence_rows
        if row.top_k == 1 and (row.transform, row.origin if row.transform == PHOTO else "") in wanted
    ]


def lines_of(rows: Sequence[DefenceRow]) -> list[Line]:
    """Returns files and photographs side by side: the cells in the order of tables, in each the rows in their own order."""
    found: dict[tuple[object, ...], dict[str, DefenceRow]] = {}
    for row in rows:
        found.setdefault((cell_of(row), row.defence, row.attacker), {})[row.transform] = row
    order = ordered_cells(map(cell_of, rows))
    lines = [Line(by_transform.get(SOURCE), by_transform.get(PHOTO)) for by_transform in found.values()]
    return sorted(lines, key=lambda line: order.index(cell_of(line.about)))


def adaptive_sentence(rows: Sequence[DefenceRow]) -> str:
    """Returns behind which defences more, or fewer, adaptive attacks are answered right than without, and how surely."""
    tested = [row for row in rows if row.attacker == ADAPTIVE and row.compared.p_holm is not None]
    if not tested:
        return ""
    sure = sorted((row for row in tested if is_sure(row.compared)), key=lambda row: (row.compared.p_holm, row.compared.p))
    start = f"**Against the attacker who knows the defence {len(sure)} of {count(len(tested), 'comparison')} with no defence"
    start += f" {'differs' if len(sure) == 1 else 'differ'} at the 5 % level**"
    told = []
    for row in sure[:_MOST_NAMED]:
        first, second = (percent(side.rate, 0) for side in (row.compared.first, row.compared.second))
        where = f"{cell_title(row.attack, row.epsilon_8bit)}, {_where(row)}"
        told.append(f"{row.defence} ({where}): {first} right and {second} without, corrected p {p_value(row.compared.p_holm)}")
    more = ", the surest" if len(sure) > _MOST_NAMED else ""
    return (
        f"{start}{more}: {'; '.join(told)}."
        if told
        else f"{start}. A large p means too few images to tell, not that they are the same."
    )


def _curves(rows: Sequence[DefenceRow], case: str, content: ReportContent) -> Iterator[Figure]:
    rows = curved(rows)
    attacks = attack_order(row.attack for row in rows)
    defences = [defence for defence in dict.fromkeys(row.defence for row in rows) if defence]
    groups = product(_groups(attacks, _N_ATTACKS_A_FIGURE), _groups(defences, _N_DEFENCES_A_FIGURE))
    for place, (some, behind) in enumerate(groups, 1):
        drawn = [row for row in rows if row.attack in some and row.defence in ("", *behind)]
        n = span(row.adversarial.n_eligible for row in drawn)
        caption = TEXTS["defence-curves"].format(case=CASE_TITLES[case].capitalize(), subject=subject(content), n=n)
        yield Figure(f"defences-{case}" + (f"-{place}" if place > 1 else ""), defence_curves(drawn), caption)


def _groups(names: Sequence[str], size: int) -> list[Sequence[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]


def _table(number: str, rows: Sequence[DefenceRow], case: str, content: ReportContent) -> Table:
    lines = lines_of([row for row in rows if row.case == case])
    has_photos = any(line.photo for line in lines)
    columns = [stub("Method"), stub("ε", is_number=True), stub("Defence"), stub("Attacker")]
    columns += [Column(name, "Right as files") for name in ("clean", "adversarial")]
    columns += [Column(name, "Right in photos") for name in ("clean", "adversarial")] if has_photos else []
    columns.append(Column("passes"))
    body, rules, before = [], set(), None
    for place, line in enumerate(lines):
        row = line.about
        cell = row.attack, row.epsilon_8bit
        rules |= {place} if place and cell != before else set()
        named = (attack_title(row.attack), epsilon_title(row.epsilon_8bit)) if cell != before else ("", "")
        cells = [*map(Cell, named), Cell(row.defence or "no defence"), Cell(DASH if row.attacker == NO_DEFENCE else row.attacker)]
        for side in (line.file, line.photo) if has_photos else (line.file,):
            cells += [estimate_cell(side.clean if side else None), estimate_cell(side.adversarial if side else None)]
        cells.append(Cell(f"{row.n_forward + row.n_backward:.0f}", f"{row.n_passes} to answer"))
        body.append(tuple(cells))
        before = cell
    photos = f" and in {ORIGIN_TITLES[content.main_origin]} photographs" if has_photos else ""
    title = f"What is right behind each defence, as files{photos}, {CASE_TITLES[case]}"
    note = TEXTS["defences-table"].format(interval=interval_words(row.adversarial for row in rows))
    return Table(number, title, tuple(columns), tuple(body), note, frozenset(rules))


def _paired_table(number: str, rows: Sequence[DefenceRow]) -> Table:
    """Returns what is right behind each defence beside what is right without, over the same images."""
    order = ordered_cells(map(cell_of, rows))
    rows = sorted(rows, key=lambda row: order.index(cell_of(row)))
    of_comparison = {id(row.compared): row for row in rows}
    title = number, "Adversarial images right behind each defence and without, paired (top-1)"
    columns = (stub("Method"), stub("Defence"), *map(Column, ("n", "behind it", "without")))
    note = TEXTS["defences-paired-table"].format(LEVEL=LEVEL)
    if any(row.compared.interval == "cluster" for row in rows):
        note += " Eff. n: the effective number of images, since images on one page are correlated; interval and p use it."

    def cells(compared: Comparison) -> tuple[Cell, ...]:
        row = of_comparison[id(compared)]
        return (
            Cell(cell_title(row.attack, row.epsilon_8bit), _where(row)),
            Cell(row.defence, row.attacker),
            Cell(str(row.compared.n), effective_n(row.compared)),
            *(estimate_cell(side, has_interval=False) for side in (row.compared.first, row.compared.second)),
        )

    def group(compared: Comparison) -> Hashable:
        return cell_of(of_comparison[id(compared)])

    missing = "no image that was judged on both sides"
    return table_of(title, [row.compared for row in rows], columns, cells, group, note, missing, "defences.csv")


def _where(row: DefenceRow) -> str:
    return f"{ORIGIN_TITLES[row.origin]} photo" if row.transform == PHOTO else "file"
