"""The sections about photographs: accuracies and destruction rates of each origin, and what the simulator predicted of them."""

from pipeline.document.blocks import Block, Figure, Prose, Subheading, TableBlock, numbered, plain
from pipeline.document.formats import count, span
from pipeline.records import PHOTO, SOURCE
from pipeline.report import rate_figures
from pipeline.report.content import ReportContent
from pipeline.report.rate_tables import compared_tables, interval_words, photo_tables
from pipeline.report.summary import has_photos, on_predictions
from pipeline.report.words import ORIGIN_TITLES, TEXTS, subject


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
        blocks += content.study.observed.get(origin, ())
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
        f"panel is the number of eligible attacks, top-1 · top-5.{hollow}"
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
