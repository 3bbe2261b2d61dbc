"""The section about the network under test: what was checked before it was attacked, what was found, and what to do."""

from pipeline.document.blocks import Block, TextTable, plain
from pipeline.document.formats import count, listed
from pipeline.records import MODEL_FLAGS
from pipeline.report.content import ReportContent


def about_model(content: ReportContent) -> tuple[Block, ...]:
    """Returns what was checked, in one sentence, and a table of what was raised; says so where nothing was."""
    if content.model_flags is None:
        text = "The network was not examined: these images were drawn by an earlier version, which had no such checks."
        return (plain(text),)
    checked = [name for name, flag in MODEL_FLAGS.items() if content.model.differentiable or not flag.needs_gradient]
    raised = {flag.name: flag.detail for flag in content.model_flags}
    quiet = [name for name in checked if name not in raised]
    asked = "Before it was attacked the network was examined on some of the images"
    asked += "." if content.model.differentiable else ", as far as that is possible without gradients."
    if not raised:
        return (plain(f"{asked} Nothing was raised of what was checked: {listed(quiet)}."),)
    found = f"{count(len(raised), 'flag')} of {len(checked)} {'was' if len(raised) == 1 else 'were'} raised."
    rows = tuple(
        (name, detail, MODEL_FLAGS[name].raised_if, MODEL_FLAGS[name].why, MODEL_FLAGS[name].what_to_do)
        for name, detail in raised.items()
    )
    header = ("Flag", "Measured", "Raised if", "Why it matters", "What to do")
    return (
        plain(f"{asked} {found} A flag is a reason to look, not a verdict."),
        TextTable("model-flags", header, rows, (0.18, 0.18, 0.22, 0.23, 0.19)),
        plain(f"Not raised: {listed(quiet)}.", "note"),
    )
