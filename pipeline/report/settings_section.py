"""The last section: what the run was made with, and the experiment file."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.document.blocks import Block, Code, Subheading, TextTable
from pipeline.document.formats import DASH
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
    blocks: list[Block] = [TextTable("versions", (), facts, (0.3, 0.7))]
    if content.settings:
        flat = tuple(_flattened(content.settings))
        blocks += [Subheading("Settings in force"), TextTable("settings", (), flat, (0.35, 0.65))]
    if content.experiment_toml.strip():
        blocks += [Subheading("Experiment file"), Code(content.experiment_toml)]
    return tuple(blocks)


def _flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{key}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{key}", DASH if value in (None, "") else str(value)
