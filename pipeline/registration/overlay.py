"""A small picture of a photo with all that was found in it, so that a person sees at a glance what went right or wrong."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline import geometry
from pipeline.fiducials import Detection, decode_payload
from pipeline.records import DISCARD_REASONS, VARIANTS, Printout
from pipeline.registration.page import Failure, Registration

_LONG_SIDE_PX = 1600
_BANNER_PX = 76
_GREEN, _RED, _AMBER, _WHITE = (24, 150, 92), (200, 44, 44), (214, 132, 10), (255, 255, 255)
_VARIANT_COLOURS = dict(zip(VARIANTS, ((30, 102, 200), (190, 60, 140)), strict=True))
_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)


def draw_overlay(photo: np.ndarray, result: Registration | Failure, printout: Printout, title: str = "") -> np.ndarray:
    """Returns the photo, its long side at most 1600 px, under a banner that says what was found, uint8 (H, W, 3).

    Codes of this page are outlined in green with their corner's name, others in amber, missing ones in red; the paper's edge is a
    thin green line, each image a blue (clean) or magenta (adversarial) frame with its pair's name. The banner of a photo that
    cannot be used is red and gives the reason in words.

    Args: `photo` uint8 (H, W, 3); `title` a name for the banner, as a rule the file's.
    """
    height, width = photo.shape[:2]
    shrink = min(1.0, _LONG_SIDE_PX / max(height, width))
    size = round(width * shrink), round(height * shrink)
    small_from_photo = geometry.box_homography(0, 0, *size, width, height)
    small_from_photo[:2, 2] -= 0.5
    small = Image.fromarray(photo).resize(size, Image.Resampling.BOX, reducing_gap=None) if shrink < 1 else Image.fromarray(photo)
    canvas = Image.new("RGB", (size[0], size[1] + _BANNER_PX))
    canvas.paste(small, (0, _BANNER_PX))
    drawing = _Drawing(canvas, small_from_photo)
    if isinstance(result, Registration):
        _draw_page(drawing, result, printout)
    known = set(map(id, result.codes.values())) if isinstance(result, Registration) else set()
    for detection in result.detections:
        if id(detection) not in known:
            drawing.frame(detection.corners, _AMBER, _name(detection, printout), outside=True)
    _draw_banner(drawing, result, title)
    return np.asarray(canvas)


def _draw_page(drawing: "_Drawing", result: Registration, printout: Printout) -> None:
    def seen(x: float, y: float, width: float, height: float) -> np.ndarray:
        return geometry.apply_homography(result.photo_from_page, _SQUARE * (width, height) + (x, y))

    drawing.frame(seen(0, 0, printout.page_width_mm, printout.page_height_mm), _GREEN, "", line_px=2)
    for p in printout.placements:
        if p.page == result.page:
            name = f"{p.pair_id}  {p.variant}"
            drawing.frame(seen(p.x_mm, p.y_mm, p.width_mm, p.height_mm), _VARIANT_COLOURS[p.variant], name)
    for f in printout.fiducials:
        if f.page == result.page:
            code = result.codes.get(f.corner)
            if code is None:
                drawing.frame(seen(f.x_mm, f.y_mm, f.size_mm, f.size_mm), _RED, f"{f.corner} missing", outside=True)
            else:
                drawing.frame(code.corners, _GREEN, f.corner, outside=True)


def _draw_banner(drawing: "_Drawing", result: Registration | Failure, title: str) -> None:
    if isinstance(result, Registration):
        colour = _GREEN if result.n_codes == 4 else _AMBER
        head = f"page {result.page}"
        line = f"{result.n_codes} of 4 codes found · they agree within {result.reprojection_rms_px:.2f} photo px"
    else:
        colour = _RED
        head = "not used" if result.page is None else f"page {result.page} not used"
        line = DISCARD_REASONS[result.reason] + (f" ({result.detail})" if result.detail else "")
    drawing.banner(colour, head, title, line)


def _name(detection: Detection, printout: Printout) -> str:
    payload = decode_payload(detection.text)
    if payload is None:
        return detection.text[:24] or "a code"
    place = f"page {payload.page} {payload.corner}"
    return place if payload.run_code == printout.run_code else f"run {payload.run_code} {place}"


class _Drawing:
    """Lines and labels in photo pixels on the small picture beneath the banner."""

    def __init__(self, canvas: Image.Image, small_from_photo: np.ndarray) -> None:
        self._canvas = canvas
        self._draw = ImageDraw.Draw(canvas)
        self._from_photo = small_from_photo

    def frame(
        self, corners: np.ndarray, colour: tuple[int, int, int], label: str, line_px: int = 3, outside: bool = False
    ) -> None:
        """Outlines four corners; the label sits inside the frame's upper left or, if `outside`, on top of it."""
        points = geometry.apply_homography(self._from_photo, corners) + (0, _BANNER_PX)
        outline = [tuple(map(float, point)) for point in (*points, points[0], points[1])]
        self._draw.line(outline, fill=colour, width=line_px, joint="curve")
        if label:
            left, top = points.min(axis=0)
            room = 400.0 if outside else float(np.ptp(points[:, 0]))
            self._label(float(left), float(top), label, colour, outside, room)

    def banner(self, colour: tuple[int, int, int], head: str, title: str, line: str) -> None:
        """Fills the strip at the top: two lines, shortened to the picture's width."""
        width = self._canvas.width
        self._draw.rectangle([0, 0, width, _BANNER_PX - 1], fill=colour)
        used = self._text(18, 10, head, 26, width - 36)
        if title:
            self._text(18 + used + 18, 14, title, 20, width - 54 - used)
        self._text(18, 44, line, 20, width - 36)

    def _label(self, left: float, top: float, label: str, colour: tuple[int, int, int], outside: bool, room_px: float) -> None:
        font = _font(17)
        label = _shortened(label, font, room_px - 10)
        width = font.getlength(label) + 10
        x = min(max(left - (1 if outside else 0), 0), self._canvas.width - width)
        y = min(max(top - 26 if outside else top, _BANNER_PX), self._canvas.height - 24)
        self._draw.rectangle([x, y, x + width, y + 23], fill=colour)
        self._draw.text((x + 5, y + 2), label, font=font, fill=_WHITE)

    def _text(self, x: float, y: float, text: str, size_px: int, room_px: float) -> float:
        font = _font(size_px)
        text = _shortened(text, font, room_px)
        self._draw.text((x, y), text, font=font, fill=_WHITE)
        return float(font.getlength(text))


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room_px: float) -> str:
    if font.getlength(text) <= room_px:
        return text
    while text and font.getlength(text + "...") > room_px:
        text = text[:-1]
    return text + "..."


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size_px)
