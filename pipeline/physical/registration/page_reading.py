"""From one picture to the pages it shows: crops, quality and an overlay, as records and bytes; no file, no folder."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from statistics import median

import numpy as np

from pipeline.images import jpeg_bytes, pixels_sha256, quick_png_bytes, read_png
from pipeline.images.pictures import Picture
from pipeline.physical.fiducials.pyramid import Pyramid
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration.advice import photo_advice
from pipeline.physical.registration.colour import corrected, strip_correction
from pipeline.physical.registration.covering import MIN_LIKENESS, likeness
from pipeline.physical.registration.cropping import crop, registration_errors, sharpness_of
from pipeline.physical.registration.edge_spread import GAUSSIAN_MTF50
from pipeline.physical.registration.overlay import draw_overlay
from pipeline.physical.registration.page import Failure, Registration, register
from pipeline.physical.registration.quality import PageQuality, crop_qualities, flags_of, page_quality
from pipeline.physical.registration.ruler import ruler_scale
from pipeline.records import CAMERA, CORNERS, PHOTO, Capture, CropQuality, Discard, Pair, Placement, Printout, View
from pipeline.settings import CaptureSettings
from pipeline.store.artefacts import CROPS, OVERLAYS

Truth = tuple[tuple[float, ...], tuple[float, ...]]
_CAPTURE_ID_CHARS, _NAME_CHARS, _OVERLAY_QUALITY = 12, 60, 85
_SIGNAL_CYCLES_PER_PX = 0.25
# Beyond this a crop shows other pixels of the image, not shifted ones; nothing about an attack could be read from it.
_MAX_PREDICTED_ERROR_PX = 3.0


@dataclass(frozen=True)
class Reading:
    """What reading a picture depends on besides the picture.

    `printed` gives an image as it was printed, uint8 (H, W, 3), by its placement's path; without it nothing is compared.
    """

    printout: Printout
    pairs: Mapping[str, Pair]
    settings: CaptureSettings
    printed: Callable[[str], np.ndarray] | None = None


@dataclass(frozen=True)
class ReadPage:
    """What came out of one page in one picture: a capture with its crops, or with the reason why there are none."""

    capture: Capture
    views: tuple[View, ...] = ()
    quality: tuple[CropQuality, ...] = ()
    discards: tuple[Discard, ...] = ()
    overlay: str = ""

    @property
    def signal_kept(self) -> float:
        """The median of what its crops keep, 0 without crops."""
        return median(map(signal_kept, self.quality)) if self.quality else 0.0


@dataclass(frozen=True)
class FreshPage:
    """A page just read, and the files that go with it, by their paths below the captures: crops as PNG, an overlay as JPEG."""

    page: ReadPage
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def crops(self) -> dict[str, np.ndarray]:
        """The crops, uint8 (H, W, 3), by view id."""
        return {view.view_id: read_png(self.files[view.path]) for view in self.page.views}


def read_pages(
    picture: Picture, capture: Capture, reading: Reading, truth: Truth | None = None, focal_35mm_mm: float | None = None
) -> list[FreshPage]:
    """Returns each page that a picture shows, with its crops and their quality, or why it shows none; touches no file.

    Args: `capture` the record of the picture's file; `truth` the numbers of the simulator's own page map where it made the photo.
    """
    pixels, printout = picture.pixels, reading.printout
    pyramid = Pyramid(pixels)
    true_map = PageMap.from_numbers(printout.page_width_mm, printout.page_height_mm, *truth) if truth else None
    results = [_strict(result, printout) if reading.settings.strict else result for result in register(pyramid, printout)]
    drafts: list[FreshPage] = []
    shown: dict[tuple[int, str, str], CropQuality] = {}
    for result in results:
        one = replace(
            capture,
            capture_id=capture_id(capture.sha256, picture.frame, result.page if len(results) > 1 else None),
            frame=picture.frame,
            width_px=pixels.shape[1],
            height_px=pixels.shape[0],
            page=result.page,
            n_codes=result.n_codes,
            trouble=photo_advice(pyramid.grey, result, printout),
            scan_dpi=picture.scan_dpi or capture.scan_dpi,
            notes=picture.notes,
        )
        if isinstance(result, Failure):
            drafts.append(FreshPage(ReadPage(one, discards=(discarded(one, result.reason, result.detail),))))
            continue
        if one.origin == CAMERA and printout.medium == "paper" and not one.scan_dpi:
            told = ruler_scale(pyramid, result.page_map, focal_35mm_mm)
            one = replace(one, ruler_scale=told.scale, ruler_error=told.error) if told else one
        quality = page_quality(pyramid.grey, pixels, result.page_map, printout, result.page, focal_35mm_mm)
        fresh = _cropped(pixels, result, quality, one, reading, true_map)
        for view, row in zip(fresh.page.views, fresh.page.quality, strict=True):
            shown[result.page, view.pair_id, view.variant] = row
        drafts.append(fresh)
    parts = PurePath(capture.photo).stem[:_NAME_CHARS], picture.frame.replace(" ", ""), capture.sha256[:6]
    overlay = OVERLAYS.file("-".join(filter(None, parts)))
    title = " · ".join(filter(None, [capture.photo, picture.frame]))
    drawn = jpeg_bytes(draw_overlay(pixels, results, printout, title, shown, pyramid.grey), _OVERLAY_QUALITY)
    return [FreshPage(replace(fresh.page, overlay=overlay), fresh.files | {overlay: drawn}) for fresh in drafts]


def capture_id(sha256: str, frame: str = "", page: int | None = None) -> str:
    """Returns the id of a capture: of its file, of the frame in a file of several, of the page in a picture of several."""
    parts = [sha256[:_CAPTURE_ID_CHARS], frame.replace(" ", ""), "" if page is None else f"p{page}"]
    return "-".join(filter(None, parts))


def signal_kept(row: CropQuality) -> float:
    """Returns the share of a perturbation's contrast, at half the image's Nyquist frequency, that a crop is expected to keep.

    Blur (a Gaussian with the measured MTF50) and the expected registration error each spread a pixel; not measured is not kept.
    """
    if not row.mtf50_cycles_per_px:
        return 0.0
    blur_px, place_px = GAUSSIAN_MTF50 / row.mtf50_cycles_per_px, row.predicted_error_px / math.sqrt(2)
    return math.exp(-2 * math.pi**2 * _SIGNAL_CYCLES_PER_PX**2 * (blur_px**2 + place_px**2))


def discarded(capture: Capture, reason: str, detail: str, placement: Placement | None = None) -> Discard:
    """Returns the row that lists a picture, or one crop of it, as not used."""
    pair_id, variant = (placement.pair_id, placement.variant) if placement else ("", "")
    if capture.frame:
        detail = f"{capture.frame}: {detail}" if detail else capture.frame
    return Discard(capture.photo, capture.capture_id, capture.page, pair_id, variant, reason, detail)


def _cropped(
    pixels: np.ndarray, found: Registration, quality: PageQuality, capture: Capture, reading: Reading, true_map: PageMap | None
) -> FreshPage:
    printout = reading.printout
    correction, why_not = None, ""
    if reading.settings.colour == "strip":
        correction, why_not = strip_correction(pixels, found.page_map, printout, found.page)
    homography, residual = found.page_map.numbers
    capture = replace(
        capture,
        n_points=found.n_points,
        reprojection_rms_px=found.reprojection_rms_px,
        photo_from_page=homography,
        residual_px=residual,
        tilt_deg=quality.tilt_deg,
        colour="" if correction is None else "strip",
        trouble="; ".join(filter(None, [capture.trouble, why_not and f"colours not corrected: {why_not}"])),
    )
    kept, discards = list[tuple[Placement, np.ndarray, float, float | None]](), list[Discard]()
    placements = printout.of_page(found.page).placements
    errors = registration_errors(found.page_map, true_map, placements) if true_map and placements else [None] * len(placements)
    for placement, expected, error in zip(placements, found.predicted_errors_px(placements), errors, strict=True):
        if expected > _MAX_PREDICTED_ERROR_PX:
            discards.append(discarded(capture, "unplaced", f"expected error {expected:.1f} px", placement))
            continue
        if found.is_beyond(placement):
            discards.append(discarded(capture, "unplaced", "all printed points found lie on one side of it", placement))
            continue
        cut = crop(pixels, found.page_map, placement, reading.settings.linear_light)
        if cut is None:
            discards.append(discarded(capture, "outside", "", placement))
            continue
        alike = likeness(cut, reading.printed(placement.path)) if reading.printed else 1.0
        if alike < MIN_LIKENESS:
            detail = f"it resembles what was printed there by {alike:.2f}, and what is right by {MIN_LIKENESS} at least"
            discards.append(discarded(capture, "covered", detail, placement))
            continue
        kept.append((placement, cut, expected, error))
    ids = [f"{placement.pair_id}/{placement.variant}/{PHOTO}-{capture.capture_id}" for placement, *_ in kept]
    shown = [placement for placement, *_ in kept]
    expected_px, errors_px = [one[2] for one in kept], [one[3] for one in kept]
    rows = crop_qualities(ids, pixels, found.page_map, shown, quality, expected_px, errors_px)
    made = [
        _view(placement, capture, cut, row, reading.pairs[placement.pair_id], correction)
        for (placement, cut, _, _), row in zip(kept, rows, strict=True)
    ]
    views, files = [view for view, _ in made], {view.path: png for view, png in made}
    views, rows = _of_one_verdict(views, rows, quality)
    return FreshPage(ReadPage(capture, tuple(views), tuple(rows), tuple(discards)), files)


def _of_one_verdict(views: list[View], rows: list[CropQuality], quality: PageQuality) -> tuple[list[View], list[CropQuality]]:
    """Gives both images of a pair the flags that they have together."""
    pairs: dict[str, list[CropQuality]] = defaultdict(list)
    for view, row in zip(views, rows, strict=True):
        pairs[view.pair_id].append(row)
    flags = {pair_id: flags_of(both, quality.shade_of.get(pair_id, 1.0), quality.motion) for pair_id, both in pairs.items()}
    of_row = [flags[view.pair_id] for view in views]
    return (
        [replace(view, flags=raised) for view, raised in zip(views, of_row, strict=True)],
        [replace(row, flags=raised) for row, raised in zip(rows, of_row, strict=True)],
    )


def _view(
    placement: Placement, capture: Capture, pixels: np.ndarray, row: CropQuality, pair: Pair, correction: np.ndarray | None
) -> tuple[View, bytes]:
    if correction is not None:
        pixels = corrected(pixels, correction)
    clean = placement.variant == "clean"
    view = View(
        view_id=row.view_id,
        image_id=pair.image_id,
        variant=placement.variant,
        attack="" if clean else pair.attack,
        epsilon_8bit=0 if clean else pair.epsilon_8bit,
        pair_id=pair.pair_id,
        transform=PHOTO,
        parameter=None,
        path=CROPS.file(f"{capture.capture_id}/{pair.pair_id.replace('/', '-')}-{placement.variant}"),
        sha256=pixels_sha256(pixels),
        origin=capture.origin,
        capture_id=capture.capture_id,
        registration_error_px=row.registration_error_px,
        predicted_error_px=row.predicted_error_px,
        sharpness=sharpness_of(pixels),
        photo_px_per_image_px=row.photo_px_per_image_px,
        flags=row.flags,
    )
    return view, quick_png_bytes(pixels)


def _strict(result: Registration | Failure, printout: Printout) -> Registration | Failure:
    """Returns a failure where one of the four codes could not be read, as the paper discarded such photos."""
    if isinstance(result, Failure):
        return result
    read = {code.text for code in result.detections if code.decoder != "alignment"}
    unread = [code.corner for code in printout.of_page(result.page).fiducials if code.payload not in read]
    detail = f"page {result.page}: not read: {', '.join(unread)}"
    n_read = len(CORNERS) - len(unread)
    return Failure("missing-code", detail, result.page, n_read, result.detections) if unread else result
