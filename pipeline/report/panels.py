"""What the figures of rates are drawn with: a line a cell beside its interval, and grids of panels with one legend."""

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Any, Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from pipeline.document.figures import WIDTH_IN
from pipeline.document.theme import PALE_RULE, QUIET, RULE
from pipeline.records import CASES, Estimate
from pipeline.report.words import CASE_TITLES, attack_order, cell_title

TOP_MARKERS = {1: "o", 5: "s"}
TOP_LINES: dict[int, Any] = {1: "-", 5: (0, (3, 1.6))}
_TALLEST_IN = 7.5


class OfCell(Protocol):
    """What belongs to a cell of a run."""

    @property
    def case(self) -> str: ...
    @property
    def attack(self) -> str: ...
    @property
    def epsilon_8bit(self) -> int: ...


def case_panels(
    rows: Iterable[OfCell], line_in: float, xlabel: str, n_lines: int = 1
) -> tuple[Figure, dict[str, Axes], list[tuple[str, int]]]:
    """Returns a figure with a panel for each case of the rows, and the cells (attack, epsilon) that have a line in each.

    Args:
        n_lines: how many lines a cell is given; cells of several are all set apart alike.
    """
    rows = list(rows)
    order = attack_order(row.attack for row in rows)
    cells = sorted({(row.attack, row.epsilon_8bit) for row in rows}, key=lambda cell: (order.index(cell[0]), -cell[1]))
    titles = {case: CASE_TITLES[case].capitalize() for case in CASES if any(row.case == case for row in rows)}
    figure, panels = cell_panels(titles, cells, 0.9 + line_in * max(2, len(cells)), xlabel, n_lines)
    return figure, panels, cells


def cell_panels(
    titles: Mapping[str, str], cells: Sequence[tuple[str, int]], height_in: float, xlabel: str, n_lines: int = 1
) -> tuple[Figure, dict[str, Axes]]:
    """Returns a figure with a panel for each key of `titles`, in which the cells stand beneath each other over per cent."""
    figure = Figure(figsize=(WIDTH_IN, min(_TALLEST_IN + 0.9, height_in)), layout="constrained")
    panels = list(figure.subplots(1, max(1, len(titles)), squeeze=False)[0])
    names = [cell_title(*cell) if cell[0] else "all cells together" for cell in cells]
    for panel, title in zip(panels, titles.values(), strict=False):
        panel.set_yticks(range(len(cells)), names if panel is panels[0] else [])
        panel.set(title=title, xlabel=xlabel, xlim=(-2, 102), ylim=(max(1, len(cells)) - 0.5, -0.5))
        panel.xaxis.set_major_formatter(PercentFormatter(100, decimals=0))
        panel.grid(axis="y", visible=False)
        for place in range(1, len(cells)):
            is_apart = n_lines > 1 or cells[place][0] != cells[place - 1][0]
            panel.axhline(place - 0.5, color=RULE if is_apart else PALE_RULE, linewidth=0.6, zorder=0)
    return figure, dict(zip(titles, panels, strict=False))


def interval_dot(
    panel: Axes, found: Estimate | None, y: float, colour: str, marker: str, face: str = "", width: float = 1.3, line: Any = "-"
) -> None:
    """Draws a rate with its interval, or says that nothing is eligible; `face` is the marker's own colour, if it has one."""
    if found is None or found.rate is None or found.low is None or found.high is None:
        panel.text(0, y, "n/a", va="center", fontsize=5.8, color=QUIET)
        return
    ends = [100 * found.low, 100 * found.high]
    panel.plot(ends, [y, y], color=colour, linewidth=width, linestyle=line, solid_capstyle="butt", zorder=2)
    panel.plot(100 * found.rate, y, marker, color=colour, mfc=face or colour, mew=0.9, ms=4.2, zorder=3)


def per_cent(share: float | None) -> float:
    """Returns a share in [0, 1] in per cent; not a number for None, which a plot leaves out."""
    return nan if share is None else 100 * share


def counts_beside(panel: Axes, place: int, text: str, x: float = 1.015) -> None:
    """Writes counts at the right of a line."""
    panel.text(x, place, text, transform=panel.get_yaxis_transform(), va="center", fontsize=5.8, color=QUIET)


def panel_grid(
    axes: Sequence[tuple[str, str]], n_columns: int, row_in: float, ylabel: str, handles: Sequence[Line2D], n_beside: int
) -> tuple[Figure, list[Axes]]:
    """Returns a figure with a panel for each (title, label of x) over per cent; its legend stands in a spare panel, or below.

    Args:
        n_beside: how many of the legend's entries stand side by side below, three at most.
    """
    n_columns = min(n_columns, max(1, len(axes)))
    n_rows = max(1, -(-len(axes) // n_columns))
    has_spare = n_rows * n_columns > len(axes)
    figure = Figure(figsize=(WIDTH_IN, row_in * n_rows + (0.15 if has_spare else 0.75)), layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for place, (panel, (title, xlabel)) in enumerate(zip(panels, axes, strict=False)):
        panel.set(title=title, xlabel=xlabel, ylabel=ylabel if place % n_columns == 0 else "")
        panel.yaxis.set_major_formatter(PercentFormatter(100, decimals=0))
    for spare in panels[len(axes) :]:
        spare.set_axis_off()
    if has_spare:
        panels[-1].legend(handles=handles, loc="center", handlelength=3.2, labelspacing=0.8)
    elif handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(3, n_beside), handlelength=3.2)
    return figure, panels[: len(axes)]
