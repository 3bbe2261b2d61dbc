"""The sections of a report in their order: each is a function of the content that returns blocks, or none to be left out."""

from collections.abc import Callable
from dataclasses import replace

from pipeline.document.blocks import Block, Head, Section, TableBlock
from pipeline.document.pages import MIXED_BAND, SIMULATED_BAND
from pipeline.records import CAMERA, PHOTO, SIMULATED
from pipeline.report.against import against_section
from pipeline.report.certified import certified_blocks
from pipeline.report.comparisons import comparisons_section
from pipeline.report.content import ReportContent
from pipeline.report.defences import defences_section
from pipeline.report.explanations import explanations_section
from pipeline.report.findings import findings_section
from pipeline.report.first_layer import first_layer_section
from pipeline.report.front_page import front_page
from pipeline.report.gallery import gallery_section
from pipeline.report.how_to_read import how_to_read, settings_section
from pipeline.report.judges import judges_section
from pipeline.report.photo_results import capture_quality_section, photo_results, predicted_section
from pipeline.report.run_flags import about_model, flags_section, marked
from pipeline.report.selection import selection_section
from pipeline.report.summary import pages_photographed
from pipeline.report.transform_results import survival_section, transform_results

# A new section is one line here: its key (an anchor, never changed), its title, its function.
_SECTIONS: tuple[tuple[str, str, Callable[[ReportContent], tuple[Block, ...]]], ...] = (
    ("summary", "Summary", front_page),
    ("against", "Against another run", against_section),
    ("how-to-read", "How to read this report", how_to_read),
    ("paper", "The paper beside this run", lambda content: content.study.beside),
    ("selection", "Selection", selection_section),
    ("model", "About the model", about_model),
    ("first-layer", "First layer", first_layer_section),
    ("photographs", "Results from photographs", photo_results),
    ("predicted", "Predicted against measured", predicted_section),
    ("defences", "Defences", lambda content: (*defences_section(content), *certified_blocks(content))),
    ("judges", "Other models as judges", judges_section),
    ("transforms", "Results from digital transforms", transform_results),
    ("thresholds", "How much undoes each attack", survival_section),
    ("comparisons", "Paired comparisons", comparisons_section),
    ("gallery", "Gallery", gallery_section),
    ("explanations", "Explanations", explanations_section),
    ("capture-quality", "Capture quality", capture_quality_section),
    ("flags", "Flags", flags_section),
    ("findings", "Findings in detail", findings_section),
    ("settings", "Settings and versions", settings_section),
)


def head(content: ReportContent) -> Head:
    """Returns what stands above a report's sections and in its margins."""
    return Head(content.title, content.run, band(content))


def sections(content: ReportContent) -> tuple[Section, ...]:
    """Returns what the report says, the front page first; a section whose function returns no block is left out.

    The rows of its tables that a flag concerns are marked.
    """
    built = []
    for key, title, build in _SECTIONS:
        blocks = tuple(
            replace(block, table=marked(block.table, content.flags)) if isinstance(block, TableBlock) else block
            for block in build(content)
        )
        if blocks:
            built.append(Section(key, title, blocks))
    return tuple(built)


def band(content: ReportContent) -> str:
    """Returns the words of the band that says incomplete or simulated, "" where every page was photographed by a camera.

    Photographs that other models judged count too: their answers may have been brought in from elsewhere.
    """
    origins = {*content.photo_origins, *(row.origin for row in content.transfer if row.transform == PHOTO)}
    n_pages = len(pages_photographed(content))
    is_partly = content.main_origin == CAMERA and 0 < n_pages < content.n_pages
    words = [f"INCOMPLETE: {n_pages} of {content.n_pages} pages photographed"] if is_partly else []
    if content.simulated and origins <= {SIMULATED}:
        words.append(SIMULATED_BAND)
    elif content.simulated:
        words += [MIXED_BAND] if is_partly else [MIXED_BAND, "every table and figure of photographs says which"]
    return " · ".join(words)
