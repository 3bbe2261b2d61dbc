"""The transfer matrix of Szegedy et al. 2013: the error of every run's model on the saved adversarial files of every run."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean

import numpy as np

from pipeline.core.errors import WrongUse
from pipeline.core.seeds import generator_for
from pipeline.engine import Context
from pipeline.evaluation.estimates import estimate
from pipeline.evaluation.judges.asking import Judge, opened_judge
from pipeline.models import load_classifier
from pipeline.records import CASES, MatrixCell, Pair
from pipeline.settings import Experiment
from pipeline.statistics import l2_8bit
from pipeline.store import Run
from pipeline.store.artefacts import PAIRS
from pipeline.transforms.views import saved_pixels

KINDS = ("adversarial", "noise")
PAIRS_AT_ONCE = 48
# Whether a judge got one clean image right and the changed one wrong, and how far the change is (L2, 8-bit units).
_Outcome = tuple[bool, bool, float]
N_HALVINGS = 24


def transfer_matrix(opened: Sequence[tuple[Experiment, Run]], context: Context) -> list[MatrixCell]:
    """Returns a cell for each case, attack, epsilon, run that the attack was made on, kind of image, and judging model.

    Only images that the judging model gets right when clean are counted (top-1); its answers are matched by class. The kind
    "noise" is the control: the same images with Gaussian noise of the same L2 norm as the row's perturbation, seeded by the run.

    Raises:
        WrongUse: two runs have one name, or a model cannot name another run's true labels.
    """
    names = [run.name for _, run in opened]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise WrongUse(f'The run "{repeated[0]}" is named twice.', "Give each run a name of its own.")
    classifiers = [load_classifier(experiment.resolved_model(), context.device) for experiment, _ in opened]
    cells: list[MatrixCell] = []
    for place, (experiment, run) in enumerate(opened):
        pairs = PAIRS.read(run)
        labels = {pair.true_label for pair in pairs}
        judges = [
            Judge(name, classifier, np.arange(classifier.n_classes))
            if column == place
            else opened_judge(name, classifier, classifiers[place], labels, f'{run.name}: the model of run "{name}"')
            for column, (name, classifier) in enumerate(zip(names, classifiers, strict=True))
        ]
        starts = range(0, len(pairs), PAIRS_AT_ONCE)
        outcomes: dict[tuple[str, str, int, str, str], list[_Outcome]] = defaultdict(list)
        for start in context.progress(starts, len(starts), f"transfer from {run.name}"):
            for pair, judge, kind, outcome in _judged(pairs[start : start + PAIRS_AT_ONCE], judges, run, experiment.seed):
                for case in pair.cases:
                    outcomes[case, pair.attack, pair.epsilon_8bit, kind, judge].append(outcome)
        order = [(case, *cell) for case in CASES for cell in experiment.cells()]
        cells += [
            _cell(case, attack, epsilon, run.name, name, kind, found)
            for case, attack, epsilon in order
            for kind in KINDS
            for name in names
            if (found := outcomes.get((case, attack, epsilon, kind, name)))
        ]
    return cells


def gaussian_of_norm(clean: np.ndarray, l2: float, generator: np.random.Generator) -> np.ndarray:
    """Returns uint8 pixels with Gaussian noise, whose L2 distance from the clean ones is as near to `l2` as rounding lets it be.

    The scale of one draw is found by halving, on what rounding and [0, 255] leave of it; where even the strongest noise is
    nearer, that is returned.

    Args:
        clean: uint8 (H, W, 3).
        l2: wanted distance, in 8-bit units.
    """
    noise = generator.standard_normal(clean.shape)

    def saved(scale: float) -> np.ndarray:
        return np.clip(np.rint(clean + scale * noise), 0, 255).astype(np.uint8)

    low, high = 0.0, max(1.0, 4 * l2 / clean.size**0.5)
    while l2_8bit(clean, saved(high)) < l2 and high < 1e5:
        low, high = high, 2 * high
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if l2_8bit(clean, saved(middle)) < l2 else (low, middle)
    return min((saved(low), saved(high)), key=lambda image: abs(l2_8bit(clean, image) - l2))


def _judged(pairs: Sequence[Pair], judges: Sequence[Judge], run: Run, seed: int) -> Iterator[tuple[Pair, str, str, _Outcome]]:
    clean = [saved_pixels(run.printouts, pair.clean_path) for pair in pairs]
    changed = {
        "adversarial": [saved_pixels(run.printouts, pair.adversarial_path) for pair in pairs],
        "noise": [
            gaussian_of_norm(pixels, pair.l2_8bit, generator_for(seed, "transfer", pair.pair_id))
            for pixels, pair in zip(clean, pairs, strict=True)
        ],
    }
    truth = np.array([pair.true_label for pair in pairs])
    for judge in judges:
        is_right = _first_labels(judge, clean) == truth
        for kind, images in changed.items():
            is_wrong = _first_labels(judge, images) != truth
            for row, pair in enumerate(pairs):
                distance = l2_8bit(clean[row], images[row])
                yield pair, judge.label, kind, (bool(is_right[row]), bool(is_wrong[row]), distance)


def _first_labels(judge: Judge, images: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the likeliest class of each image, as a class of the row's model."""
    labels: np.ndarray = judge.mapping[judge.predict(images).argmax(axis=1)]
    return labels


def _cell(
    case: str, attack: str, epsilon: int, made_on: str, judged_by: str, kind: str, outcomes: Sequence[_Outcome]
) -> MatrixCell:
    counted = [(is_wrong, l2) for is_clean_right, is_wrong, l2 in outcomes if is_clean_right]
    error = estimate([is_wrong for is_wrong, _ in counted])
    l2 = fmean(l2 for _, l2 in counted) if counted else None
    counts = error.n_hit, error.n_eligible, len(outcomes)
    return MatrixCell(case, attack, epsilon, made_on, judged_by, kind, *counts, error.rate, error.low, error.high, l2)
