"""Attacks of other libraries: the same records, the same 8-bit judgement, and a failure of theirs is never a success."""

import importlib.util
import re

import numpy as np
import pytest
import torch

from pipeline.attacks import attack_named, attack_spec, attacks_listed
from pipeline.attacks.adapters.adapted_attack import LibraryAttack, OwnOptions, cut_to_ball, radius_of
from pipeline.attacks.adapters.libraries import Family
from pipeline.attacks.attack import NO_EPSILON, Differentiable
from pipeline.cli.catalogue import check_names
from pipeline.core.errors import InkproofError, Unavailable, WrongUse
from pipeline.core.registry import load
from pipeline.images import to_model
from pipeline.settings.reading import load_experiment
from pipeline.specs.attacks import LIBRARIES, OPTIONAL

N_CLASSES = 6
# one attack with a budget and one without of each library, with few steps
WITH_BUDGET = {
    "foolbox:LinfPGD": {"steps": 5, "rel_stepsize": 0.4},
    "foolbox:L2PGD": {"steps": 5},
    "foolbox:L1PGD": {"steps": 5},
    "torchattacks:PGD": {"steps": 5},
    "torchattacks:PGDL2": {"steps": 5},
    "art:ProjectedGradientDescent": {"max_iter": 5, "num_random_init": 1},
    "art:FastGradientMethod": {"norm": 2},
}
MINIMUM_NORM = {
    "foolbox:L2CarliniWagnerAttack": {"steps": 60, "binary_search_steps": 3, "initial_const": 1.0},
    "foolbox:L2DeepFoolAttack": {},
    "foolbox:LInfFMNAttack": {"steps": 30},
    "torchattacks:CW": {"steps": 40, "c": 5},
    "torchattacks:JSMA": {},
    "art:CarliniL2Method": {"max_iter": 5, "binary_search_steps": 4, "initial_const": 1.0},
    "art:DeepFool": {"max_iter": 20},
    "art:SaliencyMapMethod": {},
}
ALL = {**WITH_BUDGET, **MINIMUM_NORM}


def installed(name):
    """Skips a test of a library that this environment lacks."""
    library = name.partition(":")[0]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed (an extra: inkproof[{library}])")
    return attack_named(name, options=ALL.get(name, {}))


class Toy(Differentiable):
    """A small smooth network on 12 x 12 images."""

    device = torch.device("cpu")

    def __init__(self):
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(200, N_CLASSES)
        )
        self.net.requires_grad_(False)
        self.n_rows = 0

    def logits(self, images):
        self.n_rows += len(images)
        return self.net(images)

    def answers(self, images):
        return self.net(to_model(images)).argmax(dim=1).numpy()


class Library:
    """A library that does what a test says."""

    given = {}

    def __init__(self, does, family):
        self._does, self._family = does, family

    def family(self, kind, options):
        return self._family

    def run(self, kind, options, task):
        return self._does(task)


def toy_attack(does, norm="l2", takes_epsilon=False, **own):
    library = Library(does, Family(norm, takes_epsilon, OPTIONAL))
    return LibraryAttack("toy:Attack", library, object, {}, OwnOptions(**own))


@pytest.fixture
def toy():
    return Toy()


@pytest.fixture
def batch(toy):
    images = np.random.default_rng(1).integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)
    return images, toy.answers(images)


@pytest.mark.parametrize("name", WITH_BUDGET)
def test_the_saved_change_lies_in_the_whole_numbered_ball(name, toy, batch):
    attack, (images, labels) = installed(name), batch
    for epsilon, result in attack.perturb(toy, images, labels, [3, 8]).items():
        change = np.abs(result.images.astype(np.int64) - images)
        size = {
            "linf": change.max(axis=(1, 2, 3)),
            "l2": np.sqrt((change**2).mean(axis=(1, 2, 3))),
            "l1": change.mean(axis=(1, 2, 3)),
        }[attack.family.norm]
        assert result.images.dtype == np.uint8
        assert (size <= epsilon).all() and (size > 0.3 * epsilon).all()


@pytest.mark.parametrize("name", MINIMUM_NORM)
def test_a_minimum_norm_result_fools_as_it_is_saved_or_is_the_clean_image(name, toy, batch):
    attack, (images, labels) = installed(name), batch
    result = attack.perturb(toy, images, labels, [NO_EPSILON])[NO_EPSILON]
    answers = toy.answers(result.images)
    fools = answers == result.targets if attack.targeted else answers != labels
    was_made = np.isin(result.rounding, ("kept", "repaired"))
    assert (fools == was_made).all() and was_made.any()
    assert (result.images[~was_made] == images[~was_made]).all()


@pytest.mark.parametrize("name", ALL)
def test_an_image_never_depends_on_its_neighbours_or_on_the_draws_before(name, toy, batch):
    attack, (images, labels) = installed(name), batch
    epsilon = 8 if name in WITH_BUDGET else NO_EPSILON
    together = attack.perturb(toy, images, labels, [epsilon])[epsilon]
    torch.rand(3), np.random.rand(3)
    alone = attack.perturb(toy, images[2:3], labels[2:3], [epsilon])[epsilon]
    assert (alone.images[0] == together.images[2]).all()
    assert alone.n_forward[0] == together.n_forward[2] and alone.n_backward[0] == together.n_backward[2]


@pytest.mark.parametrize("name", ["foolbox:LinfPGD", "torchattacks:PGD", "art:ProjectedGradientDescent", "art:SaliencyMapMethod"])
def test_targets_that_are_given_are_led_to(name, toy, batch):
    attack, (images, labels) = installed(name), batch
    targets = (labels + 2) % N_CLASSES
    epsilon = 64 if attack_spec(name, options=ALL[name]).takes_epsilon else NO_EPSILON
    result = attack.perturb(toy, images, labels, [epsilon], targets)[epsilon]
    assert (result.targets == targets).all()
    assert (toy.answers(result.images) == targets).mean() >= 0.5


@pytest.mark.parametrize("name", ["foolbox:L2DeepFoolAttack", "art:DeepFool"])
def test_an_attack_that_cannot_be_led_accepts_no_targets(name, toy, batch):
    attack, (images, labels) = installed(name), batch
    assert not attack.accepts_targets
    with pytest.raises(ValueError, match="no targets"):
        attack.perturb(toy, images, labels, [NO_EPSILON], labels)
    with pytest.raises(WrongUse, match="cannot be led to a target"):
        attack_named(name, options={"target": "next"})


@pytest.mark.parametrize("name", ["foolbox:LinfPGD", "torchattacks:PGD"])
def test_passes_are_counted_at_the_network(name, toy, batch):
    attack, (images, labels) = installed(name), batch
    result = attack.perturb(toy, images[:1], labels[:1], [8])[8]
    n_asked_for_the_number_of_classes = 1
    assert result.n_forward[0] == toy.n_rows - n_asked_for_the_number_of_classes
    assert result.n_backward[0] == ALL[name]["steps"]


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("foolbox:LinfPGD", {"stepz": 3}, "unknown option"),
        ("torchattacks:PGD", {"eps": 0.1}, "not an option here"),
        ("art:CarliniL2Method", {"targeted": True}, "not an option here"),
        ("art:CarliniL2Method", {"max_iter": -1}, "refuses its options"),
        ("foolbox:VirtualAdversarialAttack", {}, "refuses its options"),
        ("foolbox:LinfPGD", {"target": 3}, "expected text"),
        ("foolbox:LinfPGD", {"target": "soap"}, "is no target"),
        ("foolbox:LinfPGD", {"images_at_once": 0}, "out of range"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_made(name, option, message):
    installed("foolbox:FGSM" if name.startswith("foolbox") else name)
    with pytest.raises(WrongUse, match=message):
        attack_named(name, options=option)


def test_a_misspelt_option_or_attack_gets_the_nearest_one(tmp_path):
    installed("foolbox:LinfPGD")
    file = tmp_path / "e.toml"
    for text, near in [
        ('name = "foolbox:LinfPGT"\nepsilons_8bit = [4]', 'Did you mean "LinfPGD"?'),
        ('name = "foolbox:LinfPGD"\nepsilons_8bit = [4]\noptions = { rel_stepsise = 0.1 }', 'Did you mean "rel_stepsize"?'),
        ('name = "foulbox:LinfPGD"\nepsilons_8bit = [4]', "Did you mean foolbox:NAME?"),
        ('name = "foolbox:LinfPGD"', "Add for example: epsilons_8bit = [4, 16]"),
        ('name = "foolbox:L2DeepFoolAttack"\nepsilons_8bit = [4]', "Leave epsilons_8bit out."),
    ]:
        file.write_text(f"[[attacks]]\n{text}\n")
        with pytest.raises(InkproofError) as refused:
            check_names(load_experiment(file))
        assert f"{file}:" in refused.value.message and refused.value.hint == near


def test_a_library_that_is_not_installed_is_named_with_what_to_type(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchattacks", None)
    with pytest.raises(Unavailable) as missing:
        attack_named("torchattacks:PGD")
    assert "torchattacks" in missing.value.message and 'pip install "inkproof[torchattacks]"' in missing.value.hint


@pytest.mark.parametrize("options", [{"alpha": 0.25 / 255}, {}])
def test_a_step_that_is_not_given_keeps_its_proportion_to_the_budget(options, toy, batch):
    installed("torchattacks:BIM")
    images, labels = batch
    attack = attack_named("torchattacks:BIM", options={"steps": 2, **options})
    change = np.abs(attack.perturb(toy, images, labels, [40])[40].images.astype(int) - images)
    assert change.max() == (20 if not options else 0 if options["alpha"] * 510 < 0.5 else 1)  # default: two steps of 40 / 4


def raises(task):
    raise RuntimeError("no gradient here")


def trains(task):
    task.module.train()
    for parameter in task.module.parameters():
        parameter.requires_grad_(True)
    print("library talk")
    return 1 - task.images


@pytest.mark.parametrize(
    "does",
    [
        raises,
        lambda task: torch.zeros_like(task.images),
        lambda task: torch.full_like(task.images, torch.nan),
        lambda task: task.images[:, :1],
        lambda task: None,
        lambda task: torch.cat([task.images, task.images]),
    ],
    ids=["raises", "black", "nan", "shape", "nothing", "rows"],
)
@pytest.mark.parametrize("takes_epsilon", [True, False])
def test_where_a_library_fails_the_clean_image_is_kept_and_said(does, takes_epsilon, toy, batch):
    images, labels = batch
    attack = toy_attack(does, "linf", takes_epsilon)
    epsilon = 255 if takes_epsilon else NO_EPSILON
    result = attack.perturb(toy, images, (labels + 1) % N_CLASSES, [epsilon])[epsilon]
    assert (result.images == images).all()
    assert result.rounding == ("not-found",) * len(images)


def test_a_failure_for_one_image_leaves_the_others(toy, batch):
    images, labels = batch
    first = to_model(images[:1])

    def does(task):
        return raises(task) if torch.equal(task.images, first) else 1 - task.images

    result = toy_attack(does, "linf", True).perturb(toy, images, labels, [4])[4]
    assert result.rounding == ("not-found", "", "", "")
    assert (np.abs(result.images.astype(int) - images).max(axis=(1, 2, 3)) == [0, 4, 4, 4]).all()


def test_the_network_is_left_as_it_was_and_nothing_is_printed(toy, batch, capsys):
    images, labels = batch
    before = {name: (value.clone(), value.requires_grad) for name, value in toy.net.named_parameters()}
    toy.net.train()
    toy_attack(trains, "linf", True).perturb(toy, images, labels, [4])
    assert toy.net.training
    for name, value in toy.net.named_parameters():
        assert torch.equal(value, before[name][0]) and value.requires_grad == before[name][1] and value.grad is None
    assert capsys.readouterr().out == ""


def test_draws_come_from_the_seed_alone_and_other_generators_go_on_undisturbed(toy, batch):
    images, labels = batch

    def does(task):
        return task.images + (torch.rand(task.images.shape) - 0.5) + float(np.random.rand())

    results = [toy_attack(does, "linf", True, seed=seed).perturb(toy, images, labels, [9])[9].images for seed in (0, 0, 1)]
    assert (results[0] == results[1]).all() and (results[0] != results[2]).any()
    torch.manual_seed(5), np.random.seed(5)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(5), np.random.seed(5)
    toy_attack(does, "linf", True).perturb(toy, images, labels, [9])
    assert (torch.rand(1), np.random.rand()) == expected


def test_several_images_at_once_reach_the_library_together(toy, batch):
    images, labels = batch
    sizes = []

    def does(task):
        sizes.append(len(task.images))
        return 1 - task.images

    toy_attack(does, "linf", True, images_at_once=3).perturb(toy, images, labels, [4])
    assert sizes == [3, 1]


def test_a_result_without_a_norm_is_rounded_and_never_moved(toy, batch):
    images, labels = batch
    result = toy_attack(lambda task: 1 - task.images, "").perturb(toy, images, labels, [NO_EPSILON])[NO_EPSILON]
    fools = toy.answers(255 - images) != labels
    assert fools.any()
    assert (result.images[fools] == 255 - images[fools]).all() and (result.images[~fools] == images[~fools]).all()


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_radius_of_a_uniform_change_is_what_the_norm_says(norm):
    change = torch.full((1, 3, 4, 4), 10 / 255)
    order = {"linf": torch.inf, "l2": 2, "l1": 1}[norm]
    assert radius_of(10, norm, change.numel()) == pytest.approx(float(torch.linalg.vector_norm(change, order)), rel=1e-5)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_a_result_outside_the_ball_is_shortened_and_no_more_than_needed(norm):
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(60, 190, (5, 3, 9, 9), generator=generator).float()
    found = clean + 20 * torch.randn(clean.shape, generator=generator)
    change = cut_to_ball(clean, found, 6, norm) - clean
    size = change.square().mean(dim=(1, 2, 3)).sqrt() if norm == "l2" else change.abs().mean(dim=(1, 2, 3))
    assert torch.equal(change, change.round())
    assert (size <= 6).all() and (size > 5.9).all()


NO_GRADIENT = {
    "foolbox:LinearSearchBlendedUniformNoiseAttack": {},
    "foolbox:LinfAdditiveUniformNoiseAttack": {},
    "torchattacks:Square": {"n_queries": 50},
    "art:SquareAttack": {"max_iter": 20},
    "art:HopSkipJump": {"max_iter": 1, "max_eval": 50, "init_eval": 10},
}


@pytest.mark.parametrize("name", NO_GRADIENT)
def test_attacks_that_ask_for_predictions_alone_run_without_gradients(name, toy, batch):
    images, labels = batch[0][:2], batch[1][:2]
    installed(name)
    spec = attack_spec(name, options=NO_GRADIENT[name] | {"images_at_once": 3})
    assert not spec.needs_gradient and spec.batch_size == 3

    class Closed(Toy):
        def logits(self, images):
            assert not images.requires_grad
            return super().logits(images.detach())

    epsilon = 60 if spec.takes_epsilon else NO_EPSILON
    found = attack_named(name, options=NO_GRADIENT[name]).perturb(Closed(), images, labels, [epsilon])[epsilon]
    assert (found.n_backward == 0).all() and (found.n_forward > 0).all()
    fools = toy.answers(found.images) != labels
    if not spec.takes_epsilon:
        assert fools.any() and [word in ("kept", "repaired") for word in found.rounding] == fools.tolist()


@pytest.mark.parametrize("library", LIBRARIES.own)
def test_attacks_that_are_said_to_need_no_gradient_exist(library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    made = load(LIBRARIES.find(library).target)()
    assert set(made.attacks()) >= made.NO_GRADIENT
    with_gradient = {"foolbox": "LinfPGD", "torchattacks": "PGD", "art": "DeepFool"}[library]
    assert made.family(made.attacks()[with_gradient], {}).needs_gradient


def test_every_library_is_listed_and_its_example_exists():
    listed = dict(attacks_listed())
    for library in LIBRARIES.own:
        example = re.search(r"e\.g\. (\S+)", listed[f"{library}:NAME"])[1]
        if importlib.util.find_spec(library):
            assert attack_spec(example).takes_epsilon
