"""Digital transforms by name, each with one parameter and the values that Kurakin et al. (2016, Fig. 6) show on its axis."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import WrongUse, near_match
from pipeline.transforms.blur import blur
from pipeline.transforms.compression import compress_jpeg
from pipeline.transforms.noise import add_noise
from pipeline.transforms.photometric import add_brightness, scale_contrast


@dataclass(frozen=True)
class Transform:
    """A map from 8-bit images to 8-bit images; `label` is what an axis says, `whole` that only whole values mean something."""

    name: str
    summary: str
    label: str
    grid: tuple[float, ...]
    minimum: float
    maximum: float
    function: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    whole: bool = False

    def apply(self, pixels: np.ndarray, value: float, generator: np.random.Generator) -> np.ndarray:
        """Returns a transformed copy of uint8 (H, W, 3) pixels; `generator` is used only where the transform is random."""
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(f"expected uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
        return self.function(pixels, value, generator)


TRANSFORMS = {
    transform.name: transform
    for transform in (
        Transform(
            "brightness",
            "a constant added to every pixel",
            "brightness +X (8-bit units)",
            (-30, -20, -10, 0, 10, 20, 30),
            -255,
            255,
            add_brightness,
        ),
        Transform(
            "contrast",
            "distance from mid-grey (127.5) scaled",
            "contrast ×X",
            (0.7, 0.8, 0.9, 1.0, 1.1, 1.2),
            0,
            10,
            scale_contrast,
        ),
        Transform("blur", "Gaussian blur", "Gaussian blur σ (px)", (0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0), 0, 50, blur),
        Transform(
            "noise",
            "Gaussian noise on every pixel and channel",
            "Gaussian noise σ (8-bit units)",
            (5, 10, 15, 20),
            0,
            255,
            add_noise,
        ),
        Transform(
            "jpeg",
            "JPEG compression, 4:2:0",
            "JPEG quality",
            (10, 20, 30, 40, 50, 60, 70, 80, 90, 100),
            1,
            100,
            compress_jpeg,
            whole=True,
        ),
    )
}


def transform_named(name: str, where: str = "") -> Transform:
    """Returns a transform.

    Raises:
        WrongUse: there is no transform of this name.
    """
    if name not in TRANSFORMS:
        raise WrongUse(f'{where + ": " if where else ""}unknown transform "{name}".', near_match(name, TRANSFORMS))
    return TRANSFORMS[name]
