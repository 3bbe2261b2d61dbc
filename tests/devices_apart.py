"""Whatever works with a network works on a device that is not the CPU: no tensor is left behind, and the results are the same."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from attacks.table import ROWS, attack_of
from fake_device import MixedDevices, There, fake_device
from training.tiny import training_file, write_bars

from pipeline.attacks.attack import NO_EPSILON, Differentiable, Trainable
from pipeline.attacks.expectation import ExpectationOverTransformation
from pipeline.attacks.options import ExpectationOptions
from pipeline.cli import main
from pipeline.images import to_model
from pipeline.models import load_classifier
from pipeline.models.examination import examine
from pipeline.physical.simulator import load_profile
from pipeline.physical.simulator.channel import Channel
from pipeline.settings import ModelSettings
from pipeline.signs.dataset import SignsDataset
from pipeline.specs.attacks import ATTACKS
from pipeline.specs.defences import DEFENCES
from pipeline.specs.transforms import TRANSFORMS

N_CLASSES = 6
# With fewer steps than elsewhere where those cost seconds: where tensors lie is seen in the first ones.
FORMS = [
    *((name, {}) for name in ("fgsm", "bim", "illc", "mi-fgsm", "pgd", "apgd-ce", "apgd-dlr", "autoattack", "deepfool")),
    ("pgd", {"norm": "l2", "n_steps": 4}),
    ("apgd-dlr", {"n_targets": 2, "n_steps": 5}),
    ("square", {"n_queries": 12}),
    ("cw-l2", {"n_steps": 12, "n_searches": 2}),
    ("fab", {"n_steps": 2, "n_targets": 2}),
    ("hopskipjump", {"n_steps": 1, "n_first": 4}),
    ("jsma", {}),
    ("lbfgs", {"n_searches": 2, "n_steps": 4}),
    ("eot", {"n_steps": 1, "n_samples": 2, "image_mm": 15.0}),
    ("patch", {"target": "4", "shape": "square", "n_steps": 3}),
]
SLOW = [
    ("cw-l0", {"n_steps": 3}),
    ("cw-linf", {"n_steps": 3}),
    ("cw-l2", {"search": "bisection", "start": "clean", "initial_c": 10.0, "learning_rate": 0.1, "n_searches": 2}),
    ("fab", {"n_steps": 3, "norm": "l2", "n_targets": 0, "n_restarts": 2}),
    ("hopskipjump", {"n_steps": 1, "n_first": 8, "norm": "linf"}),
    ("deepfool", {"norm": "linf"}),
    ("eot", {"n_steps": 2, "over": "transforms", "transforms": {"blur": [0.4, 2], "jpeg": [30, 95], "noise": [5, 9]}}),
    ("patch", {"n_steps": 10}),
]
FORMS += [pytest.param(*form, marks=pytest.mark.slow) for form in SLOW]
RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (2, 10, 12, 3), dtype=np.uint8)
SIGNS = np.stack([SignsDataset(8).image(place) for place in range(4)])
ON_TENSORS = [name for name in TRANSFORMS.own if TRANSFORMS.find(name).on_tensors]


@pytest.fixture
def device():
    with fake_device() as name:
        yield name


@pytest.fixture
def made(request) -> Path:
    """The tiny finished run: that of the tests which started this process, or one of its own."""
    return Path(os.environ["TINY_RUN"]) if "TINY_RUN" in os.environ else request.getfixturevalue("tiny")


class Network(Differentiable):
    """A small smooth network on the device that it is made for."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        generator = torch.Generator().manual_seed(1)
        parts = (torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.Tanh(), torch.nn.AdaptiveAvgPool2d(3), torch.nn.Flatten())
        self.net = torch.nn.Sequential(*parts, torch.nn.Linear(36, N_CLASSES))
        for parameter in self.net.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5
        self.net.requires_grad_(False).to(self.device)

    def logits(self, images):
        return self.net(images)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda there, here: there + here,
        lambda there, here: torch.cat([there, here]),
        lambda there, here: here[there.long()],
        lambda there, here: torch.where(there > 0, there, here),
        lambda there, here: torch.nn.functional.linear(there[None], here[None]),
        lambda there, here: torch.rand(3, device=there.device, generator=torch.Generator()),
        lambda there, here: here.add_(there),
        lambda there, here: there.numpy(),
        lambda there, here: np.asarray(there),
    ],
)
def test_what_a_gpu_refuses_is_refused(device, mixed):
    there, here = torch.tensor([1.0, 0.0, 2.0], device=device), torch.ones(3)
    with pytest.raises(RuntimeError):
        mixed(there, here)


def test_what_a_gpu_takes_is_taken(device):
    there = torch.arange(4.0, device=device)
    assert isinstance(there, There) and there.device.type == device
    found = there[torch.tensor([1, 2])] * torch.tensor(2.0) + 1
    assert found.cpu().numpy().tolist() == found.tolist() == [3, 5]


@pytest.mark.parametrize(("name", "options"), FORMS)
def test_every_attack_stays_on_the_device_of_its_network(name, options, device):
    epsilon = 8 if ATTACKS.find(name).takes_epsilon else NO_EPSILON
    labels, found = Network("cpu").logits(to_model(IMAGES)).argmax(dim=1).numpy(), []
    for place in ("cpu", device):
        attack = attack_of(name, options)
        if name == "eot":  # the toy that stands for the channel elsewhere knows no device
            attack = ExpectationOverTransformation(ExpectationOptions(**options))
        if isinstance(attack, Trainable):
            attack.prepare(IMAGES)
            attack.use(attack.learn(Network(place), IMAGES.shape[1:3]))
        found.append(attack.perturb(Network(place), IMAGES, labels, [epsilon])[epsilon])
    assert (found[0].images == found[1].images).all() and (found[0].images != IMAGES).any()
    assert (found[0].n_forward == found[1].n_forward).all()


@pytest.mark.parametrize("profile", ["office-phone", "nexus5x-ricoh600"])
def test_the_channel_works_where_its_images_are(profile, device):
    channel, found = Channel(load_profile(profile), (24, 32), 20.0), []
    for place in ("cpu", device):
        images = to_model(RNG_IMAGES, place).requires_grad_()
        draws = channel.draw(len(images), np.random.default_rng(0))
        seen = channel(images, draws, torch.Generator(place).manual_seed(0))
        (gradient,) = torch.autograd.grad(seen.square().sum(), images)
        found.append((seen.detach().cpu().numpy(), gradient.cpu().numpy()))
    for here, there in zip(*found, strict=True):
        assert np.abs(there - here).mean() < 1e-5 * np.abs(here).max()  # at a table's knots single values may part


RNG_IMAGES = RNG.integers(0, 256, (2, 24, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ON_TENSORS)
def test_every_transform_on_tensors_works_where_they_are(name, device):
    value = TRANSFORMS.find(name).grid[0]
    here, there = (
        TRANSFORMS.find(name).apply_on_tensors(to_model(RNG_IMAGES, place) * 255, [value] * 2, [1, 2])
        for place in ("cpu", device)
    )
    assert torch.equal(here, there.cpu())


@pytest.mark.parametrize("name", ["", *DEFENCES.own])
def test_a_classifier_and_every_defence_answer_on_the_device(name, device):
    found = []
    for place in ("cpu", device):
        options = {"n_samples": 8} if name == "randomised-smoothing" else {}
        classifier = load_classifier(ModelSettings(defence=name, defence_options=options), place)
        x = to_model(SIGNS[:2], place).requires_grad_()
        (gradient,) = torch.autograd.grad(classifier.for_attacks()(x).square().sum(), x)
        flags = examine(classifier, SIGNS, np.arange(4)) if not name else ()
        found.append((classifier.fingerprint, classifier.predict(SIGNS[:2]), gradient.cpu().numpy(), flags))
    here, there = found
    assert here[0] == there[0] and (here[1] == there[1]).all() and here[3] == there[3]
    np.testing.assert_allclose(there[2], here[2], atol=1e-5 * np.abs(here[2]).max())


FILES = (
    "printouts/small/pairs.parquet",
    *(f"reports/small/{name}" for name in ("predictions.parquet", "thresholds.parquet", "rates.csv")),
)


def test_a_whole_run_on_the_device_leaves_the_same_bytes(made, tmp_path, device, monkeypatch, short_report):
    """Select, generate, classify, thresholds and explain ask the network; what the rest is given is the same."""
    shutil.copy(made / "small.toml", tmp_path / "small.toml")
    asked = []
    monkeypatch.setattr("pipeline.models.torch_models.TorchClassifier.logits", _noting(asked))
    assert (
        main(["run", str(tmp_path / "small.toml"), "--workspace", str(tmp_path), "--device", device, "--workers", "1", "-q"]) == 0
    )
    assert {"lazy"} == set(asked) and len(asked) > 5
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes(), name


def _noting(asked):
    from pipeline.models.torch_models import TorchClassifier

    own = TorchClassifier.logits

    def logits(self, x):
        answer = own(self, x)
        asked.append(answer.device.type)
        return answer

    return logits


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["plain", "pgd", "distillation", "camera"])
def test_training_stays_on_the_device(recipe, tmp_path, device):
    write_bars(tmp_path / "bars" / "train", 10, 0)
    write_bars(tmp_path / "bars" / "test", 4, 1)
    tables = {
        "plain": {"network": "fc16-3", "model": {"arguments": {"dropout": 0.1}}},
        "pgd": {"training": {"recipe": "pgd", "alpha": 0.0}, "attack": {"n_steps": 2}},
        "distillation": {"training": {"temperature": 10.0, "learning_rate": 10.0}},
        "camera": {"training": {"recipe": "fgsm"}, "camera": {"rate": 0.13, "image_mm": 20.0}},
    }[recipe]
    tables["training"] = {**tables.get("training", {}), "n_epochs": 1, "batch_size": 8, "n_validation": 6}
    file = training_file(tmp_path, images=str(tmp_path / "bars"), **tables)
    weights = []
    for place in ("cpu", device):
        assert main(["train", str(file), "--workspace", str(tmp_path / place), "--device", place, "-q"]) == 0
        weights.append((tmp_path / place / "models/bars/weights.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_every_attack_is_tried():
    assert {form[0] for form in (*FORMS[: -len(SLOW)], *SLOW)} == set(ROWS)


def test_a_mistake_is_seen(device, monkeypatch):
    """One tensor left on the CPU inside an attack is what these tests are for."""
    own = torch.zeros_like
    monkeypatch.setattr(torch, "zeros_like", lambda x, **told: own(x.cpu(), **told))
    with pytest.raises(MixedDevices):
        attack_of("mi-fgsm", {}).perturb(Network(device), IMAGES, np.zeros(2, int), [8])
