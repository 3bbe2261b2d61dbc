"""The record of a finished stage: its presence means complete, a mismatch means stale, and what differs says why."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core.version import VERSION
from pipeline.store.files import RECORDS, write_bytes
from pipeline.store.hashes import Hashes, content_hash
from pipeline.store.tables import json_bytes

# The form of what a run keeps; another number is made again.
FORMAT = 3
EARLIER = "made by an earlier inkproof"


@dataclass(frozen=True)
class StageRecord:
    """What a finished stage used and made.

    `inputs` are the stages that it read, by the hash of all that they made, and files of the user's; `read` are further files
    that the result turned out to depend on.
    """

    stage: str
    version: str
    seed: int
    settings: dict[str, Any]
    inputs: dict[str, str]
    outputs: dict[str, str]
    summary: dict[str, Any] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """The hash of everything the stage made, for the stages that read it."""
        return content_hash(self.outputs)


def write_stage_record(folder: Path, record: StageRecord) -> None:
    """Writes the record of a finished stage: always the last thing that a stage does."""
    content = dataclasses.asdict(record)
    write_bytes(_record_path(folder, record.stage), json_bytes({**content, "check": content_hash(content)}))


def read_stage_record(folder: Path, stage: str) -> StageRecord | None:
    """Returns the record of a finished stage, or None where there is none, or a damaged one; of another format only that."""
    try:
        content = json.loads(_record_path(folder, stage).read_bytes())
        if content.get("format") != FORMAT:
            return StageRecord(stage, content["version"], 0, {}, {}, {}, format=0)
        if content.pop("check") != content_hash(content):
            return None
        return StageRecord(**content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def forget_stage(folder: Path, stage: str) -> None:
    """Removes a stage's record, so that an interrupted re-run is never taken for complete."""
    _record_path(folder, stage).unlink(missing_ok=True)


def why_stale(
    record: StageRecord, folder: Path, settings: dict[str, Any], inputs: dict[str, str], seed: int, hashes: Hashes, base: Path
) -> str:
    """Returns why a finished stage no longer holds, or "" where it still does; `base` is where the names in `read` start."""
    if record.format != FORMAT:
        return EARLIER
    if record.version != VERSION:
        return f"inkproof {record.version} → {VERSION}"
    plain = json.loads(json_bytes(settings))
    if changes := _differences(record.settings, plain, ""):
        return "; ".join(changes[:3])
    if record.seed != seed:
        return f"seed {record.seed} → {seed}"
    for name in sorted(record.inputs.keys() | inputs.keys()):
        if name not in record.inputs:
            return f"{name} is new"
        if name not in inputs:
            return f"{name} is gone"
        if record.inputs[name] != inputs[name]:
            return f"{name} changed"
    return _first_changed(record.read, base, hashes, "changed") or _first_changed(
        record.outputs, folder, hashes, "was changed by hand"
    )


def digests_of_read(paths: tuple[Path, ...], base: Path, hashes: Hashes) -> dict[str, str]:
    """Returns the hashes of files that a result turned out to depend on, named from `base` where they lie below it."""
    root = base.resolve()
    found = {}
    for path in sorted({path.resolve() for path in paths}):
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        found[name] = hashes.of(path)
    return found


def _first_changed(digests: dict[str, str], folder: Path, hashes: Hashes, words: str) -> str:
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        try:
            if hashes.of(path) != digest:
                return f"{name} {words}"
        except OSError:
            return f"{name} cannot be read"
    return ""


def _record_path(folder: Path, stage: str) -> Path:
    return folder / RECORDS / f"{stage}.json"


def _differences(old: Any, new: Any, name: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [line for key in keys for line in _differences(old.get(key), new.get(key), f"{name}.{key}".strip("."))]
    return [] if old == new else [f"{name} {_short(old)} → {_short(new)}"]


def _short(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
