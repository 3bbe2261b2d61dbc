"""L-BFGS: the distance of a plane, minima that an independent optimiser confirms, and a c that is searched."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn.functional import cross_entropy

from pipeline.attacks import attack_named, lbfgs
from pipeline.attacks.attack import Differentiable
from pipeline.core.errors import WrongUse
from pipeline.images import to_model


class Bent(Differentiable):
    """A small smooth network with six classes."""

    device = torch.device("cpu")

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(8 * 25, 6)
        ).requires_grad_(False)

    def logits(self, images):
        return self.net(images)


class Plane(Differentiable):
    """Two classes that a plane parts at 0.9 from a grey image, Euclidean on [0, 1]."""

    device = torch.device("cpu")

    def __init__(self, px):
        weight = torch.randn((3, px, px), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.weight = weight / weight.norm() * 5

    def score(self, images):
        return ((images.double() - 0.5) * self.weight).sum(dim=(1, 2, 3)) + 0.9 * 5

    def logits(self, images):
        return torch.stack([self.score(images) / 2, -self.score(images) / 2], dim=1).float()


def pictures(n, px, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (n, px, px, 3), dtype=np.uint8)


def answers(network, images):
    with torch.no_grad():
        return network.logits(to_model(images)).argmax(dim=1).numpy()


def attacked(network, images, labels, targets=None, **options):
    return attack_named("lbfgs", options=options).perturb(network, images, labels, [0], targets)[0]


def distances(found, images):
    return np.linalg.norm((found.images.astype(float) - images).reshape(len(images), -1), axis=1) / 255


def test_on_a_plane_what_is_saved_lies_at_its_distance():
    network, images = Plane(20), pictures(6, 20, low=110, high=146)
    labels = answers(network, images)
    found = attacked(network, images, labels, 1 - labels)
    wanted = network.score(to_model(images)).abs().numpy() / 5
    assert (answers(network, found.images) == 1 - labels).all()
    assert (np.abs(distances(found, images) / wanted - 1) < 0.02).all()


@pytest.mark.parametrize("c", [0.5, 5.0, 50.0])
def test_a_minimum_is_the_one_that_scipy_finds(monkeypatch, c):
    """SciPy's L-BFGS-B on the same objective and box: ours is nowhere higher than by a two-thousandth."""
    network, images = Bent(), pictures(4, 12)
    targets = (answers(network, images) + 2) % 6
    ended = {}
    minimise = lbfgs.BoxConstrainedLBFGS._minimise

    def caught(self, *arguments):
        descents = []
        make = lbfgs._Descent.__init__

        def kept(descent, *others):
            make(descent, *others)
            descents.append(descent)

        with monkeypatch.context() as patch:
            patch.setattr(lbfgs._Descent, "__init__", kept)
            patch.setattr(lbfgs._Descent, "goes_on", lambda descent: True)
            fooled = minimise(self, *arguments)
        ended["at"] = descents[0]._at.clone()
        return fooled

    monkeypatch.setattr(lbfgs.BoxConstrainedLBFGS, "_minimise", caught)
    attacked(network, images, answers(network, images), targets, n_searches=1, n_steps=300, initial_c=c)
    clean = to_model(images)

    def objective(flat, k):
        at = torch.from_numpy(flat).float().view(1, 3, 12, 12).requires_grad_()
        loss = (at - clean[k : k + 1]).square().sum() + c * cross_entropy(network.net(at), torch.tensor(targets[k : k + 1]))
        (slope,) = torch.autograd.grad(loss, at)
        return float(loss.detach()), slope.double().numpy().ravel()

    for k in range(4):
        start = clean[k].double().numpy().ravel()
        wanted = minimize(objective, start, (k,), "L-BFGS-B", jac=True, bounds=[(0, 1)] * start.size)
        ours = objective(ended["at"][k].double().numpy().ravel(), k)[0]
        assert ended["at"].min() >= 0 and ended["at"].max() <= 1
        assert ours <= wanted.fun * 1.0005 < objective(start, k)[0]


def test_more_searches_reach_every_target_and_end_nearer(monkeypatch):
    """Settling, which goes on from there along the boundary, ends as near after few."""
    network, images = Bent(), pictures(12, 12)
    labels = answers(network, images)
    targets = (labels + 3) % 6
    before, settle = [], lbfgs.settle

    def watched(problem, found, is_found, norm):
        before.append((found - problem.clean).flatten(1).norm(dim=1).numpy() / 255)
        return settle(problem, found, is_found, norm)

    monkeypatch.setattr(lbfgs, "settle", watched)
    few, many = (attacked(network, images, labels, targets, n_searches=n) for n in (2, 8))
    assert (answers(network, many.images) == targets).all()
    both = np.array([word != "not-found" for word in few.rounding])
    assert not both.all()
    assert (before[1] <= before[0])[both].all() and before[1][both].mean() < 0.95 * before[0][both].mean()
    assert distances(many, images)[both].mean() < 1.01 * distances(few, images)[both].mean() < 0.49


def test_away_from_the_true_class_is_as_near_as_cw_l2_where_the_network_is_sure():
    network, images = Bent(), pictures(6, 12)
    network.net[-1].weight.mul_(100)
    network.net[-1].bias.mul_(100)
    labels = answers(network, images)
    away = attacked(network, images, labels, target="")
    nearest = attack_named("cw-l2").perturb(network, images, labels, [0])[0]
    assert (answers(network, away.images) != labels).all()
    assert distances(away, images).mean() < 1.01 * distances(nearest, images).mean()


def test_the_first_c_is_only_where_the_search_starts():
    network, images = Bent(), pictures(12, 12)
    labels = answers(network, images)
    targets = (labels + 3) % 6
    small, large = (attacked(network, images, labels, targets, n_searches=12, initial_c=c) for c in (1e-2, 1e2))
    assert set(small.rounding + large.rounding) <= {"kept", "repaired"}
    assert distances(small, images).mean() == pytest.approx(distances(large, images).mean(), rel=0.1)


def test_too_few_points_find_less():
    network, images = Bent(), pictures(12, 12)
    labels = answers(network, images)
    found = [attacked(network, images, labels, (labels + 3) % 6, n_searches=1, n_steps=n, initial_c=100.0) for n in (1, 60)]
    assert found[0].rounding.count("not-found") > found[1].rounding.count("not-found") == 0


def test_an_image_that_the_target_has_already_stays_as_it_is():
    network, images = Bent(), pictures(6, 12)
    labels = answers(network, images)
    found = attacked(network, images, (labels + 1) % 6, labels)
    assert (found.images == images).all()


def test_a_target_that_is_none_is_refused():
    with pytest.raises(WrongUse, match="is no target"):
        attack_named("lbfgs", options={"target": "nearest"})


@pytest.mark.slow
def test_signs_reach_their_targets():
    from pipeline.datasets import open_dataset
    from pipeline.models import load_classifier
    from pipeline.settings import DatasetSettings, ModelSettings

    network = load_classifier(ModelSettings())
    dataset = open_dataset(DatasetSettings(), network.class_names, network.wordnet_ids)
    images = np.stack([network.prepare(dataset.image(k).pixels) for k in range(16)])
    found = attacked(network, images, network.predict(images).argmax(axis=1))
    assert (network.predict(found.images).argmax(axis=1) == found.targets).all()
