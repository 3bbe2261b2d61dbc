"""The weights of a network's first layer as pictures: what each unit, or each class of a linear network, answers to."""

from collections.abc import Sequence
from math import ceil, sqrt

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Plot

from pipeline.document.blocks import Block, Figure, plain
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.formats import number
from pipeline.records import Filter
from pipeline.report.content import ReportContent
from pipeline.report.words import TEXTS

_COLOURS = "PuOr_r"
_GREY = "Grey is 0; a channel above it is a weight that speaks for more of that colour."
_ORANGE = "Orange weights speak for a unit where the input is bright, purple ones against it; white is 0."
_MOST_NAMED_COLUMNS = 5
_BAR_IN, _TITLE_IN = 0.55, 0.16
_LARGEST_TILE_IN = 1.23


def first_layer_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns the weights of the network's first layer, and those of the other run's beside it; () where none make pictures."""
    shown = {content.run: content.first_layer}
    if content.against:
        shown = {content.against.first: content.first_layer, content.against.second: content.against.first_layer}
    shown = {name: filters for name, filters in shown.items() if filters}
    if not shown:
        return ()
    scale = largest(*shown.values())
    figures = (
        Figure(f"first-layer{f'-{place}' if place else ''}", weights_figure(filters, scale), caption(filters, name))
        for place, (name, filters) in enumerate(shown.items())
    )
    colours = {_ORANGE if filters[0].shape[0] == 1 else _GREY for filters in shown.values()}
    return plain(TEXTS["first-layer"].format(colours=" ".join(sorted(colours)))), *figures


def caption(filters: Sequence[Filter], name: str) -> str:
    """Returns what is shown of whose first layer."""
    n_channels, height, width = filters[0].shape
    of_classes = bool(filters[0].name)
    what = "each class" if of_classes and len(filters) > 1 else "the score" if of_classes else f"{len(filters)} units"
    more = f" of {filters[0].n_units}" if len(filters) < filters[0].n_units else ""
    kind = f"{height} × {width} pixels{', in colour' if n_channels == 3 else ''}"
    return f"Weights of the first layer of {name}: {what}{more}, {kind}; the largest is {largest(filters):.2g}."


def largest(*layers: Sequence[Filter]) -> float:
    """Returns the largest weight, sign aside, of some layers: the end of their scale."""
    return max(abs(weight) for filters in layers for unit in filters for weight in unit.weights)


@styled
def weights_figure(filters: Sequence[Filter], scale: float) -> Plot:
    """Returns the weights as tiles, from -`scale` to `scale`: named ones of classes, else a grid.

    One channel is shown in two colours around white, three as a picture around grey.
    """
    is_named = bool(filters[0].name)
    n_columns = min(len(filters), _MOST_NAMED_COLUMNS if is_named else max(8, ceil(sqrt(len(filters)))))
    n_rows = ceil(len(filters) / n_columns)
    tile_in = min(_LARGEST_TILE_IN, (WIDTH_IN - _BAR_IN) / n_columns)
    title_in = _TITLE_IN if is_named else 0.0
    height_in = n_rows * (tile_in + title_in)
    figure = Plot(figsize=(WIDTH_IN, height_in))
    for place, unit in enumerate(filters):
        row, column = divmod(place, n_columns)
        bottom = 1 - ((row + 1) * (tile_in + title_in)) / height_in
        panel = figure.add_axes((column * tile_in / WIDTH_IN, bottom, 0.94 * tile_in / WIDTH_IN, 0.94 * tile_in / height_in))
        _tile(panel, unit, scale)
    if filters[0].shape[0] == 1:
        left_in, bar_in = n_columns * tile_in + 0.05, min(0.9 * (height_in - title_in), 1.5)
        bottom = 1 - (title_in + bar_in) / height_in
        bar = figure.add_axes((left_in / WIDTH_IN, bottom, 0.1 / WIDTH_IN, 0.96 * bar_in / height_in))
        colours = ScalarMappable(Normalize(-scale, scale), _COLOURS)
        figure.colorbar(colours, cax=bar, ticks=[-scale, 0, scale], format=lambda value, _: number(float(f"{value:.2g}")))
    return figure


def _tile(panel: Axes, unit: Filter, scale: float) -> None:
    weights = np.array(unit.weights).reshape(unit.shape)
    if len(weights) == 1:
        colours = matplotlib.colormaps[_COLOURS](Normalize(-scale, scale)(weights[0]))[..., :3]
    else:
        colours = (0.5 + weights / (2 * scale)).transpose(1, 2, 0)
    panel.imshow(np.asarray(np.rint(255 * colours), np.uint8), interpolation="nearest")
    panel.set(xticks=[], yticks=[], title=unit.name)
    for spine in panel.spines.values():
        spine.set_visible(False)
