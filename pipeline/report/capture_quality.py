"""The section about how the photographs came out: how many were used, how well they were registered, what was discarded."""

from collections import Counter
from collections.abc import Sequence

from pipeline.document.blocks import Block, Figure, Prose, Subheading, TableBlock, TextTable, plain
from pipeline.document.formats import DASH, count, middle_cut, percent
from pipeline.records import DISCARD_REASONS, Discard
from pipeline.report import rate_figures
from pipeline.report.content import ReportContent
from pipeline.report.run_tables import quality_table
from pipeline.report.summary import photo_count

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
    blocks: list[Block] = [
        plain(f"{counted}."),
        TextTable("discards", ("Photo", "Page", "What", "Reason"), rows, (0.26, 0.07, 0.25, 0.42)),
    ]
    if len(discards) > len(rows):
        blocks.append(Prose(f"{len(discards) - len(rows)} further discards are not listed.", "note"))
    return blocks
