"""The front page: what was tested, the key figures, the sentences that matter and the warnings, beneath the report's title."""

from xml.sax.saxutils import escape

from pipeline.reporting.blocks import Block, Prose, Tiles, plain
from pipeline.reporting.content import ReportContent
from pipeline.reporting.summary import flags, lead, sentences, tiles
from pipeline.reporting.words import listed


def front_page(content: ReportContent) -> tuple[Block, ...]:
    """Returns the summary; every number in it is computed from the counts."""
    blocks: list[Block] = [
        plain(f"Run {content.run} · model {content.model.name} · images {content.dataset.name}", "subtitle"),
        plain(lead(content), "lead"),
        Tiles(tuple(tiles(content))),
        *(plain(sentence, "bullet") for sentence in sentences(content)),
    ]
    raised = [flag for flag in flags(content) if flag.is_raised]
    if raised:
        names = listed(f"<b>{escape(flag.name)}</b>" for flag in raised)
        blocks.append(Prose(f"Read with care: {names}. The last section says why and what to do."))
    if content.model_flags:
        names = listed(f"<b>{escape(flag.name)}</b>" for flag in content.model_flags)
        blocks.append(Prose(f"The model was flagged: {names}. The section About the model says why."))
    return tuple(blocks)
