"""Data sets that hold what a network sees: D_R, D_NR, D_rand and D_det of Ilyas et al. 2019, Section 3, of any network."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.core.errors import BadInput
from pipeline.core.file_names import FOLDER_NAME
from pipeline.core.seeds import generator_for
from pipeline.engine import Context, map as engine_map
from pipeline.images import png_bytes, shown, to_pixels
from pipeline.models import load_classifier
from pipeline.models.sending import shared_classifier
from pipeline.models.torch_models import TorchClassifier
from pipeline.settings import ModelSettings
from pipeline.store import content_hash, json_bytes, json_from, write_bytes
from pipeline.training.images import Images
from pipeline.training.perturbing import Steps
from pipeline.training.run import digest, threads

CARD, IMAGES = "set.json", "images"
AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class SetRecipe:
    """How each image of a set is made of one image x with label y, by steps of one Euclidean length, cut to [0, 255].

    Attributes:
        kind: "inverted": from another image of the set on, towards the penultimate features g(x), ‖g(x_r) − g(x)‖₂ → min, with
            label y: D_R of a robust network, D_NR of a standard one (Eqs. 5 and 6). "random": x with at most ε of change towards
            a class drawn evenly, and that label: D_rand. "next": towards the class after y, the first after the last: D_det.
        n_steps: the paper has 1,000 of 25.5 (0.1 of pixels in [0, 1]) for "inverted", 100 of 25.5 for the others.
        step_8bit: length of a step, over all pixels. "inverted" halves it `n_halvings` times on its way (the paper: never).
        epsilon_8bit: the paper has 127.5 (0.5); not used by "inverted".
    """

    kind: Literal["inverted", "random", "next"]
    n_steps: int
    step_8bit: float = 25.5
    n_halvings: int = 0
    epsilon_8bit: float = 127.5


@dataclass(frozen=True, slots=True)
class _Batch:
    """Images of one batch, uint8 (n, 3, H, W), where each begins, and the labels of the set."""

    number: int
    pixels: np.ndarray
    begins: np.ndarray
    labels: np.ndarray


def set_identity(recipe: SetRecipe, fingerprint: str, images: Images, seed: int) -> str:
    """Returns the hash of everything that a set depends on."""
    return content_hash([asdict(recipe), fingerprint, digest(images), seed])


def make_set(
    recipe: SetRecipe,
    model: ModelSettings,
    images: Images,
    class_names: tuple[str, ...],
    folder: Path,
    seed: int,
    context: Context,
) -> Path:
    """Makes a data set `folder:FOLDER/images` of 8-bit PNG files, a sub-folder a class, and returns that folder.

    What an interrupted making left is kept, batch by batch, and the files are the same in the end. Sub-folders have the names of
    the classes, or their numbers where a name cannot name a folder; a file has the number of its image.

    Args:
        model: resolved settings of the network, whose classes are `class_names`; images: at its input size.
        seed: decides targets, and where "inverted" begins.

    Raises:
        BadInput: the folder holds another set. WrongUse: the network is none of torch, or has no last layer to look at.
    """
    classifier = load_classifier(model, context.device)
    identity = set_identity(recipe, classifier.fingerprint, images, seed)
    card = {**asdict(recipe), "model": model.name, "n_images": len(images), "seed": seed, "identity": identity}
    if (folder / CARD).is_file():
        if json_from((folder / CARD).read_bytes(), folder / CARD).get("identity") != identity:
            raise BadInput(f"{shown(folder)} holds another set.", "Give this one another folder.")
    else:
        write_bytes(folder / CARD, json_bytes(card))
    named = class_names if all(re.match(FOLDER_NAME, name) for name in class_names) else tuple(map(str, range(len(class_names))))

    def files(batch: _Batch) -> list[Path]:
        first = batch.number * AT_ONCE
        return [folder / IMAGES / named[label] / f"{first + i:06}.png" for i, label in enumerate(batch.labels)]

    left = [batch for batch in _batches(recipe, images, len(class_names), seed) if not all(map(Path.is_file, files(batch)))]
    shared = shared_classifier(model, classifier)
    with ThreadPoolExecutor() as writers:  # a file is written when the disk says so, and that takes longer than making it
        for batch, made in engine_map(partial(_made, recipe), left, context, f"making {folder.name}", shared):
            list(writers.map(write_bytes, files(batch), map(png_bytes, made)))
    return folder / IMAGES


def _batches(recipe: SetRecipe, images: Images, n_classes: int, seed: int) -> Iterator[_Batch]:
    pixels, labels = images.pixels.cpu().numpy(), images.labels.cpu().numpy()
    for number, first in enumerate(range(0, len(labels), AT_ONCE)):
        part = slice(first, first + AT_ONCE)
        rng, own = generator_for(seed, "feature set", str(number)), labels[part]
        others = (first + np.arange(len(own)) + rng.integers(1, max(2, len(labels)), size=len(own))) % len(labels)
        begins = pixels[others] if recipe.kind == "inverted" else pixels[part]
        drawn = rng.integers(n_classes, size=len(own))
        wanted = {"inverted": own, "random": drawn, "next": (own + 1) % n_classes}[recipe.kind]
        yield _Batch(number, pixels[part], begins, wanted)


def _made(recipe: SetRecipe, batch: _Batch, classifier: TorchClassifier) -> np.ndarray:
    """Returns the images of one batch, uint8 (n, H, W, 3)."""
    images, found, labels = (torch.from_numpy(part).to(classifier.device) for part in (batch.pixels, batch.begins, batch.labels))
    images, found = images.float() / 255, found.float() / 255
    with threads(1, classifier.device.type):
        if recipe.kind != "inverted":
            steps = Steps(recipe.epsilon_8bit / 255, recipe.step_8bit / 255, recipe.n_steps, False, True, "l2")
            ask = classifier.for_attacks()
            found = steps(images, lambda x: -cross_entropy(ask(x), labels, reduction="sum"), torch.Generator())
            return to_pixels(found)
        features = classifier.penultimate()
        with torch.no_grad():
            seen = features(images)

        def nearness(x: Tensor) -> Tensor:
            return -(features(x) - seen).norm(dim=1).sum()

        for halved, places in enumerate(np.array_split(np.arange(recipe.n_steps), recipe.n_halvings + 1)):
            steps = Steps(float("inf"), recipe.step_8bit / 255 / 2**halved, len(places), False, True, "l2")
            found = steps(found, nearness, torch.Generator())
        return to_pixels(found)
