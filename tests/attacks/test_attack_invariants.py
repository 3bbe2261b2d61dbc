"""What holds for every attack, over random shapes, epsilons and networks: whole numbers, the ball, no neighbours, no traces."""

from functools import partial

import numpy as np
import pytest
import torch
from attacks.table import ROWS, attack_of, each_form

from pipeline.attacks.attack import NO_EPSILON, ROUNDING, Differentiable, Trainable
from pipeline.images import to_model
from pipeline.specs.attacks import ATTACKS

N_CLASSES = 6
SEEDS = range(2)
WITH_EPSILON = [name for name in ROWS if ATTACKS.find(name).takes_epsilon]
MINIMUM_NORM = [name for name in ROWS if not ATTACKS.find(name).takes_epsilon and ATTACKS.find(name).accepts_targets]
LED = [name for name in ROWS if ATTACKS.find(name).accepts_targets]


class ToyNetwork(Differentiable):
    """A small convolutional network for images of any size that counts its passes."""

    device = torch.device("cpu")

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2),
            torch.nn.Tanh(),
            torch.nn.AdaptiveAvgPool2d(3),
            torch.nn.Flatten(),
            torch.nn.Linear(72, N_CLASSES),
        )
        for parameter in self.net.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5
        self.net.requires_grad_(False)
        self.n_forward = self.n_backward = 0

    def logits(self, images):
        n_images = len(torch.unique(images.detach().flatten(1), dim=0))  # copies fill a batch up and are no passes
        self.n_forward += n_images
        answer = self.net(images)
        if answer.requires_grad:
            answer.register_hook(partial(self._went_back, n_images))
        return answer

    def _went_back(self, n_images, gradient):
        self.n_backward += n_images

    def answers(self, images):
        with torch.no_grad():
            return self.net(to_model(images)).argmax(dim=1).numpy()

    def loss(self, images, labels):
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(self.net(to_model(images)), torch.as_tensor(labels)))


class LumaNetwork(ToyNetwork):
    """The same of the mean of the channels alone."""

    takes_luma = True

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        in_colour = self.net
        self.net = lambda x: in_colour(x.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1))


def batch(seed, n=6):
    rng = np.random.default_rng(seed)
    shape = (n, int(rng.integers(9, 15)), int(rng.integers(9, 15)), 3)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    images[0], images[1] = 0, 255
    return images, rng.integers(0, N_CLASSES, n)


def epsilons_of(name, seed):
    return (int(np.random.default_rng(seed).integers(1, 33)),) if ATTACKS.find(name).takes_epsilon else (NO_EPSILON,)


each_attack = each_form()


def test_every_attack_has_a_row_in_the_table():
    assert list(ROWS) == list(ATTACKS.own)


@each_attack
def test_results_are_8_bit_images_inside_the_ball(name, options):
    for seed in SEEDS:
        images, labels = batch(seed)
        (epsilon,) = epsilons_of(name, seed)
        found = attack_of(name, options).perturb(ToyNetwork(seed), images, labels, [epsilon])[epsilon]
        assert found.images.dtype == np.uint8 and found.images.shape == images.shape
        change = np.abs(found.images.astype(int) - images)
        if options.get("norm") == "l2" and epsilon:
            assert np.sqrt((change**2).mean(axis=(1, 2, 3))).max() <= epsilon
        elif epsilon:
            assert change.max() <= epsilon
        assert change.max() > 0 or not epsilon  # what fools already needs no change


@each_attack
def test_an_image_depends_neither_on_its_neighbours_nor_on_their_number(name, options):
    images, labels = batch(5, n=4)
    network, attack, epsilons = ToyNetwork(5), attack_of(name, options), epsilons_of(name, 5)
    together = attack.perturb(network, images, labels, epsilons)[epsilons[0]]
    order = [2, 0, 3, 1]
    shuffled = attack.perturb(network, images[order], labels[order], epsilons)[epsilons[0]]
    assert (shuffled.images == together.images[order]).all()
    for place in range(len(images)):
        alone = attack.perturb(network, images[place : place + 1], labels[place : place + 1], epsilons)[epsilons[0]]
        assert (alone.images[0] == together.images[place]).all()
        assert (alone.n_forward[0], alone.n_backward[0]) == (together.n_forward[place], together.n_backward[place])


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("eot", "patch")])
def test_a_network_of_luma_meets_grey_pictures_in_grey(name):
    """As if each pixel were one value: distances and numbers of values are then those of papers on MNIST."""
    images, labels = batch(2)
    images[2:] = images[2:, :, :, :1]
    images[4] = images[4][::-1, ::-1] // 2 + np.array([40, 0, 90], np.uint8)
    network, attack, (epsilon,) = LumaNetwork(2), attack_of(name, {}), epsilons_of(name, 2)
    together = attack.perturb(network, images, labels, [epsilon])[epsilon]
    is_grey = (together.images == together.images[..., :1]).all(axis=(1, 2, 3))
    assert is_grey[[0, 1, 2, 3, 5]].all()
    alone = [attack.perturb(network, images[[place]], labels[[place]], [epsilon])[epsilon] for place in range(len(images))]
    assert all((one.images[0] == together.images[place]).all() for place, one in enumerate(alone))
    assert [int(one.n_forward[0]) for one in alone] == together.n_forward.tolist()
    for told in ("rounding", "by"):
        assert getattr(together, told) == tuple(word for one in alone for word in getattr(one, told))


@pytest.mark.parametrize("name", WITH_EPSILON)
def test_a_sweep_gives_what_each_epsilon_gives_alone(name):
    images, labels = batch(7)
    network, attack, sweep = ToyNetwork(7), attack_of(name, {}), (1, 4, 16)
    together = attack.perturb(network, images, labels, sweep)
    for epsilon in sweep:
        alone = attack.perturb(network, images, labels, [epsilon])[epsilon]
        assert (together[epsilon].images == alone.images).all()
        assert (together[epsilon].n_forward == alone.n_forward).all()
        assert (together[epsilon].n_backward == alone.n_backward).all()


@each_attack
def test_the_passes_told_are_those_that_the_network_saw(name, options):
    images, labels = batch(3, n=3)
    for place in (0, 2):
        network = ToyNetwork(3)
        epsilons = epsilons_of(name, 3)
        one = slice(place, place + 1)
        attack = attack_of(name, options)
        if isinstance(attack, Trainable):  # what is learnt once is no image's cost
            attack.use(attack.learn(network, images.shape[1:3]))
            network.n_forward = network.n_backward = 0
        found = attack.perturb(network, images[one], labels[one], epsilons)[epsilons[0]]
        assert found.n_forward.tolist() == [network.n_forward]
        assert found.n_backward.tolist() == [network.n_backward]


@each_attack
def test_the_network_and_the_input_are_left_as_they_were(name, options):
    network = ToyNetwork()
    network.net.train()
    weights = [value.clone() for value in network.net.state_dict().values()]
    images, labels = batch(2, n=2)
    before, state = images.copy(), torch.get_rng_state()
    attack_of(name, options).perturb(network, images, labels, epsilons_of(name, 2))
    assert (images == before).all() and network.net.training
    assert all(torch.equal(old, new) for old, new in zip(weights, network.net.state_dict().values(), strict=True))
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.net.parameters())
    assert not any(part._forward_hooks or part._backward_hooks for part in network.net.modules())
    assert torch.equal(torch.get_rng_state(), state)


@each_attack
def test_the_attack_does_what_it_is_for(name, options):
    """Over many images: untargeted attacks make the true class less likely, targeted ones make their target likelier."""
    network = ToyNetwork(1)
    images = np.random.default_rng(1).integers(0, 256, (12, 11, 11, 3), dtype=np.uint8)
    labels = network.answers(images)
    epsilons = (24,) if ATTACKS.find(name).takes_epsilon else (NO_EPSILON,)
    found = attack_of(name, options).perturb(network, images, labels, epsilons)[epsilons[0]]
    if found.targets is None:
        assert network.loss(found.images, labels) > 1.3 * network.loss(images, labels)
    else:
        assert network.loss(found.images, found.targets) < network.loss(images, found.targets) - 0.2


@pytest.mark.parametrize("name", MINIMUM_NORM)
def test_a_minimum_norm_result_fools_or_is_the_clean_image(name):
    network = ToyNetwork(4)
    images = np.random.default_rng(4).integers(0, 256, (16, 10, 10, 3), dtype=np.uint8)
    labels = network.answers(images)
    found = attack_of(name, {}).perturb(network, images, labels, [NO_EPSILON])[NO_EPSILON]
    answers = network.answers(found.images)
    fools = answers != labels if found.targets is None else answers == found.targets
    assert set(found.rounding) <= set(ROUNDING) and len(found.rounding) == 16
    for place, word in enumerate(found.rounding):
        is_saved = word in ("kept", "repaired")
        assert fools[place] == is_saved
        assert is_saved or (found.images[place] == images[place]).all()


@pytest.mark.parametrize("name", MINIMUM_NORM)
def test_where_nothing_can_be_found_nothing_is_claimed(name):
    """A network that always answers the same: no image can be adversarial, and none may look as if it were."""

    class Constant(ToyNetwork):
        def logits(self, images):
            return super().logits(images) * 0 + torch.eye(N_CLASSES)[2] * 5

    images, _ = batch(6, n=3)
    labels = np.full(3, 2)
    found = attack_of(name, {}).perturb(Constant(), images, labels, [NO_EPSILON])[NO_EPSILON]
    assert found.rounding == ("not-found",) * 3
    assert (found.images == images).all()


@pytest.mark.parametrize("name", LED)
def test_an_image_is_led_to_the_target_that_is_given(name):
    """Two targets for the same images: each result stands better with its own target than the other result does."""
    images, labels = batch(8)
    network, attack = ToyNetwork(8), attack_of(name, {})
    epsilon = 24 if ATTACKS.find(name).takes_epsilon else NO_EPSILON
    aims = [(labels + step) % N_CLASSES for step in (1, 3)]
    better = 0.1 if name == "apgd-dlr" else 0.3  # its loss is a ratio of logits, which this one follows loosely
    found = [attack.perturb(network, images, labels, [epsilon], targets)[epsilon] for targets in aims]
    for one, other, targets in zip(found, reversed(found), aims, strict=True):
        assert (one.targets == targets).all()
        assert network.loss(one.images, targets) < network.loss(other.images, targets) - better
        assert network.loss(one.images, targets) < network.loss(images, targets) - better


@pytest.mark.parametrize("name", [name for name in ROWS if name not in LED])
def test_an_attack_that_leads_where_it_wants_takes_no_targets(name):
    images, labels = batch(8)
    with pytest.raises(ValueError, match="expected no targets"):
        attack_of(name, {}).perturb(ToyNetwork(8), images, labels, [NO_EPSILON], labels)
