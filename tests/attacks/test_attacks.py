"""Attacks: exact in 8 bits, the paper's as its formulas say, and the same whatever they are computed beside."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.attacks import attack_named
from pipeline.attacks.attack import Differentiable
from pipeline.attacks.gradient_sign import iterations
from pipeline.core.errors import WrongUse
from pipeline.images import to_model

N_CLASSES = 6
EPSILONS = (1, 2, 4, 8, 16)
PAPER = ("fgsm", "bim", "illc")


class ToyClassifier(Differentiable):
    """A small smooth network on 12 x 12 images that counts its passes."""

    device = torch.device("cpu")

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(8 * 25, N_CLASSES)
        )
        self.net.requires_grad_(False)
        self.n_forward = 0

    def logits(self, images):
        self.n_forward += 1
        return self.net(images)


def toy_batch(n=5, seed=1):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (n, 12, 12, 3), dtype=np.uint8), generator.integers(0, N_CLASSES, n)


def gradient_of(classifier, pixels, labels):
    inputs = to_model(pixels).requires_grad_()
    cross_entropy(classifier.net(inputs), torch.as_tensor(labels), reduction="sum").backward()
    return inputs.grad.permute(0, 2, 3, 1).numpy()


def reference(name, classifier, pixels, labels, epsilon):
    """The paper's formulas, written again in NumPy integers, one epsilon at a time."""
    clean = pixels.astype(int)
    if name == "fgsm":
        return np.clip(clean + epsilon * np.sign(gradient_of(classifier, pixels, labels)), 0, 255).astype(np.uint8)
    sign = 1
    if name == "illc":
        labels, sign = classifier.net(to_model(pixels)).argmin(1).numpy(), -1
    current = clean
    for _ in range(int(np.ceil(min(epsilon + 4, 1.25 * epsilon)))):
        step = current + sign * np.sign(gradient_of(classifier, current.astype(np.uint8), labels)).astype(int)
        current = np.minimum(255, np.minimum(clean + epsilon, np.maximum(0, np.maximum(clean - epsilon, step))))
    return current.astype(np.uint8)


@pytest.mark.parametrize(("epsilon", "n"), [(1, 2), (2, 3), (4, 5), (8, 10), (16, 20), (32, 36), (64, 68), (128, 132)])
def test_the_number_of_iterations_is_the_papers_rounded_up(epsilon, n):
    assert iterations(epsilon) == n


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("name", PAPER)
def test_the_result_equals_the_papers_formula(name, epsilon):
    classifier = ToyClassifier()
    pixels, labels = toy_batch()
    result = attack_named(name).perturb(classifier, pixels, labels, [epsilon])[epsilon]
    assert (result.images == reference(name, classifier, pixels, labels, epsilon)).all()


@pytest.mark.parametrize(
    ("name", "n_passes"), [("fgsm", 1), ("bim", 8 + 1 + 1 + 2), ("illc", 8 + 1 + 1 + 2)], ids=["fgsm", "bim", "illc"]
)
def test_a_sweep_shares_its_passes(name, n_passes):
    """Epsilons 2, 4 and 8 need 3, 5 and 10 steps; eight of them are common, and 1, 1 and 2 are their own."""
    classifier = ToyClassifier()
    attack_named(name).perturb(classifier, *toy_batch(), (2, 4, 8))
    assert classifier.n_forward == n_passes


def momentum_reference(classifier, pixels, labels, epsilon, n_steps, decay):
    """Dong et al. 2018, Alg. 1, in NumPy; the sign of a momentum does not depend on how gradients are scaled."""
    clean = pixels.astype(np.float64)
    current, momentum = clean.copy(), np.zeros_like(clean)
    for _ in range(n_steps):
        inputs = torch.from_numpy(current.transpose(0, 3, 1, 2) / 255).float().requires_grad_()
        cross_entropy(classifier.net(inputs), torch.as_tensor(labels), reduction="sum").backward()
        gradient = inputs.grad.permute(0, 2, 3, 1).numpy().astype(np.float64)
        momentum = decay * momentum + gradient / np.abs(gradient).sum(axis=(1, 2, 3), keepdims=True)
        stepped = current + epsilon / n_steps * np.sign(momentum)
        current = np.clip(np.clip(stepped, clean - epsilon, clean + epsilon), 0, 255)
    return np.rint(current).astype(np.uint8)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_momentum_gathers_gradients_and_not_signs(decay):
    classifier = ToyClassifier()
    pixels, labels = toy_batch()
    attack = attack_named("mi-fgsm", options={"n_steps": 8, "decay": decay})
    found = attack.perturb(classifier, pixels, labels, [8])[8].images
    wanted = momentum_reference(classifier, pixels, labels, 8, 8, decay)
    assert (found != wanted).mean() < 0.002  # the sign of a sum that is nearly nothing may fall either way


def test_projected_gradient_without_random_start_is_the_basic_iterative_walk():
    classifier = ToyClassifier()
    pixels, labels = toy_batch()
    options = {"n_steps": 10, "step_8bit": 1.0, "random_start": False}
    found = attack_named("pgd", options=options).perturb(classifier, pixels, labels, [8])[8].images
    assert (found == reference("bim", classifier, pixels, labels, 8)).all()


def test_restarts_fool_no_less_and_only_what_is_not_fooled_starts_again():
    classifier = ToyClassifier()
    pixels, _ = toy_batch(n=24)
    labels = classifier.net(to_model(pixels)).argmax(1).numpy()
    one, many = (
        attack_named("pgd", options={"n_steps": 2, "n_restarts": n}).perturb(classifier, pixels, labels, [2])[2] for n in (1, 6)
    )
    fooled_by_one, fooled_by_many = (classifier.net(to_model(p.images)).argmax(1).numpy() != labels for p in (one, many))
    assert 0 < fooled_by_one.sum() < 24 and (fooled_by_many | ~fooled_by_one).all()
    assert (many.n_backward[fooled_by_one] == 2).all() and (many.n_backward[~fooled_by_many] == 12).all()


class Linear(Differentiable):
    """Two classes that a plane parts: everything about it is known in closed form."""

    device = torch.device("cpu")

    def __init__(self, shape, seed=0):
        self.weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.bias = 0.0

    def logits(self, images):
        score = (images.double() * self.weight).sum(dim=(1, 2, 3)) + self.bias
        return torch.stack([score, -score], dim=1).float()


@pytest.mark.parametrize(("name", "options"), [("fgsm", {}), ("bim", {}), ("mi-fgsm", {}), ("pgd", {"random_start": False})])
def test_on_a_plane_sign_attacks_take_all_that_the_ball_gives(name, options):
    """The margin falls by 2 epsilon |w|_1: no image in the L-infinity ball does more (Goodfellow et al. 2015, Sec. 3)."""
    plane = Linear((3, 9, 9))
    pixels = np.random.default_rng(0).integers(20, 236, (4, 9, 9, 3), dtype=np.uint8)
    found = attack_named(name, options=options).perturb(plane, pixels, np.zeros(4, int), [8])[8].images
    before, after = (plane.logits(to_model(images)) for images in (pixels, found))
    fallen = (before[:, 0] - before[:, 1]) - (after[:, 0] - after[:, 1])
    assert torch.allclose(fallen, torch.full((4,), 2 * 8 / 255 * float(plane.weight.abs().sum())), rtol=1e-5)


def test_in_the_l2_ball_a_plane_gives_its_norm():
    plane = Linear((3, 9, 9))
    pixels = np.random.default_rng(0).integers(60, 196, (4, 9, 9, 3), dtype=np.uint8)
    options = {"norm": "l2", "random_start": False, "n_steps": 10}
    found = attack_named("pgd", options=options).perturb(plane, pixels, np.zeros(4, int), [8])[8].images
    before, after = (plane.logits(to_model(images))[:, 0] for images in (pixels, found))
    most = 8 / 255 * 243**0.5 * float(plane.weight.norm())
    assert ((before - after) <= most).all() and ((before - after) > 0.99 * most).all()  # rounding costs a little


def test_the_least_likely_class_is_that_of_the_clean_image():
    classifier = ToyClassifier()
    pixels, labels = toy_batch()
    targets = attack_named("illc").perturb(classifier, pixels, labels, [4])[4].targets
    assert (targets == classifier.net(to_model(pixels)).argmin(1).numpy()).all()


def test_an_unknown_attack_names_place_and_nearest():
    with pytest.raises(WrongUse, match=r'my\.toml:3: unknown attack "fgms"\. Did you mean "fgsm"'):
        attack_named("fgms", "my.toml:3")
    with pytest.raises(WrongUse, match=r'my\.toml:3: attack "illc" has no options'):
        attack_named("illc", "my.toml:3", {"n_steps": 3})
