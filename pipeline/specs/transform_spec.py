"""What a digital transform says of itself: everything that stages, reports and attacks may ask about it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.core.registry import load

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Way:
    """One way to strengthen a transform: "up" or "down", the value that stands for the unchanged file, and values to look at.

    `looks` are tried first, from mild to strong, when a threshold is searched; the last one is the end of the range.
    """

    name: str
    start: float
    looks: tuple[float, ...]


@dataclass(frozen=True)
class TransformSpec:
    """A map from 8-bit images to 8-bit images with one parameter.

    Attributes:
        title, axis: what a reader calls it, and its parameter.
        does: one line for a person.
        grid: the values that Kurakin et al. (2016, Fig. 6) show on its axis, or as many that cover what is of interest.
        minimum, maximum: the values that it allows; `whole`: only whole ones mean something.
        function: "module:attribute" of (pixels, value, generator) -> pixels, uint8 (H, W, 3).
        ways: the directions in which a threshold is searched, in steps of `resolution`.
        on_tensors: "module:attribute" of (images, values, seeds) -> images, float (N, 3, H, W) of 0 .. 255, with gradients, for
            attacks that expect the transform; "" where there is none.
        neutral: the value that changes nothing, where there is one.
        short: the title where there is little room; "" for the title itself.
    """

    name: str
    title: str
    axis: str
    does: str
    grid: tuple[float, ...]
    minimum: float
    maximum: float
    function: str
    ways: tuple[Way, ...]
    resolution: float = 1.0
    on_tensors: str = ""
    neutral: float | None = None
    whole: bool = False
    short: str = ""

    @property
    def shown(self) -> str:
        return self.name

    @property
    def summary(self) -> str:
        return f"{self.does}; {', '.join(f'{value:g}' for value in self.grid)}"

    @property
    def limits(self) -> str:
        """The values that it allows, in words."""
        return f"{self.minimum:g} to {self.maximum:g}"

    @property
    def finest(self) -> float:
        """The smallest step in which a threshold can be searched."""
        return self.resolution if self.whole else self.resolution / 100

    @property
    def coarsest(self) -> float:
        """The largest step in which a threshold can be searched: the whole of its shortest way."""
        return min(abs(way.looks[-1] - way.start) for way in self.ways)

    def apply(self, pixels: "np.ndarray", value: float, generator: "np.random.Generator") -> "np.ndarray":
        """Returns a transformed copy of uint8 (H, W, 3) pixels; `generator` is used only where the transform is random."""
        if pixels.dtype != "uint8" or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(f"expected uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
        result: np.ndarray = load(self.function)(pixels, value, generator)
        return result

    def apply_on_tensors(self, images: "Tensor", values: list[float], seeds: list[int]) -> "Tensor":
        """Returns images (N, 3, H, W) of 0 .. 255, image i with value i and the randomness of seed i, with gradients."""
        result: Tensor = load(self.on_tensors)(images, values, seeds)
        return result
