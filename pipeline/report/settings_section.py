"""The last section: what the run was made with, and the experiment file."""

from pipeline.document.blocks import Block, Code, Subheading, TextTable
from pipeline.report.content import ReportContent


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
