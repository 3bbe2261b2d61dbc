"""The networks that attacks are measured on, each with images that it answers rightly."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from pipeline.core.errors import Unavailable
from pipeline.datasets import open_dataset
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.settings import DatasetSettings, ModelSettings

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_MOST_LOOKED_AT = 200


@dataclass(frozen=True)
class Bench:
    """A network and uint8 (n, H, W, 3) images with the labels (n,) that it gives them."""

    title: str
    classifier: Classifier
    images: np.ndarray
    labels: np.ndarray

    @property
    def n_classes(self) -> int:
        return self.classifier.n_classes


def signs(n: int) -> Bench:
    """Returns the built-in network with its own images."""
    return _with_images("built-in network, 112 px, 32 classes", ModelSettings(), DatasetSettings(), n)


def resnet18(n: int) -> Bench:
    """Returns a ResNet-18 without trained weights on noise, labelled as it answers: for times, not for success."""
    torch.manual_seed(0)
    classifier = load_classifier(ModelSettings(name="torchvision:resnet18", weights="none", input_px=128))
    images = np.random.default_rng(0).integers(0, 256, (n, 128, 128, 3), dtype=np.uint8)
    return Bench("ResNet-18 with random weights, 128 px, noise", classifier, images, classifier.predict(images).argmax(axis=1))


def imagenet(n: int) -> Bench:
    """Returns the real pack's MobileNetV2 with ImageNet photographs.

    Raises:
        Unavailable: the pack is not there.
    """
    title = "MobileNetV2 with trained weights, 224 px, ImageNet photographs"
    return _from_pack(title, "mobilenet_v2", "mobilenet_v2_qat.pt", "imagenet/images", n, 224, 256)


def cifar10(n: int) -> Bench:
    """Returns the real pack's ResNet-20 for ten classes with CIFAR-10 test images, the ten lossless ones first.

    Raises:
        Unavailable: the pack is not there.
    """
    return _from_pack("ResNet-20 with trained weights, 32 px, CIFAR-10", "resnet20", "cifar10_resnet20.th", "cifar10", n, 32, 32)


def signs_onnx(n: int) -> Bench:
    """Returns the built-in network as an ONNX file, which gives predictions only, with its own images.

    Raises:
        Unavailable: the package onnx is not installed.
    """
    found, path = signs(n), Path(tempfile.mkdtemp()) / "signs.onnx"
    example = torch.zeros(1, 3, *found.classifier.input_size)
    try:
        torch.onnx.export(
            import_module("pipeline.signs.network").load().eval(),
            (example,),
            str(path),
            input_names=["images"],
            dynamic_axes={"images": {0: "n"}},
            dynamo=False,
        )
    except ImportError as error:
        raise Unavailable(f"{error.name} is not installed.", "pip install onnx") from error
    classifier = load_classifier(ModelSettings(name=f"onnx:{path}"))
    return Bench("built-in network as an ONNX file, 112 px, 32 classes", classifier, found.images, found.labels)


NETWORKS: dict[str, Callable[[int], Bench]] = {
    "resnet18": resnet18,
    "signs": signs,
    "signs-onnx": signs_onnx,
    "imagenet": imagenet,
    "cifar10": cifar10,
}


def _from_pack(title: str, kind: str, weights: str, images: str, n: int, input_px: int, resize_px: int) -> Bench:
    pack = Path(os.environ.get("INKPROOF_DATA", ""))
    if not os.environ.get("INKPROOF_DATA") or not (pack / "models_ref.py").exists():
        raise Unavailable("The real data pack is not there.", "Set INKPROOF_DATA to its folder.")
    model = ModelSettings(
        name=f"python:{pack}/models_ref.py:load",
        input_px=input_px,
        resize_px=resize_px,
        arguments={"path": str(pack / "weights" / weights), "kind": kind},
        **_IMAGENET,
    )
    labels = pack / images.split("/")[0] / "labels.csv"
    if images == "cifar10":
        labels = _test_images(labels)
    return _with_images(
        title, model, DatasetSettings(name=f"csv:{labels}", root=str(pack / images), label_column="class_index"), n
    )


def _test_images(labels: Path) -> Path:
    """Returns a list of the test images alone, lossless ones first, written beside the temporary files of this machine."""
    head, *lines = labels.read_text().splitlines()
    chosen = Path(tempfile.mkdtemp()) / "labels.csv"
    found = [line for folder in ("test_png", "test_jpeg") for line in lines if line.startswith(folder)]
    chosen.write_text("\n".join([head, *found]))
    return chosen


def _with_images(title: str, model: ModelSettings, dataset: DatasetSettings, n: int) -> Bench:
    classifier = load_classifier(model)
    found = open_dataset(dataset, classifier.class_names, classifier.wordnet_ids)
    images: list[np.ndarray] = []
    labels: list[int] = []
    for index in range(min(len(found), _MOST_LOOKED_AT)):
        pixels, label = classifier.prepare(found.image(index).pixels), found.label(index)
        if classifier.predict(pixels[None])[0].argmax() == label:
            images.append(pixels)
            labels.append(label)
        if len(images) == n:
            break
    return Bench(title, classifier, np.stack(images), np.array(labels, np.int64))
