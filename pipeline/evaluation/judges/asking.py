"""A model that judges: its classes matched to the attacked model's, and its answers; the attacked model is judge zero."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.errors import placed
from pipeline.engine import Context
from pipeline.evaluation.judges.classes import check_every_class, class_map
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.records.views import N_LABELS, REFUSED
from pipeline.settings import Experiment, JudgeSettings
from pipeline.store import content_hash


class Answer(NamedTuple):
    """The likeliest classes, best first: as the attacked model numbers them, in the judge's words, and how likely each is.

    `of_truth` is the share of the true one.
    """

    labels: tuple[int, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    of_truth: float


@dataclass(frozen=True)
class Judge:
    """A model that judges; `mapping` is the attacked model's class of each of its own (see `class_map`)."""

    label: str
    classifier: Classifier
    mapping: np.ndarray

    @cached_property
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

    def kept(self, probabilities: np.ndarray, true_label: int) -> dict[str, Any]:
        """Returns what is kept of an answer: five of its own classes, best first, ties to the lower, and the truth's share."""
        order = np.argsort(-probabilities, kind="stable")[:N_LABELS]
        return {
            "own": order.tolist(),
            "probabilities": [float(probabilities[index]) for index in order],
            "of_truth": float(probabilities[self.mapping == true_label].sum()),
        }

    def answer(self, kept: Mapping[str, Any]) -> Answer:
        """Returns what records hold of an answer that was kept."""
        own = kept["own"]
        labels, names = (tuple(told) for told in (self.mapping[own].tolist(), [self.classifier.class_names[i] for i in own]))
        return Answer(labels, names, tuple(kept["probabilities"]), kept["of_truth"])


def opened_judges(
    experiment: Experiment, context: Context, attacked: Classifier, true_labels: Iterable[int]
) -> Iterator[tuple[JudgeSettings, Judge]]:
    """Yields every model that judges beside the attacked one, each opened when it is asked for.

    Raises:
        WrongUse, BadInput, Unavailable: a judge cannot be loaded, or cannot name a true label.
    """
    for number in range(len(experiment.resolved_judges())):
        yield judge_at(number, experiment, context, attacked, true_labels)


def judge_at(
    number: int, experiment: Experiment, context: Context, attacked: Classifier, true_labels: Iterable[int]
) -> tuple[JudgeSettings, Judge]:
    """Returns one of the models that judge; raises as `opened_judges`."""
    settings = experiment.resolved_judges()[number]
    who = f'{experiment.where_judge(number)}: judge "{settings.label}"'
    with placed(who):
        classifier = load_classifier(settings, context.device)
    return settings, opened_judge(settings.label, classifier, attacked, true_labels, who)


def opened_judge(label: str, judge: Classifier, attacked: Classifier, true_labels: Iterable[int], who: str) -> Judge:
    """Returns a loaded model as a judge of images that were labelled with the attacked model's classes.

    Raises:
        WrongUse: it cannot name a true label.
    """
    names, ids = (told[: len(told) - judge.refuses] for told in (judge.class_names, judge.wordnet_ids))
    mapping = class_map(names, ids, attacked.class_names, attacked.wordnet_ids)
    check_every_class(mapping, true_labels, attacked.class_names, names, who)
    return Judge(label, judge, np.append(mapping, REFUSED) if judge.refuses else mapping)
