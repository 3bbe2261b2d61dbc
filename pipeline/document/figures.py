"""The look of figures, one as PNG or SVG, the same bytes for the same content, and pictures as a document embeds them."""

import io
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec
from weakref import WeakKeyDictionary

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter
from PIL import Image as PillowImage
from reportlab.lib.utils import ImageReader

from pipeline.document.scripts import drawable, families
from pipeline.document.theme import INK, QUIET, RULE

_P = ParamSpec("_P")
_DRAWN: WeakKeyDictionary[Figure, dict[bool, bytes]] = WeakKeyDictionary()
WIDTH_IN = 6.7
DPI = 200
JPEG_QUALITY = 90
LOSSLESS_BELOW_PX = 65
_LARGEST_PX = 320
# Noise takes up to 1.2 bytes a pixel in the HTML page, so that these are at most 12 MB.
_MOST_PIXELS = 9_500_000
_LOOK = Path(__file__).with_suffix(".mplstyle")
_COLOURS = {"axes.edgecolor": RULE, "axes.labelcolor": INK, "text.color": INK, "xtick.color": QUIET, "ytick.color": QUIET}


@cache
def _look() -> dict[Any, Any]:
    return dict(matplotlib.rc_params_from_file(_LOOK, use_default_template=False)) | _COLOURS


@contextmanager
def style() -> Iterator[None]:
    """The project's look on top of matplotlib's own defaults, whatever the user's matplotlibrc says.

    Matplotlib's remarks that a font has no bold face are not shown.
    """
    remarks = logging.getLogger("matplotlib.font_manager")
    level = remarks.level
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_look())
        remarks.setLevel(logging.ERROR)
        try:
            yield
        finally:
            remarks.setLevel(level)


def styled(build: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Gives a function that draws a figure the look of all of them, whatever the user's matplotlibrc says."""

    @wraps(build)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with style():
            figure = build(*args, **kwargs)
            _letter(figure)
            if (engine := figure.get_layout_engine()) is not None:
                # Laid out once and for all: the solver moves panels a little each time, in last bits from one run to the next.
                FigureCanvasAgg(figure)
                engine.execute(figure)
                figure.set_layout_engine("none")
                for panel in figure.axes:
                    left, bottom, width, height = (round(float(end), 6) for end in panel.get_position(original=True).bounds)
                    panel.set_position((left, bottom, width, height))
            return figure

    return wrapped


def _letter(figure: Figure) -> None:
    """Gives each text of a figure the fonts that have its letters; what none has is written out."""
    for axis in (axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)):
        if isinstance(ticks := axis.get_major_formatter(), FuncFormatter):  # that of ticks with names of their own
            ticks.func = _drawable_of(ticks.func)
            if fonts := families("".join(text.get_text() for text in axis.get_ticklabels())):
                axis.set_tick_params(labelfontfamily=fonts)
    for text in figure.findobj(Text):
        text.set_text(drawable(text.get_text()))
        if fonts := families(text.get_text()):
            text.set_fontfamily(fonts)


def _drawable_of(name: Callable[..., str]) -> Callable[..., str]:
    return lambda *tick: drawable(name(*tick))


@styled
def formula(mathtext: str) -> Figure:
    """Returns a formula, typeset."""
    figure = Figure(figsize=(4.6, 0.62))
    figure.text(0.5, 0.5, f"${mathtext}$", ha="center", va="center", fontsize=13)
    return figure


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """Returns the figure as PNG bytes without any note of the software or the time."""
    buffer = io.BytesIO()
    with style():
        figure.set_dpi(dpi)
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure, text_as_paths: bool = False) -> bytes:
    """Returns the figure as SVG with text as text (or as outlines), without a date and with fixed ids.

    A figure that was laid out does not change, and is drawn once for its file and the HTML page.
    """
    drawn = _DRAWN.setdefault(figure, {})
    if text_as_paths not in drawn:
        buffer = io.BytesIO()
        with style():
            matplotlib.rcParams.update({"svg.hashsalt": "inkproof", "svg.fonttype": "path" if text_as_paths else "none"})
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})  # savefig draws twice
        drawn[text_as_paths] = buffer.getvalue()
    return drawn[text_as_paths]


def embedded_px(n_pictures: int) -> int:
    """Returns how long the longer side of an embedded picture may be: 320, and less where there are many, for the file's sake."""
    return min(_LARGEST_PX, math.isqrt(_MOST_PIXELS // max(1, n_pictures)))


def picture_reader(pixels: np.ndarray, largest_px: int = _LARGEST_PX) -> ImageReader:
    """Returns pixels, uint8 (H, W, 3), ready to be embedded: small ones lossless with hard pixels, others as JPEG 4:4:4."""
    picture = PillowImage.fromarray(np.ascontiguousarray(pixels))
    longest = max(picture.size)
    if longest < LOSSLESS_BELOW_PX:
        factor = -(-_LARGEST_PX // (2 * longest))
        enlarged = picture.resize((picture.width * factor, picture.height * factor), PillowImage.Resampling.NEAREST)
        return ImageReader(enlarged)
    return ImageReader(io.BytesIO(reduced_jpeg(picture, largest_px)))


def reduced_jpeg(picture: PillowImage.Image, largest_px: int) -> bytes:
    """Returns a picture as JPEG 4:4:4, reduced where its longer side is longer than `largest_px`."""
    picture.thumbnail((largest_px, largest_px), PillowImage.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()
