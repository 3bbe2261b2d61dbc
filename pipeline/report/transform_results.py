"""The section about digital transforms: a curve for each, what a study observed tested on them, and the tables."""

from pipeline.document.blocks import Block, Figure, Prose, Subheading, numbered
from pipeline.document.formats import span
from pipeline.records import CASES
from pipeline.report import rate_figures
from pipeline.report.content import ReportContent
from pipeline.report.rate_tables import transform_tables
from pipeline.report.words import CASE_TITLES, axis_of, subject


def transform_results(content: ReportContent) -> tuple[Block, ...]:
    """Returns a figure for each case and ε, the findings, and a table for each case and transform."""
    if not content.digital_rates:
        return (Prose("This run has no digital transforms."),)
    tables = transform_tables(content)
    return (*_curves(content), *content.study.observed.get("digital", ()), Subheading("Tables"), *numbered(tables))


def _curves(content: ReportContent) -> list[Figure]:
    drawn = []
    for case in CASES:
        rows = [row for row in content.digital_rates if row.case == case and row.rate is not None and row.parameter is not None]
        for epsilon in sorted({row.epsilon_8bit for row in rows}, reverse=True):
            n_images = span(row.n_images or 0 for row in rows if row.epsilon_8bit == epsilon)
            is_marked = any(axis_of(row.transform, content.axes).neutral is not None for row in rows)
            caption = (
                f"Destruction rate over the parameter of each transform, {CASE_TITLES[case]}, {_with_epsilon(epsilon)}; "
                f"{subject(content)}. "
                f"Solid: top-1 with 95 % Wilson band; dashed: top-5; n: eligible attacks of {n_images} images."
                f"{' A grey line marks the value that changes nothing.' if is_marked else ''}"
            )
            name = f"transforms-{case}-eps{epsilon}" if epsilon else f"transforms-{case}"
            drawn.append(Figure(name, rate_figures.transform_curves(rows, case, epsilon, content.axes), caption))
    return drawn


def _with_epsilon(epsilon_8bit: int) -> str:
    return f"ε = {epsilon_8bit}" if epsilon_8bit else "attacks that take no ε"
