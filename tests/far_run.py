"""A small run that lies in a store, begun on one machine and ended on another, beside the same on a disk."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from pipeline.cli import main

RUN = """
name = "far"
seed = 3
[dataset]
n_images = 12
[selection]
n_images = 2
[[attacks]]
name = "fgsm"
epsilons_8bit = [16]
[photograph]
profile = "office-phone-3mp"
[transforms]
jpeg = [50]
"""


def digests(folder: Path) -> dict[str, str]:
    kinds = (".parquet", ".csv", ".png", ".jpg", ".pdf", ".html", ".toml")
    paths = [path for path in folder.rglob("*") if path.suffix in kinds]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def inkproof(stage: str, settings: Path, workspace: str, *flags: str) -> int:
    return main([stage, str(settings), "--workspace", workspace, "-q", "--workers", "1", *flags])


def as_on_a_disk(tmp_path: Path, url: str, other_machine: Callable[[], None], copied: Callable[[Path], None]) -> None:
    """Begins a run on one machine, ends it on another, and compares what then lies in the store with a run on a disk."""
    settings = tmp_path / "far.toml"
    settings.write_text(RUN, encoding="utf-8")
    for stage in ("select", "generate"):
        assert inkproof(stage, settings, url) == 0
    other_machine()
    assert inkproof("run", settings, url) == 0
    assert inkproof("run", settings, str(tmp_path / "disk")) == 0
    copied(tmp_path / "there")
    assert digests(tmp_path / "there") == digests(tmp_path / "disk") and len(digests(tmp_path / "disk")) > 20
    journal = [json.loads(line)["stage"] for line in (tmp_path / "there/reports/far/journal.jsonl").read_text().splitlines()]
    assert journal.count("select") == journal.count("generate") == journal.count("report") == 1
