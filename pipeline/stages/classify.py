"""Asks the model for the five likeliest labels of every saved file, every digital transform of it, and every crop."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from pipeline import engine
from pipeline.attacks.crafting import training_images
from pipeline.core.errors import BadInput, in_a_line
from pipeline.defences.squeezing import FeatureSqueezing
from pipeline.engine import Context
from pipeline.evaluation.judges.asking import Answer, Judge, judge_at
from pipeline.images import pixels_sha256, read_png
from pipeline.models import load_classifier
from pipeline.models.classifier import BATCH_SIZE, Classifier
from pipeline.models.sending import shared_classifier
from pipeline.records import ATTACKED_MODEL, PHOTO, Judgement, Prediction, View, top_ks_for
from pipeline.settings import Experiment, JudgeSettings, ModelSettings
from pipeline.store import Items, Run, bytes_hash, content_hash, read_stage_record, saved_image
from pipeline.store.artefacts import CROPPED, JUDGED, PAIRS, PREDICTIONS, TRANSFORMED, VIEWS
from pipeline.store.stage import FAILED, Outcome
from pipeline.transforms.views import SourceFile, Step, digital_view, source_files, steps_of, transformed, view_of_saved

# Batches of the network are filled up with copies: from as many views on, a group ends where few are needed, or at the most.
_LEAST_VIEWS, _MOST_VIEWS, _FEW = 4 * BATCH_SIZE, 12 * BATCH_SIZE, BATCH_SIZE // 10


@dataclass(frozen=True, slots=True)
class _Work:
    """Views that are made, judged and kept together: a saved file with its digital transforms, or the crops of a photograph.

    `hashes` are of the transforms where these are saved as files.
    """

    source: SourceFile | None = None
    steps: tuple[Step, ...] = ()
    hashes: tuple[str, ...] = ()
    crops: tuple[View, ...] = ()

    @property
    def n_views(self) -> int:
        return len(self.crops) or 1 + len(self.steps)

    def views(self, hashes: Sequence[str]) -> list[View]:
        """Returns the views, with the hashes of their pixels."""
        if self.source is None:
            return list(self.crops)
        view = view_of_saved if self.hashes else digital_view
        own, *made = hashes
        return [
            digital_view(self.source, own),
            *(view(self.source, sha256, *step) for step, sha256 in zip(self.steps, made, strict=True)),
        ]

    def pngs(self, run: Run) -> list[bytes]:
        """Returns the files that are read."""
        if self.source:
            return [saved_image(run.printouts, self.source.path)]
        return [saved_image(run.captures, view.path) for view in self.crops]


_Keyed = tuple[str, _Work]


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
    asking = _Asking(run, dict(PAIRS.values(run, "image_id", "true_label")), experiment.seed, context)
    works = [*_of_files(run, experiment), *_of_photos(run)]
    zero = Judge(ATTACKED_MODEL, classifier, np.arange(classifier.n_classes))
    keys = asking.ask(zero, model, works, "batches")
    n_predictions = n_photos = 0
    with VIEWS.writing(run) as write_views, PREDICTIONS.writing(run) as write_predictions:
        for view, label, said in asking.told(zero, works, keys):
            write_views([view])
            write_predictions([Prediction(view.view_id, label, said.labels, said.probabilities, said.of_truth)])
            n_predictions, n_photos = n_predictions + 1, n_photos + bool(view.capture_id)
    summary: dict[str, Any] = {"n_predictions": n_predictions, "n_photo_crops": n_photos}
    files, sources, notes = [VIEWS.name, PREDICTIONS.name], classifier.sources, []
    others = [work for work in map(_without_transforms, works) if work.source or work.crops]
    failed: dict[str, str] = {}
    JUDGED.remove(run)
    if experiment.resolved_judges():
        summary["n_judgements"] = 0
        with JUDGED.writing(run) as write_judged:
            for number, listed in enumerate(experiment.resolved_judges()):
                try:
                    settings, judge = judge_at(number, experiment, context, classifier, asking.labels.values())
                    if isinstance(judge.classifier, FeatureSqueezing) and judge.classifier.n_clean:
                        images = training_images(experiment, judge.classifier, "", judge.classifier.n_clean, asking.labels)
                        threshold = judge.classifier.threshold_on(images)
                        settings, judge = _with_threshold(settings, judge, threshold, context)
                        notes.append(f"{judge.label}: threshold {threshold:.4g}, set on {len(images)} clean pictures")
                    sources += judge.classifier.sources
                    keys = asking.ask(judge, settings, others, f"judge {judge.label}")
                except Exception as error:  # a judge may be anybody's model, and raise anything
                    if not judges_may_fail:
                        raise
                    failed[listed.label] = in_a_line(error)
                    continue
                most = top_ks_for(judge.classifier.n_ranked)[-1]
                for view, label, said in asking.told(judge, others, keys):
                    write_judged([_judgement(judge.label, view, label, said, most)])
                    summary["n_judgements"] += 1
        files.append(JUDGED.name)
    if failed:
        summary[FAILED] = "; ".join(f'judge "{judge}": {reason}' for judge, reason in failed.items())
    asking.items.prune()
    return Outcome(tuple(files), summary, tuple(notes), sources)


def _with_threshold(settings: JudgeSettings, judge: Judge, threshold: float, context: Context) -> tuple[JudgeSettings, Judge]:
    settings = replace(settings, defence_options=settings.defence_options | {"threshold": threshold})
    return settings, replace(judge, classifier=load_classifier(settings, context.device))


def _of_files(run: Run, experiment: Experiment) -> Iterator[_Work]:
    steps = steps_of(experiment.transforms)
    hashes = TRANSFORMED.values(run, "sha256")
    for source in source_files(PAIRS.rows(run)):
        told = tuple(sha256 for _, (sha256,) in zip(steps, hashes, strict=False)) if experiment.transforms.save_images else ()
        yield _Work(source, steps, told)


def _of_photos(run: Run) -> Iterator[_Work]:
    crops = CROPPED.read(run) if read_stage_record(run.captures, "crop") else []
    by_capture: dict[str, list[View]] = {}
    for view in crops:
        by_capture.setdefault(view.capture_id, []).append(view)
    yield from (_Work(crops=tuple(views)) for views in by_capture.values())


def _without_transforms(work: _Work) -> _Work:
    crops = tuple(view for view in work.crops if view.counts and view.transform == PHOTO)
    return _Work(work.source, crops=crops)


@dataclass
class _Asking:
    """Asks judges about a run's pictures, and keeps what they say: an interruption costs what was under way."""

    run: Run
    labels: Mapping[str, int]
    seed: int
    context: Context

    def __post_init__(self) -> None:
        self.items: Items = self.run.items("classify", self.run.reports)

    def ask(self, judge: Judge, settings: ModelSettings, works: Sequence[_Work], label: str) -> list[str]:
        """Asks a judge about every work that it was not asked about before; returns under which key each answer is kept."""
        keys = [self._key(judge, work) for work in works]
        todo = [(key, work) for key, work in zip(keys, works, strict=True) if self.items.get(key) is None]
        groups = list(_groups(todo))
        if self.context.device == "cpu":
            at = partial(_answers, label=judge.label, mapping=judge.mapping, seed=self.seed)
            shared = shared_classifier(settings, judge.classifier)
            found = engine.map(at, groups, self.context, label, shared, self._sent)
        else:  # the network works here, while workers make what it is shown next
            made = engine.map(partial(_shown, seed=self.seed), groups, self.context, label, load=self._sent)
            found = ((group, _said(judge, self._labels(group), shown)) for group, shown in made)
        for group, answers in found:
            for (key, _), told in zip(group, answers, strict=True):
                self.items.put_json(key, told)
        return keys

    def told(self, judge: Judge, works: Iterable[_Work], keys: Iterable[str]) -> Iterator[tuple[View, int, Answer]]:
        """Yields every view of works that a judge was asked about, its true label and the answer."""
        for work, key in zip(works, keys, strict=True):
            hashes, kept = self.items.get_json(key)
            for view, said in zip(work.views(hashes), kept, strict=True):
                yield view, self.labels[view.image_id], judge.answer(said)

    def _key(self, judge: Judge, work: _Work) -> str:
        subjects = [work.source.subject] if work.source else [view.view_id for view in work.crops]
        shown = [view.sha256 for view in work.crops] or [bytes_hash(png) for png in work.pngs(self.run)]
        labels = self._labels([("", work)])
        return content_hash([judge.identity, labels, subjects, shown, work.steps, work.hashes, self.seed])

    def _labels(self, group: Iterable[_Keyed]) -> list[list[int]]:
        """Returns the true label of every view of each work."""
        return [
            [self.labels[view.image_id] for view in work.crops]
            or ([self.labels[work.source.image_id]] * work.n_views if work.source else [])
            for _, work in group
        ]

    def _sent(self, group: Sequence[_Keyed]) -> "_Sent":
        return [work for _, work in group], [work.pngs(self.run) for _, work in group], self._labels(group)


def _groups(todo: Iterable[_Keyed]) -> Iterator[list[_Keyed]]:
    group: list[_Keyed] = []
    n_views = 0
    for key, work in todo:
        group.append((key, work))
        n_views += work.n_views
        if n_views >= _MOST_VIEWS or (n_views >= _LEAST_VIEWS and -n_views % BATCH_SIZE <= _FEW):
            yield group
            group, n_views = [], 0
    if group:
        yield group


# Works, the files of each, and the true labels of its views.
_Sent = tuple[list[_Work], list[list[bytes]], list[list[int]]]
# The hashes of what is shown of each work, and its pixels.
_Shown = list[tuple[list[str], list[np.ndarray]]]


def _answers(sent: _Sent, classifier: Classifier, label: str, mapping: np.ndarray, seed: int) -> list[list[Any]]:
    return _said(Judge(label, classifier, mapping), sent[2], _shown(sent, seed))


def _said(judge: Judge, labels: list[list[int]], shown: _Shown) -> list[list[Any]]:
    """Returns the hashes of every view of each work, and what is kept of what a judge says of them."""
    rows = iter(judge.predict([pixels for _, images in shown for pixels in images]))
    return [
        [hashes, [judge.kept(next(rows), label) for label in of_views]]
        for of_views, (hashes, _) in zip(labels, shown, strict=True)
    ]


def _shown(sent: _Sent, seed: int) -> _Shown:
    """Makes what is shown of each work.

    Raises:
        BadInput: it is not what was recorded.
    """
    found = []
    for work, pngs, _ in zip(*sent, strict=True):
        images = [read_png(png) for png in pngs]
        recorded = [view.sha256 for view in work.crops]
        if work.source:
            images += transformed(images[0], work.source, work.steps, seed)
        hashes = [pixels_sha256(pixels) for pixels in images]
        if work.hashes:
            recorded = [hashes[0], *work.hashes]
        if recorded and hashes != recorded:
            wrong = next(place for place, pair in enumerate(zip(hashes, recorded, strict=True)) if pair[0] != pair[1])
            hint = "Make them again with: inkproof run EXPERIMENT --force"
            raise BadInput(f"{work.views(hashes)[wrong].view_id}: not the pixels that were recorded.", hint)
        found.append((hashes, images))
    return found


def _judgement(judge: str, view: View, true_label: int, said: Answer, most: int) -> Judgement:
    shown = {name: getattr(view, name) for name in ("view_id", "image_id", "pair_id", "variant", "transform", "origin", "sha256")}
    return Judgement(
        judge=judge,
        **shown,
        true_label=true_label,
        labels=said.labels[:most],
        names=said.names[:most],
        probabilities=said.probabilities[:most],
        is_imported=False,
    )
