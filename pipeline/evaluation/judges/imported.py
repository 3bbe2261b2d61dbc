"""Predictions that were made outside and brought in: kept as one judge's, and counted as long as their images are the same."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pipeline.core.errors import BadInput, WrongUse
from pipeline.evaluation.judges.answer_file import source_view
from pipeline.evaluation.judges.classes import NO_CLASS
from pipeline.images import pixels_sha256
from pipeline.records import ATTACKED_MODEL, SOURCE, Judgement, Pair
from pipeline.store import Run, json_bytes
from pipeline.store.artefacts import JUDGEMENTS, judgements_of
from pipeline.transforms.views import saved_pixels, source_files

_JUDGE_NAME = re.compile(r"[\w][\w .+-]{0,63}")


def check_judge_name(judge: str, labels: Iterable[str]) -> None:
    """Refuses a name that cannot name a file, or that another judge of the run has.

    Raises:
        WrongUse: choose another.
    """
    if not _JUDGE_NAME.fullmatch(judge):
        raise WrongUse(f"--judge {judge!r} cannot name a file.", "Use letters, digits, spaces, '.', '_', '+' and '-'.")
    if judge == ATTACKED_MODEL or judge in labels:
        raise WrongUse(f'--judge "{judge}" is the name of a model of this run.', "Choose another.")


def keep_predictions(run: Run, judge: str, judgements: Sequence[Judgement], force: bool) -> str:
    """Writes the judgements of one judge in place of those that were there; returns "written", "replaced" or "unchanged".

    Raises:
        BadInput: other judgements of this judge are there already, and `force` is False.
    """
    kept = judgements_of(judge)
    if not kept.exists(run):
        kept.write(run, list(judgements))
        return "written"
    if json_bytes(kept.read(run)) == json_bytes(list(judgements)):
        return "unchanged"
    if not force:
        raise BadInput(f'Other predictions of "{judge}" are there already ({kept.path(run)}).', "Replace them with --force.")
    kept.write(run, list(judgements))
    return "replaced"


def imported_judgements(
    run: Run, pairs: Iterable[Pair], hashes: Mapping[str, str], names: Sequence[str], labels: Iterable[str] = ()
) -> tuple[list[Judgement], list[str]]:
    """Returns the imported judgements that still hold, and notes on those that do not.

    One whose image was made again since, or whose classes are no longer the attacked model's, says nothing of today's images.

    Args:
        labels: of the experiment's own judges, whose names are taken.
    """
    true_labels = {pair.image_id: pair.true_label for pair in pairs}
    found: list[Judgement] = []
    notes: list[str] = []
    for judge in JUDGEMENTS.stems(run):
        rows = judgements_of(judge).read(run)
        if judge in labels:
            notes.append(f'"{judge}" was imported and is also a [[judges]] entry: the imported predictions are not counted')
            continue
        held = [
            replace(row, true_label=true_labels[row.image_id])
            for row in rows
            if hashes.get(source_view(row.variant, row.image_id, row.pair_id)) == row.sha256
            and all(
                label == NO_CLASS or tuple(names[label : label + 1]) == (name,)
                for label, name in zip(row.labels, row.names, strict=True)
            )
        ]
        if len(held) < len(rows):
            n_old = len(rows) - len(held)
            notes.append(f'"{judge}": {n_old} of {len(rows)} imported predictions are of images that were made again since')
        found += held
    return found, notes


def file_hashes(run: Run, pairs: Iterable[Pair]) -> dict[str, str]:
    """Returns the hash of the pixels of every saved file of the pairs, by the id of its view."""
    return {
        f"{source.subject}/{SOURCE}": pixels_sha256(saved_pixels(run.printouts, source.path)) for source in source_files(pairs)
    }
