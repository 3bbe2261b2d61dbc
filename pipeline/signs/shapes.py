"""The faces of the traffic signs: one RGBA plate a class, painted from the polygons, circles and strokes of `faces.svg`.

A face spans -1 .. 1 in x (right) and y (down). Every shape is a filled polygon on a canvas four times as fine as the plate,
which is averaged down once, so edges are smooth and the bytes do not depend on a line-drawing mode.
"""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

PLATE_PX = 256
_FINE_PX = 1024
_REACH = 0.95
_SHIFT_BITS = 4

_FACES = {face.get("id", "").replace("-", " "): face for face in ElementTree.parse(Path(__file__).parent / "faces.svg").getroot()}
CLASS_NAMES: tuple[str, ...] = tuple(_FACES)


@cache
def draw_plate(class_name: str) -> NDArray[np.uint8]:
    """Returns the face of one sign, uint8 (PLATE_PX, PLATE_PX, 4), RGB premultiplied by alpha; read-only.

    Raises:
        ValueError: there is no sign of that name.
    """
    if class_name not in _FACES:
        raise ValueError(f"expected one of {sorted(_FACES)}, got {class_name!r}")
    fine = np.zeros((_FINE_PX, _FINE_PX, 4), np.uint8)
    for shape in _FACES[class_name]:
        colour = bytes.fromhex((shape.get("fill") or shape.get("stroke") or "")[1:])
        for points in _polygons(shape):
            places = ((points * _REACH + 1) * _FINE_PX / 2 - 0.5) * (1 << _SHIFT_BITS)
            cv2.fillPoly(fine, [np.rint(places).astype(np.int32)], (*colour, 255), lineType=cv2.LINE_8, shift=_SHIFT_BITS)
    pixels = cv2.resize(fine, (PLATE_PX, PLATE_PX), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    pixels.setflags(write=False)
    return pixels


def _polygons(shape: ElementTree.Element) -> Iterator[NDArray[np.float64]]:
    """Yields the polygons (N, 2) that cover a circle, a filled polygon, or the stroke, joined round, of a polygon or polyline."""
    if shape.tag.endswith("circle"):
        yield _circle(*(float(shape.get(key, "")) for key in ("cx", "cy", "r")))
        return
    points = np.array([point.split(",") for point in shape.get("points", "").split()], np.float64)
    is_round, width = shape.get("stroke-linecap") == "round", float(shape.get("stroke-width", 0))
    if shape.tag.endswith("polygon"):
        yield points
        points, is_round = np.vstack([points, points[:1]]), True
    if width:
        for start, end in pairwise(points):
            along = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
            side = np.array([-along[1], along[0]]) * width / 2
            yield np.array([start + side, end + side, end - side, start - side])
        yield from (_circle(x, y, width / 2) for x, y in (points if is_round else points[1:-1]))


def _circle(x: float, y: float, radius: float) -> NDArray[np.float64]:
    angle = np.deg2rad(np.linspace(0, 360, 91))
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
