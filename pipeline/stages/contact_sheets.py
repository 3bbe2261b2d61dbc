"""Contact sheets of a run: every counted crop beside the file that it was printed from."""

from collections.abc import Sequence

from pipeline.images import jpeg_bytes, read_png
from pipeline.physical.registration import ContactRow, draw_contact_sheets, quality_words
from pipeline.records import VARIANTS, CropQuality, Discard, Placement, Printout, View
from pipeline.store import Run, replace_folder, write_bytes

_QUALITY = 88


def write_contact_sheets(
    run: Run, printout: Printout, views: Sequence[View], quality: Sequence[CropQuality], discards: Sequence[Discard]
) -> list[str]:
    """Writes `contact-sheets/sheet-<n>.jpg` and returns their names, relative to the captures folder."""
    counting = {(view.pair_id, view.variant): view for view in views if view.counts}
    rated = {row.view_id: row for row in quality}
    reasons = {(row.pair_id, row.variant): row.reason for row in discards if row.pair_id}
    by_pair: dict[str, dict[str, Placement]] = {}
    for placement in printout.placements:
        by_pair.setdefault(placement.pair_id, {})[placement.variant] = placement
    rows = [_row(run, pair_id, places, counting, rated, reasons) for pair_id, places in by_pair.items()]
    names = []
    for number, sheet in enumerate(draw_contact_sheets(rows, run.name), start=1):
        names.append(f"contact-sheets/sheet-{number:03d}.jpg")
        write_bytes(run.captures / names[-1], jpeg_bytes(sheet, _QUALITY))
    replace_folder(run.captures / "contact-sheets", {name.removeprefix("contact-sheets/") for name in names})
    return names


def _row(
    run: Run,
    pair_id: str,
    places: dict[str, Placement],
    counting: dict[tuple[str, str], View],
    rated: dict[str, CropQuality],
    reasons: dict[tuple[str, str], str],
) -> ContactRow:
    images, words = [], []
    for variant in VARIANTS:
        view = counting.get((pair_id, variant))
        images += [read_png(run.printouts / places[variant].path), read_png(run.captures / view.path) if view else None]
        why = {"outside": "outside the photo", "unplaced": "not placed"}.get(reasons.get((pair_id, variant), ""), "not captured")
        words += ["", quality_words(rated[view.view_id]) if view else why]
    return ContactRow(pair_id, tuple(images), tuple(words))
