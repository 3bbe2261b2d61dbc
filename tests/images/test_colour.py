"""The sRGB curve is the standard's, its own inverse's inverse, and the same for arrays and tensors."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2xyz

from pipeline.images.colour import linear_from_srgb, linear_levels, srgb_from_linear, with_s_curve, write_srgb


def test_linear_light_is_skimages():
    greys = np.repeat(np.linspace(0, 1, 1001)[None, :, None], 3, axis=2)
    assert linear_from_srgb(greys[0, :, 0]) == pytest.approx(rgb2xyz(greys)[0, :, 1], abs=1e-6)


def test_every_8_bit_value_comes_back():
    assert 255 * srgb_from_linear(linear_levels()) == pytest.approx(np.arange(256), abs=1e-4)


def test_light_beyond_white_and_black_is_cut():
    assert srgb_from_linear(np.array([-0.5, 2.0])).tolist() == pytest.approx([0, 1])


def test_the_s_curve_keeps_black_middle_and_white_and_widens_the_middle():
    assert with_s_curve(np.array([0, 0.25, 0.5, 0.75, 1]), 0.5) == pytest.approx([0, 0.203125, 0.5, 0.796875, 1])


def test_tensors_get_the_same_curve_and_its_slope():
    light = torch.linspace(0, 1, 5001, dtype=torch.float64)
    value, slope = torch.empty_like(light), torch.empty_like(light)
    write_srgb(light, value, slope)
    # the standard's straight line and curve meet to 2e-8
    assert value.numpy() == pytest.approx(srgb_from_linear(light.numpy()), abs=5e-8)
    step = 1e-6
    inside = light.numpy()[50:-1]
    by_difference = (srgb_from_linear(inside + step) - srgb_from_linear(inside - step)) / (2 * step)
    assert slope.numpy()[50:-1] == pytest.approx(255 * by_difference, rel=1e-5)
