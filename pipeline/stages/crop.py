"""Reads every photo, scan and video: finds its pages, crops every image to its source size; what cannot be used is listed."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from statistics import median
from typing import Any

import numpy as np

from pipeline.core.errors import AnswerNo, BadInput
from pipeline.engine import Context, map_items
from pipeline.images import missing_reader, pixels_sha256, read_png
from pipeline.physical.registration import pages_to_do
from pipeline.physical.registration.page_reading import Reading, ReadPage, capture_id, discarded, signal_kept
from pipeline.physical.registration.photo_reading import SIMULATED, PhotoFile, read_file
from pipeline.records import DISCARD_REASONS, Capture, CropQuality, Discard, Pair, Printout, View
from pipeline.settings import CaptureSettings, Experiment
from pipeline.stages.contact_sheets import write_contact_sheets
from pipeline.stages.outcome import Outcome
from pipeline.store import (
    Run,
    content_hash,
    file_hash,
    json_bytes,
    photo_digest,
    photo_files,
    photo_name,
    photo_trouble,
    read_json,
    read_layout,
    read_table,
    record_from,
    replace_folder,
    write_bytes,
    write_table,
)


def crop(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes the crops, `captures`, `views`, `quality` and `discards.parquet`, an overlay for every picture, and contact sheets.

    Of several pictures of one page a real one counts before a simulated one, then the one whose crops keep most of the signal
    (`signal_kept`); the others are kept and listed. With `capture.count` "all" every real one counts, or every simulated one
    where there is no real one. With `photograph.predict` real and simulated ones are chosen apart, and both count.

    Raises:
        AnswerNo: there is no photo yet.
    """
    by_camera, predicts = experiment.photograph.by == "camera", experiment.photograph.predicts
    if not photo_files(run, by_camera):
        raise AnswerNo(f"There are no photos in {run.photos}.", "Photograph the pages and put the photos there.")
    printout = read_layout(run)
    pairs = {pair.pair_id: pair for pair in read_table(run.printouts / "pairs.parquet", Pair)}
    photos, copies = _photos(run, by_camera and not predicts, experiment.capture)
    items = run.items("crop", run.captures)
    known = context.progress(photos, len(photos), "read before")
    kept = {photo.key: _kept(items.get_json(photo.key), run) for photo in known}
    todo = [photo for photo in photos if kept[photo.key] is None]
    work = partial(read_file, reading=Reading(printout, pairs, experiment.capture))
    for photo, fresh in zip(todo, map_items(work, todo, context, "photos"), strict=True):
        for path, content in chain.from_iterable(each.files.items() for each in fresh):
            write_bytes(run.captures / path, content)
        kept[photo.key] = pages = [each.page for each in fresh]
        if not any(row.reason == "no-reader" for page in pages for row in page.discards):  # the next time there may be one
            items.put(photo.key, json_bytes([asdict(page) for page in pages]))
    pages = [page for photo in photos for page in kept[photo.key]]
    captures, views, discards = _chosen(pages, experiment.capture.count == "all", predicts)
    discards += copies
    quality = [row for page in pages for row in page.quality]
    write_table(run.captures / "captures.parquet", Capture, captures)
    write_table(run.captures / "views.parquet", View, views)
    write_table(run.captures / "quality.parquet", CropQuality, quality)
    write_table(run.captures / "discards.parquet", Discard, discards)
    overlays, crops = sorted({page.overlay for page in pages if page.overlay}), [view.path for view in views]
    replace_folder(run.captures / "views" / "photo", {path.removeprefix("views/photo/") for path in crops})
    replace_folder(run.overlays, {overlay.removeprefix("overlays/") for overlay in overlays})
    n_simulated = sum(capture.counts and capture.origin == SIMULATED for capture in captures)
    if predicts:  # a person is told of the photographs that a person took
        captures, views, quality, discards = _real(captures, views, quality, discards)
    sheets = write_contact_sheets(run, printout, views, quality, discards)
    items.prune()
    outputs = ["captures.parquet", "views.parquet", "quality.parquet", "discards.parquet"]
    outputs += crops + overlays + sheets
    to_do = pages_to_do(printout, captures, discards, quality)
    summary, notes = _told(printout, captures, views, quality, discards, to_do)
    if predicts:
        summary["n_predicted_pages"] = n_simulated
    return Outcome(tuple(outputs), summary, notes)


def _photos(run: Run, by_camera: bool, settings: CaptureSettings) -> tuple[list[PhotoFile], list[Discard]]:
    truths, layout = {}, file_hash(run.layout)
    for path in sorted(run.truth.glob("*.json")) if run.truth.is_dir() else ():
        entry = read_json(path)
        truths[entry["photo_sha256"]] = (tuple(entry["photo_from_page"]), tuple(entry["residual_px"]))
    photos: dict[str, PhotoFile] = {}
    copies = []
    for path in photo_files(run, by_camera):
        name, sha256 = photo_name(run, path), photo_digest(run, path)
        if sha256 in photos:
            detail = f"the same file as {photos[sha256].name}"
            copies.append(Discard(name, capture_id(sha256), None, "", "", "duplicate", detail))
            continue
        truth = truths.get(sha256)
        trouble = photo_trouble(run, path)
        if trouble is None and (missing := missing_reader(path)):
            trouble = "no-reader", f"it is {missing}"
        key = content_hash([name, sha256, layout, asdict(settings) | {"count": ""}, truth, trouble])
        photos[sha256] = PhotoFile(path, name, sha256, key, truth, trouble)
    return list(photos.values()), copies


def _kept(rows: list[dict[str, Any]] | None, run: Run) -> list[ReadPage] | None:
    """Returns what was read of a photo before, if its crops are still on disk as they were."""
    if rows is None:
        return None
    try:
        pages = [
            ReadPage(
                record_from(Capture, row["capture"]),
                tuple(record_from(View, view) for view in row["views"]),
                tuple(record_from(CropQuality, quality) for quality in row["quality"]),
                tuple(record_from(Discard, discard) for discard in row["discards"]),
                row["overlay"],
            )
            for row in rows
        ]
        if any(page.overlay and not (run.captures / page.overlay).is_file() for page in pages):
            return None
        views = [view for page in pages for view in page.views]
        return pages if all(pixels_sha256(read_png(run.captures / view.path)) == view.sha256 for view in views) else None
    except (BadInput, KeyError, TypeError):
        return None


def _chosen(pages: Sequence[ReadPage], count_all: bool, origins_apart: bool) -> tuple[list[Capture], list[View], list[Discard]]:
    """Decides which pictures of each page count, and lists the others."""

    def rivals(page: ReadPage) -> tuple[int | None, str]:
        return page.capture.page, page.capture.origin if origins_apart else ""

    by_page: dict[tuple[int | None, str], list[ReadPage]] = defaultdict(list)
    for page in pages:
        if page.views:
            by_page[rivals(page)].append(page)
    counting: dict[str, ReadPage] = {}
    best = {key: min(group, key=_rank) for key, group in by_page.items()}
    for key, group in by_page.items():
        same = [page for page in group if page.capture.origin == best[key].capture.origin]
        counting |= {page.capture.capture_id: page for page in (same if count_all else [best[key]])}
    captures, views, discards = [], [], []
    for page in pages:
        counts = page.capture.capture_id in counting
        captures.append(replace(page.capture, counts=counts))
        views += [replace(view, counts=counts) for view in page.views]
        discards += page.discards
        if page.views and not counts:
            discards.append(discarded(page.capture, "superseded", f"{_shown(best[rivals(page)].capture)} is used"))
    return captures, views, discards


def _real(
    captures: list[Capture], views: list[View], quality: list[CropQuality], discards: list[Discard]
) -> tuple[list[Capture], list[View], list[CropQuality], list[Discard]]:
    """Leaves out what belongs to simulated photographs."""
    simulated = {capture.capture_id for capture in captures if capture.origin == SIMULATED}
    shown = [view for view in views if view.capture_id not in simulated]
    ids = {view.view_id for view in shown}
    return (
        [capture for capture in captures if capture.capture_id not in simulated],
        shown,
        [row for row in quality if row.view_id in ids],
        [row for row in discards if row.capture_id not in simulated],
    )


def _rank(page: ReadPage) -> tuple[bool, int, float, str, str]:
    kept = median(signal_kept(row) for row in page.quality)
    return (page.capture.origin == SIMULATED, -len(page.views), -round(kept, 6), page.capture.photo, page.capture.capture_id)


def _shown(capture: Capture) -> str:
    return f"{capture.photo} ({capture.frame})" if capture.frame else capture.photo


def _told(
    printout: Printout,
    captures: list[Capture],
    views: list[View],
    quality: list[CropQuality],
    discards: list[Discard],
    to_do: list[tuple[int, str]],
) -> tuple[dict[str, object], tuple[str, ...]]:
    counted = {capture.page for capture in captures if capture.counts}
    counting = {view.view_id for view in views if view.counts}
    rows = [row for row in quality if row.view_id in counting]
    errors = [row.registration_error_px for row in rows if row.registration_error_px is not None]
    summary: dict[str, object] = {
        "n_photos": len({capture.photo for capture in captures}),
        "n_pages_found": len(counted),
        "n_pages": printout.n_pages,
        "n_crops": len(rows),
        "n_discards": len(discards),
        "n_flagged": sum(bool(row.flags) for row in rows),
        "missing_pages": [page for page in range(1, printout.n_pages + 1) if page not in counted],
        "reasons": dict(Counter(row.reason for row in discards)),
        "flags": dict(Counter(flag for row in rows for flag in row.flags)),
        "to_do": [{"page": page, "advice": advice} for page, advice in to_do],
    }
    notes = [
        f"{row.photo}: {DISCARD_REASONS[row.reason]}" + (f" ({row.detail})" if row.detail else "")
        for row in sorted(discards, key=lambda row: row.reason in ("superseded", "duplicate"))
    ]
    if rows:
        expected = summary["predicted_error_rms_px"] = _rms([row.predicted_error_px for row in rows])
        notes.append(f"expected registration error {expected:.3f} px RMS")
    if errors:
        summary["registration_rms_px"] = _rms(errors)
        summary["registration_p95_px"] = round(float(np.percentile(errors, 95)), 4)
        notes.append(f"registration error {summary['registration_rms_px']:.3f} px RMS against the simulator's truth")
    return summary, (*(f"page {page}: {advice}" for page, advice in to_do), *notes)


def _rms(values: list[float]) -> float:
    return round(float(np.sqrt(np.mean(np.square(values)))), 4)
