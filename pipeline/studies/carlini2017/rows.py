"""From single shots to the rows of a table: which target counts, means over successes alone, and counts beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from pipeline.core.seeds import generator_for
from pipeline.studies.carlini2017.measuring import Shot

BEST, AVERAGE, WORST, AWAY, LEAST_LIKELY = "best", "average", "worst", "untargeted", "least-likely"
TABLES = {"IV": (BEST, AVERAGE, WORST), "V": (AWAY, AVERAGE, LEAST_LIKELY)}
NORMS = {"l0": "L0", "l2": "L2", "linf": "L∞"}
_DISTANCES: dict[str, Callable[[Shot], float]] = {
    "l0": lambda shot: shot.l0_px,
    "l2": lambda shot: shot.l2_8bit,
    "linf": lambda shot: shot.linf_8bit,
}


@dataclass(frozen=True, slots=True)
class TableRow:
    """One attack in one case.

    Of `n_images` images `n_success` are led where they shall. `mean_distance` is over these alone: pixels changed in any channel
    for L0, on pixels in [0, 1] for L2 and L∞, as in the paper; `mean_distance_8bit` is the same in 8-bit units (None for L0).
    `n_targets` is how many targets the case chooses among, 1 where it does not choose. A case that the attack cannot be asked
    for has no images; rates and means without images or successes are None. Passes are means over the successes.
    """

    table: str
    attack: str
    norm: str
    case: str
    n_images: int
    n_success: int
    success_probability: float | None
    mean_distance: float | None
    mean_distance_8bit: float | None
    n_targets: int
    mean_n_forward: float | None
    mean_n_backward: float | None


@dataclass(frozen=True, slots=True)
class Targets:
    """The wrong classes of one image: one drawn at random, the least likely one, and those that best and worst choose among."""

    average: int
    least_likely: int
    choice: tuple[int, ...]

    def of(self, case: str) -> tuple[int | None, ...]:
        """Returns the targets that a case needs."""
        one: dict[str, tuple[int | None, ...]] = {AVERAGE: (self.average,), LEAST_LIKELY: (self.least_likely,), AWAY: (None,)}
        return one.get(case, self.choice)


def targets_of(sha256: str, label: int, logits: np.ndarray, n_targets: int, seed: int) -> Targets:
    """Returns the targets of one image; the draws depend on the seed and the image alone.

    Args:
        logits: float (n_classes,) of the clean image.
        n_targets: how many random wrong classes best and worst choose among; 0 or too many: all of them.
    """
    wrong = np.array([label_ for label_ in range(len(logits)) if label_ != label])
    drawn = generator_for(seed, "attack-table", sha256).permutation(wrong)
    choice = drawn if n_targets == 0 else drawn[:n_targets]
    return Targets(int(drawn[0]), int(wrong[logits[wrong].argmin()]), tuple(sorted(int(target) for target in choice)))


def table_row(table: str, attack: str, norm: str, case: str, shots: Sequence[Mapping[int | None, Shot]] | None) -> TableRow:
    """Returns one row.

    Args:
        shots: for each image the shots of this case, by target; None where the attack cannot be asked for the case.
    """
    if shots is None:
        return TableRow(table, attack, norm, case, 0, 0, None, None, None, 0, None, None)
    distance = _DISTANCES[norm]
    counted = [shot for found in shots if (shot := _chosen(case, list(found.values()), distance)) is not None]
    n_targets = max((len(found) for found in shots), default=0)
    mean = fmean(map(distance, counted)) if counted else None
    in_pixels = norm == "l0"
    return TableRow(
        table,
        attack,
        norm,
        case,
        len(shots),
        len(counted),
        len(counted) / len(shots) if shots else None,
        mean if in_pixels or mean is None else mean / 255,
        None if in_pixels else mean,
        n_targets,
        fmean(shot.n_forward for shot in counted) if counted else None,
        fmean(shot.n_backward for shot in counted) if counted else None,
    )


def _chosen(case: str, shots: list[Shot], distance: Callable[[Shot], float]) -> Shot | None:
    """Returns the shot that counts for an image: the nearest hit; in the worst case the farthest, and only if all hit."""
    hits = [shot for shot in shots if shot.is_success]
    if case == WORST:
        return max(hits, key=distance) if hits and len(hits) == len(shots) else None
    return min(hits, key=distance) if hits else None
