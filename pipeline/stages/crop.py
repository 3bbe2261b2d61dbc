"""Reads every photo, scan and video: finds its pages, crops every image to its source size; what cannot be used is listed."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from pipeline import engine
from pipeline.core.errors import Waiting
from pipeline.engine import Context
from pipeline.images import CONVERTED, jpeg_bytes, missing_reader, read_png
from pipeline.images.photo_tags import photo_tags
from pipeline.physical.photo_arrival import photo_arrival
from pipeline.physical.registration.advice import quality_words
from pipeline.physical.registration.contact_sheet import ContactRow, draw_contact_sheets
from pipeline.physical.registration.page_reading import FreshPage, Reading, ReadPage, capture_id, discarded
from pipeline.physical.registration.photo_lines import LOST, pages_to_do
from pipeline.physical.registration.photo_reading import PhotoFile, printed_images, read_file
from pipeline.physical.registration.print_size import print_size_words
from pipeline.records import DISCARD_REASONS, SIMULATED, VARIANTS, Capture, CropQuality, Discard, Printout, View
from pipeline.settings import CaptureSettings, Experiment
from pipeline.stages.photograph import true_geometry
from pipeline.store import Hashes, Run, content_hash, file_hash, record_from, write_bytes
from pipeline.store.artefacts import CONTACT_SHEETS, CROPS, LAYOUT, OVERLAYS, PAIRS, PHOTOS, TABLES_OF_CROPS, TRUTH
from pipeline.store.photos import photo_digest, photo_files, photo_name, photo_trouble
from pipeline.store.stage import Digests, Outcome
from pipeline.transforms.views import saved_pixels

_SHEET_QUALITY = 88
# The next time there may be a reader, or a version that is mended.
_NOT_KEPT = ("no-reader", "failed")
# These say nothing of what is wrong with a photo.
_NO_FAULT = ("superseded", "duplicate", "linked")


def crop(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes the crops, `captures`, `views`, `quality` and `discards.parquet`, an overlay for every picture, and contact sheets.

    Of several pictures of one page a real one counts before a simulated one, then the one whose crops keep most of the signal
    (`signal_kept`); the others are kept and listed. With `capture.count` "all" every real one counts, or every simulated one
    where there is no real one. With `photograph.predict` real and simulated ones are chosen apart, and both count.

    Raises:
        Waiting: there is no photo yet.
    """
    by_camera, predicts = experiment.photograph.by == "camera", experiment.photograph.predicts
    if not photo_files(run, by_camera):
        raise Waiting(f"There are no photos in {run.photos}.", "Photograph the pages and put the photos there.")
    printout = LAYOUT.read(run)
    pairs = {pair.pair_id: pair for pair in PAIRS.read(run)}
    hashes = run.hashes()
    photos, copies, saw = photos_to_read(run, by_camera and not predicts, experiment.capture, hashes)
    before, known = KeptPages(run), context.progress(photos, len(photos), "read before")
    kept = {photo.key: before.get(photo) for photo in known}
    todo = [photo for photo in photos if kept[photo.key] is None]
    reading = Reading(printout, pairs, experiment.capture, printed_images(run.printouts, printout))
    work = partial(read_file, reading=reading)
    for photo, fresh in engine.map(work, todo, context, "photos"):
        kept[photo.key] = before.put(photo, fresh, hashes)
    pages = [page for photo in photos for page in kept[photo.key] or ()]
    captures, views, discards = chosen_pages(pages, experiment.capture.count == "all", predicts)
    discards += copies
    quality = [row for page in pages for row in page.quality]
    tables: tuple[list[Any], ...] = captures, views, quality, discards
    for table, rows in zip(TABLES_OF_CROPS, tables, strict=True):
        table.write(run, rows)
    overlays, crops = sorted({page.overlay for page in pages if page.overlay}), [view.path for view in views]
    CROPS.keep_only(run, crops)
    OVERLAYS.keep_only(run, overlays)
    n_simulated = sum(capture.counts and capture.origin == SIMULATED for capture in captures)
    if predicts:  # a person is told of the photographs that a person took
        captures, views, quality, discards = _real(captures, views, quality, discards)
    sheets = _contact_sheets(run, printout, views, quality, discards)
    before.prune()
    outputs = [*(table.name for table in TABLES_OF_CROPS), *crops, *overlays, *sheets]
    to_do = pages_to_do(printout, captures, discards, quality)
    summary, notes = _told(printout, captures, views, quality, discards, to_do)
    size = print_size_words(captures, printout, lambda name: photo_tags(run.photos / name)) if by_camera else ""
    notes = (size, *notes) if size else notes
    if predicts:
        summary["n_predicted_pages"] = n_simulated
    return Outcome(tuple(outputs), summary, notes, saw=saw)


class KeptPages:
    """What was read of each photo, kept under its key with the crops and overlays on disk, so that no photo is read twice."""

    def __init__(self, run: Run) -> None:
        self._run, self._items = run, run.items("crop", run.captures)

    def get(self, photo: PhotoFile) -> list[ReadPage] | None:
        """Returns what was read of a photo before, if its crops and overlays are still on disk as they were."""
        kept = self._items.get_json(photo.key)
        if kept is None:
            return None
        pages = [record_from(ReadPage, row) for row in kept["pages"]]
        try:
            return pages if _files(pages, self._run) == kept["files"] else None
        except OSError:
            return None

    def put(self, photo: PhotoFile, fresh: Sequence[FreshPage], hashes: Hashes) -> list[ReadPage]:
        """Writes the crops and overlays of what was just read, and keeps it where the same would be read another time."""
        for path, content in chain.from_iterable(each.files.items() for each in fresh):
            write_bytes(self._run.captures / path, content)
        pages = [each.page for each in fresh]
        is_refused = any(row.reason in _NOT_KEPT for page in pages for row in page.discards)
        if not is_refused and photo_digest(self._run, photo.path, hashes) == photo.sha256:  # else it changed meanwhile
            self._items.put_json(photo.key, {"pages": pages, "files": _files(pages, self._run)})
        return pages

    def prune(self) -> None:
        """Forgets every photo that was neither asked for nor kept by this object."""
        self._items.prune()


def photos_to_read(
    run: Run, by_camera: bool, settings: CaptureSettings, hashes: Hashes
) -> tuple[list[PhotoFile], list[Discard], Digests]:
    """Returns the files to read, those that are copies of others, and the hash of each."""
    layout, known = file_hash(LAYOUT.path(run)), [entry for name in TRUTH.stems(run) if (entry := true_geometry(run, name))]
    truths = {entry["photo_sha256"]: (tuple(entry["photo_from_page"]), tuple(entry["residual_px"])) for entry in known}
    photos: dict[str, PhotoFile] = {}
    copies = []
    saw: Digests = {}
    for path in photo_files(run, by_camera):
        name, sha256 = photo_name(run, path), photo_digest(run, path, hashes)
        saw[PHOTOS.file(name)] = photo_arrival(run, path, hashes)
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
    return list(photos.values()), copies, saw


def _files(pages: Sequence[ReadPage], run: Run) -> Digests:
    """Returns the hashes of the files that were written when pages were read."""
    names = {view.path for page in pages for view in page.views} | {page.overlay for page in pages if page.overlay}
    return {name: file_hash(run.captures / name) for name in sorted(names)}


def chosen_pages(
    pages: Sequence[ReadPage], count_all: bool, origins_apart: bool
) -> tuple[list[Capture], list[View], list[Discard]]:
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
    captures, views, discards = [], [], list[Discard]()
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
    kept = [capture for capture in captures if capture.capture_id not in simulated]
    lost = [row for row in discards if row.capture_id not in simulated]
    return kept, shown, [row for row in quality if row.view_id in ids], lost


def _rank(page: ReadPage) -> tuple[bool, int, float, str, str]:
    kept = -round(page.signal_kept, 6)
    return (page.capture.origin == SIMULATED, -len(page.views), kept, page.capture.photo, page.capture.capture_id)


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
        "n_crops": len(rows),
        "n_discards": len(discards),
        "n_flagged": sum(bool(row.flags) for row in rows),
        "missing_pages": [page for page in range(1, printout.n_pages + 1) if page not in counted],
        "reasons": dict(Counter(row.reason for row in discards)),
        "flags": dict(Counter(flag for row in rows for flag in row.flags)),
        "to_do": [{"page": page, "advice": advice} for page, advice in to_do],
    }
    notes = []
    named = {(capture.photo, note) for capture in captures for note in capture.notes if note.startswith(CONVERTED)}
    for note, n in sorted(Counter(note for _, note in named).items()):
        notes.append(f"{n} of {summary['n_photos']} photos: {note}")
    if summary["missing_pages"] and (refused := _refused(captures, views, discards)):
        summary["refused"] = refused
    if rows:
        expected = summary["predicted_error_rms_px"] = _rms([row.predicted_error_px for row in rows])
        notes.append(f"expected registration error {expected:.3f} px RMS")
    if errors:
        summary["registration_rms_px"] = _rms(errors)
        summary["registration_p95_px"] = round(float(np.percentile(errors, 95)), 4)
        notes.append(f"registration error {summary['registration_rms_px']:.3f} px RMS against the simulator's truth")
    return summary, tuple(notes)


def _refused(captures: list[Capture], views: list[View], discards: list[Discard]) -> dict[str, str]:
    """Returns the reason why no less than half of all photos gave nothing: its key, and words for a person; {} without one."""
    photo_of = {capture.capture_id: capture.photo for capture in captures}
    used = {photo_of[view.capture_id] for view in views}
    rows = {row.photo: row for row in discards if not row.pair_id and row.reason not in _NO_FAULT and row.photo not in used}
    n_photos = len(set(photo_of.values()))
    for reason, n in Counter(row.reason for row in rows.values()).most_common(1):
        details = Counter(row.detail.replace(row.photo, "it", 1) for row in rows.values() if row.reason == reason)
        ((detail, n_alike),) = details.most_common(1)
        more = f" ({'for example: ' * (n_alike < n)}{detail})" if detail else ""
        if 2 * n >= n_photos:
            return {"reason": reason, "words": f"{n} of {n_photos} photos gave nothing: {DISCARD_REASONS[reason]}{more}"}
    return {}


def _rms(values: list[float]) -> float:
    return round(float(np.sqrt(np.mean(np.square(values)))), 4)


def _contact_sheets(
    run: Run, printout: Printout, views: Sequence[View], quality: Sequence[CropQuality], discards: Sequence[Discard]
) -> list[str]:
    """Writes sheets that show every counted crop beside the file that it was printed from, and returns their names."""
    counting = {(view.pair_id, view.variant): view for view in views if view.counts}
    rated = {row.view_id: row for row in quality}
    reasons = {(row.pair_id, row.variant): row.reason for row in discards if row.pair_id}
    printed = {(placement.pair_id, placement.variant): placement.path for placement in printout.placements}
    rows = []
    for pair_id in dict.fromkeys(pair_id for pair_id, _ in printed):
        images: list[np.ndarray | None] = []
        words: list[str] = []
        for side in ((pair_id, variant) for variant in VARIANTS):
            view, why = counting.get(side), LOST.get(reasons.get(side, ""), "not captured")
            images += [saved_pixels(run.printouts, printed[side]), read_png(run.captures / view.path) if view else None]
            words += ["", quality_words(rated[view.view_id]) if view else why]
        rows.append(ContactRow(pair_id, tuple(images), tuple(words)))
    sheets = enumerate(draw_contact_sheets(rows, run.name), start=1)
    names = [CONTACT_SHEETS.write(run, f"sheet-{number:03d}", jpeg_bytes(sheet, _SHEET_QUALITY)) for number, sheet in sheets]
    CONTACT_SHEETS.keep_only(run, names)
    return names
