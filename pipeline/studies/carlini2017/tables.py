"""Makes a table of attacks for an experiment: draws images that the model gets right, measures every shot, writes the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pipeline.attacks import check_predictions_are_enough, is_adapted
from pipeline.attacks.crafting import first_candidates
from pipeline.core.errors import BadInput, WrongUse, near_match
from pipeline.engine import Context
from pipeline.images import to_model
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.settings import AttackSettings, Experiment
from pipeline.specs.attacks import ATTACKS
from pipeline.store import Run, locked, write_bytes
from pipeline.store.artefacts import attack_table_of
from pipeline.studies.carlini2017 import rows as table_rows
from pipeline.studies.carlini2017.measuring import BATCH_SIZE, Aim, Range, Shot
from pipeline.studies.carlini2017.rows import AWAY, BEST, NORMS, TABLES, TableRow, Targets, table_row, targets_of

# The paper takes all wrong classes of ten, and 100 random ones of ImageNet's thousand.
MOST_TARGETS = 100
MOST_EPSILON_8BIT = 64


@dataclass(frozen=True)
class TableRequest:
    """What a table is made of.

    `attacks` are names or labels ((): those of the experiment); `n_images` 0 takes the experiment's; `n_targets` is how many
    wrong classes best and worst choose among (0: all, at most MOST_TARGETS); epsilons are tried up to `most_8bit`.
    """

    table: str = "IV"
    attacks: tuple[str, ...] = ()
    n_images: int = 0
    n_targets: int = 0
    most_8bit: int = MOST_EPSILON_8BIT


@dataclass(frozen=True)
class MadeTable:
    """The rows, by attack and then by case, the table as text, and where CSV and LaTeX are."""

    rows: tuple[TableRow, ...]
    text: str
    csv: Path
    latex: Path


def attack_table(
    experiment: Experiment, run: Run, context: Context, request: TableRequest, output: Path | None = None, force: bool = False
) -> MadeTable:
    """Writes `output` (CSV; else `reports/<run>/attack-table-<IV or V>.csv`) and the same as .tex beside it.

    Every shot is kept under `printouts/<run>/.items`, so that an interrupted table goes on where it stopped;
    `force` measures them all again.

    Raises:
        WrongUse: an unknown table or attack, numbers out of range, or a model without gradients.
        BadInput: the model gets no image right.
    """
    attacks = chosen_attacks(experiment, request)
    output = output or attack_table_of(request.table).path(run)
    if output.suffix != ".csv":
        raise WrongUse(f"--output {output}: a table's name ends in .csv; LaTeX goes beside it.")
    classifier = load_classifier(experiment.resolved_model(), context.device)
    if not classifier.differentiable:
        check_predictions_are_enough(classifier.name, attacks)
    with locked(run):
        items = run.items("attack-table", run.printouts)
        if force:
            items.clear()
        n_images = request.n_images or experiment.selection.n_images
        drawn = first_candidates(experiment, run, context, classifier, n_images, only_right=True)
        images = [Aim(one.image_id, one.sha256, one.true_label, None, pixels) for one, pixels in drawn]
        if not images:
            raise BadInput(f"{experiment.dataset.name}: {classifier.name} gets no image right, so there is nothing to attack.")
        targets = targets_of_each(classifier, images, request.n_targets or MOST_TARGETS, experiment.seed)
        ranges = []
        for attack in attacks:  # without a target of its own: the table says where each image is led
            options = {key: value for key, value in attack.options.items() if key != "target"}
            ranges.append(Range(attack.name, options, classifier, items, request.most_8bit))
        rows: list[TableRow] = []
        for attack, shooting in zip(attacks, ranges, strict=True):
            shots = shots_by_case(shooting, attack.key, images, targets, request.table, context)
            norm = shooting.spec.norm or "linf"
            rows += [
                table_row(request.table, attack.key, norm if norm in NORMS else "l2", case, shots[case])
                for case in TABLES[request.table]
            ]
    title = f"Attacks on {classifier.name}, images of {experiment.dataset.name}: mean distance and successes of the saved file"
    note = _note(request, targets, len(images))
    latex = output.with_suffix(".tex")
    write_bytes(output, table_rows.as_csv(rows).encode())
    write_bytes(latex, table_rows.as_latex(rows, title, note).encode())
    return MadeTable(tuple(rows), table_rows.as_plain_text(rows, title, note), output, latex)


def chosen_attacks(experiment: Experiment, request: TableRequest) -> list[AttackSettings]:
    """Returns the settings of the attacks that a table is about.

    Raises:
        WrongUse: an unknown table or attack, or numbers out of range.
    """
    if request.table not in TABLES:
        raise WrongUse(f"--table {request.table}: expected one of {', '.join(TABLES)}.")
    if request.n_images < 0 or request.n_targets < 0:
        raise WrongUse("--n-images and --n-targets: expected 1 or more.")
    if not 1 <= request.most_8bit <= 255:
        raise WrongUse(f"--max-epsilon {request.most_8bit}: expected 1 to 255.")
    listed = {attack.key: attack for attack in experiment.resolved_attacks()}
    for name in request.attacks:
        if name not in listed and name not in ATTACKS and not is_adapted(name):
            raise WrongUse(f'--attacks: unknown attack "{name}".', near_match(name, [*listed, *ATTACKS.names()]))
    return [listed.get(name) or AttackSettings(name=name) for name in dict.fromkeys(request.attacks or listed)]


def targets_of_each(classifier: Classifier, images: Sequence[Aim], n_targets: int, seed: int) -> list[Targets]:
    """Returns the targets of each image; see `targets_of`."""
    found = []
    for aim in images:
        with torch.no_grad():
            logits = classifier.logits(to_model(np.stack([aim.pixels] * BATCH_SIZE), classifier.device))[0].cpu().numpy()
        found.append(targets_of(aim.sha256, aim.label, logits, n_targets, seed))
    return found


def shots_by_case(
    shooting: Range,
    key: str,
    images: Sequence[Aim],
    targets: Sequence[Targets],
    table: str,
    context: Context,
    only_away: bool = False,
) -> dict[str, list[Mapping[int | None, Shot]] | None]:
    """Returns for each case the shots of each image by target, None where the attack cannot be asked for it.

    An attack that takes no target (or is given none: `only_away`) stands in the column of the best case, as DeepFool does in the
    paper.
    """
    takes_targets = shooting.spec.accepts_targets and not only_away
    wanted: dict[str, list[tuple[int | None, ...]]] = {}
    for case in TABLES[table]:
        if case == AWAY or (case == BEST and not takes_targets):
            if not shooting.attack.targeted:
                wanted[case] = [(None,)] * len(images)
        elif takes_targets:
            wanted[case] = [of_image.of(case) for of_image in targets]
    aims = {
        (place, target): replace(image, target=target)
        for place, image in enumerate(images)
        for each in wanted.values()
        for target in each[place]
    }
    shots = shooting.shots(list(aims.values()), context, key)
    found: dict[str, list[Mapping[int | None, Shot]] | None] = dict.fromkeys(TABLES[table])
    for case, each in wanted.items():
        named = zip(images, each, strict=True)
        found[case] = [{target: shots[image.image_id, target] for target in asked} for image, asked in named]
    return found


def _note(request: TableRequest, targets: Sequence[Targets], n_images: int) -> str:
    wrong = {
        "IV": f"Best and worst: the nearest and the farthest of {len(targets[0].choice)} wrong classes; worst counts an image "
        "only if all of them are reached. An attack that takes no target stands under best.",
        "V": "Untargeted: any wrong class.",
    }[request.table]
    return (
        f"{n_images} images that the model gets right. {wrong} Average: one random wrong class an image. Means are over "
        "successes alone: pixels for L0, else pixel values in [0, 1], and beside it in 8-bit units. Attacks with an epsilon: the "
        f"smallest whole one that succeeds, up to {request.most_8bit}."
    )
