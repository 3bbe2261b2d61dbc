"""The report as a PDF: one function that turns a ReportContent into bytes, the same bytes for the same content."""

import io
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, Image, KeepTogether, PageBreak, Preformatted

from pipeline.records import CASES, DISCARD_REASONS, PHOTO, SOURCE
from pipeline.reporting import figures, theme
from pipeline.reporting.about_model import about_model
from pipeline.reporting.comparisons import comparisons_section
from pipeline.reporting.content import ReportContent
from pipeline.reporting.findings import NOT_TESTABLE, Finding, photo_findings, transform_findings
from pipeline.reporting.flowables import Gap, TileRow, Verdict, figure_block, prose, table_block, text_table
from pipeline.reporting.gallery import JPEG_QUALITY, GalleryRow
from pipeline.reporting.judges import judges_section
from pipeline.reporting.pages import CountingCanvas, Heading, ReportDocument
from pipeline.reporting.summary import Flag, flags, has_photos, lead, on_predictions, photo_count, sentences, tiles
from pipeline.reporting.tables import (
    compared_tables,
    interval_words,
    perturbation_table,
    photo_tables,
    quality_table,
    rounding_table,
    selection_table,
    transform_tables,
)
from pipeline.reporting.words import ATTACK_TITLES, CASE_TITLES, axis_of, count, listed, middle_cut, percent, span

_N_DISCARDS_LISTED = 60


def build_report(content: ReportContent) -> bytes:
    """Returns the report as a PDF (A4, fonts embedded): the same bytes for the same content, with no date in them.

    A run without photographs, transforms, one of the cases or any filled cell gives a shorter report that says so.
    """
    theme.register_fonts()
    buffer = io.BytesIO()
    document = ReportDocument(buffer, content)
    with _binary_streams():
        document.build(_story(content), canvasmaker=CountingCanvas)
    return buffer.getvalue()


def _story(content: ReportContent) -> list[Flowable]:
    number = _Numbering()
    sections: tuple[tuple[str, Callable[[ReportContent, _Numbering], list[Flowable]], bool], ...] = (
        ("How to read this report", _how_to_read, False),
        ("Selection", _selection, False),
        ("About the model", about_model, False),
        ("Results from photographs", _photo_results, False),
        *((("Predicted against measured", _predicted, False),) if content.compared else ()),
        *((("Other models as judges", judges_section, False),) if content.transfer else ()),
        ("Results from digital transforms", _transform_results, False),
        *((("Paired comparisons", comparisons_section, False),) if any(row.n for row in content.comparisons) else ()),
        ("Gallery", _gallery, bool(content.gallery)),
        ("Capture quality", _capture_quality, False),
        ("Settings and versions", _settings, True),
    )
    story = _front(content)
    for place, (title, build, on_new_page) in enumerate(sections, 2):
        blocks = build(content, number)
        room = 100 * mm if len(blocks) > 1 else 40 * mm
        story.append(PageBreak() if on_new_page else CondPageBreak(room))
        story.append(Heading(f"{place}  {title}", theme.styles()["h1"]))
        story += blocks
    return story


def _front(content: ReportContent) -> list[Flowable]:
    styles = theme.styles()
    story: list[Flowable] = [
        Gap(6 * mm),
        Heading(escape(content.title), styles["title"], outline="1  Summary"),
        prose(escape(f"Run {content.run} · model {content.model.name} · images {content.dataset.name}"), styles["subtitle"]),
        prose(escape(lead(content)), styles["lead"]),
        TileRow(tiles(content)),
        Gap(7 * mm),
    ]
    story += [prose(_stressed(sentence), styles["bullet"], bulletText="•") for sentence in sentences(content)]
    raised = [flag for flag in flags(content) if flag.is_raised]
    if raised:
        names = listed(f"<b>{escape(flag.name)}</b>" for flag in raised)
        story += [Gap(2 * mm), prose(f"Read with care: {names}. The last section says why and what to do.", styles["body"])]
    if content.model_flags:
        names = listed(f"<b>{escape(flag.name)}</b>" for flag in content.model_flags)
        story.append(prose(f"The model was flagged: {names}. The section About the model says why.", styles["body"]))
    return story


def _stressed(text: str) -> str:
    """Markup of plain text in which what to stress stands between double asterisks."""
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text))


def _how_to_read(content: ReportContent, number: "_Numbering") -> list[Flowable]:
    styles = theme.styles()
    formula = _formula()
    names = [f"{title} ({key})" for key, title in ATTACK_TITLES.items()]
    paragraphs = (
        "The <b>destruction rate</b> d of a transformation T is the share of working attacks that T undoes "
        "(Kurakin, Goodfellow and Bengio 2016, Eq. 1). An attack works where the clean file is classified right and the "
        "adversarial file is classified wrong; it is destroyed where the transformed adversarial image is classified right "
        "again. A photograph of a printout is one such T. A low rate means a sturdy attack.",
        "C(X, y) is 1 where image X is classified as its true class y and 0 elsewhere; the bar means not, 1 − C. For top-5, "
        "classified as y means that y is among the five likeliest classes.",
        "<b>Denominators.</b> Each rate is given with n, the number of working attacks, which is smaller than the number of "
        "images and differs between top-1 and top-5. Where n is 0 the rate is n/a, not 0 %. Discarded photographs leave "
        "numerator and denominator alike. Intervals are 95 % Wilson score intervals; in photographs, where the images of a page "
        "fall together, they are made with the number of independent images that those are worth, and are wider.",
        "<b>Cases.</b> In the average case the images are drawn at random. In the prefiltered case only images are drawn whose "
        "clean file is classified right and whose adversarial file is classified wrong, both with high confidence, at top-1 and "
        "top-5.",
        "<b>Units.</b> ε is the largest change of a pixel in 8-bit units (0 to 255); a dash stands for attacks that take none. "
        f"Method names are the paper's: {listed(names)}. Every prediction is made from the saved 8-bit file.",
    )
    picture = Image(io.BytesIO(formula), width=115 * mm, height=115 * mm * 0.62 / 4.6)
    return [
        prose(paragraphs[0], styles["body"]),
        picture,
        Gap(3 * mm),
        *(prose(text, styles["body"]) for text in paragraphs[1:]),
        Gap(5 * mm),
    ]


@cache
def _formula() -> bytes:
    return figures.png(figures.equation(), dpi=300)


def _selection(content: ReportContent, number: "_Numbering") -> list[Flowable]:
    styles = theme.styles()
    dataset, model = content.dataset, content.model
    rejected = f" {count(dataset.n_rejected, 'file')} could not be used." if dataset.n_rejected else ""
    text = (
        f"{dataset.name} offers {count(dataset.n_images, 'image')} of {count(dataset.n_classes, 'class', 'classes')}.{rejected} "
        f"Images are brought to the model's input of {model.input_size_px[0]} × {model.input_size_px[1]} pixels before they are "
        f"attacked. {count(len(content.pairs), 'pair')} of a clean and an adversarial image "
        f"{'was' if len(content.pairs) == 1 else 'were'} made."
    )
    story: list[Flowable] = [prose(escape(text), styles["body"])]
    short = [fill for fill in content.fills if fill.n_found < fill.n_wanted]
    if short:
        empty = sum(fill.n_found == 0 for fill in short)
        none_found = (
            f" {count(empty, 'cell')} found none at all and {'is' if empty == 1 else 'are'} shown as n/a or a dash."
            if empty
            else ""
        )
        story.append(
            prose(
                f"<b>{len(short)} of {count(len(content.fills), 'cell')} could not be filled</b>: the table says how far."
                f"{none_found}",
                styles["body"],
            )
        )
    elif content.fills:
        story.append(prose("Every cell was filled.", styles["body"]))
    if content.fills:
        story += table_block(selection_table(content.fills))
    if content.pairs:
        story += table_block(perturbation_table(content.pairs))
        if rounded := rounding_table(content.pairs):
            story += table_block(rounded)
    return story


def _photo_results(content: ReportContent, number: "_Numbering") -> list[Flowable]:
    styles = theme.styles()
    story: list[Flowable] = []
    if not has_photos(content):
        files = " The tables show the files alone." if content.accuracies else ""
        story.append(prose(f"No photograph has been judged yet.{files}", styles["body"]))
        for table in photo_tables(content):
            story += table_block(table)
        story += _accuracy_figure(content, number, None)
        return story
    origins = content.photo_origins
    for origin in origins:
        remark = f"{'Simulated' if origin == 'simulated' else 'Real'} photographs."
        if len(origins) > 1:
            story.append(Heading(remark[:-1], styles["h2"]))
        for table in photo_tables(content, origin):
            story += table_block(table, remark)
        story += _photo_rate_figure(content, number, origin, remark)
        story += _accuracy_figure(content, number, origin)
        rates = [row for row in content.rates if row.transform != PHOTO or row.origin == origin]
        story += _findings(
            "What the paper observed, tested on these photographs", photo_findings(rates, content.accuracies, origin)
        )
    return story


def _predicted(content: ReportContent, number: "_Numbering") -> list[Flowable]:
    styles = theme.styles()
    rows = [row for row in content.compared if row.quantity == "destruction_rate" and row.n]
    n_alike = sum(row.difference_low <= 0 <= row.difference_high for row in rows)
    text = (
        "The same pages were photographed by a camera and by the simulator with the profile of this run. Each pair is compared "
        "with itself, so both rates have the same n, which is that of the pairs photographed both ways. Simulated photographs "
        "enter no measured rate. With few attacks intervals are wide and agreement is easy: the interval of the difference says "
        "how far off a prediction may be."
    )
    story: list[Flowable] = [prose(text, styles["body"])]
    if not rows:
        story.append(prose("No attack that worked as a file was photographed both ways.", styles["body"]))
    else:
        alike = f"In {n_alike} of {count(len(rows), 'comparison')} the interval of the difference holds 0."
        story.append(prose(f"{_stressed(on_predictions(content))} {alike}", styles["body"]))
        caption = (
            "Destruction rates measured on real photographs (filled) and predicted by simulated ones (hollow), same pairs, "
            "with 95 % Wilson intervals; n at the right of each panel."
        )
        story += figure_block(figures.png(figures.predicted_rates(content.compared)), number.figure(), caption)
    for table in compared_tables(content.compared):
        story += table_block(table)
    return story


def _photo_rate_figure(content: ReportContent, number: "_Numbering", origin: str, remark: str) -> list[Flowable]:
    rated = [row for row in content.rates if row.transform == PHOTO and row.origin == origin]
    if not rated:
        return []
    published = " Hollow marks are the paper's Table 3 (other model, printer and camera)." if content.reference_rates else ""
    caption = (
        f"Destruction rates by photographs with the {interval_words(rated)}. {remark} n at the right of each panel is the "
        f"number of eligible attacks, top-1 · top-5.{published}"
    )
    return figure_block(figures.png(figures.photo_rates(rated, content.reference_rates)), number.figure(), caption)


def _accuracy_figure(content: ReportContent, number: "_Numbering", origin: str | None) -> list[Flowable]:
    rows = [row for row in content.accuracies if row.transform in (SOURCE, PHOTO)]
    if not any(row.accuracy is not None for row in rows):
        return []
    kind = {"camera": "real ", "simulated": "simulated "}[origin] if origin and len(content.photo_origins) > 1 else ""
    after = f", and what becomes of it in the {kind}photograph" if origin else ""
    caption = f"Top-1 accuracy of clean and adversarial files{after}. The tables above hold the counts."
    return figure_block(figures.png(figures.accuracy_by_condition(rows, origin)), number.figure(), caption)


def _findings(title: str, found: Sequence[Finding]) -> list[Flowable]:
    styles = theme.styles()
    intro = (
        "Held means that the comparisons came out as stated. With few images many comparisons are within chance: "
        "where the 95 % intervals of the rates overlap, the order could be the other way round."
    )
    story: list[Flowable] = [CondPageBreak(60 * mm), Heading(title, styles["h2"]), prose(intro, styles["body"]), Gap(2 * mm)]
    for finding in found:
        story += _finding(finding)
    return story


def _finding(finding: Finding) -> list[Flowable]:
    counted = ""
    if finding.verdict != NOT_TESTABLE:
        counted = f"{finding.n_held} of {count(finding.n_checks, 'comparison')}"
        counted += f", in {finding.n_clear} of them the 95 % intervals lie apart." if finding.n_clear is not None else "."
    verdict = Verdict(finding.verdict, finding.statement, counted)
    checks = sorted(finding.checks, key=lambda check: check.is_held)
    lines = [f"{'' if check.is_held else '✗ '}{check.where}: {check.counts}" for check in checks]
    style = theme.styles()["evidence"].clone("evidence_line", leftIndent=30 * mm)
    evidence: list[Flowable] = [prose(escape(line), style) for line in lines]
    kept = len(evidence) if len(evidence) <= 18 else 4
    return [KeepTogether([verdict, *evidence[:kept]]), *evidence[kept:], Gap(4.5 * mm)]


def _transform_results(content: ReportContent, number: "_Numbering") -> list[Flowable]:
    styles = theme.styles()
    digital = [row for row in content.rates if row.transform not in (PHOTO, SOURCE)]
    if not digital:
        return [prose("This run has no digital transforms.", styles["body"])]
    story: list[Flowable] = []
    for case in CASES:
        rows = [row for row in digital if row.case == case and row.destruction_rate is not None and row.parameter is not None]
        for epsilon in sorted({row.epsilon_8bit for row in rows}, reverse=True):
            n_images = span(row.n_images for row in rows if row.epsilon_8bit == epsilon)
            is_marked = any(axis_of(row.transform, content.axes).neutral is not None for row in rows)
            caption = (
                f"Destruction rate over the parameter of each transform, {CASE_TITLES[case]}, {_with_epsilon(epsilon)}. "
                f"Solid: top-1 with 95 % Wilson band; dashed: top-5; n: eligible attacks of {n_images} images."
                f"{' A grey line marks the value that changes nothing.' if is_marked else ''}"
            )
            drawn = figures.transform_curves(rows, case, epsilon, content.axes)
            story += figure_block(figures.png(drawn), number.figure(), caption)
    story += _findings("What the paper observed, tested on these transforms", transform_findings(digital, content.axes))
    for place, table in enumerate(transform_tables(content)):
        story += table_block(table, heading=None if place else Heading("Tables", styles["h2"]))
    return story


def _with_epsilon(epsilon_8bit: int) -> str:
    return f"ε = {epsilon_8bit}" if epsilon_8bit else "attacks that take no ε"


def _gallery(content: ReportContent, number: "_Numbering") -> list[Flowable]:
    styles = theme.styles()
    if not content.gallery:
        return [prose("No pair was chosen for the gallery.", styles["body"])]
    with_photos = any(item.photo_clean or item.photo_adversarial for item in content.gallery)
    kind = "real photographs" if content.compared else "photographs"
    photographs = f" The {kind} are shown as they were judged, cropped and straightened." if with_photos else ""
    intro = (
        "The difference is adversarial minus clean, multiplied by the factor above it, on mid-grey: grey is no change. Beneath "
        "each picture stand the likeliest classes and their probabilities; a filled tick marks a right, a hollow cross a wrong "
        f"first guess.{photographs} Pictures are embedded at JPEG quality {JPEG_QUALITY}; the run's own files are lossless."
    )
    per_row = 1 if with_photos else 2
    rows = [content.gallery[start : start + per_row] for start in range(0, len(content.gallery), per_row)]
    return [prose(intro, styles["caption"]), Gap(2 * mm), *(GalleryRow(row, with_photos) for row in rows)]


def _capture_quality(content: ReportContent, number: "_Numbering") -> list[Flowable]:
    styles = theme.styles()
    if not content.captures and not content.discards and not content.quality:
        return [prose("No photograph has been taken yet.", styles["body"])]
    photos = photo_count(content)
    total = photos.n_used + photos.n_lost
    text = f"{photos.n_used} of {count(total, 'photograph')} used"
    text += (
        f"; {photos.n_lost} lost ({percent(photos.lost_rate)}; the paper lost 3 to 6 %, at most about 12 %)."
        if photos.n_lost
        else "."
    )
    story: list[Flowable] = [prose(escape(text), styles["body"])]
    if any(photo.reprojection_rms_px is not None or photo.sharpness is not None for photo in content.quality):
        caption = f"Capture quality, one tick a photograph (n = {len(content.quality)}); dashed lines are medians."
        story += figure_block(figures.png(figures.capture_quality(content.quality)), number.figure(), caption)
    if content.quality:
        story += table_block(quality_table(content.quality))
    story += [CondPageBreak(50 * mm), Heading("Discards", styles["h2"])]
    if not content.discards:
        return [*story, prose("Nothing was discarded.", styles["body"])]
    reasons = Counter(discard.reason for discard in content.discards)
    story.append(
        prose(
            escape("; ".join(f"{n} × {DISCARD_REASONS.get(reason, reason)}" for reason, n in sorted(reasons.items()))) + ".",
            styles["body"],
        )
    )
    listed_discards = content.discards[:_N_DISCARDS_LISTED]
    rows = [
        (
            middle_cut(discard.photo, 23),
            "–" if discard.page is None else str(discard.page),
            f"{discard.pair_id} {discard.variant}".strip() or "whole photo",
            DISCARD_REASONS.get(discard.reason, discard.reason) + (f": {discard.detail}" if discard.detail else ""),
        )
        for discard in listed_discards
    ]
    story.append(text_table(rows, (44, 12, 42, 72), ("Photo", "Page", "What", "Reason")))
    if len(content.discards) > len(listed_discards):
        story.append(prose(f"{len(content.discards) - len(listed_discards)} further discards are not listed.", styles["note"]))
    return story


def _settings(content: ReportContent, number: "_Numbering") -> list[Flowable]:
    styles = theme.styles()
    facts = [
        ("run", content.run),
        ("seed", str(content.seed)),
        ("model", content.model.name),
        ("model fingerprint", content.model.fingerprint),
        ("input size", f"{content.model.input_size_px[0]} × {content.model.input_size_px[1]} pixels"),
        ("classes of the model", f"{content.model.n_classes:,}"),
        ("images", content.dataset.name),
        *((f"version of {name}", version) for name, version in content.versions.items()),
    ]
    story: list[Flowable] = [text_table(facts, (50, 120)), Gap(4 * mm), Heading("Flags", styles["h2"])]
    story.append(
        text_table([_flag_row(flag) for flag in flags(content)], (38, 18, 60, 54), ("Flag", "Raised", "Why", "What to do"))
    )
    if content.settings:
        flat = list(_flattened(content.settings))
        story += [Gap(4 * mm), Heading("Settings in force", styles["h2"]), text_table(flat, (60, 110))]
    if content.experiment_toml.strip():
        story += [Gap(4 * mm), Heading("Experiment file", styles["h2"])]
        story.append(Preformatted("\n".join(_wrapped_code(content.experiment_toml)), styles["code"]))
    return story


def _flag_row(flag: Flag) -> tuple[str, str, str, str]:
    return (flag.name, "yes", flag.why, flag.what_to_do) if flag.is_raised else (flag.name, "no", "–", "–")


def _flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{key}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{key}", "–" if value in (None, "") else str(value)


def _wrapped_code(text: str, width: int = 112) -> list[str]:
    lines = []
    for line in text.expandtabs(4).rstrip().splitlines():
        parts = textwrap.wrap(line, width, subsequent_indent="    ", drop_whitespace=False, replace_whitespace=False) or [""]
        lines += parts
    return lines


class _Numbering:
    """Figures are numbered in the order in which they appear."""

    def __init__(self) -> None:
        self._n_figures = 0

    def figure(self) -> int:
        self._n_figures += 1
        return self._n_figures


@contextmanager
def _binary_streams() -> Iterator[None]:
    """ReportLab writes streams as ASCII by default, a quarter larger, and takes the choice from a module setting only."""
    before = rl_config.useA85
    rl_config.useA85 = 0
    try:
        yield
    finally:
        rl_config.useA85 = before
