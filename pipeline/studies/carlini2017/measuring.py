"""Runs one attack on images toward targets and measures what is saved, each pair of image and target once."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.attacks import attack_named, attack_spec
from pipeline.engine import Context
from pipeline.evaluation.criteria import TargetReached
from pipeline.models.classifier import Classifier
from pipeline.models.preprocessing import LUMA
from pipeline.settings import NO_EPSILON
from pipeline.statistics import l2_8bit, linf_8bit, n_changed_pixels
from pipeline.store import Items, content_hash, record_from

BATCH_SIZE = 16
# Of results that are kept: another number where what is measured changes.
_FORM = 2


@dataclass(frozen=True, slots=True)
class Aim:
    """One image, uint8 (H, W, 3), its true label and the class to lead it to; None leads it to any wrong one."""

    image_id: str
    sha256: str
    label: int
    target: int | None
    pixels: np.ndarray = dataclasses.field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Shot:
    """What became of one aim, measured on the saved 8-bit image.

    Distances are to the clean image, those of a failure 0: they enter no mean. L2 is of luma where the network takes one channel.
    `epsilon_8bit` is the smallest that succeeds, 0 where it takes none. Passes are those of this epsilon alone. `rounding`
    is a key of ROUNDING for an attack that looks for the smallest change, of a failure too.
    """

    is_success: bool
    epsilon_8bit: int = NO_EPSILON
    l0_px: int = 0
    l2_8bit: float = 0.0
    linf_8bit: int = 0
    n_forward: int = 0
    n_backward: int = 0
    rounding: str = ""


class Range:
    """One attack on one network.

    An attack that takes an epsilon is tried with every whole one from 1 to `most_8bit` upward, and the smallest that succeeds
    counts (as FGS and IGS in Carlini and Wagner, Sec. VI): success need not grow with epsilon, so that nothing is skipped.

    Attributes:
        saved: where no items are given, the saved images by image id and target, uint8 (H, W, 3), the clean one of a failure.
    """

    def __init__(
        self, name: str, options: Mapping[str, Any], classifier: Classifier, items: Items | None, most_8bit: int
    ) -> None:
        """Args:
        options: those of the attack, without a target.
        items: where shots are kept; None keeps none.
        """
        self.saved: dict[tuple[str, int | None], np.ndarray] = {}
        self.spec, self.attack = attack_spec(name, options=options), attack_named(name, options=options)
        self._classifier, self._items = classifier, items
        has_epsilon = self.spec.takes_epsilon
        self._blocks = _blocks(most_8bit) if has_epsilon else [[NO_EPSILON]]
        self._size = self.spec.batch_size or BATCH_SIZE
        self._identity = [_FORM, name, self.attack.identity, classifier.fingerprint, most_8bit if has_epsilon else NO_EPSILON]

    def shots(self, aims: Sequence[Aim], context: Context, label: str) -> dict[tuple[str, int | None], Shot]:
        """Returns the shots by image id and target; what was measured before is not measured again.

        Raises:
            ValueError: an aim has a target and the attack takes none.
        """
        found = {}
        for aim in aims:
            if self._items and (kept := self._items.get_json(self._key(aim))) is not None:
                found[aim.image_id, aim.target] = record_from(Shot, kept)
        missing = [aim for aim in aims if (aim.image_id, aim.target) not in found]
        groups = [[aim for aim in missing if (aim.target is None) == is_away] for is_away in (True, False)]
        batches = [group[start : start + self._size] for group in groups for start in range(0, len(group), self._size)]
        for batch in context.progress(batches, len(batches), label):
            for aim, shot in zip(batch, self._fired(batch), strict=True):
                if self._items:
                    self._items.put_json(self._key(aim), shot)
                found[aim.image_id, aim.target] = shot
        return found

    def _fired(self, batch: Sequence[Aim]) -> list[Shot]:
        shots = [Shot(is_success=False)] * len(batch)
        waiting = list(range(len(batch)))
        for epsilons in self._blocks:
            for place, shot in self._tried([batch[place] for place in waiting], epsilons):
                shots[waiting[place]] = shot
            waiting = [place for place in waiting if not shots[place].is_success]
            if not waiting:
                break
        return shots

    def _tried(self, batch: Sequence[Aim], epsilons: Sequence[int]) -> Iterator[tuple[int, Shot]]:
        """Yields place and shot of each; what becomes of an image does not depend on its neighbours in a batch."""
        images = np.stack([aim.pixels for aim in batch])
        labels = np.array([aim.label for aim in batch], np.int64)
        is_targeted = batch[0].target is not None
        targets = {"targets": np.array([aim.target for aim in batch], np.int64)} if is_targeted else {}
        results = self.attack.perturb(self._classifier, images, labels, epsilons, **targets)
        saved = np.concatenate([results[epsilon].images for epsilon in epsilons])
        answers = self._classifier.predict(saved).argmax(axis=1).reshape(len(epsilons), len(batch))
        for place, aim in enumerate(batch):
            reached = TargetReached(aim.target)
            hits = np.array([reached.holds((answer,), aim.label) for answer in answers[:, place]])
            epsilon = epsilons[int(hits.argmax())]
            result = results[epsilon]
            rounding = result.rounding[place] if result.rounding else ""
            if not self._items:
                self.saved[aim.image_id, aim.target] = result.images[place] if hits.any() else aim.pixels
            if not hits.any():
                yield place, Shot(is_success=False, rounding=rounding)
                continue
            both = aim.pixels, result.images[place]
            distances = n_changed_pixels(*both), self._l2_8bit(*both), linf_8bit(*both)
            passes = int(result.n_forward[place]), int(result.n_backward[place])
            yield place, Shot(True, epsilon, *distances, *passes, rounding)

    def _l2_8bit(self, clean: np.ndarray, saved: np.ndarray) -> float:
        """Returns the distance of what the network takes: of luma where that is one channel, as MNIST's is in the paper."""
        if self._classifier.preprocessing.n_channels == 3:
            return l2_8bit(clean, saved)
        return float(np.linalg.norm((saved.astype(np.float64) - clean) @ LUMA))

    def _key(self, aim: Aim) -> str:
        return content_hash([*self._identity, aim.sha256, aim.label, aim.target])


def _blocks(most_8bit: int) -> list[list[int]]:
    """Returns 1 to `most_8bit` in runs that grow, each as long as all before: most attacks succeed early."""
    blocks, start = [], 1
    while start <= most_8bit:
        stop = min(max(2 * start, 5), most_8bit + 1)
        blocks.append(list(range(start, stop)))
        start = stop
    return blocks
