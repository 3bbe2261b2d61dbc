"""JSMA: the exact best pair, the paper's steps, and limits that hold."""

import numpy as np
import pytest
import torch

from pipeline.attacks import attack_named, saliency
from pipeline.attacks.attack import Differentiable
from pipeline.attacks.saliency import best_pairs
from pipeline.core.errors import WrongUse
from pipeline.images import to_model
from pipeline.models.scores import doubt

N_CLASSES = 15


class Bent(Differentiable):
    """A small smooth network with more than ten classes."""

    device = torch.device("cpu")

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(8 * 25, N_CLASSES)
        ).requires_grad_(False)

    def logits(self, images):
        return self.net(images)


def pictures(n, px=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, px, px, 3), dtype=np.uint8)


def answers(network, images):
    with torch.no_grad():
        return network.logits(to_model(images)).argmax(dim=1).numpy()


def attacked(images, targets=None, network=None, **options):
    network = network or Bent()
    labels = answers(network, images)
    targets = (labels + 4) % N_CLASSES if targets is None else targets
    return attack_named("jsma", options=options).perturb(network, images, labels, [0], targets)[0]


def n_changed(found, images):
    return (found.images != images).sum(axis=(1, 2, 3))


def best_product(x, y, is_open):
    """The largest product of sums, from the whole table of pairs."""
    products = (x[:, None] + x).clamp(min=0) * (y[:, None] + y).clamp(min=0)
    products[~is_open], products[:, ~is_open] = 0, 0
    return float(products.fill_diagonal_(0).max())


@pytest.mark.parametrize("n_tried", [saliency._N_TRIED, 0])
def test_the_pair_is_the_best_of_all_pairs(monkeypatch, n_tried, subtests):
    """Also where next to no features are tried against each other at once, and only the bound and the fronts see to it."""
    for correlation in [-1.0, -0.99, -0.5, 0.0, 0.5, 1.0]:
        for n_features in [2, 9, 70, 400]:
            with subtests.test(correlation=correlation, n_features=n_features):
                monkeypatch.setattr(saliency, "_N_TRIED", n_tried)
                for seed in range(8):
                    generator = torch.Generator().manual_seed(seed)
                    x, other = torch.randn((2, 3, n_features), generator=generator)
                    y = correlation * x + (1 - correlation**2) ** 0.5 * other
                    is_open = torch.rand((3, n_features), generator=generator) > 0.2
                    pairs, exists = best_pairs(x, y, is_open)
                    for k in range(3):
                        wanted, (p, q) = best_product(x[k], y[k], is_open[k]), pairs[k, 0].tolist()
                        assert bool(exists[k, 0]) == (wanted > 0)
                        if exists[k, 0]:
                            assert p != q and is_open[k, p] and is_open[k, q]
                            assert float((x[k, p] + x[k, q]) * (y[k, p] + y[k, q])) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("grain", [0.0, 0.125, 1.0], ids=lambda grain: f"values a multiple of {grain}")
@pytest.mark.parametrize("n_features", [1, 2, 3, 70, 400])
def test_where_both_maps_are_one_the_pair_is_the_same_as_if_they_were_two(n_features, grain):
    """Both are one for probabilities; then no products are looked at, and of pairs as good the same one is taken."""
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn((3, n_features), generator=generator) - (1.0 if seed % 2 else 0.0)
        x = (x / grain).round() * grain if grain else x
        is_open = torch.rand((3, n_features), generator=generator) > 0.2
        (one, is_one), (two, is_two) = best_pairs(x, x, is_open), best_pairs(x, x.clone(), is_open)
        assert torch.equal(is_one, is_two) and torch.equal(one[is_one], two[is_two])


def test_several_pairs_share_no_feature():
    x, y = torch.randn((2, 4, 500), generator=torch.Generator().manual_seed(0))
    pairs, exists = best_pairs(x, y, torch.ones_like(x, dtype=torch.bool), n_pairs=10)
    assert exists.all() and all(len(set(row.flatten().tolist())) == 20 for row in pairs)


def test_a_photograph_of_299_pixels_needs_no_table_of_pairs():
    """The table would have 7e10 entries. The hardest case: what helps the target helps the others as much."""
    x = torch.rand((1, 3 * 299 * 299), generator=torch.Generator().manual_seed(0))
    y = 1 - x + 0.01 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    pairs, exists = best_pairs(x, y, torch.ones_like(x, dtype=torch.bool))
    p, q = pairs[0, 0].tolist()
    assert exists[0, 0] and float((x[0, p] + x[0, q]) * (y[0, p] + y[0, q])) > 1.019


def papers_steps(network, image, target, form, of, theta, gamma):
    """The paper's algorithm from the whole Jacobian and the whole table of pairs, one image at a time."""
    at, clean, unsure = image.astype(np.int64), image.astype(np.int64), 0.0
    while True:
        pixels = torch.from_numpy(at.transpose(2, 0, 1)[None] / 255).float()

        def outputs(inputs):
            scores = network.net(inputs)[0]
            return scores if of == "logits" else scores.softmax(dim=0)

        scores = network.net(pixels)[0]
        lead = scores[target] - scores[[k for k in range(N_CLASSES) if k != target]].max()
        unsure = max(unsure, float(doubt(scores[None])))
        if lead > unsure:
            return at.astype(np.uint8)
        jacobian = torch.autograd.functional.jacobian(outputs, pixels)[:, 0].permute(0, 2, 3, 1).flatten(1).double()
        a, b = jacobian[target], jacobian.sum(dim=0) - jacobian[target]
        if theta < 0:
            a, b = -a, -b
        flat = torch.from_numpy(at.reshape(-1))
        changed = flat != torch.from_numpy(clean.reshape(-1))
        size = 2 if form == "pair" else 1
        is_open = (flat < 255) if theta > 0 else (flat > 0)
        if int(changed.sum()) + size > int(gamma * flat.numel()):
            is_open &= changed
        if form == "pair":
            products = (a[:, None] + a).clamp(min=0) * -(b[:, None] + b).clamp(max=0)
            products[~is_open], products[:, ~is_open] = 0, 0
            products.fill_diagonal_(0)
            best = int(products.argmax())
            chosen, worth = [best // len(a), best % len(a)], float(products.max())
        else:
            worths = torch.where(is_open & (a > 0) & (b < 0), -a * b, 0.0)
            chosen, worth = [int(worths.argmax())], float(worths.max())
        if worth <= 0:
            return image
        flat[chosen] = (flat[chosen] + theta).clamp(0, 255)
        at = flat.numpy().reshape(image.shape)


@pytest.mark.parametrize("theta", [255, 100, -255, -64])
@pytest.mark.parametrize("of", ["logits", "log-probabilities", "probabilities"])
@pytest.mark.parametrize("form", ["pair", "single"])
@pytest.mark.slow
def test_the_steps_are_those_of_the_paper(form, of, theta):
    network, images = Bent(), pictures(6)
    targets = (answers(network, images) + 4) % N_CLASSES
    found = attacked(images, targets, form=form, of=of, theta_8bit=theta, gives_back=False)
    for place, image in enumerate(images):
        assert (found.images[place] == papers_steps(network, image, targets[place], form, of, theta, 0.145)).all()
    assert "kept" in found.rounding


@pytest.mark.parametrize("form", ["pair", "single"])
def test_values_changed_already_may_be_changed_further_when_no_others_may(form):
    network, images, gamma = Bent(), pictures(12), 0.02
    targets = (answers(network, images) + 1) % N_CLASSES
    found = attacked(images, targets, form=form, theta_8bit=40, gamma=gamma, gives_back=False)
    for place, image in enumerate(images):
        wanted = papers_steps(network, image, targets[place], form, "probabilities", 40, gamma)
        assert (found.images[place] == wanted).all()
    at_the_limit = n_changed(found, images) > int(gamma * images[0].size) - (2 if form == "pair" else 1)
    assert at_the_limit.any() and "not-found" in found.rounding


@pytest.mark.parametrize("form", ["pair", "single"])
def test_a_class_beyond_the_tenth_is_reached(form):
    network, images = Bent(), pictures(8)
    found = attacked(images, np.full(8, 13), network, form=form, gamma=0.5)
    assert (answers(network, found.images) == 13).all()


@pytest.mark.parametrize("theta", [30, -30])
def test_a_step_is_theta_and_leads_one_way(theta):
    images = pictures(6)
    found = attacked(images, theta_8bit=theta, gamma=0.5)
    change = found.images.astype(int) - images
    assert ((change >= 0) if theta > 0 else (change <= 0)).all() and (change != 0).any()
    inside = (found.images > 0) & (found.images < 255)
    assert (change[inside] % theta == 0).all()


@pytest.mark.parametrize("n_per_step", [1, 7])
@pytest.mark.parametrize("gamma", [0.0, 0.01, 0.05, 0.3])
def test_no_more_than_gamma_of_the_values_is_changed(gamma, n_per_step):
    images = pictures(12)
    found = attacked(images, gamma=gamma, theta_8bit=80, n_per_step=n_per_step, gives_back=False)
    assert n_changed(found, images).max() <= gamma * images[0].size
    assert found.rounding.count("kept") >= (12 if gamma == 0.3 else 0)
    assert gamma or set(found.rounding) == {"not-found"}


def test_classes_cost_two_backward_passes_a_step_and_probabilities_one():
    images = pictures(8)
    for of, n_backward in (("logits", 2), ("log-probabilities", 1), ("probabilities", 1)):
        found = attacked(images, of=of, gives_back=False, gamma=0.5)
        assert (found.n_backward == n_backward * (found.n_forward - 1)).all()


def test_several_pairs_in_a_step_cost_fewer_passes():
    images = pictures(8)
    one, four = (attacked(images, n_per_step=n, gamma=0.5, gives_back=False) for n in (1, 4))
    assert four.n_forward.sum() < 0.5 * one.n_forward.sum() and set(four.rounding) == {"kept"}


def test_what_is_given_back_was_not_needed():
    network, images = Bent(), pictures(12)
    targets = (answers(network, images) + 4) % N_CLASSES
    every, needed = (attacked(images, targets, n_per_step=4, gamma=0.5, gives_back=back) for back in (False, True))
    assert (answers(network, needed.images) == targets).all()
    is_changed = needed.images != images
    assert (needed.images[is_changed] == every.images[is_changed]).all()
    assert (n_changed(needed, images) <= n_changed(every, images)).all()
    assert n_changed(needed, images).sum() < n_changed(every, images).sum()


def test_it_needs_a_target():
    with pytest.raises(WrongUse, match="is no target"):
        attack_named("jsma", options={"target": ""})


@pytest.mark.slow
def test_signs_reach_their_targets():
    from pipeline.datasets import open_dataset
    from pipeline.models import load_classifier
    from pipeline.settings import DatasetSettings, ModelSettings

    network = load_classifier(ModelSettings())
    dataset = open_dataset(DatasetSettings(), network.class_names, network.wordnet_ids)
    images = np.stack([network.prepare(dataset.image(k).pixels) for k in range(40)])
    labels = network.predict(images).argmax(axis=1)
    found = attack_named("jsma").perturb(network, images, labels, [0])[0]
    assert (network.predict(found.images).argmax(axis=1) == found.targets).mean() >= 0.95
