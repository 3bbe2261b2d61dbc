"""The scores of a model are found among its outputs by shape and name, asked for, or refused with what to set."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.core.errors import BadInput, WrongUse
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.models.outputs import Scores, as_probabilities, find_scores, named_outputs
from pipeline.settings import ModelSettings

torch.set_num_threads(1)
WEIGHT = np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32)
COLUMN = np.random.default_rng(1).normal(size=(3, 1)).astype(np.float32) * 4


def onnx_file(path: Path, steps: list[tuple], outputs: list[tuple], shape: tuple = ("N", 3, 20, 20), kind: str = "FLOAT") -> str:
    """Writes a graph that pools x to p, flattens it to f (float32), and goes on by (operator, inputs, output, attributes)."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, types = onnx.helper, onnx.TensorProto
    first = [("Cast", ["x"], "xf", {"to": types.FLOAT}), ("GlobalAveragePool", ["xf"], "p", {}), ("Flatten", ["p"], "f", {})]
    nodes = [helper.make_node(op, list(ins), [out], **attributes) for op, ins, out, attributes in first + steps]
    nodes = [
        helper.make_node(n.op_type, n.input, n.output, domain="ai.onnx.ml", classlabels_strings=list("cab"))
        if n.op_type == "ZipMap"
        else n
        for n in nodes
    ]
    constants = {"W": WEIGHT, "W1": COLUMN, "W3": WEIGHT[:, :3], "L": np.array([f"c{i}" for i in range(10)], dtype=object)}
    values = [helper.make_tensor_value_info(n, getattr(types, t), s) for n, t, s in outputs if s is not None]
    maps = [n for n, _, s in outputs if s is None]
    for name in maps:
        table = helper.make_map_type_proto(types.STRING, helper.make_tensor_type_proto(types.FLOAT, []))
        values.append(helper.make_value_info(name, helper.make_sequence_type_proto(table)))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", getattr(types, kind), list(shape))],
        values,
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 9
    onnx.save(model, path / "net.onnx")
    return f"onnx:{path / 'net.onnx'}"


def load(name: str, **changes: Any) -> Classifier:
    return load_classifier(ModelSettings(name=name, **changes))


def pictures(classifier: Classifier, n: int = 5) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (n, *classifier.input_size, 3), dtype=np.uint8)


def softmax(y: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    return found


MATMUL = ("MatMul", ["f", "W"], "scores", {})
INDEX = ("ArgMax", ["scores"], "i", {"axis": 1, "keepdims": 0})
COLUMN_INDEX = ("ArgMax", ["scores"], "i", {"axis": 1, "keepdims": 1})
NAMES = ("Gather", ["L", "i"], "label", {})
SCORES, N = ("scores", "FLOAT", ["N", 10]), ["N"]


@pytest.mark.parametrize(
    ("steps", "outputs"),
    [
        ([MATMUL], [SCORES]),
        ([MATMUL, INDEX, NAMES], [("label", "STRING", N), SCORES]),
        ([MATMUL, COLUMN_INDEX, NAMES], [("label", "STRING", ["N", 1]), SCORES]),
        ([MATMUL, INDEX], [("i", "INT64", N), SCORES]),
        ([MATMUL], [("f", "FLOAT", ["N", 3]), SCORES]),
        ([MATMUL, ("Identity", ["f"], "embedding", {}), ("Identity", ["scores"], "dense_2", {})],
         [("embedding", "FLOAT", ["N", 3]), ("dense_2", "FLOAT", ["N", 10])]),
        ([MATMUL, ("Softmax", ["scores"], "probabilities", {})],
         [("probabilities", "FLOAT", ["N", 10]), ("f", "FLOAT", ["N", 3])]),
        ([MATMUL, ("Unsqueeze", ["scores", "axes"], "y", {})], [("y", "FLOAT", ["N", 10, 1])]),
    ],
    ids=["alone", "names-first", "column-of-names-first", "label-first", "features-first", "embedding-first", "softmax-first",
         "trailing-one"],
)  # fmt: skip
def test_an_onnx_file_gives_its_scores_whatever_stands_beside_them(tmp_path: Path, steps: list, outputs: list) -> None:
    if any("axes" in step[1] for step in steps):
        steps = [("Constant", [], "axes", {"value_ints": [2]}), *steps]
    classifier = load(onnx_file(tmp_path, steps, outputs))
    images = pictures(classifier)
    expected = softmax((images / 255).mean((1, 2)) @ WEIGHT)
    np.testing.assert_allclose(classifier.predict(images), expected, atol=1e-6)


def test_a_table_by_class_gives_scores_and_the_names_of_the_classes(tmp_path: Path) -> None:
    steps = [("MatMul", ["f", "W3"], "y", {}), ("Softmax", ["y"], "s", {}), ("ZipMap", ["s"], "loss", {})]
    classifier = load(onnx_file(tmp_path, steps, [("loss", "FLOAT", None)]))
    images = pictures(classifier)
    expected = softmax((images / 255).mean((1, 2)) @ WEIGHT[:, :3])[:, [1, 2, 0]]  # the columns are c, a, b
    assert classifier.class_names == ("a", "b", "c")
    np.testing.assert_allclose(classifier.predict(images), expected, atol=1e-6)


@pytest.mark.parametrize("ends_in_sigmoid", [True, False])
def test_one_number_makes_two_classes(tmp_path: Path, ends_in_sigmoid: bool) -> None:
    steps = [("MatMul", ["f", "W1"], "z", {})] + [("Sigmoid", ["z"], "y", {})] * ends_in_sigmoid
    classifier = load(onnx_file(tmp_path, steps, [("y" if ends_in_sigmoid else "z", "FLOAT", ["N", 1])]))
    images = pictures(classifier)
    second = 1 / (1 + np.exp(-((images / 255).mean((1, 2)) @ COLUMN)))
    assert classifier.n_classes == 2
    np.testing.assert_allclose(classifier.predict(images), np.hstack([1 - second, second]), atol=1e-6)


@pytest.mark.parametrize("step", [INDEX, COLUMN_INDEX], ids=["flat", "column"])
def test_labels_alone_are_of_as_many_classes_as_the_graph_compares(tmp_path: Path, step: tuple) -> None:
    name = onnx_file(tmp_path, [MATMUL, step], [("i", "INT64", N if step is INDEX else ["N", 1])])
    classifier = load(name)
    assert classifier.n_classes == 10 and classifier.n_ranked == 1
    images = pictures(classifier)
    expected = np.eye(10)[((images / 255).mean((1, 2)) @ WEIGHT).argmax(1)]
    np.testing.assert_allclose(classifier.predict(images), expected, atol=1e-30)
    with pytest.raises(BadInput, match="answers with class 7, but it has 5"):
        Scores("", "labels", 5).logits({"": torch.tensor([0, 7])}, 2)


def test_the_best_of_a_graph_that_sorts_is_a_label_too(tmp_path: Path) -> None:
    steps = [MATMUL, ("TopK", ["scores", "one"], "best", {}), ("Cast", ["at"], "i", {"to": 6})]
    name = onnx_file(tmp_path, steps, [("i", "INT32", ["N", 1])])
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tmp_path / "net.onnx")
    next(node for node in model.graph.node if node.op_type == "TopK").output.append("at")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    onnx.save(model, tmp_path / "net.onnx")
    assert load(name).n_classes == 10


def test_labels_alone_need_the_number_of_classes_where_nothing_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = onnx_file(tmp_path, [MATMUL, INDEX], [("i", "INT64", N)])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BadInput, match=r"no scores.*model\.classes or model\.n_classes"):
        load(name)
    assert load(name, n_classes=12).n_classes == 12


def test_what_cannot_be_told_apart_is_asked_for(tmp_path: Path) -> None:
    steps = [MATMUL, ("MatMul", ["f", "W3"], "three", {}), ("Identity", ["scores"], "ten", {})]
    name = onnx_file(tmp_path, steps, [("three", "FLOAT", ["N", 3]), ("ten", "FLOAT", ["N", 10])])
    with pytest.raises(BadInput, match=r'three \(8, 3\), ten \(8, 10\).*model\.output = "three"'):
        load(name)
    assert load(name, output="three").n_classes == 3 and load(name, output="ten").n_classes == 10
    assert load(name, n_classes=10).n_classes == 10
    with pytest.raises(WrongUse, match='no output "tenn"'):
        load(name, output="tenn")


@pytest.mark.parametrize(
    ("shape", "kind", "size"),
    [(("N", 3, 24, 48), "FLOAT", (24, 48)), ((1, 3, 20, 20), "FLOAT", (20, 20)), ((4, 3, 20, 20), "FLOAT16", (20, 20)),
     (("N", 3, 20, 20), "UINT8", (20, 20))],
    ids=["rectangle", "one-at-a-time", "four-halves-at-a-time", "whole-pixels"],
)  # fmt: skip
def test_an_onnx_input_of_another_shape_or_type_is_fed_as_it_wants(tmp_path: Path, shape: tuple, kind: str, size: tuple) -> None:
    classifier = load(onnx_file(tmp_path, [MATMUL], [("scores", "FLOAT", [shape[0], 10])], shape, kind))
    images = pictures(classifier)
    scale = 1 if kind == "UINT8" else 255
    expected = softmax((images / scale).mean((1, 2)) @ WEIGHT)
    assert classifier.input_size == size
    np.testing.assert_allclose(classifier.predict(images), expected, atol=2e-3 if kind == "FLOAT16" else 1e-4)


def test_an_onnx_network_of_one_channel_sees_luma(tmp_path: Path) -> None:
    steps = [("MatMul", ["f", "W1"], "z", {})]
    onnx = pytest.importorskip("onnx")
    name = onnx_file(tmp_path, steps, [("z", "FLOAT", ["N", 1])], ("N", 1, 20, 20))
    model = onnx.load(tmp_path / "net.onnx")
    next(t for t in model.graph.initializer if t.name == "W1").CopyFrom(onnx.numpy_helper.from_array(COLUMN[:1], "W1"))
    onnx.save(model, tmp_path / "net.onnx")
    classifier = load(name)
    images = pictures(classifier)
    z = (images / 255).mean((1, 2)) @ np.array([0.299, 0.587, 0.114]) * COLUMN[0, 0]
    np.testing.assert_allclose(classifier.predict(images)[:, 1], 1 / (1 + np.exp(-z)), atol=1e-6)
    assert classifier.preprocessing.n_channels == 1


@pytest.mark.parametrize(
    ("outputs", "n_known", "chosen"),
    [
        ({"": (2, 7)}, 0, ""),
        ({"loss": (), "logits": (2, 7)}, 0, "logits"),
        ({"logits": (2, 7), "hidden_states": (2, 5, 9)}, 0, "logits"),
        ({"logits": (2, 7), "probs": (2, 7)}, 0, "logits"),
        ({"0": (2, 7), "1": (2, 64)}, 7, "0"),
        ({"features": (2, 64), "out": (2, 7)}, 0, "out"),
    ],
)
def test_scores_are_chosen_by_shape_then_by_name(outputs: dict[str, tuple], n_known: int, chosen: str) -> None:
    tensors = {name: torch.zeros(shape) for name, shape in outputs.items()}
    assert find_scores("net", tensors, 2, "", n_known).output == chosen


@pytest.mark.parametrize("outputs", [{}, {"y": (3, 7)}, {"y": (2, 7, 7)}, {"y": ()}, {"a": (2, 1), "b": (2, 1)}])
def test_what_holds_no_scores_is_refused(outputs: dict[str, tuple]) -> None:
    with pytest.raises(BadInput, match="two rows of logits"):
        find_scores("net", {name: torch.zeros(shape) for name, shape in outputs.items()}, 2)


def test_a_logit_is_no_probability() -> None:
    logit = {"": torch.tensor([[0.2], [1.4]])}
    scores = as_probabilities(find_scores("net", logit, 2), logit)
    assert scores.kind == "logit" and scores.logits(logit, 2).tolist() == [[0, pytest.approx(0.2)], [0, pytest.approx(1.4)]]


def test_answers_of_every_usual_kind_are_named() -> None:
    x = torch.zeros(2, 3)
    assert list(named_outputs({"a": x, "b": "text", "c": None})) == ["a"]
    assert list(named_outputs((x, x))) == ["0", "1"]
    assert named_outputs([[1.0, 2.0], [3.0, 4.0]])[""].shape == (2, 2)
    assert named_outputs(np.zeros((2, 3), np.float32))[""].shape == (2, 3)
