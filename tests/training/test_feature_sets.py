"""Sets that are made of a network: each image is what its recipe says, and an interrupted making ends with the same bytes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy

from pipeline.core.errors import InkproofError
from pipeline.datasets import own_classes
from pipeline.engine import Context
from pipeline.models import load_classifier
from pipeline.settings import DatasetSettings, ModelSettings
from pipeline.training import feature_sets
from pipeline.training.feature_sets import CARD, SetRecipe, make_set
from pipeline.training.images import Images, read_images

MODEL = ModelSettings(name="network:resnet8", input_px=8, n_classes=3, arguments={"width": 4, "seed": 1})
NAMES = ("left", "middle", "right")
RECIPES = {
    "inverted": SetRecipe("inverted", n_steps=60, step_8bit=100.0, n_halvings=5),
    "random": SetRecipe("random", n_steps=10),
    "next": SetRecipe("next", n_steps=10, epsilon_8bit=200.0),
}


@pytest.fixture(scope="module")
def images():
    pixels = torch.randint(0, 256, (10, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Images(pixels, torch.arange(10) % 3)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(feature_sets, "AT_ONCE", 4)


def made(kind, images, folder, context=None, seed=5):
    return make_set(RECIPES[kind], MODEL, images, NAMES, folder, seed, context or Context())


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read(folder, n=10):
    """The images of a set in the order of those that they were made of, (n, 3, 8, 8) in [0, 1], and their labels."""
    paths = sorted(folder.rglob("*.png"), key=lambda path: path.stem)
    assert [int(path.stem) for path in paths] == list(range(n))
    pixels = np.stack([np.array(Image.open(path)).transpose(2, 0, 1) for path in paths])
    return torch.from_numpy(pixels).float() / 255, torch.tensor([NAMES.index(path.parent.name) for path in paths])


@pytest.mark.parametrize("kind", ["random", "next"])
def test_an_image_is_moved_towards_its_label_within_the_ball(kind, images, tmp_path):
    found, labels = read(made(kind, images, tmp_path))
    clean, ask = images.pixels.float() / 255, load_classifier(MODEL, "cpu").logits
    if kind == "next":
        assert labels.tolist() == [(label + 1) % 3 for label in images.labels.tolist()]
    else:
        assert set(labels.tolist()) == {0, 1, 2} and labels.tolist() != images.labels.tolist()
    moved = (found - clean).flatten(1).norm(dim=1)
    rounding = 0.5 / 255 * (3 * 8 * 8) ** 0.5
    assert (moved <= RECIPES[kind].epsilon_8bit / 255 + rounding).all() and (moved > 0.3).all()
    before, after = (cross_entropy(ask(x), labels, reduction="none") for x in (clean, found))
    assert (after < before).all()


def test_an_inverted_image_has_the_features_of_its_image_and_begins_as_another(images, tmp_path):
    found, labels = read(made("inverted", images, tmp_path))
    assert labels.tolist() == images.labels.tolist()
    features, clean = load_classifier(MODEL, "cpu").penultimate(), images.pixels.float() / 255
    others = torch.cdist(features(clean), features(clean))
    apart = (features(found) - features(clean)).norm(dim=1)
    assert apart.max() < 0.2 * others[others > 0].mean()
    assert (found - clean).flatten(1).norm(dim=1).min() > 1  # yet no copy of it


def test_penultimate_features_are_what_the_last_layer_is_shown(images):
    classifier, x = load_classifier(MODEL, "cpu"), images.pixels.float() / 255
    last = classifier.trainable()[-1]
    assert torch.allclose(last(classifier.penultimate()(x)), classifier.logits(x), atol=1e-4)


def test_an_interrupted_making_goes_on_and_ends_with_the_same_bytes(images, tmp_path):
    whole = files_of(made("inverted", images, tmp_path / "whole"))
    folder = tmp_path / "part"

    def stopped(items, total, label):
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made("inverted", images, folder, Context(progress=stopped))
    (half,) = [path for path in folder.rglob("*.png") if path.stem == "000002"]
    assert len(list(folder.rglob("*.png"))) == 4
    half.unlink()
    seen = []

    def watched(items, total, label):
        seen.append(total)
        yield from items

    assert files_of(made("inverted", images, folder, Context(progress=watched))) == whole
    made("inverted", images, folder, Context(progress=watched))
    assert seen == [3, 0]


def test_another_set_does_not_go_into_the_same_folder(images, tmp_path):
    made("random", images, tmp_path)
    for changed in ({"seed": 6}, {"images": replace(images, labels=images.labels.flip(0))}):
        with pytest.raises(InkproofError, match="holds another set"):
            made(**{"kind": "random", "images": images, "folder": tmp_path} | changed)
    assert (tmp_path / CARD).is_file()


def test_a_set_is_a_data_set(images, tmp_path):
    settings = DatasetSettings(name=f"folder:{made('random', images, tmp_path)}")
    assert set(own_classes(settings)) <= set(NAMES)
    steps = load_classifier(MODEL, "cpu").preprocessing
    found = read_images(settings, NAMES, steps, 0, Context(), "reading")
    assert len(found) == 10 and not found.n_rejected


def test_classes_that_cannot_name_a_folder_are_numbers(images, tmp_path):
    folder = make_set(RECIPES["random"], MODEL, images, ("3 - three", "a/b", "x"), tmp_path, 0, Context())
    assert {path.name for path in folder.iterdir()} <= {"0", "1", "2"}
