"""Carlini and Wagner's attacks: at the hyperplane of a linear network, always to the target, each option with an effect."""

from collections import Counter

import numpy as np
import pytest
import torch

from pipeline.attacks import attack_named
from pipeline.attacks.attack import Differentiable
from pipeline.attacks.cw import Variables
from pipeline.attacks.cw_l2 import SmallestDistance
from pipeline.attacks.options import SmallestDistanceOptions
from pipeline.attacks.problem import Problem, sums
from pipeline.images import to_model
from pipeline.models import load_classifier
from pipeline.settings import ModelSettings
from pipeline.signs.dataset import SignsDataset

NAMES = ("cw-l2", "cw-l0", "cw-linf")
N_CLASSES = 6


class Toy(Differentiable):
    """A small smooth network on 12 x 12 images that counts the images it sees."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(8 * 25, N_CLASSES)
        ).requires_grad_(False)
        self.n_batches = 0

    def logits(self, images):
        self.n_batches += 1
        return self.net(images)

    def classes(self, images):
        return self.net(to_model(images)).argmax(dim=1).numpy()


class Linear(Differentiable):
    """Logits W x + b: the distance to each boundary is known."""

    device = torch.device("cpu")

    def __init__(self, n_classes=4, size=8, seed=0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weights = torch.randn(n_classes, 3 * size * size, generator=generator) / 10
        self.bias = torch.randn(n_classes, generator=generator) / 10

    def logits(self, images):
        return (images - 0.5).flatten(1) @ self.weights.T + self.bias

    def distance(self, images, labels, norm):
        """Distance from each image to the nearest boundary, on [0, 1]: |margin| by the dual norm of the difference of rows."""
        logits = self.logits(to_model(images)).numpy()
        found = []
        for row, label in zip(logits, labels, strict=True):
            others = [k for k in range(len(row)) if k != label]
            found.append(
                min((row[label] - row[k]) / torch.linalg.norm(self.weights[label] - self.weights[k], norm) for k in others)
            )
        return np.array(found)


def toy(n=5, seed=1):
    classifier = Toy()
    images = np.random.default_rng(seed).integers(0, 256, (n, 12, 12, 3), dtype=np.uint8)
    return classifier, images, classifier.classes(images)


def linear(n=6, seed=1):
    """A linear network with grey images, so that the box does not bind."""
    classifier = Linear()
    images = np.random.default_rng(seed).integers(60, 196, (n, 8, 8, 3), dtype=np.uint8)
    return classifier, images, classifier.logits(to_model(images)).argmax(dim=1).numpy()


def attacked(name, case, targets=None, **options):
    classifier, images, labels = case
    return attack_named(name, options=options).perturb(classifier, images, labels, [0], targets)[0]


def distances(case, result):
    return np.sqrt(np.square((result.images.astype(float) - case[1]) / 255).sum(axis=(1, 2, 3)))


@pytest.mark.parametrize(("values", "is_far"), [((0, 255), True), ((120, 136), False)], ids=["far", "near"])
def test_l2_steps_farther_only_where_the_boundary_is_far(values, is_far, monkeypatch):
    classifier = Linear(n_classes=2, seed=3)
    images = np.random.default_rng(4).choice(values, (8, 8, 8, 3)).astype(np.uint8)
    labels = classifier.logits(to_model(images)).argmax(dim=1).numpy()
    distance_8bit = 255 * classifier.distance(images, labels, 2) / 192**0.5
    rates, stepped = [], Variables.step

    def step(variables, gradient, rate):
        rates.append(rate)
        stepped(variables, gradient, rate)

    monkeypatch.setattr(Variables, "step", step)
    attacked("cw-l2", (classifier, images, labels), search="running", learning_rate=0.02)
    first = (rates[0] / 0.02).numpy()
    assert (distance_8bit > 3).any() == is_far and (first > 1).any() == is_far
    # Beyond three levels it grows with the distance; in the box DeepFool's walk is no shorter than the way to the plane.
    assert (first >= 0.99 * (distance_8bit / 3).clip(1)).all()


@pytest.mark.parametrize(
    "search",
    [{"search": "running"}, {"search": "bisection", "n_searches": 9, "n_steps": 300, "learning_rate": 0.003}],
    ids=["running", "bisection"],
)
def test_l2_reaches_the_hyperplane_within_two_percent(search):
    case = linear()
    classifier, images, labels = case
    options = SmallestDistanceOptions(whole_numbers=False, **search)
    problem = Problem(classifier, images, labels)
    found = SmallestDistance(options).closest(problem)
    reached = sums((found.closest() - problem.clean).div(255).square()).sqrt().numpy()
    expected = classifier.distance(images, labels, 2)
    assert (reached >= expected * 0.999).all()
    assert (reached <= expected * 1.02).all()


def test_saved_l2_is_within_two_levels_of_the_hyperplane():
    case = linear()
    result = attacked("cw-l2", case)
    assert (distances(case, result) * 255 <= case[0].distance(case[1], case[2], 2) * 255 + 2).all()


def test_linf_reaches_the_hyperplane_within_a_level():
    case = linear()
    result = attacked("cw-linf", case)
    reached = np.abs(result.images.astype(int) - case[1]).max(axis=(1, 2, 3))
    exact = case[0].distance(case[1], case[2], 1) * 255
    assert (reached >= exact - 1e-3).all()
    assert (reached <= np.ceil(exact) + 1).all()


class Bright(Differentiable):
    """Class 1 where a weighted mean of all values is above 0.3; the weights differ twentyfold."""

    device = torch.device("cpu")

    def __init__(self, scale: float) -> None:
        self.scale, self.weights = scale, torch.linspace(1, 20, 3 * 8 * 8) / (10.5 * 3 * 8 * 8)

    def logits(self, images):
        lead = self.scale * (images.flatten(1) @ self.weights - 0.3)
        return torch.stack([-lead, lead], dim=1)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_linf_takes_every_value_of_a_black_image_equally_far(scale):
    """As in MNIST: w has far to go, and the values that matter most may not run ahead of the others."""
    case = Bright(scale), np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, np.int64)
    result = attacked("cw-linf", case)
    assert result.images.max() in (77, 78) and set(result.rounding) <= {"kept", "repaired"}  # 0.3 of 255 is 76.5


def test_l0_changes_no_more_pixels_than_the_greedy_choice_needs():
    """On a linear network the pixels that can bring most, as many as are enough, are the fewest for a class."""
    case = linear()
    classifier, images, labels = case
    result = attacked("cw-l0", case)
    changed = (result.images != images).any(axis=3).sum(axis=(1, 2))
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        x = to_model(image[None])
        logits = classifier.logits(x)[0]
        fewest = []
        for other in set(range(len(logits))) - {label}:
            row = (classifier.weights[other] - classifier.weights[label]).view(3, 8, 8)
            most = torch.where(row > 0, row * (1 - x[0]), -row * x[0]).sum(dim=0).flatten().sort(descending=True).values
            fewest.append(int((most.cumsum(0) < logits[label] - logits[other]).sum()) + 1)
        assert min(fewest) <= changed[k] <= min(fewest) + 1


@pytest.mark.parametrize("name", NAMES)
def test_every_image_is_led_to_its_target(name):
    case = toy()
    targets = (case[2] + 1 + np.arange(len(case[2])) % (N_CLASSES - 1)) % N_CLASSES
    result = attacked(name, case, targets)
    assert (case[0].classes(result.images) == targets).all()
    assert set(result.rounding) <= {"kept", "repaired"}
    assert (result.targets == targets).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["", pytest.param("random", marks=pytest.mark.slow)], ids=["away", "targeted"])
def test_an_image_is_the_same_alone_in_company_and_in_any_order(name, target):
    classifier, images, labels = toy(7)
    together = attacked(name, (classifier, images, labels), target=target)
    order = np.array([3, 6, 0, 5, 1, 4, 2])
    shuffled = attacked(name, (classifier, images[order], labels[order]), target=target)
    assert (shuffled.images == together.images[order]).all()
    assert (shuffled.n_backward == together.n_backward[order]).all()
    for k in (0, 4):
        classifier.n_batches = 0
        alone = attacked(name, (classifier, images[k : k + 1], labels[k : k + 1]), target=target)
        assert (alone.images[0] == together.images[k]).all()
        assert alone.n_forward[0] == together.n_forward[k] == classifier.n_batches


@pytest.mark.parametrize("name", NAMES)
def test_an_image_that_the_network_gets_wrong_already_stays_as_it_is(name):
    classifier, images, labels = toy()
    labels = labels.copy()
    labels[2] = (labels[2] + 1) % N_CLASSES
    result = attacked(name, (classifier, images, labels))
    assert (result.images[2] == images[2]).all()
    assert result.rounding[2] == "kept"
    assert (result.images[0] != images[0]).any()


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_found_is_the_clean_image_and_said(name):
    """One class always wins by far: there is nothing to find, and nothing blank is given out for it."""

    class Stubborn(Toy):
        def logits(self, images):
            return 1e-6 * self.net(images) + torch.eye(N_CLASSES)[0]

    _, images, _ = toy(2)
    few = {"n_steps": 5} if name != "cw-l2" else {"n_steps": 5, "n_searches": 2}
    result = attacked(name, (Stubborn(), images, np.zeros(2, int)), **few)
    assert result.rounding == ("not-found", "not-found")
    assert (result.images == images).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_network_is_left_as_it_was(name):
    classifier, images, labels = toy(2)
    classifier.net.train()
    before = {key: value.clone() for key, value in classifier.net.state_dict().items()}
    attacked(name, (classifier, images, labels))
    assert classifier.net.training
    assert all(torch.equal(before[key], value) for key, value in classifier.net.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in classifier.net.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_kappa_is_the_margin_of_the_saved_image(name):
    case = toy()
    targets = (case[2] + 1) % N_CLASSES
    for kappa in (0.0, 0.3):
        result = attacked(name, case, targets, kappa=kappa)
        logits = case[0].net(to_model(result.images))
        chosen = logits.gather(1, torch.as_tensor(targets)[:, None])[:, 0]
        others = logits.scatter(1, torch.as_tensor(targets)[:, None], -torch.inf).amax(dim=1)
        assert (chosen - others >= kappa).all()
        assert set(result.rounding) <= {"kept", "repaired"}


RUNNING = {"search": "running"}
BISECTION = {"search": "bisection", "n_searches": 3, "n_steps": 30}
KNOBS = [
    ("cw-l2", {}, {"kappa": 0.5}),
    ("cw-l2", {}, {"search": "bisection"}),
    ("cw-l2", BISECTION, {"n_searches": 1}),
    ("cw-l2", RUNNING, {"start": "clean"}),
    ("cw-l2", {}, {"n_steps": 3}),
    ("cw-l2", RUNNING, {"learning_rate": 0.002}),
    ("cw-l2", RUNNING, {"initial_c": 30.0}),
    ("cw-l2", RUNNING, {"whole_numbers": False}),
    ("cw-l2", BISECTION, {"warm_start": True}),
    ("cw-l2", {**BISECTION, "n_steps": 200}, {"abort_early": False}),
    ("cw-l2", {}, {"n_starts": 4}),
    ("cw-l2", {}, {"target": "least-likely"}),
    ("cw-l2", {"target": "random"}, {"seed": 3}),
    ("cw-l0", {}, {"kappa": 0.5}),
    ("cw-l0", {}, {"n_steps": 3}),
    ("cw-l0", {}, {"n_doublings": 0}),
    ("cw-l0", {}, {"learning_rate": 0.01}),
    ("cw-l0", {}, {"initial_c": 0.01}),
    ("cw-l0", {}, {"share": 0.1}),
    ("cw-l0", {}, {"target": "least-likely"}),
    ("cw-l0", {"target": "random"}, {"seed": 3}),
    ("cw-linf", {}, {"kappa": 0.5}),
    ("cw-linf", {}, {"n_steps": 3}),
    ("cw-linf", {"n_steps": 3}, {"n_doublings": 0}),
    ("cw-linf", {}, {"learning_rate": 0.001}),
    ("cw-linf", {}, {"initial_c": 0.01}),
    ("cw-linf", {}, {"initial_tau_8bit": 1}),
    ("cw-linf", {}, {"target": "least-likely"}),
    ("cw-linf", {"target": "random"}, {"seed": 3}),
]


@pytest.mark.parametrize(("name", "base", "turned"), KNOBS, ids=lambda value: str(value).strip("{}").replace("'", ""))
@pytest.mark.slow
def test_turning_an_option_changes_the_result(name, base, turned):
    case = toy()
    before, after = attacked(name, case, **base), attacked(name, case, **{**base, **turned})
    assert (before.images != after.images).any() or (before.n_forward != after.n_forward).any()


def test_every_option_is_turned_once():
    turned = Counter((name, key) for name, _, options in KNOBS for key in options)
    expected = {(name, key) for name in NAMES for key in attack_named(name).identity}
    assert set(turned) == expected


@pytest.mark.parametrize("search", ["gliding", "running"])
def test_more_starts_end_no_farther_and_those_of_a_running_search_nearer(search):
    case = toy(12, seed=3)
    one, ten = (distances(case, attacked("cw-l2", case, search=search, n_starts=n)) for n in (1, 10))
    assert (ten <= one * 1.02).all()
    assert (ten < one).any() or search == "gliding"


def test_gliding_ends_as_near_as_adam_in_less_than_half_the_passes():
    """On the built-in network, whose boundary is bent; Adam takes its sixty steps."""
    from pipeline.datasets import open_dataset
    from pipeline.models import load_classifier
    from pipeline.settings import DatasetSettings, ModelSettings

    classifier = load_classifier(ModelSettings())
    signs = open_dataset(DatasetSettings(), classifier.class_names)
    images = np.stack([classifier.prepare(signs.image(i).pixels) for i in range(4)])
    case = classifier, images, np.array([signs.label(i) for i in range(4)])
    glided, run = attacked("cw-l2", case), attacked("cw-l2", case, search="running")
    assert (classifier.predict(glided.images).argmax(axis=1) != case[2]).all()
    assert distances(case, glided).mean() <= 1.02 * distances(case, run).mean()
    assert (glided.n_backward * 2 < run.n_backward).all()


def test_a_step_is_adam_on_the_tanh_variable():
    """Against PyTorch's own Adam and autograd, three steps."""
    clean = torch.rand(2, 3, 4, 4) * 200 + 20
    pull = torch.randn(2, 3, 4, 4)
    variables = Variables(clean)
    w = torch.atanh(clean / 127.5 - 1).requires_grad_()
    adam = torch.optim.Adam([w], lr=0.01)
    for _ in range(3):
        pixels = variables.pixels()
        assert torch.allclose(pixels, (torch.tanh(w) + 1).detach() * 127.5, atol=1e-3)
        variables.step(2 * (pixels / 255 - 0.5) + pull, torch.full((2,), 0.01))
        x = (torch.tanh(w) + 1) / 2
        adam.zero_grad()
        ((x - 0.5).square().sum() + (pull * x).sum()).backward()
        adam.step()
    assert torch.allclose(variables.pixels(), (torch.tanh(w) + 1).detach() * 127.5, atol=1e-3)


def test_a_restarted_image_goes_on_as_a_fresh_one_and_the_others_as_before():
    clean, start, pulls = torch.rand(2, 3, 4, 4) * 255, torch.rand(2, 3, 4, 4) * 255, torch.randn(3, 2, 3, 4, 4)
    restarted, fresh, undisturbed = Variables(clean), Variables(start), Variables(clean)

    def step(variables, pull):
        variables.pixels()
        variables.step(pull.clone(), torch.full((2,), 0.05))

    for pull in pulls[:2]:
        step(restarted, pull)
        step(undisturbed, pull)
    restarted.restart(torch.tensor([True, False]), start)
    for variables in (restarted, fresh, undisturbed):
        step(variables, pulls[2])
    assert torch.equal(restarted.pixels()[0], fresh.pixels()[0])
    assert torch.equal(restarted.pixels()[1], undisturbed.pixels()[1])


@pytest.mark.parametrize("name", ["cw-l0", "cw-linf"])
def test_the_descent_to_the_next_goal_starts_where_the_goal_says(name, monkeypatch):
    """At the best image so far, for a largest change cut to the next one: Adam's own place has gone on from there."""
    starts, own_place = [], []
    attack = attack_named(name)
    state = attack.descents(Problem(*toy()), attack._options)
    shrink = state.shrink

    def noted(succeeded, failed, clean, seen):
        starts.append((succeeded | failed, shrink(succeeded, failed, clean, seen)))
        own_place.append(state._variables.pixels())
        return starts[-1][1]

    monkeypatch.setattr(state, "shrink", noted)
    n_goals, n_elsewhere = 0, 0
    for _ in range(60):
        state.step()
        moves, start = starts[-1]
        wanted, at = start[moves].clamp(0.5, 254.5), state._variables.pixels()
        assert torch.allclose(at[moves], wanted, atol=0.01) and torch.equal(at[~moves], own_place[-1][~moves])
        n_goals, n_elsewhere = n_goals + int(moves.sum()), n_elsewhere + int((own_place[-1][moves] - wanted).abs().gt(1).any())
    assert n_goals > 5 and n_elsewhere > 3


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["random", "least-likely"])
def test_the_built_in_network_is_always_led_to_the_target(name, target):
    from pipeline.datasets import open_dataset
    from pipeline.models import load_classifier
    from pipeline.settings import DatasetSettings, ModelSettings

    classifier = load_classifier(ModelSettings())
    signs = open_dataset(DatasetSettings(), classifier.class_names)
    images = np.stack([classifier.prepare(signs.image(i).pixels) for i in range(0, 80, 10)])
    labels = np.array([signs.label(i) for i in range(0, 80, 10)])
    result = attack_named(name, options={"target": target}).perturb(classifier, images, labels, [0])[0]
    assert (classifier.predict(result.images).argmax(axis=1) == result.targets).all()


@pytest.mark.slow
def test_saved_images_of_the_real_network_fool_as_the_real_numbered_ones_do(data_root):
    from PIL import Image

    from pipeline.models import load_classifier
    from pipeline.settings import ModelSettings

    data = data_root
    classifier = load_classifier(
        ModelSettings(
            name=f"python:{data}/models_ref.py:load",
            input_px=224,
            resize_px=256,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            arguments={"path": str(data / "weights/mobilenet_v2_qat.pt"), "kind": "mobilenet_v2"},
        )
    )
    files = sorted((data / "imagenet/images").iterdir())[::8]
    images = np.stack([classifier.prepare(np.asarray(Image.open(file).convert("RGB"))) for file in files])
    labels = classifier.predict(images).argmax(axis=1)
    result = attack_named("cw-l2", options={"target": "random"}).perturb(classifier, images, labels, [0])[0]
    assert set(result.rounding) <= {"kept", "repaired"}
    assert (classifier.predict(result.images).argmax(axis=1) == result.targets).all()


def test_where_gliding_comes_no_nearer_than_the_walk_a_running_search_does():
    """The first sign led to its second class: along this boundary gliding ended at 679 levels."""
    classifier, signs = load_classifier(ModelSettings(), "cpu"), SignsDataset(1)
    images, label = classifier.prepare(signs.image(0))[None], np.array([signs.label(0)])
    target = classifier.predict(images).argsort(axis=1)[:, -2]
    assert target != label
    lengths = {}
    for search in ("gliding", "running"):
        found = attack_named("cw-l2", options={"search": search}).perturb(classifier, images, label, [0], target)[0]
        assert classifier.predict(found.images).argmax(axis=1) == target
        lengths[search] = np.linalg.norm(found.images.astype(float) - images)
    assert lengths["gliding"] <= 1.02 * lengths["running"]


def test_near_a_boundary_where_whole_numbers_cost_most_gliding_is_all():
    network, images = Linear(), np.random.default_rng(0).integers(0, 256, (400, 8, 8, 3), dtype=np.uint8)
    labels = network.logits(to_model(images)).argmax(dim=1).numpy()
    rms_8bit = 255 * network.distance(images, labels, 2) / np.sqrt(8 * 8 * 3)
    near = np.argsort(np.abs(rms_8bit - 0.3))[:8]
    found = attack_named("cw-l2").perturb(network, images[near], labels[near], [0])[0]
    assert set(found.rounding) <= {"kept", "repaired"} and found.n_forward.max() < 30
