"""The section about the network under test: what was checked before it was attacked, what was found, and what to do."""

from xml.sax.saxutils import escape

from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from pipeline.records import MODEL_FLAGS
from pipeline.reporting import theme
from pipeline.reporting.content import ReportContent
from pipeline.reporting.flowables import Gap, prose, text_table
from pipeline.reporting.words import count, listed


def about_model(content: ReportContent, number: object = None) -> list[Flowable]:
    """Returns what was checked, in one sentence, and a table of what was raised; says so where nothing was."""
    styles = theme.styles()
    if content.model_flags is None:
        text = "The network was not examined: these images were drawn by an earlier version, which had no such checks."
        return [prose(text, styles["body"])]
    checked = [name for name, flag in MODEL_FLAGS.items() if content.model.differentiable or not flag.needs_gradient]
    raised = {flag.name: flag.detail for flag in content.model_flags}
    quiet = [name for name in checked if name not in raised]
    asked = "Before it was attacked the network was examined on some of the images"
    asked += "." if content.model.differentiable else ", as far as that is possible without gradients."
    if not raised:
        return [prose(escape(f"{asked} Nothing was raised of what was checked: {listed(quiet)}."), styles["body"])]
    found = f"{count(len(raised), 'flag')} of {len(checked)} {'was' if len(raised) == 1 else 'were'} raised."
    rest = f"Not raised: {listed(quiet)}."
    rows = [
        (name, detail, MODEL_FLAGS[name].raised_if, MODEL_FLAGS[name].why, MODEL_FLAGS[name].what_to_do)
        for name, detail in raised.items()
    ]
    header = ("Flag", "Measured", "Raised if", "Why it matters", "What to do")
    return [
        prose(escape(f"{asked} {found} A flag is a reason to look, not a verdict."), styles["body"]),
        Gap(1 * mm),
        text_table(rows, (31, 30, 37, 40, 32), header),
        Gap(2 * mm),
        prose(escape(rest), styles["note"]),
    ]
