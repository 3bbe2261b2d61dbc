"""What a digital transform says of itself, and all of them by name; a new one is a function in `transforms` and an entry here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.core.errors import WrongUse, placed
from pipeline.core.registry import Registry, load

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


_HERE = "pipeline.transforms.filters"
# fmt: off
_OWN = (
    TransformSpec("brightness", "Brightness", "added, 8-bit units", "a constant added to every pixel",
                  (-30, -20, -10, 0, 10, 20, 30), -255, 255, f"{_HERE}:add_brightness",
                  (Way("down", 0, (-10, -20, -40, -60, -80)), Way("up", 0, (10, 20, 40, 60, 80))),
                  on_tensors=f"{_HERE}:brightness_on_tensors", neutral=0.0),
    TransformSpec("contrast", "Contrast", "factor", "distance from mid-grey (127.5) scaled",
                  (0.7, 0.8, 0.9, 1.0, 1.1, 1.2), 0, 10, f"{_HERE}:scale_contrast",
                  (Way("down", 1, (0.8, 0.6, 0.5, 0.4, 0.3, 0.2)), Way("up", 1, (1.2, 1.4, 1.7, 2))), 0.01,
                  on_tensors=f"{_HERE}:contrast_on_tensors", neutral=1.0),
    TransformSpec("blur", "Gaussian blur", "σ, pixels", "Gaussian blur",
                  (0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0), 0, 50, f"{_HERE}:blur",
                  (Way("up", 0, (0.5, 1, 1.5, 2, 3, 4)),), 0.05, on_tensors=f"{_HERE}:blur_on_tensors", short="Blur"),
    TransformSpec("noise", "Gaussian noise", "σ, 8-bit units", "Gaussian noise on every pixel and channel",
                  (5, 10, 15, 20), 0, 255, f"{_HERE}:add_noise",
                  (Way("up", 0, (5, 10, 20, 30, 40)),), 0.5, on_tensors=f"{_HERE}:noise_on_tensors", short="Noise"),
    # There is no quality of 101: it stands for the file before it is compressed. The twin's gradient is that of the simulator's
    # JPEG, which transforms do not know.
    TransformSpec("jpeg", "JPEG", "quality", "JPEG compression, 4:2:0",
                  (10, 20, 30, 40, 50, 60, 70, 80, 90, 100), 1, 100, f"{_HERE}:compress_jpeg",
                  (Way("down", 101, (90, 70, 50, 30, 20, 10)),),
                  on_tensors="pipeline.attacks.expectation:jpeg_on_tensors", whole=True),
)
# fmt: on

TRANSFORMS = Registry("transform", TransformSpec, {spec.name: spec for spec in _OWN}, "inkproof.transforms")


Ranges = dict[str, tuple[float, float]]


def checked_ranges(ranges: Mapping[str, object], name: str = "transforms") -> Ranges:
    """Returns lowest and highest value of each transform, in the order in which they are applied: that of the registry.

    Raises:
        WrongUse: an unknown transform, one without gradients, or what is no range within its limits.
    """
    found: Ranges = {}
    for word, value in ranges.items():
        with placed(name):
            transform = TRANSFORMS.find(word)
        if not transform.on_tensors:
            raise WrongUse(f"{name}.{word}: no gradient leads through {word}.", "Leave it out.")
        ends = value if isinstance(value, (list, tuple)) else ()
        if len(ends) != 2 or not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends):
            hint = f"For example: {word} = [{transform.grid[0]:g}, {transform.grid[-1]:g}]"
            raise WrongUse(f"{name}.{word} = {value!r}: expected the lowest and the highest value.", hint)
        low, high = ends
        if not transform.minimum <= low <= high <= transform.maximum:
            raise WrongUse(f"{name}.{word} = {value!r}: expected two values, the lower one first, from {transform.limits}.")
        if transform.whole and (low != int(low) or high != int(high)):
            raise WrongUse(f"{name}.{word} = {value!r}: expected whole numbers.")
        found[word] = (float(low), float(high))
    return {word: found[word] for word in TRANSFORMS.names() if word in found}
