"""How one photograph shows an image that is printed somewhere on its page: scale, phase, light and colour fringes there."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.physical.geometry import jacobian
from pipeline.physical.simulator.profile import Profile, Shot
from pipeline.physical.simulator.scene import glare_at, light_at, slope_shade
from pipeline.physical.simulator.sheet import Sheet, sheet_of

_LIGHT_CELL_MM = 2.5
_SHADE_CELLS = (48, 68)


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """One image in one photo. Pairs are (x, y) along the image's own axes: the photo is turned until the image is upright.

    `corner_mm` is where the image's top left corner lies on the page and `image_mm` its size there; `scale` is in photo pixels
    per image pixel; `centre_px` where the image's middle lies in the upright photo; `turn_deg` how far the image is turned
    clockwise in the photo as it was taken; `fringe_px` by how much red is moved at the image's middle and `fringe_rate` by which
    share it is larger, blue the other way and smaller. `light` and `glare` (n, n), at points evenly spread from edge to edge of
    the image, are the light that a perfect white sends to the sensor, and what is mirrored there on top.
    """

    shot: Shot
    corner_mm: tuple[float, float]
    image_mm: tuple[float, float]
    scale: tuple[float, float]
    centre_px: tuple[float, float]
    turn_deg: float
    fringe_px: tuple[float, float]
    fringe_rate: float
    light: np.ndarray
    glare: np.ndarray


def place_of(
    shot: Shot,
    profile: Profile,
    page_mm: tuple[float, float],
    corner_mm: tuple[float, float],
    image_mm: tuple[float, float],
    image_px: tuple[int, int],
) -> Place:
    """Returns what a shot makes of an image of `image_px` (H, W) whose top left corner lies at `corner_mm`.

    The map from page to photo is taken for a similarity with one scale along each axis of the image: the Jacobian at the
    image's middle, whose lengths are kept and whose shear is not.
    """
    sheet = sheet_of(shot, profile, *page_mm)
    corner, size = np.array(corner_mm), np.array(image_mm)
    middle = (corner + size / 2)[None]
    (centre,), (slopes,) = sheet.photo_from_page(middle), jacobian(sheet.photo_from_page, middle, 0.05)
    scale = np.linalg.norm(slopes, axis=0) * size / image_px[::-1]
    turn = math.atan2(slopes[1, 0] - slopes[0, 1], slopes[0, 0] + slopes[1, 1])
    frame = np.array(sheet.lens.size, float)
    from_middle = centre - (frame - 1) / 2
    quarters = round(math.degrees(turn) / 90)
    upright_frame = frame[::-1] if quarters % 2 else frame
    fringe_rate = shot.chromatic_px / (math.hypot(*frame) / 2)
    cells = max(2, round(max(size) / _LIGHT_CELL_MM)) + 1
    x, y = np.meshgrid(corner[0] + np.linspace(0, size[0], cells), corner[1] + np.linspace(0, size[1], cells))
    page = np.column_stack([x.ravel(), y.ravel()])
    photo = sheet.photo_from_page(page)
    falling = light_at(photo, shot, sheet)
    glare = glare_at(photo, shot, sheet) if shot.glare_rate > 0 else np.zeros(len(page))
    return Place(
        shot,
        _pair(corner),
        _pair(size),
        _pair(scale),
        _pair(_turned(from_middle, -quarters * math.pi / 2) + (upright_frame - 1) / 2),
        math.degrees(turn),
        _pair(_turned(from_middle, -turn) * fringe_rate),
        fringe_rate,
        (falling * _shade(page, shot, sheet)).reshape(cells, cells),
        (falling * glare).reshape(cells, cells),
    )


def _pair(vector: np.ndarray) -> tuple[float, float]:
    return float(vector[0]), float(vector[1])


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    x, y = vector
    return np.array([x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)])


def _shade(page_mm: np.ndarray, shot: Shot, sheet: Sheet) -> np.ndarray:
    if shot.curl_mm <= 0:
        return np.ones(len(page_mm))
    columns, rows = _SHADE_CELLS
    grid = slope_shade(shot, sheet, columns, rows).astype(np.float64)
    x = np.clip(page_mm[:, 0] / sheet.width_mm * columns - 0.5, 0, columns - 1 - 1e-9)
    y = np.clip(page_mm[:, 1] / sheet.height_mm * rows - 0.5, 0, rows - 1 - 1e-9)
    i, j = x.astype(int), y.astype(int)
    u, v = x - i, y - j
    upper, lower = (grid[r, i] * (1 - u) + grid[r, i + 1] * u for r in (j, j + 1))
    return np.asarray(upper * (1 - v) + lower * v)
