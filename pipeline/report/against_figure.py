"""Two runs' rates as dumbbells: one line a cell, the one run filled and the other hollow, told apart without colour too."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from pipeline.records import LEVEL, AgainstRow
from pipeline.report.comparisons import QUANTITY_TITLES
from pipeline.report.figures import WIDTH_IN, styled
from pipeline.report.theme import INK, QUIET, RULE
from pipeline.report.words import attack_order, cell_title

_FIRST, _SECOND = ("#0072b2", "o", 1.5), ("#d55e00", "s", 0.8)
_TALLEST_IN = 7.5


@styled
def against_figure(rows: Sequence[AgainstRow], first: str, second: str) -> Figure:
    """Returns both runs' rates of one case, a panel for each rate of photographs (of files, where there are none).

    Args:
        rows: of one case and top k.
    """
    table = "photo" if any(row.table == "photo" for row in rows) else "file"
    of_cells = [row for row in rows if row.table == table]
    transform = of_cells[0].transform if of_cells else ""
    shown = [row for row in rows if row.table == "overall" and row.transform == transform] + of_cells
    order = attack_order(row.attack for row in of_cells)
    cells = sorted(
        {(row.attack, row.epsilon_8bit) for row in shown}, key=lambda cell: (order.index(cell[0]) if cell[0] else -1, -cell[1])
    )
    quantities = [
        name for name in ("destruction_rate", "adversarial_accuracy", "clean_accuracy") if any(r.quantity == name for r in shown)
    ]
    figure = Figure(figsize=(WIDTH_IN, 0.95 + min(_TALLEST_IN, 0.34 * max(2, len(cells)))), layout="constrained")
    panels = figure.subplots(1, max(1, len(quantities)), squeeze=False)[0]
    for panel, quantity in zip(panels, quantities, strict=False):
        for row in (row for row in shown if row.quantity == quantity):
            _dumbbell(panel, row, cells.index((row.attack, row.epsilon_8bit)))
        names = [cell_title(*cell) if cell[0] else "all cells together" for cell in cells]
        panel.set_yticks(range(len(cells)), names if panel is panels[0] else [])
        panel.set_ylim(len(cells) - 0.5, -0.5)
        panel.set(title=QUANTITY_TITLES[quantity].capitalize(), xlabel="share (n of either run, right)", xlim=(-3, 103))
        panel.xaxis.set_major_formatter(PercentFormatter(100, decimals=0))
        panel.grid(axis="y", visible=False)
        for place in range(1, len(cells)):
            is_new = cells[place][0] != cells[place - 1][0]
            panel.axhline(place - 0.5, color=RULE if is_new else "#eef1f4", linewidth=0.6, zorder=0)
    handles = [
        Line2D([], [], color=colour, marker=marker, mfc=face, lw=width, ms=4.2, label=name)
        for (colour, marker, width), face, name in ((_FIRST, _FIRST[0], first), (_SECOND, "white", second))
    ]
    handles.append(Line2D([], [], color=INK, marker="*", ls="none", ms=5, label="sure at the 5 % level (Holm)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=2.6)
    return figure


def _dumbbell(panel: Axes, row: AgainstRow, place: int) -> None:
    right = panel.get_yaxis_transform()
    panel.text(1.09, place, f"{row.first_of} · {row.second_of}", transform=right, va="center", fontsize=5.8, color=QUIET)
    if row.p_holm is not None and row.p_holm < LEVEL:
        panel.plot(1.045, place, "*", color=INK, ms=5, transform=right, clip_on=False, zorder=5)
    if row.first_rate is not None and row.second_rate is not None:
        panel.plot([100 * row.first_rate, 100 * row.second_rate], [place - 0.13, place + 0.13], color=QUIET, lw=0.7, zorder=2)
    sides = (
        (row.first_rate, row.first_low, row.first_high, -0.13, _FIRST, _FIRST[0]),
        (row.second_rate, row.second_low, row.second_high, 0.13, _SECOND, "white"),
    )
    for rate, low, high, shift, (colour, marker, width), face in sides:
        if rate is None:
            panel.text(0, place + shift, "n/a", va="center", fontsize=5.8, color=QUIET)
            continue
        panel.plot([100 * low, 100 * high], [place + shift] * 2, color=colour, lw=width, zorder=3)
        panel.plot(100 * rate, place + shift, marker, color=colour, mfc=face, mew=0.9, ms=4.2, zorder=4)
