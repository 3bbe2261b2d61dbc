"""The front page: what was tested, the key figures, the sentences that matter and the warnings, beneath the report's title."""

from pipeline.document.blocks import Block, Tiles, plain
from pipeline.report.content import ReportContent
from pipeline.report.run_flags import front_page_flags
from pipeline.report.summary import lead, remarks, sentences, tiles


def front_page(content: ReportContent) -> tuple[Block, ...]:
    """Returns the summary; every number in it is computed from the counts."""
    return (
        plain(f"Run {content.run} · model {content.model.name} · images {content.dataset.name}", "subtitle"),
        plain(lead(content), "lead"),
        Tiles(tuple(tiles(content))),
        *(plain(sentence, "bullet") for sentence in (*sentences(content), *remarks(content))),
        *front_page_flags(content),
    )
