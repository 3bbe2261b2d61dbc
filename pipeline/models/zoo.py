"""Classifiers from torchvision and timm, with the preprocessing that their published weights were made with."""

import difflib
import math
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

from pipeline.core.errors import BadInput, Unavailable, WrongUse
from pipeline.core.torchvision_import import import_torchvision
from pipeline.images.formats import reason
from pipeline.models.classifier import Classifier, Preprocessing, preprocessing_for
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
    preset = chosen.transforms()
    size, resize_px = (preset.crop_size[0],) * 2, preset.resize_size[0]
    own = Preprocessing(size, resize_px, tuple(preset.mean), tuple(preset.std), preset.interpolation.value)
    steps = preprocessing_for(settings, own)
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
    return TorchClassifier(module, settings, steps, device, tuple(chosen.meta["categories"]))


def load_timm(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns a timm classifier, preprocessed as timm says; `weights` is "DEFAULT", "none" or a local file."""
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
    if weights == "DEFAULT":
        with _as_unavailable(settings.name):
            module = built_from_seed(lambda: timm.create_model(name, pretrained=True, **arguments))
    else:
        state = file_state(weights)
        module = _built(settings.name, lambda: timm.create_model(name, pretrained=False, **arguments))
        if state is not None:
            load_into(module, state, weights)
    config = timm.data.resolve_data_config({}, model=module)
    height, width = config["input_size"][1:]
    resize_px = math.floor(min(height, width) / config["crop_pct"])
    filter_name = config["interpolation"] if config["interpolation"] in ("bilinear", "bicubic") else "bicubic"
    own = Preprocessing((height, width), resize_px, tuple(config["mean"]), tuple(config["std"]), filter_name)
    return TorchClassifier(module, settings, preprocessing_for(settings, own), device, *_timm_class_names(timm, module))


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
    """timm ships the ImageNet-1k list with its WordNet ids; the class order is that of the ids."""
    if getattr(module, "num_classes", 0) != 1000:
        return (), ()
    info = timm.data.ImageNetInfo("imagenet-1k")
    wordnet_ids = tuple(info.label_names())
    return tuple(info.label_name_to_description(wordnet_id) for wordnet_id in wordnet_ids), wordnet_ids
