"""The sections about photographs: rates of each origin, what the simulator predicted of them, and how they came out."""

from collections import Counter
from collections.abc import Iterable

from pipeline.document.blocks import Block, Figure, Prose, Subheading, TableBlock, TextTable, numbered, plain
from pipeline.document.formats import DASH, count, middle_cut, percent, span
from pipeline.document.tables import Column, Table, filled, stub
from pipeline.records import CORNERS, DISCARD_REASONS, PHOTO, SOURCE, Discard
from pipeline.report import rate_figures
from pipeline.report.cell_tables import RowKey, compared_tables, interval_words, photo_tables
from pipeline.report.content import CaptureQuality, ReportContent
from pipeline.report.findings import findings_in_brief
from pipeline.report.summary import has_photos, on_predictions, photo_count
from pipeline.report.words import ORIGIN_TITLES, TEXTS, subject, tops

_N_DISCARDS_LISTED = 60


def photo_results(content: ReportContent) -> tuple[Block, ...]:
    """Returns Tables 1 to 3 of each origin of photographs, two figures, and what a study observed tested on them."""
    if not has_photos(content):
        files = " The tables show the files alone." if content.accuracies else ""
        tables = (TableBlock(f"table-{table.number}", table) for table in photo_tables(content))
        return Prose(f"No photograph has been judged yet.{files}"), *tables, *_accuracy_figure(content, None)
    blocks: list[Block] = []
    for origin in content.photo_origins:
        remark = f"{ORIGIN_TITLES[origin].capitalize()} photographs."
        if len(content.photo_origins) > 1:
            blocks.append(Subheading(remark[:-1]))
        blocks += [TableBlock(f"table-{table.number}-{origin}", table, remark) for table in photo_tables(content, origin)]
        blocks += _photo_rate_figure(content, origin, remark)
        blocks += _accuracy_figure(content, origin)
        blocks += findings_in_brief(content, origin)
    return tuple(blocks)


def predicted_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns what simulated photographs predict beside what real ones of the same pages measured; empty without both."""
    if not content.compared:
        return ()
    rows = [row for row in content.compared if row.quantity == "destruction_rate" and row.n]
    n_alike = sum((row.low or 0) <= 0 <= (row.high or 0) for row in rows)
    blocks: list[Block] = [Prose(TEXTS["predicted"])]
    if rows:
        alike = f"In {n_alike} of {count(len(rows), 'comparison')} the interval of the difference holds 0."
        caption = (
            "Destruction rates measured on real photographs (filled) and predicted by simulated ones (hollow), same pairs, "
            f"with the {interval_words(rows)}; {subject(content)}. n at the right of each panel."
        )
        blocks.append(plain(f"{on_predictions(content)} {alike}"))
        blocks.append(Figure("predicted-rates", rate_figures.predicted_rates(content.compared), caption))
    else:
        blocks.append(Prose("No attack that worked as a file was photographed both ways."))
    blocks += numbered(compared_tables(content.compared))
    return tuple(blocks)


def _photo_rate_figure(content: ReportContent, origin: str, remark: str) -> list[Block]:
    rated = [row for row in content.rates if row.transform == PHOTO and row.origin == origin]
    if not rated:
        return []
    published, reference = content.study.rates, content.study.reference
    hollow = f" Hollow marks are those of {reference} (other model, printer and camera)." if published else ""
    caption = (
        f"Destruction rates by photographs with the {interval_words(rated)}; {subject(content)}. {remark} n at the right of each "
        f"panel is the number of eligible attacks, {tops(content.top_ks, ' · ')}.{hollow}"
    )
    return [Figure(f"photo-rates-{origin}", rate_figures.photo_rates(rated, published, reference), caption)]


def _accuracy_figure(content: ReportContent, origin: str | None) -> list[Block]:
    rows = [row for row in content.accuracies if row.transform in (SOURCE, PHOTO)]
    if not any(row.rate is not None for row in rows):
        return []
    kind = f"{ORIGIN_TITLES[origin]} " if origin and len(content.photo_origins) > 1 else ""
    after = f", and what becomes of it in the {kind}photograph" if origin else ""
    n = span(row.n_eligible for row in rows if row.top_k == 1 and row.rate is not None)
    caption = (
        f"Top-1 accuracy of clean and adversarial files{after}; {subject(content)}, n = {n} images a cell. "
        "The tables above hold the counts."
    )
    name = f"accuracies-{origin}" if origin else "accuracies"
    return [Figure(name, rate_figures.accuracy_by_condition(rows, origin), caption)]


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
    return *blocks, Subheading("Discards"), *_discards(content)


def quality_table(quality: Iterable[CaptureQuality], n_rows: int = 48) -> Table:
    """Returns how well each photograph was registered; of more than `n_rows` those with the largest reprojection error."""
    quality = tuple(quality)
    worst_first = sorted(range(len(quality)), key=lambda place: -(quality[place].reprojection_rms_px or 0.0))
    shown = tuple(quality[place] for place in sorted(worst_first[:n_rows]))
    is_known = any(photo.registration_error_px is not None for photo in quality)
    registration = Column("registration", "Error, px"), lambda photo: _decimal(photo.registration_error_px, 3)
    columns, rows = filled(
        [
            (stub("Photo"), lambda photo: middle_cut(photo.photo, 34)),
            (Column("page"), lambda photo: DASH if photo.page is None else str(photo.page)),
            (Column("codes"), lambda photo: f"{photo.n_codes}/{len(CORNERS)}"),
            (Column("reprojection", "Error, px"), lambda photo: _decimal(photo.reprojection_rms_px, 2)),
            *([registration] if is_known else []),
            (Column("sharpness"), lambda photo: _decimal(photo.sharpness, 3)),
            (Column("px per px"), lambda photo: _decimal(photo.photo_px_per_image_px, 2)),
        ],
        shown,
    )
    note = TEXTS["capture-quality"] + (TEXTS["capture-quality-known"] if is_known else "")
    if len(quality) > n_rows:
        note += f" Listed are the {n_rows} of {len(quality)} with the largest reprojection error; captures.parquet has all."
    keys = tuple(RowKey(photo=photo.photo) for photo in shown)
    return Table("Q1", "Photographs and how well they were registered", columns, rows, note, keys=keys)


def _discards(content: ReportContent) -> list[Block]:
    discards = content.discards
    troubles = {capture.capture_id: capture.trouble for capture in content.captures}
    if not discards:
        return [Prose("Nothing was discarded.")]
    reasons = Counter(discard.reason for discard in discards)
    counted = "; ".join(f"{n} × {DISCARD_REASONS.get(reason, reason)}" for reason, n in sorted(reasons.items()))
    rows = tuple(
        (
            middle_cut(discard.photo, 23),
            DASH if discard.page is None else str(discard.page),
            f"{discard.pair_id} {discard.variant}".strip() or "whole photo",
            _why(discard, "" if discard.pair_id else troubles.get(discard.capture_id, "")),
        )
        for discard in discards[:_N_DISCARDS_LISTED]
    )
    table = TextTable("discards", ("Photo", "Page", "What", "Reason"), rows, (0.26, 0.07, 0.25, 0.42))
    blocks: list[Block] = [plain(f"{counted}."), table]
    if len(discards) > len(rows):
        blocks.append(Prose(f"{len(discards) - len(rows)} further discards are not listed.", "note"))
    return blocks


def _why(discard: Discard, trouble: str) -> str:
    """Returns why something was discarded; first what is wrong with the photo, as its overlay says, where that is known."""
    reason = DISCARD_REASONS.get(discard.reason, discard.reason) + (f": {discard.detail}" if discard.detail else "")
    return f"{trouble} ({reason})" if trouble else reason


def _decimal(value: float | None, digits: int) -> str:
    if value is None:
        return DASH
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:.0f}"
