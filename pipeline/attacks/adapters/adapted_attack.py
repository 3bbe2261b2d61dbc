"""An attack of another library as one of ours: its result is rounded, cut to the budget and judged as what will be saved."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.adapters.contract import Family, Library, Task
from pipeline.attacks.adapters.watched import Watched, kept_quiet_and_seeded
from pipeline.attacks.attack import NO_EPSILON, Differentiable, Perturbed
from pipeline.attacks.lattice import SURE, settle
from pipeline.attacks.network import Network, clean_pixels, margin, saved_images
from pipeline.attacks.targets import NEXT, check_target, chosen_targets
from pipeline.core.errors import InkproofError
from pipeline.core.seeds import seed_for
from pipeline.images import pixels_sha256

_log = logging.getLogger(__name__)
# What stands in `Perturbed.rounding` for an image that came out of an attack with a budget.
_MADE = ""


@dataclass(frozen=True)
class OwnOptions:
    """What an adapter itself can be told, beside what it passes on.

    Attributes:
        target: see `targets.chosen_targets`.
        seed: of the library's random draws.
        images_at_once: how many the library gets in one call. With more than one it is faster, but what becomes of an image may
            depend on its neighbours, and passes are counted as their mean.
    """

    target: str = ""
    seed: int = 0
    images_at_once: int = 1


class LibraryAttack:
    """An attack of another library with options for its constructor.

    Where the library raises, or returns a blank image or numbers that are not finite, the clean image is kept, as "not-found".
    """

    def __init__(self, name: str, library: Library, kind: type, options: Mapping[str, Any], own: OwnOptions) -> None:
        self.name, self._library, self._kind, self._options = name, library, kind, dict(options)
        self.family: Family = library.family(kind, options)
        if self.family.has_to_target and not own.target:
            own = replace(own, target=NEXT)
        check_target(own.target, name)
        self._own = own
        self.targeted, self.accepts_targets, self.batch_size = own.target != "", self.family.can_target, own.images_at_once

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on besides image, label, epsilon and network."""
        own = self._own
        return {"options": self._options, "target": own.target, "seed": own.seed, "images_at_once": own.images_at_once}

    def perturb(
        self,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        epsilons_8bit: Sequence[int],
        targets: np.ndarray | None = None,
    ) -> dict[int, Perturbed]:
        """Returns the adversarial images for every epsilon; see `Attack.perturb`."""
        if targets is not None and not self.accepts_targets:
            raise ValueError(f"expected no targets: {self.name} accepts none")
        work = _Work(self, classifier, images, labels, targets)
        if self.family.takes_epsilon:
            return {epsilon: work.within(epsilon) for epsilon in epsilons_8bit}
        return {NO_EPSILON: work.smallest()}


class _Work:
    """One call of an attack: the images, what they are led to, and what the library makes of them."""

    def __init__(
        self,
        attack: LibraryAttack,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        targets: np.ndarray | None,
    ) -> None:
        self._attack, self._images, n = attack, images, len(images)
        self._network, self._clean = Network(classifier, n), clean_pixels(images, classifier.device)
        self._labels = torch.as_tensor(labels, dtype=torch.int64, device=classifier.device)
        if targets is None:
            self._targets = chosen_targets(attack._own.target, self._network, self._clean, images, labels, attack._own.seed)
        else:
            self._targets = torch.as_tensor(targets, dtype=torch.int64, device=classifier.device)
        make = getattr(classifier, "for_attacks", None)
        self._logits = make() if make else classifier.logits
        with torch.no_grad():
            self._n_classes = getattr(classifier, "n_classes", None) or self._logits(self._clean[:1] / 255).shape[1]

    def within(self, epsilon_8bit: int) -> Perturbed:
        """Returns what the library makes of the images within a budget, in whole numbers."""
        norm = self._attack.family.norm
        found, is_found, n_forward, n_backward = self._made(radius_of(epsilon_8bit, norm, self._clean[0].numel()))
        pixels = cut_to_ball(self._clean, found, epsilon_8bit, norm)
        words = () if is_found.all() else tuple(_MADE if seen else "not-found" for seen in is_found.tolist())
        return self._result(pixels, n_forward + self._network.n_forward, n_backward + self._network.n_backward, words)

    def smallest(self) -> Perturbed:
        """Returns the smallest change that the library finds, in whole numbers that fool the network themselves."""
        found, is_found, n_forward, n_backward = self._made(None)
        norm = {"l1": "l0"}.get(norm := self._attack.family.norm, norm)
        fools = self._margins(found if norm else found.round()) > 0
        if norm:
            settled = settle(
                self._network, self._clean, found, is_found & fools, self._labels, self._targets, norm, moves_closer=False
            )
            pixels, words = settled.pixels, settled.rounding
        else:  # nothing to move it along: the rounded image is the result, if it fools
            pixels = torch.where((is_found & fools)[:, None, None, None], found.round(), self._clean)
            words = tuple("not-found" if not seen else "kept" if fooled else "lost" for seen, fooled in zip(is_found, fools))
        return self._result(pixels, n_forward + self._network.n_forward, n_backward + self._network.n_backward, words)

    def _margins(self, pixels: Tensor) -> Tensor:
        logits = self._network.logits(pixels)
        value = margin(self._labels, self._targets)(logits, torch.arange(len(logits), device=logits.device))
        return value - SURE * logits.abs().amax(dim=1) if not self._attack.family.norm else value

    def _result(self, pixels: Tensor, n_forward: np.ndarray, n_backward: np.ndarray, words: tuple[str, ...]) -> Perturbed:
        targets = None if self._targets is None else self._targets.cpu().numpy()
        return Perturbed(saved_images(pixels), targets, n_forward, n_backward, words)

    def _made(self, radius: float | None) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
        """Returns the library's images (n, 3, H, W) in 0 to 255, which of them are any, and the passes that each took."""
        n, size = len(self._clean), self._attack._own.images_at_once
        found, is_found = self._clean.clone(), torch.zeros(n, dtype=torch.bool, device=self._clean.device)
        n_forward, n_backward = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for start in range(0, n, size):
            some = slice(start, min(start + size, n))
            watched = Watched(self._logits, self._clean.device)
            made = self._attempt(watched, some, radius)
            if made is not None:
                is_found[some] = _is_image(made, self._clean[some])
                found[some] = torch.where(is_found[some, None, None, None], made, self._clean[some])
            n_some = some.stop - some.start
            n_forward[some], n_backward[some] = -(-watched.n_forward // n_some), -(-watched.n_backward // n_some)
        return found, is_found, n_forward, n_backward

    def _attempt(self, watched: Watched, some: slice, radius: float | None) -> Tensor | None:
        """Returns the library's images in 0 to 255, None where it returns none."""
        attack, clean = self._attack, self._clean[some]
        targets = None if self._targets is None else self._targets[some]
        task = Task(watched, clean / 255, self._labels[some], targets, radius, self._n_classes)
        names = "".join(pixels_sha256(image) for image in self._images[some])
        try:
            with kept_quiet_and_seeded(seed_for(attack._own.seed, attack.name, names), clean.device), torch.enable_grad():
                made = attack._library.run(attack._kind, attack._options, task)
        except (InkproofError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a library may raise anything; the image is then listed as not found
            _log.warning("%s failed on an image, which is kept clean: %s: %s", attack.name, type(error).__name__, error)
            return None
        if not isinstance(made, Tensor) or made.shape != clean.shape:
            _log.warning("%s returned no image of the size given, which is kept clean", attack.name)
            return None
        return made.detach().to(clean).mul(255).clamp_(0, 255)


def radius_of(epsilon_8bit: float, norm: str, n_values: int) -> float:
    """Returns a library's budget, of values in [0, 1]: a largest, root mean square or mean change becomes a norm's radius."""
    return epsilon_8bit / 255 * {"linf": 1.0, "l2": n_values**0.5, "l1": float(n_values)}[norm]


def cut_to_ball(clean: Tensor, found: Tensor, epsilon_8bit: int, norm: str) -> Tensor:
    """Returns the rounded images, inside [0, 255] and inside the ball in whole numbers; the shorter they are made, the less so.

    Args:
        clean: float32 (n, 3, H, W), whole numbers.
        found: float32 (n, 3, H, W).
        epsilon_8bit: the largest change of a value ("linf"), the root mean square ("l2") or the mean ("l1") over all values.
    """
    change = found.round().clamp(0, 255) - clean
    if norm == "linf":
        return clean + change.clamp(-epsilon_8bit, epsilon_8bit)
    power = 2 if norm == "l2" else 1
    budget = float(epsilon_8bit) ** power * clean[0].numel()

    def fits(some: Tensor) -> Tensor:
        return some.abs().double().pow(power).sum(dim=(1, 2, 3)) <= budget

    low, high = torch.zeros(len(clean), device=clean.device), torch.ones(len(clean), device=clean.device)
    low = torch.where(fits(change), high, low)
    for _ in range(20):
        middle = (low + high) / 2
        is_inside = fits((change * middle[:, None, None, None]).round())
        low, high = torch.where(is_inside, middle, low), torch.where(is_inside, high, middle)
    return clean + (change * low[:, None, None, None]).round()


def _is_image(made: Tensor, clean: Tensor) -> Tensor:
    """Returns where a result is an image at all, bool (n,): finite, and not of one colour where the clean image is not."""
    is_finite = made.isfinite().all(dim=(1, 2, 3))
    return is_finite & (_is_varied(made) | ~_is_varied(clean))


def _is_varied(pixels: Tensor) -> Tensor:
    return (pixels.amax(dim=(2, 3)) > pixels.amin(dim=(2, 3))).any(dim=1)
