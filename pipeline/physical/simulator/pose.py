"""The phone before the page: how its frame is turned, how its lens bends straight lines, and where it is held."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.physical.geometry import Floats
from pipeline.physical.simulator.profile import Profile, Shot

_DIAGONAL_35MM_MM = 43.267
_FRAMING_STEPS = 150
_STRAIGHTENING_STEPS = 30
# of the length that is sought: what moves less has arrived
_STILL = 1e-14


def frame_size(shot: Shot, profile: Profile, page_width_mm: float, page_height_mm: float) -> tuple[int, int]:
    """Returns (W, H) in pixels of a photo taken with the phone turned the way the page is seen."""
    sideways = round(shot.roll_deg / 90) % 2 == 1
    portrait = (page_height_mm >= page_width_mm) != sideways
    short, long = profile.frame_short_px, profile.frame_long_px
    return (short, long) if portrait else (long, short)


@dataclass(frozen=True, slots=True)
class Lens:
    """Radial and tangential distortion (Brown 1966): x becomes x (1 + k1 r^2 + k2 r^4) + 2 p1 x y + p2 (r^2 + 2 x^2), y likewise.

    Lengths are from the frame's centre in half diagonals, so `k1` + `k2` is the share by which the corners move outwards.
    """

    size: tuple[int, int]
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0

    def bent(self, photo_px: Floats) -> Floats:
        """Returns where points (N, 2) px of a perfect lens are seen."""
        return photo_px + self._unit_px * self._moves(self._from_centre(photo_px))

    def straightened(self, photo_px: Floats) -> Floats:
        """Returns where a perfect lens would have shown points (N, 2) px, exact to 1e-9 px for |k1| <= 0.05."""
        seen = straight = self._from_centre(photo_px)
        for _ in range(_STRAIGHTENING_STEPS):
            radial = 1 + self._stretch(straight)
            before, straight = straight, (seen - self._moves(straight) + straight * (radial - 1)) / radial
            if np.abs(straight - before).max(initial=0) < _STILL:
                break
        return photo_px + self._unit_px * (straight - seen)

    def _moves(self, from_centre: Floats) -> Floats:
        x, y = from_centre.T
        square = x * x + y * y
        aside: Floats = np.column_stack(
            [2 * self.p1 * x * y + self.p2 * (square + 2 * x * x), self.p1 * (square + 2 * y * y) + 2 * self.p2 * x * y]
        )
        return from_centre * self._stretch(from_centre) + aside

    def _stretch(self, from_centre: Floats) -> Floats:
        square: Floats = (from_centre**2).sum(axis=1, keepdims=True)
        return square * (self.k1 + self.k2 * square)

    def _from_centre(self, photo_px: Floats) -> Floats:
        return (photo_px - (np.array(self.size) - 1) / 2) / self._unit_px

    @property
    def _unit_px(self) -> float:
        return math.hypot(*self.size) / 2


@dataclass(frozen=True, eq=False, slots=True)
class Pose:
    """Where the pinhole is: `camera` (3, 3) px, and the `turn` (3, 3) and `position` (3,) mm of the page's centre before it."""

    camera: Floats
    turn: Floats
    position: Floats

    def photo_from_space(self, points_mm: Floats) -> Floats:
        """Returns the photo px (N, 2), for a perfect lens, of points (N, 3) from the page's centre."""
        seen = (points_mm @ self.turn.T + self.position) @ self.camera.T
        return seen[:, :2] / seen[:, 2:]

    def photo_from_flat(self, width_mm: float, height_mm: float) -> Floats:
        """Returns the homography (3, 3) to px, for a perfect lens, from mm of a page that lies flat on the table."""
        centre = np.array([width_mm, height_mm]) / 2
        h = self.camera @ np.column_stack([self.turn[:, :2], self.position - self.turn[:, :2] @ centre])
        h /= h[2, 2]
        return h


def pose(shot: Shot, profile: Profile, outline_mm: Floats, lens: Lens) -> Pose:
    """Returns where the phone is held so that its frame holds the whole page.

    The phone is rolled, then tilted about an axis in its own plane, then moved until the bounding box of the page as seen
    fills `page_fill_rate` of the tighter side of the frame, and sideways within the room that is left.

    Args:
        outline_mm: (N, 3) points of the paper's edge: right, down and into the table from the page's centre.
    """
    width, height = lens.size
    focal_px = profile.focal_35mm_mm * math.hypot(width, height) / _DIAGONAL_35MM_MM
    camera = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    axis = math.radians(shot.tilt_direction_deg)
    tilt, _ = cv2.Rodrigues(math.radians(shot.tilt_deg) * np.array([math.cos(axis), math.sin(axis), 0.0]))
    roll, _ = cv2.Rodrigues(np.array([0, 0, math.radians(shot.roll_deg)]))
    frame = np.array([width, height], np.float64)
    room = np.clip(0.96 - shot.page_fill_rate, 0, None) * frame / 2
    wanted = (frame - 1) / 2 + room * np.array([shot.offset_x, shot.offset_y])
    # from afar and by half steps: strongly tilted, the near edge of the page grows faster than the distance shrinks
    far_mm = 3 * focal_px * np.ptp(outline_mm, axis=0).max() / max(width, height)
    held = Pose(camera, tilt @ roll, np.array([0.0, 0.0, far_mm]))
    for _ in range(_FRAMING_STEPS):
        before = held.position.copy()
        seen = lens.bent(held.photo_from_space(outline_mm))
        low, high = seen.min(axis=0), seen.max(axis=0)
        held.position[2] *= math.sqrt(((high - low) / frame).max() / shot.page_fill_rate)
        held.position[:2] += (wanted - (low + high) / 2) * held.position[2] / focal_px / 2
        if np.abs(held.position - before).max() < _STILL * far_mm:
            break
    return held
