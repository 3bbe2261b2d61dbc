"""Asks every model among the judges about the saved files and the photographs of a run, each image once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.errors import BadInput, InkproofError
from pipeline.engine import Context
from pipeline.evaluation.judges.classes import NO_CLASS, check_every_class, class_map
from pipeline.images import pixels_sha256, read_png
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.records import N_LABELS, PHOTO, SOURCE, Judgement, Pair, View
from pipeline.settings import Experiment
from pipeline.store import Items, Run, content_hash, json_bytes
from pipeline.transforms.views import source_files

FILES_AT_ONCE = 32


@dataclass(frozen=True)
class Judge:
    """A model that judges; `mapping` is the attacked model's class of each of its own (see `class_map`)."""

    label: str
    classifier: Classifier
    mapping: np.ndarray

    @property
    def identity(self) -> str:
        """The hash of all that its answers depend on, beside the image."""
        return content_hash([self.classifier.fingerprint, self.classifier.class_names, self.mapping.tolist()])

    def predict(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Returns float32 (N, n_classes) probabilities, over the judge's own classes, of uint8 (H, W, 3) images of any size.

        An image that has the judge's input size already is framed already and goes in as it is; any other goes through the
        judge's own preprocessing, as every picture does that it is shown.
        """
        size = self.classifier.input_size
        framed = [pixels if pixels.shape[:2] == size else self.classifier.prepare(pixels) for pixels in images]
        return self.classifier.predict(np.stack(framed))

    def answer(self, probabilities: np.ndarray) -> dict[str, Any]:
        """Returns the fields of a `Judgement` that say what the judge says: five classes, best first; ties to the lower one."""
        order = np.argsort(-probabilities, kind="stable")[:N_LABELS]
        return {
            "labels": tuple(int(self.mapping[index]) for index in order),
            "names": tuple(self.classifier.class_names[index] for index in order),
            "probabilities": tuple(float(probabilities[index]) for index in order),
        }


def asked_judges(
    experiment: Experiment, run: Run, context: Context, classifier: Classifier, pairs: Sequence[Pair], views: Iterable[View]
) -> tuple[list[Judgement], tuple[Path, ...]]:
    """Returns what each judge says of every saved file and of every photograph that counts, and the files of the judges.

    Digital transforms are left out: they would multiply the cost, and what they do is known from the attacked model.

    Raises:
        WrongUse, BadInput, Unavailable: a judge cannot be loaded, or cannot name a true label of the run.
        BadInput: an image is no longer the one that was recorded.
    """
    labels = {pair.image_id: pair.true_label for pair in pairs}
    groups = list(_grouped(view for view in views if view.counts and view.transform in (SOURCE, PHOTO)))
    paths = {source.subject: run.printouts / source.path for source in source_files(pairs)}
    items = run.items("judge", run.reports)
    found: list[Judgement] = []
    sources: list[Path] = []
    for number, settings in enumerate(experiment.resolved_judges()):
        who = f'{experiment.where(f"judges.{number}")}: judge "{settings.label}"'
        try:
            judge = opened_judge(settings.label, load_classifier(settings, context.device), classifier, labels.values(), who)
        except InkproofError as error:
            if error.message.startswith(who):
                raise
            raise type(error)(f"{who}: {error.message}", error.hint) from None
        sources += judge.classifier.sources
        for group in context.progress(groups, len(groups), f"judge {settings.label}"):
            images = [
                paths[view.view_id.rsplit("/", 1)[0]] if view.transform == SOURCE else run.captures / view.path for view in group
            ]
            for view, answer in zip(group, _answers(judge, group, images, items), strict=True):
                found.append(_judgement(judge.label, view, labels[view.image_id], answer))
    items.prune()
    return found, tuple(sources)


def opened_judge(label: str, judge: Classifier, attacked: Classifier, true_labels: Iterable[int], who: str) -> Judge:
    """Returns a loaded model as a judge of images that were labelled with the attacked model's classes.

    Raises:
        WrongUse: it cannot name a true label.
    """
    mapping = class_map(judge.class_names, judge.wordnet_ids, attacked.class_names, attacked.wordnet_ids)
    check_every_class(mapping, true_labels, attacked.class_names, judge.class_names, who)
    return Judge(label, judge, mapping)


def _grouped(views: Iterable[View]) -> Iterator[list[View]]:
    """Yields views that are judged and kept together: those of one photograph, or some files."""
    by_capture: dict[str, list[View]] = {}
    for view in views:
        by_capture.setdefault(view.capture_id, []).append(view)
    files = by_capture.pop("", [])
    for start in range(0, len(files), FILES_AT_ONCE):
        yield files[start : start + FILES_AT_ONCE]
    yield from by_capture.values()


def _answers(judge: Judge, views: list[View], paths: list[Any], items: Items) -> list[dict[str, Any]]:
    key = content_hash([judge.identity, [view.sha256 for view in views]])
    kept = items.get_json(key)
    if kept is None:
        images = [read_png(path) for path in paths]
        for view, pixels in zip(views, images, strict=True):
            if pixels_sha256(pixels) != view.sha256:
                hint = "Make them again with: inkproof run EXPERIMENT --force"
                raise BadInput(f"{view.view_id}: not the pixels that were recorded.", hint)
        kept = [judge.answer(row) for row in judge.predict(images)]
        items.put(key, json_bytes(kept))
    return kept


def _judgement(label: str, view: View, true_label: int, answer: dict[str, Any]) -> Judgement:
    return Judgement(
        judge=label,
        view_id=view.view_id,
        image_id=view.image_id,
        pair_id=view.pair_id,
        variant=view.variant,
        transform=view.transform,
        origin=view.origin,
        true_label=true_label,
        sha256=view.sha256,
        is_imported=False,
        **{name: tuple(values) for name, values in answer.items()},
    )


__all__ = ["NO_CLASS", "Judge", "asked_judges", "opened_judge"]
