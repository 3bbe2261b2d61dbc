"""Warnings about the network under test: each toy raises its own and no other, a sound one none, and nothing is changed."""

import random
import re

import numpy as np
import pypdfium2
import pytest
import torch
from kept_files import read_json
from torch import nn

from pipeline.datasets import open_dataset
from pipeline.document.pdf import build_pdf
from pipeline.engine import Context
from pipeline.models import load_classifier
from pipeline.models.examination import N_EXAMINED, examine
from pipeline.models.preprocessing import Preprocessing
from pipeline.models.torch_models import TorchClassifier
from pipeline.records import ModelFlag
from pipeline.report.content import DatasetFacts, ModelFacts, ReportContent
from pipeline.report.raised_flags import MODEL_FLAGS
from pipeline.report.sections import head, sections
from pipeline.settings import DatasetSettings, ModelSettings
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import run_stage
from pipeline.store import Run

torch.set_num_threads(1)
SIZE, N_CLASSES = 8, 4
TOY_MODULE = """
import torch
from pipeline.signs import network as signs_net

def make():
    return torch.nn.Sequential(signs_net.load(), torch.nn.Softmax(dim=1))
"""


class Linear(nn.Module):
    """A sound network; the toys change one thing about it."""

    def __init__(self, temperature=1.0):
        super().__init__()
        weights = np.random.default_rng(3).normal(0, 0.4 / temperature, (N_CLASSES, 3 * SIZE * SIZE))
        self.weights = nn.Parameter(torch.from_numpy(weights).float())

    def forward(self, x):
        return (x - 0.5).flatten(1) @ self.weights.T


class Random(Linear):
    def forward(self, x):
        return super().forward(x) + 0.01 * torch.randn(len(x), N_CLASSES)


class BatchStatistics(Linear):
    def forward(self, x):
        return super().forward(x - x.mean(dim=0) + 0.5)


class InTraining(Linear):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.0)

    def forward(self, x):
        self.drop.train()
        return super().forward(self.drop(x))


class Softmax(Linear):
    def forward(self, x):
        return super().forward(x).softmax(dim=1)


class LogSoftmax(Linear):
    def forward(self, x):
        return super().forward(x).log_softmax(dim=1)


class Detached(Linear):
    def forward(self, x):
        return super().forward(x.detach()) + 0 * x.sum()


class Clipped(Linear):
    def forward(self, x):
        return super().forward(x.clamp(0.45, 0.55))


class Rounded(Linear):
    """Sixteen grey levels, with the gradient led past the rounding."""

    def forward(self, x):
        return super().forward(x + ((x * 255 / 16).floor() * 16 / 255 - x).detach())


class WantsBytes(Linear):
    def forward(self, x):
        return super().forward((x - 127.5).clamp(-200, 200) / 255 + 0.5)


class WantsBlueFirst(Linear):
    def forward(self, x):
        return super().forward(x.flip(1))


class Reversed(Linear):
    def forward(self, x):
        return super().forward(x).flip(1)


class OtherGradient(Linear):
    def forward(self, x):
        seen = super().forward(x)
        shown = super().forward(x.roll(1, dims=3))
        return seen.detach() + shown - shown.detach()


class NotANumber(Linear):
    def forward(self, x):
        return super().forward(x) + (x[:, :1, 0, 0] - 2).sqrt()


class EndlessSlope(Linear):
    def forward(self, x):
        return super().forward(x) + (x - x).sum(dim=(1, 2, 3)).sqrt()[:, None]


class Grey(Linear):
    def forward(self, x):
        return super().forward(x.reshape(len(x), 1, SIZE, SIZE).expand(-1, 3, -1, -1))


class LabelAlone(Linear):
    n_told = N_CLASSES

    def forward(self, x):
        return super().forward(x).argmax(dim=1)


TOYS = {
    "not-finite": (NotANumber, EndlessSlope),
    "random": (Random,),
    "train-mode": (BatchStatistics, InTraining),
    "label-alone": (LabelAlone,),
    "probabilities": (Softmax,),
    "log-probabilities": (LogSoftmax,),
    "zero-gradient": (Detached,),
    "saturated-softmax": (lambda: Linear(1e-4),),
    "large-logits": (lambda: Linear(1 / 25),),
    "saturating": (Clipped, Rounded),
    "input-range": (WantsBytes, WantsBlueFirst),
    "class-order": (Reversed,),
    "gradient-mismatch": (OtherGradient,),
    "one-channel": (Grey,),
}


def classifier_of(module, steps=None):
    steps = steps or Preprocessing((SIZE, SIZE), SIZE)
    settings = ModelSettings(name="python:toys:toy", n_classes=getattr(module, "n_told", 0))
    return TorchClassifier(module, settings, steps, "cpu")


def pictures(n=N_EXAMINED):
    return np.random.default_rng(1).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


def labels_of(images):
    """The classes that the sound network sees."""
    return classifier_of(Linear()).predict(images).argmax(axis=1)


def names(flags):
    return [flag.name for flag in flags]


def test_a_sound_network_raises_nothing():
    assert examine(classifier_of(Linear()), pictures(), labels_of(pictures())) == ()


def test_the_built_in_network_raises_nothing():
    classifier = load_classifier(ModelSettings())
    dataset = open_dataset(DatasetSettings(n_images=N_EXAMINED), classifier.class_names, classifier.wordnet_ids, 0)
    images = np.stack([classifier.prepare(dataset.image(index).pixels) for index in range(N_EXAMINED)])
    assert examine(classifier, images, np.array([dataset.label(index) for index in range(N_EXAMINED)])) == ()


def test_every_flag_has_a_toy():
    assert list(TOYS) == list(MODEL_FLAGS)


@pytest.mark.parametrize(
    ("name", "make"),
    [pytest.param(name, make, id=f"{name}-{place}") for name, makes in TOYS.items() for place, make in enumerate(makes)],
)
def test_a_toy_raises_its_own_flag_and_no_other(name, make):
    classifier = classifier_of(make())
    images = pictures()
    labels = labels_of(images)
    if name in ("saturating", "train-mode"):  # what it sees is another picture; it is right about that
        with torch.no_grad():
            labels = classifier.logits(torch.from_numpy(images.transpose(0, 3, 1, 2)).float() / 255).argmax(1).numpy()
    flags = examine(classifier, images, labels)
    assert names(flags) == [name]
    assert re.search(r"\d", flags[0].detail), "a flag comes with the numbers that were measured"


def test_dropout_that_draws_is_called_random_and_in_training():
    class Dropping(InTraining):
        def __init__(self):
            super().__init__()
            self.drop.p = 0.5

    assert names(examine(classifier_of(Dropping()), pictures(), labels_of(pictures()))) == ["random", "train-mode"]


def test_an_image_is_counted_as_saturated_or_as_large_and_not_twice():
    flags = examine(classifier_of(Linear(1 / 60)), pictures(), labels_of(pictures()))
    counts = {flag.name: int(flag.detail.split()[0]) for flag in flags}
    assert set(counts) == {"saturated-softmax", "large-logits"} and sum(counts.values()) <= N_EXAMINED


@pytest.mark.parametrize(("gap", "is_large"), [(8.0, False), (20.0, True), (60.0, True)])
def test_what_float32_loses_is_known_for_two_classes(gap, is_large):
    """Softmax minus one-hot is (p, -p) with p = 1 / (1 + exp(gap)); float32 keeps its first half and rounds the other."""

    class Gap(Linear):
        def forward(self, x):
            brightness = x.mean(dim=(1, 2, 3)) - 0.5
            return torch.stack([brightness + gap, -brightness], dim=1)

    flags = examine(classifier_of(Gap()), pictures(), np.zeros(N_EXAMINED, np.int64))
    assert ("large-logits" in names(flags)) == is_large


def test_a_network_normalised_twice_is_told_from_the_settings():
    class Normalising(Linear):
        def forward(self, x):
            return super().forward(((x - 0.8) / 0.1).tanh() * 0.1 + 0.5)

    images = pictures()
    once = classifier_of(Normalising())
    labels = once.predict(images).argmax(axis=1)
    twice = classifier_of(Normalising(), Preprocessing((SIZE, SIZE), SIZE, (0.8,) * 3, (0.1,) * 3))
    found = {flag.name: flag.detail for flag in examine(twice, images, labels)}
    assert "not normalised by model.mean and model.std" in found["input-range"]
    assert "input-range" not in names(examine(once, images, labels))


def test_a_network_that_hides_its_gradient_on_one_image_is_counted():
    class PartlyDetached(Linear):
        def forward(self, x):
            hidden = (x[:, :1, :1, :1] * 255).round() == 7
            return super().forward(torch.where(hidden, x.detach(), x))

    images = pictures()
    images[:, 0, 0, 0] = 8
    images[5, 0, 0, 0] = 7
    flags = examine(classifier_of(PartlyDetached()), images, labels_of(images))
    assert [(flag.name, flag.detail) for flag in flags] == [("zero-gradient", "1 of 16 images")]


@pytest.mark.parametrize(("make", "name"), [(Random, "random"), (Clipped, "saturating"), (Softmax, "probabilities")])
def test_a_network_without_gradients_gets_the_other_checks(make, name):
    module = make().eval().requires_grad_(False)

    class Predicting(nn.Module):
        def forward(self, x):
            return module(x.detach())

    classifier = classifier_of(Predicting())
    assert not classifier.differentiable
    with torch.no_grad():
        labels = module(torch.from_numpy(pictures().transpose(0, 3, 1, 2)).float() / 255).argmax(1).numpy()
    assert names(examine(classifier, pictures(), labels)) == [name]


def test_without_gradients_none_is_called_broken():
    class Broken(Linear):
        def forward(self, x):
            return super().forward(x.detach()) / 0 * 0

    (flag,) = examine(classifier_of(Broken()), pictures(), labels_of(pictures()))
    assert flag.name == "not-finite" and "gradient" not in flag.detail


@pytest.mark.parametrize("n", [1, 3, 40])
def test_any_number_of_images_will_do(n):
    assert examine(classifier_of(Linear()), pictures(n), labels_of(pictures(n))) == ()
    assert "of 1 images" not in examine(classifier_of(Detached()), pictures(n), labels_of(pictures(n)))[0].detail or n == 1


def test_no_image_is_a_programmers_error():
    with pytest.raises(ValueError, match="expected at least one image"):
        examine(classifier_of(Linear()), pictures(0), np.zeros(0, np.int64))


def test_the_same_network_gives_the_same_flags():
    first, second = (examine(classifier_of(Random()), pictures(), labels_of(pictures())) for _ in range(2))
    assert first == second


def test_nothing_is_left_changed():
    class Drawing(Linear):
        """Draws from every global generator, counts its passes in a buffer and puts itself into training mode."""

        def __init__(self):
            super().__init__()
            self.register_buffer("n_passes", torch.zeros(()))

        def forward(self, x):
            self.n_passes += 1
            self.train()
            return super().forward(x) + torch.rand(1) + random.random() + np.random.rand()

    module = Drawing()
    classifier = classifier_of(module)
    module.eval()
    seen = []
    module.register_forward_hook(lambda *_: seen.append(1))

    def state():
        generators = torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()[1:])
        gradients = [parameter.grad for parameter in module.parameters()]
        return generators, gradients, module.training, float(module.n_passes), len(module._forward_hooks), torch.is_grad_enabled()

    before = state()
    images = pictures()
    examine(classifier, images, np.zeros(N_EXAMINED, np.int64))
    assert len(seen) > 3 and state() == before and np.array_equal(images, pictures())


def test_it_costs_about_a_dozen_passes():
    class Counting(Linear):
        n_images = 0

        def forward(self, x):
            self.n_images += len(x)
            return super().forward(x)

    module = Counting()
    classifier = classifier_of(module)
    module.n_images = 0
    examine(classifier, pictures(100), labels_of(pictures(100)))
    assert module.n_images <= 16 * N_EXAMINED


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "No problem found. Checked for: outputs that are not finite, random outputs"),
        ((ModelFlag("random", "logits differ by up to 0.034"),), f"1 flag of {len(MODEL_FLAGS)} is raised"),
    ],
    ids=["nothing raised", "one raised"],
)
def test_the_report_says_what_was_found_of_the_model(flags, said):
    facts = ModelFacts("python:toys:toy", "0" * 64, (SIZE, SIZE), N_CLASSES)
    content = ReportContent(
        "toy", "Toy", "", {}, 0, facts, DatasetFacts("folder:x", 4, N_CLASSES), simulated=False, model_flags=flags
    )
    text = " ".join(
        page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(build_pdf(head(content), sections(content)))
    )
    text = " ".join(text.split())
    assert said in text and ("0.034" in text) == bool(flags) == ("Random outputs, says an examination of the model" in text)


def test_select_examines_the_model_and_says_so(tmp_path, small_file):
    (tmp_path / "toy.py").write_text(TOY_MODULE, encoding="utf-8")
    model = ("model.name=python:toy:make", f"model.python_path={tmp_path}", "model.input_px=112")
    experiment, run = load_experiment(small_file, (*model, 'selection.cases=["average"]')), Run(tmp_path, "small")
    state = run_stage("select", experiment, run, Context())
    assert [row["name"] for row in read_json(run.printouts / "selection.json")["model_flags"]] == ["probabilities"]
    assert state.summary["model_flags"] == ["probabilities"]
    assert any("probabilities" in note and MODEL_FLAGS["probabilities"].what_to_do in note for note in state.summary["notes"])
