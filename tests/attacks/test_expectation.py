"""The attack through the simulator: what it expects, what it costs, what it can be told, and profiles of one's own."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from kept_files import item_names
from torch.nn.functional import cross_entropy

from pipeline.attacks import attack_named, expectation
from pipeline.attacks.attack import Differentiable
from pipeline.attacks.crafting import Crafter
from pipeline.attacks.expectation import ExpectationOverTransformation, TransformChain
from pipeline.attacks.options import ExpectationOptions
from pipeline.cli.catalogue import check_names
from pipeline.core.errors import BadInput, InkproofError, WrongUse
from pipeline.engine import Context
from pipeline.images import pixels_sha256, png_bytes, to_model
from pipeline.models import load_classifier
from pipeline.physical.simulator import load_profile, profile_content
from pipeline.physical.simulator.channel import Channel
from pipeline.records import Candidate
from pipeline.settings import AttackSettings, ModelSettings
from pipeline.settings.reading import load_experiment
from pipeline.settings.writing import experiment_text
from pipeline.signs.dataset import SignsDataset
from pipeline.specs.transforms import TRANSFORMS
from pipeline.stages.graph import run_stage, status
from pipeline.store import Items, Run, content_hash

EXPECTS = '[[attacks]]\nname = "eot"\nepsilons_8bit = [8]\n'
OVER = 'options = { over = "transforms", transforms = '
SMALL_OPTIONS = {"n_steps": 6, "n_samples": 2}


class Blind(Differentiable):
    """A smooth network that counts what it is shown."""

    device = torch.device("cpu")
    fingerprint = "blind"
    sources = ()

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.Tanh(), torch.nn.Flatten())
        self.net.append(torch.nn.Linear(8 * 25, 6))
        self.net.requires_grad_(False)
        self.batches: list[int] = []

    def logits(self, images):
        self.batches.append(len(images))
        return self.net(images)


class Masking(Differentiable):
    """Each draw hides another half of the columns: an attack that does not expect it puts its trust in what may be hidden."""

    made: list[tuple] = []

    def __init__(self, profile, image_px, image_mm) -> None:
        self.made.append((profile, image_px, image_mm))

    def draw(self, n, rng):
        return torch.as_tensor(rng.random((n, 1, 1, 12)) < 0.5, dtype=torch.float32)

    def __call__(self, images, draws, generator):
        seen = images * draws
        return seen + 0.01 * torch.randn(seen.shape, generator=generator)


def attack(**options):
    return ExpectationOverTransformation(ExpectationOptions(**{**SMALL_OPTIONS, **options}), Masking)


def batch(n=3, seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 12, 12, 3), dtype=np.uint8), rng.integers(0, 6, n)


def expected_loss(classifier, channel, images, labels, n=64, seed=999):
    """The mean loss over draws that no attack has seen."""
    losses = []
    for pixels, label in zip(images, labels, strict=True):
        draws, noise = channel.draw(n, np.random.default_rng(seed)), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            logits = classifier.logits(channel(to_model(pixels[None]).expand(n, -1, -1, -1), draws, noise))
        losses.append(cross_entropy(logits, torch.full((n,), int(label))).item())
    return float(np.mean(losses))


def test_it_raises_the_expected_loss_more_than_an_attack_on_the_file():
    classifier, (pixels, labels) = Blind(), batch(8)
    channel = Masking(None, (12, 12), 70)
    ours = attack(n_steps=30, n_samples=8).perturb(classifier, pixels, labels, [16])[16].images
    theirs = attack_named("bim").perturb(classifier, pixels, labels, [16])[16].images
    clean, on_file, through = (expected_loss(classifier, channel, images, labels) for images in (pixels, theirs, ours))
    assert clean < on_file < through


def test_through_the_real_channel_too():
    """A traffic sign through simulated print and photograph, judged on draws that the attack did not see."""
    classifier, signs = load_classifier(ModelSettings(), "cpu"), SignsDataset(1)
    pixels, labels = classifier.prepare(signs.image(0))[None], np.array([signs.label(0)])
    ours = attack_named("eot", options={"n_steps": 10, "n_samples": 2}).perturb(classifier, pixels, labels, [8])[8].images
    theirs = attack_named("bim").perturb(classifier, pixels, labels, [8])[8].images
    channel = Channel(load_profile("office-phone"), pixels.shape[1:3])
    on_file, through = (expected_loss(classifier, channel, images, labels, n=6) for images in (theirs, ours))
    assert through > on_file


def test_a_target_is_approached_and_recorded():
    classifier, (pixels, labels) = Blind(), batch(6)
    found = attack(target="least-likely", n_steps=20).perturb(classifier, pixels, labels, [16])[16]
    assert (found.targets == classifier.net(to_model(pixels)).argmin(1).numpy()).all()
    channel = Masking(None, (12, 12), 70)
    before, after = (expected_loss(classifier, channel, images, found.targets) for images in (pixels, found.images))
    assert after < before


@pytest.mark.parametrize(
    "option",
    [{"n_steps": 7}, {"n_samples": 3}, {"step_8bit": 2}, {"target": "least-likely"}, {"seed": 1}],
    ids=lambda option: next(iter(option)),
)
def test_every_option_changes_the_result(option):
    pixels, labels = batch()
    plain, changed = (attack(**extra).perturb(Blind(), pixels, labels, [8])[8].images for extra in ({}, option))
    assert (plain != changed).any()


def test_the_channel_is_of_the_profile_and_the_size_on_paper():
    Masking.made.clear()
    attack(profile="harsh", image_mm=35.0).perturb(Blind(), *batch(), [8])
    ((profile, image_px, image_mm),) = Masking.made
    assert (profile.name, image_px, image_mm) == ("harsh", (12, 12), 35.0)


def test_each_pass_is_counted_and_a_copy_costs_nothing():
    classifier, (pixels, labels) = Blind(), batch(2)
    found = attack().perturb(classifier, pixels[[0, 1, 1, 1]], labels[[0, 1, 1, 1]], [8])[8]
    assert found.n_forward.tolist() == found.n_backward.tolist() == [12] * 4
    assert sum(classifier.batches) == 2 * 6 * 4, "two images were walked, their two samples filled up to a batch of four"
    assert (found.images[1] == found.images[3]).all() and (found.images[0] != found.images[1]).any()
    targeted = attack(target="least-likely").perturb(classifier, pixels, labels, [8])[8]
    assert targeted.n_forward.tolist() == [13, 13] and targeted.n_backward.tolist() == [12, 12]


def test_every_step_meets_draws_of_its_own_and_every_image_too():
    seen = []

    class Recording(Masking):
        def draw(self, n, rng):
            draws = super().draw(n, rng)
            seen.extend(draws.flatten(1).tolist())
            return draws

    made = ExpectationOverTransformation(ExpectationOptions(**SMALL_OPTIONS), Recording)
    made.perturb(Blind(), *batch(2), [8])
    assert len({tuple(draw) for draw in seen}) == len(seen) == 2 * 6 * 2


def test_many_samples_are_followed_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(expectation, "_PIXELS_AT_ONCE", 5 * 12 * 12)
    classifier, (pixels, labels) = Blind(), batch(1)
    found = attack(n_samples=12, n_steps=1).perturb(classifier, pixels, labels, [8])[8]
    assert classifier.batches == [8, 8, 4], "5, 5 and 2 of them, filled up"
    assert found.n_forward.tolist() == found.n_backward.tolist() == [12]


class TestOverTransforms:
    """The attack through the project's own digital transforms."""

    RANGES = {"brightness": [-30, 30], "contrast": [0.7, 1.2], "blur": [0.4, 2], "noise": [5, 20], "jpeg": [10, 95]}

    @pytest.mark.parametrize("name", TRANSFORMS.own)
    def test_each_is_the_one_that_images_are_judged_through(self, name):
        """Within a level: at every value of the paper's axis, on hard images whose sides are no multiples of a block."""
        rng, transform = np.random.default_rng(3), TRANSFORMS.find(name)
        images = rng.integers(0, 256, (2, 37, 45, 3), dtype=np.uint8)
        values = [value for value in transform.grid for _ in images]
        tensors = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float().repeat(len(transform.grid), 1, 1, 1)
        found = TRANSFORMS.find(name).apply_on_tensors(tensors, values, list(range(len(values)))).permute(0, 2, 3, 1).numpy()
        for place, value in enumerate(values):
            expected = transform.apply(images[place % 2], value, np.random.default_rng(place))
            difference = np.abs(found[place] - expected)
            assert difference.max() <= (1 if name == "blur" else 0) and (difference > 0).mean() <= 1e-3

    @pytest.mark.parametrize("name", ["brightness", "contrast", "blur"])
    def test_its_gradient_is_that_of_the_transform_without_rounding(self, name):
        """Against differences of many levels, on grey values that nothing cuts."""
        rng = np.random.default_rng(5)
        pixels = torch.from_numpy(rng.uniform(90, 160, (1, 3, 20, 20))).requires_grad_()
        weights, direction = (torch.from_numpy(rng.normal(size=(1, 3, 20, 20))) for _ in range(2))
        value = TRANSFORMS.find(name).grid[-1]
        (gradient,) = torch.autograd.grad((TRANSFORMS.find(name).apply_on_tensors(pixels, [value], [0]) * weights).sum(), pixels)
        ahead, behind = (
            TRANSFORMS.find(name).apply_on_tensors(pixels.detach() + sign * 10 * direction, [value], [0]) for sign in (1, -1)
        )
        measured = float(((ahead - behind) * weights).sum() / 20)
        assert float((gradient * direction).sum()) == pytest.approx(measured, rel=0.05, abs=1.0)

    def test_jpeg_gives_grey_changes_back_as_they_came(self):
        pixels = torch.full((1, 3, 20, 20), 128.0, requires_grad=True)
        (gradient,) = torch.autograd.grad(TRANSFORMS.find("jpeg").apply_on_tensors(pixels, [50], [0]).sum(), pixels)
        assert gradient.sum(dim=1)[0, 2:14, 2:14].numpy() == pytest.approx(3.0, abs=1e-4)

    def test_they_are_applied_in_turn_in_one_order_whatever_order_they_are_named_in(self):
        image = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        chain = TransformChain(dict(reversed(self.RANGES.items())))
        draws = chain.draw(1, np.random.default_rng(2))
        found = chain(to_model(image[None]), draws)
        expected = image
        for name, value, seed in zip(TRANSFORMS.own, draws.values[0], draws.seeds[0], strict=True):
            expected = TRANSFORMS.find(name).apply(expected, value, np.random.default_rng(seed))
        assert np.abs(np.rint(found[0].permute(1, 2, 0).numpy() * 255) - expected).max() <= 1

    def test_values_are_drawn_evenly_and_whole_where_only_those_mean_something(self):
        values = TransformChain({"blur": [0.5, 1.5], "jpeg": [30, 32]}).draw(3000, np.random.default_rng(0)).values
        assert np.percentile(values[:, 0], [0, 25, 50, 75, 100]) == pytest.approx([0.5, 0.75, 1, 1.25, 1.5], abs=0.05)
        assert [(values[:, 1] == quality).mean() for quality in (30, 31, 32)] == pytest.approx([1 / 3] * 3, abs=0.05)

    def fooled_and_destroyed(self, classifier, images, labels, adversarial, transform, value):
        """Counts of Eq. 1, with noise that no attack has seen."""

        def is_right(pixels, through):
            seen = [
                TRANSFORMS.find(transform).apply(one, value, np.random.default_rng(place)) for place, one in enumerate(pixels)
            ]
            return classifier.predict(np.stack(seen) if through else pixels).argmax(1) == labels

        eligible = is_right(images, True) & ~is_right(adversarial, False)
        return int(eligible.sum()), int((eligible & is_right(adversarial, True)).sum())

    @pytest.mark.slow
    @pytest.mark.parametrize(("transform", "value", "span"), [("blur", 2.0, [0.4, 2]), ("jpeg", 30, [20, 90])])
    def test_what_it_expects_destroys_it_less_than_an_attack_on_the_file(self, transform, value, span):
        """Measured on 24 signs at ε 8: blur undoes 12 of 20 and then 2 of 21, JPEG 5 of 21 and then 1 of 22."""
        classifier, signs = load_classifier(ModelSettings(), "cpu"), SignsDataset(12)
        images, labels = np.stack([signs.image(i) for i in range(12)]), np.array([signs.label(i) for i in range(12)])
        options = {"over": "transforms", "transforms": {transform: span}, "n_steps": 12}
        rates = []
        for made in (attack_named("bim"), attack_named("eot", options=options)):
            adversarial = made.perturb(classifier, images, labels, [8])[8].images
            n_eligible, n_destroyed = self.fooled_and_destroyed(classifier, images, labels, adversarial, transform, value)
            assert n_eligible >= 8
            rates.append(n_destroyed / n_eligible)
        assert rates[1] < rates[0]

    def made(self, **options):
        attack = ExpectationOverTransformation(ExpectationOptions(**SMALL_OPTIONS, **options), Masking)
        pixels, labels = batch()
        return attack, attack.perturb(Blind(), pixels, labels, [8])[8].images

    def test_both_is_neither_alone(self):
        found = [self.made(over="camera")[1]]
        found += [self.made(over=over, transforms={"blur": [0.5, 2]})[1] for over in ("transforms", "both")]
        assert all((found[a] != found[b]).any() for a, b in ((0, 1), (0, 2), (1, 2)))

    def test_the_key_tells_ranges_and_the_profile_only_where_it_is_gone_through(self):
        plain, one = (self.made(**kind)[0] for kind in ({}, {"over": "transforms", "transforms": {"blur": [0.5, 2]}}))
        same = self.made(over="transforms", transforms={"blur": (0.5, 2.0)}, profile="harsh")[0]
        other = self.made(over="transforms", transforms={"blur": [0.5, 3]})[0]
        both = [self.made(over="both", transforms={"blur": [0.5, 2]}, profile=name)[0] for name in ("harsh", "office-phone")]
        assert content_hash(one.identity) == content_hash(same.identity)
        assert len({content_hash(each.identity) for each in (plain, one, other, *both)}) == 5


@pytest.mark.parametrize("word", ["second", "random", "next", "2"])
def test_every_target_word_leads_somewhere(word):
    classifier, (pixels, labels) = Blind(), batch(6)
    found = attack(target=word, n_steps=20).perturb(classifier, pixels, labels, [16])[16]
    channel = Masking(None, (12, 12), 70)
    before, after = (expected_loss(classifier, channel, images, found.targets) for images in (pixels, found.images))
    assert after < before


def test_targets_that_are_given_are_followed_and_cost_no_pass_to_choose():
    pixels, labels = batch(3)
    found = attack().perturb(Blind(), pixels, labels, [8], (labels + 1) % 6)[8]
    own = attack(target="next").perturb(Blind(), pixels, labels, [8])[8]
    elsewhere = attack().perturb(Blind(), pixels, labels, [8], (labels + 2) % 6)[8]
    assert (found.images == own.images).all() and (found.targets == own.targets).all()
    assert (found.images != elsewhere.images).any(axis=(1, 2, 3)).all()
    assert (own.n_forward - found.n_forward).tolist() == [1, 1, 1]


class TestKeptResults:
    """An attack is made once; what it depends on is in its key, and nothing else."""

    def crafter(self, folder, *attacks):
        return Crafter(Blind(), ModelSettings(), Items(folder), Context(), attacks)

    def candidate(self):
        pixels = batch(1)[0][0]
        return Candidate("i", 3, "", "", pixels_sha256(pixels), (), ()), pixels

    def test_the_key_is_of_attack_epsilon_image_label_network_and_options(self, tmp_path):
        candidate, pixels = self.candidate()
        self.crafter(tmp_path, AttackSettings("illc", epsilons_8bit=(8,))).craft("illc", [8], [(candidate, pixels)])
        options = {"target": "least-likely", "seed": 0, "n_steps": 0}
        key = content_hash(["illc", 8, candidate.sha256, 3, "blind", options])
        assert item_names(tmp_path) == {f"{key}.json", f"{key}.png"}

    def keys(self, folder, options, monkeypatch):
        monkeypatch.setattr(expectation, "_print_and_photograph", Masking)
        self.crafter(folder, AttackSettings("eot", epsilons_8bit=(8,), options={**SMALL_OPTIONS, **options})).craft(
            "eot", [8], [self.candidate()]
        )
        return {Path(name).stem for name in item_names(folder)}

    def test_each_image_is_kept_as_soon_as_it_is_made(self, tmp_path, monkeypatch):
        monkeypatch.setattr(expectation, "_print_and_photograph", Masking)
        crafter, shown = self.crafter(tmp_path, AttackSettings("eot", epsilons_8bit=(8,), options=SMALL_OPTIONS)), []
        crafter._context = Context(
            progress=lambda starts, *_: (shown.append(len(item_names(tmp_path)) // 2) or s for s in starts)
        )
        pixels = batch(3)[0]
        images = [(dataclasses.replace(self.candidate()[0], sha256=pixels_sha256(each)), each) for each in pixels]
        crafter.craft("eot", [8], images)
        assert shown == [0, 1, 2]

    def test_options_and_what_the_profile_says_are_part_of_the_key(self, tmp_path, monkeypatch):
        mine = tmp_path / "mine.toml"
        mine.write_text('base = "office-phone"\n', encoding="utf-8")
        kept = tmp_path / "kept"
        (first,) = self.keys(kept, {}, monkeypatch)
        # the same words under another name, and a default written out, are the same attack
        assert self.keys(kept, {"profile": str(mine), "seed": 0}, monkeypatch) == {first}
        assert len(self.keys(kept, {"n_steps": 5}, monkeypatch)) == 2
        mine.write_text('base = "office-phone"\n[camera]\nsharpen_rate = 0.0\n', encoding="utf-8")
        assert len(self.keys(kept, {"profile": str(mine)}, monkeypatch)) == 3


def written(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


REFUSED = {
    "unknown-option": (EXPECTS + "options = { n_stesp = 3 }\n", "my.toml:4", 'Did you mean "n_steps"?'),
    "out-of-range": (EXPECTS + "options = { n_steps = 0 }\n", "my.toml:4", "expected 1 to"),
    "wrong-type": (EXPECTS + 'options = { n_samples = "many" }\n', "my.toml:4", "expected a whole number"),
    "in-its-own-table": (EXPECTS + "[attacks.options]\nseed = 1\nn_samples = 0\n", "my.toml:6", "expected 1 to"),
    "unknown-target": (EXPECTS + 'options = { target = "least" }\n', "my.toml:4", 'Did you mean "least-likely"?'),
    "unknown-transform": (EXPECTS + OVER + "{ blurr = [1, 2] } }\n", "my.toml:4", 'Did you mean "blur"?'),
    "no-range": (EXPECTS + OVER + "{ blur = 2 } }\n", "my.toml:4", "the lowest and the highest value"),
    "upside-down": (EXPECTS + OVER + "{ blur = [2, 1] } }\n", "my.toml:4", "the lower one first"),
    "out-of-a-transforms-limits": (EXPECTS + OVER + "{ jpeg = [0, 50] } }\n", "my.toml:4", "from 1 to 100"),
    "no-transform-at-all": (EXPECTS + OVER + "{} }\n", "my.toml:4", "does not go with 0 transforms"),
    "transforms-that-are-not-used": (EXPECTS + "options = { transforms = { blur = [1, 2] } }\n", "my.toml:4", 'over = "camera"'),
    "unknown-profile": (EXPECTS + 'options = { profile = "ofice-phone" }\n', "my.toml:4", 'Did you mean "office-phone"?'),
    "no-such-file": (EXPECTS + 'options = { profile = "none.toml" }\n', "my.toml:4", "no such profile file"),
    "not-a-table": (EXPECTS + "options = 3\n", "my.toml:4", "expected a table"),
    "attack-without-options": (EXPECTS.replace("eot", "illc") + "options = { seed = 3 }\n", "my.toml:4", "has no options"),
    "bad-profile-file": (EXPECTS + '[photograph]\nprofile = "bad.toml"\n', "my.toml:5", "sharpen_rate"),
    "no-such-background": (EXPECTS + '[photograph]\nbackground = "wood.jpg"\n', "my.toml:5", "no such picture"),
    "background-without-pictures": (EXPECTS + '[photograph]\nbackground = "empty"\n', "my.toml:5", "without pictures"),
}


@pytest.mark.parametrize(("text", "place", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_option_profile_or_background_is_refused_before_anything_is_made(tmp_path, text, place, words):
    (tmp_path / "bad.toml").write_text('base = "office-phone"\n[camera]\nsharpen_rate = 99\n', encoding="utf-8")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InkproofError) as caught:
        check_names(load_experiment(written(tmp_path, text)))
    assert place in str(caught.value) and words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_option_on_the_command_line_is_blamed_on_itself(tmp_path):
    experiment = load_experiment(written(tmp_path, EXPECTS + "options = { n_steps = 3 }\n"), ("attacks.eot.options.n_steps=0",))
    with pytest.raises(WrongUse, match=r"^--set: attacks\.eot\.options\.n_steps = 0"):
        check_names(experiment)


def test_a_profile_file_lies_beside_the_experiment_or_where_a_variable_says(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text('base = "office-phone"\n', encoding="utf-8")
    monkeypatch.setenv("PRINTERS", str(tmp_path))
    text = EXPECTS + 'options = { profile = "mine.toml" }\n[photograph]\nprofile = "$PRINTERS/mine.toml"\n'
    experiment = load_experiment(written(tmp_path, text))
    check_names(experiment)
    (settings,) = experiment.resolved_attacks()
    assert settings.options == {"profile": str(tmp_path / "mine.toml")}
    assert experiment.profile_place(experiment.photograph.profile) == str(tmp_path / "mine.toml")
    assert experiment.attacks[0].options == {"profile": "mine.toml"}, "what the file says stays as it is"


def test_the_copy_in_the_run_finds_the_same_profile_and_background(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "office-phone"\n', encoding="utf-8")
    (tmp_path / "table.png").write_bytes(png_bytes(np.zeros((4, 4, 3), np.uint8)))
    text = EXPECTS + 'options = { profile = "mine.toml" }\n[photograph]\nprofile = "mine.toml"\nbackground = "table.png"\n'
    experiment = load_experiment(written(tmp_path, text))
    deeper = tmp_path / "printouts" / "my"
    deeper.mkdir(parents=True)
    again = load_experiment(written(deeper, experiment_text(experiment, deeper)))
    check_names(again)
    assert dataclasses.replace(again, base=experiment.base) == experiment


def test_a_profile_is_known_by_what_it_says_and_not_by_its_name(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "office-phone"\n', encoding="utf-8")
    assert profile_content(load_profile(tmp_path / "mine.toml")) == profile_content(load_profile("office-phone"))
    assert profile_content(load_profile("harsh")) != profile_content(load_profile("office-phone"))


class TestOwnProfileAndBackground:
    """A run photographed with files of a person's own: they are used, and a change of them is noticed."""

    @pytest.fixture
    def workspace(self, tiny, tmp_path) -> Path:
        copy = Path(shutil.copytree(tiny, tmp_path / "copy"))
        (copy / "mine.toml").write_text('base = "office-phone-3mp"\n', encoding="utf-8")
        (copy / "tables").mkdir()
        for name, colour in (("blue", (20, 20, 180)), ("green", (30, 160, 30)), ("red", (200, 30, 30))):
            picture = np.full((40, 60, 3), colour, np.uint8)
            (copy / "tables" / f"{name}.png").write_bytes(png_bytes(picture))
        return copy

    def opened(self, workspace):
        settings = ("photograph.profile=mine.toml", "photograph.background=tables")
        return load_experiment(workspace / "small.toml", settings), Run(workspace, "small")

    def state(self, workspace):
        return {state.stage: state for state in status(*self.opened(workspace))}["photograph"]

    @pytest.mark.slow
    def test_they_are_photographed_with_and_a_change_is_noticed(self, workspace):
        from PIL import Image

        experiment, run = self.opened(workspace)
        check_names(experiment)
        run_stage("photograph", experiment, run, Context())
        assert self.state(workspace).state == "done"
        tones = []
        for path in sorted(run.photos.glob("simulated-*.jpg")):
            with Image.open(path) as photo:
                tone = np.asarray(photo)[:40, :40].reshape(-1, 3).mean(0)
            tones.append(("red", "green", "blue")[tone.argmax()] if tone.max() > 1.5 * np.sort(tone)[1] else "none")
        assert sorted(tones) == ["green", "red"], "each page lies on one of the pictures"
        (workspace / "mine.toml").write_text('base = "office-phone-3mp"\n[camera]\nsharpen_rate = 0.0\n', encoding="utf-8")
        assert (self.state(workspace).state, self.state(workspace).reason) == ("stale", "profile changed")
        (workspace / "mine.toml").write_text('# as it was\nbase = "office-phone-3mp"\n', encoding="utf-8")
        assert self.state(workspace).state == "done"
        (workspace / "tables" / "red.png").write_bytes(png_bytes(np.zeros((40, 60, 3), np.uint8)))
        assert (self.state(workspace).state, self.state(workspace).reason) == ("stale", "background changed")

    def test_a_profile_that_an_attack_expects_is_noticed_too(self, tmp_path, small_file):
        (tmp_path / "mine.toml").write_text('base = "office-phone"\n', encoding="utf-8")
        text = small_file.read_text(encoding="utf-8").replace('"fgsm"\nepsilons_8bit = [4, 16]', '"eot"\nepsilons_8bit = [4]')
        options = 'options = { profile = "mine.toml", n_steps = 1, n_samples = 1 }'
        small_file.write_text(text.replace("[4]", f"[4]\n{options}"), encoding="utf-8")
        experiment, run = load_experiment(small_file, ('selection.cases=["average"]',)), Run(tmp_path, "small")
        run_stage("select", experiment, run, Context())
        run_stage("generate", experiment, run, Context())
        assert [state.state for state in status(experiment, run)][:2] == ["done", "done"]
        (tmp_path / "mine.toml").write_text('base = "office-phone"\n[camera]\nsharpen_rate = 0.0\n', encoding="utf-8")
        first = status(experiment, run)[0]
        assert (first.state, first.reason) == ("stale", "eot.profile changed")


def test_a_lost_profile_file_says_so_in_one_line(tmp_path):
    with pytest.raises((BadInput, WrongUse), match=r"my\.toml:5: .*gone\.toml: no such profile file"):
        check_names(load_experiment(written(tmp_path, EXPECTS + '[photograph]\nprofile = "gone.toml"\n')))
