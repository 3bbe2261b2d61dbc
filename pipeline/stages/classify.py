"""Asks the model for the five likeliest labels of every saved file, every digital transform of it, and every crop."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from pipeline import engine
from pipeline.attacks.crafting import training_images
from pipeline.core.errors import BadInput, in_a_line
from pipeline.defences.squeezing import FeatureSqueezing
from pipeline.engine import Context, Shared
from pipeline.evaluation.judges.asking import Judge, judge_at
from pipeline.images import pixels_sha256, read_png
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.records import ATTACKED_MODEL, PHOTO, SOURCE, Judgement, Pair, Prediction, View, top_ks_for
from pipeline.settings import Experiment, JudgeSettings, ModelSettings
from pipeline.store import Items, Run, content_hash, json_bytes, read_stage_record
from pipeline.store.artefacts import CROPPED, JUDGED, PAIRS, PREDICTIONS, TRANSFORMED, VIEWS
from pipeline.store.stage import FAILED, Outcome
from pipeline.transforms.views import SourceFile, digital_view, source_files, transformed

IMAGES_AT_ONCE = 128


@dataclass(frozen=True)
class _Work:
    """Views that are made, judged and kept together, because they come from one file (`source`) or one photograph."""

    views: list[View]
    true_labels: list[int]
    source: SourceFile | None = None


def without_classify(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """As `classify`, without the judges that fail."""
    return classify(experiment, run, context, judges_may_fail=True)


def classify(experiment: Experiment, run: Run, context: Context, judges_may_fail: bool = False) -> Outcome:
    """Writes `views.parquet` (everything that was judged) and `predictions.parquet`; `judged.parquet` where others judge too.

    Others are asked about the files and the photographs that count: digital transforms would multiply the cost, and what they do
    is known from the attacked model.

    Raises:
        BadInput: an image is no longer the one that was recorded.
        WrongUse, BadInput, Unavailable: a judge cannot be loaded, or cannot name a true label of the run.
    """
    model = experiment.resolved_model()
    classifier = load_classifier(model, context.device)
    pairs = PAIRS.read(run)
    labels = {pair.image_id: pair.true_label for pair in pairs}
    works = [*_digital_works(run, pairs, labels, context), *_photo_works(run, labels)]
    items = run.items("classify", run.reports)
    ask = partial(_asked, run=run, seed=experiment.seed, items=items, context=context)
    zero = Judge(ATTACKED_MODEL, classifier, np.arange(classifier.n_classes))
    predictions = [
        Prediction(view.view_id, labels[view.image_id], tuple(said["labels"]), tuple(said["probabilities"]), said["of_truth"])
        for view, said in ask(zero, model, works, "batches")
    ]
    views = [view for work in works for view in work.views]
    VIEWS.write(run, views)
    PREDICTIONS.write(run, predictions)
    JUDGED.remove(run)
    files, judged, sources = [VIEWS.name, PREDICTIONS.name], [], classifier.sources
    others = [work for work in map(_without_transforms, works) if work.views]
    failed: dict[str, str] = {}
    notes: list[str] = []
    for number, listed in enumerate(experiment.resolved_judges()):
        try:
            settings, judge = judge_at(number, experiment, context, classifier, labels.values())
            if isinstance(judge.classifier, FeatureSqueezing) and judge.classifier.n_clean:
                images = training_images(experiment, judge.classifier, "", judge.classifier.n_clean, labels)
                threshold = judge.classifier.threshold_on(images)
                settings, judge = _with_threshold(settings, judge, threshold, context)
                notes.append(f"{judge.label}: threshold {threshold:.4g}, set on {len(images)} clean pictures")
            sources += judge.classifier.sources
            most = top_ks_for(judge.classifier.n_ranked)[-1]
            found = ask(judge, settings, others, f"judge {judge.label}")
            judged += [_judgement(judge.label, view, labels[view.image_id], said, most) for view, said in found]
        except Exception as error:  # a judge may be anybody's model, and raise anything
            if not judges_may_fail:
                raise
            failed[listed.label] = in_a_line(error)
    items.prune()
    summary: dict[str, Any] = {"n_predictions": len(predictions), "n_photo_crops": sum(bool(view.capture_id) for view in views)}
    if experiment.resolved_judges():
        JUDGED.write(run, judged)
        files.append(JUDGED.name)
        summary["n_judgements"] = len(judged)
        if failed:
            summary[FAILED] = "; ".join(f'judge "{judge}": {reason}' for judge, reason in failed.items())
    return Outcome(tuple(files), summary, tuple(notes), sources)


def _with_threshold(settings: JudgeSettings, judge: Judge, threshold: float, context: Context) -> tuple[JudgeSettings, Judge]:
    settings = replace(settings, defence_options=settings.defence_options | {"threshold": threshold})
    return settings, replace(judge, classifier=load_classifier(settings, context.device))


def _digital_works(run: Run, pairs: list[Pair], labels: Mapping[str, int], context: Context) -> Iterator[_Work]:
    by_subject: dict[str, list[View]] = {}
    for view in TRANSFORMED.read(run):
        by_subject.setdefault(view.view_id.rsplit("/", 1)[0], []).append(view)
    sources = source_files(pairs)
    for source in context.progress(sources, len(sources), "reading"):
        sha256 = pixels_sha256(read_png(run.printouts / source.path))
        views = [digital_view(source, sha256), *by_subject.get(source.subject, [])]
        yield _Work(views, [labels[source.image_id]] * len(views), source)


def _photo_works(run: Run, labels: Mapping[str, int]) -> Iterator[_Work]:
    by_capture: dict[str, list[View]] = {}
    for view in CROPPED.read(run) if read_stage_record(run.captures, "crop") else ():
        by_capture.setdefault(view.capture_id, []).append(view)
    for views in by_capture.values():
        yield _Work(views, [labels[view.image_id] for view in views])


def _without_transforms(work: _Work) -> _Work:
    shown = zip(work.views, work.true_labels, strict=True)
    kept = [(view, label) for view, label in shown if view.counts and view.transform in (SOURCE, PHOTO)]
    return replace(work, views=[view for view, _ in kept], true_labels=[label for _, label in kept])


def _asked(
    judge: Judge, settings: ModelSettings, works: list[_Work], label: str, run: Run, seed: int, items: Items, context: Context
) -> list[tuple[View, dict[str, Any]]]:
    """Returns every view with what a judge says of it; what is kept is not asked again."""
    who = judge.identity
    keys = [content_hash([who, work.true_labels, [(view.view_id, view.sha256) for view in work.views]]) for work in works]
    kept = {key: items.get_json(key) for key in keys}
    todo = [(key, work) for key, work in zip(keys, works, strict=True) if kept[key] is None]
    ask = partial(_answers, label=judge.label, mapping=judge.mapping, run=run, seed=seed)
    shared = Shared(load_classifier, (settings, context.device), judge.classifier)
    for group, answers in engine.map(ask, list(_groups(todo)), context, label, shared):
        for (key, _), found in zip(group, answers, strict=True):
            kept[key] = found
            items.put(key, json_bytes(found))
    return [shown for key, work in zip(keys, works, strict=True) for shown in zip(work.views, kept[key], strict=True)]


def _groups(todo: list[tuple[str, _Work]]) -> Iterator[list[tuple[str, _Work]]]:
    group: list[tuple[str, _Work]] = []
    for keyed in todo:
        group.append(keyed)
        if sum(len(work.views) for _, work in group) >= IMAGES_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _answers(
    group: list[tuple[str, _Work]], classifier: Classifier, label: str, mapping: np.ndarray, run: Run, seed: int
) -> list[list[dict[str, Any]]]:
    """Returns what a judge says of every view of each work."""
    judge = Judge(label, classifier, mapping)
    rows = iter(judge.predict([pixels for _, work in group for pixels in _pixels(work, run, seed)]))
    return [[judge.answer(next(rows), true_label) for true_label in work.true_labels] for _, work in group]


def _pixels(work: _Work, run: Run, seed: int) -> list[np.ndarray]:
    if work.source is None:
        images = [read_png(run.captures / view.path) for view in work.views]
    else:
        saved = read_png(run.printouts / work.source.path)
        steps = [(view.transform, view.parameter) for view in work.views if view.parameter is not None]
        images = [saved, *transformed(saved, work.source, steps, seed)]
    for view, pixels in zip(work.views, images, strict=True):
        if pixels_sha256(pixels) != view.sha256:
            hint = "Make them again with: inkproof run EXPERIMENT --force"
            raise BadInput(f"{view.view_id}: not the pixels that were recorded.", hint)
    return images


def _judgement(judge: str, view: View, true_label: int, said: Mapping[str, Any], most: int) -> Judgement:
    shown = {name: getattr(view, name) for name in ("view_id", "image_id", "pair_id", "variant", "transform", "origin", "sha256")}
    return Judgement(
        judge=judge,
        **shown,
        true_label=true_label,
        labels=tuple(said["labels"][:most]),
        names=tuple(said["names"][:most]),
        probabilities=tuple(said["probabilities"][:most]),
        is_imported=False,
    )
