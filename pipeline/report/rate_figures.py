"""The figures of rates, accuracies and capture quality, each a function of records, and the panels that they share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import nan
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.formats import DASH, span
from pipeline.document.theme import INK, PALE_RULE, QUIET, RULE
from pipeline.records import PHOTO, SOURCE, Cell, Comparison, Estimate, Rate
from pipeline.report.cell_tables import cell_of, ordered_cells
from pipeline.report.content import CaptureQuality, ReferenceRate
from pipeline.report.words import CASE_TITLES, attack_order, attack_style, attack_title, axis_of, cell_title, tops

# Marker and line of top-1, and of the other top-k.
_TOP_LOOKS: dict[bool, tuple[str, Any]] = {True: ("o", "-"), False: ("s", (0, (3, 1.6)))}
_VARIANT_STYLES = (("clean", "#0072b2", "o", -0.15), ("adversarial", "#d55e00", "D", 0.15))
_TALLEST_IN = 7.5
_Key = tuple[str, str, int, int]


@styled
def transform_curves(rows: Iterable[Rate], case: str, epsilon_8bit: int) -> Figure:
    """Returns the destruction rate over each digital transform's parameter, one panel a transform, for one case and ε.

    Solid lines are top-1 with a band for the 95 % Wilson interval, dashed ones the other top-k; the legend gives n eligible.
    """
    rows = [row for row in rows if (row.case, row.epsilon_8bit) == (case, epsilon_8bit) and row.parameter is not None]
    rows = [row for row in rows if row.transform not in (PHOTO, SOURCE)]
    shown = [axis_of(name) for name in dict.fromkeys(row.transform for row in rows)]
    attacks = tuple(attack_order(row.attack for row in rows))
    lines: list[tuple[str, int, dict[str, Any]]] = []
    handles = []
    for attack, k in product(attacks, sorted({row.top_k for row in rows})):
        colour, marker = attack_style(attack, attacks)
        face = colour if k == 1 else "white"
        look = {"color": colour, "marker": marker, "linestyle": _top_look(k)[1], "mfc": face, "mew": 0.8}
        lines.append((attack, k, look))
        if eligible := [row.n_eligible for row in rows if (row.attack, row.top_k) == (attack, k)]:
            handles.append(Line2D([], [], label=f"{attack_title(attack)}, top-{k} (n = {span(eligible)})", **look))
    titles = [(axis.title, axis.label) for axis in shown]
    figure, panels = panel_grid(titles, 3, 1.75, "destruction rate", handles, len(attacks))
    for panel, axis in zip(panels, shown, strict=True):
        of_transform = [row for row in rows if row.transform == axis.name and row.rate is not None]
        for attack, k, look in lines:
            _curve(panel, [row for row in of_transform if (row.attack, row.top_k) == (attack, k)], look)
        if axis.neutral is not None:
            panel.axvline(axis.neutral, color=RULE, linewidth=0.8, zorder=0)
        # A weak transform gets a closer scale, from a short list so that panels of one scale are easy to compare.
        ends = (per_cent(row.high) if row.top_k == 1 else 1.1 * per_cent(row.rate) for row in of_transform)
        highest = max(ends, default=0.0)
        top = next(limit for limit in (25, 50, 101) if limit >= highest or limit > 100)
        panel.set_ylim(-0.02 * top, top + 0.01 * top)
    return figure


@styled
def photo_rates(rows: Iterable[Rate], published: Iterable[ReferenceRate] = (), reference: str = "") -> Figure:
    """Returns the photographs' destruction rates with 95 % intervals, a panel a case, beside those that `reference` published."""
    known = {(*cell_of(row), row.top_k): row.destruction_rate for row in published}
    found = {(*cell_of(row), row.top_k): row for row in rows if row.transform == PHOTO}
    counts = {key: row.n_eligible for key, row in found.items()}
    top_ks = _top_ks(counts)
    figure, spots = _spots(counts, 0.34, "destruction rate (n eligible", 0.17)
    for panel, key, y, colour in spots:
        marker, line = _top_look(key[3])
        interval_dot(panel, found.get(key), y, colour, marker, line=line)
        if key in found and key in known:
            panel.plot(100 * known[key], y, marker, color="none", mec=INK, mew=0.8, ms=5.2, zorder=4)
    handles = [_top_handle(k, f"top-{k}, 95 % interval") for k in top_ks]
    if found.keys() & known.keys():
        hollow: dict[str, Any] = {"color": "none", "mec": INK, "ls": "none", "ms": 5.2, "mew": 0.8}
        handles += [Line2D([], [], marker=_top_look(k)[0], label=f"{reference}, top-{k}", **hollow) for k in top_ks]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


@styled
def predicted_rates(rows: Iterable[Comparison]) -> Figure:
    """Returns measured destruction rates (filled) above the predicted ones (hollow) of each cell, with 95 % intervals."""
    found = {(*cell_of(row.first), row.top_k): row for row in rows if row.quantity == "destruction_rate"}
    counts = {key: row.n for key, row in found.items()}
    figure, spots = _spots(counts, 0.5, "destruction rate (n pairs", 0.22)
    for panel, key, y, colour in spots:
        row, (marker, line) = found.get(key), _top_look(key[3])
        if row is None or not row.n:
            interval_dot(panel, None, y, colour, marker)
            continue
        interval_dot(panel, row.second, y - 0.08, colour, marker, line=line)
        interval_dot(panel, row.first, y + 0.08, colour, marker, "white", 0.8, line)
    handles = [
        _top_handle(k, f"{name}, top-{k}", face)
        for k in _top_ks(counts)
        for name, face in (("measured", QUIET), ("predicted", "white"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=3)
    return figure


@styled
def accuracy_by_condition(rows: Iterable[Rate], origin: str | None = None) -> Figure:
    """Returns the top-1 accuracy of clean and adversarial images, as files and, where there are any, as photographs."""
    rows = [row for row in rows if row.transform == SOURCE or (row.transform == PHOTO and origin in (None, row.origin))]
    rows = [row for row in rows if row.top_k == 1 and row.rate is not None]
    found = {(*cell_of(row), row.variant, row.transform): row for row in rows}
    figure, panels, cells = case_panels(map(cell_of, rows), 0.28, "")
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
    measures = (
        ("registration_error_px", "Registration error", "crop pixels"),
        ("reprojection_rms_px", "Reprojection error", "RMS, photo pixels"),
        ("sharpness", "Sharpness", "median of the crops"),
        ("photo_px_per_image_px", "Resolution", "photo px per image px"),
    )
    photos = tuple(quality)
    known = {name: [value for photo in photos if (value := getattr(photo, name)) is not None] for name, _, _ in measures}
    shown = [measure for measure in measures if known[measure[0]]]
    figure = Figure(figsize=(WIDTH_IN, 1.9), layout="constrained")
    panels = figure.subplots(1, max(1, len(shown)), squeeze=False)[0]
    for panel, (name, title, unit) in zip(panels, shown, strict=False):
        # Bars with the single photographs as ticks beneath: with a dozen photos the bars alone would hide too much.
        values, n = known[name], len(known[name])
        least, most, middle = min(values), max(values), sum(values) / n
        half, centre = max((most - least) / 2, 0.05 * abs(middle), 1e-3) * 1.15, (most + least) / 2
        bars: dict[str, Any] = {"color": "#9fc5de", "edgecolor": "white", "linewidth": 0.6, "zorder": 2}
        panel.hist(values, min(20, max(6, round(n**0.5) * 2)), range=(centre - half, centre + half), **bars)
        ticks: dict[str, Any] = {"color": "#0072b2", "ms": 4.5, "mew": 0.8, "clip_on": False, "zorder": 3}
        panel.plot(values, [-0.045] * n, "|", transform=panel.get_xaxis_transform(), **ticks)
        panel.axvline(median(values), color=INK, linewidth=0.9, linestyle=(0, (3, 2)), zorder=4)
        panel.tick_params(axis="x", pad=5)
        panel.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.grid(axis="x", visible=False)
        panel.set(title=title, xlabel=f"{unit}\n(n = {n})")
        if panel is panels[0]:
            panel.set_ylabel("photographs")
    return figure


def case_panels(
    found: Iterable[Cell], line_in: float, xlabel: str, n_lines: int = 1
) -> tuple[Figure, dict[str, Axes], list[tuple[str, int]]]:
    """Returns a figure with a panel for each case that is found, and the (attack, epsilon) that have `n_lines` lines in each."""
    kept = set(found)
    cells = [cell[1:] for cell in ordered_cells(("", *cell[1:]) for cell in kept)]
    titles = {case: title.capitalize() for case, title in CASE_TITLES.items() if any(cell[0] == case for cell in kept)}
    figure, panels = cell_panels(titles, cells, 0.9 + line_in * max(2, len(cells)), xlabel, n_lines)
    return figure, panels, cells


def cell_panels(
    titles: Mapping[str, str], cells: Sequence[tuple[str, int]], height_in: float, xlabel: str, n_lines: int = 1
) -> tuple[Figure, dict[str, Axes]]:
    """Returns a figure with a panel for each key of `titles`, in which the cells stand beneath each other over per cent.

    Cells of several lines are all set apart alike, others where the attack changes.
    """
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
    """Returns a figure with a panel for each (title, label of x) over per cent.

    Its legend stands in a spare panel, or below with `n_beside` entries side by side, three at most.
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


def _spots(
    counts: Mapping[_Key, int], line_in: float, xlabel: str, shift: float
) -> tuple[Figure, Iterator[tuple[Axes, _Key, float, str]]]:
    """Returns a figure with a panel a case, and where in it and in which colour each (case, attack, epsilon, top k) is drawn.

    The counts of a cell are written beside it when all its top k are; `xlabel` is open where it says which.
    """
    top_ks = _top_ks(counts)
    label = f"{xlabel}: {tops(top_ks, ' · ')}, right)"
    figure, panels, cells = case_panels((key[:3] for key in counts), line_in, label)
    attacks = tuple(dict.fromkeys(attack for attack, _ in cells))

    def places() -> Iterator[tuple[Axes, _Key, float, str]]:
        for case, panel in panels.items():
            for place, cell in enumerate(cells):
                for k, y in zip(top_ks, (place - shift, place + shift) if len(top_ks) > 1 else (place,), strict=True):
                    yield panel, (case, *cell, k), y, attack_style(cell[0], attacks)[0]
                counts_beside(panel, place, " · ".join(str(counts.get((case, *cell, k), DASH)) for k in top_ks))

    return figure, places()


def _top_ks(counts: Iterable[_Key]) -> list[int]:
    return sorted({k for *_, k in counts})


def _top_look(k: int) -> tuple[str, Any]:
    return _TOP_LOOKS[k == 1]


def _top_handle(k: int, label: str, face: str = QUIET) -> Line2D:
    marker, line = _top_look(k)
    return Line2D([], [], marker=marker, color=QUIET, ls=line, mfc=face, label=label)


def _curve(panel: Axes, rows: Sequence[Rate], look: Mapping[str, Any]) -> None:
    if not rows:
        return
    rows = sorted(rows, key=lambda row: row.parameter or 0.0)
    x = [row.parameter or 0.0 for row in rows]
    panel.plot(x, [per_cent(row.rate) for row in rows], label=f"{rows[0].attack} top-{rows[0].top_k}", zorder=3, **look)
    if rows[0].top_k == 1:
        low, high = [per_cent(row.low) for row in rows], [per_cent(row.high) for row in rows]
        panel.fill_between(x, low, high, color=look["color"], alpha=0.12, linewidth=0, zorder=1)
