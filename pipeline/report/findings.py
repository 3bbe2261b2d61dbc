"""What a paper observed, tested on a run: one line each where the results are, and the evidence in a section of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.document.blocks import Block, Findings, Prose, Subheading
from pipeline.records import DIGITAL
from pipeline.report.content import ReportContent
from pipeline.report.words import TEXTS


def findings_in_brief(content: ReportContent, origin: str) -> Iterator[Block]:
    """Yields what a study observed on photographs of one origin, or on transforms ("digital"), with the verdicts alone."""
    for block in content.study.observed.get(origin, ()):
        if isinstance(block, Findings):
            yield Prose(TEXTS["findings-in-brief"])
            yield Findings(tuple(replace(finding, counted="", evidence=()) for finding in block.found))
        else:
            yield block


def findings_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns every finding with what was counted and compared; empty where nothing was tested."""
    blocks: Sequence[Block] = [
        block for origin in (*content.photo_origins, DIGITAL) for block in content.study.observed.get(origin, ())
    ]
    found = any(block.found for block in blocks if isinstance(block, Findings))
    return (Prose(TEXTS["findings"]), *(b for b in blocks if isinstance(b, Subheading | Findings))) if found else ()
