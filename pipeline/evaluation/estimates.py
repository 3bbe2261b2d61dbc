"""Rates with their intervals: the one place that makes them, and all accuracies and destruction rates of a run."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from pipeline.evaluation.criteria import CRITERIA, TOP_1, TopK
from pipeline.evaluation.outcomes import Outcomes, Question, Trial
from pipeline.records import PHOTO, SOURCE, VARIANTS, Cell, Estimate, Pair, Rate
from pipeline.records.rates import variant_of
from pipeline.statistics import effective_number, wilson

Ways = Sequence[Sequence[Hashable]]


def estimate(
    hits: Sequence[bool], ways: Ways = (), n_different: int | None = None, correlated: Sequence[bool] | None = None
) -> Estimate:
    """Returns the rate of some outcomes with its 95 % interval.

    Args:
        hits: whether each one counts.
        ways: for each way in which outcomes fall together, such as by page, the cluster of each; none of independent ones.
        n_different: how many different images there are, where one may be there several times.
        correlated: the outcomes whose correlation within clusters is measured, if not the hits.
    """
    n, n_hit = len(hits), sum(hits)
    number = effective_number(correlated or hits, ways, n_different=n_different) if n and ways else None
    ends = wilson(n_hit / n * number.n_effective, number.n_effective) if number else wilson(n_hit, n)
    low, high = ends or (None, None)
    return Estimate(
        n_hit=n_hit,
        n_eligible=n,
        rate=n_hit / n if n else None,
        low=low,
        high=high,
        interval="cluster" if number else "wilson",
        n_clusters=number.n_clusters if number else None,
        n_effective=number.n_effective if number else None,
    )


def estimate_of(trials: Sequence[Trial]) -> Estimate:
    """Returns the rate of some trials; those that share a page fall together."""
    hits, rights = [trial.is_hit for trial in trials], [trial.is_right for trial in trials]
    return estimate(hits, page_ways(trials), len({trial.pair_id for trial in trials}), rights)


def page_ways(*sides: Sequence[Trial]) -> list[list[int | str]]:
    """Returns the pages of the trials of each side; files have none."""
    ways = [[trial.page for trial in side] for side in sides]
    return [way for way in ways if any(way)]


def estimate_of_images(trials: Sequence[Trial]) -> Estimate:
    """Returns the rate of some trials, one for each attack on an image; the interval is no narrower than that of the images."""
    return estimate([trial.is_hit for trial in trials], image_ways(trials), len({trial.image_id for trial in trials}))


def image_ways(*sides: Sequence[Trial]) -> list[list[int | str]]:
    """Returns the ways of `page_ways`, and the images where some of them are attacked in several ways."""
    images: list[int | str] = [trial.image_id for trial in sides[0]]
    return [*page_ways(*sides), *([images] if len(set(images)) < len(images) else [])]


def destruction_of(
    labels: Sequence[int],
    answers: tuple[np.ndarray, np.ndarray, np.ndarray],
    top_k: int,
    pages: Sequence[int | str] | None = None,
) -> Estimate:
    """Returns the adversarial destruction rate (Kurakin et al. 2016, Eq. 1) of answers in arrays, outside any run.

    Args:
        labels: (N,) true classes.
        answers: on the clean images, the adversarial ones, and these after a transformation: probabilities (N, n_classes), or
            labels (N,) or (N, k), best first.
        pages: the page that each image was printed on.
    """
    criterion = TopK(top_k)
    rights = [[criterion.holds(row, int(label)) for row, label in zip(_ranked(each), labels, strict=True)] for each in answers]
    works = [i for i, (is_clean, is_adversarial, _) in enumerate(zip(*rights, strict=True)) if is_clean and not is_adversarial]
    return estimate([rights[2][i] for i in works], [] if pages is None else [[pages[i] for i in works]])


def _ranked(answers: np.ndarray) -> list[list[int]]:
    told = np.asarray(answers)
    if told.dtype.kind == "f":
        told = np.argsort(-told, axis=1, kind="stable")
    return [[int(label) for label in row] for row in told.reshape(len(told), -1)]


def rate_of(
    question: Question,
    found: Estimate,
    n_images: int | None = None,
    n_discarded: int | None = None,
    n_different: int | None = None,
) -> Rate:
    """Returns an estimate with what it is of."""
    quantity, (case, attack, epsilon), condition, criterion = question
    return Rate(
        quantity=quantity,
        case=case,
        attack=attack,
        epsilon_8bit=epsilon,
        **condition._asdict(),
        top_k=criterion.k,
        n_images=n_images,
        n_discarded=n_discarded,
        n_different=n_different,
        **asdict(found),
    )


_ACCURACIES = tuple(f"{variant}_accuracy" for variant in VARIANTS)


def overall_rates(cells: Mapping[Cell, Sequence[Pair]], outcomes: Outcomes) -> Iterator[Rate]:
    """Yields the top-1 rates over all cells of each case: accuracies of files and photographs, and what undoes attacks.

    An image is one observation, however many attacks are made on it: a clean file counts once, and of attacks and photographs
    the interval is no narrower than that of the images. Of several photographs the best registered one counts.
    """
    for case in dict.fromkeys(cell[0] for cell in cells):
        of_case = {cell: pairs for cell, pairs in cells.items() if cell[0] == case}
        for condition in outcomes.conditions:
            quantities = _ACCURACIES if condition.transform in (SOURCE, PHOTO) else ()
            for quantity in (*quantities, *(() if condition.transform == SOURCE else ("destruction_rate",))):
                question = Question(quantity, (case, "", 0), condition, TOP_1)
                yield rate_of_images(question, list(outcomes.trial_of_all(question, of_case).values()))


def rate_of_images(question: Question, trials: Sequence[Trial]) -> Rate:
    """Returns the rate of `estimate_of_images` with what it is of."""
    return rate_of(question, estimate_of_images(trials), n_different=len({trial.image_id for trial in trials}))


def accuracies(cells: Mapping[Cell, Sequence[Pair]], outcomes: Outcomes, criteria: Iterable[TopK] = CRITERIA) -> Iterator[Rate]:
    """Yields the accuracy of the clean and of the adversarial images of every cell under every condition."""
    return _rates(cells, outcomes, _ACCURACIES, criteria)


def destruction_rates(
    cells: Mapping[Cell, Sequence[Pair]], outcomes: Outcomes, criteria: Iterable[TopK] = CRITERIA
) -> Iterator[Rate]:
    """Yields the adversarial destruction rate (Kurakin et al. 2016, Eq. 1) of every cell under every condition but the file.

    d = sum C(X, y) notC(X_adv, y) C(T(X_adv), y) / sum C(X, y) notC(X_adv, y): of the images whose clean file is classified right
    and whose adversarial file is classified wrong, the share that is right again after T.
    """
    return (rate for rate in _rates(cells, outcomes, ["destruction_rate"], criteria) if rate.transform != SOURCE)


def _rates(
    cells: Mapping[Cell, Sequence[Pair]], outcomes: Outcomes, quantities: Iterable[str], criteria: Iterable[TopK]
) -> Iterator[Rate]:
    """Every view counts where several photographs of a page do."""
    for cell, pairs in cells.items():
        for condition in outcomes.conditions:
            for criterion in criteria:
                for quantity in quantities:
                    question = Question(quantity, cell, condition, criterion)
                    n_views = [len(outcomes.answers(pair, variant_of(quantity), condition)) for pair in pairs]
                    found = estimate_of(outcomes.trials(question, pairs))
                    yield rate_of(question, found, n_images=sum(n_views), n_discarded=n_views.count(0))
