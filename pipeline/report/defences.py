"""Defences: what the model behind each still gets right, as files and in photographs, by what the attacker knew."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.document.blocks import Block, numbered, plain
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import ATTACKED_MODEL, CASES, DIGITAL, PHOTO, SOURCE, Estimate, Transfer
from pipeline.report.cell_tables import estimate_cell, interval_words, ordered_cells
from pipeline.report.content import ReportContent
from pipeline.report.words import CASE_TITLES, ORIGIN_TITLES, TEXTS, attack_title, epsilon_title
from pipeline.statistics import wilson

NONE, ADAPTIVE, UNAWARE = "none", "adaptive", "unaware"


@dataclass(frozen=True, slots=True)
class DefenceRow:
    """How one defence, or none, stands against one attack on the model; `file` and `photo` are None where it was not judged."""

    case: str
    attack: str
    epsilon_8bit: int
    defence: str
    attacker: str
    file: Transfer | None
    photo: Transfer | None


def defences_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns a table for each case; () without defences."""
    rows = list(defence_rows(content))
    tables = [_table(f"D{place}", rows, case, content) for place, case in enumerate(_cases(rows), 1)]
    return (plain(TEXTS["defences"]), *numbered(tables)) if tables else ()


def defence_rows(content: ReportContent) -> Iterator[DefenceRow]:
    """Yields, for each attack on the model, how it fares without a defence, then behind each, the adaptive attacker first."""
    origins = {SOURCE: DIGITAL, PHOTO: content.main_origin}
    judged = [row for row in content.transfer if row.top_k == 1 and row.origin == origins[row.transform]]
    found = {(row.case, row.attack, row.epsilon_8bit, row.judge, row.transform): row for row in judged}
    cells = ordered_cells((row.case, row.attack, row.epsilon_8bit) for row in judged if row.attack not in content.adaptive)
    for case, attack, epsilon in cells if content.defences else ():
        wanted = [(ATTACKED_MODEL, attack, NONE)]
        for defence, made_on_it in content.defences.items():
            wanted += [(defence, made_on_it[attack], ADAPTIVE)] if attack in made_on_it else []
            wanted += [(defence, attack, UNAWARE)]
        for judge, made, attacker in wanted:
            file, photo = (found.get((case, made, epsilon, judge, transform)) for transform in (SOURCE, PHOTO))
            if file or photo:
                yield DefenceRow(case, attack, epsilon, judge, attacker, file, photo)


def withstood(fooled: Estimate) -> Estimate:
    """Returns the share that is not fooled, with its interval."""
    if fooled.rate is None:
        return fooled
    rate, low, high = fooled.known
    return replace(fooled, n_hit=fooled.n_eligible - fooled.n_hit, rate=1 - rate, low=1 - high, high=1 - low)


def _cases(rows: list[DefenceRow]) -> list[str]:
    return [case for case in CASES if any(row.case == case for row in rows)]


def _table(number: str, rows: list[DefenceRow], case: str, content: ReportContent) -> Table:
    shown = [row for row in rows if row.case == case]
    has_photos = any(row.photo for row in shown)
    columns = [stub("Method"), stub("ε", is_number=True), stub("Defence"), stub("Attacker")]
    columns += [Column("clean", "Right as files"), Column("adversarial", "Right as files")]
    columns += [Column("clean", "Right in photos"), Column("adversarial", "Right in photos")] if has_photos else []
    body, rules, before = [], set(), None
    for place, row in enumerate(shown):
        cell = row.attack, row.epsilon_8bit
        rules |= {place} if place and cell != before else set()
        named = (attack_title(row.attack), epsilon_title(row.epsilon_8bit)) if cell != before else ("", "")
        defence = "no defence" if row.attacker == NONE else row.defence
        knows = "" if row.attacker == NONE else row.attacker
        cells = [*map(Cell, (*named, defence, knows)), estimate_cell(_clean(row.file)), _withstood_cell(row.file)]
        cells += [estimate_cell(row.photo.control if row.photo else None), _withstood_cell(row.photo)] if has_photos else []
        body.append(tuple(cells))
        before = cell
    photos = f" and in {ORIGIN_TITLES[content.main_origin]} photographs" if has_photos else ""
    title = f"What is right behind each defence, as files{photos}, {CASE_TITLES[case]}"
    words = interval_words(row.photo.fooled for row in shown if row.photo) if has_photos else "95 % Wilson interval"
    return Table(number, title, tuple(columns), tuple(body), TEXTS["defences-table"].format(interval=words), frozenset(rules))


def _clean(row: Transfer | None) -> Estimate | None:
    """Returns how many of a cell's clean files are right."""
    if row is None:
        return None
    n_right, n = row.fooled.n_eligible, row.n_images
    low, high = wilson(n_right, n) or (None, None)
    return Estimate(n_hit=n_right, n_eligible=n, rate=n_right / n if n else None, low=low, high=high)


def _withstood_cell(row: Transfer | None) -> Cell:
    return estimate_cell(withstood(row.fooled) if row else None, "0 right")
