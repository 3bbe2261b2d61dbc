"""AutoAttack's parts against closed forms and SciPy, what each asks of the network, and their union."""

import numpy as np
import pytest
import torch
from attacks.test_attack_invariants import N_CLASSES, ToyNetwork
from attacks.test_lattice import Plane, pictures
from scipy.optimize import linprog, minimize

from pipeline.attacks import attack_named
from pipeline.attacks.apgd import checkpoints, logits_ratio
from pipeline.attacks.attack import NO_EPSILON
from pipeline.attacks.fab import projection
from pipeline.attacks.problem import clean_pixels
from pipeline.attacks.square import share_of
from pipeline.images import to_model


class Watched(ToyNetwork):
    """Keeps every image in [0, 255] that it was asked about; gives no gradient if it is told so."""

    def __init__(self, seed=0, is_open=True):
        super().__init__(seed)
        self.is_open, self.asked = is_open, []

    def logits(self, images):
        self.asked.append(images.detach() * 255)
        if not self.is_open and images.requires_grad:
            raise AssertionError("asked for a gradient")
        return super().logits(images)


def right_images(network, n, seed=2):
    images = np.random.default_rng(seed).integers(0, 256, (n, 12, 12, 3), dtype=np.uint8)
    return images, network.answers(images)


def attacked(name, network, images, labels, epsilon=NO_EPSILON, targets=None, **options):
    return attack_named(name, options=options).perturb(network, images, labels, [epsilon], targets)[epsilon]


def test_the_step_is_looked_at_where_the_paper_says():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]


@pytest.mark.parametrize("name", ["apgd-ce", "apgd-dlr", "square"])
def test_on_a_plane_they_reach_the_corner_of_the_ball(name):
    images = pictures(3, 6)
    plane = Plane(images, [0.3] * 3)
    options = {"n_queries": 1200} if name == "square" else {}
    found = attacked(name, plane, images, np.zeros(3, int), 6, **options)
    corner = -6 * np.sign(plane.weight.permute(1, 2, 0).numpy())
    agree = (found.images.astype(int) - images == corner).mean()
    assert agree > (0.9 if name == "square" else 0.999)


def test_the_ratio_of_logits_is_the_papers():
    rows = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 5
    labels, aims, every = torch.tensor([0, 1, 2, 3, 4]), torch.tensor([6, 5, 4, 0, 1]), torch.arange(5)
    away, toward = logits_ratio(labels, None)(rows, every), logits_ratio(labels, aims)(rows, every)
    for k in range(5):
        z, order = rows[k].numpy(), np.sort(rows[k].numpy())[::-1]
        best_other = np.delete(z, labels[k]).max()
        assert away[k].item() == pytest.approx(-(z[labels[k]] - best_other) / (order[0] - order[2]))
        assert toward[k].item() == pytest.approx(-(z[labels[k]] - z[aims[k]]) / (order[0] - (order[2] + order[3]) / 2))
    assert torch.allclose(logits_ratio(labels, None)(rows * 9 - 40, every), away)


def test_the_ratio_of_two_classes_is_their_difference():
    """Their ratio would be plus or minus one everywhere, and without a slope."""
    two, every = torch.tensor([[3.0, 1.0], [0.0, 5.0]]), torch.arange(2)
    assert logits_ratio(torch.tensor([0, 0]), None)(two, every).tolist() == [-2.0, 5.0]
    with_mask = torch.tensor([[3.0, 1.0, -torch.inf, -1e9]])
    assert logits_ratio(torch.tensor([0]), torch.tensor([1]))(with_mask, every[:1]).tolist() == [-2.0]


@pytest.mark.parametrize(
    ("name", "options"),
    [("apgd-ce", {}), ("apgd-dlr", {}), ("apgd-dlr", {"n_targets": 3}), ("square", {"n_queries": 300})],
)
def test_only_whole_numbers_inside_the_ball_are_asked_about(name, options):
    network = Watched(3, is_open=name != "square")
    images, labels = right_images(network, 4)
    attacked(name, network, images, labels, 8, **options)
    clean = clean_pixels(images, network.device)
    for pixels in network.asked:
        whole = pixels.round()
        assert torch.allclose(pixels, whole, atol=1e-4)
        assert (torch.cdist(whole.flatten(1), clean.flatten(1), p=torch.inf).amin(dim=1) <= 8).all()


@pytest.mark.slow
def test_more_steps_starts_and_targets_find_more():
    network = ToyNetwork(7)
    images, labels = right_images(network, 48)

    def n_fooled(name, **options):
        return int((network.answers(attacked(name, network, images, labels, 3, **options).images) != labels).sum())

    few, many = (attacked("apgd-ce", network, images, labels, 3, n_steps=n).images for n in (1, 40))
    assert network.loss(many, labels) > network.loss(few, labels)
    assert n_fooled("apgd-dlr", n_steps=3) > n_fooled("apgd-dlr", n_steps=1)
    assert n_fooled("apgd-dlr", n_steps=2, n_targets=5) > n_fooled("apgd-dlr", n_steps=2)
    once, again = (attacked("apgd-dlr", network, images, labels, 3, n_steps=1, n_restarts=n).images for n in (1, 6))
    assert network.loss(again, labels) > network.loss(once, labels)
    assert n_fooled("square", n_queries=400) > n_fooled("square", n_queries=10)


def test_what_fools_stops_where_it_is_told_to():
    network = ToyNetwork(7)
    images, labels = right_images(network, 8)
    on, early = (attacked("apgd-ce", network, images, labels, 24, n_steps=30, stop_early=stop) for stop in (False, True))
    assert (on.n_forward == 31).all() and (early.n_forward < 31).all()
    assert (network.answers(early.images) != labels).all()
    assert network.loss(on.images, labels) > network.loss(early.images, labels)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_projection_is_the_least_change_in_the_box(norm):
    rng = np.random.default_rng(4)
    pixels, gradient = rng.uniform(0, 255, (6, 12)), rng.normal(size=(6, 12))
    pixels[:, :4] = rng.choice([0.0, 255.0], (6, 4))  # at the edge of the box
    share = np.array([0.1, -0.1, 0.5, -0.5, 0.9, 0.0])  # of what the box holds
    rising = gradient * np.sign(share)[:, None] > 0
    need = share * (np.abs(gradient) * np.where(rising, 255 - pixels, pixels)).sum(axis=1)
    shape = (6, 3, 2, 2)
    tensors = (torch.from_numpy(values).float() for values in (gradient.reshape(shape), need, pixels.reshape(shape)))
    found = projection(*tensors, norm).reshape(6, 12).double().numpy()
    for w, c, x, d in zip(gradient, need, pixels, found, strict=True):
        assert w @ d == pytest.approx(c, abs=0.05 + 1e-3 * abs(c))
        assert (x + d >= -1e-3).all() and (x + d <= 255 + 1e-3).all()
        if norm == "linf":
            sides = np.hstack([np.vstack([np.eye(12), -np.eye(12)]), -np.ones((24, 1))])
            bounds = [*zip(-x, 255 - x, strict=True), (0, None)]
            least = linprog([0] * 12 + [1], sides, np.zeros(24), [[*w, 0]], [c], bounds).fun
            assert np.abs(d).max() == pytest.approx(least, abs=0.02)
        else:
            plane = {"type": "eq", "fun": lambda y, w=w, c=c: w @ y - c, "jac": lambda y, w=w: w}
            bounds = list(zip(-x, 255 - x, strict=True))
            least = minimize(lambda y: y @ y, np.zeros(12), jac=lambda y: 2 * y, bounds=bounds, constraints=plane)
            assert np.linalg.norm(d) == pytest.approx(np.sqrt(least.fun), rel=2e-3, abs=0.02)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fab_starts_again_half_as_far_as_what_was_found_and_never_ends_farther(norm):
    network = Watched(5)
    images, labels = right_images(network, 6)
    clean = clean_pixels(images, network.device)

    def length(pixels):
        return (pixels - clean).abs().amax(dim=(1, 2, 3)) if norm == "linf" else (pixels - clean).flatten(1).norm(dim=1)

    def made(n_restarts):
        network.asked = []
        found = attacked("fab", network, images, labels, norm=norm, n_steps=4, n_targets=0, n_restarts=n_restarts)
        return length(clean_pixels(found.images, network.device)), [asked[:6] for asked in network.asked]

    once, _ = made(1)
    often, asked = made(3)
    again, same = made(3)
    assert (often <= once).all() and (often == again).all() and all(map(torch.equal, asked, same))
    first, second = asked[1:6], asked[6]  # after the look at the clean images: four steps and the end
    truth = torch.as_tensor(labels)
    fooling = [length(here).masked_fill(network.net(here / 255).argmax(1) == truth, torch.inf) for here in first]
    closest = torch.stack(fooling).amin(dim=0)
    assert torch.equal(first[0], clean) and closest.isfinite().all()
    assert (length(second) > 0).all() and (length(second) <= closest / 2 * 1.001).all() and (length(second) > closest / 4).any()


def test_fab_finds_the_distance_of_a_plane():
    images, distances = pictures(3, 16), [0.1, 0.5, 1.0]
    plane = Plane(images, distances)
    change = attacked("fab", plane, images, np.zeros(3, int)).images.astype(int) - images
    steepest = plane.weight.norm() / plane.weight.abs().sum()
    assert np.abs(change).max(axis=(1, 2, 3)).tolist() == torch.ceil(255 * torch.tensor(distances) * steepest).tolist()
    near = attacked("fab", plane, images, np.zeros(3, int), norm="l2").images.astype(float) - images
    assert np.sqrt((near[2] ** 2).sum()) / 255 == pytest.approx(1.0, rel=0.01)


def test_the_squares_shrink_as_published():
    """Andriushchenko et al.: 0.8 of the image, halved after 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000 of 10,000."""
    assert [share_of(query, 10_000, 0.8) for query in (1, 10, 11, 50, 51, 9999)] == [0.8, 0.8, 0.4, 0.4, 0.2, 0.8 / 512]
    assert share_of(6, 1000, 0.8) == 0.2


@pytest.mark.parametrize(("name", "epsilon"), [("square", 8), ("hopskipjump", NO_EPSILON)])
def test_attacks_that_need_no_gradient_ask_for_none(name, epsilon):
    network = Watched(3, is_open=False)
    images, labels = right_images(network, 3)
    found = attacked(name, network, images, labels, epsilon, n_queries=200)
    assert (found.n_backward == 0).all() and (found.n_forward > 0).all()
    assert (found.n_forward <= 200 + (100 if name == "hopskipjump" else 0)).all()


def test_hopskipjump_hears_labels_alone():
    """Told only which class is the best, it does the same."""

    class Labels(ToyNetwork):
        def logits(self, images):
            return torch.nn.functional.one_hot(super().logits(images).argmax(dim=1), N_CLASSES).float()

    images, labels = right_images(ToyNetwork(3), 2)
    found = attacked("hopskipjump", Labels(3), images, labels, n_steps=10)
    assert (ToyNetwork(3).answers(found.images) != labels).all() and set(found.rounding) <= {"kept", "repaired"}


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_hopskipjump_comes_near_a_plane_and_nearer_with_more_steps(norm):
    images, distances = pictures(2, 8), [0.4, 0.8]
    plane = Plane(images, distances)

    def lengths(n_steps):
        change = attacked("hopskipjump", plane, images, np.zeros(2, int), norm=norm, n_steps=n_steps, n_queries=10**6).images
        change = (change.astype(float) - images) / 255
        return np.abs(change).max(axis=(1, 2, 3)) if norm == "linf" else np.sqrt((change**2).sum(axis=(1, 2, 3)))

    least = torch.tensor(distances).double() * (plane.weight.norm() / plane.weight.abs().sum() if norm == "linf" else 1)
    few, many = lengths(1), lengths(25)
    assert (many < few).all() and (many < (1.6 if norm == "linf" else 1.2) * least.numpy() + 2 / 255).all()


class TestUnion:
    def test_an_image_leaves_with_the_part_that_fools_it(self):
        network = ToyNetwork(7)
        images, labels = right_images(network, 24)
        options = {"n_steps": 10, "n_targets": 2, "n_queries": 50}
        found = attacked("autoattack", network, images, labels, 3, **options)
        fools = network.answers(found.images) != labels
        assert [by != "" for by in found.by] == fools.tolist()
        first = attacked("apgd-ce", network, images, labels, 3, n_steps=10, stop_early=True)
        by_first = network.answers(first.images) != labels
        assert [by == "apgd-ce" for by in found.by] == by_first.tolist()
        assert (found.n_forward[by_first] == first.n_forward[by_first] + 1).all()  # and one pass to see that it fools
        assert (found.images[by_first] == first.images[by_first]).all()
        assert not by_first.all() and (found.n_forward[~by_first] > 11 + 2).all()  # all of the first part, and some of another

    @pytest.mark.slow
    def test_it_fools_whatever_a_part_fools(self):
        network = ToyNetwork(9)
        images, labels = right_images(network, 16)
        fools = network.answers(attacked("autoattack", network, images, labels, 2, n_queries=200).images) != labels
        for name, options in (("apgd-ce", {}), ("apgd-dlr", {"n_targets": 9}), ("square", {"n_queries": 200})):
            alone = network.answers(attacked(name, network, images, labels, 2, **options).images) != labels
            assert alone.sum() <= fools.sum()
        assert 0 < fools.sum() < 16

    def test_where_gradients_are_hidden_square_fools(self):
        class Hidden(ToyNetwork):
            def logits(self, images):
                return super().logits(images.detach()) + 0 * images.sum(dim=(1, 2, 3))[:, None]

        images, labels = right_images(ToyNetwork(7), 6)
        found = attacked("autoattack", Hidden(7), images, labels, 16, n_steps=5, n_targets=2, n_queries=400)
        assert set(found.by) <= {"apgd-ce", "square"} and "square" in found.by  # a random start may fool by itself

    def test_it_is_led_to_a_target(self):
        network = ToyNetwork(7)
        images, labels = right_images(network, 8)
        targets = (labels + 1) % N_CLASSES
        found = attacked("autoattack", network, images, labels, 40, targets, n_queries=100)
        n_led = (network.answers(found.images) == targets).sum()
        assert (
            n_led > 0
            and n_led >= (network.answers(attacked("pgd", network, images, labels, 40, targets).images) == targets).sum()
        )
        with torch.no_grad():
            answers = network.net(to_model(found.images)).argmax(dim=1).numpy()
        assert [by != "" for by in found.by] == (answers == targets).tolist()
