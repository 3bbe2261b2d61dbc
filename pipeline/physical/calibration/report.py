"""The calibration's report as a PDF: what the photos show against what the fitted profile says, and every parameter."""

import io
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from pipeline.document import theme
from pipeline.document.blocks import Head
from pipeline.document.flowables import Gap, figure_block, prose, text_table
from pipeline.document.pages import MIXED_BAND, SIMULATED_BAND, Heading, PaperDocument
from pipeline.physical.calibration import charts
from pipeline.physical.calibration.fit import Calibration, Parameter

_WIDTHS_MM = (38.0, 42.0, 14.0, 16.0, 26.0, 34.0)


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
    patches, mean, worst = charts.colour_errors(calibration)
    names_of_columns = ("parameter", "fitted", "±", "unit", "base", "from")
    story: list[Flowable] = [
        Heading(escape(title), styles["title"], "calibration"),
        prose(escape(f"Base {calibration.base.name} · {n} photo{'s' * (n != 1)}: {names}"), styles["subtitle"]),
        prose(
            "A printer and a camera cannot be told apart from photos alone. The base's tone curve of the camera, its sharpening "
            "and smoothing of colours, halftone, ink spread and brightness of the paper are kept; the rest is fitted. "
            "± is one standard error, from the scatter of patches, edges, paper and printed points about the fit.",
            styles["body"],
        ),
        *(prose(f"<b>Note.</b> {escape(note)}.", styles["body"]) for note in calibration.notes),
        Gap(1 * mm),
        text_table([_row(parameter) for parameter in calibration.parameters], _WIDTHS_MM, names_of_columns),
        Gap(5 * mm),
    ]
    blocks = (
        (
            charts.tone_figure(calibration),
            "Print curves: reflectance of every 8-bit grey. Points are the patches of all photos, each divided by the light that "
            "falls on it; lines are the fitted profile, dashed the base.",
        ),
        (
            charts.patch_figure(calibration),
            f"Colours as photographed under even light: left half measured, right half fitted, with ΔE00 between them; mean "
            f"{mean:.2f}, largest {worst:.2f} over {patches} colours.",
        ),
        (
            charts.sharpness_figure(calibration),
            "Left: contrast at the slanted edges (ISO 12233), measured and as the fitted profile's own simulated photo shows it. "
            "Right: standard deviation of grey in even places; filled where there is no halftone, which is what ISO is fitted "
            "to, hollow on greys, whose texture is mostly the halftone's.",
        ),
        (
            charts.field_figure(calibration),
            "Left: light measured on bare paper; middle: what light_fall_rate, vignette_rate and cast_shadow_rate leave "
            "unexplained, in per cent. Right: how far the lens moves the printed points, drawn longer than it is. First photo.",
        ),
    )
    for number, (figure, caption) in enumerate(blocks, 1):
        story += figure_block(figure, number, caption)
    return story


def _row(parameter: Parameter) -> tuple[str, ...]:
    error = "" if parameter.sd is None else rounded(parameter.sd)
    return parameter.key, shown(parameter.value), error, parameter.unit, shown(parameter.base), parameter.source


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
