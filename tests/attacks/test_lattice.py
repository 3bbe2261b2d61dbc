"""From real numbers to 8 bits: what is saved fools the network itself, at the least cost that whole numbers allow."""

import itertools

import numpy as np
import pytest
import torch

from pipeline.attacks.attack import Differentiable
from pipeline.attacks.lattice import settle
from pipeline.attacks.problem import Problem, clean_pixels


class Plane(Differentiable):
    """Two classes that a plane parts, at a known distance from each image (on [0, 1], Euclidean)."""

    device = torch.device("cpu")

    def __init__(self, images, distances, seed=0):
        self.weight = torch.randn(
            images.shape[3:0:-2] + images.shape[2:3], generator=torch.Generator().manual_seed(seed)
        ).double()
        self.offsets = (clean_pixels(images, self.device) / 255 * self.weight).sum(dim=(1, 2, 3))
        self.offsets -= torch.as_tensor(distances) * self.weight.norm()
        self.images = clean_pixels(images, self.device)

    def logits(self, images):
        nearest = torch.cdist(images.detach().flatten(1) * 255, self.images.flatten(1)).argmin(dim=1)
        score = (images * self.weight).sum(dim=(1, 2, 3)) - self.offsets[nearest]
        return torch.stack([score, -score], dim=1).float()

    def behind(self, images, distances):
        """The nearest points behind the plane, as an attack would find them."""
        reach = 255 * torch.as_tensor(distances)[:, None, None, None] * 1.0001
        return (self.images - reach * self.weight / self.weight.norm()).float()


def pictures(n, px, seed=0):
    return np.random.default_rng(seed).integers(60, 196, (n, px, px, 3), dtype=np.uint8)


def fools(network, pixels):
    return (network.logits(pixels / 255).argmax(dim=1) == 1).tolist()


def saved(plane, images, found, is_found=True, norm="l2"):
    return settle(Problem(plane, images, np.zeros(len(images), int)), found, torch.as_tensor(is_found).expand(len(images)), norm)


def settled(plane, images, distances, norm="l2"):
    return saved(plane, images, plane.behind(images, distances), norm=norm)


DISTANCES = [0.02, 0.1, 0.5, 2.0]


def test_rounding_alone_undoes_attacks_and_the_lattice_mends_them():
    images = pictures(4, 24)
    plane = Plane(images, DISTANCES)
    assert not all(fools(plane, plane.behind(images, DISTANCES).round()))
    result = settled(plane, images, DISTANCES)
    assert all(fools(plane, result.pixels)) and "repaired" in result.rounding
    assert (result.pixels == result.pixels.round()).all() and result.pixels.min() >= 0 and result.pixels.max() <= 255


def test_an_image_comes_as_near_as_whole_numbers_can():
    """At 2.0 the plane is reached within half a per cent of its distance; at 0.02 few values move, each by one level."""
    images = pictures(4, 24)
    plane = Plane(images, DISTANCES)
    change = settled(plane, images, DISTANCES).pixels - plane.images
    norms = (change / 255).flatten(1).norm(dim=1)
    assert 2.0 <= norms[3] < 2.01
    assert change[0].abs().max() == 1 and norms[0] < 2 * 0.02 + 1.5 / 255


def test_the_change_is_near_the_least_of_all_there_are():
    """Two pixels of three values: every change of up to three levels is tried."""
    images = np.full((1, 1, 2, 3), 128, np.uint8)
    for seed in range(6):
        plane = Plane(images, [0.012], seed)
        change = settled(plane, images, [0.012]).pixels - plane.images
        every = torch.tensor(list(itertools.product(range(-3, 4), repeat=6)), dtype=torch.float32).view(-1, 3, 1, 2)
        logits = plane.logits((plane.images + every) / 255)
        margin = logits[:, 1] - logits[:, 0]
        least = every[margin >= 2e-4 * logits.abs().amax(dim=1)].square().sum(dim=(1, 2, 3)).min()
        assert change.square().sum() <= 1.25 * least  # multiples of the gradient alone: a gap that vanishes with many values


def test_the_largest_change_is_kept_small_first_where_that_is_the_norm():
    images = pictures(3, 16)
    distances = [0.1, 0.5, 1.0]
    plane = Plane(images, distances)
    least = torch.ceil(255 * torch.as_tensor(distances) * plane.weight.norm() / plane.weight.abs().sum() * (1 - 1e-9))
    clean, found = plane.images, plane.behind(images, distances)
    flat = clean - (least * 1.0)[:, None, None, None] * plane.weight.sign().float()
    result = saved(plane, images, flat, norm="linf")
    change = (result.pixels - clean).abs()
    assert all(fools(plane, result.pixels))
    assert (change.amax(dim=(1, 2, 3)) == least).all()
    assert (change.square().sum(dim=(1, 2, 3)) < (flat - clean).square().sum(dim=(1, 2, 3))).all()
    assert found.shape == clean.shape


def test_no_other_pixel_is_changed_where_their_number_is_the_norm():
    images = pictures(2, 12)
    plane = Plane(images, [0.3, 0.3])
    allowed = torch.zeros(1, 1, 12, 12)
    allowed[..., :5, :] = 1
    weight = plane.weight * allowed
    found = (plane.images - 255 * 0.3 * plane.weight.norm() / weight.norm() ** 2 * weight * 1.0001).float().clamp(0, 255)
    result = saved(plane, images, found, norm="l0")
    assert all(fools(plane, result.pixels))
    assert (result.pixels == plane.images)[..., 5:, :].all()


def test_what_was_not_found_and_what_cannot_be_mended_is_the_clean_image():
    class Never(Plane):
        def logits(self, images):
            return super().logits(images) * 0 + torch.tensor([1.0, 0.0])

    images = pictures(2, 8)
    plane = Never(images, [0.1, 0.1])
    result = saved(plane, images, plane.behind(images, [0.1, 0.1]), is_found=[True, False])
    assert result.rounding == ("lost", "not-found")
    assert (result.pixels == plane.images).all()


def test_an_unknown_norm_is_refused():
    images = pictures(1, 8)
    with pytest.raises(ValueError, match="l7"):
        settled(Plane(images, [0.1]), images, [0.1], norm="l7")
