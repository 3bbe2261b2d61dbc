"""The scene: what the page lies on, what lies on the page, and how the light falls; all in page millimetres."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from pipeline.images.colour import linear_levels
from pipeline.physical.geometry import Floats, apply_homography, image_corners, scale_at
from pipeline.physical.simulator.profile import Profile, Shot
from pipeline.physical.simulator.sheet import Sheet

_TABLE_MAX_PX_PER_MM = 4.0
_TABLE_REACH_MM = 450.0
_EDGE_SHADOW_MM = 1.3
_LIGHT_CELL_PX = 24
_LAMP_HEIGHT_DEG = 45.0
_SD_PER_FULL_WIDTH = 1 / math.sqrt(8 * math.log(2))
_SKIN = np.array([0.52, 0.30, 0.21], np.float32)
_COIN = np.array([0.42, 0.36, 0.22], np.float32)


def table(
    shot: Shot, profile: Profile, sheet: Sheet, rng: np.random.Generator, background: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the reflectance of the table, float32 (h, w, 3), and `table_px_from_page`, (3, 3) from mm of a flat page.

    Wood: planks of differing tone, rings bent by slow noise, and fibres; or a picture, uint8 (H, W, 3) sRGB, scaled to cover
    what is seen of the table. The page's edge throws a narrow soft shadow.
    """
    page_from_photo = np.linalg.inv(sheet.photo_from_flat)
    along, across = _direction(shot.table_direction_deg), _direction(shot.table_direction_deg + 90)
    page_from_plank = np.array([[along[0], across[0], sheet.centre_mm[0]], [along[1], across[1], sheet.centre_mm[1]], [0, 0, 1]])
    seen = apply_homography(np.linalg.inv(page_from_plank) @ page_from_photo, image_corners(*sheet.lens.size))
    low, high = np.clip([seen.min(axis=0) - 4, seen.max(axis=0) + 4], -_TABLE_REACH_MM, _TABLE_REACH_MM)
    px_per_mm = min(_TABLE_MAX_PX_PER_MM, scale_at(page_from_photo, sheet.centre_mm))
    width, height = (int(v) for v in np.ceil((high - low) * px_per_mm))
    page_from_table_px = page_from_plank @ np.array([[1 / px_per_mm, 0, low[0]], [0, 1 / px_per_mm, low[1]], [0, 0, 1]])
    table_px_from_page = np.linalg.inv(page_from_table_px)
    shadow = _edge_shadow(shot, table_px_from_page, (width, height), sheet.width_mm, sheet.height_mm)
    shadow = 1 - profile.edge_shadow_rate * cv2.GaussianBlur(shadow, (0, 0), _EDGE_SHADOW_MM * px_per_mm)
    # drawn even where a picture hides it, so that the picture moves nothing else
    grain = _wood_grain(width, height, px_per_mm, rng)
    if background is not None:
        return _covering(background, width, height) * shadow[..., None], table_px_from_page
    tone = (1 + profile.table_grain_rate * grain) * shadow
    # darker wood is also redder, and the seams are dark, not black
    np.maximum(tone, 0.15, out=tone)
    hue = 1 + profile.table_grain_rate * grain[..., None] * np.array([-0.1, 0.05, 0.25], np.float32)
    return (np.array(profile.table_reflectance, np.float32) * tone[..., None] * hue).astype(np.float32), table_px_from_page


def over_photo(value_at: Callable[[np.ndarray, Shot, Sheet], np.ndarray], shot: Shot, sheet: Sheet) -> np.ndarray:
    """Returns what is smooth, such as `light_at`, at each photo pixel, float32 (H, W), worked out in coarse cells' middles."""
    size = sheet.lens.size
    columns, rows = (-(-side // _LIGHT_CELL_PX) for side in size)
    y, x = np.mgrid[0:rows, 0:columns].reshape(2, -1)
    photo = np.column_stack([(x + 0.5) * size[0] / columns - 0.5, (y + 0.5) * size[1] / rows - 0.5])
    values = value_at(photo, shot, sheet).reshape(rows, columns).astype(np.float32)
    return cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)


def light_at(photo_px: np.ndarray, shot: Shot, sheet: Sheet) -> np.ndarray:
    """Returns the light, (N,), that falls on and passes the lens at photo points (N, 2) px.

    A linear fall across the page in the plane of the table, a soft-edged cast shadow, and the lens's radial fall-off as
    the square of the distance from the centre.
    """
    size = sheet.lens.size
    page = sheet.table_from_photo(photo_px) - sheet.centre_mm
    half_diagonal_mm = math.hypot(*sheet.centre_mm)
    along = page @ _direction(shot.light_direction_deg) / half_diagonal_mm
    shade = 1 - shot.light_fall_rate * np.clip(along + 1, 0, 2) / 2
    beyond_mm = page @ _direction(shot.cast_shadow_direction_deg) - shot.cast_shadow_reach * half_diagonal_mm
    shade *= 1 - shot.cast_shadow_rate * (1 + np.tanh(2 * beyond_mm / max(shot.cast_shadow_softness_mm, 1e-3))) / 2
    from_centre = (photo_px - (np.array(size) - 1) / 2) / (math.hypot(*size) / 2)
    return np.asarray(shade * (1 - shot.vignette_rate * (from_centre**2).sum(axis=1)))


def slope_shade(shot: Shot, sheet: Sheet, n_columns: int, n_rows: int) -> np.ndarray:
    """Returns how much light each part of the sheet gets for its lean, float32 (n_rows, n_columns), at most 1.

    Lambert's law for light that falls at 45 degrees from where it is brightest.
    """
    x, y = np.meshgrid((np.arange(n_columns) + 0.5) / n_columns - 0.5, (np.arange(n_rows) + 0.5) / n_rows - 0.5)
    slope = sheet.curl.slope(np.column_stack([x.ravel() * sheet.width_mm, y.ravel() * sheet.height_mm]))
    facing = float(sheet.curl.axis @ _direction(shot.light_direction_deg)) / math.tan(math.radians(_LAMP_HEIGHT_DEG))
    shade: Floats = (1 + slope * facing) / np.sqrt(1 + slope**2)
    shade /= max(1.0, shade.max())
    return shade.reshape(n_rows, n_columns).astype(np.float32)


def mask_within(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns how much of each photo pixel an `outline` (N, 2) px covers, uint8 (H, W), 255 for all of it."""
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 256).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=8)
    return mask


def add_occluders(scene: np.ndarray, shot: Shot, sheet: Sheet) -> None:
    """Lays fingers over the page's edge and coins on the page, in turn by chance, into the linear scene."""
    rng = np.random.default_rng(shot.occluder_seed)
    for _ in range(shot.n_occluders):
        radius_mm = shot.occluder_mm / 2 * rng.uniform(0.85, 1.15)
        is_finger, side = rng.uniform() < 0.5, int(rng.integers(4))
        place, reach_mm, tone = rng.uniform(0.05, 0.95, 2), rng.uniform(12, 45), float(rng.uniform(0.6, 1.0))
        box = np.array([sheet.width_mm, sheet.height_mm])
        if is_finger:
            inward = np.array([(0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0)][side])
            edge = np.array([(place[0], 0.0), (1.0, place[1]), (place[0], 1.0), (0.0, place[1])][side]) * box
            tip, tail_mm = edge + inward * (reach_mm - radius_mm), reach_mm + 60
        else:
            inward, tip, tail_mm = np.array([0.0, 1.0]), place * box, 0.0
        outline = sheet.photo_from_table(_strip(tip, inward, radius_mm, tail_mm))
        _lay_flat(scene, outline, tone * (_SKIN if is_finger else _COIN))


def add_glare(scene: np.ndarray, shot: Shot, sheet: Sheet) -> None:
    """Adds the mirror image of a lamp, a soft blob of light on the page, to the linear scene."""
    if shot.glare_rate > 0:
        scene += over_photo(glare_at, shot, sheet)[..., None]


def glare_at(photo_px: np.ndarray, shot: Shot, sheet: Sheet) -> np.ndarray:
    """Returns how much mirrored light, (N,), photo points (N, 2) px get."""
    from_lamp_mm = sheet.table_from_photo(photo_px) - np.array([shot.glare_x, shot.glare_y]) * 2 * sheet.centre_mm
    sd_mm = shot.glare_mm * _SD_PER_FULL_WIDTH
    return np.asarray(shot.glare_rate * np.exp(-(from_lamp_mm**2).sum(axis=1) / (2 * sd_mm**2)))


def _strip(tip: np.ndarray, inward: np.ndarray, radius_mm: float, tail_mm: float) -> np.ndarray:
    """The outline of a strip with round ends whose foremost round is centred on `tip`, (N, 2)."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 40)[:, None]
    sideways = np.array([-inward[1], inward[0]])
    front = tip + radius_mm * (np.cos(angle) * inward + np.sin(angle) * sideways)
    back = tip - tail_mm * inward - radius_mm * (np.cos(angle) * inward + np.sin(angle) * sideways)
    return np.concatenate([front, back])


def _lay_flat(scene: np.ndarray, outline: np.ndarray, colour: np.ndarray) -> None:
    height, width = scene.shape[:2]
    left, top = np.clip(np.floor(outline.min(axis=0)).astype(int) - 2, 0, (width, height))
    right, bottom = np.clip(np.ceil(outline.max(axis=0)).astype(int) + 3, 0, (width, height))
    if left >= right or top >= bottom:
        return
    share = mask_within(outline - (left, top), (right - left, bottom - top))[..., None].astype(np.float32) / 255
    part = scene[top:bottom, left:right]
    part += share * (colour - part)


def _covering(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The middle of a picture, scaled to fill (height, width), as linear light, float32."""
    scale = max(width / picture.shape[1], height / picture.shape[0])
    side_x, side_y = (
        min(side, max(1, round(length / scale))) for side, length in zip(picture.shape[1::-1], (width, height), strict=True)
    )
    left, top = (picture.shape[1] - side_x) // 2, (picture.shape[0] - side_y) // 2
    part = picture[top : top + side_y, left : left + side_x]
    linear = cv2.LUT(np.ascontiguousarray(part), linear_levels().astype(np.float32))
    return cv2.resize(linear, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _direction(degrees: float) -> np.ndarray:
    return np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])


def _wood_grain(width: int, height: int, px_per_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Zero-mean, about +-1: the grain runs along x."""

    def slow(cell_x_mm: float, cell_y_mm: float) -> np.ndarray:
        cells = (max(2, round(height / cell_y_mm / px_per_mm)), max(2, round(width / cell_x_mm / px_per_mm)))
        return cv2.resize(rng.standard_normal(cells, dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC)

    y_mm = (np.arange(height, dtype=np.float32) / px_per_mm)[:, None]
    plank_mm = 118.0
    plank = np.floor((y_mm + plank_mm * rng.uniform()) / plank_mm).astype(int)
    plank -= plank.min()
    plank_tone = rng.standard_normal(int(plank.max()) + 1).astype(np.float32)[plank]
    seam: np.ndarray = np.zeros((height, 1), np.float32)
    seam[1:][np.diff(plank, axis=0) > 0] = 1
    seam = cv2.GaussianBlur(seam, (1, 9), 1.2).reshape(height, 1)
    rings = np.sin(2 * np.pi * (y_mm / 11 + 1.6 * slow(120, 35) + 0.25 * slow(40, 8)))
    fibres = slow(18, 0.5) * 0.35 + slow(6, 0.3) * 0.2
    return np.asarray(0.35 * plank_tone + 0.35 * rings + 0.3 * slow(60, 3) + fibres - 6 * seam, np.float32)


def _edge_shadow(
    shot: Shot, table_px_from_page: np.ndarray, size: tuple[int, int], page_width_mm: float, page_height_mm: float
) -> np.ndarray:
    # the light comes from where it is brightest, so the shadow lies on the other side
    away_mm = 0.6 * _EDGE_SHADOW_MM * _direction(shot.light_direction_deg)
    corners = np.array([[0, 0], [page_width_mm, 0], [page_width_mm, page_height_mm], [0, page_height_mm]]) + away_mm
    mask = np.zeros(size[::-1], np.float32)
    cv2.fillConvexPoly(mask, np.rint(apply_homography(table_px_from_page, corners)).astype(np.int32), 1.0)
    return mask
