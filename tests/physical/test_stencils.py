"""What the channel works out and follows back by hand, against PyTorch's own operations and their gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d, pad, pixel_shuffle

from pipeline.physical.simulator import draw_shot, load_profile
from pipeline.physical.simulator.channel import _grown
from pipeline.physical.simulator.printer import grown
from pipeline.physical.simulator.sheet import sheet_of
from pipeline.physical.simulator.stencils import doubled, filtered, halved
from pipeline.physical.simulator.torch_camera import _demosaic_filters, coloured, cut, demosaiced, eight_bit, mixed

PHONE = load_profile("office-phone")
KERNELS = torch.tensor([[0.1, 0.7, 0.2], [0.25, 0.4, 0.35]], dtype=torch.float64)
WIDE = torch.tensor([[0.05, 0.1, 0.1, 0.5, 0.1, 0.1, 0.05]] * 2, dtype=torch.float64)
MATRIX = ((1.0, 0.0, 1.4), (1.0, -0.3, -0.7), (1.0, 1.8, 0.0))


def correlated(images, down, across):
    reach = down.shape[1] // 2
    wide = pad(images, (reach,) * 4, mode="replicate")
    kernels = down[:, None, :, None] * across[:, None, None, :]
    return torch.stack([conv2d(one[:, None], kernel[None])[:, 0] for one, kernel in zip(wide, kernels, strict=True)])


def triangles(images):
    """libjpeg's, row by row."""
    for axis in (2, 3):
        wide = torch.cat([images.narrow(axis, 0, 1), images, images.narrow(axis, images.shape[axis] - 1, 1)], dim=axis)
        n = images.shape[axis]
        before, here, after = (wide.narrow(axis, start, n) for start in range(3))
        images = torch.stack([0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after], dim=axis + 1).flatten(axis, axis + 1)
    return images


def in_own_tiles(planes):
    return pixel_shuffle(conv2d(pad(planes, (1, 1, 1, 1), mode="replicate"), _demosaic_filters(planes.device, planes.dtype)), 2)


GAIN = torch.tensor([0.05, -0.2], dtype=torch.float64)[:, None, None, None]
CURVED = replace(PHONE, print_curve_red=(0.0, 0.95), print_curve_green=(0.0, 0.95), print_curve_blue=(0.0, 0.95))
CASES = {
    "filtered": (lambda x: filtered(x, (KERNELS, KERNELS.flip(0))), lambda x: correlated(x, KERNELS, KERNELS.flip(0))),
    "filtered, alike": (lambda x: filtered(x[:1], (WIDE[:1], WIDE[:1])), lambda x: correlated(x[:1], WIDE[:1], WIDE[:1])),
    "filtered, small": (lambda x: filtered(x[:, :, :2], (WIDE, WIDE)), lambda x: correlated(x[:, :, :2], WIDE, WIDE)),
    "halved": (halved, lambda x: avg_pool2d(x, 2)),
    "doubled": (doubled, triangles),
    "cut": (lambda x: cut(x, 0.2, 0.7), lambda x: x.clamp(0.2, 0.7)),
    "eight bit": (lambda x: eight_bit(400 * x - 50, False), lambda x: (400 * x - 50).clamp(0, 255)),
    "coloured": (lambda x: coloured(x[:, :1], x[:, 1:3], MATRIX), lambda x: mixed(x[:, :3], MATRIX)),
    "demosaiced": (demosaiced, in_own_tiles),
    "grown": (lambda x: _grown(0.03 + 0.8 * x, PHONE, GAIN), lambda x: grown(0.03 + 0.8 * x, PHONE, GAIN)),
    "grown and cut": (lambda x: _grown(x, PHONE, 2 * GAIN), lambda x: grown(x, PHONE, 2 * GAIN)),
    "grown beyond the inks": (lambda x: _grown(x, CURVED, GAIN), lambda x: grown(x, CURVED, GAIN)),
}


@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_are_those_of_pytorchs_own_operations(case):
    found, expected = CASES[case]
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 4, 6, 8, generator=generator, dtype=torch.float64).requires_grad_()
    ours, theirs = found(images), expected(images)
    assert ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-12)
    weights = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad((one * weights).sum(), images)[0] for one in (ours, theirs)]
    assert gradients[1].abs().max() > 0.1
    assert torch.allclose(*gradients, atol=1e-12)


def test_at_the_ends_of_a_range_there_is_a_gradient_as_clamp_has_it():
    values = torch.tensor([[[[-1.0, 0.0, 128.0, 255.0, 256.0]]]]).requires_grad_()
    (gradient,) = torch.autograd.grad(eight_bit(values).sum(), values)
    assert gradient.flatten().tolist() == [0, 1, 1, 1, 0]


def test_a_phone_that_is_held_a_little_less_exactly_shows_the_same_place():
    for seed in range(5):
        shot = draw_shot(load_profile("harsh"), np.random.default_rng(seed))
        exact, near = (sheet_of(shot, PHONE, 210.0, 297.0, *still) for still in ((), (1e-8,)))
        page = np.random.default_rng(seed).uniform(0, 200, (50, 2))
        moved = np.abs(exact.photo_from_page(page) - near.photo_from_page(page)).max()
        assert 0 < moved < 5e-4
