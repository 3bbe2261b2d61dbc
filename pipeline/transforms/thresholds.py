"""At which strength of a transform an adversarial image is classified right again: a few looks outward, then bisection."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline.core.seeds import generator_for
from pipeline.specs.transforms import TRANSFORMS

IMAGES_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Direction:
    """One way to strengthen one transform, in equal steps: step 0 is the unchanged file, step k has the value start + k step.

    `rungs` are the steps that are looked at first, from mild to strong; the last one is the end of the range.
    """

    transform: str
    name: str
    start: float
    step: float
    rungs: tuple[int, ...]

    def value(self, k: int) -> float:
        """Returns the transform's parameter at step k."""
        return round(self.start + k * self.step, 6)

    @property
    def end(self) -> float:
        """The strongest value that is tried."""
        return self.value(self.rungs[-1])


@dataclass(frozen=True, slots=True)
class Subject:
    """An adversarial image, uint8 (H, W, 3), on which the model is wrong; `name` is what its noise is drawn by."""

    name: str
    pixels: np.ndarray
    true_label: int


@dataclass(frozen=True, slots=True)
class Found:
    """Where the attack was first seen destroyed, None where it never was, and the last value before at which it still worked.

    `works_at` is None where that is the unchanged file. `n_forward` counts the images that the model was asked about.
    """

    threshold: float | None
    works_at: float | None
    n_forward: int


def find_thresholds(
    subjects: Iterable[Subject], directions: Sequence[Direction], predict: Callable[[np.ndarray], np.ndarray], seed: int
) -> Iterator[tuple[int, list[Found]]]:
    """Yields the place of each image among the subjects and what was found in each direction, as soon as it is found.

    The rungs of a direction are tried outward until the image is classified right (top-1). Between that rung and the one before
    it bisection follows, until they are one step apart. An attack need not fade monotonically: a flip back that lies between two
    rungs at which the attack works is not seen, and where a bracket holds several, one of them is found.

    Args:
        subjects: taken one by one; `IMAGES_AT_ONCE` are searched together, and where one is finished the next one follows.
        predict: from uint8 (N, H, W, 3) images to (N, n_classes) scores; it gets the next look of every search at once.
        seed: the run's; one image has one field of noise, which is scaled, so that its sigma is one continuous parameter.
    """
    waiting = enumerate(subjects)
    at_hand: dict[int, Subject] = {}
    searches: dict[tuple[int, int], Generator[int, bool, Found]] = {}
    looks: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], Found] = {}
    while True:
        for i, subject in islice(waiting, IMAGES_AT_ONCE - len(at_hand)):
            at_hand[i] = subject
            for j, direction in enumerate(directions):
                searches[i, j] = _search(direction)
                looks[i, j] = next(searches[i, j])
        if not looks:
            return
        images = np.stack([transformed(at_hand[i], directions[j], k, seed) for (i, j), k in looks.items()])
        for (i, j), label in zip(list(looks), predict(images).argmax(1), strict=True):
            try:
                looks[i, j] = searches[i, j].send(bool(label == at_hand[i].true_label))
            except StopIteration as done:
                found[i, j] = done.value
                del searches[i, j], looks[i, j]
        for i in sorted(set(at_hand) - {i for i, _ in looks}):
            del at_hand[i]
            yield i, [found.pop((i, j)) for j in range(len(directions))]


def transformed(subject: Subject, direction: Direction, k: int, seed: int) -> np.ndarray:
    """Returns the uint8 (H, W, 3) image at step k of a direction; the same noise, scaled, at every step."""
    generator = generator_for(seed, "thresholds", f"{subject.name}/{direction.transform}")
    return TRANSFORMS.find(direction.transform).apply(subject.pixels, direction.value(k), generator)


def directions_of(transforms: Iterable[str], resolutions: Mapping[str, float]) -> list[Direction]:
    """Returns the directions of these transforms, in steps as wide as the `resolutions` say, or else each one's own."""
    found = []
    for transform in map(TRANSFORMS.find, transforms):
        for way in transform.ways:
            width = resolutions.get(transform.name, transform.resolution)
            step = width if way.looks[-1] > way.start else -width
            rungs = sorted({max(1, round((value - way.start) / step)) for value in way.looks})
            found.append(Direction(transform.name, way.name, way.start, step, tuple(rungs)))
    return found


def _search(direction: Direction) -> Generator[int, bool, Found]:
    """Yields the steps to look at, is sent whether the attack is destroyed there, and returns what was found."""
    works, destroyed, n_forward = 0, None, 0
    for rung in direction.rungs:
        n_forward += 1
        if (yield rung):
            destroyed = rung
            break
        works = rung
    while destroyed is not None and destroyed - works > 1:
        middle = (works + destroyed) // 2
        n_forward += 1
        if (yield middle):
            destroyed = middle
        else:
            works = middle
    threshold = None if destroyed is None else direction.value(destroyed)
    return Found(threshold, direction.value(works) if works else None, n_forward)
