"""Reads every photo: finds its page by the codes, and crops every image to its source size; what cannot be used is listed."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from pipeline.errors import AnswerNo, BadInput
from pipeline.executor import Context, map_items
from pipeline.images import jpeg_bytes, pixels_sha256, png_bytes, read_image, read_png
from pipeline.photo_tags import photo_tags
from pipeline.records import CORNERS, DISCARD_REASONS, PHOTO, Capture, Discard, Pair, Printout, View
from pipeline.registration import Failure, Registration, draw_overlay, register, registration_error
from pipeline.registration import crop as crop_image
from pipeline.settings import Experiment
from pipeline.simulator import is_simulated
from pipeline.stages.outcome import Outcome
from pipeline.store import (
    Run,
    content_hash,
    file_hash,
    json_bytes,
    photo_files,
    photo_name,
    read_json,
    read_layout,
    read_table,
    record_from,
    replace_folder,
    write_bytes,
    write_table,
)

CAPTURE_ID_CHARS = 12
SIMULATED = "simulated"
_QUALITY = 85


@dataclass(frozen=True)
class _Photo:
    """One file in the photos folder; `truth` is the simulator's own photo_from_page, where it made the photo."""

    path: Path
    name: str
    sha256: str
    key: str
    truth: tuple[float, ...] | None

    @property
    def capture_id(self) -> str:
        return self.sha256[:CAPTURE_ID_CHARS]


@dataclass(frozen=True)
class _Read:
    """What came out of one photo."""

    capture: Capture
    views: tuple[View, ...]
    discards: tuple[Discard, ...]
    overlay: str


def crop(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes the crops, `captures.parquet`, `views.parquet`, `discards.parquet` and an overlay for every photo.

    Of several photos of one page a real one counts before a simulated one, then the one with the most codes, then the sharpest;
    the others are kept and listed.

    Raises:
        AnswerNo: there is no photo yet.
    """
    by_camera = experiment.photograph.by == "camera"
    if not photo_files(run, by_camera):
        raise AnswerNo(f"There are no photos in {run.photos}.", "Photograph the pages and put the photos there.")
    printout = read_layout(run)
    pairs = {pair.pair_id: pair for pair in read_table(run.printouts / "pairs.parquet", Pair)}
    photos, copies = _photos(run, by_camera, experiment.capture.strict)
    items = run.items("crop", run.captures)
    kept = {photo.key: _kept(items.get_json(photo.key), run) for photo in photos}
    todo = [photo for photo in photos if kept[photo.key] is None]
    work = partial(_read, captures=run.captures, printout=printout, pairs=pairs, strict=experiment.capture.strict)
    for photo, read in zip(todo, map_items(work, todo, context, "crop"), strict=True):
        kept[photo.key] = read
        items.put(photo.key, json_bytes(asdict(read)))
    reads = [kept[photo.key] for photo in photos]
    captures, views, discards = _chosen(reads)
    discards += copies
    write_table(run.captures / "captures.parquet", Capture, captures)
    write_table(run.captures / "views.parquet", View, views)
    write_table(run.captures / "discards.parquet", Discard, discards)
    replace_folder(run.captures / "views" / "photo", {view.path.removeprefix("views/photo/") for view in views})
    replace_folder(run.overlays, {read.overlay.removeprefix("overlays/") for read in reads if read.overlay})
    items.prune()
    outputs = ["captures.parquet", "views.parquet", "discards.parquet"]
    outputs += [view.path for view in views] + [read.overlay for read in reads if read.overlay]
    summary, notes = _told(printout, captures, views, discards)
    return Outcome(tuple(outputs), summary, notes)


def _photos(run: Run, by_camera: bool, strict: bool) -> tuple[list[_Photo], list[Discard]]:
    truths, layout = {}, file_hash(run.layout)
    for path in sorted(run.truth.glob("*.json")) if run.truth.is_dir() else ():
        entry = read_json(path)
        truths[entry["photo_sha256"]] = tuple(entry["photo_from_page"])
    photos: dict[str, _Photo] = {}
    copies = []
    for path in photo_files(run, by_camera):
        name, sha256 = photo_name(run, path), file_hash(path)
        if sha256 in photos:
            copies.append(
                Discard(name, sha256[:CAPTURE_ID_CHARS], None, "", "", "duplicate", f"the same file as {photos[sha256].name}")
            )
            continue
        truth = truths.get(sha256)
        key = content_hash([name, sha256, layout, strict, truth])
        photos[sha256] = _Photo(path, name, sha256, key, truth)
    return list(photos.values()), copies


def _kept(tree: dict[str, Any] | None, run: Run) -> _Read | None:
    """Returns what was read of a photo before, if its crops are still on disk as they were."""
    if tree is None:
        return None
    views = tuple(record_from(View, row) for row in tree["views"])
    if tree["overlay"] and not (run.captures / tree["overlay"]).is_file():
        return None
    try:
        if any(pixels_sha256(read_png(run.captures / view.path)) != view.sha256 for view in views):
            return None
    except BadInput:
        return None
    discards = tuple(record_from(Discard, row) for row in tree["discards"])
    return _Read(record_from(Capture, tree["capture"]), views, discards, tree["overlay"])


def _read(photo: _Photo, captures: Path, printout: Printout, pairs: dict[str, Pair], strict: bool) -> _Read:
    tags = photo_tags(photo.path)
    capture = Capture(
        capture_id=photo.capture_id,
        photo=photo.name,
        sha256=photo.sha256,
        device=tags.device,
        taken_at=tags.taken_at,
        origin=SIMULATED if photo.truth or is_simulated(photo.path.read_bytes()) else "camera",
        width_px=0,
        height_px=0,
        page=None,
        n_codes=0,
        reprojection_rms_px=None,
        photo_from_page=None,
        counts=False,
    )
    try:
        pixels = read_image(photo.path).pixels
    except BadInput as error:
        detail = str(error).replace(str(photo.path), photo.name)
        return _Read(capture, (), (_discard(capture, "unreadable", detail),), "")
    found = register(pixels, printout)
    capture = replace(capture, width_px=pixels.shape[1], height_px=pixels.shape[0], page=found.page, n_codes=found.n_codes)
    overlay = f"overlays/{Path(photo.name).stem}-{photo.capture_id[:6]}.jpg"
    if isinstance(found, Registration) and strict:
        unread = [corner for corner in CORNERS if corner not in found.codes or found.codes[corner].decoder == "alignment"]
        if unread:
            detail = f"page {found.page}: not read: {', '.join(unread)}"
            found = Failure("missing-code", detail, found.page, len(CORNERS) - len(unread), found.detections)
    write_bytes(captures / overlay, jpeg_bytes(draw_overlay(pixels, found, printout, photo.name), _QUALITY))
    if isinstance(found, Failure):
        return _Read(capture, (), (_discard(capture, found.reason, found.detail),), overlay)
    capture = replace(
        capture,
        reprojection_rms_px=found.reprojection_rms_px,
        photo_from_page=tuple(float(value) for value in found.photo_from_page.ravel()),
    )
    views, discards = _crops(pixels, found, capture, photo.truth, captures, printout, pairs)
    return _Read(capture, tuple(views), tuple(discards), overlay)


def _crops(
    pixels: np.ndarray,
    found: Registration,
    capture: Capture,
    truth: tuple[float, ...] | None,
    captures: Path,
    printout: Printout,
    pairs: dict[str, Pair],
) -> tuple[list[View], list[Discard]]:
    views, discards = [], []
    for placement in printout.placements:
        if placement.page != found.page:
            continue
        result = crop_image(pixels, found.photo_from_page, placement)
        if not result.inside:
            discards.append(replace(_discard(capture, "outside", ""), pair_id=placement.pair_id, variant=placement.variant))
            continue
        pair = pairs[placement.pair_id]
        path = f"views/photo/{capture.capture_id}/{pair.pair_id.replace('/', '-')}-{placement.variant}.png"
        write_bytes(captures / path, png_bytes(result.pixels))
        error = None if truth is None else registration_error(found.photo_from_page, np.reshape(truth, (3, 3)), placement)
        clean = placement.variant == "clean"
        views.append(
            View(
                view_id=f"{pair.pair_id}/{placement.variant}/{PHOTO}-{capture.capture_id}",
                image_id=pair.image_id,
                variant=placement.variant,
                attack="" if clean else pair.attack,
                epsilon_8bit=0 if clean else pair.epsilon_8bit,
                pair_id=pair.pair_id,
                transform=PHOTO,
                parameter=None,
                path=path,
                sha256=pixels_sha256(result.pixels),
                origin=capture.origin,
                capture_id=capture.capture_id,
                registration_error_px=error,
                sharpness=result.sharpness,
                photo_px_per_image_px=result.photo_px_per_image_px,
            )
        )
    return views, discards


def _discard(capture: Capture, reason: str, detail: str) -> Discard:
    return Discard(capture.photo, capture.capture_id, capture.page, "", "", reason, detail)


def _chosen(reads: Iterable[_Read]) -> tuple[list[Capture], list[View], list[Discard]]:
    """Decides which photo of each page counts, and lists the others."""
    reads = list(reads)
    by_page: dict[int, list[_Read]] = defaultdict(list)
    for read in reads:
        if read.views:
            by_page[read.capture.page].append(read)
    best = {page: min(group, key=_rank).capture.capture_id for page, group in by_page.items()}
    names = {read.capture.capture_id: read.capture.photo for read in reads}
    captures, views, discards = [], [], []
    for read in reads:
        counts = bool(read.views) and best[read.capture.page] == read.capture.capture_id
        captures.append(replace(read.capture, counts=counts))
        views += [replace(view, counts=counts) for view in read.views]
        discards += read.discards
        if read.views and not counts:
            discards.append(_discard(read.capture, "superseded", f"{names[best[read.capture.page]]} is used"))
    return captures, views, discards


def _rank(read: _Read) -> tuple[bool, int, float, str]:
    return (
        read.capture.origin == SIMULATED,
        -read.capture.n_codes,
        -median(view.sharpness for view in read.views),
        read.capture.photo,
    )


def _told(
    printout: Printout, captures: list[Capture], views: list[View], discards: list[Discard]
) -> tuple[dict[str, object], tuple[str, ...]]:
    counted = {capture.page for capture in captures if capture.counts}
    missing = [page for page in range(1, printout.n_pages + 1) if page not in counted]
    errors = [view.registration_error_px for view in views if view.registration_error_px is not None]
    summary = {
        "n_photos": len(captures),
        "n_pages_found": len(counted),
        "n_pages": printout.n_pages,
        "n_crops": sum(view.counts for view in views),
        "n_discards": len(discards),
        "missing_pages": missing,
        "reasons": dict(Counter(row.reason for row in discards)),
    }
    if errors:
        summary["registration_rms_px"] = round(float(np.sqrt(np.mean(np.square(errors)))), 4)
        summary["registration_p95_px"] = round(float(np.percentile(errors, 95)), 4)
    discards = sorted(discards, key=lambda row: row.reason in ("superseded", "duplicate"))
    notes = [f"{row.photo}: {DISCARD_REASONS[row.reason]}" + (f" ({row.detail})" if row.detail else "") for row in discards]
    if errors:
        notes.append(f"registration error {summary['registration_rms_px']:.3f} px RMS against the simulator's truth")
    if missing:
        notes.append(f"pages not yet captured: {', '.join(map(str, missing))}")
    return summary, tuple(notes)
