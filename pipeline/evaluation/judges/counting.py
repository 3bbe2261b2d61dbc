"""Counts how often an attack made on one model fools the others: on the file, in photographs, and what photographs undo."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.evaluation.criteria import CRITERIA, TopK
from pipeline.evaluation.estimates import estimate_of
from pipeline.evaluation.outcomes import Condition, Outcomes, Question
from pipeline.records import PHOTO, SOURCE, Cell, Judgement, Pair, Transfer


def transfers(
    cells: Mapping[Cell, Sequence[Pair]], judges: Iterable[Outcomes], criteria: Sequence[TopK] = CRITERIA
) -> list[Transfer]:
    """Returns the counts of every cell, judge and condition; the attacked model is one of the judges, to compare others with.

    A judge of whom fewer than k answers an image are known (or whose model has no k that can be wrong) gets no row for top-k.
    """
    judges = list(judges)
    return [
        _transfer(cell, pairs, outcomes, condition, criterion)
        for cell, pairs in cells.items()
        for outcomes in judges
        for condition in outcomes.conditions
        if condition.transform in (SOURCE, PHOTO)
        for criterion in criteria
        if criterion.k <= outcomes.n_labels
    ]


def judges_of(
    judgements: Iterable[Judgement], page_of: Mapping[str, int], error_of: Mapping[str, float | None]
) -> list[Outcomes]:
    """Returns the outcomes of every judge, in the order in which they first speak.

    Args:
        page_of: the page that each pair is printed on; a pair that it does not tell of is on a page of its own.
        error_of: the predicted registration error of each view, by which one of several photographs of an image is chosen.
    """
    by_judge: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        by_judge.setdefault(judgement.judge, []).append(judgement)
    return [Outcomes.of_judge(judge, said, page_of, error_of) for judge, said in by_judge.items()]


def _transfer(cell: Cell, pairs: Sequence[Pair], outcomes: Outcomes, condition: Condition, criterion: TopK) -> Transfer:
    fooled, control, destroyed = (
        Question(quantity, cell, condition, criterion) for quantity in ("fooled_rate", "clean_accuracy", "destruction_rate")
    )
    judged = [pair for pair in pairs if outcomes.is_clean_right(pair, criterion, condition) is not None]
    believed = outcomes.trials(fooled, judged)
    # every photograph that counts is an image, as in every other rate; of files there is nothing to control or to destroy
    ids = {trial.pair_id for trial in believed} if condition.transform == PHOTO else set()
    controls = [pair for pair in judged if pair.pair_id in ids]
    return Transfer(
        case=cell[0],
        attack=cell[1],
        epsilon_8bit=cell[2],
        judge=outcomes.judge,
        is_imported=outcomes.is_imported,
        transform=condition.transform,
        origin=condition.origin,
        top_k=criterion.k,
        clean_from="file" if condition.transform == SOURCE or outcomes.knows_clean_files else "photo",
        n_images=sum(len(outcomes.answers(pair, "adversarial", condition)) for pair in judged),
        fooled=estimate_of(believed),
        control=estimate_of(outcomes.trials(control, controls)),
        destroyed=estimate_of(outcomes.trials(destroyed, controls)),
    )
