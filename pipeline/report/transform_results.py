"""The sections about digital transforms: destruction rates over their parameters, and how much of each undoes each attack."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot
from matplotlib.lines import Line2D

from pipeline.document.blocks import Block, Figure, Prose, Subheading, numbered, plain
from pipeline.document.figures import styled
from pipeline.document.formats import number, span
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import CASES, Rate, SurvivalCurve
from pipeline.report.cell_tables import cell_of, cell_table, ordered_cells, transform_tables
from pipeline.report.content import ReportContent
from pipeline.report.findings import findings_in_brief
from pipeline.report.rate_figures import panel_grid, transform_curves
from pipeline.report.words import CASE_TITLES, TEXTS, attack_order, attack_style, attack_title, axis_of, subject, tops
from pipeline.specs.transforms import TRANSFORMS

_N_COLUMNS = 4
_LINES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.2, 1.2, 1.2)))
_WAYS = {"down": "lowered", "up": "raised"}
_Row = TypeVar("_Row", Rate, SurvivalCurve)


def transform_results(content: ReportContent) -> tuple[Block, ...]:
    """Returns a figure for each case and ε, the findings, and a table for each case and transform."""
    if not content.digital_rates:
        return (Prose("This run has no digital transforms."),)
    rows = [row for row in content.digital_rates if row.rate is not None and row.parameter is not None]
    blocks: list[Block] = []
    dashed = f"; dashed: {tops(content.top_ks[1:])}" if content.top_ks[1:] else ""
    for name, told, shown in by_strength(rows):
        of_case = {row.transform for row in rows if row.case == shown[0].case}
        is_marked = any(axis_of(transform).neutral is not None for transform in of_case)
        caption = (
            f"Destruction rate over the parameter of each transform, {told}; {subject(content)}. Solid: top-1 with 95 % Wilson "
            f"band{dashed}; n: eligible attacks of {span(row.n_images or 0 for row in shown)} images."
            f"{' A grey line marks the value that changes nothing.' if is_marked else ''}"
        )
        plot = transform_curves(shown, shown[0].case, shown[0].epsilon_8bit)
        blocks.append(Figure(f"transforms-{name}", plot, caption))
    return *blocks, *findings_in_brief(content, "digital"), Subheading("Tables"), *numbered(transform_tables(content))


def survival_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns how thresholds were found, a figure for each case and ε, and a table of medians for each case; () without any."""
    curves = content.survival
    if not curves:
        return ()
    blocks: list[Block] = [plain(TEXTS["thresholds"])]
    for name, told, shown in by_strength(curves):
        caption = (
            f"Attacks that are not yet destroyed as a transform grows stronger (to the right), {told}; "
            f"n = {span(curve.n for curve in shown)} working attacks a method. "
            "A mark is a threshold; bands: 95 % Wilson interval at each value by itself."
        )
        blocks.append(Figure(f"survival-{name}", survival_figure(shown), caption))
    return *blocks, *numbered(median_tables(curves))


def by_strength(rows: Sequence[_Row]) -> Iterator[tuple[str, str, list[_Row]]]:
    """Yields the rows of each case and ε, the strongest first, with what their figure is called in files and in captions."""
    for case in CASES:
        of_case = [row for row in rows if row.case == case]
        for epsilon in sorted({row.epsilon_8bit for row in of_case}):
            strength = f"ε = {epsilon}" if epsilon else "attacks that take no ε"
            name = f"{case}-eps{epsilon}" if epsilon else case
            yield name, f"{CASE_TITLES[case]}, {strength}", [row for row in of_case if row.epsilon_8bit == epsilon]


@styled
def survival_figure(curves: Sequence[SurvivalCurve]) -> Plot:
    """Returns the survival curves of one case and ε, one panel for each direction of a transform."""
    directions = list(dict.fromkeys((curve.transform, curve.direction) for curve in curves))
    attacks = tuple(attack_order(curve.attack for curve in curves))
    looks: dict[str, dict[str, Any]] = {}
    for attack, line in zip(attacks, cycle(_LINES), strict=False):
        colour, marker = attack_style(attack, attacks)
        looks[attack] = {"color": colour, "marker": marker, "linestyle": line}
    counts = {attack: span(curve.n for curve in curves if curve.attack == attack) for attack in attacks}
    handles = [Line2D([], [], label=f"{attack_title(attack)} (n = {counts[attack]})", **look) for attack, look in looks.items()]
    axes = []
    for transform, direction in directions:
        axis = axis_of(transform)
        axes.append((f"{axis.title} {_WAYS[direction]}" if _goes_both_ways(transform) else axis.title, axis.label))
    figure, panels = panel_grid(axes, _N_COLUMNS, 1.7, "not yet destroyed", handles, len(attacks))
    for panel, way in zip(panels, directions, strict=True):
        shown = [curve for curve in curves if (curve.transform, curve.direction) == way]
        for curve in shown:
            _draw(panel, curve, looks[curve.attack])
        start, end = shown[0].steps[0][0], shown[0].end
        panel.set(xlim=(start, end + 0.03 * (end - start)), ylim=(-2, 103))
    return figure


def median_tables(curves: Iterable[SurvivalCurve]) -> list[Table]:
    """Returns for each case the median thresholds: a row for each attack and ε, a column for each direction of a transform."""
    groups = [[curve for curve in curves if curve.case == case] for case in CASES]
    return [_median_table(f"M{place}", group) for place, group in enumerate(filter(None, groups), 1)]


def _median_table(table_number: str, curves: Sequence[SurvivalCurve]) -> Table:
    found = {(*cell_of(curve), curve.transform, curve.direction): curve for curve in curves}
    cells = ordered_cells(map(cell_of, curves))
    directions = [key[3:] for key in found if key[:3] == cells[0]]
    columns = [stub("n", is_number=True)]
    for transform, direction in directions:  # only what goes both ways says which: the table is as broad as the page
        spec, title = TRANSFORMS.get(transform), axis_of(transform).title
        named = Column(_WAYS[direction], title) if _goes_both_ways(transform) else Column((spec and spec.short) or title)
        columns.append(named)
    shown = [[found[(*cell, *direction)] for direction in directions] for cell in cells]
    body = [(Cell(str(of_cell[0].n)), *map(_median_cell, of_cell)) for of_cell in shown]
    axes = map(axis_of, dict.fromkeys(transform for transform, _ in directions))
    units = "; ".join(f"{axis.title}: {axis.label}" for axis in axes)
    note = TEXTS["medians"].format(units=units)
    title = f"Median threshold, {CASE_TITLES.get(curves[0].case, curves[0].case)}"
    return cell_table(table_number, title, columns, cells, body, note, transform="")


def _goes_both_ways(transform: str) -> bool:
    spec = TRANSFORMS.get(transform)
    return spec is not None and len(spec.ways) > 1


def _median_cell(curve: SurvivalCurve) -> Cell:
    beyond = f"{'>' if curve.direction == 'up' else '<'} {number(curve.end)}"
    ends = [number(value) for value in (curve.low, curve.high) if value is not None]
    interval = " to ".join(ends) if len(ends) == 2 else f"from {ends[0]}" if ends else ""
    return Cell(beyond if curve.median is None else number(curve.median), f"{interval} · {curve.n_censored}".strip())


def _draw(panel: Axes, curve: SurvivalCurve, look: Mapping[str, Any]) -> None:
    """The curve falls at its thresholds, and runs on to the end of the range."""
    x, n_left, low, high = ([*values, values[-1]] for values in zip(*curve.steps, strict=True))
    x[-1] = curve.end
    share, low, high = [100 * (n / curve.n) for n in n_left], [100 * value for value in low], [100 * value for value in high]
    marks = range(1, len(curve.steps))
    panel.plot(x, share, drawstyle="steps-post", markevery=marks, markersize=2.6, zorder=3, **look)
    panel.fill_between(x, low, high, step="post", color=look["color"], alpha=0.1, linewidth=0, zorder=1)
