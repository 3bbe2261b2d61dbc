"""What the model looks at: maps of a class over the clean file, the adversarial file and its photograph, on one scale."""

from functools import cache

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure as Plot

from pipeline.document.blocks import Block, Figure, plain
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.formats import count, listed, percent, short_class_name
from pipeline.document.theme import INK, QUIET
from pipeline.report.content import ExplainedPair, ExplainedPicture, Explanations, ReportContent
from pipeline.report.words import TEXTS, cell_title

_TITLES = {
    "clean": "clean file",
    "adversarial": "adversarial file",
    "photo": "photo of adversarial",
    "clean-photo": "photo of clean",
}
_METHODS = {
    "occlusion": ("Occlusion", "mean fall of the logit\nwhile a place is covered", "logits"),
    "gradcam": ("Grad-CAM", "weighted map of\nlayer {layer}", "logits per cell"),
}
_TARGETS = {"true": "the true one", "predicted": "the one that the model gives the adversarial file"}
# Purple against, orange for, as colour-blind readers tell them apart. Grad-CAM has no against: the half of it that is used.
_COLOURS = "PuOr_r"
_USED = {"occlusion": (0.0, 1.0), "gradcam": (0.5, 1.0)}
_PICTURE_CONTRAST = 0.3
_PANEL_IN = 1.1
_LABEL_CHARS = 22
_MOST_PIXELS = 320
_LINE_AT = 1 / 3


def explanations_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns how the maps are made and read, and a figure for each pair; () where none was explained."""
    found = content.explanations
    if found is None:
        return ()
    figures = []
    for place, pair in enumerate(found.pairs, start=1):
        shown = listed(_TITLES[picture.variant] for picture in pair.pictures)
        scores = listed(f"logit {_two_digits(picture.logit)}" for picture in pair.pictures)
        spoken = f"{shown} of {pair.image_id} with {listed(_METHODS[method][0] for method in found.methods)} maps: {scores}."
        figures.append(Figure(f"explanation-{place}", explanation_figure(found, pair), _caption(found, pair), spoken))
    explained = _TARGETS.get(found.target, f"“{short_class_name(found.pairs[0].explained_name, 40)}”")
    parts = [
        f"Each map shows what speaks for one class, {explained}, in all pictures of a pair. They are examples and no statistics: "
        f"{count(len(found.pairs), 'pair')}, chosen as in the gallery or by name."
    ]
    if "occlusion" in found.methods:
        filling = {"mean": "the picture's mean colour", "random": "noise"}.get(found.patch_value, found.patch_value)
        parts.append(TEXTS["occlusion"].format(found=found, filling=filling))
    if "gradcam" in found.methods:
        parts.append(TEXTS["gradcam"].format(found=found))
    parts.append("The pictures of a pair share one scale for each method. Lines: a third of the scale, dashed where negative.")
    return plain(" ".join(parts)), *figures


@styled
def explanation_figure(found: Explanations, pair: ExplainedPair) -> Plot:
    """Returns the pictures of one pair, with their scores, above their maps by each method and the scale of these."""
    n_rows, n_columns = 1 + len(found.methods), len(pair.pictures)
    figure = Plot(figsize=(WIDTH_IN, _PANEL_IN * n_rows + 0.75), layout="constrained")
    widths = [1.15, *[1.0] * n_columns, 0.06]
    grid = figure.subplots(n_rows, n_columns + 2, squeeze=False, gridspec_kw={"width_ratios": widths})
    for panel in grid.flat:
        panel.set(xticks=[], yticks=[])
        panel.grid(False)
    explained = short_class_name(pair.explained_name, _LABEL_CHARS)
    _label(grid[0][0], "Picture", f"what the model says, and\nthe scores of the class\nthat is explained:\n{explained}")
    grid[0][-1].set_axis_off()
    for column, picture in enumerate(pair.pictures, start=1):
        panel = grid[0][column]
        panel.imshow(_reduced(picture.pixels))
        panel.set_title(_TITLES[picture.variant], loc="center")
        panel.set_xlabel(_scores(picture, ", " if n_columns <= 3 else "\n"), fontsize=6.5, color=INK, linespacing=1.35)
    for row, method in enumerate(found.methods, start=1):
        title, meaning, unit = _METHODS[method]
        _label(grid[row][0], title, meaning.format(layer=found.layer))
        scale = scale_of(np.stack([picture.maps[method] for picture in pair.pictures]))
        for column, picture in enumerate(pair.pictures, start=1):
            _draw_map(grid[row][column], picture, method, scale)
        bar = figure.colorbar(heat_colours(method, scale), cax=grid[row][-1])
        bar.set_label(unit)
        bar.outline.set_visible(False)
    return figure


def scale_of(maps: np.ndarray) -> float:
    """Returns the end of the scale that maps (N, H, W) share: their largest absolute value, 1 for empty maps."""
    return float(np.abs(maps).max()) or 1.0


def heat_colours(method: str, scale: float) -> ScalarMappable:
    """Returns the colours of -scale (of 0, for Grad-CAM) to scale, as they are on white."""
    return ScalarMappable(Normalize(0.0 if method == "gradcam" else -scale, scale), _light(method))


def heat_picture(pixels: np.ndarray, values: np.ndarray, method: str, scale: float) -> np.ndarray:
    """Returns a map over its picture, which is shown in light greys, as uint8 (H, W, 3).

    Args:
        pixels: uint8 (H, W, 3). values: float (H, W).
        scale: of `scale_of`.
    """
    darkness = 1 - pixels.astype(np.float64) @ (0.299, 0.587, 0.114) / 255
    colours = heat_colours(method, scale).to_rgba(values)[..., :3]
    return np.rint(255 * (colours - _PICTURE_CONTRAST * darkness[..., None])).astype(np.uint8)


@cache
def _light(method: str) -> ListedColormap:
    """The colours made lighter, so that the picture can be darkest where it is black without any value below 0."""
    colours = matplotlib.colormaps[_COLOURS](np.linspace(*_USED[method], 256))[:, :3]
    return ListedColormap(_PICTURE_CONTRAST + (1 - _PICTURE_CONTRAST) * colours)


def _label(panel: Axes, title: str, text: str) -> None:
    panel.set_axis_off()
    panel.text(0, 0.98, title, weight="bold", va="top", transform=panel.transAxes)
    panel.text(0, 0.83, text, color=QUIET, fontsize=6.5, va="top", linespacing=1.35, transform=panel.transAxes)


def _scores(picture: ExplainedPicture, joint: str) -> str:
    mark = "right" if picture.is_correct else "wrong"
    name = short_class_name(picture.predicted_name, _LABEL_CHARS)
    said = f"{name}{joint}{percent(picture.predicted_probability)} ({mark})"
    return f"{said}\nlogit {_two_digits(picture.logit)}{joint}probability {percent(picture.probability)}"


def _two_digits(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _draw_map(panel: Axes, picture: ExplainedPicture, method: str, scale: float) -> None:
    values = _reduced(picture.maps[method])
    panel.imshow(heat_picture(_reduced(picture.pixels), values, method, scale))
    for level, style in ((_LINE_AT * scale, "solid"), (-_LINE_AT * scale, "dashed")):
        if values.min() < level < values.max():
            lines = panel.contour(values, levels=[level], colors=[INK], linewidths=0.6, linestyles=style)
            lines.set_clip_on(False)  # they lie within, and the ids of clip paths differ from one SVG to the next


def _reduced(values: np.ndarray) -> np.ndarray:
    """Every k-th row and column of a large picture, so that a report does not hold more pixels than it can show."""
    step = -(-max(values.shape[:2]) // _MOST_PIXELS)
    return values[::step, ::step]


def _caption(found: Explanations, pair: ExplainedPair) -> str:
    explained, true = (short_class_name(name, 40) for name in (pair.explained_name, pair.true_name))
    cell = cell_title(pair.attack, pair.epsilon_8bit)
    words = {"occlusion": f"patch {found.patch_px} px, step {found.stride_px} px", "gradcam": f"layer {found.layer}"}
    settings = "; ".join(words[method] for method in found.methods)
    return f"What speaks for “{explained}” in {pair.image_id} ({cell}; true class “{true}”), n = 1 pair; {settings}."
