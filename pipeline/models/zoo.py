"""Classifiers from torchvision and timm, with the preprocessing that their published weights were made with."""

import difflib
import math
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

from pipeline.core.errors import BadInput, Unavailable, WrongUse
from pipeline.core.torchvision_import import import_torchvision
from pipeline.images.formats import reason
from pipeline.models.class_names import named_as_imagenet
from pipeline.models.classifier import Classifier
from pipeline.models.preprocessing import Preprocessing, preprocessing_for
from pipeline.models.torch_models import TorchClassifier, built_from_seed, file_state
from pipeline.models.weights_file import load_into
from pipeline.settings import ModelSettings

_DOWNLOAD_TIMEOUT_S = 30.0
# Published weights of these two expect their own normalisation inside the network and carry auxiliary heads, unused here.
_OWN_STEPS: dict[str, Any] = {"transform_input": True, "aux_logits": True, "init_weights": False}


def load_torchvision(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns a torchvision classifier; `weights` is "DEFAULT", "none", a published name ("IMAGENET1K_V1") or a local file.

    Size, resize, filter, mean and std are those of the published weights (of "DEFAULT" also for a file); nothing is downloaded
    for them.
    """
    models = import_torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        raise _unknown("torchvision", name, known)
    published = models.get_model_weights(name)
    weights = settings.weights or "DEFAULT"
    is_published = weights in published.__members__
    chosen = published[weights] if is_published else published.DEFAULT
    steps = preprocessing_for(settings, of_torchvision(chosen.transforms()))
    arguments = {
        "num_classes": settings.n_classes or 1000,
        **(_OWN_STEPS if name in ("googlenet", "inception_v3") else {}),
        **settings.arguments,
    }
    if name.startswith("vit_"):
        arguments.setdefault("image_size", steps.input_size[0])
    if is_published:
        with _as_unavailable(settings.name):
            state = chosen.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
    else:
        state = file_state(weights)
    module = _built(settings.name, lambda: models.get_model(name, weights=None, **arguments))
    if state is not None:
        load_into(module, state, "the download" if is_published else weights)
    return TorchClassifier(module, settings, steps, device, *named_as_imagenet(chosen.meta["categories"]))


def of_torchvision(preset: Any) -> Preprocessing:
    """Returns the preprocessing of published weights, from their `transforms()`."""
    sizes = [(side * 2)[:2] for side in (preset.crop_size, preset.resize_size)]
    (height, width), resized = sizes
    is_shorter_side = len(preset.resize_size) == 1
    return Preprocessing(
        (height, width),
        resized[0] if is_shorter_side else (resized[0], resized[1]),
        tuple(preset.mean),
        tuple(preset.std),
        preset.interpolation.value,
        "center" if is_shorter_side else "squash",
    )


def of_timm(config: Mapping[str, Any]) -> Preprocessing:
    """Returns the preprocessing of a configuration as `timm.data.resolve_data_config` gives it."""
    height, width = config["input_size"][1:]
    crop = config["crop_pct"]
    box = math.floor(height / crop), math.floor(width / crop)
    framing = config["crop_mode"] if config["crop_mode"] in ("squash", "border") else "center"
    resize_px = box[0] if framing == "center" and box[0] == box[1] else box
    return Preprocessing(
        (height, width), resize_px, tuple(config["mean"]), tuple(config["std"]), config["interpolation"], framing
    )


def load_timm(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns a timm classifier, preprocessed as timm says; `weights` is "DEFAULT", "none" or a local file.

    The argument `use_test_size` asks, as in timm, for the size and crop that published accuracies were measured with, which for
    a part of the weights are not those of their training.
    """
    import_torchvision()
    try:
        import timm
        import timm.data
    except ImportError as error:
        raise Unavailable("timm is not installed.", "Install it: pip install 'inkproof[timm]'") from error
    known = timm.list_models()
    if name.partition(".")[0] not in known:
        raise _unknown("timm", name, known)
    weights = settings.weights or "DEFAULT"
    arguments = {**({"num_classes": settings.n_classes} if settings.n_classes else {}), **settings.arguments}
    as_tested = bool(arguments.pop("use_test_size", False))
    published = timm.models.get_pretrained_cfg(name)
    config = timm.data.resolve_data_config({}, published.to_dict() if published else {}, use_test_size=as_tested)
    steps = preprocessing_for(settings, of_timm(config))
    if published and published.fixed_input_size and steps.input_size != tuple(published.input_size[1:]):
        arguments.setdefault("img_size", steps.input_size)
    if weights == "DEFAULT":
        with _as_unavailable(settings.name):
            module = built_from_seed(lambda: timm.create_model(name, pretrained=True, **arguments))
    else:
        state = file_state(weights)
        module = _built(settings.name, lambda: timm.create_model(name, pretrained=False, **arguments))
        if state is not None:
            load_into(module, state, weights)
    return TorchClassifier(module, settings, steps, device, *_timm_class_names(timm, module))


def _unknown(scheme: str, name: str, known: list[str]) -> WrongUse:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    meant = " or ".join(f"{scheme}:{n}" for n in near)
    hint = f"Did you mean {meant}?" if near else f"{scheme} has {len(known)} models, such as {known[0]}."
    return WrongUse(f"There is no model {scheme}:{name}.", hint)


def _built(name: str, build: Any) -> torch.nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return built_from_seed(build)
    except (TypeError, ValueError, AssertionError) as error:
        raise BadInput(f"{name} cannot be built: {error}", "Check model.arguments and model.input_px.") from error


@contextmanager
def _as_unavailable(name: str) -> Iterator[None]:
    """The hubs wait for ever on a network that swallows packets, and fail with whatever their transport raises."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
    try:
        yield
    except Exception as error:
        hint = "Fetch the file on a machine with a network and set model.weights to its path (.pth or .safetensors)."
        raise Unavailable(f"The published weights of {name} cannot be downloaded: {reason(error)}.", hint) from error
    finally:
        socket.setdefaulttimeout(before)


def _timm_class_names(timm: ModuleType, module: torch.nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """timm ships the lists of ImageNet and its larger forms with their WordNet ids; the class order is that of the ids."""
    subset = timm.data.infer_imagenet_subset(module)
    if not subset:
        return (), ()
    info = timm.data.ImageNetInfo(subset)
    wordnet_ids = tuple(info.label_names())
    return tuple(info.label_name_to_description(wordnet_id) for wordnet_id in wordnet_ids), wordnet_ids
