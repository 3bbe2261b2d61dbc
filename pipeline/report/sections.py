"""The sections of a report in their order: each is a function of the content that returns blocks, or none to be left out."""

from collections.abc import Callable
from dataclasses import replace

from pipeline.document.blocks import Block, Head, Section, TableBlock
from pipeline.document.pages import MIXED_BAND, SIMULATED_BAND
from pipeline.records import PHOTO, SIMULATED
from pipeline.report.against import against_section
from pipeline.report.comparisons import comparisons_section
from pipeline.report.content import ReportContent
from pipeline.report.explanations import explanations_section
from pipeline.report.gallery import gallery_section
from pipeline.report.how_to_read import how_to_read, settings_section
from pipeline.report.judges import judges_section
from pipeline.report.photo_results import capture_quality_section, photo_results, predicted_section
from pipeline.report.run_flags import about_model, flags_section, marked
from pipeline.report.selection import selection_section
from pipeline.report.summary import front_page
from pipeline.report.transform_results import survival_section, transform_results

# A new section is one line here: its key (an anchor, never changed), its title, its function, whether it opens a new page.
_SECTIONS: tuple[tuple[str, str, Callable[[ReportContent], tuple[Block, ...]], bool], ...] = (
    ("summary", "Summary", front_page, False),
    ("against", "Against another run", against_section, False),
    ("how-to-read", "How to read this report", how_to_read, False),
    ("paper", "The paper beside this run", lambda content: content.study.beside, False),
    ("selection", "Selection", selection_section, False),
    ("model", "About the model", about_model, False),
    ("photographs", "Results from photographs", photo_results, False),
    ("predicted", "Predicted against measured", predicted_section, False),
    ("judges", "Other models as judges", judges_section, False),
    ("transforms", "Results from digital transforms", transform_results, False),
    ("thresholds", "How much undoes each attack", survival_section, False),
    ("comparisons", "Paired comparisons", comparisons_section, False),
    ("gallery", "Gallery", gallery_section, True),
    ("explanations", "Explanations", explanations_section, True),
    ("capture-quality", "Capture quality", capture_quality_section, False),
    ("flags", "Flags", flags_section, False),
    ("settings", "Settings and versions", settings_section, True),
)


def head(content: ReportContent) -> Head:
    """Returns what stands above a report's sections and in its margins."""
    return Head(content.title, content.run, band(content))


def sections(content: ReportContent) -> tuple[Section, ...]:
    """Returns what the report says, the front page first; a section whose function returns no block is left out.

    The rows of its tables that a flag concerns are marked.
    """
    built = []
    for key, title, build, on_new_page in _SECTIONS:
        blocks = tuple(
            replace(block, table=marked(block.table, content.flags)) if isinstance(block, TableBlock) else block
            for block in build(content)
        )
        if blocks:
            built.append(Section(key, title, blocks, on_new_page))
    return tuple(built)


def band(content: ReportContent) -> str:
    """Returns the words of the band that says simulated, "" where every photograph is a real one.

    Photographs that other models judged count too: their answers may have been brought in from elsewhere.
    """
    origins = {*content.photo_origins, *(row.origin for row in content.transfer if row.transform == PHOTO)}
    if not content.simulated:
        return ""
    if origins <= {SIMULATED}:
        return SIMULATED_BAND
    return f"{MIXED_BAND} · every table and figure of photographs says which"
