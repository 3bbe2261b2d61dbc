"""The section about how the photographs came out: how many were used, how well they were registered, what was discarded."""

from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.document.blocks import Block, Figure, Prose, Subheading, TableBlock, TextTable, plain
from pipeline.document.formats import DASH, count, middle_cut, percent
from pipeline.document.tables import Column, Table, filled, stub
from pipeline.records import CORNERS, DISCARD_REASONS, Discard
from pipeline.report import rate_figures
from pipeline.report.cell_tables import RowKey
from pipeline.report.content import CaptureQuality, ReportContent
from pipeline.report.summary import photo_count
from pipeline.report.words import TEXTS

_N_DISCARDS_LISTED = 60


def capture_quality_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns the counts, a figure, a table of the photographs, and the discards with their reasons."""
    if not content.captures and not content.discards and not content.quality:
        return (Prose("No photograph has been taken yet."),)
    photos = photo_count(content)
    text = f"{photos.n_used} of {count(photos.n_used + photos.n_lost, 'photograph')} used"
    lost = f"; {photos.n_lost} lost ({percent(photos.lost_rate)}{content.study.lost_photos})."
    blocks: list[Block] = [plain(text + (lost if photos.n_lost else "."))]
    if any(photo.reprojection_rms_px is not None or photo.sharpness is not None for photo in content.quality):
        caption = f"Capture quality, one tick a photograph (n = {len(content.quality)}); dashed lines are medians."
        blocks.append(Figure("capture-quality", rate_figures.capture_quality(content.quality), caption))
    if content.quality:
        blocks.append(TableBlock("table-q1", quality_table(content.quality)))
    return *blocks, Subheading("Discards"), *_discards(content.discards)


def quality_table(quality: Iterable[CaptureQuality], n_rows: int = 48) -> Table:
    """Returns how well each photograph was registered; of more than `n_rows` those with the largest reprojection error."""
    quality = tuple(quality)
    worst_first = sorted(range(len(quality)), key=lambda place: -(quality[place].reprojection_rms_px or 0.0))
    shown = tuple(quality[place] for place in sorted(worst_first[:n_rows]))
    columns, rows = filled(
        [
            (stub("Photo"), lambda photo: middle_cut(photo.photo, 34)),
            (Column("page"), lambda photo: DASH if photo.page is None else str(photo.page)),
            (Column("codes"), lambda photo: f"{photo.n_codes}/{len(CORNERS)}"),
            (Column("reprojection", "Error, px"), lambda photo: _decimal(photo.reprojection_rms_px, 2)),
            (Column("registration", "Error, px"), lambda photo: _decimal(photo.registration_error_px, 3)),
            (Column("sharpness"), lambda photo: _decimal(photo.sharpness, 3)),
            (Column("px per px"), lambda photo: _decimal(photo.photo_px_per_image_px, 2)),
        ],
        shown,
    )
    note = TEXTS["capture-quality"]
    if len(quality) > n_rows:
        note += f" Listed are the {n_rows} of {len(quality)} with the largest reprojection error; captures.parquet has all."
    keys = tuple(RowKey(photo=photo.photo) for photo in shown)
    return Table("Q1", "Photographs and how well they were registered", columns, rows, note, keys=keys)


def _discards(discards: Sequence[Discard]) -> list[Block]:
    if not discards:
        return [Prose("Nothing was discarded.")]
    reasons = Counter(discard.reason for discard in discards)
    counted = "; ".join(f"{n} × {DISCARD_REASONS.get(reason, reason)}" for reason, n in sorted(reasons.items()))
    rows = tuple(
        (
            middle_cut(discard.photo, 23),
            DASH if discard.page is None else str(discard.page),
            f"{discard.pair_id} {discard.variant}".strip() or "whole photo",
            DISCARD_REASONS.get(discard.reason, discard.reason) + (f": {discard.detail}" if discard.detail else ""),
        )
        for discard in discards[:_N_DISCARDS_LISTED]
    )
    table = TextTable("discards", ("Photo", "Page", "What", "Reason"), rows, (0.26, 0.07, 0.25, 0.42))
    blocks: list[Block] = [plain(f"{counted}."), table]
    if len(discards) > len(rows):
        blocks.append(Prose(f"{len(discards) - len(rows)} further discards are not listed.", "note"))
    return blocks


def _decimal(value: float | None, digits: int) -> str:
    if value is None:
        return DASH
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:.0f}"
