"""Networks that take or give what is common, if not usual, load and answer as they would by themselves; others say why not."""

import collections
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.attacks import attack_named
from pipeline.attacks.attack import NO_EPSILON
from pipeline.core.errors import BadInput, WrongUse
from pipeline.models import load_classifier
from pipeline.models.calls import Function
from pipeline.models.classifier import Classifier
from pipeline.models.preprocessing import Preprocessing, whole_picture
from pipeline.models.torch_models import TorchClassifier
from pipeline.settings import ModelSettings

torch.set_num_threads(1)
SIZE = (16, 12)
Change = Callable[[Any], Any]
Make = Callable[[], nn.Module]


class Net(nn.Module):
    """Two layers on 16 x 12 pixels, seeded; `before` and `after` turn its images and its logits into something else."""

    def __init__(self, before: Change = lambda x: x, after: Change = lambda y: y, channels: int = 3) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(channels, 4, 3), nn.Linear(4, 5)
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Any:
        return self.after(self.head(self.conv(self.before(x)).relu().mean((2, 3))))


def classifier_of(module: nn.Module, steps: Preprocessing | None = None, **changes: Any) -> Classifier:
    return TorchClassifier(module, ModelSettings(name="python:nets:net", **changes), steps or whole_picture(SIZE), "cpu")


def pictures(n: int = 5) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (n, *SIZE, 3), dtype=np.uint8)


def plain(images: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        found: np.ndarray = Net().eval()(x).softmax(1).numpy()
    return found


def in_place(x: Tensor) -> Tensor:
    return x.mul_(0.5).mul_(2)


Output = collections.namedtuple("Output", "loss logits")


@pytest.mark.parametrize(
    ("module", "changes", "differentiable"),
    [
        (Net(after=lambda y: {"logits": y}), {}, True),
        (Net(after=lambda y: {"aux": y * 2, "out": y}), {}, True),
        (Net(after=lambda y: (y, y.mean())), {}, True),
        (Net(after=lambda y: (y.new_zeros(len(y), 9), y)), {"n_classes": 5}, True),
        (Net(after=lambda y: (y.new_zeros(len(y), 9), y)), {"output": "1"}, True),
        (Net(after=lambda y: Output(None, y)), {}, True),
        (Net(after=lambda y: y[:, :, None, None]), {}, True),
        (Net(after=lambda y: y.squeeze()), {}, True),
        (Net(before=in_place), {}, True),
        (Net().double(), {}, True),
        (Net(before=lambda x: x.reshape(8, 3, *SIZE)), {}, True),
        (Net(before=lambda x: x.reshape(1, 3, *SIZE)), {}, True),
        (Net(before=lambda x: x.detach()), {}, False),
        (Net(before=lambda x: torch.from_numpy(x.numpy())), {}, False),
        (Net(after=lambda y: y.numpy()), {}, False),
        (Function(lambda x: Net().eval()(torch.from_numpy(np.transpose(x, (0, 1, 2, 3)))).detach().numpy()), {}, False),
        (Function(lambda x: Net().eval()(torch.from_numpy(x)).tolist()), {}, False),
    ],
    ids=["dictionary", "dictionary-beside-aux", "tuple", "tuple-by-classes", "tuple-by-number", "named-tuple", "trailing-ones",
         "squeezed", "in-place", "double", "eight-at-a-time", "one-at-a-time", "detached", "through-numpy", "numpy-out",
         "numpy-function", "list-of-lists"],
)  # fmt: skip
def test_what_is_common_loads_and_answers_as_by_itself(module: nn.Module, changes: dict, differentiable: bool) -> None:
    classifier = classifier_of(module, **changes)
    images = pictures()
    assert classifier.differentiable is differentiable and classifier.n_classes == 5
    np.testing.assert_allclose(classifier.predict(images), plain(images), atol=1e-6)
    one = torch.from_numpy(images[:1]).permute(0, 3, 1, 2).float() / 255
    before = one.clone()
    with torch.no_grad():
        np.testing.assert_allclose(classifier.logits(one).softmax(1).numpy(), plain(images[:1]), atol=1e-6)
        np.testing.assert_allclose(classifier.for_attacks()(one).softmax(1).numpy(), plain(images[:1]), atol=1e-4)
    assert torch.equal(one, before), "the caller's images are its own"
    if differentiable:
        x = one.clone().requires_grad_()
        classifier.logits(x)[:, 1].sum().backward()
        assert x.grad is not None and x.grad.abs().sum() > 0
    else:
        with pytest.raises(WrongUse, match="no gradient"):
            classifier.logits(one.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_networks_are_fed_their_own_type(dtype: torch.dtype) -> None:
    classifier = classifier_of(Net().to(dtype))
    images = pictures()
    found = classifier.predict(images)
    assert classifier.differentiable and found.dtype == np.float32
    np.testing.assert_allclose(found, plain(images), atol=0.01)
    assert not np.array_equal(found, plain(images)), "it computes in its own type"


def test_a_network_of_one_channel_sees_luma_after_normalisation() -> None:
    steps = Preprocessing(SIZE, SIZE, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    classifier = classifier_of(Net(channels=1), steps)
    images = pictures()
    x = torch.from_numpy((images / 255 - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.4] @ [0.299, 0.587, 0.114]).float()[:, None]
    with torch.no_grad():
        expected = Net(channels=1).eval()(x).softmax(1).numpy()
    np.testing.assert_allclose(classifier.predict(images), expected, atol=1e-6)
    assert classifier.preprocessing.n_channels == 1
    assert classifier.fingerprint != classifier_of(Net(channels=3), steps).fingerprint


@pytest.mark.parametrize(("after", "kind"), [(lambda y: y[:, 0], "logit"), (lambda y: y[:, :1].sigmoid(), "probability")])
def test_one_number_makes_two_classes(after: Callable[[Tensor], Tensor], kind: str) -> None:
    classifier = classifier_of(Net(after=after))
    assert isinstance(classifier, TorchClassifier) and classifier._call.scores.kind == kind and classifier.n_classes == 2
    images = pictures()
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    second = Net(after=lambda y: y[:, :1].sigmoid()).eval()(x).detach().numpy()
    np.testing.assert_allclose(classifier.predict(images), np.hstack([1 - second, second]), atol=1e-6)


class Extra(Net):
    def __init__(self, version: int = 3) -> None:
        super().__init__()
        self.version = version

    def get_extra_state(self) -> Any:
        return {"version": self.version, "scale": torch.ones(2)}

    def set_extra_state(self, state: Any) -> None:
        pass


def quantised(seed: int = 0) -> nn.Module:
    net = Net()
    if seed:
        nn.init.normal_(net.head.weight)
    return torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "other"), [(Extra, lambda: Extra(4)), (quantised, lambda: quantised(1))], ids=["extra", "quantised"]
)
def test_state_that_is_no_tensor_is_part_of_the_fingerprint(make: Make, other: Make) -> None:
    first = classifier_of(make())
    assert first.fingerprint == classifier_of(make()).fingerprint != classifier_of(other()).fingerprint
    np.testing.assert_allclose(first.predict(pictures()), plain(pictures()), atol=0.02)


class Underivable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make",
    [quantised, lambda: Net(after=Underivable.apply), lambda: Net(after=lambda y: y.detach().requires_grad_())],
    ids=["quantised", "no-derivative", "begins-anew"],
)
def test_a_network_whose_way_back_ends_inside_gives_predictions_only(make: Make) -> None:
    classifier = classifier_of(make())
    assert not classifier.differentiable
    np.testing.assert_allclose(classifier.predict(pictures()), plain(pictures()), atol=0.02)


class OftenConstant(Net):
    """Answers bright images without looking, so that there is a way back for grey ones alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer = super().forward(x)
        return answer if bool((x == 0.5).all()) else answer.detach()


def test_images_without_a_way_back_stay_as_they_are() -> None:
    classifier = classifier_of(OftenConstant())
    assert classifier.differentiable
    labels = np.zeros(len(pictures()), np.int64)
    for name, epsilon in (("deepfool", NO_EPSILON), ("bim", 4)):
        made = attack_named(name).perturb(classifier, pictures(), labels, (epsilon,))[epsilon]
        assert (made.images == pictures()).all()


def exported() -> Any:
    example = (torch.rand(2, 3, *SIZE),)
    return torch.export.export(Net().eval(), example, dynamic_shapes=({0: torch.export.Dim("n")},))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make",
    [lambda: torch.jit.trace(Net().eval(), torch.rand(1, 3, *SIZE)), lambda: exported().module()],
    ids=["torchscript", "exported"],
)
def test_compiled_programs_load(make: Make) -> None:
    classifier = classifier_of(make())
    assert classifier.differentiable
    np.testing.assert_allclose(classifier.predict(pictures()), plain(pictures()), atol=1e-6)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Net(channels=4), r"RGB images, \(N, 3, H, W\), or one channel"),
        (nn.Sequential(nn.Flatten(), nn.Linear(99, 5)), r"Check model\.input_px: the network is called with 16 x 12 pixels"),
        (nn.Bilinear(2, 2, 2), "called with one argument, the images"),
        (Net(after=lambda y: (y, y.new_zeros(len(y), 9))), r'0 \(2, 5\), 1 \(2, 9\).*model\.output = "0"'),
        (Net(after=lambda y: "cat"), "gives no numbers for 2 images; two rows of logits"),
        (Net(after=lambda y: (9 * y).long()), r"gives \(2, 5\) of int64 for 2 images"),
        (Net(after=lambda y: y.argmax(1)), r"Set model\.classes or model\.n_classes"),
        (Net(after=lambda y: 1 / 0), r"division by zero.*docs/models\.md"),
    ],
    ids=["channels", "size", "arguments", "two-outputs", "text", "whole-numbers", "labels", "anything"],
)
def test_a_refusal_says_which_rule_was_broken(module: nn.Module, said: str) -> None:
    with pytest.raises((BadInput, WrongUse), match=said) as caught:
        classifier_of(module)
    assert "\n" not in str(caught.value)


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(WrongUse) as caught:
        load_classifier(ModelSettings(name="python:cifar.py"))
    for word in ("python:cifar.py:FACTORY", "model.input_px", "model.mean", "model.std", "model.classes", "model.weights"):
        assert word in str(caught.value)
