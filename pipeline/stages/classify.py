"""Asks the model for the five likeliest labels of every saved file, every digital transform of it, and every crop."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from pipeline import engine
from pipeline.attacks.crafting import top_predictions
from pipeline.core.errors import BadInput
from pipeline.engine import Context, Shared
from pipeline.evaluation.judges.asking import asked_judges
from pipeline.images import pixels_sha256, read_png
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.records import Pair, Prediction, View
from pipeline.settings import Experiment
from pipeline.store import Run, content_hash, json_bytes, read_stage_record, record_from
from pipeline.store.artefacts import CROPPED, JUDGED, PAIRS, PREDICTIONS, TRANSFORMED, VIEWS
from pipeline.store.stage import Outcome
from pipeline.transforms.views import SourceFile, digital_view, source_files, transformed

IMAGES_AT_ONCE = 128


@dataclass(frozen=True)
class _Work:
    """Views that are made, judged and kept together, because they come from one file or one photograph."""

    views: list[View]
    true_labels: list[int]
    pixels: Callable[[], list[np.ndarray]]


def classify(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `views.parquet` (everything that was judged) and `predictions.parquet`; `judged.parquet` where others judge too.

    Raises:
        BadInput: an image is no longer the one that was recorded.
        WrongUse: a judge cannot name a true label of the run.
    """
    model = experiment.resolved_model(), context.device
    classifier = load_classifier(*model)
    pairs = PAIRS.read(run)
    labels = {pair.image_id: pair.true_label for pair in pairs}
    works = [*_digital_works(experiment, run, pairs, labels, context), *_photo_works(run, labels)]
    items = run.items("classify", run.reports)
    keys = [
        content_hash([classifier.fingerprint, work.true_labels, [(view.view_id, view.sha256) for view in work.views]])
        for work in works
    ]
    kept = [items.get_json(key) for key in keys]
    todo = [number for number, content in enumerate(kept) if content is None]
    groups = [[(number, works[number]) for number in group] for group in _groups(todo, works)]
    for group, answers in engine.map(_judged, groups, context, "batches", Shared(load_classifier, model, classifier)):
        for (number, _), found in zip(group, answers, strict=True):
            kept[number] = [asdict(row) for row in found]
            items.put(keys[number], json_bytes(found))
    views = [view for work in works for view in work.views]
    predictions = [record_from(Prediction, row) for rows in kept for row in rows]
    VIEWS.write(run, views)
    PREDICTIONS.write(run, predictions)
    items.prune()
    n_photo = sum(bool(view.capture_id) for view in views)
    outputs, summary = [VIEWS.name, PREDICTIONS.name], {"n_predictions": len(predictions), "n_photo_crops": n_photo}
    JUDGED.remove(run)
    sources = classifier.sources
    if experiment.judges:
        judged, more = asked_judges(experiment, run, context, classifier, pairs, views)
        sources += more
        JUDGED.write(run, judged)
        outputs.append(JUDGED.name)
        summary["n_judgements"] = len(judged)
    return Outcome(tuple(outputs), summary, read=sources)


def _digital_works(
    experiment: Experiment, run: Run, pairs: list[Pair], labels: dict[str, int], context: Context
) -> Iterator[_Work]:
    by_subject: dict[str, list[View]] = {}
    for view in TRANSFORMED.read(run):
        by_subject.setdefault(view.view_id.rsplit("/", 1)[0], []).append(view)
    sources = source_files(pairs)
    for source in context.progress(sources, len(sources), "reading"):
        pixels = read_png(run.printouts / source.path)
        views = [digital_view(source, pixels_sha256(pixels)), *by_subject.get(source.subject, [])]
        steps = [(view.transform, view.parameter) for view in views[1:] if view.parameter is not None]
        make = partial(_source_and_transforms, run, source, steps, experiment.seed)
        yield _Work(views, [labels[source.image_id]] * len(views), make)


def _source_and_transforms(run: Run, source: SourceFile, steps: list[tuple[str, float]], seed: int) -> list[np.ndarray]:
    pixels = read_png(run.printouts / source.path)
    return [pixels, *transformed(pixels, source, steps, seed)]


def _photo_works(run: Run, labels: dict[str, int]) -> Iterator[_Work]:
    by_capture: dict[str, list[View]] = {}
    for view in CROPPED.read(run) if read_stage_record(run.captures, "crop") else ():
        by_capture.setdefault(view.capture_id, []).append(view)
    for views in by_capture.values():
        yield _Work(views, [labels[view.image_id] for view in views], partial(_crops, run, views))


def _crops(run: Run, views: list[View]) -> list[np.ndarray]:
    return [read_png(run.captures / view.path) for view in views]


def _judged(group: list[tuple[int, _Work]], classifier: Classifier) -> list[list[Prediction]]:
    """Returns what the model says of every view of each work."""
    images = [pixels for _, work in group for pixels in _checked(work)]
    rows = iter(classifier.predict(np.stack(images)))
    return [
        [_prediction(view, label, next(rows)) for view, label in zip(work.views, work.true_labels, strict=True)]
        for _, work in group
    ]


def _checked(work: _Work) -> list[np.ndarray]:
    images = work.pixels()
    for view, pixels in zip(work.views, images, strict=True):
        if pixels_sha256(pixels) != view.sha256:
            raise BadInput(
                f"{view.view_id}: not the pixels that were recorded.", "Make them again with: inkproof run EXPERIMENT --force"
            )
    return images


def _groups(todo: list[int], works: list[_Work]) -> Iterator[list[int]]:
    group: list[int] = []
    for number in todo:
        group.append(number)
        if sum(len(works[member].views) for member in group) >= IMAGES_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _prediction(view: View, true_label: int, probabilities: np.ndarray) -> Prediction:
    labels, values = top_predictions(probabilities)
    return Prediction(view.view_id, true_label, labels, values, float(probabilities[true_label]))
