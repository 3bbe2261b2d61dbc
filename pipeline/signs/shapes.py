"""The faces of the traffic signs, drawn from polygons and strokes: one RGBA plate per class, without fonts or files.

A plate spans -1 .. 1 in x (right) and y (down). Every shape is a filled polygon on a canvas four times as fine as the plate,
which is averaged down once, so edges are smooth and the bytes do not depend on a line-drawing mode.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

PLATE_PX = 256
_FINE_PX = 1024
_REACH = 0.95
_SHIFT_BITS = 4

Point = tuple[float, float]
Colour = tuple[int, int, int]
Points = Sequence[Point] | NDArray[np.float64]

RED, BLUE, YELLOW, GREEN = (192, 18, 32), (18, 76, 160), (250, 196, 12), (30, 150, 70)
WHITE, BLACK, GREY = (247, 247, 244), (20, 20, 24), (128, 130, 132)


@cache
def draw_plate(class_name: str) -> NDArray[np.uint8]:
    """Returns the face of one sign, uint8 (PLATE_PX, PLATE_PX, 4), RGB premultiplied by alpha; read-only.

    Raises:
        ValueError: there is no sign of that name.
    """
    if class_name not in FACES:
        raise ValueError(f"expected one of {sorted(FACES)}, got {class_name!r}")
    plate = _Plate()
    FACES[class_name](plate)
    pixels = cv2.resize(plate.pixels, (PLATE_PX, PLATE_PX), interpolation=cv2.INTER_AREA)
    pixels.setflags(write=False)
    return pixels


class _Plate:
    def __init__(self) -> None:
        self.pixels = np.zeros((_FINE_PX, _FINE_PX, 4), np.uint8)

    def polygon(self, points: Points, colour: Colour) -> None:
        half = _FINE_PX / 2
        fine = (np.asarray(points, np.float64) * _REACH * half + half - 0.5) * (1 << _SHIFT_BITS)
        cv2.fillPoly(self.pixels, [np.rint(fine).astype(np.int32)], (*colour, 255), lineType=cv2.LINE_8, shift=_SHIFT_BITS)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self.polygon(_arc(x, y, radius, radius, 0, 360), colour)

    def stroke(self, points: Points, width: float, colour: Colour, caps: str = "round") -> None:
        path = np.asarray(points, np.float64)
        for start, end in pairwise(path):
            along = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
            side = np.array([-along[1], along[0]]) * width / 2
            self.polygon(np.array([start + side, end + side, end - side, start - side]), colour)
        for x, y in path if caps == "round" else path[1:-1]:
            self.disc(x, y, width / 2, colour)

    def ring(self, x: float, y: float, radius: float, width: float, colour: Colour) -> None:
        self.stroke(_arc(x, y, radius, radius, 0, 360), width, colour)

    def rounded(self, points: Points, radius: float, colour: Colour) -> None:
        corners = np.asarray(points, np.float64)
        self.polygon(corners, colour)
        self.stroke(np.vstack([corners, corners[:1]]), 2 * radius, colour)

    def box(self, left: float, top: float, right: float, bottom: float, radius: float, colour: Colour) -> None:
        self.rounded(_corners(left + radius, top + radius, right - radius, bottom - radius), radius, colour)

    def arrow(self, points: Points, width: float, head: float, colour: Colour) -> None:
        """A stroke whose last point is the tip of a triangular head."""
        path = np.asarray(points, np.float64)
        tip = path[-1]
        along = (tip - path[-2]) / np.hypot(*(tip - path[-2]))
        side = np.array([-along[1], along[0]]) * head * 0.68
        neck = tip - along * head
        self.stroke(np.vstack([path[:-1], neck + along * 0.02]), width, colour, caps="flat")
        self.polygon(np.array([tip, neck + side, neck - side]), colour)

    def text(self, text: str, height: float, weight: float, colour: Colour, y: float = 0.0, condense: float = 1.0) -> None:
        """Upright sans-serif capitals and digits, centred on (0, y); `height` is between the outer edges of the strokes."""
        scale = height / (1 + weight)
        gap = weight + 0.15
        widths = [GLYPHS[letter][0] * condense for letter in text]
        x = -(sum(widths) + gap * (len(text) - 1)) * scale / 2
        for letter, width in zip(text, widths, strict=True):
            for path in GLYPHS[letter][1]:
                points = np.asarray(path, np.float64) * (condense * scale, scale) + (x, y - scale / 2)
                self.stroke(points, weight * scale, colour, caps="flat")
            x += (width + gap) * scale


def _arc(x: float, y: float, radius_x: float, radius_y: float, from_deg: float, to_deg: float) -> NDArray[np.float64]:
    angle = np.deg2rad(np.linspace(from_deg, to_deg, max(int(abs(to_deg - from_deg) / 4), 2) + 1))
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1)


def _bend(start: Point, control: Point, end: Point) -> NDArray[np.float64]:
    t = np.linspace(0, 1, 17)[:, None]
    return (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(control) + t**2 * np.array(end)


def _corners(left: float, top: float, right: float, bottom: float) -> list[Point]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


_END = 1.09
_LOOP = np.vstack([_arc(0.28, 0.28, 0.28, 0.28, 180, 360), _arc(0.28, 0.72, 0.28, 0.28, 0, 180), [(0.0, 0.28), (0.0, 0.3)]])
_FIVE = [np.array([(0.56, 0.0), (0.09, 0.0), (0.05, 0.46)]), _arc(0.26, 0.68, 0.29, 0.32, 222, 510)]
GLYPHS: dict[str, tuple[float, list[Points]]] = {
    "0": (0.56, [_LOOP]),
    "1": (0.34, [[(-0.02, 0.26), (0.28, 0.0), (0.28, _END)]]),
    "2": (0.56, [np.vstack([_arc(0.28, 0.28, 0.28, 0.28, 185, 398), [(0.02, 1.0), (0.6, 1.0)]])]),
    "3": (0.54, [_arc(0.26, 0.25, 0.25, 0.25, 195, 450), _arc(0.26, 0.74, 0.28, 0.26, -90, 165)]),
    "5": (0.55, [np.vstack(_FIVE)]),
    "6": (0.56, [_arc(0.28, 0.69, 0.28, 0.31, 0, 364), _bend((0.0, 0.69), (0.02, 0.3), (0.4, -0.06))]),
    "8": (0.58, [_arc(0.29, 0.24, 0.24, 0.24, 0, 364), _arc(0.29, 0.74, 0.29, 0.26, 0, 364)]),
    "S": (0.54, [np.vstack([_arc(0.27, 0.25, 0.26, 0.25, -20, -270), _arc(0.27, 0.75, 0.28, 0.25, -90, 160)])]),
    "T": (0.6, [[(-0.03, 0.0), (0.63, 0.0)], [(0.3, 0.0), (0.3, _END)]]),
    "O": (0.56, [_LOOP]),
    "P": (0.54, [np.vstack([[(0.0, _END), (0.0, 0.0), (0.26, 0.0)], _arc(0.26, 0.28, 0.28, 0.28, -90, 90), [(0.0, 0.56)]])]),
}


def _prohibition(plate: _Plate, ground: Colour = WHITE) -> None:
    plate.disc(0, 0, 1.0, WHITE)
    plate.disc(0, 0, 0.97, RED)
    plate.disc(0, 0, 0.76, ground)


def _mandatory(plate: _Plate) -> None:
    plate.disc(0, 0, 1.0, WHITE)
    plate.disc(0, 0, 0.95, BLUE)


def _warning(plate: _Plate) -> None:
    plate.rounded([(0, -0.79), (0.87, 0.71), (-0.87, 0.71)], 0.12, WHITE)
    plate.rounded([(0, -0.79), (0.87, 0.71), (-0.87, 0.71)], 0.09, RED)
    plate.rounded([(0, -0.48), (0.6, 0.555), (-0.6, 0.555)], 0.045, WHITE)


def _blue_board(plate: _Plate, half_width: float = 0.9) -> None:
    plate.box(-half_width, -0.95, half_width, 0.95, 0.12, WHITE)
    plate.box(-half_width + 0.05, -0.9, half_width - 0.05, 0.9, 0.09, BLUE)


def _stop(plate: _Plate) -> None:
    angle = np.deg2rad(np.arange(22.5, 360, 45))
    corners = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    plate.polygon(corners * 1.03, WHITE)
    plate.polygon(corners * 0.97, RED)
    plate.text("STOP", 0.66, 0.21, WHITE, condense=0.82)


def _yield(plate: _Plate) -> None:
    plate.rounded([(0, 0.79), (0.87, -0.71), (-0.87, -0.71)], 0.12, WHITE)
    plate.rounded([(0, 0.79), (0.87, -0.71), (-0.87, -0.71)], 0.09, RED)
    plate.rounded([(0, 0.40), (0.53, -0.515), (-0.53, -0.515)], 0.045, WHITE)


def _speed_limit(text: str) -> Callable[[_Plate], None]:
    def draw(plate: _Plate) -> None:
        _prohibition(plate)
        if len(text) == 2:
            plate.text(text, 0.80, 0.19, BLACK)
        else:
            plate.text(text, 0.72, 0.19, BLACK, condense=0.74)

    return draw


def _end_of_limits(plate: _Plate) -> None:
    plate.disc(0, 0, 1.0, BLACK)
    plate.disc(0, 0, 0.95, WHITE)
    for offset in (-0.24, -0.12, 0.0, 0.12, 0.24):
        reach = np.sqrt(0.95**2 - offset**2) - 0.02
        middle, along = np.array([offset, offset]) * np.sqrt(0.5), np.array([-1.0, 1.0]) * np.sqrt(0.5)
        plate.stroke([middle - along * reach, middle + along * reach], 0.06, BLACK, caps="flat")


def _no_entry(plate: _Plate) -> None:
    plate.disc(0, 0, 1.0, WHITE)
    plate.disc(0, 0, 0.95, RED)
    plate.box(-0.72, -0.19, 0.72, 0.19, 0.03, WHITE)


def _car(plate: _Plate, x: float, y: float, size: float, colour: Colour) -> None:
    def at(points: Points) -> NDArray[np.float64]:
        return np.asarray(points, np.float64) * size + (x, y)

    plate.rounded(at([(-0.42, 0.0), (0.42, 0.0), (0.44, 0.3), (-0.44, 0.3)]), 0.08 * size, colour)
    plate.rounded(at([(-0.26, -0.36), (0.26, -0.36), (0.38, 0.0), (-0.38, 0.0)]), 0.07 * size, colour)
    plate.polygon(at([(-0.23, -0.3), (0.23, -0.3), (0.31, -0.05), (-0.31, -0.05)]), WHITE)
    for side in (-1, 1):
        plate.polygon(at(_corners(side * 0.38 - 0.1, 0.3, side * 0.38 + 0.1, 0.54)), colour)
        plate.polygon(at(_arc(side * 0.3, 0.14, 0.08, 0.08, 0, 360)), WHITE)


def _no_overtaking(plate: _Plate) -> None:
    _prohibition(plate)
    _car(plate, -0.35, -0.02, 0.6, RED)
    _car(plate, 0.35, -0.02, 0.6, BLACK)


def _no_parking(plate: _Plate) -> None:
    _prohibition(plate, BLUE)
    plate.stroke([(-0.57, -0.57), (0.57, 0.57)], 0.2, RED)


def _no_stopping(plate: _Plate) -> None:
    _no_parking(plate)
    plate.stroke([(0.57, -0.57), (-0.57, 0.57)], 0.2, RED)


def _priority_road(plate: _Plate) -> None:
    for size, colour in ((0.94, BLACK), (0.91, WHITE), (0.62, BLACK), (0.59, YELLOW)):
        plate.rounded([(0, -size), (size, 0), (0, size), (-size, 0)], 0.06, colour)


def _right_of_way(plate: _Plate) -> None:
    _warning(plate)
    plate.arrow([(0, 0.54), (0, -0.34)], 0.19, 0.34, BLACK)
    plate.stroke([(-0.33, 0.22), (0.33, 0.22)], 0.11, BLACK, caps="flat")


def _straight_ahead(plate: _Plate) -> None:
    _mandatory(plate)
    plate.arrow([(0, 0.68), (0, -0.72)], 0.24, 0.5, WHITE)


def _turn(side: int) -> Callable[[_Plate], None]:
    def draw(plate: _Plate) -> None:
        _mandatory(plate)
        bend = _bend((-side * 0.3, 0.12), (-side * 0.3, -0.16), (0.0, -0.16))
        plate.arrow(np.vstack([[(-side * 0.3, 0.66)], bend, [(side * 0.7, -0.16)]]), 0.24, 0.48, WHITE)

    return draw


def _roundabout(plate: _Plate) -> None:
    _mandatory(plate)
    for start in (-100, 20, 140):
        plate.arrow(_arrow_arc(0.5, start, start + 88), 0.19, 0.36, WHITE)


def _arrow_arc(radius: float, from_deg: float, to_deg: float) -> NDArray[np.float64]:
    shaft = _arc(0, 0, radius, radius, from_deg, to_deg - 32)
    tangent = shaft[-1] - shaft[-2]
    return np.vstack([shaft, shaft[-1] + 0.36 * tangent / np.hypot(*tangent) + shaft[-1] * -0.14])


def _bicycle_path(plate: _Plate) -> None:
    _mandatory(plate)
    for x in (-0.44, 0.44):
        plate.ring(x, 0.22, 0.29, 0.075, WHITE)
    crank, seat, head = (-0.06, 0.22), (-0.2, -0.2), (0.28, -0.2)
    for path in ([(-0.44, 0.22), crank, head, seat, (-0.44, 0.22)], [seat, crank], [(0.44, 0.22), (0.24, -0.36), (0.42, -0.38)]):
        plate.stroke(path, 0.075, WHITE)
    plate.stroke([seat, (-0.235, -0.3)], 0.075, WHITE)
    plate.stroke([(-0.36, -0.31), (-0.14, -0.31)], 0.1, WHITE)


def _walker(plate: _Plate, x: float, y: float, size: float, side: int = 1) -> None:
    def at(*points: Point) -> NDArray[np.float64]:
        return np.array(points) * (side * size, size) + (x, y)

    head = at((0.04, -0.82))[0]
    plate.disc(head[0], head[1], 0.16 * size, BLACK)
    plate.rounded(at((-0.1, -0.52), (0.14, -0.52), (0.1, 0.0), (-0.1, 0.0)), 0.07 * size, BLACK)
    plate.stroke(at((-0.04, 0.0), (-0.16, 0.42), (-0.46, 0.84)), 0.17 * size, BLACK)
    plate.stroke(at((0.06, 0.0), (0.28, 0.38), (0.36, 0.86)), 0.17 * size, BLACK)
    plate.stroke(at((0.14, -0.5), (0.34, -0.2), (0.52, -0.12)), 0.12 * size, BLACK)
    plate.stroke(at((-0.1, -0.5), (-0.32, -0.24), (-0.38, 0.04)), 0.12 * size, BLACK)


def _pedestrian_crossing(plate: _Plate) -> None:
    _blue_board(plate)
    plate.polygon([(0, -0.74), (0.74, 0.62), (-0.74, 0.62)], WHITE)
    for x in (-0.42, -0.18, 0.06, 0.3):
        plate.polygon([(x, 0.44), (x + 0.13, 0.44), (x + 0.17, 0.6), (x - 0.01, 0.6)], BLACK)
    _walker(plate, 0.0, 0.02, 0.44, side=-1)


def _children(plate: _Plate) -> None:
    _warning(plate)
    _walker(plate, -0.17, 0.2, 0.4)
    _walker(plate, 0.23, 0.3, 0.3)


def _road_works(plate: _Plate) -> None:
    _warning(plate)
    plate.disc(-0.1, -0.22, 0.085, BLACK)
    plate.stroke([(-0.16, -0.06), (-0.24, 0.18)], 0.17, BLACK)
    plate.stroke([(-0.27, 0.2), (-0.2, 0.36), (-0.36, 0.54)], 0.1, BLACK)
    plate.stroke([(-0.22, 0.2), (-0.05, 0.34), (-0.08, 0.54)], 0.1, BLACK)
    plate.stroke([(-0.14, -0.06), (0.0, 0.14), (0.12, 0.12)], 0.075, BLACK)
    plate.stroke([(-0.14, 0.02), (0.3, 0.4)], 0.045, BLACK)
    plate.polygon(np.vstack([_arc(0.32, 0.55, 0.24, 0.25, 180, 360)]), BLACK)


def _curve(side: int) -> Callable[[_Plate], None]:
    def draw(plate: _Plate) -> None:
        _warning(plate)
        bend = _bend((side * -0.14, 0.24), (side * -0.14, 0.0), (side * 0.06, -0.1))
        plate.arrow(np.vstack([[(side * -0.14, 0.54)], bend, [(side * 0.22, -0.17)]]), 0.16, 0.3, BLACK)

    return draw


def _slippery_road(plate: _Plate) -> None:
    _warning(plate)
    _car(plate, 0.0, -0.02, 0.42, BLACK)
    t = np.linspace(0, 1, 25)
    for x in (-0.2, 0.2):
        plate.stroke(np.stack([x + 0.09 * np.sin(t * 2 * np.pi), 0.27 + 0.27 * t], axis=1), 0.065, BLACK)


def _wild_animals(plate: _Plate) -> None:
    _warning(plate)
    back, belly = [(-0.36, 0.22), (-0.3, 0.1), (-0.02, 0.1), (0.14, -0.14), (0.24, -0.1)], [(0.16, 0.18), (0.08, 0.3)]
    plate.polygon([*back, *belly, (-0.14, 0.28), (-0.3, 0.34)], BLACK)
    plate.polygon([(0.12, -0.16), (0.2, -0.2), (0.36, -0.06), (0.32, 0.0), (0.18, -0.04)], BLACK)
    fore_legs = [[(0.1, 0.2), (0.3, 0.22), (0.36, 0.34)], [(0.06, 0.24), (0.22, 0.34), (0.2, 0.46)]]
    hind_legs = [[(-0.3, 0.24), (-0.36, 0.4), (-0.48, 0.52)], [(-0.24, 0.26), (-0.22, 0.42), (-0.32, 0.54)]]
    tail = [(-0.34, 0.16), (-0.42, 0.12)]
    for path in (*fore_legs, *hind_legs, tail):
        plate.stroke(path, 0.06, BLACK)
    for path in ([(0.17, -0.16), (0.1, -0.28), (0.13, -0.38)], [(0.1, -0.28), (0.02, -0.3)], [(0.17, -0.16), (0.2, -0.3)]):
        plate.stroke(path, 0.035, BLACK)


def _traffic_lights(plate: _Plate) -> None:
    _warning(plate)
    plate.box(-0.17, -0.3, 0.17, 0.52, 0.07, BLACK)
    for y, colour in ((-0.15, RED), (0.11, YELLOW), (0.37, GREEN)):
        plate.disc(0, y, 0.105, colour)


def _danger(plate: _Plate) -> None:
    _warning(plate)
    plate.polygon([(-0.1, -0.32), (0.1, -0.32), (0.055, 0.27), (-0.055, 0.27)], BLACK)
    plate.disc(0, -0.32, 0.1, BLACK)
    plate.disc(0, 0.43, 0.1, BLACK)


def _parking(plate: _Plate) -> None:
    _blue_board(plate)
    plate.text("P", 1.2, 0.24, WHITE)


def _motorway(plate: _Plate) -> None:
    _blue_board(plate)
    for side in (-1, 1):
        plate.polygon([(side * 0.05, 0.72), (side * 0.03, -0.62), (side * 0.2, -0.62), (side * 0.56, 0.72)], WHITE)
    plate.polygon(_corners(-0.66, -0.3, 0.66, -0.08), BLUE)
    plate.polygon(_corners(-0.66, -0.25, 0.66, -0.13), WHITE)
    for side in (-1, 1):
        plate.polygon([(side * 0.66, -0.25), (side * 0.54, -0.25), (side * 0.54, 0.06), (side * 0.66, 0.06)], WHITE)


FACES: dict[str, Callable[[_Plate], None]] = {
    "stop": _stop,
    "yield": _yield,
    "speed limit 20": _speed_limit("20"),
    "speed limit 30": _speed_limit("30"),
    "speed limit 50": _speed_limit("50"),
    "speed limit 60": _speed_limit("60"),
    "speed limit 80": _speed_limit("80"),
    "speed limit 100": _speed_limit("100"),
    "speed limit 120": _speed_limit("120"),
    "end of limits": _end_of_limits,
    "no entry": _no_entry,
    "no overtaking": _no_overtaking,
    "no parking": _no_parking,
    "no stopping": _no_stopping,
    "priority road": _priority_road,
    "right of way": _right_of_way,
    "straight ahead": _straight_ahead,
    "turn right": _turn(1),
    "turn left": _turn(-1),
    "roundabout": _roundabout,
    "bicycle path": _bicycle_path,
    "pedestrian crossing": _pedestrian_crossing,
    "children": _children,
    "road works": _road_works,
    "curve left": _curve(-1),
    "curve right": _curve(1),
    "slippery road": _slippery_road,
    "wild animals": _wild_animals,
    "traffic lights": _traffic_lights,
    "danger": _danger,
    "parking": _parking,
    "motorway": _motorway,
}
