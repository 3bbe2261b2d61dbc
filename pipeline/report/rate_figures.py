"""The figures of rates, accuracies and capture quality, each a function of records."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.formats import DASH, span
from pipeline.document.theme import INK, QUIET, RULE
from pipeline.records import PHOTO, SOURCE, Comparison, Rate
from pipeline.report.content import CaptureQuality, ReferenceRate, TransformAxis
from pipeline.report.panels import TOP_LINES, TOP_MARKERS, case_panels, counts_beside, interval_dot, panel_grid, per_cent
from pipeline.report.words import attack_order, attack_style, attack_title, axis_of

_VARIANT_STYLES = (("clean", "#0072b2", "o", -0.15), ("adversarial", "#d55e00", "D", 0.15))


@styled
def transform_curves(rows: Iterable[Rate], case: str, epsilon_8bit: int, axes: Iterable[TransformAxis] = ()) -> Figure:
    """Returns the destruction rate over each digital transform's parameter, one panel a transform, for one case and ε.

    Solid lines are top-1 with a band for the 95 % Wilson interval, dashed ones top-5; the legend gives n eligible.
    """
    rows = [
        row
        for row in rows
        if (row.case, row.epsilon_8bit) == (case, epsilon_8bit)
        and row.transform not in (PHOTO, SOURCE)
        and row.parameter is not None
    ]
    shown = [axis_of(name, axes) for name in dict.fromkeys(row.transform for row in rows)]
    attacks = tuple(attack_order(row.attack for row in rows))
    handles = [_curve_handle(rows, attack, attacks, k) for attack in attacks for k in (1, 5)]
    figure, panels = panel_grid(
        [(axis.title, axis.label) for axis in shown], 3, 1.75, "destruction rate", list(filter(None, handles)), len(attacks)
    )
    for panel, axis, name in zip(panels, shown, dict.fromkeys(row.transform for row in rows), strict=True):
        of_transform = [row for row in rows if row.transform == name and row.rate is not None]
        for attack in attacks:
            for k in (1, 5):
                _curve(panel, [row for row in of_transform if (row.attack, row.top_k) == (attack, k)], attack, attacks, k)
        if axis.neutral is not None:
            panel.axvline(axis.neutral, color=RULE, linewidth=0.8, zorder=0)
        _rate_limits(panel, of_transform)
    return figure


@styled
def photo_rates(rows: Iterable[Rate], published: Iterable[ReferenceRate] = (), reference: str = "") -> Figure:
    """Returns the photographs' destruction rates with 95 % intervals, one panel a case, beside published ones (hollow).

    Args:
        reference: who published them.
    """
    rows = [row for row in rows if row.transform == PHOTO]
    known = {(r.case, r.attack, r.epsilon_8bit, r.top_k): r.destruction_rate for r in published}
    found = {(row.case, row.attack, row.epsilon_8bit, row.top_k): row for row in rows}
    attacks = tuple(attack_order(row.attack for row in rows))
    figure, panels, cells = case_panels(rows, 0.34, "destruction rate (n eligible: top-1 · top-5, right)")
    for case, panel in panels.items():
        for place, cell in enumerate(cells):
            for k, shift in ((1, -0.17), (5, 0.17)):
                key = (case, *cell, k)
                colour = attack_style(cell[0], attacks)[0]
                interval_dot(panel, found.get(key), place + shift, colour, TOP_MARKERS[k], line=TOP_LINES[k])
                if key in found and key in known:
                    panel.plot(100 * known[key], place + shift, TOP_MARKERS[k], color="none", mec=INK, mew=0.8, ms=5.2, zorder=4)
            rated = [found.get((case, *cell, k)) for k in (1, 5)]
            counts_beside(panel, place, " · ".join(str(row.n_eligible) if row else DASH for row in rated))
    handles = [
        Line2D([], [], marker=TOP_MARKERS[k], color=QUIET, ls=TOP_LINES[k], label=f"top-{k}, 95 % interval") for k in (1, 5)
    ]
    if found.keys() & known.keys():
        hollow: dict[str, Any] = {"color": "none", "mec": INK, "ls": "none", "ms": 5.2, "mew": 0.8}
        handles += [Line2D([], [], marker=TOP_MARKERS[k], label=f"{reference}, top-{k}", **hollow) for k in (1, 5)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


@styled
def predicted_rates(rows: Iterable[Comparison]) -> Figure:
    """Returns measured destruction rates (filled) above the predicted ones (hollow) of each cell, with 95 % intervals."""
    rows = [row for row in rows if row.quantity == "destruction_rate"]
    found = {(row.case, row.first.attack, row.first.epsilon_8bit, row.top_k): row for row in rows}
    attacks = tuple(attack_order(row.first.attack for row in rows))
    figure, panels, cells = case_panels([row.first for row in rows], 0.5, "destruction rate (n pairs: top-1 · top-5, right)")
    for case, panel in panels.items():
        for place, cell in enumerate(cells):
            colour = attack_style(cell[0], attacks)[0]
            compared = {k: found.get((case, *cell, k)) for k in (1, 5)}
            for (k, row), shift in zip(compared.items(), (-0.22, 0.22), strict=True):
                look = (colour, TOP_MARKERS[k])
                if row is None or not row.n:
                    interval_dot(panel, None, place + shift, *look)
                    continue
                interval_dot(panel, row.second, place + shift - 0.08, *look, line=TOP_LINES[k])
                interval_dot(panel, row.first, place + shift + 0.08, *look, "white", 0.8, TOP_LINES[k])
            counts_beside(panel, place, " · ".join(str(row.n) if row else DASH for row in compared.values()))
    handles = [
        Line2D([], [], marker=TOP_MARKERS[k], color=QUIET, ls=TOP_LINES[k], mfc=face, label=f"{name}, top-{k}")
        for k in (1, 5)
        for name, face in (("measured", QUIET), ("predicted", "white"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=3)
    return figure


@styled
def accuracy_by_condition(rows: Iterable[Rate], origin: str | None = None) -> Figure:
    """Returns the top-1 accuracy of clean and adversarial images, as files and, where there are any, as photographs."""
    rows = [
        row
        for row in rows
        if row.top_k == 1
        and row.rate is not None
        and (row.transform == SOURCE or (row.transform == PHOTO and origin in (None, row.origin)))
    ]
    found = {(row.case, row.attack, row.epsilon_8bit, row.variant, row.transform): row for row in rows}
    figure, panels, cells = case_panels(rows, 0.28, "")
    for case, panel in panels.items():
        for place, cell in enumerate(cells):
            for variant, colour, marker, shift in _VARIANT_STYLES:
                rated = [found.get((case, *cell, variant, transform)) for transform in (SOURCE, PHOTO)]
                shown = [per_cent(row.rate) for row in rated if row]
                panel.plot(shown, [place + shift] * len(shown), color=colour, linewidth=1.0, alpha=0.5, zorder=2)
                for row, face in zip(rated, ("white", colour), strict=True):
                    if row:
                        panel.plot(per_cent(row.rate), place + shift, marker, mfc=face, mec=colour, mew=1.0, ms=3.8, zorder=3)
        n = span(row.n_eligible for row in rows if row.case == case)
        panel.set_xlabel(f"top-1 accuracy (n = {n} images a cell)")
    has_photos = any(row.transform == PHOTO for row in rows)
    handles = [
        Line2D([], [], marker=marker, ls="none", mec=colour, mfc=face, label=f"{variant}, {name}")
        for variant, colour, marker, _ in _VARIANT_STYLES
        for name, face in (("file", "white"), ("photograph", colour))[: 1 + has_photos]
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


@styled
def capture_quality(quality: Iterable[CaptureQuality]) -> Figure:
    """Returns how the photographs came out: one panel a measure, one tick a photograph, a line at the median."""
    quality = tuple(quality)
    measures = (
        ("registration_error_px", "Registration error", "crop pixels"),
        ("reprojection_rms_px", "Reprojection error", "RMS, photo pixels"),
        ("sharpness", "Sharpness", "median of the crops"),
        ("photo_px_per_image_px", "Resolution", "photo px per image px"),
    )
    shown = [m for m in measures if any(getattr(photo, m[0]) is not None for photo in quality)]
    figure = Figure(figsize=(WIDTH_IN, 1.9), layout="constrained")
    panels = figure.subplots(1, max(1, len(shown)), squeeze=False)[0]
    for panel, (name, title, unit) in zip(panels, shown, strict=False):
        values = [getattr(photo, name) for photo in quality if getattr(photo, name) is not None]
        _histogram(panel, values)
        panel.set(title=title, xlabel=f"{unit}\n(n = {len(values)})")
        if panel is panels[0]:
            panel.set_ylabel("photographs")
    return figure


def _curve(panel: Axes, rows: Sequence[Rate], attack: str, attacks: tuple[str, ...], top_k: int) -> None:
    if not rows:
        return
    rows = sorted(rows, key=lambda row: row.parameter or 0.0)
    x, look = [row.parameter or 0.0 for row in rows], _curve_look(attack, attacks, top_k)
    panel.plot(x, [per_cent(row.rate) for row in rows], label=f"{attack} top-{top_k}", zorder=3, **look)
    if top_k == 1:
        low, high = [per_cent(row.low) for row in rows], [per_cent(row.high) for row in rows]
        panel.fill_between(x, low, high, color=look["color"], alpha=0.12, linewidth=0, zorder=1)


def _curve_handle(rows: Sequence[Rate], attack: str, attacks: tuple[str, ...], top_k: int) -> Line2D | None:
    eligible = [row.n_eligible for row in rows if (row.attack, row.top_k) == (attack, top_k)]
    label = f"{attack_title(attack)}, top-{top_k} (n = {span(eligible)})"
    return Line2D([], [], label=label, **_curve_look(attack, attacks, top_k)) if eligible else None


def _curve_look(attack: str, attacks: tuple[str, ...], top_k: int) -> dict[str, Any]:
    colour, marker = attack_style(attack, attacks)
    face = colour if top_k == 1 else "white"
    return {"color": colour, "marker": marker, "linestyle": TOP_LINES[top_k], "mfc": face, "mew": 0.8}


def _rate_limits(panel: Axes, rows: Sequence[Rate]) -> None:
    """A weak transform gets a closer scale, from a short list so that panels of one scale are easy to compare."""
    highest = max((per_cent(row.high) if row.top_k == 1 else 1.1 * per_cent(row.rate) for row in rows), default=0.0)
    top = next(limit for limit in (25, 50, 101) if limit >= highest or limit > 100)
    panel.set_ylim(-0.02 * top, top + 0.01 * top)


def _histogram(panel: Axes, values: Sequence[float]) -> None:
    """Bars with the single photographs as ticks beneath: with a dozen photos the bars alone would hide too much."""
    spread = max(values) - min(values)
    middle = sum(values) / len(values)
    half = max(spread / 2, 0.05 * abs(middle), 1e-3) * 1.15
    centre = (max(values) + min(values)) / 2
    n_bins = min(20, max(6, round(len(values) ** 0.5) * 2))
    panel.hist(
        values, bins=n_bins, range=(centre - half, centre + half), color="#9fc5de", edgecolor="white", linewidth=0.6, zorder=2
    )
    panel.plot(
        values,
        [-0.045] * len(values),
        "|",
        color="#0072b2",
        ms=4.5,
        mew=0.8,
        transform=panel.get_xaxis_transform(),
        clip_on=False,
        zorder=3,
    )
    panel.axvline(median(values), color=INK, linewidth=0.9, linestyle=(0, (3, 2)), zorder=4)
    panel.tick_params(axis="x", pad=5)
    panel.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    panel.xaxis.set_major_locator(MaxNLocator(3))
    panel.grid(axis="x", visible=False)
