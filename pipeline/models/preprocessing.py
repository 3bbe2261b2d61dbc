"""From any picture to what a network takes: how it is framed, and how its pixels are normalised."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.core.errors import WrongUse
from pipeline.images.resizing import resize_and_crop, resize_shorter_and_crop, resize_to_box_and_crop
from pipeline.settings import ModelSettings

# Of red, green and blue in luma (ITU-R BT.601), as Pillow's mode "L" and torchvision's Grayscale have it.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From any picture to the network's input: resized, the central `input_size` (height, width), (x - mean) / std.

    Attributes:
        resize_px: of the shorter side; or a box (height, width), which `framing` says the use of.
        framing: "center": the picture covers the box; "squash": it becomes the box, whatever its shape; "border": it lies inside
            the box, and the crop is filled up with the mean.
        n_channels: 3, or 1 where the network takes luma.
    """

    input_size: tuple[int, int]
    resize_px: int | tuple[int, int]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    interpolation: str = "bilinear"
    framing: str = "center"
    n_channels: int = 3

    @property
    def key(self) -> str:
        """All of it that a prediction depends on, as text; what is as usual is left out."""
        usual = f"input_size={self.input_size}, resize_px={self.resize_px}, mean={self.mean}, std={self.std}"
        other = "" if self.framing == "center" else f", framing={self.framing!r}"
        other += "" if self.n_channels == 3 else f", n_channels={self.n_channels}"
        return f"Preprocessing({usual}, interpolation={self.interpolation!r}{other})"

    def framed(self, pixels: np.ndarray) -> np.ndarray:
        """Returns uint8 (H, W, 3) pixels of any size at `input_size`: the bits of the Pillow transforms that it stands for."""
        if isinstance(self.resize_px, int):
            return resize_shorter_and_crop(pixels, self.resize_px, self.input_size, self.interpolation)
        if self.framing == "squash":
            return resize_and_crop(pixels, self.resize_px, self.input_size, self.interpolation)
        inside = self.framing == "border"
        fill = tuple(round(255 * value) for value in self.mean or (0.0,) * 3)
        return resize_to_box_and_crop(
            pixels, self.resize_px, self.input_size, self.interpolation, inside, fill if inside else (0, 0, 0)
        )


def preprocessing_for(settings: ModelSettings, default: Preprocessing | None) -> Preprocessing:
    """Returns the model's own preprocessing with the settings laid over it.

    Another `input_px` without a `resize_px` keeps the model's own framing: 224 of 256 becomes 112 of 128. Where settings
    contradict themselves, or lack an input size, WrongUse is raised.
    """
    asked = input_size_of(settings)
    if default is None and not asked:
        raise WrongUse(f"The input size of {settings.name} is not known.", "Set model.input_px.")
    own = default or whole_picture(asked or (0, 0))
    size = asked or own.input_size
    resize_px, framing = _resized(settings, size, own)
    sides = (resize_px,) * 2 if isinstance(resize_px, int) else resize_px
    if settings.resize_px and any(side < wanted for side, wanted in zip(sides, size)):
        what = f"model.resize_px = {_shown(resize_px)} is smaller than the input of {_shown(size)} px."
        raise WrongUse(what, "Set it to the input size or more.")
    mean = _three("mean", settings.mean) or own.mean
    std = _three("std", settings.std) or own.std
    if any(value <= 0 for value in std):
        raise WrongUse(f"model.std must be positive, got {tuple(std)}.")
    return Preprocessing(size, resize_px, mean, std, own.interpolation, framing, own.n_channels)


def whole_picture(size: tuple[int, int]) -> Preprocessing:
    """Returns the framing that shows as much of a picture as an input of (height, width) has room for."""
    return Preprocessing(size, size[0] if size[0] == size[1] else size)


def input_size_of(settings: ModelSettings) -> tuple[int, int] | None:
    """Returns the (height, width) that the settings ask for, None where they leave it to the model."""
    if isinstance(settings.input_px, int):
        return (settings.input_px,) * 2 if settings.input_px else None
    height, width = settings.input_px
    return height, width


def normalised(x: torch.Tensor, steps: Preprocessing) -> torch.Tensor:
    """Returns (x - mean) / std for each channel of (N, 3, H, W), as luma where the network takes that.

    It is `x` itself where the model wants plain [0, 1]. Luma is a weighted mean, so that it may follow the normalisation.
    """
    if steps.mean or steps.std:
        x = (x - channels(steps.mean or (0.0,) * 3, x)) / channels(steps.std or (1.0,) * 3, x)
    return x if steps.n_channels == 3 else (x * channels(LUMA, x)).sum(dim=1, keepdim=True)


def channels(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """Returns one number a channel in the shape, kind and place that (N, 3, H, W) images can be reckoned with."""
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)


def _resized(settings: ModelSettings, size: tuple[int, int], own: Preprocessing) -> tuple[int | tuple[int, int], str]:
    """Returns `resize_px` and the framing: one number is the shorter side, two are the box that a picture is squashed to."""
    if settings.resize_px:
        given = settings.resize_px
        return (given, "center") if isinstance(given, int) else ((given[0], given[1]), "squash")
    if size == own.input_size:
        return own.resize_px, own.framing
    if isinstance(own.resize_px, int) and size[0] == size[1]:
        return max(round(own.resize_px * size[0] / min(own.input_size)), 1), own.framing
    box = (own.resize_px,) * 2 if isinstance(own.resize_px, int) else own.resize_px
    height, width = (max(round(side * new / old), 1) for side, new, old in zip(box, size, own.input_size))
    return (height, width), own.framing


def _three(key: str, values: tuple[float, ...]) -> tuple[float, ...]:
    if len(values) not in (0, 1, 3):
        raise WrongUse(f"model.{key} must hold one number or three, got {len(values)}.")
    return tuple(float(v) for v in values) * (3 if len(values) == 1 else 1)


def _shown(value: int | tuple[int, int]) -> str:
    return str(value if isinstance(value, int) else list(value))
