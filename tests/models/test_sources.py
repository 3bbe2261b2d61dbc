"""Models from folders, packages and services: each answers as its own source does, and says what it lacks."""

import base64
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.core.errors import BadInput, Unavailable, WrongUse
from pipeline.core.torchvision_import import import_torchvision
from pipeline.datasets.labels import Labels
from pipeline.models import load_classifier, service
from pipeline.models.class_names import read_class_list
from pipeline.models.hugging_face import of_processor
from pipeline.models.preprocessing import Preprocessing
from pipeline.models.robustbench_model import of_transforms
from pipeline.settings import ModelSettings
from pipeline.settings.reading import load_experiment

torch.set_num_threads(1)
SIZE = (16, 12)
WEIGHT = np.random.default_rng(0).normal(size=(3, 4))


def pictures(n: int = 5, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (n, *size, 3), dtype=np.uint8)


def probabilities(images: np.ndarray) -> np.ndarray:
    y = np.exp((images / 255).mean((1, 2)) @ WEIGHT)
    found: np.ndarray = y / y.sum(axis=1, keepdims=True)
    return found


class Service:
    """A small HTTP service that keeps count; `answers` turns images into what it sends, and `refusals` are its first states."""

    def __init__(self) -> None:
        self.answers: Any = lambda images: {"probabilities": probabilities(images).tolist()}
        self.sizes: list[int] = []
        self.refusals: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.refusals:
                    self.send_response(outer.refusals.pop(0))
                    self.end_headers()
                    return
                files = [Image.open(io.BytesIO(base64.b64decode(text))) for text in body["images"]]
                assert all(file.format == "PNG" for file in files)
                outer.sizes.append(len(files))
                answer = outer.answers(np.stack([np.asarray(file) for file in files]))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

            def log_message(self, *_: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/classify"

    def load(self, **changes: Any) -> Any:
        return load_classifier(ModelSettings(name=self.url, input_px=SIZE, **changes))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(service, "RETRY_WAITS_S", (0.0, 0.0))
    made = Service()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_service_predicts_and_is_never_asked_twice_about_an_image(served: Service) -> None:
    classifier = served.load()
    served.sizes.clear()
    np.testing.assert_allclose(classifier.predict(pictures(5), batch_size=4), probabilities(pictures(5)), atol=1e-6)
    assert served.sizes == [4, 1] and classifier.n_classes == 4 and not classifier.differentiable
    with pytest.raises(WrongUse, match="predictions only"):
        classifier.logits(torch.rand(1, 3, *SIZE, requires_grad=True))


def test_a_service_is_another_one_when_its_answers_change(served: Service) -> None:
    first = served.load().fingerprint
    assert served.load().fingerprint == first
    served.answers = lambda images: {"probabilities": probabilities(255 - images).tolist()}
    assert served.load().fingerprint != first


def test_a_service_may_answer_with_logits_or_labels(served: Service) -> None:
    served.answers = lambda images: {"model": "v2", "scores": np.log(probabilities(images)).tolist()}
    np.testing.assert_allclose(served.load().predict(pictures()), probabilities(pictures()), atol=1e-6)
    served.answers = lambda images: {"labels": probabilities(images).argmax(1).tolist()}
    found = served.load(n_classes=4).predict(pictures())
    np.testing.assert_allclose(found, np.eye(4)[probabilities(pictures()).argmax(1)], atol=1e-30)


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"<html>", "does not answer with JSON"), ([1], "answers with list"), ({}, "no numbers"),
     ({"scores": [[1.0]]}, "8 rows of logits"), ({"scores": [[1.0, 2.0], [3.0]]}, "unequal length"),
     ({"scores": [[True, False]] * 8}, r"scores \(8, 2\) of bool"), ({"labels": ["stop"] * 8}, "no numbers"),
     ({"scores": [[None, 1.0]] * 8}, "no numbers")],
    ids=["no-json", "list", "empty", "one-row", "ragged", "bools", "words", "nulls"],
)  # fmt: skip
def test_what_a_service_must_not_answer_is_said(served: Service, answer: Any, said: str) -> None:
    served.answers = lambda images: answer
    with pytest.raises(BadInput, match=said):
        served.load()


def test_a_service_may_write_scores_as_whole_numbers(served: Service) -> None:
    served.answers = lambda images: {"scores": np.eye(4, dtype=int)[probabilities(images).argmax(1)].tolist()}
    found = served.load()
    assert found.n_ranked == 4
    assert (found.predict(pictures()).argmax(1) == probabilities(pictures()).argmax(1)).all()


def test_images_for_which_a_service_answers_no_numbers_are_counted(served: Service) -> None:
    classifier = served.load()
    served.answers = lambda images: {"probabilities": [[float("nan")] * 4, *[[0.25] * 4] * (len(images) - 1)]}
    with pytest.raises(BadInput, match="not finite for 1 of 5 images"):
        classifier.predict(pictures(5))


@pytest.mark.parametrize("url", ["http:///x", "http://a:99999999/x", "http://local host/x y", "http://a\u00e9/x", "http://:80/x"])
def test_what_is_no_address_is_refused_before_it_is_asked(url: str) -> None:
    with pytest.raises(WrongUse, match="is no address of a service"):
        load_classifier(ModelSettings(name=url, input_px=16))


def test_an_answer_that_breaks_off_is_a_service_out_of_reach(served: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.server.RequestHandlerClass, "do_POST", lambda self: self.wfile.write(b"nonsense\r\n\r\n"))
    with pytest.raises(Unavailable, match="cannot be reached"):
        served.load()


def test_a_busy_service_is_asked_again_and_a_broken_one_is_not(served: Service) -> None:
    served.refusals = [503, 429]
    assert served.load().n_classes == 4
    served.refusals = [500]
    with pytest.raises(BadInput, match="HTTP 500"):
        served.load()
    served.refusals = [503, 503, 503]
    with pytest.raises(BadInput, match="HTTP 503"):
        served.load()


def test_a_service_that_does_not_run_is_said_to_be_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "RETRY_WAITS_S", ())
    with pytest.raises(Unavailable, match=r"cannot be reached: connection refused\. Start the service"):
        load_classifier(ModelSettings(name="http://127.0.0.1:9/classify", input_px=16))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"size": {"height": 224, "width": 200}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
         Preprocessing((224, 200), (224, 200), (0.5,) * 3, (0.5,) * 3, "bilinear", "squash")),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "resample": 3, "do_normalize": False},
         Preprocessing((224, 224), 256, interpolation="bicubic")),
        ({"size": {"height": 256, "width": 256}, "do_center_crop": True, "crop_size": 224, "resample": 3},
         Preprocessing((224, 224), (256, 256), interpolation="bicubic", framing="squash")),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, Preprocessing((224, 224), 256)),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, Preprocessing((384, 384), (384, 384), framing="squash")),
        ({"size": 32, "do_rescale": False}, Preprocessing((32, 32), (32, 32), (0.0,) * 3, (1 / 255,) * 3, framing="squash")),
        ({"size": 32, "rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
         Preprocessing((32, 32), (32, 32), (0.5,) * 3, (0.5,) * 3, framing="squash")),
    ],
    ids=["squash", "shorter-side", "squash-and-crop", "convnext", "convnext-384", "bytes", "offset"],
)  # fmt: skip
def test_a_processor_of_transformers_becomes_our_steps(found: dict, expected: Preprocessing) -> None:
    steps = of_processor(found)
    assert (steps.input_size, steps.resize_px, steps.framing) == (expected.input_size, expected.resize_px, expected.framing)
    assert steps.interpolation == expected.interpolation
    np.testing.assert_allclose((*steps.mean, *steps.std), (*expected.mean, *expected.std), rtol=1e-12)


def hugging_face_folder(folder: Path, kind: str) -> tuple[Path, torch.nn.Module]:
    import_torchvision()
    transformers = pytest.importorskip("transformers")
    names = {"id2label": {0: "stop", 1: "yield", 2: "go"}, "label2id": {"stop": 0, "yield": 1, "go": 2}}
    if kind == "vit":
        small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        config = transformers.ViTConfig(image_size=32, patch_size=8, **small, **names)
        model = transformers.ViTForImageClassification(config)
        processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    else:
        config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], **names)
        model = transformers.ResNetForImageClassification(config)
        processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder, model.eval()


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_folder_of_transformers_loads_with_names_weights_and_preprocessing(tmp_path: Path, kind: str) -> None:
    folder, model = hugging_face_folder(tmp_path / "net", kind)
    classifier = load_classifier(ModelSettings(name=f"hf:{folder}"))
    images = pictures(3, classifier.input_size)
    steps = classifier.preprocessing
    x = torch.from_numpy((images / 255 - steps.mean) / steps.std).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = model(pixel_values=x).logits.softmax(1).numpy()
    np.testing.assert_allclose(classifier.predict(images), expected, atol=1e-6)
    assert classifier.class_names == ("stop", "yield", "go") and classifier.differentiable
    assert classifier.input_size == (32, 32) and steps.resize_px == ((32, 32) if kind == "vit" else 36)


def test_a_folder_without_a_classifying_layer_is_refused(tmp_path: Path) -> None:
    folder, model = hugging_face_folder(tmp_path / "net", "vit")
    model.vit.save_pretrained(folder)
    with pytest.raises(BadInput, match="not all there: missing classifier"):
        load_classifier(ModelSettings(name=f"hf:{folder}"))


def test_a_hub_is_never_asked(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="save_pretrained"):
        load_classifier(ModelSettings(name=f"hf:{tmp_path}/microsoft/resnet-50"))


@pytest.fixture
def fake_robustbench(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three functions of RobustBench that are used, with networks of one layer."""
    transforms = import_torchvision().transforms
    cifar, imagenet, linf, l2 = (type("Member", (), {"value": v})() for v in ("cifar10", "imagenet", "Linf", "L2"))

    def network(n: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, n))

    def load_model(name: str, model_dir: str, dataset: Any, threat: Any, custom_checkpoint: str = "") -> torch.nn.Module:
        made = network(10 if dataset is cifar else 1000)
        made.load_state_dict(torch.load(Path(model_dir) / dataset.value / threat.value / f"{name}.pt", weights_only=True))
        return made

    def get_preprocessing(dataset: Any, *_: Any) -> Any:
        steps = [transforms.Resize(36), transforms.CenterCrop(32)] if dataset is imagenet else []
        return transforms.Compose([*steps, transforms.ToTensor()])

    dicts = {cifar: {linf: {"Carmon2019": {}, "Standard": {}}, l2: {"Standard": {}}}, imagenet: {linf: {"Salman2020": {}}}}
    modules = {
        "robustbench": {}, "robustbench.model_zoo": {}, "robustbench.model_zoo.models": {"model_dicts": dicts},
        "robustbench.utils": {"load_model": load_model}, "robustbench.data": {"get_preprocessing": get_preprocessing},
    }  # fmt: skip
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("fake_robustbench")
def test_a_network_of_robustbench_loads_from_a_file_or_a_folder(tmp_path: Path) -> None:
    state = {"2.weight": torch.randn(10, 3), "2.bias": torch.zeros(10)}
    file = tmp_path / "models/cifar10/Linf/Carmon2019.pt"
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    by_file = load_classifier(ModelSettings(name="robustbench:Carmon2019", weights=str(file)))
    by_folder = load_classifier(ModelSettings(name="robustbench:cifar10/Linf/Carmon2019", weights=str(tmp_path / "models")))
    images = pictures(3, (32, 32))
    expected = torch.softmax(torch.from_numpy((images / 255).mean((1, 2))).float() @ state["2.weight"].T, 1)
    np.testing.assert_allclose(by_file.predict(images), expected.numpy(), atol=1e-6)
    np.testing.assert_array_equal(by_file.predict(images), by_folder.predict(images))
    assert by_file.input_size == (32, 32) and by_file.class_names[3] == "cat"


@pytest.mark.usefixtures("fake_robustbench")
@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("Carmon2018", "net.pt", "Did you mean Carmon2019|Carmon2019"),
        ("Standard", "net.pt", "robustbench:cifar10/Linf/Standard, robustbench:cifar10/L2/Standard"),
        ("Carmon2019", "DEFAULT", r'model\.weights = "Carmon2019\.pt"'),
        ("Carmon2019", "/no/file.pt", "/no/file.pt"),
        ("cifar10/Linf/Carmon2019", ".", "There is no file cifar10/Linf/Carmon2019.pt"),
    ],
    ids=["unknown", "ambiguous", "no-weights", "no-file", "folder-without-it"],
)
def test_what_robustbench_lacks_is_said(name: str, weights: str, said: str) -> None:
    with pytest.raises((WrongUse, BadInput), match=said):
        load_classifier(ModelSettings(name=f"robustbench:{name}", weights=weights))


def test_transforms_of_torchvision_become_our_steps() -> None:
    transforms = import_torchvision().transforms
    cropped = of_transforms([transforms.Resize(256), transforms.CenterCrop(224)], 32)
    squashed = of_transforms([transforms.Resize([224, 200], transforms.InterpolationMode.BICUBIC)], 32)
    assert cropped == Preprocessing((224, 224), 256)
    assert squashed == Preprocessing((224, 200), (224, 200), interpolation="bicubic", framing="squash")
    assert of_transforms([], 32) == Preprocessing((32, 32), 32)


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "timm:mobilenetv3_small_050"])
def test_imagenet_folders_by_wordnet_id_need_no_class_file(name: str) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    classifier = load_classifier(ModelSettings(name=name, weights="none", input_px=64))
    labels = Labels(classifier.class_names, classifier.wordnet_ids)
    assert [labels.index_of(text) for text in ("n01440764", "n02098286_West_Highland_white_terrier", "n15075141")] == [
        0,
        203,
        999,
    ]
    assert labels.index_of("tench") == 0


def test_other_numbers_of_classes_get_no_wordnet_ids() -> None:
    classifier = load_classifier(ModelSettings(name="torchvision:squeezenet1_1", weights="none", input_px=64, n_classes=5))
    assert classifier.wordnet_ids == ()


def test_the_list_of_imagenet_is_whole_and_has_a_name() -> None:
    names, wordnet_ids = read_class_list("imagenet-1k")
    assert len(names) == len(set(wordnet_ids)) == 1000 and list(wordnet_ids) == sorted(wordnet_ids)
    assert names[0] == "tench, Tinca tinca" and names[207] == "golden retriever" and wordnet_ids[207] == "n02099601"


OWN = """
import torch
from layers import body
def build():
    return body()
"""
LAYERS = """
import torch
def body():
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 4))
"""


@pytest.mark.parametrize("name", ["nets:build", "code/nets.py:build"])
@pytest.mark.slow
def test_a_network_beside_the_experiment_file_is_found_from_anywhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    (folder / "code").mkdir(parents=True)
    for place in (folder, folder / "code"):
        (place / "nets.py").write_text(OWN)
    (folder / "layers.py").write_text(LAYERS)
    (folder / "mine.toml").write_text(f'[[attacks]]\n[model]\nname = "python:{name}"\ninput_px = [16, 12]\n')
    script = f"""
from pathlib import Path
from pipeline.models import load_classifier
from pipeline.settings.reading import load_experiment
print(load_classifier(load_experiment(Path({str(folder / "mine.toml")!r})).resolved_model()).n_classes)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "4", done.stderr


def test_a_built_in_class_list_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[[attacks]]\n[model]\nclasses = "imagenet-1k"\nname = "torchvision:resnet18"\n')
    assert load_experiment(tmp_path / "mine.toml").resolved_model().classes == "imagenet-1k"
