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
# filled polygons, the later ones on top
Shapes = list[tuple[NDArray[np.float64], Colour]]

RED, BLUE, YELLOW, GREEN = (192, 18, 32), (18, 76, 160), (250, 196, 12), (30, 150, 70)
WHITE, BLACK = (247, 247, 244), (20, 20, 24)


@cache
def draw_plate(class_name: str) -> NDArray[np.uint8]:
    """Returns the face of one sign, uint8 (PLATE_PX, PLATE_PX, 4), RGB premultiplied by alpha; read-only.

    Raises:
        ValueError: there is no sign of that name.
    """
    if class_name not in FACES:
        raise ValueError(f"expected one of {sorted(FACES)}, got {class_name!r}")
    fine = np.zeros((_FINE_PX, _FINE_PX, 4), np.uint8)
    for points, colour in FACES[class_name]():
        places = ((points * _REACH + 1) * _FINE_PX / 2 - 0.5) * (1 << _SHIFT_BITS)
        cv2.fillPoly(fine, [np.rint(places).astype(np.int32)], (*colour, 255), lineType=cv2.LINE_8, shift=_SHIFT_BITS)
    pixels = cv2.resize(fine, (PLATE_PX, PLATE_PX), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    pixels.setflags(write=False)
    return pixels


def _polygon(points: Points, colour: Colour) -> Shapes:
    return [(np.asarray(points, np.float64), colour)]


def _disc(x: float, y: float, radius: float, colour: Colour) -> Shapes:
    return _polygon(_arc(x, y, radius, radius, 0, 360), colour)


def _stroke(points: Points, width: float, colour: Colour, caps: str = "round") -> Shapes:
    path, shapes = np.asarray(points, np.float64), Shapes()
    for start, end in pairwise(path):
        along = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
        side = np.array([-along[1], along[0]]) * width / 2
        shapes += _polygon(np.array([start + side, end + side, end - side, start - side]), colour)
    for x, y in path if caps == "round" else path[1:-1]:
        shapes += _disc(x, y, width / 2, colour)
    return shapes


def _rounded(points: Points, radius: float, colour: Colour) -> Shapes:
    corners = np.asarray(points, np.float64)
    return [*_polygon(corners, colour), *_stroke(np.vstack([corners, corners[:1]]), 2 * radius, colour)]


def _box(left: float, top: float, right: float, bottom: float, radius: float, colour: Colour) -> Shapes:
    return _rounded(_corners(left + radius, top + radius, right - radius, bottom - radius), radius, colour)


def _arrow(points: Points, width: float, head: float, colour: Colour) -> Shapes:
    """A stroke whose last point is the tip of a triangular head."""
    path = np.asarray(points, np.float64)
    tip = path[-1]
    along = (tip - path[-2]) / np.hypot(*(tip - path[-2]))
    side = np.array([-along[1], along[0]]) * head * 0.68
    neck = tip - along * head
    shaft = _stroke(np.vstack([path[:-1], neck + along * 0.02]), width, colour, caps="flat")
    return [*shaft, *_polygon(np.array([tip, neck + side, neck - side]), colour)]


def _text(text: str, height: float, weight: float, colour: Colour, condense: float = 1.0) -> Shapes:
    """Upright sans-serif capitals and digits, centred on (0, 0); `height` is between the outer edges of the strokes."""
    scale = height / (1 + weight)
    gap = weight + 0.15
    widths = [_GLYPHS[letter][0] * condense for letter in text]
    x, shapes = -(sum(widths) + gap * (len(text) - 1)) * scale / 2, Shapes()
    for letter, width in zip(text, widths, strict=True):
        for path in _GLYPHS[letter][1]:
            points = np.asarray(path, np.float64) * (condense * scale, scale) + (x, -scale / 2)
            shapes += _stroke(points, weight * scale, colour, caps="flat")
        x += (width + gap) * scale
    return shapes


def _arc(x: float, y: float, radius_x: float, radius_y: float, from_deg: float, to_deg: float) -> NDArray[np.float64]:
    angle = np.deg2rad(np.linspace(from_deg, to_deg, max(int(abs(to_deg - from_deg) / 4), 2) + 1))
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1)


def _bend(start: Point, control: Point, end: Point) -> NDArray[np.float64]:
    t = np.linspace(0, 1, 17)[:, None]
    bend: NDArray[np.float64] = (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(control) + t**2 * np.array(end)
    return bend


def _corners(left: float, top: float, right: float, bottom: float) -> list[Point]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


_END = 1.09
_LOOP = np.vstack([_arc(0.28, 0.28, 0.28, 0.28, 180, 360), _arc(0.28, 0.72, 0.28, 0.28, 0, 180), [(0.0, 0.28), (0.0, 0.3)]])
_FIVE = [np.array([(0.56, 0.0), (0.09, 0.0), (0.05, 0.46)]), _arc(0.26, 0.68, 0.29, 0.32, 222, 510)]
# of each letter its width and its strokes
_GLYPHS: dict[str, tuple[float, list[Points]]] = {
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


def _octagon(radius: float, colour: Colour) -> Shapes:
    angle = np.deg2rad(np.arange(22.5, 360, 45))
    return _polygon(np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius, colour)


def _prohibition(ground: Colour = WHITE) -> Shapes:
    return [*_disc(0, 0, 1.0, WHITE), *_disc(0, 0, 0.97, RED), *_disc(0, 0, 0.76, ground)]


def _mandatory() -> Shapes:
    return [*_disc(0, 0, 1.0, WHITE), *_disc(0, 0, 0.95, BLUE)]


def _warning() -> Shapes:
    outer: list[Point] = [(0, -0.79), (0.87, 0.71), (-0.87, 0.71)]
    inner = _rounded([(0, -0.48), (0.6, 0.555), (-0.6, 0.555)], 0.045, WHITE)
    return [*_rounded(outer, 0.12, WHITE), *_rounded(outer, 0.09, RED), *inner]


def _yield() -> Shapes:
    outer: list[Point] = [(0, 0.79), (0.87, -0.71), (-0.87, -0.71)]
    inner = _rounded([(0, 0.40), (0.53, -0.515), (-0.53, -0.515)], 0.045, WHITE)
    return [*_rounded(outer, 0.12, WHITE), *_rounded(outer, 0.09, RED), *inner]


def _blue_board() -> Shapes:
    return [*_box(-0.9, -0.95, 0.9, 0.95, 0.12, WHITE), *_box(-0.85, -0.9, 0.85, 0.9, 0.09, BLUE)]


def _speed_limit(limit: int) -> Callable[[], Shapes]:
    height, condense = (0.80, 1.0) if limit < 100 else (0.72, 0.74)
    return lambda: [*_prohibition(), *_text(str(limit), height, 0.19, BLACK, condense)]


def _end_of_limits() -> Shapes:
    shapes = [*_disc(0, 0, 1.0, BLACK), *_disc(0, 0, 0.95, WHITE)]
    for offset in (-0.24, -0.12, 0.0, 0.12, 0.24):
        reach = np.sqrt(0.95**2 - offset**2) - 0.02
        middle, along = np.array([offset, offset]) * np.sqrt(0.5), np.array([-1.0, 1.0]) * np.sqrt(0.5)
        shapes += _stroke(np.array([middle - along * reach, middle + along * reach]), 0.06, BLACK, caps="flat")
    return shapes


def _car(x: float, y: float, size: float, colour: Colour) -> Shapes:
    def at(points: Points) -> NDArray[np.float64]:
        return np.asarray(points, np.float64) * size + (x, y)

    shapes = _rounded(at([(-0.42, 0.0), (0.42, 0.0), (0.44, 0.3), (-0.44, 0.3)]), 0.08 * size, colour)
    shapes += _rounded(at([(-0.26, -0.36), (0.26, -0.36), (0.38, 0.0), (-0.38, 0.0)]), 0.07 * size, colour)
    shapes += _polygon(at([(-0.23, -0.3), (0.23, -0.3), (0.31, -0.05), (-0.31, -0.05)]), WHITE)
    for side in (-1, 1):
        shapes += _polygon(at(_corners(side * 0.38 - 0.1, 0.3, side * 0.38 + 0.1, 0.54)), colour)
        shapes += _polygon(at(_arc(side * 0.3, 0.14, 0.08, 0.08, 0, 360)), WHITE)
    return shapes


def _no_parking() -> Shapes:
    return [*_prohibition(BLUE), *_stroke([(-0.57, -0.57), (0.57, 0.57)], 0.2, RED)]


def _priority_road() -> Shapes:
    squares = ((0.94, BLACK), (0.91, WHITE), (0.62, BLACK), (0.59, YELLOW))
    return [shape for r, colour in squares for shape in _rounded([(0, -r), (r, 0), (0, r), (-r, 0)], 0.06, colour)]


def _right_of_way() -> Shapes:
    crossroad = _stroke([(-0.33, 0.22), (0.33, 0.22)], 0.11, BLACK, caps="flat")
    return [*_warning(), *_arrow([(0, 0.54), (0, -0.34)], 0.19, 0.34, BLACK), *crossroad]


def _turn(side: int) -> Shapes:
    bend = _bend((-side * 0.3, 0.12), (-side * 0.3, -0.16), (0.0, -0.16))
    return [*_mandatory(), *_arrow(np.vstack([[(-side * 0.3, 0.66)], bend, [(side * 0.7, -0.16)]]), 0.24, 0.48, WHITE)]


def _roundabout() -> Shapes:
    shapes = _mandatory()
    for start in (-100, 20, 140):
        shaft = _arc(0, 0, 0.5, 0.5, start, start + 56)
        tangent = shaft[-1] - shaft[-2]
        tip = shaft[-1] + 0.36 * tangent / np.hypot(*tangent) + shaft[-1] * -0.14
        shapes += _arrow(np.vstack([shaft, tip]), 0.19, 0.36, WHITE)
    return shapes


def _bicycle_path() -> Shapes:
    shapes = _mandatory()
    for x in (-0.44, 0.44):
        shapes += _stroke(_arc(x, 0.22, 0.29, 0.29, 0, 360), 0.075, WHITE)
    crank, seat, head = (-0.06, 0.22), (-0.2, -0.2), (0.28, -0.2)
    for path in ([(-0.44, 0.22), crank, head, seat, (-0.44, 0.22)], [seat, crank], [(0.44, 0.22), (0.24, -0.36), (0.42, -0.38)]):
        shapes += _stroke(path, 0.075, WHITE)
    return [*shapes, *_stroke([seat, (-0.235, -0.3)], 0.075, WHITE), *_stroke([(-0.36, -0.31), (-0.14, -0.31)], 0.1, WHITE)]


def _walker(x: float, y: float, size: float, side: int = 1) -> Shapes:
    def at(*points: Point) -> NDArray[np.float64]:
        return np.array(points) * (side * size, size) + (x, y)

    head_x, head_y = at((0.04, -0.82))[0]
    shapes = _disc(head_x, head_y, 0.16 * size, BLACK)
    shapes += _rounded(at((-0.1, -0.52), (0.14, -0.52), (0.1, 0.0), (-0.1, 0.0)), 0.07 * size, BLACK)
    shapes += _stroke(at((-0.04, 0.0), (-0.16, 0.42), (-0.46, 0.84)), 0.17 * size, BLACK)
    shapes += _stroke(at((0.06, 0.0), (0.28, 0.38), (0.36, 0.86)), 0.17 * size, BLACK)
    shapes += _stroke(at((0.14, -0.5), (0.34, -0.2), (0.52, -0.12)), 0.12 * size, BLACK)
    return [*shapes, *_stroke(at((-0.1, -0.5), (-0.32, -0.24), (-0.38, 0.04)), 0.12 * size, BLACK)]


def _pedestrian_crossing() -> Shapes:
    shapes = [*_blue_board(), *_polygon([(0, -0.74), (0.74, 0.62), (-0.74, 0.62)], WHITE)]
    for x in (-0.42, -0.18, 0.06, 0.3):
        shapes += _polygon([(x, 0.44), (x + 0.13, 0.44), (x + 0.17, 0.6), (x - 0.01, 0.6)], BLACK)
    return [*shapes, *_walker(0.0, 0.02, 0.44, side=-1)]


def _road_works() -> Shapes:
    shapes = [*_warning(), *_disc(-0.1, -0.22, 0.085, BLACK)]
    shapes += _stroke([(-0.16, -0.06), (-0.24, 0.18)], 0.17, BLACK)
    shapes += _stroke([(-0.27, 0.2), (-0.2, 0.36), (-0.36, 0.54)], 0.1, BLACK)
    shapes += _stroke([(-0.22, 0.2), (-0.05, 0.34), (-0.08, 0.54)], 0.1, BLACK)
    shapes += _stroke([(-0.14, -0.06), (0.0, 0.14), (0.12, 0.12)], 0.075, BLACK)
    shapes += _stroke([(-0.14, 0.02), (0.3, 0.4)], 0.045, BLACK)
    return [*shapes, *_polygon(_arc(0.32, 0.55, 0.24, 0.25, 180, 360), BLACK)]


def _curve(side: int) -> Shapes:
    bend = _bend((side * -0.14, 0.24), (side * -0.14, 0.0), (side * 0.06, -0.1))
    return [*_warning(), *_arrow(np.vstack([[(side * -0.14, 0.54)], bend, [(side * 0.22, -0.17)]]), 0.16, 0.3, BLACK)]


def _slippery_road() -> Shapes:
    shapes, t = [*_warning(), *_car(0.0, -0.02, 0.42, BLACK)], np.linspace(0, 1, 25)
    for x in (-0.2, 0.2):
        shapes += _stroke(np.stack([x + 0.09 * np.sin(t * 2 * np.pi), 0.27 + 0.27 * t], axis=1), 0.065, BLACK)
    return shapes


def _wild_animals() -> Shapes:
    back, belly = [(-0.36, 0.22), (-0.3, 0.1), (-0.02, 0.1), (0.14, -0.14), (0.24, -0.1)], [(0.16, 0.18), (0.08, 0.3)]
    shapes = [*_warning(), *_polygon([*back, *belly, (-0.14, 0.28), (-0.3, 0.34)], BLACK)]
    shapes += _polygon([(0.12, -0.16), (0.2, -0.2), (0.36, -0.06), (0.32, 0.0), (0.18, -0.04)], BLACK)
    fore_legs = [[(0.1, 0.2), (0.3, 0.22), (0.36, 0.34)], [(0.06, 0.24), (0.22, 0.34), (0.2, 0.46)]]
    hind_legs = [[(-0.3, 0.24), (-0.36, 0.4), (-0.48, 0.52)], [(-0.24, 0.26), (-0.22, 0.42), (-0.32, 0.54)]]
    tail = [(-0.34, 0.16), (-0.42, 0.12)]
    for path in (*fore_legs, *hind_legs, tail):
        shapes += _stroke(path, 0.06, BLACK)
    for path in ([(0.17, -0.16), (0.1, -0.28), (0.13, -0.38)], [(0.1, -0.28), (0.02, -0.3)], [(0.17, -0.16), (0.2, -0.3)]):
        shapes += _stroke(path, 0.035, BLACK)
    return shapes


def _traffic_lights() -> Shapes:
    lamps = [*_disc(0, -0.15, 0.105, RED), *_disc(0, 0.11, 0.105, YELLOW), *_disc(0, 0.37, 0.105, GREEN)]
    return [*_warning(), *_box(-0.17, -0.3, 0.17, 0.52, 0.07, BLACK), *lamps]


def _danger() -> Shapes:
    mark = _polygon([(-0.1, -0.32), (0.1, -0.32), (0.055, 0.27), (-0.055, 0.27)], BLACK)
    return [*_warning(), *mark, *_disc(0, -0.32, 0.1, BLACK), *_disc(0, 0.43, 0.1, BLACK)]


def _motorway() -> Shapes:
    shapes = _blue_board()
    for s in (-1, 1):
        shapes += _polygon([(s * 0.05, 0.72), (s * 0.03, -0.62), (s * 0.2, -0.62), (s * 0.56, 0.72)], WHITE)
    shapes += [*_polygon(_corners(-0.66, -0.3, 0.66, -0.08), BLUE), *_polygon(_corners(-0.66, -0.25, 0.66, -0.13), WHITE)]
    for s in (-1, 1):
        shapes += _polygon([(s * 0.66, -0.25), (s * 0.54, -0.25), (s * 0.54, 0.06), (s * 0.66, 0.06)], WHITE)
    return shapes


FACES: dict[str, Callable[[], Shapes]] = {
    "stop": lambda: [*_octagon(1.03, WHITE), *_octagon(0.97, RED), *_text("STOP", 0.66, 0.21, WHITE, 0.82)],
    "yield": _yield,
    **{f"speed limit {limit}": _speed_limit(limit) for limit in (20, 30, 50, 60, 80, 100, 120)},
    "end of limits": _end_of_limits,
    "no entry": lambda: [*_disc(0, 0, 1.0, WHITE), *_disc(0, 0, 0.95, RED), *_box(-0.72, -0.19, 0.72, 0.19, 0.03, WHITE)],
    "no overtaking": lambda: [*_prohibition(), *_car(-0.35, -0.02, 0.6, RED), *_car(0.35, -0.02, 0.6, BLACK)],
    "no parking": _no_parking,
    "no stopping": lambda: [*_no_parking(), *_stroke([(0.57, -0.57), (-0.57, 0.57)], 0.2, RED)],
    "priority road": _priority_road,
    "right of way": _right_of_way,
    "straight ahead": lambda: [*_mandatory(), *_arrow([(0, 0.68), (0, -0.72)], 0.24, 0.5, WHITE)],
    "turn right": lambda: _turn(1),
    "turn left": lambda: _turn(-1),
    "roundabout": _roundabout,
    "bicycle path": _bicycle_path,
    "pedestrian crossing": _pedestrian_crossing,
    "children": lambda: [*_warning(), *_walker(-0.17, 0.2, 0.4), *_walker(0.23, 0.3, 0.3)],
    "road works": _road_works,
    "curve left": lambda: _curve(-1),
    "curve right": lambda: _curve(1),
    "slippery road": _slippery_road,
    "wild animals": _wild_animals,
    "traffic lights": _traffic_lights,
    "danger": _danger,
    "parking": lambda: [*_blue_board(), *_text("P", 1.2, 0.24, WHITE)],
    "motorway": _motorway,
}

CLASS_NAMES: tuple[str, ...] = tuple(FACES)
