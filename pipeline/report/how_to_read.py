"""What frames the results of every report: how to read them, and what the run was made with."""

from pipeline.document.blocks import Block, Code, Formula, Prose, Subheading, TextTable
from pipeline.document.formats import listed
from pipeline.records import TOP_KS
from pipeline.report.content import ReportContent
from pipeline.report.words import TEXTS, styled_attacks, tops

_TOP = r"\sum_k\ C(X_k, y_k)\;\overline{C}(X_k^{adv}, y_k)\;C(T(X_k^{adv}), y_k)"
_BOTTOM = r"\sum_k\ C(X_k, y_k)\;\overline{C}(X_k^{adv}, y_k)"
# Kurakin, Goodfellow and Bengio 2016, Eq. 1.
EQUATION_1 = Formula(
    rf"d\;=\;\frac{{{_TOP}}}{{{_BOTTOM}}}",
    "The destruction rate d is the number of working attacks that T undoes, divided by the number of working attacks.",
)


def how_to_read(content: ReportContent) -> tuple[Block, ...]:
    """Returns the same paragraphs for all runs of as many classes: the destruction rate, its denominator, cases and units."""
    names = [f"{spec.title} ({spec.name})" for spec in styled_attacks().values()]
    top_ks = content.top_ks
    told = {"methods": listed(names), "tops": tops(top_ks), "in_top": "", "differs": ""}
    if top_ks != TOP_KS:
        why = "labels-alone" if content.model.n_ranked == 1 else "few-classes"
        told["in_top"] = TEXTS[why].format(n=content.model.n_classes, tops=tops(top_ks)) + " "
    if len(top_ks) > 1:
        told["in_top"] += TEXTS["in-top"].format(k=top_ks[-1])
        told["differs"] = f" and differs between {tops(top_ks)}"
    first, *others = (Prose(text.strip()) for text in TEXTS["how-to-read"].format(**told).split("\n\n"))
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
