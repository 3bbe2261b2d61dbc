"""The scene: where the phone is held, what table lies beneath the page, and how the light falls; all in page millimetres."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.geometry import apply_homography, image_corners, scale_at
from pipeline.simulator.profile import Profile, Shot

_TABLE_MAX_PX_PER_MM = 4.0
_TABLE_REACH_MM = 450.0
_EDGE_SHADOW_MM = 1.3
_LIGHT_CELL_PX = 24
_DIAGONAL_35MM_MM = 43.267


def frame_size(shot: Shot, profile: Profile, page_width_mm: float, page_height_mm: float) -> tuple[int, int]:
    """Returns (W, H) in pixels of a photo taken with the phone turned the way the page is seen."""
    sideways = round(shot.roll_deg / 90) % 2 == 1
    portrait = (page_height_mm >= page_width_mm) != sideways
    short, long = profile.frame_short_px, profile.frame_long_px
    return (short, long) if portrait else (long, short)


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a pinhole camera stands: `camera` (3, 3) px, `turn` (3, 3) and `position` (3,) mm of the page's centre before it."""

    camera: np.ndarray
    turn: np.ndarray
    position: np.ndarray
    photo_from_page: np.ndarray


def pose(shot: Shot, profile: Profile, page_width_mm: float, page_height_mm: float) -> Pose:
    """Returns where the phone is held, and `photo_from_page`, mm to px, as it were for a flat page without lens distortion.

    The phone is rolled, then tilted about an axis in its own plane, then moved until the page's bounding box fills
    `page_fill_rate` of the tighter side of the frame, and sideways within the room that is left.
    """
    width, height = frame_size(shot, profile, page_width_mm, page_height_mm)
    focal_px = profile.focal_35mm_mm * math.hypot(width, height) / _DIAGONAL_35MM_MM
    camera = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    axis = math.radians(shot.tilt_direction_deg)
    tilt, _ = cv2.Rodrigues(math.radians(shot.tilt_deg) * np.array([math.cos(axis), math.sin(axis), 0.0]))
    roll, _ = cv2.Rodrigues(np.array([0, 0, math.radians(shot.roll_deg)]))
    turn = tilt @ roll
    half = np.array([page_width_mm, page_height_mm]) / 2
    corners = np.array([[0, 0], [page_width_mm, 0], [page_width_mm, page_height_mm], [0, page_height_mm]])
    frame = np.array([width, height], np.float64)
    room = np.clip(0.96 - shot.page_fill_rate, 0, None) * frame / 2
    position = np.array([0.0, 0.0, focal_px * max(page_width_mm, page_height_mm) / max(width, height)])
    for _ in range(60):
        photo_from_page = camera @ np.column_stack([turn[:, 0], turn[:, 1], position - turn[:, :2] @ half])
        seen = apply_homography(photo_from_page, corners)
        low, high = seen.min(axis=0), seen.max(axis=0)
        position[2] *= ((high - low) / frame).max() / shot.page_fill_rate
        wanted = (frame - 1) / 2 + room * np.array([shot.offset_x, shot.offset_y])
        position[:2] += (wanted - (low + high) / 2) * position[2] / focal_px
    photo_from_page = camera @ np.column_stack([turn[:, 0], turn[:, 1], position - turn[:, :2] @ half])
    return Pose(camera, turn, position, photo_from_page / photo_from_page[2, 2])


def table(
    shot: Shot,
    profile: Profile,
    photo_from_page: np.ndarray,
    size: tuple[int, int],
    page_width_mm: float,
    page_height_mm: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the reflectance of the table, float32 (h, w, 3), and `page_from_table`, px to mm.

    Wood: planks of differing tone, rings bent by slow noise, and fibres; the page's edge throws a narrow soft shadow.
    """
    page_from_photo = np.linalg.inv(photo_from_page)
    centre = np.array([page_width_mm, page_height_mm]) / 2
    along, across = _direction(shot.table_direction_deg), _direction(shot.table_direction_deg + 90)
    page_from_plank = np.array([[along[0], across[0], centre[0]], [along[1], across[1], centre[1]], [0, 0, 1]])
    seen = apply_homography(np.linalg.inv(page_from_plank) @ page_from_photo, image_corners(*size))
    low, high = np.clip([seen.min(axis=0) - 4, seen.max(axis=0) + 4], -_TABLE_REACH_MM, _TABLE_REACH_MM)
    px_per_mm = min(_TABLE_MAX_PX_PER_MM, scale_at(page_from_photo, centre))
    width, height = (int(v) for v in np.ceil((high - low) * px_per_mm))
    page_from_table = page_from_plank @ np.array([[1 / px_per_mm, 0, low[0]], [0, 1 / px_per_mm, low[1]], [0, 0, 1]])
    grain = _wood_grain(width, height, px_per_mm, rng)
    tone = 1 + profile.table_grain_rate * grain
    shadow = _edge_shadow(shot, page_from_table, width, height, page_width_mm, page_height_mm)
    tone *= 1 - profile.edge_shadow_rate * cv2.GaussianBlur(shadow, (0, 0), _EDGE_SHADOW_MM * px_per_mm)
    # darker wood is also redder, and the seams are dark, not black
    np.maximum(tone, 0.15, out=tone)
    hue = 1 + profile.table_grain_rate * grain[..., None] * np.array([-0.1, 0.05, 0.25], np.float32)
    return (np.array(profile.table_reflectance, np.float32) * tone[..., None] * hue).astype(np.float32), page_from_table


def light(
    shot: Shot, photo_from_page: np.ndarray, size: tuple[int, int], page_width_mm: float, page_height_mm: float
) -> np.ndarray:
    """Returns the light that falls on and passes the lens at each photo pixel, float32 (H, W), at most 1.

    A linear fall across the page in the plane of the table, a soft-edged cast shadow, and the lens's radial fall-off as
    the square of the distance from the centre. Worked out on a coarse grid: nothing in it is finer than 2 mm.
    """
    width, height = size
    columns, rows = -(-width // _LIGHT_CELL_PX), -(-height // _LIGHT_CELL_PX)
    y, x = np.mgrid[0:rows, 0:columns].reshape(2, -1)
    photo = np.column_stack([(x + 0.5) * width / columns - 0.5, (y + 0.5) * height / rows - 0.5])
    page = apply_homography(np.linalg.inv(photo_from_page), photo) - np.array([page_width_mm, page_height_mm]) / 2
    half_diagonal_mm = math.hypot(page_width_mm, page_height_mm) / 2
    along = page @ _direction(shot.light_direction_deg) / half_diagonal_mm
    shade = 1 - shot.light_fall_rate * np.clip(along + 1, 0, 2) / 2
    beyond_mm = page @ _direction(shot.cast_shadow_direction_deg) - shot.cast_shadow_reach * half_diagonal_mm
    shade *= 1 - shot.cast_shadow_rate * (1 + np.tanh(2 * beyond_mm / max(shot.cast_shadow_softness_mm, 1e-3))) / 2
    from_centre = (photo - (np.array(size) - 1) / 2) / (math.hypot(width, height) / 2)
    shade *= 1 - shot.vignette_rate * (from_centre**2).sum(axis=1)
    return cv2.resize(shade.reshape(rows, columns).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)


def page_mask(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns how much of each photo pixel the page within `outline` (N, 2) px covers, uint8 (H, W), 255 for all of it."""
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 256).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=8)
    return mask


def add_glare(scene: np.ndarray, shot: Shot, photo_from_page: np.ndarray, page_width_mm: float, page_height_mm: float) -> None:
    """Adds the mirror image of a lamp, a soft blob of light on the page, to the linear scene."""
    if shot.glare_rate <= 0:
        return
    height, width = scene.shape[:2]
    columns, rows = -(-width // _LIGHT_CELL_PX), -(-height // _LIGHT_CELL_PX)
    y, x = np.mgrid[0:rows, 0:columns].reshape(2, -1)
    photo = np.column_stack([(x + 0.5) * width / columns - 0.5, (y + 0.5) * height / rows - 0.5])
    page = apply_homography(np.linalg.inv(photo_from_page), photo)
    from_lamp_mm = page - np.array([shot.glare_x * page_width_mm, shot.glare_y * page_height_mm])
    blob = shot.glare_rate * np.exp(-(from_lamp_mm**2).sum(axis=1) / (2 * shot.glare_mm**2))
    scene += cv2.resize(blob.reshape(rows, columns).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)[
        ..., None
    ]


def add_occluders(
    scene: np.ndarray, shot: Shot, photo_from_page: np.ndarray, page_width_mm: float, page_height_mm: float
) -> None:
    """Lays fingers over the page's edge, or coins and cups on it, into the linear scene."""
    rng = np.random.default_rng(shot.occluder_seed)
    for _ in range(shot.n_occluders):
        side, along, length = int(rng.integers(4)), rng.uniform(0.05, 0.95), rng.uniform(12, 45)
        width_mm, tone = rng.uniform(14, 20), rng.uniform(0.6, 1.0)
        edge = {0: (along, 0.0), 1: (1.0, along), 2: (along, 1.0), 3: (0.0, along)}[side]
        start = np.array(edge) * (page_width_mm, page_height_mm)
        inward = np.array({0: (0.0, 1.0), 1: (-1.0, 0.0), 2: (0.0, -1.0), 3: (1.0, 0.0)}[side])
        ends = apply_homography(photo_from_page, np.array([start - 60 * inward, start + length * inward]))
        middle = apply_homography(photo_from_page, np.array([start, start + inward]))
        thickness = max(1, round(width_mm * float(np.linalg.norm(middle[1] - middle[0]))))
        colour = tuple(float(tone * value) for value in (0.52, 0.30, 0.21))
        cv2.line(scene, *(tuple(int(v) for v in np.clip(end, -30000, 30000)) for end in ends), colour, thickness)


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
    seam = np.zeros((height, 1), np.float32)
    seam[1:][np.diff(plank, axis=0) > 0] = 1
    seam = cv2.GaussianBlur(seam, (1, 9), 1.2).reshape(height, 1)
    rings = np.sin(2 * np.pi * (y_mm / 11 + 1.6 * slow(120, 35) + 0.25 * slow(40, 8)))
    fibres = slow(18, 0.5) * 0.35 + slow(6, 0.3) * 0.2
    return (0.35 * plank_tone + 0.35 * rings + 0.3 * slow(60, 3) + fibres - 6 * seam).astype(np.float32)


def _edge_shadow(
    shot: Shot, page_from_table: np.ndarray, width: int, height: int, page_width_mm: float, page_height_mm: float
) -> np.ndarray:
    # the light comes from where it is brightest, so the shadow lies on the other side
    away_mm = 0.6 * _EDGE_SHADOW_MM * _direction(shot.light_direction_deg)
    corners = np.array([[0, 0], [page_width_mm, 0], [page_width_mm, page_height_mm], [0, page_height_mm]]) + away_mm
    mask = np.zeros((height, width), np.float32)
    cv2.fillConvexPoly(mask, np.rint(apply_homography(np.linalg.inv(page_from_table), corners)).astype(np.int32), 1.0)
    return mask
