"""What comes out of one file in the photos folder: every page in every picture of it, with crops, quality and overlay."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import numpy as np

from pipeline.core.errors import BadInput
from pipeline.images import jpeg_bytes, pixels_sha256, png_bytes
from pipeline.images.photo_tags import PhotoTags, photo_tags
from pipeline.images.pictures import PHOTO as A_PHOTO, VIDEO, Picture, capture_kind, pictures
from pipeline.physical.fiducials import Pyramid
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration import (
    GAUSSIAN_MTF50,
    Correction,
    Failure,
    Registration,
    corrected,
    crop,
    crop_quality,
    draw_overlay,
    page_quality,
    photo_advice,
    register,
    registration_error,
    sharpness_of,
    strip_correction,
)
from pipeline.physical.simulator import is_simulated
from pipeline.records import CAMERA, CORNERS, PHOTO, SIMULATED, Capture, CropQuality, Discard, Pair, Placement, Printout, View
from pipeline.settings import CaptureSettings
from pipeline.store import write_bytes

_CAPTURE_ID_CHARS = 12
_OVERLAY_QUALITY = 85
_NAME_CHARS = 60
_SIGNAL_CYCLES_PER_PX = 0.25
# Beyond this a crop shows other pixels of the image, not shifted ones; nothing about an attack could be read from it.
_MAX_PREDICTED_ERROR_PX = 3.0


@dataclass(frozen=True)
class PhotoFile:
    """One file in the photos folder.

    `key` names everything that its result depends on; `truth` are the numbers of the simulator's own page map, where it made the
    photo; `trouble` is (reason, detail) where the file must not be opened.
    """

    path: Path
    name: str
    sha256: str
    key: str
    truth: tuple[tuple[float, ...], tuple[float, ...]] | None
    trouble: tuple[str, str] | None


@dataclass(frozen=True)
class Reading:
    """What reading a file depends on besides the file."""

    captures: Path
    printout: Printout
    pairs: dict[str, Pair]
    settings: CaptureSettings


@dataclass(frozen=True)
class ReadPage:
    """What came out of one page in one picture: a capture with its crops, or with the reason why there are none."""

    capture: Capture
    views: tuple[View, ...] = ()
    quality: tuple[CropQuality, ...] = ()
    discards: tuple[Discard, ...] = ()
    overlay: str = ""


@dataclass(frozen=True)
class _Drafted:
    """A page read, and the files that go with it, not written yet."""

    page: ReadPage
    files: dict[str, bytes] = field(default_factory=dict)


def read_file(photo: PhotoFile, reading: Reading) -> list[ReadPage]:
    """Returns every page in every picture of a file, its crops and overlays written; of a video only each page's best frame."""
    blank = _capture(photo, PhotoTags("", ""), is_made_by_simulator=False)
    if photo.trouble:
        return [ReadPage(blank, discards=(discarded(blank, *photo.trouble),))]
    tags = photo_tags(photo.path)
    kind = capture_kind(photo.path)
    simulated = photo.truth is not None or (kind == A_PHOTO and is_simulated(photo.path.read_bytes()))
    capture, is_video = _capture(photo, tags, simulated), kind == VIDEO
    pages: list[ReadPage] = []
    best: dict[int | None, _Drafted] = {}
    try:
        for picture in pictures(photo.path):
            for drafted in _pages(picture, capture, photo, tags, reading):
                if not is_video:
                    pages.append(_written(drafted, reading.captures))
                elif drafted.page.capture.page not in best or _is_better(drafted, best[drafted.page.capture.page]):
                    best[drafted.page.capture.page] = drafted
    except BadInput as error:
        detail = str(error).replace(str(photo.path), photo.name)
        pages.append(ReadPage(capture, discards=(discarded(capture, "unreadable", detail),)))
    if any(drafted.page.views for drafted in best.values()):
        best.pop(None, None)  # frames between two pages show none, which is nothing to tell
    return pages + [_written(best[page], reading.captures) for page in sorted(best, key=lambda page: page or 0)]


def capture_id(sha256: str, frame: str = "", page: int | None = None) -> str:
    """Returns the id of a capture: of its file, of the frame in a file of several, of the page in a picture of several."""
    parts = [sha256[:_CAPTURE_ID_CHARS], frame.replace(" ", ""), "" if page is None else f"p{page}"]
    return "-".join(part for part in parts if part)


def signal_kept(row: CropQuality) -> float:
    """Returns the share of a perturbation's contrast, at half the image's Nyquist frequency, that a crop is expected to keep.

    Blur (a Gaussian with the measured MTF50) and the expected registration error each spread a pixel; nothing measured counts
    as nothing kept.
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


def _capture(photo: PhotoFile, tags: PhotoTags, is_made_by_simulator: bool) -> Capture:
    return Capture(
        capture_id=capture_id(photo.sha256),
        photo=photo.name,
        frame="",
        sha256=photo.sha256,
        device=tags.device,
        taken_at=tags.taken_at,
        origin=SIMULATED if is_made_by_simulator else CAMERA,
        width_px=0,
        height_px=0,
        page=None,
        n_codes=0,
        n_points=0,
        reprojection_rms_px=None,
        photo_from_page=None,
        residual_px=(),
        tilt_deg=None,
        colour="",
        trouble="",
        counts=False,
        scan_dpi=tags.scan_dpi,
    )


def _pages(picture: Picture, capture: Capture, photo: PhotoFile, tags: PhotoTags, reading: Reading) -> Iterator[_Drafted]:
    """Yields each page that one picture shows, or why it shows none."""
    pixels, printout = picture.pixels, reading.printout
    pyramid = Pyramid(pixels)
    results = [_strict(result) if reading.settings.strict else result for result in register(pyramid, printout)]
    drafts, shown = [], {}
    for result in results:
        one = replace(
            capture,
            capture_id=capture_id(photo.sha256, picture.frame, result.page if len(results) > 1 else None),
            frame=picture.frame,
            width_px=pixels.shape[1],
            height_px=pixels.shape[0],
            page=result.page,
            n_codes=result.n_codes,
            trouble=photo_advice(pyramid.grey, result, printout),
            scan_dpi=picture.scan_dpi or capture.scan_dpi,
        )
        if isinstance(result, Failure):
            drafts.append(_Drafted(ReadPage(one, discards=(discarded(one, result.reason, result.detail),))))
            continue
        drafted = _cropped(pixels, pyramid, result, one, photo, tags, reading)
        placements = [placement for placement in printout.placements if placement.page == result.page]
        rows = {row.view_id: row for row in drafted.page.quality}
        for placement in placements:
            row = rows.get(_view_id(placement, one))
            if row:
                shown[result.page, placement.pair_id, placement.variant] = row
        drafts.append(drafted)
    suffix = picture.frame.replace(" ", "")
    name = "-".join(filter(None, [Path(photo.name).stem[:_NAME_CHARS], suffix, photo.sha256[:6]]))
    overlay = f"overlays/{name}.jpg"
    title = " · ".join(filter(None, [photo.name, picture.frame]))
    drawn = jpeg_bytes(draw_overlay(pixels, results, printout, title, shown), _OVERLAY_QUALITY)
    for drafted in drafts:
        yield _Drafted(replace(drafted.page, overlay=overlay), drafted.files | {overlay: drawn})


def _cropped(
    pixels: np.ndarray,
    pyramid: Pyramid,
    found: Registration,
    capture: Capture,
    photo: PhotoFile,
    tags: PhotoTags,
    reading: Reading,
) -> _Drafted:
    printout = reading.printout
    truth = None
    if photo.truth is not None:
        truth = PageMap.from_numbers(printout.page_width_mm, printout.page_height_mm, *photo.truth)
    quality = page_quality(pyramid.grey, pixels, found.page_map, printout, found.page, tags.focal_35mm_mm)
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
        colour="strip" if correction else "",
        trouble="; ".join(filter(None, [capture.trouble, why_not and f"colours not corrected: {why_not}"])),
    )
    views, rows, discards, files = [], [], [], {}
    for placement in printout.placements:
        if placement.page != found.page:
            continue
        expected = found.predicted_error_px(placement)
        if expected > _MAX_PREDICTED_ERROR_PX:
            discards.append(discarded(capture, "unplaced", f"expected error {expected:.1f} px", placement))
            continue
        cut = crop(pixels, found.page_map, placement, reading.settings.linear_light)
        if cut is None:
            discards.append(discarded(capture, "outside", "", placement))
            continue
        error = None if truth is None else registration_error(found.page_map, truth, placement)
        row = crop_quality(_view_id(placement, capture), pixels, found.page_map, placement, quality, expected, error)
        view, png = _view(placement, capture, cut, row, reading.pairs[placement.pair_id], correction)
        files[view.path] = png
        views.append(view)
        rows.append(row)
    return _Drafted(ReadPage(capture, tuple(views), tuple(rows), tuple(discards)), files)


def _view(
    placement: Placement, capture: Capture, pixels: np.ndarray, row: CropQuality, pair: Pair, correction: Correction | None
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
        path=f"views/photo/{capture.capture_id}/{pair.pair_id.replace('/', '-')}-{placement.variant}.png",
        sha256=pixels_sha256(pixels),
        origin=capture.origin,
        capture_id=capture.capture_id,
        registration_error_px=row.registration_error_px,
        predicted_error_px=row.predicted_error_px,
        sharpness=sharpness_of(pixels),
        photo_px_per_image_px=row.photo_px_per_image_px,
        flags=row.flags,
    )
    return view, png_bytes(pixels, compress_level=1)


def _strict(result: Registration | Failure) -> Registration | Failure:
    """Returns a failure where one of the four codes could not be read, as the paper discarded such photos."""
    if isinstance(result, Failure):
        return result
    unread = [corner for corner in CORNERS if corner not in result.codes or result.codes[corner].decoder == "alignment"]
    if not unread:
        return result
    detail = f"page {result.page}: not read: {', '.join(unread)}"
    return Failure("missing-code", detail, result.page, len(CORNERS) - len(unread), result.detections)


def _view_id(placement: Placement, capture: Capture) -> str:
    return f"{placement.pair_id}/{placement.variant}/{PHOTO}-{capture.capture_id}"


def _is_better(one: _Drafted, other: _Drafted) -> bool:
    return _worth(one.page) > _worth(other.page)


def _worth(page: ReadPage) -> tuple[int, float]:
    return len(page.views), median(signal_kept(row) for row in page.quality) if page.quality else 0.0


def _written(drafted: _Drafted, captures: Path) -> ReadPage:
    for path, content in drafted.files.items():
        write_bytes(captures / path, content)
    return drafted.page
