"""A network that `inkproof train` made: `trained:FOLDER`, with its weights and the card that says what it is."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.core.errors import BadInput
from pipeline.images import shown
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.settings import Experiment, ModelSettings, Refused, checked
from pipeline.store import file_hash, json_from

CARD, WEIGHTS, CLASSES = "card.json", "weights.safetensors", "classes.json"


def load_trained(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns the network in a folder: its card's [model], with the weights beside it.

    Raises:
        BadInput: the folder holds no whole trained network, or its weights are not those of its card.
    """
    classifier = load_classifier(trained_model(Path(name)), device)
    classifier.name = settings.name
    return classifier


def trained_model(folder: Path) -> ModelSettings:
    """Returns the settings of the network in a folder, with every path filled in."""
    card = read_card(folder)
    if file_hash(folder / WEIGHTS) != card["weights_sha256"]:
        raise BadInput(
            f"The weights in {shown(folder)} are not those of its card.", "Train it again: inkproof train FILE --force"
        )
    try:
        model = checked(ModelSettings, card["model"], "model")
    except Refused as error:
        raise BadInput(f"{shown(folder / CARD)}: {error.sentence}", error.hint) from None
    return Experiment(name="trained", seed=0, model=model, base=folder).resolved_model()


def read_card(folder: Path) -> dict[str, Any]:
    """Returns the card of a trained network.

    Raises:
        BadInput: there is none, or the training was not finished.
    """
    if not (folder / CARD).is_file() or not (folder / WEIGHTS).is_file():
        raise BadInput(f"There is no trained network in {shown(folder)}.", "Make one: inkproof train FILE, and name models/NAME.")
    card: dict[str, Any] = json_from((folder / CARD).read_bytes(), folder / CARD)
    return card


def as_card(model: ModelSettings, folder: Path) -> ModelSettings:
    """Returns resolved settings as a card in that folder has them: files by their place from there, and its own weights."""

    def seen(path: str) -> str:
        return os.path.relpath(path, folder).replace(os.sep, "/")

    scheme, _, place = model.name.partition(":")
    file, _, factory = place.rpartition(":")
    name = model.name
    if scheme == "python" and file.endswith(".py"):
        name = f"{scheme}:{seen(file)}:{factory}"
    elif scheme == "hf":
        name = f"{scheme}:{seen(place)}"
    python_path = os.pathsep.join(seen(path) for path in model.python_path.split(os.pathsep) if path)
    return replace(model, name=name, weights=WEIGHTS, classes=CLASSES, python_path=python_path)
