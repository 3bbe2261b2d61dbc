"""A small picture of a photo with all that was found in it, so that a person sees at a glance what went right or wrong."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np

from pipeline.physical.fiducials.codes import decode_payload
from pipeline.physical.fiducials.detection import Detection
from pipeline.physical.geometry import SQUARE
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration.advice import GRAVE_FLAGS, code_trouble, photo_advice, quality_words
from pipeline.physical.registration.lettering import letters, shortened, wrapped
from pipeline.physical.registration.page import Failure, Registration
from pipeline.physical.registration.points import targets
from pipeline.records import DISCARD_REASONS, VARIANTS, CropQuality, Printout

_LONG_SIDE_PX, _LEAST_BANNER_PX, _EDGE_POINTS, _FEW_PX = 1280, 900, 8, 4
_TEXT_PX, _LINE_PX, _LABEL_PX, _MAX_LINES = 20, 27, 16, 4
_GREEN, _TEAL, _RED, _AMBER, _WHITE = (24, 150, 92), (0, 140, 160), (200, 44, 44), (198, 118, 4), (255, 255, 255)
_DARK, _TABLE = (34, 38, 46), (70, 74, 82)
_VARIANT_COLOURS = dict(zip(VARIANTS, ((30, 102, 200), (190, 60, 140)), strict=True))
_SHIFT_BITS, _FAR_PX = 4, 1e6  # OpenCV draws to 1/16 px and counts in 32 bits
_FRAME_PX, _PAPER_PX, _DOT_PX, _CROSS_PX = 3, 2, 4, 6

Quality = Mapping[tuple[int, str, str], CropQuality]  # by (page, pair_id, variant)
_Colour = tuple[int, int, int]
_Words = tuple[str, _Colour]
_Found = Registration | Failure


def draw_overlay(
    photo: np.ndarray,
    results: Sequence[_Found],
    printout: Printout,
    title: str = "",
    quality: Quality | None = None,
    photo_grey: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the photo, its long side at most 1280 px, under a banner that says what was found, uint8 (H, W, 3).

    Green is what was read or used, blue-green a code that was recognised at its place, red what is missing, with the reason, and
    amber a code of others. The paper's edge follows the curled sheet; images have a blue (clean) or magenta (adversarial) frame
    with their pair's name and what their crop is worth. In the banner each page, or the reason why there is none, has a line,
    with advice beneath where something is wrong.

    Args: `photo` uint8 (H, W, 3); `results` as `register` gives them for it; `title` a name for the banner, as a rule the file's;
    `quality` of each crop: without any, frames say nothing of it; `photo_grey` uint8 (H, W) where it is at hand.
    """
    quality = quality or {}
    drawing = _Drawing(*_shrunk(photo))
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) if photo_grey is None else photo_grey
    for result in results:
        if isinstance(result, Registration):
            _draw_images(drawing, result, printout, quality)
            _draw_points(drawing, result, printout)
            _draw_codes(drawing, result, printout, grey)
    for detection in _others(results):
        drawing.outline(detection.corners, _AMBER, _FRAME_PX)
        drawing.label(detection.corners, (_name(detection, printout), _AMBER), "above")
    return _under_banner(drawing.finished(), _lines(results, printout, quality, grey), title)


def _shrunk(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a copy that is small enough, and the scale and shift to it (2, 2)."""
    height, width = photo.shape[:2]
    shrink = max(1.0, max(height, width) / _LONG_SIDE_PX)
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    if shrink > _FEW_PX:
        small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    elif shrink > 1:  # a few pixels of each block, which is fast: two neighbours in each of two lines
        step = int(shrink)
        small = cv2.resize(photo[step // 2 :: step], size, interpolation=cv2.INTER_LINEAR)
    else:
        small = photo.copy()
    scale = np.array(size) / (width, height)
    return small, np.array([scale, (scale - 1) / 2])


def _draw_images(drawing: "_Drawing", result: Registration, printout: Printout, quality: Quality) -> None:
    images = printout.of_page(result.page).placements
    paper = (0, 0, printout.page_width_mm, printout.page_height_mm)
    edges = _edges(result.page_map, [paper] + [(p.x_mm, p.y_mm, p.width_mm, p.height_mm) for p in images])
    drawing.outline(edges[0], _GREEN, _PAPER_PX)
    for p, edge in zip(images, edges[1:], strict=True):
        colour = _VARIANT_COLOURS[p.variant]
        drawing.outline(edge, colour, _FRAME_PX)
        drawing.label(edge, (f"{p.pair_id} · {p.variant}", colour), "top")
        if quality:
            row = quality.get((result.page, p.pair_id, p.variant))
            missing = "not cropped" if drawing.holds(edge) else "outside the photo"
            worth = _GREEN if row and not row.flags else _RED if not row or set(GRAVE_FLAGS) & set(row.flags) else _AMBER
            drawing.label(edge, (quality_words(row) if row else missing, worth), "bottom")


def _draw_points(drawing: "_Drawing", result: Registration, printout: Printout) -> None:
    loose = [target.centre_mm for target in targets(printout, result.page) if target.kind != "code"]
    if loose:
        apart_mm = np.abs(np.array(loose)[:, None] - result.surface.fits[0].points_mm[None]).max(axis=2)
        for place, is_used in zip(result.page_map(np.array(loose)), (apart_mm < 1e-6).any(axis=1), strict=True):
            drawing.point(place, is_used)


def _draw_codes(drawing: "_Drawing", result: Registration, printout: Printout, grey: np.ndarray) -> None:
    codes = printout.of_page(result.page).fiducials
    edges = _edges(result.page_map, [(code.x_mm, code.y_mm, code.size_mm, code.size_mm) for code in codes])
    for code, edge in zip(codes, edges, strict=True):
        seen = result.codes.get(code.corner)
        if seen is None:
            words = (f"{code.corner} {code_trouble(grey, result.page_map, code)}", _RED)
        elif seen.decoder == "alignment":
            words = (f"{code.corner} recognised", _TEAL)
        else:
            words = (code.corner, _GREEN)
        drawing.outline(edge, words[1], _FRAME_PX)
        drawing.label(edge, words, "above")


def _others(results: Sequence[_Found]) -> Iterator[Detection]:
    """Yields each code once that is not where one of the registered pages has it."""
    shown = [code for result in results if isinstance(result, Registration) for code in result.codes.values()]
    for detection in (code for result in results for code in result.detections):
        if not any(detection.is_same_as(code) for code in shown):
            shown.append(detection)
            yield detection


def _name(detection: Detection, printout: Printout) -> str:
    payload = decode_payload(detection.text)
    if payload is None:
        return detection.text[:24] or "a code"
    place = f"page {payload.page} {payload.corner}"
    return place if payload.run_code == printout.run_code else f"run {payload.run_code} {place}"


def _lines(
    results: Sequence[_Found], printout: Printout, quality: Quality, grey: np.ndarray
) -> Iterator[tuple[_Colour, str, str]]:
    """Yields for each page the colour of its line, what was found, and what to do ("" for nothing)."""
    for result in results:
        if isinstance(result, Failure):
            page = "not used" if result.page is None else f"page {result.page} not used"
            detail = f" ({result.detail})" if result.detail and result.detail != f"page {result.page}" else ""
            yield _RED, f"{page} · {DISCARD_REASONS[result.reason]}{detail}", photo_advice(grey, result, printout)
            continue
        sheet = printout.of_page(result.page)
        n_codes = len(sheet.fiducials)
        rows = [row for (page, _, _), row in quality.items() if page == result.page]
        expected = [row.predicted_error_px for row in rows] or [result.predicted_error_px(p) for p in sheet.placements]
        parts = [f"page {result.page}", f"{result.n_codes} of {n_codes} codes", f"{result.n_points} of {result.n_targets} points"]
        if expected:
            parts.append(f"expected error {np.sqrt(np.mean(np.square(expected))):.2f} px")
        if n_flagged := sum(bool(row.flags) for row in rows):
            parts.append(f"{n_flagged} of {len(rows)} crops flagged")
        advice = photo_advice(grey, result, printout) if result.n_codes < n_codes else ""
        yield _AMBER if advice or n_flagged else _GREEN, " · ".join(parts), advice


def _edges(page_map: PageMap, boxes: Sequence[tuple[float, float, float, float]]) -> list[np.ndarray]:
    """Returns the borders of boxes (x, y, width, height in mm) in the photo, each (N, 2) px, along the page's surface."""
    share = np.arange(_EDGE_POINTS)[:, None] / _EDGE_POINTS
    border = np.concatenate([a + share * (b - a) for a, b in zip(SQUARE, np.roll(SQUARE, -1, axis=0), strict=True)])
    page_mm = [border * (width, height) + (x, y) for x, y, width, height in boxes]
    return np.split(page_map(np.concatenate(page_mm)), len(boxes)) if boxes else []


def _under_banner(picture: np.ndarray, lines: Iterable[tuple[_Colour, str, str]], title: str) -> np.ndarray:
    width = picture.shape[1]
    canvas_px = max(width, _LEAST_BANNER_PX)
    strips = [(_DARK, [title])] if title else []
    for colour, *parts in lines:
        texts = [wrapped(part, letters(_TEXT_PX), canvas_px - 36, _MAX_LINES) for part in parts if part]
        strips.append((colour, [line for text in texts for line in text]))
    banner = []
    for colour, text in strips:
        strip = np.full((_LINE_PX * len(text) + 12, canvas_px, 3), colour, np.uint8)
        for i, line in enumerate(text):
            _write(strip[6 + i * _LINE_PX :, 18:], line, _TEXT_PX, colour)
        banner.append(strip)
    if width < canvas_px:
        left = (canvas_px - width) // 2
        beside = (0, 0, left, canvas_px - width - left)
        picture = cv2.copyMakeBorder(picture, *beside, cv2.BORDER_CONSTANT, value=_TABLE)
    return np.concatenate([*banner, picture])


def _write(room: np.ndarray, text: str, size_px: int, ground: _Colour) -> None:
    """Writes a text in white from a room's top left on; what has no room is left out."""
    written = letters(size_px).written(text, _WHITE, ground)[: room.shape[0], : room.shape[1]]
    room[: written.shape[0], : written.shape[1]] = written


class _Drawing:
    """Lines and labels given in photo pixels on the small picture; labels lie on top of all lines."""

    def __init__(self, small: np.ndarray, small_from_photo: np.ndarray) -> None:
        self._pixels = small
        self._scale, self._shift = small_from_photo
        self._labels: list[tuple[np.ndarray, _Words, str]] = []

    def outline(self, photo_px: np.ndarray, colour: _Colour, line_px: int) -> None:
        """Draws a closed line through (N, 2)."""
        cv2.polylines(self._pixels, [self._fixed(photo_px)], True, colour, line_px, cv2.LINE_AA, _SHIFT_BITS)

    def point(self, photo_px: np.ndarray, is_used: bool) -> None:
        """Draws a green dot or a red cross, with a white rim to show on black and white alike."""
        x, y = self._fixed(photo_px[None])[0]
        if is_used:
            for radius, colour in ((_DOT_PX + 1, _WHITE), (_DOT_PX - 1, _GREEN)):
                cv2.circle(self._pixels, (x, y), radius << _SHIFT_BITS, colour, -1, cv2.LINE_AA, _SHIFT_BITS)
            return
        arm = _CROSS_PX << _SHIFT_BITS
        for line_px, colour in ((5, _WHITE), (2, _RED)):
            for turn in (1, -1):
                one, other = (int(x - arm), int(y - turn * arm)), (int(x + arm), int(y + turn * arm))
                cv2.line(self._pixels, one, other, colour, line_px, cv2.LINE_AA, _SHIFT_BITS)

    def label(self, photo_px: np.ndarray, words: _Words, place: str) -> None:
        """Notes a label in the middle of an outline's top or bottom, inside it, or "above" it."""
        self._labels.append((self._small(photo_px), words, place))

    def holds(self, photo_px: np.ndarray) -> bool:
        """Returns whether all points lie in the picture."""
        points = self._small(photo_px)
        return bool((points >= -0.5).all() and (points <= np.array(self._pixels.shape[1::-1]) - 0.5).all())

    def finished(self) -> np.ndarray:
        """Returns the picture with its labels."""
        canvas_height, canvas_width = self._pixels.shape[:2]
        for points, (text, colour), place in self._labels:
            left, top = points.min(axis=0)
            right, bottom = points.max(axis=0)
            if right < 0 or bottom < 0 or left > canvas_width or top > canvas_height:
                continue
            if place != "above":
                # of a turned frame the box of the same area about its middle: neighbours' labels do not meet
                share = np.sqrt(cv2.contourArea(points.astype(np.float32)) / max((right - left) * (bottom - top), 1e-6))
                (left, top), (right, bottom) = (
                    (points.max(axis=0) + points.min(axis=0)) / 2 + sign * share * np.ptp(points, axis=0) / 2 for sign in (-1, 1)
                )
            text = shortened(text, letters(_LABEL_PX), 400.0 if place == "above" else right - left - 10)
            width, height = round(letters(_LABEL_PX).getlength(text)) + 9, _LABEL_PX + 6
            x = max(round(min((left + right - width) / 2, canvas_width - width)), 0)
            y = max(
                round(min({"above": top - height - 3, "top": top, "bottom": bottom - height}[place], canvas_height - height)), 0
            )
            if text:
                room = self._pixels[y : y + height, x : x + width]
                room[:] = colour
                _write(room[:, 4:], text, _LABEL_PX, colour)
        return self._pixels

    def _small(self, photo_px: np.ndarray) -> np.ndarray:
        return photo_px * self._scale + self._shift

    def _fixed(self, photo_px: np.ndarray) -> np.ndarray:
        return np.rint(np.clip(self._small(photo_px), -_FAR_PX, _FAR_PX) * (1 << _SHIFT_BITS)).astype(np.int32)
