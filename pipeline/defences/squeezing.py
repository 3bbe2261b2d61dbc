"""The defence that refuses: feature squeezing as a detector, its threshold set on clean pictures."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipeline.defences.coding import reduced
from pipeline.defences.defended import Defended, straight_through
from pipeline.defences.options import SqueezingOptions
from pipeline.defences.smoothing import median
from pipeline.images import to_model
from pipeline.models.classifier import BATCH_SIZE, REFUSED_NAME, Classifier, filled_up

# How far a refusal lies above or below every class, in logits.
_SURE = 100.0
# A threshold of 0 would be none.
_LEAST = 1e-6


class FeatureSqueezing(Defended):
    """Refuses a picture of which squeezed copies are answered otherwise (Xu, Evans and Qi 2018, Sec. V).

    The score is the largest L1 distance, 0 to 2, between the probabilities of the picture and those of a copy of fewer bits and
    of a median-filtered one; above the threshold the last class, `REFUSED_NAME`, wins. Without a threshold nothing is refused.
    The paper's third squeezer, non-local means, is left out.

    An attack that knows the defence follows, for each class, the least probability p that the picture and its copies give it:
    where all three give one class at least p the score is at most 2 (1 - p), so nothing is refused, whatever the threshold (after
    He et al. 2017). Backward the identity for fewer bits, exact for the median.
    """

    defence = "feature-squeezing"
    refuses = True
    _options: SqueezingOptions

    def __init__(self, classifier: Classifier, options: SqueezingOptions) -> None:
        super().__init__(classifier, options)
        self.n_classes += 1
        self.class_names = (*self.class_names, REFUSED_NAME)
        self.wordnet_ids = (*self.wordnet_ids, REFUSED_NAME) if self.wordnet_ids else ()

    def shown(self, pixels: Tensor) -> Tensor:
        return pixels

    def logits(self, x: Tensor) -> Tensor:
        self._check_input(x)
        logits, score = self._looked_at(x)
        above = torch.where(score > (self._options.threshold or torch.inf), _SURE, -_SURE)
        return torch.cat([logits, (logits.amax(dim=1) + above)[:, None]], dim=1)

    def for_attacks(self) -> Callable[[Tensor], Tensor]:
        ask = self._inner.for_attacks()
        return lambda x: agreement(torch.stack([ask(copy) for copy in self._copies(x)]))

    @property
    def n_clean(self) -> int:
        """How many clean pictures `threshold_on` wants, 0 where the threshold is set already."""
        return 0 if self._options.threshold else self._options.n_clean

    def threshold_on(self, images: np.ndarray) -> float:
        """Returns the lowest threshold that refuses at most the share `false_alarm_rate` of uint8 (N, H, W, 3) clean images."""
        scores = []
        for start in range(0, len(images), BATCH_SIZE):
            batch = images[start : start + BATCH_SIZE]
            with torch.no_grad():
                scores += self._looked_at(to_model(filled_up(batch, BATCH_SIZE), self.device))[1][: len(batch)].tolist()
        n_refused = int(self._options.false_alarm_rate * len(scores))
        return max(sorted(scores, reverse=True)[n_refused], _LEAST)

    def _looked_at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the picture's logits and its score, (N,)."""
        first, *others = (self._inner.logits(copy) for copy in self._copies(x))
        shares = first.softmax(dim=1)
        return first, torch.stack([(shares - other.softmax(dim=1)).abs().sum(dim=1) for other in others]).amax(dim=0)

    def _copies(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pixels = x * 255
        fewer_bits = straight_through(pixels, reduced(pixels.detach(), self._options.bits))
        return x, fewer_bits / 255, median(pixels, self._options.median_px) / 255


def agreement(logits: Tensor) -> Tensor:
    """Returns -log(1 - p), (N, n_classes): p is the least probability that any of the logits (n, N, n_classes) gives a class.

    It grows without end (to 1 - p = 5e-7) as all become sure of the same class, where p itself has next to no slope.
    """
    least = logits.log_softmax(dim=2).amin(dim=0)
    return -torch.log(-torch.expm1(least.clamp(max=-_LEAST / 2)))
