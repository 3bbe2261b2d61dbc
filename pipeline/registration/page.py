"""A photograph becomes a page and its crops: which page it shows, where the page lies, and each image cut out of it."""

from collections import defaultdict
from dataclasses import dataclass, field

import cv2
import numpy as np

from pipeline import geometry
from pipeline.fiducials import Detection, decode_payload, detect, detect_near
from pipeline.records import CORNERS, Fiducial, Placement, Printout

# A sheet that bulges by 6 mm leaves 0.3 mm at its four codes; beyond these bounds a code or the page is not what it seems.
_MAX_ERROR_MM = 1.0
_MAX_RMS_MM = 0.5
_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """Where a page lies in a photo: `photo_from_page` (3, 3) maps page mm to photo pixels, `codes` are those it rests on."""

    page: int
    photo_from_page: np.ndarray
    codes: dict[str, Detection]
    reprojection_rms_px: float
    detections: tuple[Detection, ...]

    @property
    def n_codes(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """Why a photo has no page position: a key of records.DISCARD_REASONS, what was seen, and the page if that is known."""

    reason: str
    detail: str
    page: int | None = None
    n_codes: int = 0
    detections: tuple[Detection, ...] = field(default=())


@dataclass(frozen=True, slots=True, eq=False)
class CropResult:
    """One image cut out of a photo.

    `pixels` uint8 (height_px, width_px, 3); `photo_px_per_image_px` below 1 means that the photo has fewer pixels than the image;
    `sharpness` is `sharpness_of(pixels)`; `inside` is False when part of the image lies beyond the photo's edge.
    """

    pixels: np.ndarray
    photo_px_per_image_px: float
    sharpness: float
    inside: bool


def register(photo: np.ndarray, printout: Printout, min_codes: int = 2) -> Registration | Failure:
    """Returns where the page lies in a photo of any orientation, or why that cannot be told.

    One homography is fitted to all corners of all codes of the page (RANSAC, then least squares). Codes that the decoders
    missed are looked for again where the others say they are. With one code alone an image at the far end of the page would
    be off by about 2 mm, hence `min_codes` = 2.

    Args: `photo` uint8 (H, W, 3) RGB.
    Returns: Failure with "no-code", "foreign-code", "other-run", "several-pages" or "unregistered".
    """
    # Two codes tell where the others are, and a look there is quicker and sees more than treating the whole photo.
    detections = tuple(detect(photo, expected=len(CORNERS)))
    by_page = _codes_by_page(detections, printout)
    if not by_page:
        return _nothing_of_this_run(detections, printout)
    if len(by_page) > 1:
        pages = ", ".join(str(page) for page in sorted(by_page))
        return Failure("several-pages", f"codes of pages {pages}", None, sum(map(len, by_page.values())), detections)
    ((page, seen),) = by_page.items()
    if any(len(copies) > 1 for copies in seen.values()):
        return Failure("several-pages", f"page {page} is in the photo more than once", page, len(seen), detections)
    fiducials = {f.corner: f for f in printout.fiducials if f.page == page}
    codes = {corner: seen[corner][0] for corner in CORNERS if corner in seen}
    fitted = _fitted(codes, fiducials, min_codes)
    if isinstance(fitted, str):
        return Failure("unregistered", fitted, page, len(codes), detections)
    codes = fitted[1] | _codes_found_again(photo, fitted[0], {c: f for c, f in fiducials.items() if c not in fitted[1]})
    fitted = _fitted(codes, fiducials, min_codes)
    if isinstance(fitted, str):
        return Failure("unregistered", fitted, page, len(codes), detections)
    photo_from_page, codes = fitted
    trouble = _implausible(photo_from_page, printout)
    page_mm, photo_px = _points(codes, fiducials)
    rms_px = geometry.reprojection_rms(photo_from_page, page_mm, photo_px)
    px_per_mm = _px_per_mm(photo_from_page, page_mm.mean(axis=0))
    if trouble is None and rms_px > _MAX_RMS_MM * px_per_mm:
        trouble = f"the codes disagree by {rms_px / px_per_mm:.1f} mm; is the page flat?"
    if trouble is not None:
        return Failure("unregistered", trouble, page, len(codes), detections)
    again = tuple(code for code in codes.values() if not any(code is old for old in detections))
    return Registration(page, photo_from_page, codes, rms_px, detections + again)


def crop(photo: np.ndarray, photo_from_page: np.ndarray, placement: Placement) -> CropResult:
    """Returns one image cut out of a photo at its source size, in a single anti-aliased warp.

    Args: `photo` uint8 (H, W, 3); `photo_from_page` (3, 3), page mm to photo pixels.
    """
    photo_from_image = _photo_from_image(photo_from_page, placement)
    image_from_photo = np.linalg.inv(photo_from_image)
    size = placement.width_px, placement.height_px
    pixels = geometry.warp(photo, image_from_photo, size)
    outline = geometry.apply_homography(photo_from_image, geometry.image_corners(*size))
    height, width = photo.shape[:2]
    inside = bool((outline >= -0.5).all() and (outline <= np.array([width, height]) - 0.5).all())
    centre = np.array([(placement.width_px - 1) / 2, (placement.height_px - 1) / 2])
    return CropResult(pixels, geometry.scale_at(image_from_photo, centre), sharpness_of(pixels), inside)


def sharpness_of(pixels: np.ndarray) -> float:
    """Returns the variance of the Laplacian over the variance of the grey values: 20 for white noise, 0 for a flat image.

    The division makes it blind to contrast and exposure, so photos of one image can be compared; images of different content
    cannot (after Pech-Pacheco et al. 2000).

    Args: `pixels` uint8 (H, W, 3).
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float64)
    spread = grey.var()
    return float(cv2.Laplacian(grey, cv2.CV_64F).var() / spread) if spread > 0 else 0.0


def registration_error(estimated: np.ndarray, true: np.ndarray, placement: Placement) -> float:
    """Returns how far the pixels of one crop are from where they should be, root mean square over a 9 x 9 grid, crop pixels.

    Args: `estimated`, `true` the two photo_from_page (3, 3).
    """
    x, y = np.meshgrid(np.linspace(-0.5, placement.width_px - 0.5, 9), np.linspace(-0.5, placement.height_px - 0.5, 9))
    points = np.column_stack([x.ravel(), y.ravel()])
    in_photo = geometry.apply_homography(_photo_from_image(true, placement), points)
    back = geometry.apply_homography(np.linalg.inv(_photo_from_image(estimated, placement)), in_photo)
    return float(np.sqrt(((back - points) ** 2).sum(axis=1).mean()))


def _photo_from_image(photo_from_page: np.ndarray, placement: Placement) -> np.ndarray:
    return photo_from_page @ geometry.box_homography(
        placement.x_mm, placement.y_mm, placement.width_mm, placement.height_mm, placement.width_px, placement.height_px
    )


def _codes_by_page(detections: tuple[Detection, ...], printout: Printout) -> dict[int, dict[str, list[Detection]]]:
    """Returns the printout's codes found: page -> corner -> detections, one for each copy in the photo."""
    known = {f.payload: f for f in printout.fiducials}
    by_page: dict[int, dict[str, list[Detection]]] = defaultdict(lambda: defaultdict(list))
    for detection in detections:
        if detection.text in known:
            by_page[known[detection.text].page][known[detection.text].corner].append(detection)
    return by_page


def _nothing_of_this_run(detections: tuple[Detection, ...], printout: Printout) -> Failure:
    ours = [payload for payload in (decode_payload(detection.text) for detection in detections) if payload is not None]
    if ours:
        runs = ", ".join(sorted({payload.run_code for payload in ours}))
        pages = ", ".join(str(page) for page in sorted({payload.page for payload in ours}))
        this = f"this printout is {printout.run_code}, {printout.n_pages} page{'s' * (printout.n_pages > 1)}"
        return Failure("other-run", f"run code {runs}, page {pages}; {this}", None, len(ours), detections)
    if detections:
        return Failure("foreign-code", f"reads {detections[0].text[:60]!r}", None, 0, detections)
    return Failure("no-code", "", None, 0, detections)


def _fitted(
    codes: dict[str, Detection], fiducials: dict[str, Fiducial], min_codes: int
) -> tuple[np.ndarray, dict[str, Detection]] | str:
    """Returns photo_from_page and the codes that agree on it, or what is wrong."""
    if len(codes) < min_codes:
        return f"only {len(codes)} of {len(fiducials)} codes found, at least {min_codes} are needed"
    page_mm, photo_px = _points(codes, fiducials)
    sides = [
        np.linalg.norm(code.corners - np.roll(code.corners, -1, axis=0), axis=1).mean() / fiducials[corner].size_mm
        for corner, code in codes.items()
    ]
    try:
        photo_from_page, agrees = geometry.robust_homography(page_mm, photo_px, _MAX_ERROR_MM * float(np.median(sides)))
    except geometry.NoHomography:
        return "the codes found do not lie on one plane"
    whole = agrees.reshape(-1, 4).all(axis=1)
    agreeing = {corner: code for (corner, code), kept in zip(codes.items(), whole, strict=True) if kept}
    if len(agreeing) < max(min_codes, len(codes) // 2 + 1):
        return f"only {len(agreeing)} of the {len(codes)} codes found agree on one page position; is the page flat?"
    if len(agreeing) < len(codes):
        photo_from_page = geometry.homography_from_points(*_points(agreeing, fiducials))
    return photo_from_page, agreeing


def _points(codes: dict[str, Detection], fiducials: dict[str, Fiducial]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the corners of the codes in page mm and in photo pixels, both (4 n, 2)."""
    boxes = [fiducials[corner] for corner in codes]
    page_mm = [_SQUARE * box.size_mm + (box.x_mm, box.y_mm) for box in boxes]
    return np.concatenate(page_mm), np.concatenate([code.corners for code in codes.values()])


def _codes_found_again(photo: np.ndarray, photo_from_page: np.ndarray, missing: dict[str, Fiducial]) -> dict[str, Detection]:
    """Returns those of the missing codes that can be read once one knows where to look."""
    found = {}
    for corner, box in missing.items():
        expected = geometry.apply_homography(photo_from_page, _SQUARE * box.size_mm + (box.x_mm, box.y_mm))
        if (expected < 0).any() or (expected > np.array(photo.shape[1::-1]) - 1).any():
            continue
        detection = detect_near(photo, expected, box.payload)
        if detection is not None:
            found[corner] = detection
    return found


def _implausible(photo_from_page: np.ndarray, printout: Printout) -> str | None:
    """Returns what is wrong with a page position that no camera could see, or None."""
    corners = _SQUARE * (printout.page_width_mm, printout.page_height_mm)
    depth = corners @ photo_from_page[2, :2] + photo_from_page[2, 2]
    if depth.min() * depth.max() <= 0:
        return "the page would reach behind the camera"
    outline = geometry.apply_homography(photo_from_page, corners)
    edges = np.roll(outline, -1, axis=0) - outline
    turns = edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1)
    if (turns < 0).all():
        return "the photo is mirrored (a selfie camera?)"
    return None if (turns > 0).all() else "the page's outline would not be convex"


def _px_per_mm(photo_from_page: np.ndarray, page_mm: np.ndarray) -> float:
    return 1 / geometry.scale_at(photo_from_page, geometry.apply_homography(photo_from_page, page_mm[None])[0])
