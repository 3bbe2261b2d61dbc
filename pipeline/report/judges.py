"""Other models as judges: the tables, the figure and the section of the report about who else is fooled."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from pipeline.records import ATTACKED_MODEL, CASES, PHOTO, SIMULATED, SOURCE, MatrixCell, TransferRow
from pipeline.report import figures, theme
from pipeline.report.blocks import Block, Figure, TableBlock, plain
from pipeline.report.content import ReportContent
from pipeline.report.rate_tables import interval_words
from pipeline.report.tables import Cell, Column, Table
from pipeline.report.words import (
    CASE_TITLES,
    NO_ROW,
    NOTHING_ELIGIBLE,
    attack_order,
    attack_title,
    cell_title,
    epsilon_title,
    interval,
    listed,
    percent,
    subject,
)

_PALETTE = ("#5d6875", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900")
_MARKERS = "osD^vPX*"
_TALLEST_IN = 8.2


def judges_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns what a judge is, what is counted, a figure, and a table for each case and origin of photographs; () without any."""
    if not content.transfer:
        return ()
    rows = content.transfer
    others = [judge for judge in _judges(rows) if judge != ATTACKED_MODEL]
    text = (
        f"The attacks were made on {content.model.name}, here called the {ATTACKED_MODEL}. Beside it "
        f"{listed(others)} {'judges' if len(others) == 1 else 'judge'} the same saved files or photographs of them. "
        "Fooled: of the images that a judge gets right when clean, those whose adversarial image it gets wrong. Destroyed "
        "is Eq. 1 with this judge's own answers: of the files that fool it, those that no longer do so in the photograph."
    )
    outside = sorted({row.judge for row in rows if row.is_imported})
    if outside:
        text += f" The answers of {listed(outside)} were made outside and brought in."
    by_photo = sorted({row.judge for row in rows if row.clean_from == "photo"})
    if by_photo:
        text += (
            f" Of {listed(by_photo)} no answer on the clean file is known: the clean photograph stands in for it, and without "
            "answers on the files there is no destruction rate."
        )
    one_answer = [judge for judge in others if not any(row.judge == judge and row.top_k == 5 for row in rows)]
    if one_answer:
        text += f" Of {listed(one_answer)} fewer than five answers an image are known, so top-5 is left out."
    blocks: list[Block] = [plain(text)]
    if any(row.fooled_rate is not None for row in rows if row.top_k == 1):
        dashed = ", dashed where simulated" if any(row.origin == SIMULATED for row in rows) else ""
        caption = (
            "Share of the images that a judge gets right when clean and is fooled on (top-1): as files (filled) and in "
            f"photographs (hollow{dashed}), with the {interval_words(rows)}; the attacks were made on {subject(content)}. "
            "n is in the tables below."
        )
        blocks.append(Figure("judges", judges_figure(rows), caption))
    blocks += [TableBlock(f"table-{table.number.lower()}", table) for table in judge_tables(rows)]
    return tuple(blocks)


def judge_tables(rows: Iterable[TransferRow]) -> list[Table]:
    """Returns for each case a table of the files, and one of the photographs of each origin."""
    rows = list(rows)
    tables: list[Table] = []
    for case in CASES:
        of_case = [row for row in rows if row.case == case]
        for condition in sorted(
            {(row.transform, row.origin) for row in of_case}, key=lambda found: (found[0] == PHOTO, found[1])
        ):
            shown = [row for row in of_case if (row.transform, row.origin) == condition]
            tables.append(_judge_table(f"J{len(tables) + 1}", case, condition, shown))
    return tables


def matrix_tables(cells: Iterable[MatrixCell]) -> list[Table]:
    """Returns the transfer matrix of each case, attack and epsilon: a row for each run and its control, a column a model."""
    cells = list(cells)
    judged_by = list(dict.fromkeys(cell.judged_by for cell in cells))
    keys = list(dict.fromkeys((cell.case, cell.attack, cell.epsilon_8bit) for cell in cells))
    found = {(c.case, c.attack, c.epsilon_8bit, c.made_on, c.kind, c.judged_by): c for c in cells}
    tables = []
    for number, key in enumerate(keys, 1):
        lines = list(dict.fromkeys((c.made_on, c.kind) for c in cells if (c.case, c.attack, c.epsilon_8bit) == key))
        body = []
        for made_on, kind in lines:
            row = [found.get((*key, made_on, kind, name)) for name in judged_by]
            distances = [cell.mean_l2_8bit for cell in row if cell and cell.mean_l2_8bit is not None]
            mean = f"{sum(distances) / len(distances):.0f}" if distances else NO_ROW
            title = made_on if kind == "adversarial" else "noise, same L2"
            body.append((Cell(title), Cell(mean), *(_matrix_cell(cell) for cell in row)))
        columns = (Column("Made on", is_number=False, is_stub=True), Column("mean L2", is_stub=True))
        columns += tuple(Column(name, "Error of the model of") for name in judged_by)
        title = f"Transfer, {cell_title(key[1], key[2])}, {CASE_TITLES.get(key[0], key[0])}"
        note = (
            "Wrong / right when clean, and the 95 % Wilson interval in per cent beneath: the saved files of the row's run, "
            "judged by the column's model, over the images that this model gets right when clean. L2 in 8-bit units."
        )
        rules = frozenset(place for place, (_, kind) in enumerate(lines) if place and kind == "adversarial")
        tables.append(Table(f"X{number}", title, columns, tuple(body), note if number == len(keys) else "", rules))
    return tables


def judges_figure(rows: Iterable[TransferRow]) -> Plot:
    """Returns the top-1 share fooled, one panel a case, one line a judge under each attack and epsilon."""
    return _drawn([row for row in rows if row.top_k == 1])


@figures.styled
def _drawn(rows: Sequence[TransferRow]) -> Plot:
    judges, cells = _judges(rows), _cells(rows)
    cases = [case for case in CASES if any(row.case == case and row.fooled_rate is not None for row in rows)]
    height = 0.95 + min(_TALLEST_IN - 1, len(cells) * (0.16 + 0.15 * len(judges)))
    figure = Plot(figsize=(figures.WIDTH_IN, max(2.0, height)), layout="constrained")
    panels = figure.subplots(1, max(1, len(cases)), squeeze=False)[0]
    step = 0.8 / max(1, len(judges))
    for panel, case in zip(panels, cases, strict=False):
        for place, cell in enumerate(cells):
            for turn, judge in enumerate(judges):
                of_judge = [row for row in rows if (row.case, row.attack, row.epsilon_8bit, row.judge) == (case, *cell, judge)]
                _line(panel, of_judge, place + (turn - (len(judges) - 1) / 2) * step, turn, step)
        is_first = panel is panels[0]
        panel.set_yticks(range(len(cells)), [cell_title(*cell) for cell in cells] if is_first else [])
        panel.set_ylim(max(1, len(cells)) - 0.5, -0.5)
        panel.set(title=CASE_TITLES[case].capitalize(), xlabel="fooled, of those right when clean", xlim=(-2, 102))
        panel.xaxis.set_major_formatter(PercentFormatter(100, decimals=0))
        panel.grid(axis="y", visible=False)
        for place in range(1, len(cells)):
            panel.axhline(place - 0.5, color=theme.RULE, linewidth=0.6, zorder=0)
    handles = [
        Line2D([], [], color=_PALETTE[turn % len(_PALETTE)], marker=_MARKERS[turn % len(_MARKERS)], ms=4, label=judge)
        for turn, judge in enumerate(judges)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), handlelength=2.6)
    return figure


def _line(panel: Axes, rows: Iterable[TransferRow], y: float, turn: int, step: float) -> None:
    colour, marker = _PALETTE[turn % len(_PALETTE)], _MARKERS[turn % len(_MARKERS)]
    for row in sorted(rows, key=lambda row: row.transform != SOURCE):
        if row.fooled_rate is None:
            continue
        is_file = row.transform == SOURCE
        at = y + (-0.2 if is_file else 0.2) * step
        ends, width = [100 * row.fooled_low, 100 * row.fooled_high], 1.2 if is_file else 0.7
        panel.plot(ends, [at, at], color=colour, lw=width, ls="--" if row.origin == SIMULATED else "-", zorder=2)
        panel.plot(100 * row.fooled_rate, at, marker, color=colour, mfc=colour if is_file else "white", mew=0.9, ms=3.8, zorder=3)


def _judge_table(number: str, case: str, condition: tuple[str, str], rows: Sequence[TransferRow]) -> Table:
    found = {(row.attack, row.epsilon_8bit, row.judge, row.top_k): row for row in rows}
    top_ks = [k for k in (1, 5) if any(row.top_k == k for row in rows)]
    of_photos = condition[0] == PHOTO
    columns = [Column("Method", is_number=False, is_stub=True), Column("ε", is_stub=True)]
    columns.append(Column("Judge", is_number=False, is_stub=True))
    columns += [Column("right", "Clean photo")] if of_photos else []
    columns += [Column(f"top-{k}", "Fooled") for k in top_ks]
    columns += [Column(f"top-{k}", "Destroyed (Eq. 1)") for k in top_ks if of_photos]
    body, rules, previous = [], set(), None
    for attack, epsilon in _cells(rows):
        for judge in _judges(rows):
            said = {k: found.get((attack, epsilon, judge, k)) for k in (1, 5)}
            is_new = (attack, epsilon) != previous
            if is_new and body:
                rules.add(len(body))
            cells = [Cell(attack_title(attack) if is_new else ""), Cell(epsilon_title(epsilon) if is_new else "")]
            previous = (attack, epsilon)
            by_photo = any(row is not None and row.clean_from == "photo" for row in said.values())
            cells.append(Cell(judge, "clean: from the photo" if by_photo else ""))
            cells += [_control_cell(said[1])] if of_photos else []
            cells += [_fooled_cell(said[k]) for k in top_ks]
            cells += [_destroyed_cell(said[k]) for k in top_ks if of_photos]
            body.append(tuple(cells))
    note = f"k/n and the {interval_words(rows)} in per cent beneath. Fooled: n is what the judge gets right when clean."
    if of_photos:
        note += (
            " Clean photo: of these, the clean photographs that it still gets right (top-1); what is missing was lost to print "
            "and camera, not to the attack. Destroyed: n is the files that fool the judge and were photographed."
        )
    what = {"simulated": "simulated photographs", "camera": "real photographs"}.get(condition[1], "saved files")
    title = f"Who else is fooled by the {what}, {CASE_TITLES.get(case, case)}"
    return Table(number, title, tuple(columns), tuple(body), note, frozenset(rules))


def _fooled_cell(row: TransferRow | None) -> Cell:
    if row is None:
        return Cell(NO_ROW)
    if row.fooled_rate is None:
        return Cell(NOTHING_ELIGIBLE, "0 right")
    return _counted(row.fooled_rate, row.n_fooled, row.n_clean_right, row.fooled_low, row.fooled_high)


def _control_cell(row: TransferRow | None) -> Cell:
    if row is None or row.clean_from == "photo":
        return Cell(NO_ROW)
    if not row.n_control:
        return Cell(NOTHING_ELIGIBLE, "0 photos")
    return Cell(percent(row.n_control_right / row.n_control), f"{row.n_control_right}/{row.n_control}")


def _destroyed_cell(row: TransferRow | None) -> Cell:
    if row is None:
        return Cell(NO_ROW)
    if row.destruction_rate is None:
        return Cell(NOTHING_ELIGIBLE, "no files" if row.clean_from == "photo" else "0 eligible")
    return _counted(row.destruction_rate, row.n_hit, row.n_eligible, row.low, row.high)


def _matrix_cell(cell: MatrixCell | None) -> Cell:
    if cell is None:
        return Cell(NO_ROW)
    if cell.error_rate is None:
        return Cell(NOTHING_ELIGIBLE, "0 right")
    return _counted(cell.error_rate, cell.n_wrong, cell.n_right, cell.low, cell.high)


def _counted(rate: float, k: int, n: int, low: float | None, high: float | None) -> Cell:
    return Cell(percent(rate), f"{k}/{n} · {interval(low, high)}")


def _judges(rows: Iterable[TransferRow]) -> list[str]:
    return list(dict.fromkeys(row.judge for row in rows))


def _cells(rows: Iterable[TransferRow]) -> list[tuple[str, int]]:
    cells = {(row.attack, row.epsilon_8bit) for row in rows}
    order = attack_order(attack for attack, _ in cells)
    return sorted(cells, key=lambda cell: (order.index(cell[0]), -cell[1]))
