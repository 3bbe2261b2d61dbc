"""The figures of rates, accuracies and capture quality, each a function of records."""

from collections.abc import Iterable, Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.formats import span
from pipeline.document.theme import INK, QUIET, RULE
from pipeline.records import CASES, PHOTO, SOURCE, Comparison, Rate
from pipeline.report.content import CaptureQuality, ReferenceRate, TransformAxis
from pipeline.report.words import CASE_TITLES, attack_order, attack_style, attack_title, axis_of, cell_title

_TALLEST_IN = 7.5
_TOP_MARKERS = {1: "o", 5: "s"}
_TOP_LINES = {1: "-", 5: (0, (3, 1.6))}
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
    names = list(dict.fromkeys(row.transform for row in rows))
    attacks = tuple(attack_order(row.attack for row in rows))
    n_columns = min(3, max(1, len(names)))
    n_rows = max(1, -(-len(names) // n_columns))
    has_spare = n_rows * n_columns > len(names)
    height = 1.75 * n_rows + (0.15 if has_spare else 0.75)
    figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    panels = list(grid.flat)
    for place, name in enumerate(names):
        panel, axis = panels[place], axis_of(name, axes)
        for attack in attacks:
            for k in (1, 5):
                _curve(panel, [r for r in rows if (r.transform, r.attack, r.top_k) == (name, attack, k)], attack, attacks, k)
        if axis.neutral is not None:
            panel.axvline(axis.neutral, color=RULE, linewidth=0.8, zorder=0)
        panel.set(title=axis.title, xlabel=axis.label)
        _rate_limits(panel, [row for row in rows if row.transform == name and row.rate is not None])
        panel.yaxis.set_major_formatter(PercentFormatter(100, decimals=0))
        if place % n_columns == 0:
            panel.set_ylabel("destruction rate")
    handles = _curve_handles(rows, attacks)
    for spare in panels[len(names) :]:
        spare.set_axis_off()
    if has_spare:
        panels[-1].legend(handles=handles, loc="center", handlelength=3.2, labelspacing=0.8)
    elif handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(attacks)), handlelength=3.2)
    return figure


@styled
def photo_rates(rows: Iterable[Rate], published: Iterable[ReferenceRate] = (), reference: str = "") -> Figure:
    """Returns the photographs' destruction rates with 95 % intervals, one panel a case, beside published ones (hollow).

    Args:
        reference: who published them.
    """
    rows = [row for row in rows if row.transform == PHOTO]
    cells = _cells(rows)
    cases = [case for case in CASES if any(row.case == case for row in rows)]
    known = {(r.case, r.attack, r.epsilon_8bit, r.top_k): r.destruction_rate for r in published}
    attacks = tuple(attack_order(row.attack for row in rows))
    figure = Figure(figsize=(WIDTH_IN, 0.9 + min(_TALLEST_IN, 0.34 * max(2, len(cells)))), layout="constrained")
    panels = figure.subplots(1, max(1, len(cases)), squeeze=False)[0]
    found = {(row.case, row.attack, row.epsilon_8bit, row.top_k): row for row in rows}
    has_published = False
    for panel, case in zip(panels, cases, strict=False):
        for place, (attack, epsilon) in enumerate(cells):
            for k, shift in ((1, -0.17), (5, 0.17)):
                row = found.get((case, attack, epsilon, k))
                _rate_dot(panel, row, place + shift, attack_style(attack, attacks)[0], k)
                if row is not None and (case, attack, epsilon, k) in known:
                    has_published = True
                    value = 100 * known[case, attack, epsilon, k]
                    panel.plot(value, place + shift, _TOP_MARKERS[k], color="none", mec=INK, mew=0.8, ms=5.2, zorder=4)
        _cell_axis(panel, cells, panel is panels[0])
        panel.set(
            title=CASE_TITLES[case].capitalize(), xlabel="destruction rate (n eligible: top-1 · top-5, right)", xlim=(-2, 102)
        )
        for place, (attack, epsilon) in enumerate(cells):
            eligible = [found.get((case, attack, epsilon, k)) for k in (1, 5)]
            text = " · ".join(str(row.n_eligible) if row else "–" for row in eligible)
            panel.text(1.015, place, text, transform=panel.get_yaxis_transform(), va="center", fontsize=5.8, color=QUIET)
    handles = [
        Line2D([], [], marker=_TOP_MARKERS[k], color=QUIET, ls=_TOP_LINES[k], label=f"top-{k}, 95 % interval") for k in (1, 5)
    ]
    if has_published:
        hollow = {"color": "none", "mec": INK, "ls": "none", "ms": 5.2, "mew": 0.8}
        handles += [Line2D([], [], marker=_TOP_MARKERS[k], label=f"{reference}, top-{k}", **hollow) for k in (1, 5)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


@styled
def predicted_rates(rows: Iterable[Comparison]) -> Figure:
    """Returns measured destruction rates (filled) above the predicted ones (hollow) of each cell, with 95 % intervals."""
    rows = [row for row in rows if row.quantity == "destruction_rate"]
    cells = _cells(row.first for row in rows)
    cases = [case for case in CASES if any(row.case == case for row in rows)]
    attacks = tuple(attack_order(row.first.attack for row in rows))
    found = {(row.case, row.first.attack, row.first.epsilon_8bit, row.top_k): row for row in rows}
    figure = Figure(figsize=(WIDTH_IN, 0.9 + min(_TALLEST_IN, 0.5 * max(2, len(cells)))), layout="constrained")
    panels = figure.subplots(1, max(1, len(cases)), squeeze=False)[0]
    for panel, case in zip(panels, cases, strict=False):
        for place, (attack, epsilon) in enumerate(cells):
            colour = attack_style(attack, attacks)[0]
            for k, shift in ((1, -0.22), (5, 0.22)):
                _two_dots(panel, found.get((case, attack, epsilon, k)), place + shift, colour, k)
            n = " · ".join(str(row.n) if (row := found.get((case, attack, epsilon, k))) else "–" for k in (1, 5))
            panel.text(1.015, place, n, transform=panel.get_yaxis_transform(), va="center", fontsize=5.8, color=QUIET)
        _cell_axis(panel, cells, panel is panels[0])
        label = "destruction rate (n pairs: top-1 · top-5, right)"
        panel.set(title=CASE_TITLES[case].capitalize(), xlabel=label, xlim=(-2, 102))
    handles = [
        Line2D([], [], marker=_TOP_MARKERS[k], color=QUIET, ls=_TOP_LINES[k], mfc=face, label=f"{name}, top-{k}")
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
    cells = _cells(rows)
    cases = [case for case in CASES if any(row.case == case for row in rows)]
    found = {(row.case, row.attack, row.epsilon_8bit, row.variant, row.transform): row for row in rows}
    figure = Figure(figsize=(WIDTH_IN, 0.9 + min(_TALLEST_IN, 0.28 * max(2, len(cells)))), layout="constrained")
    panels = figure.subplots(1, max(1, len(cases)), squeeze=False)[0]
    for panel, case in zip(panels, cases, strict=False):
        for place, (attack, epsilon) in enumerate(cells):
            for variant, colour, marker, shift in _VARIANT_STYLES:
                points = [found.get((case, attack, epsilon, variant, transform)) for transform in (SOURCE, PHOTO)]
                shown = [100 * row.rate for row in points if row]
                panel.plot(shown, [place + shift] * len(shown), color=colour, linewidth=1.0, alpha=0.5, zorder=2)
                for row, face in zip(points, ("white", colour), strict=True):
                    if row:
                        panel.plot(100 * row.rate, place + shift, marker, mfc=face, mec=colour, mew=1.0, ms=3.8, zorder=3)
        _cell_axis(panel, cells, panel is panels[0])
        counts = [row.n_eligible for row in rows if row.case == case]
        panel.set(title=CASE_TITLES[case].capitalize(), xlabel=_n_label("top-1 accuracy", counts))
        panel.set_xlim(-2, 102)
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
    rows = sorted((row for row in rows if row.rate is not None), key=lambda row: row.parameter)
    if not rows:
        return
    colour, marker = attack_style(attack, attacks)
    x = [row.parameter for row in rows]
    panel.plot(
        x,
        [100 * row.rate for row in rows],
        color=colour,
        marker=marker,
        linestyle=_TOP_LINES[top_k],
        markerfacecolor=colour if top_k == 1 else "white",
        markeredgewidth=0.8,
        label=f"{attack} top-{top_k}",
        zorder=3,
    )
    if top_k == 1:
        low, high = [100 * row.low for row in rows], [100 * row.high for row in rows]
        panel.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0, zorder=1)


def _rate_limits(panel: Axes, rows: Sequence[Rate]) -> None:
    """A weak transform gets a closer scale, from a short list so that panels of one scale are easy to compare."""
    highest = max((row.high if row.top_k == 1 else 1.1 * row.rate for row in rows), default=0.0)
    top = next(limit for limit in (25, 50, 101) if limit >= 100 * highest or limit > 100)
    panel.set_ylim(-0.02 * top, top + 0.01 * top)


def _curve_handles(rows: Sequence[Rate], attacks: tuple[str, ...]) -> list[Line2D]:
    handles = []
    for attack in attacks:
        colour, marker = attack_style(attack, attacks)
        for k in (1, 5):
            eligible = [row.n_eligible for row in rows if (row.attack, row.top_k) == (attack, k)]
            if eligible:
                n = span(eligible)
                handles.append(
                    Line2D(
                        [],
                        [],
                        color=colour,
                        marker=marker,
                        linestyle=_TOP_LINES[k],
                        mfc=colour if k == 1 else "white",
                        mew=0.8,
                        label=f"{attack_title(attack)}, top-{k} (n = {n})",
                    )
                )
    return handles


def _rate_dot(panel: Axes, row: Rate | None, y: float, colour: str, top_k: int) -> None:
    if row is None or row.rate is None:
        panel.text(0, y, "n/a", va="center", fontsize=5.8, color=QUIET)
        return
    (line,) = panel.plot([100 * row.low, 100 * row.high], [y, y], color=colour, linewidth=1.3, solid_capstyle="butt", zorder=2)
    line.set_linestyle(_TOP_LINES[top_k])
    panel.plot(100 * row.rate, y, _TOP_MARKERS[top_k], color=colour, ms=4.2, zorder=3)


def _two_dots(panel: Axes, row: Comparison | None, y: float, colour: str, top_k: int) -> None:
    if row is None or not row.n:
        panel.text(0, y, "n/a", va="center", fontsize=5.8, color=QUIET)
        return
    for side, shift, face, width in ((row.second, -0.08, colour, 1.3), (row.first, 0.08, "white", 0.8)):
        (line,) = panel.plot([100 * side.low, 100 * side.high], [y + shift] * 2, color=colour, linewidth=width, zorder=2)
        line.set_linestyle(_TOP_LINES[top_k])
        panel.plot(100 * side.rate, y + shift, _TOP_MARKERS[top_k], color=colour, mfc=face, mew=0.9, ms=4.2, zorder=3)


def _cell_axis(panel: Axes, cells: Sequence[tuple[str, int]], is_labelled: bool) -> None:
    panel.set_yticks(range(len(cells)), [cell_title(attack, epsilon) for attack, epsilon in cells] if is_labelled else [])
    panel.set_ylim(max(1, len(cells)) - 0.5, -0.5)
    panel.xaxis.set_major_formatter(PercentFormatter(100, decimals=0))
    panel.grid(axis="y", visible=False)
    for place in range(1, len(cells)):
        is_new_attack = cells[place][0] != cells[place - 1][0]
        panel.axhline(place - 0.5, color=RULE if is_new_attack else "#eef1f4", linewidth=0.6, zorder=0)


def _cells(rows: Iterable[Rate]) -> list[tuple[str, int]]:
    rows = list(rows)
    order = attack_order(row.attack for row in rows)
    return sorted({(row.attack, row.epsilon_8bit) for row in rows}, key=lambda cell: (order.index(cell[0]), -cell[1]))


def _n_label(name: str, counts: Sequence[int]) -> str:
    if not counts:
        return name
    return f"{name} (n = {span(counts)} images a cell)"


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
