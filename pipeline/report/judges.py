"""Other models as judges: the tables, the figure and the section of the report about who else is fooled."""

import itertools
from collections.abc import Iterable, Sequence

from matplotlib.figure import Figure as Plot
from matplotlib.lines import Line2D

from pipeline.document.blocks import Block, Figure, numbered, plain
from pipeline.document.figures import styled
from pipeline.document.formats import DASH, listed
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import ATTACKED_MODEL, CASES, PHOTO, SIMULATED, SOURCE, Estimate, MatrixCell, Transfer
from pipeline.report.cell_tables import cell_of, estimate_cell, interval_words, ordered_cells
from pipeline.report.content import ReportContent
from pipeline.report.rate_figures import case_panels, interval_dot
from pipeline.report.words import CASE_TITLES, ORIGIN_TITLES, TEXTS, attack_title, cell_title, epsilon_title, subject

_PALETTE = ("#5d6875", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900")
_MARKERS = "osD^vPX*"


def judges_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns what a judge is, what is counted, a figure, and a table for each case and origin of photographs; () without any."""
    rows = [row for row in content.transfer if row.judge not in content.defences and row.attack not in content.adaptive]
    others = [judge for judge in dict.fromkeys(row.judge for row in rows) if judge != ATTACKED_MODEL]
    if not others:
        return ()
    judging = "judges" if len(others) == 1 else "judge"
    told = {"model": content.model.name, "attacked": ATTACKED_MODEL, "others": listed(others), "judging": judging}
    text = TEXTS["judges"].format(**told)
    outside = sorted({row.judge for row in rows if row.is_imported})
    if outside:
        text += f" The answers of {listed(outside)} were made outside and brought in."
    by_photo = sorted({row.judge for row in rows if row.clean_from == "photo"})
    if by_photo:
        text += (
            f" Of {listed(by_photo)} no answer on the clean file is known: the clean photograph stands in for it, and without "
            "answers on the files there is no destruction rate."
        )
    most = content.top_ks[-1]
    few_answers = [judge for judge in others if not any(row.judge == judge and row.top_k == most for row in rows)]
    if few_answers:
        text += f" Of {listed(few_answers)} too few answers an image are known for top-{most}, which is left out."
    blocks: list[Block] = [plain(text)]
    if any(row.fooled.rate is not None for row in rows if row.top_k == 1):
        dashed = ", dashed where simulated" if any(row.origin == SIMULATED for row in rows) else ""
        caption = (
            "Share of the images that a judge gets right when clean and is fooled on (top-1): as files (filled) and in "
            f"photographs (hollow{dashed}), with the {interval_words(row.fooled for row in rows)}; the attacks were made on "
            f"{subject(content)}. n is in the tables below."
        )
        blocks.append(Figure("judges", judges_figure(rows), caption))
    blocks += numbered(judge_tables(rows))
    return tuple(blocks)


def judge_tables(rows: Iterable[Transfer]) -> list[Table]:
    """Returns for each case a table of the files, and one of the photographs of each origin."""
    rows = list(rows)
    tables: list[Table] = []
    for case in CASES:
        of_case = [row for row in rows if row.case == case]
        conditions = {(row.transform, row.origin) for row in of_case}
        for condition in sorted(conditions, key=lambda found: (found[0] == PHOTO, found[1])):
            shown = [row for row in of_case if (row.transform, row.origin) == condition]
            tables.append(_judge_table(f"J{len(tables) + 1}", shown))
    return tables


def matrix_tables(cells: Iterable[MatrixCell]) -> list[Table]:
    """Returns the transfer matrix of each case, attack and epsilon: a row for each run and its control, a column a model."""
    cells = list(cells)
    judged_by = list(dict.fromkeys(cell.judged_by for cell in cells))
    keys = list(dict.fromkeys(map(cell_of, cells)))
    found = {(*cell_of(cell), cell.made_on, cell.kind, cell.judged_by): cell for cell in cells}
    columns = (stub("Made on"), stub("mean L2", is_number=True), *(Column(name, "Error of the model of") for name in judged_by))
    tables = []
    for number, key in enumerate(keys, 1):
        lines = list(dict.fromkeys((cell.made_on, cell.kind) for cell in cells if cell_of(cell) == key))
        body = []
        for made_on, kind in lines:
            row = [found.get((*key, made_on, kind, name)) for name in judged_by]
            distances = [cell.mean_l2_8bit for cell in row if cell and cell.mean_l2_8bit is not None]
            mean = f"{sum(distances) / len(distances):.0f}" if distances else DASH
            title = made_on if kind == "adversarial" else "noise, same L2"
            rates = (estimate_cell(_error_of(cell) if cell else None, "0 right") for cell in row)
            body.append((Cell(title), Cell(mean), *rates))
        title = f"Transfer, {cell_title(*key[1:])}, {CASE_TITLES.get(key[0], key[0])}"
        note = TEXTS["matrix"]
        rules = frozenset(place for place, (_, kind) in enumerate(lines) if place and kind == "adversarial")
        tables.append(Table(f"X{number}", title, columns, tuple(body), note if number == len(keys) else "", rules))
    return tables


@styled
def judges_figure(rows: Iterable[Transfer]) -> Plot:
    """Returns the top-1 share fooled, one panel a case, one line a judge under each attack and epsilon."""
    rows = [row for row in rows if row.top_k == 1]
    judges = list(dict.fromkeys(row.judge for row in rows))
    looks = dict(zip(judges, itertools.cycle(zip(_PALETTE, _MARKERS, strict=True)), strict=False))
    rated = [row for row in rows if row.fooled.rate is not None]
    label = "fooled, of those right when clean"
    figure, panels, cells = case_panels(map(cell_of, rated), 0.16 + 0.15 * len(judges), label, n_lines=len(judges))
    step = 0.8 / max(1, len(judges))
    for row in sorted(rated, key=lambda row: row.transform != SOURCE):
        turn, is_file = judges.index(row.judge), row.transform == SOURCE
        y = cells.index((row.attack, row.epsilon_8bit)) + (turn - (len(judges) - 1) / 2 + (-0.2 if is_file else 0.2)) * step
        face, width = ("", 1.2) if is_file else ("white", 0.7)
        dashes = "--" if row.origin == SIMULATED else "-"
        interval_dot(panels[row.case], row.fooled, y, *looks[row.judge], face, width, dashes)
    handles = [Line2D([], [], color=colour, marker=marker, ms=4, label=judge) for judge, (colour, marker) in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), handlelength=2.6)
    return figure


def _judge_table(table_number: str, rows: Sequence[Transfer]) -> Table:
    """Returns the table of one case and condition, with a rule above each cell."""
    found = {(*cell_of(row), row.judge, row.top_k): row for row in rows}
    judges = list(dict.fromkeys(row.judge for row in rows))
    top_ks = sorted({row.top_k for row in rows})
    of_photos = rows[0].transform == PHOTO
    columns = [stub("Method"), stub("ε", is_number=True), stub("Judge")]
    columns += [Column("right", "Clean photo")] if of_photos else []
    columns += [Column(f"top-{k}", "Fooled") for k in top_ks]
    columns += [Column(f"top-{k}", "Destroyed (Eq. 1)") for k in top_ks if of_photos]
    body = []
    for cell, judge in itertools.product(ordered_cells(map(cell_of, rows)), judges):
        rated = [found.get((*cell, judge, k)) for k in top_ks]
        by_photo = any(row is not None and row.clean_from == "photo" for row in rated)
        method, epsilon = (attack_title(cell[1]), epsilon_title(cell[2])) if judge == judges[0] else ("", "")
        shown = [Cell(method), Cell(epsilon), Cell(judge, "clean: from the photo" if by_photo else "")]
        if of_photos:
            known = rated[0].control if rated[0] is not None and rated[0].clean_from != "photo" else None
            shown.append(estimate_cell(known, "0 photos", has_interval=False))
        shown += [estimate_cell(row.fooled if row else None, "0 right") for row in rated]
        nothing = "no files" if by_photo else "0 eligible"
        body.append((*shown, *(estimate_cell(row.destroyed if row else None, nothing) for row in rated if of_photos)))
    words = interval_words(row.fooled for row in rows)
    note = f"k/n and the {words} in per cent beneath. Fooled: n is what the judge gets right when clean."
    if of_photos:
        note += f" {TEXTS['judges-table']}"
    what = f"{ORIGIN_TITLES[rows[0].origin]} photographs" if of_photos else "saved files"
    title = f"Who else is fooled by the {what}, {CASE_TITLES.get(rows[0].case, rows[0].case)}"
    return Table(table_number, title, tuple(columns), tuple(body), note, frozenset(range(len(judges), len(body), len(judges))))


def _error_of(cell: MatrixCell) -> Estimate:
    return Estimate(n_hit=cell.n_wrong, n_eligible=cell.n_right, rate=cell.error_rate, low=cell.low, high=cell.high)
