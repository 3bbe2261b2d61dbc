"""What is wrong with a photo and what to do about it, in words for a person who stands beside the printer."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from pipeline.physical.fiducials.codes import N_MODULES, modules, outline_mm
from pipeline.physical.fiducials.detection import Detection, straightened
from pipeline.physical.geometry import SQUARE
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration.page import Failure, Registration
from pipeline.physical.registration.shade_and_motion import MIN_MOTION, motion_of_codes, one_sidedness, page_white_8bit
from pipeline.records import CROP_FLAGS, CropQuality, Fiducial, Printout
from pipeline.store.artefacts import PDF

_CORNER_NAMES = {"TL": "top-left", "TR": "top-right", "BR": "bottom-right", "BL": "bottom-left"}
_SIDES = ("on the left", "on the right", "at the top", "at the bottom")

_DARK_PHOTO_8BIT, _BLUR_SIDE_PX, _BLUR_WINDOW_PX, _MIN_EDGE_8BIT, _MAX_EDGE_WIDTH_PX = 100, 1600, 31, 40, 6.0
_MOVED_PHOTO, _PAGE_WHITE_8BIT = 2.5, 100  # a table may have grain of its own
_SAMPLES_PER_MODULE, _MARGIN_MODULES, _MIN_MODULE_PX = 4, 3, 2.2
_DARK_8BIT, _BRIGHT_8BIT, _CLIPPED_8BIT, _MIN_CLIPPED_RATE = 50, 200, 248, 0.35
_BLURS_MODULES, _SHARP_MODULES = (0.25, 0.6, 1.0, 1.6, 2.4), 0.6
_MIN_LIKENESS, _MIN_SHARP_LIKENESS, _MAX_SHIFT_MODULES = 0.6, 0.8, 0.8

_FAILURE_ADVICE = {
    "foreign-code": "only codes of other makers are in the picture: photograph a page of this printout",
    "calibration": "a calibration page, which has no images: give it to inkproof calibrate",
    "repeated-page": "the same page is in the picture twice: photograph one copy",
    "negative": "a negative (colours inverted): switch off inverted colours, or save the scan as a positive",
    "mirrored": "mirrored: switch off the selfie camera's mirroring, or print without mirroring",
}
_TROUBLE_ACTIONS = {
    "in glare": "photograph again without flash, lamp from the side",
    "in shadow": "keep hand and phone out of the light",
    "in the dark": "more light, tap on the paper to set the exposure",
    "blurred": "tap on the paper to focus",
    "moved": "hold still",
    "too small": "go closer, or photograph with more pixels",
    "covered": "take away what lies on it",
    "faint": "more and even light",
    "out of its place": "is the page torn or folded there? lay it flat",
}
COVERED_ACTION = _TROUBLE_ACTIONS["covered"]
_FLAG_ACTIONS = {
    "uncertain": ("get all four codes into the picture", "lay the page flat"),
    "soft": ("tap on the paper to focus",),
    "moved": ("hold still",),
    "coarse": ("go closer", "or print fewer pairs a page"),
    "shadowed": ("keep hand and phone out of the light",),
    "dark": ("more light", "tap on the paper to set the exposure"),
    "clipped": ("no flash", "lamp from the side", "tap on the paper to set the exposure"),
    "flat": ("even light without glare", "clean the lens"),
    "cast": ("use daylight or a white lamp", 'or set capture.colour = "strip"'),
    "noisy": ("more light",),
    "tilted": ("photograph from straight above",),
}
# With these a crop does not show what single image pixels became; the others change its light and colour.
GRAVE_FLAGS = ("uncertain", "soft", "moved", "coarse")


def photo_advice(photo_grey: np.ndarray, result: Registration | Failure, printout: Printout) -> str:
    """Returns in one line what is wrong with a photo, uint8 (H, W), of one page and what to do, "" for nothing."""
    read = {one.text for one in result.detections if one.decoder != "alignment"}
    if isinstance(result, Registration):
        missing = [f for f in printout.of_page(result.page).fiducials if f.corner not in result.codes]
        if cut_off := _cut_off_advice(photo_grey, result.page_map, [code for code in missing if code.payload not in read]):
            return cut_off
        by_trouble: dict[str, list[str]] = defaultdict(list)
        for code in missing:
            # one that a decoder read is there and clear: the rest of the page says that it should be elsewhere
            is_read = code.payload in read
            trouble = "out of its place" if is_read else code_trouble(photo_grey, result.page_map, code)
            by_trouble[trouble].append(code.corner)
        return "; ".join(f"{_named(corners)} {trouble}: {_TROUBLE_ACTIONS[trouble]}" for trouble, corners in by_trouble.items())
    codes = printout.of_page(result.page or 0).fiducials
    match result.reason:
        case "no-code":
            return _no_code_advice(photo_grey)
        case "other-run":
            made_from = PDF.name if printout.medium == "paper" else "its pages"
            again = f"print {PDF.folder}/{printout.run}/{made_from} again, or move the photo to its own run"
            return f"the codes are those of another run or an earlier layout: {again}"
        case "missing-code":
            unread = [f.corner for f in codes if f.payload not in read]
            return f"{_named(unread)} not read: photograph again with all four in the picture, sharp and evenly lit"
        case "unregistered":
            return _unregistered_advice(photo_grey, result.detections, {f.payload: f for f in codes}, printout)
    return _FAILURE_ADVICE.get(result.reason, "")


def quality_words(quality: CropQuality) -> str:
    """Returns what one crop is worth in a few words: "ok · ±0.03 px · MTF50 0.31", or its flags in place of "ok"."""
    parts = [", ".join(quality.flags) or "ok", f"±{quality.predicted_error_px:.2f} px"]
    if quality.mtf50_cycles_per_px is not None:
        parts.append(f"MTF50 {quality.mtf50_cycles_per_px:.2f}")
    return " · ".join(parts)


def quality_advice(flags: Sequence[str]) -> str:
    """Returns what to do about a crop's flags (keys of CROP_FLAGS) at the next photo, "" for none."""
    actions = dict.fromkeys(action for flag in CROP_FLAGS if flag in flags for action in _FLAG_ACTIONS[flag])
    return ", ".join(actions).replace(", or ", " or ")


def _no_code_advice(photo_grey: np.ndarray) -> str:
    if np.percentile(photo_grey[::8, ::8], 99) < _DARK_PHOTO_8BIT:
        return "too dark: more light, tap on the paper to set the exposure"
    if (photo_grey[::8, ::8] >= _CLIPPED_8BIT).mean() > 0.6:
        return "overexposed: no flash, tap on the paper to set the exposure"
    if _is_moved(photo_grey):
        return "blurred because the camera moved: hold still"
    if _is_blurred(photo_grey):
        return "too blurred: tap on the paper to focus"
    return "no code found: is the page in the picture, sharp and well lit?"


def _is_moved(photo_grey: np.ndarray) -> bool:
    return one_sidedness(_shrunk(photo_grey)) >= _MOVED_PHOTO


def _shrunk(photo_grey: np.ndarray) -> np.ndarray:
    shrink = max(1, round(max(photo_grey.shape) / _BLUR_SIDE_PX))
    return cv2.resize(photo_grey, [max(1, side // shrink) for side in photo_grey.shape[::-1]], interpolation=cv2.INTER_AREA)


def _is_blurred(photo_grey: np.ndarray) -> bool:
    """Returns whether even the sharper ones of the strong edges are wide: the light's change over its greatest slope."""
    # noise has steep slopes of its own
    small = cv2.GaussianBlur(_shrunk(photo_grey), (0, 0), 1.0).astype(np.float32)
    across, down = (cv2.Sobel(small, cv2.CV_32F, *axis, ksize=3, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    slope = cv2.magnitude(across, down)
    around = np.ones((_BLUR_WINDOW_PX, _BLUR_WINDOW_PX), np.uint8)
    change = cv2.dilate(small, around) - cv2.erode(small, around)
    strong = change >= _MIN_EDGE_8BIT
    if not strong.any():
        return False
    steepest = cv2.dilate(slope, around)[strong]
    return bool(np.percentile(change[strong] / np.maximum(steepest, 1e-3), 25) > _MAX_EDGE_WIDTH_PX)


def _unregistered_advice(grey: np.ndarray, found: Sequence[Detection], codes: Mapping[str, Fiducial], printout: Printout) -> str:
    seen = {one.text: one for one in found if one.text in codes}
    missing = [code for payload, code in codes.items() if payload not in seen]
    if not missing:
        return "the printed points do not lie on one smooth sheet: lay the page flat, uncreased, one page alone"
    if seen:
        guess, side_px = _guessed(printout, [(codes[text], one.corners) for text, one in seen.items()])
        if cut_off := _cut_off_advice(grey, guess, missing, slack_px=1.5 * side_px):
            return cut_off
    return f"{_named([code.corner for code in missing])} not found: all four codes in the picture, sharp and evenly lit"


def _guessed(printout: Printout, seen: Sequence[tuple[Fiducial, np.ndarray]]) -> tuple[PageMap, float]:
    """Returns on which side of the photo the rest of the page lies, by one code's size and turn alone, and its side in px."""
    page_mm = np.concatenate([outline_mm(code) for code, _ in seen])
    photo_px = np.concatenate([corners for _, corners in seen])
    across, down = photo_px[2] - photo_px[0], photo_px[3] - photo_px[1]
    side_px = float((np.linalg.norm(across) + np.linalg.norm(down)) / np.sqrt(8))
    size_mm = printout.page_width_mm, printout.page_height_mm
    if len(seen) > 1 and (flat := PageMap.through(page_mm, photo_px, *size_mm)):
        return flat, side_px
    similarity, _ = cv2.estimateAffinePartial2D(page_mm[:4], photo_px[:4], method=cv2.LMEDS)
    h = np.vstack([np.eye(2, 3) if similarity is None else similarity, [0, 0, 1.0]])
    return PageMap(*size_mm, h), side_px


def _cut_off_advice(photo_grey: np.ndarray, page_map: PageMap, missing: Sequence[Fiducial], slack_px: float = 0.0) -> str:
    """Returns which of the photo's edges cut codes off and what to do, "" where none does."""
    height, width = photo_grey.shape
    sides: dict[str, None] = {}
    for code in missing:
        outline = page_map(outline_mm(code))
        beyond_px = np.column_stack([-0.5 - outline.min(axis=0), outline.max(axis=0) - (width, height) + 0.5]).ravel()
        sides |= dict.fromkeys(side for side, by_px in zip(_SIDES, beyond_px, strict=True) if by_px > slack_px)
    if not sides:
        return ""
    return f"the page is cut off {' and '.join(sides)}: step back so that all four codes are in the picture"


def _named(corners: Sequence[str]) -> str:
    return " and ".join(_CORNER_NAMES.get(corner, corner) for corner in corners) + (" codes" if len(corners) > 1 else " code")


def code_trouble(photo_grey: np.ndarray, page_map: PageMap, code: Fiducial) -> str:
    """Returns why a code was not found at its known place in a photo, uint8 (H, W).

    One of "outside the photo", "in shadow" (the page is bright elsewhere), "in the dark", "in glare" (white where black is
    printed), "too small" (under 2.2 px a module), "covered" (something else is there), "blurred" (its modules agree once
    blurred), "moved" (and are blurred along one direction), "out of its place" (they agree beside it) and "faint" (all is as
    printed, but noise or lack of contrast hides it from decoders).
    """
    height, width = photo_grey.shape
    outline = page_map(outline_mm(code))
    if (outline < -0.5).any() or (outline > np.array([width, height]) - 0.5).any():
        return "outside the photo"
    seen = _seen_upright(photo_grey, page_map, code)
    margin = _MARGIN_MODULES * _SAMPLES_PER_MODULE
    inside = seen[margin:-margin, margin:-margin]
    dark = np.kron(modules(code.payload), np.ones((_SAMPLES_PER_MODULE, _SAMPLES_PER_MODULE), bool))
    if np.percentile(seen, 95) < _DARK_8BIT:
        return "in shadow" if page_white_8bit(photo_grey, page_map) >= _PAGE_WHITE_8BIT else "in the dark"
    clipped_rate = float((inside[dark] >= _CLIPPED_8BIT).mean())
    is_pale = (inside < _BRIGHT_8BIT).mean() < 0.5 * dark.mean()
    if clipped_rate > _MIN_CLIPPED_RATE and is_pale:
        return "in glare"
    if np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1).min() < _MIN_MODULE_PX * N_MODULES:
        return "too small"
    is_moved = motion_of_codes(photo_grey, page_map, [code]) >= MIN_MOTION
    likeness, blur, shift = _likeness(seen, dark)
    is_sharp = blur <= _SHARP_MODULES
    if likeness < (_MIN_SHARP_LIKENESS if is_sharp and not is_moved else _MIN_LIKENESS):
        return "in glare" if clipped_rate > _MIN_CLIPPED_RATE else "covered"
    if not is_sharp:
        return "moved" if is_moved else "blurred"
    return "out of its place" if shift > _MAX_SHIFT_MODULES else "faint"


def _seen_upright(photo_grey: np.ndarray, page_map: PageMap, code: Fiducial) -> np.ndarray:
    """Returns a code with a margin of three modules, upright, four samples a module, uint8; few and large steps are averaged."""
    n_modules = N_MODULES + 2 * _MARGIN_MODULES
    module_mm, n = code.size_mm / N_MODULES, n_modules * _SAMPLES_PER_MODULE
    corner_mm = np.array([code.x_mm, code.y_mm]) - _MARGIN_MODULES * module_mm
    outline = page_map(SQUARE * n_modules * module_mm + corner_mm)
    side_px = np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1).max()
    fine = straightened(photo_grey, outline, n * max(1, int(np.ceil(side_px / n))))
    return cv2.resize(fine, (n, n), interpolation=cv2.INTER_AREA)


def _likeness(seen: np.ndarray, dark: np.ndarray) -> tuple[float, float, float]:
    """Returns the best correlation of the code's modules with what is seen, at which blur and how far off, both in modules."""
    margin, best = _MARGIN_MODULES * _SAMPLES_PER_MODULE, (-1.0, 0.0, 0.0)
    padded = np.pad(np.where(dark, 0, 255).astype(np.float32), margin, constant_values=255)
    for blur in _BLURS_MODULES:
        template = cv2.GaussianBlur(padded, (0, 0), blur * _SAMPLES_PER_MODULE)[margin:-margin, margin:-margin]
        scores = cv2.matchTemplate(seen.astype(np.float32), template, cv2.TM_CCOEFF_NORMED)
        _, score, _, place = cv2.minMaxLoc(scores)
        if score > best[0]:
            best = (score, blur, float(np.linalg.norm(np.array(place) - margin)) / _SAMPLES_PER_MODULE)
    return best
