"""The phone: lens blur, sensor noise on a colour filter array, and the processing that makes an 8-bit picture of it."""

import math

import cv2
import numpy as np

from pipeline.simulator.profile import Profile, Shot

_BLACK = 2048
_WHITE = 65535 - _BLACK
_MOTION_STEPS = 64
_LUMA = np.array([0.2126, 0.7152, 0.0722])


def blurred(scene: np.ndarray, shot: Shot) -> np.ndarray:
    """Returns the scene, float32 (H, W, 3) linear, as lens and hand draw it, in place where it can."""
    if shot.blur_px > 0:
        reach = int(np.ceil(4 * shot.blur_px))
        size = (2 * reach + 1, 2 * reach + 1)
        scene = cv2.GaussianBlur(scene, size, shot.blur_px, dst=scene, borderType=cv2.BORDER_REPLICATE)
    if shot.motion_px > 0:
        scene = cv2.filter2D(scene, -1, motion_kernel(shot), borderType=cv2.BORDER_REPLICATE)
    return scene


def motion_kernel(shot: Shot) -> np.ndarray:
    """Returns the path of the hand, an evenly weighted line of `motion_px` pixels about the middle, float32 (n, n), sum 1."""
    reach = math.ceil(shot.motion_px / 2)
    cells, angle = np.arange(-reach, reach + 1)[:, None], math.radians(shot.motion_direction_deg)
    path = ((np.arange(_MOTION_STEPS) + 0.5) / _MOTION_STEPS - 0.5) * shot.motion_px
    # each moment's light is shared among the four nearest pixels
    x, y = (np.maximum(0, 1 - np.abs(cells - path * side)) for side in (math.cos(angle), math.sin(angle)))
    return (y @ x.T / _MOTION_STEPS).astype(np.float32)


def exposed(scene: np.ndarray, light: np.ndarray, shot: Shot, profile: Profile, rng: np.random.Generator) -> np.ndarray:
    """Returns the white-balanced linear picture, uint16 (H, W, 3), `_BLACK` .. `_BLACK + _WHITE` for 0 .. 1.

    With `bayer` each photosite sees one colour of an RGGB mosaic, gets its noise there and then its white-balance gain G,
    so that the variance of a balanced value x is G (shot x + G read) (Brooks et al. 2019, Eqs. 1-2, for G = 1), and the
    colours are interpolated (edge-aware). Without it every pixel sees all three.
    """
    by_channel = np.array([shot.red_light, 1, shot.blue_light], np.float32) * shot.exposure
    gains = (profile.red_gain, 1.0, profile.blue_gain)
    if not profile.bayer:
        return np.dstack([_sensed(scene[..., c] * (light * by_channel[c]), gains[c], shot, rng) for c in range(3)])
    mosaic = np.empty(scene.shape[:2], np.float32)
    gain = np.empty((2, 2), np.float32)
    for row in (0, 1):
        for column in (0, 1):
            c = row + column
            mosaic[row::2, column::2] = scene[row::2, column::2, c] * by_channel[c]
            gain[row, column] = gains[c]
    mosaic *= light
    tiles = (-(-mosaic.shape[0] // 2), -(-mosaic.shape[1] // 2))
    gain_map = np.tile(gain, tiles)[: mosaic.shape[0], : mosaic.shape[1]]
    return cv2.cvtColor(_sensed(mosaic, gain_map, shot, rng), cv2.COLOR_BayerRGGB2RGB_EA)


def developed(picture: np.ndarray, profile: Profile) -> np.ndarray:
    """Returns the finished photo, uint8 (H, W, 3) sRGB, from a linear picture of `exposed`.

    Saturation about the luminance in linear light; sRGB curve with an S-curve of strength `tone_contrast_rate`; chroma
    smoothed against colour noise and luma sharpened by an unsharp mask, as phones do.
    """
    s = profile.saturation
    if s != 1:
        picture = cv2.transform(picture, (s * np.eye(3) + (1 - s) * _LUMA).astype(np.float32))
    photo = _tone_table(profile.tone_contrast_rate)[picture]
    if profile.chroma_denoise_px > 0 or profile.sharpen_rate > 0:
        luma, red, blue = cv2.split(cv2.cvtColor(photo, cv2.COLOR_RGB2YCrCb))
        if profile.chroma_denoise_px > 0:
            red, blue = (cv2.GaussianBlur(c, (0, 0), profile.chroma_denoise_px) for c in (red, blue))
        if profile.sharpen_rate > 0:
            soft = cv2.GaussianBlur(luma, (0, 0), profile.sharpen_px)
            luma = cv2.addWeighted(luma, 1 + profile.sharpen_rate, soft, -profile.sharpen_rate, 0)
        photo = cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2RGB)
    return photo


def _sensed(signal: np.ndarray, gain: np.ndarray | float, shot: Shot, rng: np.random.Generator) -> np.ndarray:
    if shot.shot_noise > 0:
        sd = np.maximum(signal, 0) * shot.shot_noise
        sd += np.float32(shot.read_noise) * gain
        sd *= gain
        np.sqrt(sd, out=sd)
        sd *= rng.standard_normal(signal.shape, dtype=np.float32)
        signal += sd
    signal *= _WHITE
    signal += _BLACK + 0.5
    return np.clip(signal, 0, 65535, out=signal).astype(np.uint16)


def _tone_table(contrast_rate: float) -> np.ndarray:
    x = np.clip((np.arange(65536) - _BLACK) / _WHITE, 0, 1)
    v = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    v += contrast_rate * (v * v * (3 - 2 * v) - v)
    return np.rint(255 * v).astype(np.uint8)
