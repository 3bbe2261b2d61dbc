"""The built-in classifier: a small residual convolutional network for the traffic signs of the built-in dataset."""

from importlib.resources import as_file, files
from itertools import pairwise

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.signs.shapes import CLASS_NAMES

INPUT_PX = 112
_WIDTHS = (24, 40, 80, 144)
_MEAN = (0.42, 0.41, 0.40)
_STD = (0.26, 0.24, 0.25)


def load() -> nn.Module:
    """Returns the trained network in eval mode, from the weights inside the package.

    Raises:
        FileNotFoundError: the package lacks them; `python -m pipeline.signs.training` makes them again.
    """
    net = SignsNet()
    with as_file(files("pipeline.signs") / "weights" / "signs.safetensors") as path:
        net.load_state_dict(load_file(path))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a quarter faster; the stubs leave it out
    return net.eval()


class SignsNet(nn.Module):
    """The untrained network: float32 (N, 3, H, W) RGB in [0, 1] to logits (N, 32); its normalisation is inside."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))
        stem = nn.Sequential(_conv(3, _WIDTHS[0], 3, stride=2), nn.BatchNorm2d(_WIDTHS[0]), nn.ReLU())
        blocks = [_Block(before, after) for before, after in pairwise(_WIDTHS)]
        self.features = nn.Sequential(stem, *blocks)
        self.classify = nn.Linear(_WIDTHS[-1], len(CLASS_NAMES))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.features((images - self.mean) / self.std)
        logits: Tensor = self.classify(features.mean(dim=(2, 3)))
        return logits


class _Block(nn.Module):
    """Two 3 x 3 convolutions, the first of stride 2, beside a pooled shortcut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            _conv(before, after, 3, stride=2), nn.BatchNorm2d(after), nn.ReLU(), _conv(after, after, 3), nn.BatchNorm2d(after)
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), _conv(before, after, 1), nn.BatchNorm2d(after))

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.main(features) + self.shortcut(features))


def _conv(before: int, after: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False)
