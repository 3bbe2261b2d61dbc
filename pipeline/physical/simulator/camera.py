"""The phone: lens, sensor noise on a colour filter array, and the processing that makes an 8-bit picture of it."""

import math
from collections.abc import Iterable

import cv2
import numpy as np

from pipeline.images.colour import srgb_from_linear, with_s_curve
from pipeline.physical.simulator.kernels import airy_sigma_px, disc_kernel, gaussian_kernel, joined, motion_kernel
from pipeline.physical.simulator.profile import Profile, Shot

_BLACK = 2048
_WHITE = 65535 - _BLACK
# channel, row and column of the four photosites of an RGGB tile
MOSAIC = ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1))
_LUMA = np.array([0.2126, 0.7152, 0.0722])
# Malvar, He, Cutler 2004, *High-quality linear interpolation for demosaicing of Bayer-patterned color images*, Fig. 2: a colour
# from its own nearest neighbours, corrected by the bend of the colour that is there; in eighths
GREEN_AT_OTHERS = np.array([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]) / 8
BESIDE_GREEN = np.array([[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]) / 8
ACROSS = np.array([[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]) / 8


def seen_through_lens(scene: np.ndarray, shot: Shot, profile: Profile) -> np.ndarray:
    """Returns the scene, float32 (H, W, 3) linear, as lens and hand draw it, in place where it can.

    Lateral chromatic aberration magnifies red and shrinks blue about the frame's centre; then aberrations and diffraction
    blur by one Gaussian, what is out of focus becomes a disc, and the hand's path is a line.
    """
    if shot.chromatic_px:
        half_diagonal = math.hypot(*scene.shape[:2]) / 2
        for channel, magnified in ((0, 1 + shot.chromatic_px / half_diagonal), (2, 1 - shot.chromatic_px / half_diagonal)):
            cv2.insertChannel(_magnified(cv2.extractChannel(scene, channel), magnified), scene, channel)
    sigma_px = lens_sigma_px(shot, profile)
    if sigma_px > 0:
        kernel = gaussian_kernel(sigma_px)
        scene = cv2.sepFilter2D(scene, -1, kernel, kernel, dst=scene, borderType=cv2.BORDER_REPLICATE)
    kernels = [disc_kernel(shot.defocus_px)] if shot.defocus_px > 0 else []
    kernels += [motion_kernel(shot.motion_px, shot.motion_direction_deg)] if shot.motion_px > 0 else []
    if kernels:
        kernel = kernels[0] if len(kernels) == 1 else joined(*kernels)
        scene = cv2.filter2D(scene, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return scene


def lens_sigma_px(shot: Shot, profile: Profile) -> float:
    """Returns the standard deviation of the Gaussian that stands for the lens and its diffraction, in photo pixels."""
    return math.hypot(shot.blur_px, airy_sigma_px(profile.f_number, profile.pixel_um))


def exposed(scene: np.ndarray, light: np.ndarray, shot: Shot, profile: Profile, rng: np.random.Generator) -> np.ndarray:
    """Returns the white-balanced linear picture, uint16 (H, W, 3), `_BLACK` .. `_BLACK + _WHITE` for 0 .. 1.

    With `bayer` each photosite sees one colour of an RGGB mosaic, gets its noise there and then its white-balance gain G,
    so that the variance of a balanced value x is G (shot x + G read) (Brooks et al. 2019, Eqs. 1-2, for G = 1), and the
    colours are interpolated (`demosaiced`). Without it every pixel sees all three.
    """
    by_channel = np.array([shot.red_light, 1, shot.blue_light], np.float32) * shot.exposure
    gains = (shot.red_gain, 1.0, shot.blue_gain)
    if not profile.bayer:
        sensed = [_sensed(cv2.extractChannel(scene, c) * (light * by_channel[c]), gains[c], shot, rng) for c in range(3)]
        return _digital(sensed)
    mosaic: np.ndarray = np.empty(scene.shape[:2], np.float32)
    gain = np.empty((2, 2), np.float32)
    for c, row, column in MOSAIC:
        np.multiply(scene[row::2, column::2, c], by_channel[c], out=mosaic[row::2, column::2])
        gain[row, column] = gains[c]
    mosaic *= light
    tiles = (-(-mosaic.shape[0] // 2), -(-mosaic.shape[1] // 2))
    gain_map = np.tile(gain, tiles)[: mosaic.shape[0], : mosaic.shape[1]]
    return _digital(demosaiced(_sensed(mosaic, gain_map, shot, rng)))


def demosaiced(mosaic: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns red, green and blue, float32 (H, W) each, of an RGGB mosaic, by the linear filters of Malvar, He, Cutler (2004)."""
    green, beside, below, across = (
        cv2.filter2D(mosaic, -1, kernel.astype(np.float32), borderType=cv2.BORDER_REFLECT_101)
        for kernel in (GREEN_AT_OTHERS, BESIDE_GREEN, BESIDE_GREEN.T, ACROSS)
    )
    green[0::2, 1::2], green[1::2, 0::2] = mosaic[0::2, 1::2], mosaic[1::2, 0::2]
    # red stands in even rows and columns, blue in odd ones: beside green in its own row, below it in the other's
    red, blue = across, across.copy()
    red[0::2, 0::2], blue[1::2, 1::2] = mosaic[0::2, 0::2], mosaic[1::2, 1::2]
    red[0::2, 1::2], red[1::2, 0::2] = beside[0::2, 1::2], below[1::2, 0::2]
    blue[1::2, 0::2], blue[0::2, 1::2] = beside[1::2, 0::2], below[0::2, 1::2]
    return red, green, blue


def developed(picture: np.ndarray, profile: Profile) -> np.ndarray:
    """Returns the finished photo, uint8 (H, W, 3) sRGB, from a linear picture of `exposed`.

    The camera's colour matrix, or saturation about the luminance, in linear light; sRGB curve with an S-curve of strength
    `tone_contrast_rate`; colour differences smoothed by a Gaussian; brightness split into a soft part and detail, of which
    small detail is taken for noise (coring: d becomes d^3 / (d^2 + t^2)) and what stays is sharpened by an unsharp mask.
    """
    matrix = camera_matrix(profile)
    if not np.array_equal(matrix, np.eye(3)):
        # black is not 0 in this picture
        offset = (1 - matrix.sum(axis=1)) * _BLACK
        picture = cv2.transform(picture, np.column_stack([matrix, offset]).astype(np.float32))
    photo: np.ndarray = _tone_table(profile.tone_contrast_rate)[picture]
    if profile.chroma_denoise_px > 0 or profile.sharpen_rate > 0 or profile.luma_denoise_8bit > 0:
        luma, red, blue = cv2.split(cv2.cvtColor(photo, cv2.COLOR_RGB2YCrCb))
        if profile.chroma_denoise_px > 0:
            red, blue = (cv2.GaussianBlur(c, (0, 0), profile.chroma_denoise_px) for c in (red, blue))
        if profile.sharpen_rate > 0 or profile.luma_denoise_8bit > 0:
            luma = _clarified(luma, profile)
        photo = cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2RGB)
    return photo


def camera_matrix(profile: Profile) -> np.ndarray:
    """Returns what the camera does to linear colours, (3, 3)."""
    if profile.colour_matrix:
        return np.array(profile.colour_matrix).reshape(3, 3)
    return profile.saturation * np.eye(3) + (1 - profile.saturation) * _LUMA


def _magnified(plane: np.ndarray, factor: float) -> np.ndarray:
    height, width = plane.shape
    x, y = (width - 1) / 2, (height - 1) / 2
    plane_from_seen = np.array([[1 / factor, 0, x - x / factor], [0, 1 / factor, y - y / factor]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(plane, plane_from_seen, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _clarified(luma: np.ndarray, profile: Profile) -> np.ndarray:
    fine = luma.astype(np.float32)
    soft = cv2.GaussianBlur(fine, (0, 0), profile.sharpen_px)
    fine -= soft
    if profile.luma_denoise_8bit > 0:
        square = fine * fine
        fine *= square
        square += np.float32(profile.luma_denoise_8bit**2)
        fine /= square
    fine *= np.float32(1 + profile.sharpen_rate)
    fine += soft
    # rounds and cuts to 0 .. 255
    return cv2.convertScaleAbs(np.maximum(fine, 0, out=fine))


def _sensed(signal: np.ndarray, gain: np.ndarray | float, shot: Shot, rng: np.random.Generator) -> np.ndarray:
    """The light of each photosite with its noise, cut where the photosite is full or the black level ends, in place."""
    if shot.shot_noise > 0:
        sd = np.maximum(signal, 0)
        sd *= np.float32(shot.shot_noise)
        sd += np.float32(shot.read_noise) * gain
        sd *= gain
        np.sqrt(sd, out=sd)
        sd *= rng.standard_normal(signal.shape, dtype=np.float32)
        signal += sd
    return np.clip(signal, np.float32(-_BLACK / _WHITE), np.float32(1), out=signal)


def _digital(planes: Iterable[np.ndarray]) -> np.ndarray:
    """Returns the 16-bit picture (H, W, 3) of three planes of linear light, which are used up."""
    whole = []
    for plane in planes:
        plane *= _WHITE
        plane += _BLACK + 0.5
        whole.append(np.clip(plane, 0, 65535, out=plane).astype(np.uint16))
    return cv2.merge(whole)


def _tone_table(contrast_rate: float) -> np.ndarray:
    values: np.ndarray = with_s_curve(srgb_from_linear((np.arange(65536) - _BLACK) / _WHITE), contrast_rate)
    return np.asarray(np.rint(255 * values), np.uint8)
