"""The classifiers under test: one function loads any of them by name."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from pipeline.core.errors import WrongUse
from pipeline.core.registry import Registry, Scheme, load
from pipeline.specs.defences import DEFENCES

if TYPE_CHECKING:
    from pipeline.models.classifier import Classifier
    from pipeline.settings import ModelSettings

# Each is loaded by a function of what comes after the colon, the settings and the device.
# fmt: off
MODELS = Registry("model", Scheme, {
    "builtin": Scheme("builtin:signs", "small network for the built-in traffic signs; weights in the package",
                      "pipeline.models.torch_models:load_builtin"),
    "torchvision": Scheme("torchvision:NAME", "any torchvision classifier, e.g. torchvision:resnet50",
                          "pipeline.models.zoo:load_torchvision"),
    "timm": Scheme("timm:NAME", "any timm classifier, e.g. timm:convnext_tiny (extra: timm)", "pipeline.models.zoo:load_timm"),
    "imagenet": Scheme("imagenet:NAME", "an ImageNet network as a package: imagenet:efficientnet-lite0 (extra: imagenet)",
                       "pipeline.models.packaged:load_imagenet"),
    "python": Scheme("python:MODULE:FACTORY", "your own network: a module or a .py file, and a function in it",
                     "pipeline.models.python_model:load_python"),
    "onnx": Scheme("onnx:FILE", "an ONNX file; predictions only (extra: onnx)", "pipeline.models.onnx_model:load_onnx"),
    "hf": Scheme("hf:FOLDER", "a Hugging Face image classifier saved in a folder (extra: hf)",
                 "pipeline.models.hugging_face:load_hugging_face"),
    "robustbench": Scheme("robustbench:NAME", "a robust network of RobustBench, with local weights (extra: robustbench)",
                          "pipeline.models.robustbench_model:load_robustbench"),
    "network": Scheme("network:NAME", "a small network of the literature, untrained: see `inkproof list networks`",
                      "pipeline.models.networks:load_network"),
    "trained": Scheme("trained:FOLDER", "what `inkproof train` made, as models/NAME", "pipeline.models.trained:load_trained"),
    "http": Scheme("http://HOST/PATH", "a service that classifies pictures; predictions only",
                   "pipeline.models.service:load_http"),
    "https": Scheme("https://HOST/PATH", "the same, over TLS", "pipeline.models.service:load_https"),
}, "inkproof.models")
# fmt: on


def load_classifier(settings: "ModelSettings", device: str = "cpu") -> "Classifier":
    """Returns the classifier that the settings name, frozen, in evaluation mode, on the device, behind its defence if it has one.

    Raises:
        WrongUse: an unknown scheme, name, defence or device, or settings that contradict each other.
        BadInput: a weights, class or model file that cannot be used.
        Unavailable: a package, a download or a device that this machine lacks.
    """
    scheme, name = MODELS.find_scheme(settings.name, usual="torchvision")
    loader: Callable[[str, ModelSettings, str], Classifier] = load(scheme.target)
    if not settings.defence:
        return loader(name, settings, device)
    spec, options = DEFENCES.find(settings.defence), defence_options(settings)
    defended: Callable[[Classifier, object], Classifier] = load(spec.make)
    return defended(loader(name, replace(settings, defence="", defence_options={}), device), options)


def defence_options(settings: "ModelSettings") -> object:
    """Returns the options of the defence that the settings name, as its record.

    Raises:
        WrongUse: no such defence, or options that it does not take.
    """
    from pipeline.settings.checking import Refused, checked

    try:
        return checked(load(DEFENCES.find(settings.defence).options), settings.defence_options, "", "defence_options")
    except Refused as error:
        raise WrongUse(f'defence "{settings.defence}": {error.sentence}', error.hint) from None


def __getattr__(name: str) -> ModuleType:
    if name == "signs_net":  # for users' own modules, which build upon the built-in network
        return import_module("pipeline.signs.network")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
