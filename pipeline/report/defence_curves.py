"""The figure of defences over ε: what is right behind each as attacks grow stronger, as files and in photographs."""

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from pipeline.document.figures import styled
from pipeline.records import NO_DEFENCE, PHOTO, SOURCE, UNAWARE, DefenceRow
from pipeline.report.rate_figures import panel_grid, per_cent
from pipeline.report.words import ORIGIN_TITLES, attack_order, attack_title

_NONE_STYLE = ("#1d2733", "o")
_STYLES = (
    ("#0072b2", "s"), ("#d55e00", "D"), ("#009e73", "^"), ("#cc79a7", "v"), ("#e69f00", "P"), ("#56b4e9", "X"), ("#b8a900", "*"),
)  # fmt: skip
# How far apart, in points, the interval bars of the outermost lines of one ε are drawn.
_SPREAD_PT = 14.0


def curved(rows: Sequence[DefenceRow]) -> list[DefenceRow]:
    """Returns the rows of the attacks that were made at two epsilons or more."""
    epsilons: dict[str, set[int]] = {}
    for row in rows:
        epsilons.setdefault(row.attack, set()).add(row.epsilon_8bit)
    return [row for row in rows if len(epsilons[row.attack]) > 1]


@styled
def defence_curves(rows: Sequence[DefenceRow]) -> Figure:
    """Returns the accuracy of adversarial images over ε: a row of panels an attack, one of files and one of photographs.

    A colour and a marker a defence, solid and filled for the attacker who knows it, dashed and hollow for the one who does not.
    """
    defences = [defence for defence in dict.fromkeys(row.defence for row in rows) if defence]
    looks = {"": _NONE_STYLE} | dict(zip(defences, itertools.cycle(_STYLES), strict=False))
    attacks, transforms = attack_order(row.attack for row in rows), [SOURCE, PHOTO]
    transforms = [transform for transform in transforms if any(row.transform == transform for row in rows)]
    titles = {row.transform: f"{ORIGIN_TITLES[row.origin]} photographs" if row.transform == PHOTO else "files" for row in rows}
    axes = [(f"{attack_title(attack)}, {titles[transform]}", "ε") for attack in attacks for transform in transforms]
    lines = list(dict.fromkeys((row.defence, row.attacker) for row in rows))
    handles = [_handle(looks[defence], attacker, defence) for defence, attacker in lines]
    figure, panels = panel_grid(axes, len(transforms), 2.0, "adversarial images right", handles, 3)
    for panel, (attack, transform) in zip(panels, itertools.product(attacks, transforms), strict=True):
        here = [row for row in rows if (row.attack, row.transform) == (attack, transform)]
        for place, (defence, attacker) in enumerate(lines):
            of_line = [row for row in here if (row.defence, row.attacker) == (defence, attacker)]
            shift = _SPREAD_PT * (place / (len(lines) - 1) - 0.5) if len(lines) > 1 else 0.0
            _line(panel, of_line, looks[defence], attacker, shift)
        epsilons = sorted({row.epsilon_8bit for row in here})
        panel.set_xscale("log", base=2)
        panel.set_xticks(epsilons, list(map(str, epsilons)))
        panel.minorticks_off()
        panel.set_xlim(epsilons[0] / 1.25, epsilons[-1] * 1.25)
        panel.set_ylim(-3, 103)
    return figure


def _line(panel: Axes, rows: Sequence[DefenceRow], look: tuple[str, str], attacker: str, shift_pt: float) -> None:
    """Draws the accuracies of one defence and attacker with their intervals, moved sideways by some points."""
    known = [row for row in sorted(rows, key=lambda row: row.epsilon_8bit) if row.adversarial.rate is not None]
    moved = panel.transData + ScaledTranslation(shift_pt / 72, 0, panel.figure.dpi_scale_trans)
    for row in known:
        _, low, high = row.adversarial.known
        ends = [per_cent(low), per_cent(high)]
        panel.plot([row.epsilon_8bit] * 2, ends, color=look[0], lw=0.7, alpha=0.6, transform=moved, zorder=2)
    at = [row.epsilon_8bit for row in known], [per_cent(row.adversarial.rate) for row in known]
    panel.plot(*at, transform=moved, zorder=3, **_look(look, attacker))


def _look(look: tuple[str, str], attacker: str) -> dict[str, Any]:
    colour, marker = look
    is_unaware = attacker == UNAWARE
    dashes: Any = (0, (3, 1.6)) if is_unaware else "-"
    return {"color": colour, "marker": marker, "ls": dashes, "mfc": "white" if is_unaware else colour, "mew": 0.8}


def _handle(look: tuple[str, str], attacker: str, defence: str) -> Line2D:
    label = "no defence" if attacker == NO_DEFENCE else f"{defence}, {attacker}"
    return Line2D([], [], label=label, **_look(look, attacker))
