"""A classifier that is opened elsewhere: its settings, and every file of the user's that it is made of."""

import os
from dataclasses import replace
from pathlib import Path

from pipeline.engine import Shared
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.settings import ModelSettings

_FILES, _WORDS = ("onnx", "hf", "trained"), ("DEFAULT", "none", "imagenet-1k")


def shared_classifier(settings: ModelSettings, classifier: Classifier) -> Shared[Classifier]:
    """Returns what opens a classifier in another process or on another machine; `settings` are those that it was loaded by.

    Weights, names of classes, an ONNX file, a folder of a model, modules and files among a factory's arguments go with it.
    """
    scheme, _, rest = settings.name.partition(":")
    place = rest.rpartition(":")[0] if scheme == "python" else rest
    is_file = os.path.exists(place) and (scheme in _FILES or place.endswith(".py") or os.sep in place)
    named = {text: os.path.abspath(text) for text in _texts(settings) if text not in _WORDS and os.path.isfile(text)}
    arguments = {key: named.get(text, text) for key, text in settings.arguments.items() if isinstance(text, str)}
    found = replace(
        settings,
        name=settings.name.replace(place, os.path.abspath(place), 1) if is_file else settings.name,
        weights=named.get(settings.weights, settings.weights),
        classes=named.get(settings.classes, settings.classes),
        python_path=os.pathsep.join(os.path.abspath(folder) for folder in settings.python_path.split(os.pathsep) if folder),
        arguments={**settings.arguments, **arguments},
    )
    below = [path for path in Path(place).rglob("*") if path.is_file()] if is_file and os.path.isdir(place) else []
    files = (*map(Path, named.values()), *([Path(place)] if is_file and not below else below), *classifier.sources)
    return Shared(load_classifier, (found, str(classifier.device)), classifier, tuple(file.absolute() for file in files))


def _texts(settings: ModelSettings) -> list[str]:
    return [settings.weights, settings.classes, *(value for value in settings.arguments.values() if isinstance(value, str))]
