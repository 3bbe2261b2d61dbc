"""Two runs' rates as dumbbells: one line a cell, the one run filled and the other hollow, told apart without colour too."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.document.figures import styled
from pipeline.document.theme import INK, QUIET
from pipeline.records import Comparison
from pipeline.report.comparisons import QUANTITY_TITLES, is_sure
from pipeline.report.panels import cell_panels, counts_beside, interval_dot
from pipeline.report.words import attack_order

_FIRST, _SECOND = ("#0072b2", "o", 1.5), ("#d55e00", "s", 0.8)


@styled
def against_figure(rows: Sequence[Comparison], first: str, second: str) -> Figure:
    """Returns both runs' rates of one case, a panel for each rate of photographs (of files, where there are none).

    Args:
        rows: of one case and top k.
    """
    table = "photo" if any(row.kind == "photo" for row in rows) else "file"
    of_cells = [row for row in rows if row.kind == table]
    transform = of_cells[0].first.transform if of_cells else ""
    shown = [row for row in rows if row.kind == "overall" and row.first.transform == transform] + of_cells
    order = attack_order(row.first.attack for row in of_cells)
    cells = sorted(set(map(_cell, shown)), key=lambda cell: (order.index(cell[0]) if cell[0] else -1, -cell[1]))
    quantities = [
        name for name in ("destruction_rate", "adversarial_accuracy", "clean_accuracy") if any(r.quantity == name for r in shown)
    ]
    titles = {name: QUANTITY_TITLES[name].capitalize() for name in quantities}
    height_in = 0.95 + 0.34 * max(2, len(cells))
    figure, panels = cell_panels(titles, cells, height_in, "share (n of either run, right)")
    for row in (row for row in shown if row.quantity in panels):
        _dumbbell(panels[row.quantity], row, cells.index(_cell(row)))
    handles = [
        Line2D([], [], color=colour, marker=marker, mfc=face, lw=width, ms=4.2, label=name)
        for (colour, marker, width), face, name in ((_FIRST, _FIRST[0], first), (_SECOND, "white", second))
    ]
    handles.append(Line2D([], [], color=INK, marker="*", ls="none", ms=5, label="significant at the 5 % level (Holm)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=2.6)
    return figure


def _cell(row: Comparison) -> tuple[str, int]:
    return row.first.attack, row.first.epsilon_8bit


def _dumbbell(panel: Axes, row: Comparison, place: int) -> None:
    counts_beside(panel, place, f"{row.first.n_eligible} · {row.second.n_eligible}", 1.09)
    if is_sure(row):
        right = panel.get_yaxis_transform()
        panel.plot(1.045, place, "*", color=INK, ms=5, transform=right, clip_on=False, zorder=5)
    if row.first.rate is not None and row.second.rate is not None:
        panel.plot([100 * row.first.rate, 100 * row.second.rate], [place - 0.13, place + 0.13], color=QUIET, lw=0.7, zorder=1)
    for side, shift, (colour, marker, width), face in ((row.first, -0.13, _FIRST, ""), (row.second, 0.13, _SECOND, "white")):
        interval_dot(panel, side, place + shift, colour, marker, face, width)
