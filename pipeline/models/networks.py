"""Small networks of the literature, untrained: `network:NAME`, for `inkproof train`."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.errors import WrongUse
from pipeline.core.registry import Registry, Scheme, load
from pipeline.models.class_names import n_classes_told
from pipeline.models.classifier import Classifier
from pipeline.models.preprocessing import preprocessing_for, whole_picture
from pipeline.models.torch_models import TorchClassifier, built_from_seed, file_state
from pipeline.models.weights_file import load_into
from pipeline.settings import ModelSettings

# (channels, height, width) of the input
Shape = tuple[int, int, int]

_HERE = "pipeline.models.networks"
# fmt: off
NETWORKS = Registry("network", Scheme, {
    "softmax": Scheme("network:softmax", "linear, one score a class: FC10 of Szegedy et al. 2014", f"{_HERE}:softmax"),
    "logistic": Scheme("network:logistic", "linear, one score for two classes", f"{_HERE}:logistic"),
    "fc": Scheme("network:fc100-100-10", "fully connected, sigmoid units, of any widths: FC100-100-10 of Szegedy et al. 2014",
                 f"{_HERE}:fully_connected"),
    "maxout": Scheme("network:maxout", "two layers of 240 maxout units with dropout: Goodfellow et al. 2015", f"{_HERE}:maxout"),
    "lenet": Scheme("network:lenet", "two convolutions of 5 px with poolings and a layer of 500: LeCun et al. 1998",
                    f"{_HERE}:lenet"),
    "carlini-mnist": Scheme("network:carlini-mnist", "four convolutions and two layers of 200: Carlini and Wagner 2017, Table I",
                            f"{_HERE}:carlini_mnist"),
    "carlini-cifar": Scheme("network:carlini-cifar", "the same, twice as wide, for 32 px in colour", f"{_HERE}:carlini_cifar"),
    "resnet": Scheme("network:resnet8", "residual, 6 n + 2 layers (resnet8, resnet14, resnet20 …): He et al. 2016, Sec. 4.2",
                     f"{_HERE}:resnet"),
    "signs": Scheme("network:signs", "the network of builtin:signs", f"{_HERE}:signs"),
})
# fmt: on
_SIDE_PX = {"carlini-cifar": 32, "resnet": 32, "signs": 112}
_CHANNELS = {"carlini-cifar": 3, "resnet": 3, "signs": 3}


def load_network(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns a network of that name; "DEFAULT" and "none" are weights from its seed, anything else is a local file of weights.

    Its arguments are `seed`, `n_channels` (1 or 3, as it is in the paper) and those of its function here. The number of classes
    is the settings', or 10.

    Raises:
        WrongUse: no such name, or arguments that it does not take. BadInput: the weights file cannot be used.
    """
    kind, numbers = _family(name)
    steps = preprocessing_for(settings, whole_picture((_SIDE_PX.get(kind, 28),) * 2))
    arguments = dict(settings.arguments)
    seed, n_channels = arguments.pop("seed", 0), arguments.pop("n_channels", _CHANNELS.get(kind, 1))
    n_classes = n_classes_told(settings.classes, settings.n_classes) or (2 if kind == "logistic" else 10)
    make: Callable[..., nn.Module] = partial(load(NETWORKS.find(kind).target), *([numbers] if numbers else []))
    try:
        module = built_from_seed(lambda: make((n_channels, *steps.input_size), n_classes, **arguments), seed)
    except (TypeError, RuntimeError, ValueError) as error:
        raise WrongUse(f"network:{name} cannot be built: {error}.", "Check model.arguments and model.input_px.") from error
    state = None if settings.weights in ("", "DEFAULT") else file_state(settings.weights)
    if state is not None:
        load_into(module, state, settings.weights)
    return TorchClassifier(module, settings, steps, device)


def _family(name: str) -> tuple[str, tuple[int, ...]]:
    """Returns the entry of a name, and the numbers in it: "fc100-100-10" is fc with (100, 100, 10)."""
    if found := re.fullmatch(r"fc(\d{1,6}(?:-\d{1,6})*)", name):
        return "fc", tuple(map(int, found[1].split("-")))
    if found := re.fullmatch(r"resnet(\d{1,4})", name):
        return "resnet", (int(found[1]),)
    if name in ("fc", "resnet"):
        raise WrongUse(f"network:{name} has no size.", f"Write it as {NETWORKS.find(name).shown}.")
    NETWORKS.find(name)
    return name, ()


def softmax(shape: Shape, n_classes: int) -> nn.Module:
    """One linear layer, (n_classes) logits."""
    return _layers(shape, (n_classes,))


def logistic(shape: Shape, n_classes: int) -> nn.Module:
    """One linear layer with one score w·x + b, the log odds of the second of two classes."""
    if n_classes != 2:
        raise ValueError(f"it tells 2 classes apart, not {n_classes}")
    return _layers(shape, (1,))


def fully_connected(widths: Sequence[int], shape: Shape, n_classes: int, dropout: float = 0.0) -> nn.Module:
    """Layers of sigmoid units of these widths, and a linear one on top; the last width is the number of classes."""
    if widths[-1] != n_classes:
        raise ValueError(f"its last layer has {widths[-1]} units, and there are {n_classes} classes")
    return _layers(shape, widths, nn.Sigmoid, dropout)


def maxout(
    shape: Shape,
    n_classes: int,
    units: int = 240,
    pieces: int = 5,
    layers: int = 2,
    dropout: float = 0.5,
    dropout_input: float = 0.2,
) -> nn.Module:
    """Layers of units, each the largest of some linear pieces (Goodfellow et al. 2013), with dropout, and a linear layer."""
    sizes = [shape[0] * shape[1] * shape[2], *[units] * layers]
    parts: list[nn.Module] = [nn.Flatten(), nn.Dropout(dropout_input)]
    for before, after in pairwise(sizes):
        parts += [nn.Linear(before, after * pieces), Largest(pieces), nn.Dropout(dropout)]
    return nn.Sequential(*parts, nn.Linear(sizes[-1], n_classes))


def lenet(shape: Shape, n_classes: int) -> nn.Module:
    """Convolutions of 20 and 50 kernels, each pooled, and a layer of 500: after LeCun et al. 1998, as for MNIST since."""
    height, width = (((side - 4) // 2 - 4) // 2 for side in shape[1:])
    if min(height, width) < 1:
        raise ValueError(f"an input of 16 x 16 pixels or more is needed, not {shape[1]} x {shape[2]}")
    return nn.Sequential(
        nn.Conv2d(shape[0], 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(50 * height * width, 500), nn.ReLU(), nn.Linear(500, n_classes),
    )  # fmt: skip


def carlini_mnist(shape: Shape, n_classes: int, dropout: float = 0.5) -> nn.Module:
    """Table I of Carlini and Wagner 2017 (and Papernot et al. 2016), left column."""
    return _carlini(shape, n_classes, (32, 64), 200, dropout)


def carlini_cifar(shape: Shape, n_classes: int, dropout: float = 0.5) -> nn.Module:
    """Table I of Carlini and Wagner 2017 (and Papernot et al. 2016), right column."""
    return _carlini(shape, n_classes, (64, 128), 256, dropout)


def resnet(depth: tuple[int], shape: Shape, n_classes: int, width: int = 16) -> nn.Module:
    """Three stages of n residual blocks, of `width`, 2 and 4 `width` channels, 6 n + 2 layers; projections between stages."""
    n_blocks, rest = divmod(depth[0] - 2, 6)
    if rest or not n_blocks:
        raise ValueError(f"a depth of 8, 14, 20 … is needed, not {depth[0]}")
    parts: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    before = width
    for stage in range(3):
        for block in range(n_blocks):
            parts.append(Residual(before, width * 2**stage, 2 if stage and not block else 1))
            before = width * 2**stage
    network = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, n_classes))
    if width % 8:  # with 4 channels in the other order PyTorch 2.13 was seen to crash in training, on a processor without AVX-512
        return network
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # trains up to twice as fast on a CPU


def signs(shape: Shape, n_classes: int) -> nn.Module:
    """The network of builtin:signs, with as many classes as are wanted."""
    from pipeline.signs.network import SignsNet

    network = SignsNet()
    network.classify = nn.Linear(network.classify.in_features, n_classes)
    return network


class Largest(nn.Module):
    """The largest of each group of neighbouring features: (N, units pieces) to (N, units)."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, features: Tensor) -> Tensor:
        return features.unflatten(1, (-1, self.pieces)).amax(dim=2)


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        is_same = (before, stride) == (after, 1)
        projected = (nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.shortcut = nn.Identity() if is_same else nn.Sequential(*projected)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.main(features) + self.shortcut(features))


def _layers(shape: Shape, widths: Sequence[int], unit: Callable[[], nn.Module] = nn.Identity, dropout: float = 0.0) -> nn.Module:
    sizes = [shape[0] * shape[1] * shape[2], *widths]
    parts: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes[:-1]):
        parts += [nn.Linear(before, after), unit(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*parts, nn.Linear(sizes[-2], sizes[-1]))


def _carlini(shape: Shape, n_classes: int, widths: tuple[int, int], dense: int, dropout: float) -> nn.Module:
    """Twice two 3 x 3 convolutions without padding and a pooling; two layers with dropout between them; a linear one."""
    parts: list[Any] = []
    before, (height, width) = shape[0], shape[1:]
    for after in widths:
        parts += [nn.Conv2d(before, after, 3), nn.ReLU(), nn.Conv2d(after, after, 3), nn.ReLU(), nn.MaxPool2d(2)]
        before, height, width = after, (height - 4) // 2, (width - 4) // 2
    if min(height, width) < 1:
        raise ValueError(f"an input of 16 x 16 pixels or more is needed, not {shape[1]} x {shape[2]}")
    parts += [nn.Flatten(), nn.Linear(before * height * width, dense), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*parts, nn.Linear(dense, dense), nn.ReLU(), nn.Linear(dense, n_classes))
