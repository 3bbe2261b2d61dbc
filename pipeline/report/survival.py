"""How much of each digital transform undoes each attack: survival curves, and the table of the medians."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot
from matplotlib.lines import Line2D

from pipeline.document.blocks import Block, Figure, numbered, plain
from pipeline.document.figures import styled
from pipeline.document.formats import number, span
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import CASES, SurvivalCurve
from pipeline.report.cell_tables import cell_table
from pipeline.report.content import ReportContent
from pipeline.report.panels import panel_grid
from pipeline.report.words import CASE_TITLES, attack_order, attack_style, attack_title, axis_of
from pipeline.specs.transforms import TRANSFORMS

_N_COLUMNS = 4
_LINES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.2, 1.2, 1.2)))
_WAYS = {"down": "lowered", "up": "raised"}


def survival_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns how thresholds were found, a figure for each case and ε, and a table of medians for each case; () without any."""
    curves = content.survival
    if not curves:
        return ()
    text = (
        "Each working attack (clean file right, adversarial file wrong, top-1) has its own threshold in each transform: the "
        "mildest value that was found at which its true class comes back. It is looked for outward from the unchanged file, then "
        "by bisection. A curve shows the share of a cell's attacks that are not yet destroyed; where it ends above 0 %, the rest "
        "outlast the range. Most curves fall once; an attack that comes back at a stronger value still counts as destroyed."
    )
    blocks: list[Block] = [plain(text)]
    for case in CASES:
        of_case = [curve for curve in curves if curve.case == case]
        for epsilon in sorted({curve.epsilon_8bit for curve in of_case}, reverse=True):
            shown = [curve for curve in of_case if curve.epsilon_8bit == epsilon]
            strength = f"ε = {epsilon}" if epsilon else "attacks that take no ε"
            caption = (
                "Attacks that are not yet destroyed as a transform grows stronger (to the right), "
                f"{CASE_TITLES[case]}, {strength}; n = {span(curve.n for curve in shown)} working attacks a method. "
                "A mark is a threshold; bands: 95 % Wilson interval at each value by itself."
            )
            name = f"survival-{case}-eps{epsilon}" if epsilon else f"survival-{case}"
            blocks.append(Figure(name, survival_figure(shown), caption))
    return *blocks, *numbered(median_tables(curves))


@styled
def survival_figure(curves: Sequence[SurvivalCurve]) -> Plot:
    """Returns the survival curves of one case and ε, one panel for each direction of a transform."""
    directions = list(dict.fromkeys((curve.transform, curve.direction) for curve in curves))
    attacks = tuple(attack_order(curve.attack for curve in curves))
    handles = [_handle(attack, attacks, curves) for attack in attacks]
    axes = [(_title(*direction), axis_of(direction[0]).label) for direction in directions]
    figure, panels = panel_grid(axes, _N_COLUMNS, 1.7, "not yet destroyed", handles, len(attacks))
    for panel, direction in zip(panels, directions, strict=True):
        shown = [curve for curve in curves if (curve.transform, curve.direction) == direction]
        for curve in shown:
            _draw(panel, curve, attacks)
        start, end = shown[0].steps[0][0], shown[0].end
        panel.set(xlim=(start, end + 0.03 * (end - start)), ylim=(-2, 103))
    return figure


def median_tables(curves: Iterable[SurvivalCurve]) -> list[Table]:
    """Returns for each case the median thresholds: a row for each attack and ε, a column for each direction of a transform."""
    curves = list(curves)
    return [_median_table(f"M{place}", rows) for place, rows in enumerate(filter(None, (_of_case(curves, c) for c in CASES)), 1)]


def _of_case(curves: Sequence[SurvivalCurve], case: str) -> list[SurvivalCurve]:
    order = attack_order(curve.attack for curve in curves)
    return sorted((c for c in curves if c.case == case), key=lambda curve: (order.index(curve.attack), -curve.epsilon_8bit))


def _median_table(table_number: str, curves: Sequence[SurvivalCurve]) -> Table:
    directions = list(dict.fromkeys((curve.transform, curve.direction) for curve in curves))
    found = {(curve.attack, curve.epsilon_8bit, curve.transform, curve.direction): curve for curve in curves}
    columns = [stub("n", is_number=True), *(_column(*direction) for direction in directions)]
    cells = list(dict.fromkeys((curve.case, curve.attack, curve.epsilon_8bit) for curve in curves))
    shown = [[found[(*cell[1:], *direction)] for direction in directions] for cell in cells]
    body = [(Cell(str(of_cell[0].n)), *map(_median_cell, of_cell)) for of_cell in shown]
    units = "; ".join(
        f"{axis.title}: {axis.label}" for axis in (axis_of(name) for name in dict.fromkeys(d[0] for d in directions))
    )
    note = (
        f"{units}. Beneath: the 95 % interval by order statistics, open where it ends beyond the range (none for fewer than "
        "6 attacks), and after the dot how many attacks outlast the range. > and <: beyond the end of the range."
    )
    title = f"Median threshold, {CASE_TITLES.get(curves[0].case, curves[0].case)}"
    return cell_table(table_number, title, columns, cells, body, note, transform="")


def _column(transform: str, direction: str) -> Column:
    """Only what goes both ways says which: the table is as broad as the page."""
    spec, title = TRANSFORMS.get(transform), axis_of(transform).title
    return Column(_WAYS[direction], title) if _goes_both_ways(transform) else Column((spec and spec.short) or title)


def _goes_both_ways(transform: str) -> bool:
    spec = TRANSFORMS.get(transform)
    return spec is not None and len(spec.ways) > 1


def _median_cell(curve: SurvivalCurve) -> Cell:
    beyond = f"{'>' if curve.direction == 'up' else '<'} {number(curve.end)}"
    ends = [number(value) for value in (curve.low, curve.high) if value is not None]
    interval = " to ".join(ends) if len(ends) == 2 else f"from {ends[0]}" if ends else ""
    return Cell(beyond if curve.median is None else number(curve.median), f"{interval} · {curve.n_censored}".strip())


def _title(transform: str, direction: str) -> str:
    title = axis_of(transform).title
    return f"{title} {_WAYS[direction]}" if _goes_both_ways(transform) else title


def _draw(panel: Axes, curve: SurvivalCurve, attacks: tuple[str, ...]) -> None:
    """The curve falls at its thresholds, and runs on to the end of the range."""
    colour, marker = attack_style(curve.attack, attacks)
    x = [step[0] for step in curve.steps]
    share, low, high = (
        [100 * value for value in values]
        for values in ([step[1] / curve.n for step in curve.steps], *zip(*((s[2], s[3]) for s in curve.steps), strict=True))
    )
    panel.plot(
        [*x, curve.end],
        [*share, share[-1]],
        drawstyle="steps-post",
        color=colour,
        linestyle=_line(curve.attack, attacks),
        marker=marker,
        markevery=range(1, len(x)),
        markersize=2.6,
        zorder=3,
    )
    band: dict[str, Any] = {"step": "post", "color": colour, "alpha": 0.1, "linewidth": 0, "zorder": 1}
    panel.fill_between([*x, curve.end], [*low, low[-1]], [*high, high[-1]], **band)


def _line(attack: str, attacks: tuple[str, ...]) -> Any:
    return _LINES[attacks.index(attack) % len(_LINES)]


def _handle(attack: str, attacks: tuple[str, ...], curves: Sequence[SurvivalCurve]) -> Line2D:
    colour, marker = attack_style(attack, attacks)
    n = span(curve.n for curve in curves if curve.attack == attack)
    label = f"{attack_title(attack)} (n = {n})"
    return Line2D([], [], color=colour, marker=marker, linestyle=_line(attack, attacks), label=label)
