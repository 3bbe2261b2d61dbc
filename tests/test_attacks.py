"""Attacks: exact in 8 bits, the paper's as its formulas say, and the same whatever they are computed beside."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.attacks import ATTACKS, attack_named
from pipeline.attacks.expectation import ExpectationOverTransformation
from pipeline.attacks.gradient_sign import iterations
from pipeline.attacks.options import ExpectationOptions
from pipeline.errors import WrongUse
from pipeline.images import to_model

N_CLASSES = 6
EPSILONS = (1, 2, 4, 8, 16)
PAPER = ("fgsm", "bim", "illc")


class ToyClassifier:
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


class ToyChannel:
    """Each draw darkens the image by its own factor and adds noise: what a real channel is to an attack, in two lines."""

    def __init__(self, *_, **__) -> None:
        pass

    def draw(self, n, rng):
        return torch.as_tensor(rng.uniform(0.7, 1.0, (n, 1, 1, 1)), dtype=torch.float32)

    def __call__(self, images, draws, generator):
        return images * draws + 0.02 * torch.randn(images.shape, generator=generator)


def attack_of(name):
    """The attack; one that goes through the simulator with a toy in its place."""
    if name == "eot":
        return ExpectationOverTransformation(ExpectationOptions(n_steps=12, n_samples=2), ToyChannel)
    return attack_named(name)


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


@pytest.mark.parametrize("name", ATTACKS)
def test_a_sweep_gives_what_each_epsilon_gives_alone(name):
    classifier, attack = ToyClassifier(), attack_of(name)
    pixels, labels = toy_batch()
    together = attack.perturb(classifier, pixels, labels, EPSILONS)
    for epsilon in EPSILONS:
        alone = attack.perturb(classifier, pixels, labels, [epsilon])[epsilon]
        assert (together[epsilon].images == alone.images).all()
        assert (together[epsilon].n_forward, together[epsilon].n_backward) == (alone.n_forward, alone.n_backward)


@pytest.mark.parametrize(
    ("name", "n_passes"), [("fgsm", 1), ("bim", 8 + 1 + 1 + 2), ("illc", 8 + 1 + 1 + 2)], ids=["fgsm", "bim", "illc"]
)
def test_a_sweep_shares_its_passes(name, n_passes):
    """Epsilons 2, 4 and 8 need 3, 5 and 10 steps; eight of them are common, and 1, 1 and 2 are their own."""
    classifier = ToyClassifier()
    attack_of(name).perturb(classifier, *toy_batch(), (2, 4, 8))
    assert classifier.n_forward == n_passes


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("name", ATTACKS)
def test_the_result_is_8_bit_and_inside_the_ball(name, epsilon):
    pixels, labels = toy_batch(seed=9)
    pixels[0], pixels[1] = 0, 255
    images = attack_of(name).perturb(ToyClassifier(), pixels, labels, [epsilon])[epsilon].images
    assert images.dtype == np.uint8 and images.shape == pixels.shape
    distance = np.abs(images.astype(int) - pixels)
    assert 0 < distance.max() <= epsilon


@pytest.mark.parametrize("name", ATTACKS)
def test_the_loss_moves_the_right_way(name):
    classifier = ToyClassifier()
    pixels, labels = toy_batch(n=32)
    result = attack_of(name).perturb(classifier, pixels, labels, [8])[8]
    aimed = torch.as_tensor(labels if result.targets is None else result.targets)
    before, after = (cross_entropy(classifier.net(to_model(images)), aimed) for images in (pixels, result.images))
    assert (after > before) if result.targets is None else (after < before)


def test_the_least_likely_class_is_that_of_the_clean_image():
    classifier = ToyClassifier()
    pixels, labels = toy_batch()
    targets = attack_named("illc").perturb(classifier, pixels, labels, [4])[4].targets
    assert (targets == classifier.net(to_model(pixels)).argmin(1).numpy()).all()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_image_does_not_depend_on_its_neighbours(name):
    classifier, attack = ToyClassifier(), attack_of(name)
    pixels, labels = toy_batch(n=6)
    order = [4, 2, 0, 5, 1, 3]
    straight = attack.perturb(classifier, pixels, labels, [8])[8].images
    assert (attack.perturb(classifier, pixels[order], labels[order], [8])[8].images == straight[order]).all()


@pytest.mark.parametrize("name", ATTACKS)
def test_the_network_and_the_input_are_left_as_they_were(name):
    classifier = ToyClassifier()
    classifier.net.train()
    pixels, labels = toy_batch()
    before, weights = pixels.copy(), [value.clone() for value in classifier.net.state_dict().values()]
    attack_of(name).perturb(classifier, pixels, labels, [4])
    assert (pixels == before).all() and classifier.net.training
    assert all(torch.equal(old, new) for old, new in zip(weights, classifier.net.state_dict().values(), strict=True))
    assert all(parameter.grad is None for parameter in classifier.net.parameters())


def test_an_unknown_attack_names_place_and_nearest():
    with pytest.raises(WrongUse, match=r'my\.toml:3: unknown attack "fgms"\. Did you mean "fgsm"'):
        attack_named("fgms", "my.toml:3")
    with pytest.raises(WrongUse, match=r'my\.toml:3: attack "bim" has no options'):
        attack_named("bim", "my.toml:3", {"n_steps": 3})
