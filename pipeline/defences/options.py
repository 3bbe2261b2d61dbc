"""What a defence can be told: one frozen record each."""

from typing import Literal

from pydantic.dataclasses import dataclass

from pipeline.settings import TABLE, setting


@dataclass(frozen=True, config=TABLE)
class BitDepthOptions:
    """Options of `bit-depth`."""

    bits: int = setting(3, "Bits that are kept of each channel's 8.", ge=1, le=8)


@dataclass(frozen=True, config=TABLE)
class JpegOptions:
    """Options of `jpeg`."""

    quality: int = setting(75, "Quality of the JPEG file.", ge=1, le=100)


@dataclass(frozen=True, config=TABLE)
class HalftoneOptions:
    """Options of `halftone`."""

    sigma_px: float = setting(
        1.0, "Standard deviation of the blur that makes tones of the dots (0: none).", ge=0, le=20, unit="px"
    )


@dataclass(frozen=True, config=TABLE)
class GaussianOptions:
    """Options of `gaussian`."""

    sigma_px: float = setting(1.0, "Standard deviation.", ge=0, le=20, unit="px")


@dataclass(frozen=True, config=TABLE)
class MedianOptions:
    """Options of `median`."""

    size_px: Literal[3, 5, 7] = setting(3, "Side of the square: 3, 5 or 7.", unit="px")


@dataclass(frozen=True, config=TABLE)
class BilateralOptions:
    """Options of `bilateral`."""

    size_px: Literal[3, 5, 7, 9] = setting(5, "Side of the square that is looked at: 3, 5, 7 or 9.", unit="px")
    sigma_px: float = setting(2.0, "Standard deviation of the distance in the picture.", ge=0.1, le=20, unit="px")
    sigma_8bit: float = setting(25.0, "Standard deviation of the distance in colour, Euclidean.", ge=0.1, le=1000, unit="8-bit")


@dataclass(frozen=True, config=TABLE)
class TotalVariationOptions:
    """Options of `total-variation`."""

    weight_8bit: float = setting(
        10.0, "Weight w of the total variation in |u - x|² / 2w + TV(u); more is smoother.", ge=0.01, le=1000, unit="8-bit"
    )
    n_steps: int = setting(50, "Steps of the minimisation, at most.", ge=1, le=1000)


@dataclass(frozen=True, config=TABLE)
class RandomPaddingOptions:
    """Options of `random-padding`."""

    least_rate: float = setting(0.9, "Smallest side, as a share of the whole.", ge=0.1, le=1)
    seed: int = setting(0, "Seed of the draws; each picture has its own.", ge=0)
    n_expected: int = setting(8, "Draws that an attack which knows the defence takes the mean of.", ge=1, le=1000)


@dataclass(frozen=True, config=TABLE)
class RandomisedSmoothingOptions:
    """Options of `randomised-smoothing`."""

    sigma_8bit: float = setting(
        63.75, "Standard deviation σ of the noise on each channel; 63.75 is 0.25 of the range.", ge=0.01, le=1000, unit="8-bit"
    )
    n_samples: int = setting(100, "Noisy copies that vote on a picture.", ge=1, le=100_000)
    seed: int = setting(0, "Seed of the noise; each picture has its own.", ge=0)
    n_expected: int = setting(8, "Noisy copies that an attack which knows the defence takes the mean of.", ge=1, le=1000)


@dataclass(frozen=True, config=TABLE)
class SqueezingOptions:
    """Options of `feature-squeezing`."""

    bits: int = setting(5, "Bits of the first squeezed copy.", ge=1, le=8)
    median_px: Literal[3, 5, 7] = setting(3, "Side of the median filter of the second: 3, 5 or 7.", unit="px")
    false_alarm_rate: float = setting(0.05, "Share of clean pictures refused when the threshold is set, at most.", ge=0, le=0.5)
    n_clean: int = setting(200, "Clean pictures that it is set on, at most.", ge=1, le=100_000)
    threshold: float = setting(
        0.0, "Largest L1 distance of probabilities that is not refused (0: set on clean pictures of the data set).", ge=0, le=2
    )
