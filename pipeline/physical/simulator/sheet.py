"""Where a point of the paper lies in the photo: a sheet bent like a cylinder, a pinhole, and a lens that bends straight lines."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.physical.geometry import Floats, apply_homography, jacobian
from pipeline.physical.page_map import PageMap
from pipeline.physical.simulator.profile import Profile, Shot

_LIFTED_SHARE = 0.5
_N_SAMPLES = 8001
_CURVED_REACH = 1.3
_STRAIGHT_REACH = 40.0
_NEWTON_STEPS = 15
_STEP_MM = 0.01
_LONGEST_MOVE_MM = 20.0
_DIAGONAL_35MM_MM = 43.267
_FRAMING_STEPS = 150
_STRAIGHTENING_STEPS = 30
# of the length that is sought: what moves less has arrived
_STILL = 1e-14


@dataclass(frozen=True, eq=False)
class Curl:
    """The shape of the sheet, the same all along the direction across `axis` (2,): a cylinder, which paper can be bent to.

    Tables along the axis, in mm from the page's centre: `along` the paper, `across` the table beneath it, `height` above it.
    """

    axis: Floats
    along: Floats
    across: Floats
    height: Floats

    def in_space(self, centred_mm: Floats) -> Floats:
        """Returns points (N, 3) mm, right, down and into the table, of page points (N, 2) mm from the page's centre."""
        normal = np.array([-self.axis[1], self.axis[0]])
        # paper bends but does not stretch: its length across the bend is arc length
        across = np.interp(centred_mm @ self.axis, self.along, self.across)
        height = np.interp(across, self.across, self.height)
        return np.column_stack([across[:, None] * self.axis + (centred_mm @ normal)[:, None] * normal, -height])

    def slope(self, centred_mm: Floats) -> Floats:
        """Returns how steeply the sheet rises along the axis, (N,), at page points (N, 2) mm from the page's centre."""
        along = centred_mm @ self.axis
        middles = (self.along[1:] + self.along[:-1]) / 2
        return np.interp(along, middles, np.diff(self.height) / np.diff(self.across))


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
        stretch = square * (self.k1 + self.k2 * square)
        moves: Floats = np.empty_like(from_centre)
        moves[:, 0] = x * stretch + (2 * self.p1 * x * y + self.p2 * (square + 2 * x * x))
        moves[:, 1] = y * stretch + (self.p1 * (square + 2 * y * y) + 2 * self.p2 * x * y)
        return moves

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


@dataclass(frozen=True, eq=False)
class Sheet:
    """One sheet before one phone; maps between page mm, photo px and the plane of the table."""

    width_mm: float
    height_mm: float
    curl: Curl
    lens: Lens
    pose: Pose

    @property
    def centre_mm(self) -> Floats:
        """The middle of the page, (2,) mm."""
        return np.array([self.width_mm, self.height_mm]) / 2

    @property
    def photo_from_flat(self) -> Floats:
        """The homography (3, 3) from page mm to photo px of a flat page and a perfect lens."""
        turn = self.pose.turn[:, :2]
        h = self.pose.camera @ np.column_stack([turn, self.pose.position - turn @ self.centre_mm])
        h /= h[2, 2]
        return h

    @property
    def page_map(self) -> PageMap:
        """The truth of this photo."""
        return PageMap.fitted(self.photo_from_page, self.width_mm, self.height_mm)

    def photo_from_page(self, page_mm: Floats) -> Floats:
        """Returns the photo px (N, 2) of page points (N, 2) mm."""
        return self.lens.bent(self.pose.photo_from_space(self.curl.in_space(page_mm - self.centre_mm)))

    def photo_from_table(self, table_mm: Floats) -> Floats:
        """Returns the photo px (N, 2) of points (N, 2) of the table's plane, in mm of a flat page lying on it."""
        return self.lens.bent(apply_homography(self.photo_from_flat, table_mm))

    def table_from_photo(self, photo_px: Floats) -> Floats:
        """Returns the points (N, 2) of the table's plane, in mm of a flat page lying on it, that photo points (N, 2) show."""
        return apply_homography(np.linalg.inv(self.photo_from_flat), self.lens.straightened(photo_px))

    def page_from_photo(self, photo_px: Floats) -> Floats:
        """Returns the page points (N, 2) mm that photo points (N, 2) show, by Newton's method."""
        page = self.table_from_photo(photo_px)
        for _ in range(_NEWTON_STEPS):
            slopes = jacobian(self.photo_from_page, page, _STEP_MM)
            move = np.linalg.solve(slopes, (photo_px - self.photo_from_page(page))[..., None])[..., 0]
            page = page + np.clip(move, -_LONGEST_MOVE_MM, _LONGEST_MOVE_MM)
            if np.abs(move).max(initial=0) < 1e-7:
                break
        return page

    def outline(self) -> Floats:
        """Returns the paper's edge in the photo, (N, 2) px, clockwise from its top left corner."""
        return self.photo_from_page(_edge(self.width_mm, self.height_mm))


def sheet_of(shot: Shot, profile: Profile, width_mm: float, height_mm: float, still: float = _STILL) -> Sheet:
    """Returns the sheet and the phone that a shot drew.

    Args: still: how exactly the phone is held, as a share of its distance; each ten times less costs three steps of fifty.
    """
    curl = curl_of(shot, width_mm, height_mm)
    size = _frame_size(shot, profile, width_mm, height_mm)
    lens = Lens(size, shot.lens_k1, shot.lens_k2, shot.lens_p1, shot.lens_p2)
    outline = curl.in_space(_edge(width_mm, height_mm) - np.array([width_mm, height_mm]) / 2)
    return Sheet(width_mm, height_mm, curl, lens, _pose(shot, profile, outline, lens, still))


def curl_of(shot: Shot, width_mm: float, height_mm: float) -> Curl:
    """Returns the shape that a shot drew: the sheet's highest point is `curl_mm` above its lowest, which lies on the table.

    Across the axis it is a parabola, bulging in the middle or lifting at the edges, made lopsided by a cubic term.
    """
    angle = np.radians(shot.curl_direction_deg)
    axis = np.array([np.cos(angle), np.sin(angle)])
    half_mm = (abs(axis[0]) * width_mm + abs(axis[1]) * height_mm) / 2
    t = np.linspace(-_CURVED_REACH, _CURVED_REACH, _N_SAMPLES)
    shape = (1 - t**2 if shot.curl_lift < _LIFTED_SHARE else t**2) * (1 + shot.curl_skew * t)
    on_page = shape[np.abs(t) <= 1]
    height = shot.curl_mm * (shape - on_page.min()) / np.ptp(on_page)
    # well beyond the paper it goes on straight, so that every photo point shows one point of the sheet
    reach = _STRAIGHT_REACH / (t[1] - t[0])
    across, height = half_mm * _extended(t, reach), _extended(height, reach)
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(across), np.diff(height)))])
    return Curl(axis, length - np.interp(0, across, length), across, height)


def _frame_size(shot: Shot, profile: Profile, page_width_mm: float, page_height_mm: float) -> tuple[int, int]:
    """Returns (W, H) in pixels of a photo taken with the phone turned the way the page is seen."""
    sideways = round(shot.roll_deg / 90) % 2 == 1
    portrait = (page_height_mm >= page_width_mm) != sideways
    short, long = profile.frame_short_px, profile.frame_long_px
    return (short, long) if portrait else (long, short)


def _pose(shot: Shot, profile: Profile, outline_mm: Floats, lens: Lens, still: float) -> Pose:
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
        if np.abs(held.position - before).max() < still * far_mm:
            break
    return held


def _extended(values: Floats, n_steps: float) -> Floats:
    before, after = values[0] - n_steps * (values[1] - values[0]), values[-1] + n_steps * (values[-1] - values[-2])
    return np.concatenate([[before], values, [after]])


def _edge(width_mm: float, height_mm: float, n_per_side: int = 60) -> Floats:
    t = np.linspace(0, 1, n_per_side, endpoint=False)
    none, all_ = np.zeros_like(t), np.ones_like(t)
    sides = np.concatenate([np.column_stack(side) for side in ((t, none), (all_, t), (1 - t, all_), (none, 1 - t))])
    return sides * (width_mm, height_mm)
