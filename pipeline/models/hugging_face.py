"""Image classifiers that Hugging Face's transformers saved in a local folder; nothing is fetched from their hub."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.core.errors import BadInput, Unavailable
from pipeline.core.torchvision_import import import_torchvision
from pipeline.images import shown
from pipeline.images.formats import reason
from pipeline.models.classifier import Classifier
from pipeline.models.preprocessing import Preprocessing, preprocessing_for
from pipeline.models.torch_models import TorchClassifier, built_from_seed, file_state
from pipeline.models.weights_file import load_into
from pipeline.settings import ModelSettings

_SAVE = "Save it where there is a network: model.save_pretrained(FOLDER) and processor.save_pretrained(FOLDER)."
_SQUASHED_FROM_PX = 384  # ConvNeXt and its kin crop smaller inputs, and squash larger ones


def load_hugging_face(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns the classifier in a folder that `save_pretrained` made; `weights` is "DEFAULT", "none" or another local file.

    Raises:
        BadInput: no such folder, or what it holds is no image classifier with all its weights. Unavailable: no transformers.
    """
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise BadInput(f"There is no folder {shown(folder)} with a config.json.", _SAVE)
    import_torchvision()
    try:
        import transformers
    except ImportError as error:
        raise Unavailable("transformers is not installed.", "Install it: pip install 'inkproof[hf]'") from error
    weights, auto = settings.weights or "DEFAULT", transformers.AutoModelForImageClassification
    state = None if weights == "DEFAULT" else file_state(weights)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, **settings.arguments)
        if weights == "DEFAULT":
            module, info = auto.from_pretrained(folder, config=config, local_files_only=True, output_loading_info=True)
        else:
            module, info = built_from_seed(lambda: auto.from_config(config)), {}
    except Exception as error:  # transformers raises anything on files that are not as it wants them
        raise BadInput(f"{shown(folder)} holds no image classifier: {reason(error)}", _SAVE) from error
    if missing := sorted(info.get("missing_keys", ())):
        what = f"The weights in {shown(folder)} are not all there: missing {', '.join(missing[:3])}."
        raise BadInput(what, "A network without its classifying layer has to be trained first.")
    if state is not None:
        load_into(module, state, weights)
    steps = preprocessing_for(settings, _own_preprocessing(folder, config))
    return TorchClassifier(module, settings, steps, device, _names(config), fingerprint_name=f"hf:{folder.name}")


def of_processor(found: Mapping[str, Any]) -> Preprocessing:
    """Returns the preprocessing that a `preprocessor_config.json` describes, with the filters of Pillow.

    Raises:
        BadInput: it changes the order of the channels.
    """
    if found.get("do_flip_channel_order"):
        raise BadInput("The image processor gives blue, green, red.", "Wrap the network: python:MODULE:FACTORY.")
    size, crop = found.get("size", 224), found.get("crop_size", 224)
    shorter = size.get("shortest_edge") if isinstance(size, Mapping) else None
    box, cropped = _pair(size), _pair(crop)
    if not found.get("do_center_crop", "crop_size" in found):
        cropped = box
    resize_px: int | tuple[int, int] = shorter or box
    if shorter and "crop_pct" in found:
        resize_px = int(shorter / (found["crop_pct"] or 0.875)) if shorter < _SQUASHED_FROM_PX else box
    framing = "center" if isinstance(resize_px, int) else "squash"
    filter_name = Image.Resampling(found.get("resample", Image.Resampling.BILINEAR)).name.lower()
    return Preprocessing(cropped, resize_px, *_normalisation(found), filter_name, framing)


def _normalisation(found: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and std of pixels in [0, 1], whatever range a processor scales them to first."""
    scale = 255 * found.get("rescale_factor", 1 / 255) if found.get("do_rescale", True) else 255.0
    offset = 1.0 if found.get("rescale_offset") else 0.0
    normalises = found.get("do_normalize", "image_mean" in found)
    mean = found.get("image_mean", (0.0,) * 3) if normalises else (0.0,) * 3
    std = found.get("image_std", (1.0,) * 3) if normalises else (1.0,) * 3
    if abs(scale - 1) < 1e-9:
        scale = 1.0
    if not normalises and scale == 1 and not offset:
        return (), ()
    return tuple((value + offset) / scale for value in mean), tuple(value / scale for value in std)


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, Mapping):
        side = size.get("shortest_edge", 0)
        return int(size.get("height", side)), int(size.get("width", side))
    return (int(size[0]), int(size[1])) if isinstance(size, (list, tuple)) else (int(size), int(size))


def _own_preprocessing(folder: Path, config: Any) -> Preprocessing | None:
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return None
    try:
        return of_processor(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(f"{shown(file)} describes no preprocessing of images: {reason(error)}") from error


def _names(config: Any) -> tuple[str, ...]:
    labels = [str(config.id2label[index]) for index in sorted(config.id2label)]
    return () if all(label == f"LABEL_{index}" for index, label in enumerate(labels)) else tuple(labels)
