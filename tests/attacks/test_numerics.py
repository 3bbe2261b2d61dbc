"""What no attack's result may depend on, or be stopped by: constants in logits, masked classes, NaN and infinity."""

import signal

import numpy as np
import pytest
import torch
from attacks.table import FORMS, LONG, ROWS, attack_of, each_form
from attacks.test_attack_invariants import ToyNetwork, batch, epsilons_of

from pipeline.models.scores import can_win, doubt, least_likely
from pipeline.specs.attacks import ATTACKS

each_attack = each_form()
# A patch learns from other images and asks nothing of those that it is pasted into.
asking = each_form(without=("patch",))
LONGEST_S = 120


class _OnGrid(torch.autograd.Function):
    """Values in steps of 2^-9, so that a constant is added without rounding; the gradient goes straight through."""

    @staticmethod
    def forward(ctx, values):
        return (values * 512).round() / 512

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Answering(ToyNetwork):
    """The toy with its logits as a function of them and of the images changes them."""

    def __init__(self, seed, change):
        super().__init__(seed)
        self.change = change

    def logits(self, images):
        return self.change(super().logits(images), images)


def shifted(by):
    return lambda logits, images: _OnGrid.apply(logits) + by


def masked(value):
    """Four classes more, which never win."""
    return lambda logits, images: torch.cat([logits, torch.full_like(logits[:, :4], value)], dim=1)


def result(network, name, options, images, labels):
    (epsilon,) = epsilons_of(name, 11)
    return attack_of(name, options).perturb(network, images, labels, [epsilon])[epsilon]


def told(change, name, options):
    images, _ = batch(11)
    found = result(Answering(11, change), name, options, images, ToyNetwork(11).answers(images))
    return found.images.tobytes(), found.rounding, None if found.targets is None else found.targets.tolist(), found.is_blind


@each_attack
@pytest.mark.slow
def test_a_constant_added_to_all_logits_changes_no_byte(name, options):
    plain = told(shifted(0.0), name, options)
    for by in (1000.0, -900.0):
        assert told(shifted(by), name, options) == plain


@each_attack
@pytest.mark.slow
def test_how_far_behind_a_class_is_that_never_wins_changes_no_byte(name, options):
    without, first = told(lambda logits, images: logits, name, options), told(masked(-1e4), name, options)
    assert first[1:] == without[1:]  # what rounding did, and the targets; a softmax over more classes has other last bits
    for value in (-1e9, -torch.inf):
        assert told(masked(value), name, options) == first


def edges(logits, images):
    """An edge strength sqrt(dx^2 + dy^2): its gradient is 0 times infinity where four pixels are alike."""
    dx, dy = images[..., :-1, 1:] - images[..., :-1, :-1], images[..., 1:, :-1] - images[..., :-1, :-1]
    return logits + 1e-3 * (dx.square() + dy.square()).sqrt().mean(dim=(1, 2, 3))[:, None]


def roots(logits, images):
    """An infinite gradient where a value is 0."""
    return logits + torch.stack([images.sqrt().mean(dim=(1, 2, 3)), *[0 * logits[:, 0]] * (logits.shape[1] - 1)], dim=1)


def steep(logits, images):
    """A gradient whose squares overflow where a value is 0."""
    return logits + 1e-3 * (images * 1e25).tanh().mean(dim=(1, 2, 3))[:, None] * torch.arange(logits.shape[1])


def nowhere(logits, images):
    """Logits that are NaN for images with a black corner."""
    return logits + 0 * (images[:, 0, :2, :2].amax(dim=(1, 2)) - 0.02).sqrt()[:, None]


def unbounded(logits, images):
    """A first logit that is infinite for images with a black corner."""
    return torch.where((images[:, 0, :2, :2].amax(dim=(1, 2)) < 0.02)[:, None] & (torch.arange(6) == 0), torch.inf, logits)


@pytest.fixture
def limited_in_time():
    def give_up(*_):
        raise TimeoutError(f"did not end in {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("limited_in_time")
@pytest.mark.parametrize(
    ("name", "options", "change"),
    [pytest.param(*form, edges, marks=[pytest.mark.slow] * (form in LONG)) for form in FORMS if form[0] != "patch"]
    + [(name, {}, change) for name in ROWS if name != "patch" for change in (roots, steep, nowhere, unbounded)],
)
def test_numbers_that_are_not_finite_stop_no_attack_and_are_told_of_each_image(name, options, change):
    """Half of the images have a black corner, where the network breaks; the others have no value below 40."""
    images = np.random.default_rng(3).integers(80, 200, (4, 10, 10, 3), dtype=np.uint8)
    images[:2, :4, :4] = 0
    labels = ToyNetwork(3).answers(images)
    network = Answering(3, change)
    found = result(network, name, options, images, labels)
    assert found.images.dtype == np.uint8 and (not found.rounding or len(found.rounding) == 4)
    if not ATTACKS.find(name).needs_gradient or change in (nowhere, unbounded) or name == "eot":
        return  # a random start, or noise on the image, may never come where the network breaks
    assert found.is_blind and found.is_blind[:2] == (True, True)
    if change is edges and ATTACKS.find(name).takes_epsilon:  # what is not flat is attacked
        assert (found.images[:2] != images[:2]).any(axis=(1, 2, 3)).all()
        assert np.abs(found.images.astype(int) - images).max() <= epsilons_of(name, 11)[0] or options.get("norm") == "l2"


@asking
def test_nothing_is_told_of_where_all_numbers_are_finite(name, options):
    assert told(lambda logits, images: logits, name, options)[3] == ()


def test_classes_that_are_masked_cannot_win():
    rows = torch.tensor(
        [
            [3.0, 1.0, -2.0, 0.0],
            [3.0, 1.0, -1e4, 0.0],
            [0.01, 0.0, -torch.inf, -1e9],
            [900.0, -1000.0, 0.0, 5.0],
            [1.0, 1.0, 1.0, 1.0],
        ]
    )
    assert can_win(rows).tolist() == [[True] * 4, [True, True, False, True], [True, True, False, False], [True] * 4, [True] * 4]
    assert least_likely(rows).tolist() == [2, 3, 1, 1, 0]


def test_doubt_is_a_share_of_differences_and_never_finer_than_the_grid_of_large_logits():
    rows = torch.tensor([[4.0, 1.0, 0.0, -1.0, -6.0, -30.0], [2.0, 0.0, -1.0, -2.0, -8.0, -1e9]])
    assert torch.allclose(doubt(rows), torch.full((2,), 4e-3))
    assert torch.equal(doubt(rows + 64), doubt(rows))
    assert doubt(rows + 1e5)[0] > 2 * (torch.nextafter(torch.tensor(1e5), torch.tensor(torch.inf)) - 1e5)
