"""What is right behind each defence, clean and adversarial, by what the attacker knew, beside what is right without one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

from pipeline.evaluation.comparing import Cells, corrected, paired
from pipeline.evaluation.criteria import CRITERIA, TopK
from pipeline.evaluation.estimates import estimate_of, page_ways
from pipeline.evaluation.outcomes import Condition, Outcomes, Question
from pipeline.models import defence_options
from pipeline.records import (
    ADAPTIVE,
    ATTACKED_MODEL,
    NO_DEFENCE,
    PHOTO,
    SOURCE,
    UNAWARE,
    Cell,
    Comparison,
    DefenceRow,
    Pair,
)
from pipeline.settings import Experiment
from pipeline.specs.defences import DEFENCES


class _Stand(NamedTuple):
    """Who answers, behind which defence ("" for none), on the images of which cell, and what their attacker knew."""

    outcomes: Outcomes
    defence: str
    made: Cell
    attacker: str


def defence_rows(
    experiment: Experiment, cells: Cells, judges: Sequence[Outcomes], criteria: Sequence[TopK] = CRITERIA
) -> list[DefenceRow]:
    """Returns how each attack fares without a defence, then behind each, the adaptive attacker first, as files and photographs.

    The comparisons of all defences, attacks and conditions at one top k are corrected by Holm over each other. Images on one page
    fall together, on the page of either side.

    Args:
        cells: the pairs of every (case, attack, epsilon_8bit), those of attacks made on defences among them.
        judges: the attacked model and all others, among them the model behind each defence.
    """
    asked = {outcomes.judge: outcomes for outcomes in judges}
    costs = {
        key: DEFENCES.find(model.defence).n_passes(defence_options(model))[0]
        for key, model in experiment.resolved_defended().items()
    }
    rows: list[DefenceRow] = []
    for criterion in criteria:
        found = list(_rows(experiment, cells, asked, costs, criterion))
        tested = corrected(row.compared for row in found)
        rows += [replace(row, compared=compared) for row, compared in zip(found, tested, strict=True)]
    return rows


def _rows(
    experiment: Experiment, cells: Cells, asked: Mapping[str, Outcomes], costs: Mapping[str, int], criterion: TopK
) -> Iterator[DefenceRow]:
    for cell, stands in _stands(experiment, cells, asked):
        alone = next((stand for stand in stands if stand.attacker == NO_DEFENCE), None)
        for stand in stands:
            outcomes, pairs = stand.outcomes, cells[stand.made]
            for condition in outcomes.conditions:
                if condition.transform not in (SOURCE, PHOTO) or criterion.k > outcomes.n_labels:
                    continue
                clean, adversarial = (
                    estimate_of(outcomes.trials(Question(f"{variant}_accuracy", stand.made, condition, criterion), pairs))
                    for variant in ("clean", "adversarial")
                )
                yield DefenceRow(
                    case=cell[0],
                    attack=cell[1],
                    epsilon_8bit=cell[2],
                    defence=stand.defence,
                    attacker=stand.attacker,
                    transform=condition.transform,
                    origin=condition.origin,
                    top_k=criterion.k,
                    clean=clean,
                    adversarial=adversarial,
                    compared=_compared(stand, alone, cells, condition, criterion),
                    n_passes=costs.get(stand.defence, 1),
                    n_forward=fmean(pair.n_forward for pair in pairs),
                    n_backward=fmean(pair.n_backward for pair in pairs),
                )


def _stands(experiment: Experiment, cells: Cells, asked: Mapping[str, Outcomes]) -> Iterator[tuple[Cell, list[_Stand]]]:
    """Yields every cell by what its attack is called on the model alone, with all who stand against its images."""
    made_on = {defence.key: experiment.made_on(defence.key) for defence in experiment.defences}
    on_defences = {key for keys in made_on.values() for key in keys.values()}
    named = {key: name for keys in made_on.values() for name, key in keys.items()}
    if not made_on:
        return
    for case, attack, epsilon in dict.fromkeys((case, named.get(key, key), epsilon) for case, key, epsilon in cells):
        wanted: list[tuple[str, str, str]] = []
        if attack not in on_defences:
            wanted.append(("", attack, NO_DEFENCE))
        for defence, keys in made_on.items():
            wanted += [(defence, keys[attack], ADAPTIVE)] if attack in keys else []
            wanted += [(defence, attack, UNAWARE)] if attack not in on_defences else []
        stands = [
            _Stand(outcomes, defence, (case, key, epsilon), attacker)
            for defence, key, attacker in wanted
            if (outcomes := asked.get(defence or ATTACKED_MODEL)) and cells.get((case, key, epsilon))
        ]
        yield (case, attack, epsilon), stands


def _compared(stand: _Stand, alone: _Stand | None, cells: Cells, condition: Condition, criterion: TopK) -> Comparison:
    """Returns the adversarial images behind a defence beside those without; of no image where that would compare nothing."""
    sides = stand, alone or stand
    asked = [Question("adversarial_accuracy", side.made, condition, criterion) for side in sides]
    is_fair = alone is not None and stand is not alone and stand.made[0] != "prefiltered"
    pairs: list[Sequence[Pair]] = [cells[side.made] if is_fair else () for side in sides]
    first, second = (
        side.outcomes.trial_of_each(question, made) for side, question, made in zip(sides, asked, pairs, strict=True)
    )
    shared = [image for image in first if image in second]
    trials = [[side[image] for image in shared] for side in (first, second)]
    return paired("defence", asked, trials, page_ways(*trials))
