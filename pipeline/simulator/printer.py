"""The printer: a page of 8-bit colour becomes the linear reflectance of ink on paper.

No halftone screen, banding or misregistration yet: the pattern of dots is represented by its mean and its spread alone.
"""

import cv2
import numpy as np

from pipeline.simulator.profile import Profile

_BAND_ROWS = 512
_LUMA = np.array([0.2126, 0.7152, 0.0722])
_GRAIN_PX = 2


def linear_from_srgb(v: np.ndarray) -> np.ndarray:
    """Returns linear light for sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def printed_reflectance(
    page: np.ndarray, page_width_mm: float, profile: Profile, shrink: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns the reflectance of the printed page, float32 (H / shrink, W / shrink, 3), sides rounded up.

    Each colour is printed by `tone_curve`, loses saturation towards its own luminance, and spreads by a Gaussian of
    `ink_spread_um`; then blocks of `shrink` x `shrink` pixels are averaged, so that the camera's warp has no detail to
    alias. The paper's grain multiplies all. Work goes band by band: a page at 600 dpi is 400 MB in float.

    Args:
        page: uint8 (H, W, 3) sRGB raster of the whole page.
    """
    height, width = page.shape[:2]
    tone = tone_curve(profile)
    s = profile.print_saturation_rate
    gamut = (s * np.eye(3) + (1 - s) * _LUMA).astype(np.float32)
    spread_px = profile.ink_spread_um / 1000 * width / page_width_mm
    reach = int(np.ceil(4 * spread_px))
    band_rows = _BAND_ROWS // shrink * shrink
    printed = np.empty((-(-height // shrink), -(-width // shrink), 3), np.float32)
    for top in range(0, height, band_rows):
        bottom = min(top + band_rows, height)
        first = max(top - reach, 0)
        band = cv2.transform(cv2.LUT(page[first : bottom + reach], tone), gamut)
        if spread_px > 0:
            cv2.GaussianBlur(band, (2 * reach + 1, 2 * reach + 1), spread_px, dst=band, borderType=cv2.BORDER_REPLICATE)
        band = band[top - first : bottom - first]
        if shrink > 1:
            below, right = -(bottom - top) % shrink, -width % shrink
            band = cv2.copyMakeBorder(band, 0, below, 0, right, cv2.BORDER_REPLICATE)
            band = cv2.resize(band, (band.shape[1] // shrink, band.shape[0] // shrink), interpolation=cv2.INTER_AREA)
        printed[top // shrink : top // shrink + len(band)] = band
    if profile.paper_grain_rate > 0:
        _add_grain(printed, profile.paper_grain_rate, rng)
    return printed


def tone_curve(profile: Profile) -> np.ndarray:
    """Returns the reflectance, float32 (256,), that each 8-bit value is printed with.

    The driver asks for the area of ink a that would give the value its sRGB luminance between paper white and black; the
    ink covers a + 4 g a (1 - a), where the dot gain g is the growth of a 50 % tint; Murray-Davies (n = 1) or
    Yule-Nielsen (n > 1) adds up: R^(1/n) = a R_ink^(1/n) + (1 - a) R_paper^(1/n).
    """
    area = 1 - linear_from_srgb(np.arange(256) / 255)
    area = np.clip(area + 4 * profile.dot_gain_rate * area * (1 - area), 0, 1)
    power = 1 / profile.yule_nielsen_n
    mixed = area * profile.ink_reflectance**power + (1 - area) * profile.paper_reflectance**power
    return (mixed**profile.yule_nielsen_n).astype(np.float32)


def _add_grain(printed: np.ndarray, grain_rate: float, rng: np.random.Generator) -> None:
    height, width = printed.shape[:2]
    fibres = rng.standard_normal((-(-height // _GRAIN_PX), -(-width // _GRAIN_PX)), dtype=np.float32)
    grain = cv2.resize(fibres, (width, height), interpolation=cv2.INTER_CUBIC)
    grain *= grain_rate
    grain += 1
    printed *= grain[..., None]
