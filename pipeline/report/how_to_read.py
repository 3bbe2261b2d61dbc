"""What frames the results of every report: how to read them, and what the run was made with."""

from pipeline.document.blocks import Block, Code, Formula, Prose, Subheading, TextTable
from pipeline.document.formats import listed
from pipeline.report.content import ReportContent
from pipeline.report.words import styled_attacks

_TOP = r"\sum_k\ C(X_k, y_k)\;\overline{C}(X_k^{adv}, y_k)\;C(T(X_k^{adv}), y_k)"
_BOTTOM = r"\sum_k\ C(X_k, y_k)\;\overline{C}(X_k^{adv}, y_k)"
# Kurakin, Goodfellow and Bengio 2016, Eq. 1.
EQUATION_1 = Formula(
    rf"d\;=\;\frac{{{_TOP}}}{{{_BOTTOM}}}",
    "The destruction rate d is the number of working attacks that T undoes, divided by the number of working attacks.",
)


def how_to_read(content: ReportContent) -> tuple[Block, ...]:
    """Returns the same paragraphs for every run: the destruction rate, its denominator, the cases and the units."""
    names = [f"{spec.title} ({spec.name})" for spec in styled_attacks().values()]
    paragraphs = (
        "The <b>destruction rate</b> d of a transformation T is the share of working attacks that T undoes "
        "(Kurakin, Goodfellow and Bengio 2016, Eq. 1). An attack works where the clean file is classified right and the "
        "adversarial file is classified wrong; it is destroyed where the transformed adversarial image is classified right "
        "again. A photograph of a printout is one such T. A low rate means a sturdy attack.",
        "C(X, y) is 1 where image X is classified as its true class y and 0 elsewhere; the bar means not, 1 − C. For top-5, "
        "classified as y means that y is among the five likeliest classes.",
        "<b>Denominators.</b> Each rate is given with n, the number of working attacks, which is smaller than the number of "
        "images and differs between top-1 and top-5. Where n is 0 the rate is n/a, not 0 %. Discarded photographs leave "
        "numerator and denominator alike. Intervals are 95 % Wilson score intervals; in photographs, where images "
        "on one page are correlated, they use the effective number of independent images and are wider.",
        "<b>Cases.</b> In the average case the images are drawn at random. In the prefiltered case only images are drawn whose "
        "clean file is classified right and whose adversarial file is classified wrong, both with high confidence, at top-1 and "
        "top-5.",
        "<b>Units.</b> ε is the largest change of a pixel in 8-bit units (0 to 255); a dash stands for attacks that take none. "
        f"Methods: {listed(names)}. Every prediction is made from the saved 8-bit file.",
    )
    first, *others = map(Prose, paragraphs)
    return first, EQUATION_1, *others


def settings_section(content: ReportContent) -> tuple[Block, ...]:
    """Returns names, versions and settings: enough to make the run again."""
    facts = (
        ("run", content.run),
        ("seed", str(content.seed)),
        ("model", content.model.name),
        ("model fingerprint", content.model.fingerprint),
        ("input size", f"{content.model.input_size_px[0]} × {content.model.input_size_px[1]} pixels"),
        ("classes of the model", f"{content.model.n_classes:,}"),
        ("images", content.dataset.name),
        *((f"version of {name}", version) for name, version in content.versions.items()),
    )
    versions = TextTable("versions", (), facts, (0.3, 0.7))
    has_file = content.experiment_toml.strip()
    return versions, *((Subheading("Experiment file"), Code(content.experiment_toml)) if has_file else ())
