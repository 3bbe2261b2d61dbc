"""Looks for the mildest digital transforms that undo each working attack, and sums them up as survival curves."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial

from pipeline import engine
from pipeline.core.errors import BadInput
from pipeline.engine import Context
from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.outcomes import Outcomes, outcomes_of
from pipeline.images import pixels_sha256
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.models.sending import shared_classifier
from pipeline.records import SOURCE, Cell, Pair, SurvivalCurve, ThresholdRow
from pipeline.settings import Experiment, ThresholdSettings
from pipeline.statistics.survival import median_threshold, surviving
from pipeline.store import Run, content_hash
from pipeline.store.artefacts import PAIRS, SELECTED, SELECTION, THRESHOLDS, THRESHOLDS_CSV, VIEWS, field_of
from pipeline.store.stage import Outcome
from pipeline.transforms.thresholds import IMAGES_AT_ONCE, Direction, Found, Subject, directions_of, find_thresholds
from pipeline.transforms.views import saved_pixels


def thresholds(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `thresholds.parquet` and `thresholds.csv`: one row for each case, image and direction of a transform.

    Of every cell the first `n_images` pairs, in the order drawn, are taken of which the clean file is classified right and the
    adversarial one wrong.

    Raises:
        BadInput: an image is no longer the one that was judged.
    """
    directions = directions_of(experiment.thresholds.transforms, experiment.thresholds.resolutions)
    pairs = {pair.pair_id: pair for pair in PAIRS.read(run)}
    drawn = _drawn(experiment, run, pairs, outcomes_of(run, files_only=True))
    wanted = dict.fromkeys(pair_id for ids in drawn.values() for pair_id in ids)
    files = (field_of("transform") == SOURCE) & field_of("pair_id").isin([*wanted, ""])
    hashes = dict(VIEWS.values(run, "pair_id", "sha256", where=files))
    fingerprint = SELECTION.read(run)["model"]["fingerprint"]
    items = run.items("thresholds", run.reports)
    todo: list[Pair] = []
    found: dict[str, list[Found]] = {}
    keys: dict[str, str] = {}
    for pair in (pairs[pair_id] for pair_id in wanted):
        identity = [fingerprint, pair.pair_id, hashes[pair.pair_id], pair.true_label, experiment.seed, directions]
        keys[pair.pair_id] = content_hash(identity)
        kept = items.get_json(keys[pair.pair_id])
        if kept is None:
            todo.append(pair)
        else:
            found[pair.pair_id] = [Found(**row) for row in kept]
    for pair, result in _searched(experiment, run, context, todo, hashes, directions):
        found[pair.pair_id] = result
        items.put_json(keys[pair.pair_id], result)
    rows = [
        ThresholdRow(pair_id, pairs[pair_id].image_id, *cell, direction.transform, direction.name, **asdict(result))
        for cell, pair_ids in drawn.items()
        for pair_id in pair_ids
        for direction, result in zip(directions, found[pair_id], strict=True)
    ]
    THRESHOLDS.write(run, rows)
    THRESHOLDS_CSV.write(run, rows)
    items.prune()
    n_forward = sum(result.n_forward for results in found.values() for result in results)
    summary = {"n_adversarial_images": len(found), "n_forward_passes": n_forward}
    return Outcome((THRESHOLDS.name, THRESHOLDS_CSV.name), summary)


def without_thresholds(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes tables without a row."""
    THRESHOLDS.write(run, [])
    THRESHOLDS_CSV.write(run, [])
    return Outcome((THRESHOLDS.name, THRESHOLDS_CSV.name), {"n_adversarial_images": 0})


def survival_curves(settings: ThresholdSettings, rows: Sequence[ThresholdRow]) -> tuple[SurvivalCurve, ...]:
    """Returns the curve of every cell and direction for which a threshold was looked for, in the order of the rows."""
    searched = directions_of(settings.transforms, settings.resolutions)
    directions = {(direction.transform, direction.name): direction for direction in searched}
    groups: dict[tuple[str, str, int, str, str], list[float | None]] = defaultdict(list)
    for row in rows:
        groups[row.case, row.attack, row.epsilon_8bit, row.transform, row.direction].append(row.threshold)
    return tuple(
        SurvivalCurve(
            *key,
            end=directions[key[3:]].end,
            n=len(values),
            n_censored=values.count(None),
            steps=surviving(values, directions[key[3:]].start, key[4] == "up"),
            **median_threshold(values, key[4] == "up")._asdict(),
        )
        for key, values in groups.items()
    )


def _drawn(experiment: Experiment, run: Run, pairs: dict[str, Pair], outcomes: Outcomes) -> dict[Cell, list[str]]:
    """Returns the ids of each cell's pairs; the order drawn is random, so the first ones are a fair choice."""
    ids = {(pair.attack, pair.epsilon_8bit, pair.image_id): pair.pair_id for pair in pairs.values()}
    drawn: dict[Cell, list[str]] = defaultdict(list)
    for row in SELECTED.read(run):
        pair_id = ids[row.attack, row.epsilon_8bit, row.image_id]
        cell = drawn[row.case, row.attack, row.epsilon_8bit]
        if len(cell) < experiment.thresholds.n_images and outcomes.works(pairs[pair_id], TOP_1):
            cell.append(pair_id)
    return drawn


def _searched(
    experiment: Experiment,
    run: Run,
    context: Context,
    todo: Sequence[Pair],
    hashes: dict[str, str],
    directions: Sequence[Direction],
) -> Iterator[tuple[Pair, list[Found]]]:
    """Yields each pair with what was found in each direction, in the order in which the searches end."""
    if not todo or not directions:
        yield from ((pair, []) for pair in todo)
        return
    model = experiment.resolved_model()
    classifier = load_classifier(model, context.device)
    search = partial(_search, directions=directions, seed=experiment.seed)
    one_by_one = (_subject(run, pair, hashes[pair.pair_id]) for pair in todo)
    if context.workers <= 1:  # one stream, in which an image follows as soon as one is finished
        for place, result in context.progress(search(one_by_one, classifier), len(todo), "images"):
            yield todo[place], result
        return
    groups = [todo[start : start + IMAGES_AT_ONCE] for start in range(0, len(todo), IMAGES_AT_ONCE)]
    shared = shared_classifier(model, classifier)
    load = partial(_subjects, run, hashes)
    for group, results in engine.map(partial(_listed, search), groups, context, "groups of images", shared, load):
        yield from ((group[place], result) for place, result in results)


def _search(
    subjects: Iterable[Subject], classifier: Classifier, directions: Sequence[Direction], seed: int
) -> Iterator[tuple[int, list[Found]]]:
    return find_thresholds(subjects, directions, classifier.predict, seed)


def _listed(
    search: Callable[..., Iterator[tuple[int, list[Found]]]], subjects: Sequence[Subject], classifier: Classifier
) -> list[tuple[int, list[Found]]]:
    return list(search(subjects, classifier))


def _subjects(run: Run, hashes: dict[str, str], pairs: Sequence[Pair]) -> list[Subject]:
    return [_subject(run, pair, hashes[pair.pair_id]) for pair in pairs]


def _subject(run: Run, pair: Pair, sha256: str) -> Subject:
    pixels = saved_pixels(run.printouts, pair.adversarial_path)
    if pixels_sha256(pixels) != sha256:
        hint = "Make them again with: inkproof run EXPERIMENT --force"
        raise BadInput(f"{pair.adversarial_path}: not the pixels that were judged.", hint)
    return Subject(pair.pair_id, pixels, pair.true_label)
