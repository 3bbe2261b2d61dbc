"""The calibration's report as a PDF: what the photos show against what the fitted profile says, and every parameter."""

import io
import math
from collections import defaultdict
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable
from skimage.color import deltaE_ciede2000, rgb2lab

from pipeline.document import theme
from pipeline.document.blocks import Head
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.flowables import Gap, figure_block, prose, text_table
from pipeline.document.pages import MIXED_BAND, SIMULATED_BAND, Heading, PaperDocument
from pipeline.document.theme import ACCENT, INK, QUIET, RIGHT, WRONG
from pipeline.images.colour import srgb_from_linear
from pipeline.physical.calibration.edges import FREQUENCIES, half_contrast, mtf_by_direction
from pipeline.physical.calibration.fit import Calibration
from pipeline.physical.calibration.measuring import Measured
from pipeline.physical.calibration.twin import MIN_NOISE_PIXELS
from pipeline.physical.printing.chart import GREY_STEPS
from pipeline.physical.simulator.printer import gamut, print_table

_WIDTHS_MM = (38.0, 42.0, 14.0, 16.0, 26.0, 34.0)
_CHANNELS = (("red", WRONG), ("green", RIGHT), ("blue", ACCENT))
_PER_ROW = 11
_ARROW_RATE = 0.06


def build_calibration_report(calibration: Calibration, profile_file: str) -> bytes:
    """Returns the report as a PDF (A4, fonts embedded), the same bytes for the same calibration."""
    theme.register_fonts()
    buffer = io.BytesIO()
    n_simulated, title = calibration.n_simulated, f"Calibration of {profile_file}"
    words = "" if not n_simulated else SIMULATED_BAND if n_simulated == len(calibration.photos) else MIXED_BAND
    PaperDocument(buffer, Head(title, profile_file, words)).build(_story(calibration, title))
    return buffer.getvalue()


def _story(calibration: Calibration, title: str) -> list[Flowable]:
    styles = theme.styles()
    n = len(calibration.photos)
    names = ", ".join(photo.name for photo in calibration.photos)
    patches, mean, worst = colour_errors(calibration)
    rows = [
        (p.key, shown(p.value), "" if p.sd is None else rounded(p.sd), p.unit, shown(p.base), p.source)
        for p in calibration.parameters
    ]
    names_of_columns = ("parameter", "fitted", "±", "unit", "base", "from")
    story: list[Flowable] = [
        Heading(escape(title), styles["title"], "calibration"),
        prose(escape(f"Base {calibration.base.name} · {n} photo{'s' * (n != 1)}: {names}"), styles["subtitle"]),
        prose(
            "A printer and a camera cannot be told apart from photos alone. The tone curve of the camera, the reach of its "
            "sharpening, smoothing of colours, halftone, ink spread and brightness of paper are the base's; all else is fitted. "
            "± is one standard error, from the scatter of patches, edges, paper and printed points about the fit.",
            styles["body"],
        ),
        *(prose(f"<b>Note.</b> {escape(note)}.", styles["body"]) for note in calibration.notes),
        Gap(1 * mm),
        text_table(rows, _WIDTHS_MM, names_of_columns),
        Gap(5 * mm),
    ]
    blocks = (
        (
            _tone_figure(calibration),
            "Print curves: reflectance of every 8-bit grey. Points are the patches of all photos, each divided by the light that "
            "falls on it; lines are the fitted profile, dashed the base.",
        ),
        (
            _patch_figure(calibration),
            f"Colours as photographed under even light: left half measured, right half fitted, with ΔE00 between them; mean "
            f"{mean:.2f}, largest {worst:.2f} over {patches} colours.",
        ),
        (
            _sharpness_figure(calibration),
            "Left: contrast at the slanted edges (ISO 12233), measured and as the fitted profile's own simulated photo shows it. "
            "Right: standard deviation of grey in even places; filled where there is no halftone, which is what ISO is fitted "
            "to, hollow on greys, whose texture is mostly the halftone's.",
        ),
        (
            _field_figure(calibration),
            "Left: light measured on bare paper; middle: what light_fall_rate, vignette_rate and cast_shadow_rate leave "
            "unexplained, in per cent. Right: how far the lens moves the printed points, drawn longer than it is. First photo.",
        ),
    )
    for number, (figure, caption) in enumerate(blocks, 1):
        story += figure_block(figure, number, caption)
    return story


def rounded(error: float, n_digits: int = 1) -> str:
    """Returns a standard error to so many digits, without an exponent where it is large."""
    return f"{float(f'{error:.{n_digits}g}'):g}"


def shown(value: Any) -> str:
    """Returns a value in a few words: a range that is one value as that value, a long list by its ends."""
    if isinstance(value, tuple):
        if len(value) == 2:
            return f"{value[0]:.4g}" if value[0] == value[1] else f"{value[0]:.4g} to {value[1]:.4g}"
        if len(value) > 9:
            return f"{value[0]:.3g} … {value[-1]:.3g} ({len(value)} values)"
        return ", ".join(f"{item:.3g}" for item in value) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if value != "" else "none"


def colour_errors(calibration: Calibration) -> tuple[int, float, float]:
    """Returns how many colours were photographed, and the mean and the largest CIEDE2000 between measured and fitted."""
    errors = [error for _, _, _, error in _colours(calibration)]
    return len(errors), float(np.mean(errors)), float(np.max(errors))


@styled
def _tone_figure(calibration: Calibration) -> Figure:
    """Returns the print curves of the three channels, one panel each, with the greys that they were fitted to."""
    colour, base = calibration.colour, calibration.base
    figure = Figure(figsize=(WIDTH_IN, 1.65), layout="constrained")
    curve, before = print_table(calibration.profile), print_table(base)
    grey = np.array([len(set(spot.sent)) == 1 for spot in colour.spots])
    sent = np.array([spot.sent[0] for spot in colour.spots])
    unmixed = np.linalg.inv(colour.matrix), np.linalg.inv(gamut(base).astype(np.float64))
    light = (colour.seen @ unmixed[0].T / colour.balance[colour.owners]) @ unmixed[1].T
    for channel, (panel, (name, tint)) in enumerate(zip(figure.subplots(1, 3, sharey=True), _CHANNELS, strict=True)):
        panel.plot(range(256), before[:, channel], "--", color=QUIET, linewidth=0.8, label="base")
        panel.plot(range(256), curve[:, channel], color=tint, label="fitted")
        panel.plot(sent[grey], light[grey, channel], "o", color="none", mec=INK, mew=0.5, ms=2.6, label="measured")
        panel.set(title=name, xlabel="8-bit value sent", xlim=(-4, 259))
        panel.set_xticks((0, 64, 128, 192, 255))
        if channel == 0:
            panel.set_ylabel("reflectance")
            panel.legend(loc="upper left")
    return figure


@styled
def _patch_figure(calibration: Calibration) -> Figure:
    """Returns every colour twice, measured beside fitted."""
    colours = _colours(calibration)
    n_rows = -(-len(colours) // _PER_ROW)
    figure = Figure(figsize=(WIDTH_IN, 0.42 * n_rows + 0.1), layout="constrained")
    panel = figure.subplots()
    for index, (_, seen, fitted, error) in enumerate(colours):
        row, column = divmod(index, _PER_ROW)
        for half, light in enumerate((seen, fitted)):
            panel.add_patch(
                Rectangle((column + 0.05 + half * 0.45, -row - 0.62), 0.45, 0.62, color=srgb_from_linear(light), linewidth=0)
            )
        panel.text(column + 0.5, -row - 0.66, f"{error:.1f}", ha="center", va="top", fontsize=5.5, color=QUIET)
    panel.set(xlim=(0, _PER_ROW), ylim=(-n_rows + 0.05, 0.05))
    panel.set_axis_off()
    return figure


@styled
def _sharpness_figure(calibration: Calibration) -> Figure:
    """Returns contrast against frequency, and noise against grey, of the photos and of their twins."""
    figure = Figure(figsize=(WIDTH_IN, 1.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for index, photo in enumerate(calibration.photos):
        is_first = index == 0
        for upright, style in ((True, "-"), (False, "--")):
            seen, twin = (mtf_by_direction(measured.edges) for measured in (photo.measured, photo.match.twin))
            word = "across" if upright else "down"
            for curves, tint, name in ((seen, INK, "measured"), (twin, ACCENT, "fitted")):
                if upright in curves:
                    label = f"{name}, {word}: {half_contrast(curves[upright]):.3f}" if is_first else None
                    left.plot(FREQUENCIES, curves[upright], style, color=tint, linewidth=1, label=label)
        for measured, tint, name in ((photo.measured, INK, "measured"), (photo.match.twin, ACCENT, "fitted")):
            greys, noises, solid = _noise(measured)
            right.plot(greys, noises, color=tint, linewidth=0.5, alpha=0.5)
            for is_solid in (True, False):
                at = solid == is_solid
                label = name if is_first and is_solid else None
                face = tint if is_solid else "white"
                right.plot(greys[at], noises[at], "o", mfc=face, mec=tint, mew=0.7, ms=3.2, linestyle="none", label=label)
    left.axhline(0.5, color=QUIET, linewidth=0.6)
    left.set(title="Sharpness", xlabel="cycles per photo pixel", ylabel="contrast", xlim=(0, 0.5), ylim=(0, None))
    left.legend(loc="upper right", title="MTF50, first photo", title_fontsize=6.5)
    right.set(title="Noise", xlabel="mean grey of the photo, 8-bit", ylabel="standard deviation, 8-bit", ylim=(0, None))
    right.legend(loc="upper right")
    return figure


@styled
def _field_figure(calibration: Calibration) -> Figure:
    """Returns the first photo's light, what the rates leave of it, and where its lens moves the printed points."""
    photo = calibration.photos[0]
    light, (width, height) = photo.light, photo.measured.size
    panel_in = min(1.55, 2.0 * height / width)
    figure = Figure(figsize=(WIDTH_IN, panel_in + 0.45), layout="constrained")
    panels = figure.subplots(1, 3)
    left_over = 100 * (light.values / light.fitted - 1)
    reach = max(0.5, float(np.abs(left_over).max()))
    for panel, values, title, limits, colours in (
        (panels[0], light.values, "Light", (float(light.values.min()), float(light.values.max())), "cividis"),
        (panels[1], left_over, "Unexplained, %", (-reach, reach), "RdBu_r"),
    ):
        dots = panel.scatter(*light.photo_px.T, c=values, s=7, cmap=colours, vmin=limits[0], vmax=limits[1], linewidths=0)
        bar = figure.colorbar(dots, ax=panel, shrink=0.8, pad=0.02)
        bar.outline.set_visible(False)
        panel.set_title(title)
    if photo.lens is not None:
        longest = max(float(np.linalg.norm(photo.lens.bend_px, axis=1).max()), 1e-6)
        factor = _ARROW_RATE * math.hypot(width, height) / longest
        start, move = photo.lens.photo_px, photo.lens.bend_px * factor
        panels[2].quiver(*start.T, *move.T, angles="xy", scale_units="xy", scale=1, color=ACCENT, width=0.006, headwidth=4)
        panels[2].set_title(f"Lens, x {factor:.0f}: at most {longest:.1f} px")
    for panel in panels:
        panel.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
        panel.set_xticks(())
        panel.set_yticks(())
        panel.grid(visible=False)
    return figure


def _colours(calibration: Calibration) -> list[tuple[tuple[int, int, int], np.ndarray, np.ndarray, float]]:
    """Every colour sent: what the first photo that has it unclipped shows of it, what the fit says, and the CIEDE2000 between."""
    colour = calibration.colour
    groups = defaultdict(list)
    for index, spot in enumerate(colour.spots):
        if len(set(spot.sent)) > 1:
            groups[spot.sent].append(index)
    rows = []
    for sent, places in groups.items():
        first = [index for index in places if colour.owners[index] == colour.owners[places[0]]]
        seen, fitted = (np.clip(light[first].mean(axis=0), 0, 1) for light in (colour.seen, colour.fitted))
        pair = rgb2lab(srgb_from_linear(np.array([[seen, fitted]])))[0]
        rows.append((sent, seen, fitted, float(deltaE_ciede2000(pair[0], pair[1]))))
    return rows


def _noise(measured: Measured) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns mean grey, standard deviation and whether it is without halftone, of every grey step and of bare paper."""
    rows = []
    for step in GREY_STEPS:
        spots = [spot for spot in measured.spots if spot.sent == (step,) * 3 and spot.n_pixels >= MIN_NOISE_PIXELS]
        if spots:
            level = float(np.mean([spot.grey_8bit for spot in spots]))
            noise = float(np.sqrt(np.mean([spot.noise_8bit**2 for spot in spots])))
            rows.append((level, noise, step in (GREY_STEPS[0], GREY_STEPS[-1])))
    table = np.array(rows, np.float64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2] > 0
