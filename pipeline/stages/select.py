"""Draws the images of every cell: random ones (average case), and confident ones that the attack fools (prefiltered case)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from pipeline.attacks.crafting import BATCH_SIZE, CandidatePool, Crafter, top_predictions, training_images
from pipeline.core.errors import BadInput
from pipeline.core.seeds import generator_for
from pipeline.datasets import open_dataset
from pipeline.engine import Context
from pipeline.evaluation.criteria import TOP_1, criteria_for
from pipeline.images import read_png
from pipeline.models import load_classifier
from pipeline.models.class_order import Answers
from pipeline.models.classifier import Classifier
from pipeline.models.examination import N_EXAMINED, examine
from pipeline.records import Candidate, CellFill, ModelFlag, Selected
from pipeline.records.flags import ALIKE_RMS_8BIT
from pipeline.report.raised_flags import MODEL_FLAGS
from pipeline.settings import Experiment
from pipeline.stages.checks import check_gradients
from pipeline.statistics.likeness import alike_images
from pipeline.store import Run, save_images
from pipeline.store.artefacts import CANDIDATES, CLEAN_IMAGES, FIRST_LAYER, SELECTED, SELECTION
from pipeline.store.stage import Outcome

N_REJECTED_SHOWN = 5
# Networks whose first layer is shown in the report.
_SHOWN_INSIDE = ("trained:", "network:")
_MODEL_FACTS = ("fingerprint", "input_size", "n_classes", "n_ranked", "differentiable")


def select(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes the chosen clean images, `selection.parquet`, `candidates.parquet` and `selection.json`.

    Of a network that was trained here `first-layer.parquet` holds the weights of the first layer, where they make pictures.

    The last holds how far each cell was filled, the rejected files, which images are one picture, and what is suspicious about
    the model.

    Raises:
        BadInput: the data set has no usable image.
        WrongUse: the model gives no gradients and an attack needs them.
    """
    model = experiment.resolved_model()
    classifier = load_classifier(model, context.device)
    check_gradients(experiment, classifier)
    dataset = open_dataset(experiment.resolved_dataset(), classifier.class_names, classifier.wordnet_ids, experiment.seed)
    items = run.items("select", run.printouts)
    pool = CandidatePool(dataset, classifier, items)
    training = partial(training_images, experiment, classifier)
    attacks, defended = experiment.resolved_attacks(), experiment.resolved_defended()
    crafter = Crafter(classifier, model, run.items("craft", run.printouts), context, attacks, training, defended)
    draw = _Draw(experiment, pool, crafter, context)
    chosen, fills = draw.all_cells()
    if not chosen:
        reason = next(iter(pool.rejected.values()), "it is empty")
        raise BadInput(f"{dataset.name}: no image could be used.", f"The first reason: {reason}")
    used = {row.image_id for row in chosen}
    clean = save_images(run, CLEAN_IMAGES, used, lambda image_id: pool.png(draw.looked_at[image_id]))
    candidates = [
        replace(candidate, path=CLEAN_IMAGES.file(candidate.image_id) if candidate.image_id in used else "")
        for candidate in sorted(draw.looked_at.values(), key=lambda found: found.image_id)
    ]
    for _ in context.progress(range(1), 1, "examining the model"):
        model_flags = _examined(classifier, pool, draw)
    rejected = _without_folders({found.path: found.reason for found in dataset.rejected} | pool.rejected, experiment)
    drawn = ((one.image_id, read_png(pool.png(draw.looked_at[one.image_id]))) for one in candidates if one.path)
    CANDIDATES.write(run, candidates)
    SELECTED.write(run, chosen)
    details = {
        "dataset": experiment.dataset.name,
        "n_dataset": len(dataset),
        "model": {"name": experiment.model.title} | {name: getattr(classifier, name) for name in _MODEL_FACTS},
        "model_flags": model_flags,
        "alike": [found._asdict() for found in alike_images(drawn, ALIKE_RMS_8BIT)],
        "class_names": classifier.class_names,
        "fills": fills,
        "rejected": rejected,
        "converted": dict(sorted(pool.notes.items())),
    }
    SELECTION.write(run, details)
    filters = classifier.first_filters() if model.name.startswith(_SHOWN_INSIDE) else ()
    if filters:
        FIRST_LAYER.write(run, list(filters))
    else:
        FIRST_LAYER.remove(run)
    items.prune()
    outputs = (SELECTED.name, CANDIDATES.name, SELECTION.name, *([FIRST_LAYER.name] if filters else []), *clean)
    counts = {"n_images": len(used), "n_candidates": len(candidates), "n_rejected": len(rejected), "n_cells": len(fills)}
    summary = {**counts, "model_flags": [flag.name for flag in model_flags]}
    return Outcome(outputs, summary, tuple(_notes(model_flags, fills, rejected)), read=classifier.sources)


def _notes(model_flags: Sequence[ModelFlag], fills: Sequence[CellFill], rejected: dict[str, str]) -> list[str]:
    """Returns what a person should know: flags of the model, cells that were not filled, files that are not used."""
    notes = [f"about the model: {flag.name} ({flag.detail}): {MODEL_FLAGS[flag.name].what_to_do}" for flag in model_flags]
    notes += [
        f"{fill.case} case, {fill.attack} ε = {fill.epsilon_8bit}: {fill.n_found} of {fill.n_wanted} images"
        f" after all {fill.n_tried} candidates"
        for fill in fills
        if fill.n_found < fill.n_wanted
    ]
    notes += [f"not used: {name}: {reason}" for name, reason in list(rejected.items())[:N_REJECTED_SHOWN]]
    if len(rejected) > N_REJECTED_SHOWN:
        notes.append(f"and {len(rejected) - N_REJECTED_SHOWN} more files that are not used: see {SELECTION.name}")
    return notes


def _examined(classifier: Classifier, pool: CandidatePool, draw: "_Draw") -> tuple[ModelFlag, ...]:
    """Returns what is suspicious about the model on the first images that were looked at, right or wrong; of all, their order."""
    seen = list(draw.looked_at.values())
    labels = np.array([candidate.true_label for candidate in seen])
    images = np.stack([pool.pixels(candidate) for candidate in seen[:N_EXAMINED]])
    answers = Answers(np.array([candidate.top_labels[0] for candidate in seen]), labels)
    return examine(classifier, images, labels[:N_EXAMINED], answers)


def _without_folders(reasons: dict[str, str], experiment: Experiment) -> dict[str, str]:
    """Takes the data set's own folder out of messages, so that records do not depend on where it lies."""
    settings = experiment.resolved_dataset()
    place = Path(settings.name.partition(":")[2])
    folders = [str(folder) + "/" for folder in (settings.root, place, place.parent) if str(folder) not in ("", ".")]
    for folder in folders:
        reasons = {name.replace(folder, ""): reason.replace(folder, "") for name, reason in reasons.items()}
    return reasons


class _Draw:
    """The walk over the candidates that fills every cell of every case."""

    def __init__(self, experiment: Experiment, pool: CandidatePool, crafter: Crafter, context: Context) -> None:
        self._experiment, self._settings = experiment, experiment.selection
        self._pool, self._crafter, self._context = pool, crafter, context
        self.looked_at: dict[str, Candidate] = {}

    def all_cells(self) -> tuple[list[Selected], list[CellFill]]:
        chosen: list[Selected] = []
        fills: list[CellFill] = []
        fill = {"average": self._fill_average, "prefiltered": self._fill_prefiltered}
        for case in self._settings.cases:
            for attack, epsilons, order in self._groups(case):
                found, n_tried = fill[case](attack, epsilons, order)
                for epsilon in epsilons:
                    chosen += [Selected(case, attack, epsilon, image_id) for image_id in found[epsilon]]
                    fills.append(CellFill(case, attack, epsilon, self._settings.n_images, len(found[epsilon]), n_tried[epsilon]))
        return chosen, fills

    def _groups(self, case: str) -> Iterator[tuple[str, list[int], np.ndarray]]:
        """Yields (attack, epsilons, order of the data set) for the cells that walk one order together."""
        for attack, cells in groupby(self._experiment.cells(), key=lambda cell: cell[0]):
            epsilons = [epsilon for _, epsilon in cells]
            if self._settings.draw == "shared":
                yield attack, epsilons, self._order("")
            else:
                for epsilon in epsilons:
                    yield attack, [epsilon], self._order(f"{case}/{attack}/{epsilon}")

    def _order(self, item_id: str) -> np.ndarray:
        return generator_for(self._experiment.seed, "select", item_id).permutation(len(self._pool))

    def _walk(self, order: np.ndarray) -> Iterator[list[Candidate]]:
        for start in range(0, len(order), BATCH_SIZE):
            found = self._pool.candidates([int(index) for index in order[start : start + BATCH_SIZE]])
            self.looked_at |= {candidate.image_id: candidate for candidate in found}
            yield found

    def _fill_average(self, attack: str, epsilons: list[int], order: np.ndarray) -> tuple[dict[int, list[str]], dict[int, int]]:
        drawn: list[str] = []
        n_batches = -(-min(self._settings.n_images, len(order)) // BATCH_SIZE)
        for found in self._context.progress(self._walk(order), n_batches, "average case"):
            drawn += [candidate.image_id for candidate in found]
            if len(drawn) >= self._settings.n_images:
                break
        drawn = drawn[: self._settings.n_images]
        return dict.fromkeys(epsilons, drawn), {epsilon: len(drawn) for epsilon in epsilons}

    def _fill_prefiltered(
        self, attack: str, epsilons: list[int], order: np.ndarray
    ) -> tuple[dict[int, list[str]], dict[int, int]]:
        """Walks the order until every epsilon has its images: clean right, adversarial wrong at top-k, both confident."""
        found: dict[int, list[str]] = {epsilon: [] for epsilon in epsilons}
        n_tried = dict.fromkeys(epsilons, 0)
        n_seen = 0
        waiting: list[tuple[int, Candidate]] = []
        n_wanted = len(epsilons) * self._settings.n_images
        counted = self._context.progress(range(n_wanted), n_wanted, f"prefiltered case, {attack}, images found")
        walk, exhausted = self._walk(order), False
        while not exhausted or waiting:
            batch = next(walk, None)
            exhausted = batch is None
            for candidate in batch or ():
                n_seen += 1
                is_right = TOP_1.holds(candidate.top_labels, candidate.true_label)
                if is_right and candidate.top_probabilities[0] >= self._settings.min_confidence:
                    waiting.append((n_seen, candidate))
            if len(waiting) < BATCH_SIZE and not exhausted:
                continue
            group, waiting = waiting[:BATCH_SIZE], waiting[BATCH_SIZE:]
            open_cells = [epsilon for epsilon in epsilons if len(found[epsilon]) < self._settings.n_images]
            fooled = self._fooled(attack, open_cells, [candidate for _, candidate in group])
            for epsilon in open_cells:
                for place, candidate in group:
                    if len(found[epsilon]) < self._settings.n_images and (epsilon, candidate.image_id) in fooled:
                        found[epsilon].append(candidate.image_id)
                        next(counted)
                        n_tried[epsilon] = place
            if all(len(images) >= self._settings.n_images for images in found.values()):
                break
        for epsilon in epsilons:
            if len(found[epsilon]) < self._settings.n_images:
                n_tried[epsilon] = n_seen
        return found, n_tried

    def _fooled(self, attack: str, epsilons: list[int], candidates: Sequence[Candidate]) -> set[tuple[int, str]]:
        if not candidates or not epsilons:
            return set()
        labels = {candidate.image_id: candidate.true_label for candidate in candidates}
        crafted = self._crafter.craft(attack, epsilons, [(candidate, self._pool.pixels(candidate)) for candidate in candidates])
        fooled, classifier = set(), self._crafter.classifier_of(attack)
        mildest, refused = criteria_for(classifier.n_ranked)[-1], classifier.n_classes - 1 if classifier.refuses else None
        keys = sorted(crafted)
        for key, row in zip(keys, classifier.predict(np.stack([crafted[key].pixels for key in keys])), strict=True):
            top, probabilities = top_predictions(row)
            if top[0] != refused and not mildest.holds(top, labels[key[1]]) and probabilities[0] >= self._settings.min_confidence:
                fooled.add(key)
        return fooled
