"""AprilTags (family 36h11, Olson 2011): large cells that are still found where blur hides the modules of a QR code."""

from functools import cache, lru_cache

import cv2
import numpy as np

from pipeline.records import CORNERS

N_CELLS = 8
_N_PAGES = 587 // len(CORNERS)


def tag_id(page: int, corner: str) -> int:
    """Returns the id of the tag beside one code; the family has ids for 146 pages, so later pages take the same ones again."""
    return len(CORNERS) * ((page - 1) % _N_PAGES) + CORNERS.index(corner)


@lru_cache(maxsize=1024)
def tag_modules(tag: int) -> np.ndarray:
    """Returns the tag's cells with its black border, bool (8, 8), True where dark, read-only."""
    cells = cv2.aruco.generateImageMarker(_dictionary(), tag, N_CELLS) < 128
    cells.setflags(write=False)
    return cells


def detect_tags(photo_grey: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Returns (id, corners float64 (4, 2): TL TR BR BL of the tag's own frame, photo px) of each tag, good to about a pixel.

    Args: `photo_grey` uint8 (H, W).
    """
    corners, ids, _ = _detector().detectMarkers(photo_grey)
    if not corners:
        return []
    return [(int(tag), quad.reshape(4, 2).astype(np.float64)) for tag, quad in zip(ids.ravel(), corners, strict=True)]


@cache
def _dictionary() -> cv2.aruco.Dictionary:
    return cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)


@cache
def _detector() -> cv2.aruco.ArucoDetector:
    return cv2.aruco.ArucoDetector(_dictionary())
