"""A printed page on a table with a drawn ruler beside it, seen by a camera: what is measured is known."""

import math

import cv2
import numpy as np

from pipeline.physical.page_map import PageMap

PX_PER_MM = 8
A4_MM = (210.0, 297.0)
_TABLE_MM = 45
# body grey, its opacity, grey of the ticks
LOOKS = {
    "white": (240, 1.0, 30),
    "steel": (165, 1.0, 50),
    "plastic": (200, 0.25, 40),
    "wood": (190, 1.0, 60),
    "black": (35, 1.0, 215),
}


def ruler(look: str = "white", length_mm: int = 150, tick_mm: tuple[float, float, float] = (3.0, 4.5, 6.0)) -> np.ndarray:
    """Returns a ruler, its millimetre edge on top: its grey times its opacity, and its opacity, uint8 (h, w, 2).

    Args: `tick_mm` how long ticks are at 1, 5 and 10 mm.
    """
    body, opacity, ink = LOOKS[look]
    big = 2 * PX_PER_MM
    picture = np.full((28 * big, (length_mm + 10) * big, 2), (body, round(255 * opacity)), np.uint8)
    for k in range(length_mm + 1):
        middle, half = (k + 5) * big, 0.09 * big
        long_mm = tick_mm[2 if k % 10 == 0 else 1 if k % 5 == 0 else 0]
        picture[: round(long_mm * big), round(middle - half) : round(middle + half)] = ink, 255
        if k % 10 == 0:
            for_text = np.zeros(picture.shape[:2], np.uint8)
            cv2.putText(for_text, str(k // 10), (round(middle - big), 11 * big), cv2.FONT_HERSHEY_SIMPLEX, 0.1 * big, 255, 4)
            picture[for_text > 0] = ink, 255
    for k in range(round(length_mm / 25.4 * 16) + 1):  # sixteenths of an inch along the other edge
        middle = round((5 + k * 25.4 / 16) * big)
        picture[-round((2.5 if k % 4 else 4.0 if k % 16 else 6.0) * big) :, middle - 1 : middle + 2] = ink, 255
    picture[..., 0] = np.rint(picture[..., 0] * (picture[..., 1] / 255))
    return cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def desk(
    page: np.ndarray,
    scale: float = 1.0,
    lying: np.ndarray | None = None,
    edge: int = 2,
    turn_deg: float = 0.0,
    gap_mm: float = 0.5,
    table: np.ndarray | None = None,
    page_mm: tuple[float, float] = A4_MM,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a table seen from above, uint8 (H, W) at 8 px a mm, with a page printed at `scale`, and `desk_px_from_page`.

    Args: `page` uint8 (h, w); `lying` a ruler, its millimetre edge `gap_mm` from the paper along the `edge` 0 .. 3 (top, right,
    bottom, left), turned by `turn_deg`; `table` uint8 (h, w), what the page lies on.
    """
    paper = np.array(page_mm)
    size = [round(side) for side in (paper + 2 * _TABLE_MM) * PX_PER_MM]
    picture = np.full(size[::-1], 96, np.uint8) if table is None else cv2.resize(table, size)
    top_left = _TABLE_MM * PX_PER_MM
    width, height = (round(side * PX_PER_MM) for side in paper)
    picture[top_left : top_left + height, top_left : top_left + width] = 250
    inset = (paper * (1 - scale) / 2 + _TABLE_MM) * PX_PER_MM
    px = scale * PX_PER_MM
    desk_from_page = np.array([[px, 0, inset[0] - 0.5], [0, px, inset[1] - 0.5], [0, 0, 1]])
    across = page.shape[1] / paper[0]
    desk_from_raster = desk_from_page @ np.array([[1 / across, 0, 0.5 / across], [0, 1 / across, 0.5 / across], [0, 0, 1]])
    drawn = cv2.warpPerspective(page, desk_from_raster, size, flags=cv2.INTER_LINEAR, borderValue=255)
    ink = slice(top_left, top_left + height), slice(top_left, top_left + width)
    picture[ink] = np.minimum(picture[ink], drawn[ink])
    if lying is not None:
        _lay(picture, lying, edge, turn_deg, gap_mm, paper)
    return picture, desk_from_page


def _lay(picture: np.ndarray, lying: np.ndarray, edge: int, turn_deg: float, gap_mm: float, paper: np.ndarray) -> None:
    half = paper / 2
    out_mm = (half[1], half[0], half[1], half[0])[edge] + gap_mm
    angle = math.radians(90 * edge + 180 + turn_deg)
    outward = math.radians(90 * edge - 90)
    middle = (half + _TABLE_MM + out_mm * np.array([math.cos(outward), math.sin(outward)])) * PX_PER_MM
    turned = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    place = np.column_stack([turned, middle - turned @ (lying.shape[1] / 2, 0)])
    there = cv2.warpAffine(lying, place, picture.shape[::-1])
    x, y, width, height = cv2.boundingRect(there[..., 1])
    box = slice(y, y + height), slice(x, x + width)
    alpha = there[box][..., 1] / 255
    picture[box] = np.rint(picture[box] * (1 - alpha) + there[box][..., 0])


def seen(
    desk_picture: np.ndarray,
    desk_from_page: np.ndarray,
    tilt_deg: float = 0.0,
    toward_deg: float = 90.0,
    turn_deg: float = 0.0,
    size: tuple[int, int] = (1500, 2000),
    noise_8bit: float = 3.0,
    blur_px: float = 0.6,
    seed: int = 0,
    fill: float = 0.95,
    page_mm: tuple[float, float] = A4_MM,
) -> tuple[np.ndarray, PageMap]:
    """Returns a camera's grey picture of a desk, uint8 (H, W), and the map from the page to it; a focal length of 26 mm."""
    focal = 26 * math.hypot(*size) / math.hypot(36, 24)
    height, width = desk_picture.shape
    distance = focal * max(width / size[0], height / size[1]) / fill
    toward = math.radians(toward_deg)
    axis = np.array([math.cos(toward), math.sin(toward), 0]) * math.radians(tilt_deg)
    roll = cv2.Rodrigues(np.array([0, 0, math.radians(turn_deg)]))[0]
    tilt = cv2.Rodrigues(axis)[0] @ roll
    camera = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
    centred = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    photo_from_desk = camera @ np.column_stack([tilt[:, :2], (0, 0, distance)]) @ centred
    photo = cv2.warpPerspective(desk_picture, photo_from_desk, size, flags=cv2.INTER_LINEAR, borderValue=90)
    photo = cv2.GaussianBlur(photo, (0, 0), blur_px) if blur_px else photo
    noise = np.empty(photo.shape, np.int16)
    cv2.setRNGSeed(seed)
    cv2.randn(noise, 0, noise_8bit)
    photo = cv2.add(photo.astype(np.int16), noise).clip(0, 255).astype(np.uint8)
    h = photo_from_desk @ desk_from_page
    return photo, PageMap(*page_mm, h / h[2, 2])
