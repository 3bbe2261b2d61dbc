"""Attacks within training, and the losses made of them, against brute force and closed forms."""

from itertools import product
from pathlib import Path

import pytest
import torch
from scipy.stats import kstest
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from pipeline.core.errors import InkproofError
from pipeline.settings.training import RecipeSettings, Training, TrainingAttackSettings, TrainingCameraSettings
from pipeline.training.perturbing import Steps, steps_for, worst_linear_loss
from pipeline.training.recipes import Loss


class Linear(nn.Module):
    """Two logits of images of 2 x 1 pixels; it notes the mode in which it was asked, and with what."""

    def __init__(self, n_classes=2, px=2):
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(n_classes, 3 * px, generator=draw, dtype=torch.float64))
        self.bias = nn.Parameter(torch.tensor([0.3, -0.2, 0.1][:n_classes], dtype=torch.float64))
        self.asked = []

    def forward(self, x):
        self.asked.append((self.training, x.detach()))
        return x.flatten(1).double() @ self.weight.T + self.bias


def images(n=5, px=(2, 1)):
    return torch.rand((n, 3, *px), generator=torch.Generator().manual_seed(2), dtype=torch.float64)


LABELS = torch.tensor([0, 1, 1, 0, 1])


def brute_force(net, x, labels, epsilon):
    """The largest loss over all corners of the ball, and its gradient with respect to the weights."""
    corners = torch.tensor(list(product((-1.0, 1.0), repeat=6)), dtype=torch.float64).reshape(-1, 1, 3, 2, 1)
    margins = [net(x + epsilon * corner) for corner in corners]
    sides = labels * 2 - 1
    losses = torch.stack([softplus(-sides * (logits[:, 1] - logits[:, 0])) for logits in margins])
    return losses.amax(dim=0).mean()


def test_the_exact_worst_case_of_a_linear_model_is_that_of_brute_force_and_so_is_its_gradient():
    """For both labels: the formula as Goodfellow et al. print it makes the loss of label 0 smaller."""
    net, epsilon = Linear(), 0.2
    exact = worst_linear_loss(net, images(), LABELS, epsilon)
    brute = brute_force(net, images(), LABELS, epsilon)
    assert torch.allclose(exact, brute, atol=1e-12)
    found, wanted = (torch.autograd.grad(loss, [net.weight, net.bias]) for loss in (exact, brute))
    assert all(torch.allclose(one, other, atol=1e-10) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_exact_worst_case_is_what_one_step_and_several_find_where_nothing_is_cut(norm, kind):
    net = Linear()
    attack = steps_for(kind, TrainingAttackSettings(norm=norm, epsilon_8bit=51.0, clip=False, n_steps=40, step_8bit=51.0))
    found = attack(images(), lambda x: cross_entropy(net(x), LABELS, reduction="sum"), torch.Generator().manual_seed(0))
    assert torch.allclose(cross_entropy(net(found), LABELS), worst_linear_loss(net, images(), LABELS, 0.2, norm))


def test_a_euclidean_step_has_its_length_over_all_pixels_of_an_image_and_zeros_do_not_move():
    slope = torch.randn((3, 3, 2, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slope[1] = 0
    attack = steps_for("fgsm", TrainingAttackSettings(norm="l2", epsilon_8bit=25.5, clip=False))
    start = torch.full((3, 3, 2, 2), 0.5, dtype=torch.float64)
    moved = attack(start, lambda x: (x * slope).sum(), torch.Generator()) - start
    assert moved.flatten(1).norm(dim=1).tolist() == pytest.approx([0.1, 0.0, 0.1])
    assert torch.allclose(moved[0], 0.1 * slope[0] / slope[0].norm())


def test_random_starts_fill_the_euclidean_ball_evenly():
    """In n = 12 dimensions u = (length / ε)^n is uniform."""
    attack = Steps(0.2, 0.0, 0, True, False, "l2")
    start = torch.full((4000, 3, 2, 2), 0.5)
    moved = attack(start, lambda x: x.sum(), torch.Generator().manual_seed(0)) - start
    share = (moved.flatten(1).norm(dim=1) / 0.2).double() ** 12
    assert kstest(share.numpy(), "uniform").pvalue > 0.001 and share.max() <= 1 + 1e-4
    assert moved.flatten(1).mean(dim=0).abs().max() < 0.01


@pytest.mark.parametrize(
    ("net", "words"),
    [(Linear(3), "for two classes"), (nn.Sequential(Linear(2), nn.Tanh()), "needs a linear network")],
)
def test_the_exact_worst_case_of_what_is_not_linear_is_refused(net, words):
    with pytest.raises(InkproofError, match=words):
        worst_linear_loss(net, images(), LABELS, 0.1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("kind", ["fgsm", "fast", "pgd"])
def test_attacks_keep_to_their_ball_and_to_the_range_of_pixels_where_that_is_asked(kind, clip, norm):
    net, x, epsilon = Linear(px=16), images(px=(4, 4)), {"linf": 0.4, "l2": 2.0}[norm]
    step_8bit = {"linf": 15.0, "l2": 600.0}[norm]
    attack = steps_for(kind, TrainingAttackSettings(norm=norm, epsilon_8bit=255 * epsilon, step_8bit=step_8bit, clip=clip))

    def objective(seen):
        return cross_entropy(net(seen), LABELS, reduction="sum")

    found = attack(x, objective, torch.Generator().manual_seed(0))
    assert (found - x).flatten(1).norm(p=float("inf") if norm == "linf" else 2, dim=1).max() <= epsilon + 1e-12
    assert (found.min() < 0 or found.max() > 1) != clip
    assert objective(found) > objective(x)
    other = attack(x, objective, torch.Generator().manual_seed(1))
    assert torch.equal(found, other) == (kind == "fgsm")


@pytest.mark.parametrize(("n_steps", "step_8bit", "size_8bit"), [(1, 0.0, 127.5), (5, 0.0, 25.5), (5, 3.0, 3.0)])
def test_the_steps_of_pgd_are_as_many_and_as_large_as_asked(n_steps, step_8bit, size_8bit):
    steps = steps_for("pgd", TrainingAttackSettings(epsilon_8bit=51.0, n_steps=n_steps, step_8bit=step_8bit))
    assert (steps.n, steps.size * 255) == (n_steps, pytest.approx(size_8bit))


def test_the_step_of_fast_training_is_a_quarter_longer_than_its_ball():
    assert steps_for("fast", TrainingAttackSettings(epsilon_8bit=8.0)).size * 255 == pytest.approx(10)


def loss_of(net, recipe="plain", temperature=1.0, camera=None, image_px=(2, 1), **settings):
    training = Training(
        name="x",
        seed=0,
        training=RecipeSettings(recipe=recipe, **settings),
        attack=TrainingAttackSettings(epsilon_8bit=25.5),
        camera=camera or TrainingCameraSettings(),
        base=Path("."),
    )
    return Loss(net, net, training, temperature, image_px)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_loss_is_the_mixture_of_clean_and_attacked(alpha):
    net, x = Linear(), images()
    attack = steps_for("fgsm", TrainingAttackSettings(epsilon_8bit=25.5))
    attacked = attack(x, lambda seen: cross_entropy(net(seen), LABELS), torch.Generator())
    wanted = alpha * cross_entropy(net(x), LABELS) + (1 - alpha) * cross_entropy(net(attacked), LABELS)
    assert torch.allclose(loss_of(net, "fgsm", alpha=alpha)(x, LABELS, "0").double(), wanted)


def test_the_attack_asks_the_network_as_it_predicts_and_the_loss_as_it_learns():
    net = Linear()
    net.train()
    loss_of(net, "pgd", alpha=0.0)(images(), LABELS, "0")
    modes = [training for training, _ in net.asked]
    assert modes == [False] * 7 + [True] and net.training


def test_a_temperature_divides_the_logits():
    net, hot = Linear(), Linear()
    with torch.no_grad():
        hot.weight *= 20
        hot.bias *= 20
    assert torch.allclose(loss_of(hot, temperature=20.0)(images(), LABELS, "0"), loss_of(net)(images(), LABELS, "0"))


def test_probabilities_are_targets_as_labels_are():
    net = Linear()
    as_labels = loss_of(net, "fgsm")(images(), LABELS, "0")
    assert torch.allclose(loss_of(net, "fgsm")(images(), nn.functional.one_hot(LABELS).double(), "0"), as_labels)


def test_part_of_a_batch_is_photographed_and_attacks_see_the_same_photographs():
    """Two of four images: their photographs differ from the files, from step to step, and not within a step."""
    net, x = Linear(px=256), images(4, (16, 16)).float()
    net.train()
    training = TrainingCameraSettings(rate=0.5, image_mm=30.0)
    loss = loss_of(net, "fgsm", camera=training, image_px=(16, 16))
    losses = [loss(x, LABELS[:4], step) for step in ("0", "0", "1")]
    assert losses[0] == losses[1] != losses[2]
    (_, before), (_, attacked), (_, clean) = net.asked[:3]
    assert torch.equal(before, clean)
    assert torch.equal(clean[2:], x[2:]) and (clean[:2] - x[:2]).abs().mean() > 0.02
    assert torch.allclose((attacked[2:] - x[2:]).abs().max(), torch.tensor(0.1), atol=1e-6)
    assert 0.005 < (attacked[:2] - before[:2]).abs().mean() < 0.1


def test_noise_of_its_width_is_anew_in_each_step_and_attacks_see_the_same_noise():
    net, x = Linear(px=256), images(4, (16, 16)).float()
    loss = loss_of(net, "fgsm", noise_8bit=51.0)
    losses = [loss(x, LABELS[:4], step) for step in ("0", "0", "1")]
    assert losses[0] == losses[1] != losses[2]
    (_, before), (_, attacked), (_, clean) = net.asked[:3]
    assert torch.equal(before, clean) and (clean - x).min() < -0.3
    assert (clean - x).std() == pytest.approx(0.2, rel=0.05) and abs((clean - x).mean()) < 0.02
    assert (attacked - before).abs().max() <= 0.1 + 1e-6
