"""The first layer in the report: its pictures, their scale, and another run's beside them."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_run import make_content

from pipeline.document.blocks import Figure
from pipeline.records import Filter
from pipeline.report.content import AgainstContent
from pipeline.report.first_layer import first_layer_section, largest, weights_figure


def units(*weights, channels=1, names=""):
    n = len(weights)
    return tuple(Filter(i, n, names[i] if names else "", (channels, 2, 2), tuple(w)) for i, w in enumerate(weights))


def pixels(figure):
    """The tiles of a figure, uint8 (h, w, 3)."""
    return [panel.images[0].get_array() for panel in figure.axes if panel.images]


def test_one_channel_is_white_at_0_and_has_the_ends_of_one_scale_at_its_largest_weight():
    first, second = pixels(weights_figure(units((0, 1, -1, 0.5), (0, 0.5, -0.5, 0)), 1.0))
    white, orange, purple = (first[where].astype(int) for where in ((0, 0), (0, 1), (1, 0)))
    assert white.min() > 240 and orange[0] > orange[2] + 50 and purple[2] > purple[0] + 20
    assert np.array_equal(second[0, 1], first[1, 1]), "half the weight is the same colour in every tile"


def test_three_channels_are_a_picture_around_grey():
    (tile,) = pixels(weights_figure(units((0, 2, 0, 0, 0, 0, -2, 0, 0, 0, 0, 1), channels=3), 2.0))
    assert tile[0, 0].tolist() == [128, 128, 128] and tile[0, 1].tolist() == [255, 128, 128]
    assert tile[1, 0].tolist() == [128, 0, 128] and tile[1, 1].tolist() == [128, 128, 191]


def test_the_largest_weight_is_that_of_all_layers_sign_aside():
    assert largest(units((0, 1, 2, 3)), units((-5, 0, 0, 1))) == 5


def test_classes_are_named_and_units_are_not():
    titles = [panel.get_title(loc="left") for panel in weights_figure(units((0,) * 4, (1,) * 4, names="ab"), 1.0).axes[:2]]
    assert titles == ["a", "b"]


@pytest.mark.parametrize(("n", "of", "told"), [(2, 2, "2 units, 2 × 2"), (2, 480, "2 units of 480, 2 × 2")])
def test_the_caption_tells_how_many_units_of_how_many(n, of, told):
    filters = tuple(replace(unit, n_units=of) for unit in units(*[(1, 2, 3, 4)] * n))
    (figure,) = [
        block for block in first_layer_section(replace(make_content(), first_layer=filters)) if isinstance(block, Figure)
    ]
    assert told in figure.caption and "the largest is 4" in figure.caption


def test_another_runs_first_layer_stands_beside_on_the_same_scale():
    content = replace(make_content(), first_layer=units((0, 1, 0, 0)))
    against = AgainstContent("plain", "robust", (), (), (), (), units((0, 4, 0, 0)))
    blocks = first_layer_section(replace(content, against=against))
    figures = [block for block in blocks if isinstance(block, Figure)]
    assert ["plain" in figures[0].caption, "robust" in figures[1].caption] == [True, True]
    assert [figure.name for figure in figures] == ["first-layer", "first-layer-1"]
    bars = [figure.plot.axes[-1].get_ylim() for figure in figures]
    assert bars[0] == bars[1] == (-4, 4)


def test_a_network_whose_weights_make_no_pictures_has_no_such_section():
    assert first_layer_section(make_content()) == ()
