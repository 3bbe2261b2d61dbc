"""Signs that gradients are masked: an attack that should be the weaker one fools more, or a boundless one not always."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import permutations

from pipeline.core.registry import load
from pipeline.document.formats import count
from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.outcomes import Outcomes, Question
from pipeline.records import ATTACKED_MODEL, SOURCE, Cell, Pair, flags
from pipeline.records.flags import FlagRow
from pipeline.report.words import CASE_TITLES, attack_title
from pipeline.settings import AttackSettings
from pipeline.specs.attacks import ATTACKS, AttackSpec
from pipeline.statistics import compare_paired

Fooled = dict[str, bool]


def masking_rows(
    attacks: Sequence[AttackSettings], cells: Mapping[Cell, Sequence[Pair]], judges: Sequence[Outcomes]
) -> list[FlagRow]:
    """Returns a row for each sign (Athalye, Carlini and Wagner 2018, Sec. 3.1; Carlini et al. 2019), of files at top-1.

    On what an attack was made on, it should fool no fewer images than the same attack made on the model alone, than a search
    without gradients, or than fewer steps; and with an ε at which all images may become one it should fool with all.

    Args:
        judges: the attacked model and all others, among them the model behind each defence.
    """
    entries = {attack.key: attack for attack in attacks if ATTACKS.get(attack.name)}
    asked = {outcomes.judge: outcomes for outcomes in judges}
    rows: list[FlagRow] = []
    for defence in dict.fromkeys(attack.defence for attack in entries.values()):
        outcomes = asked.get(defence or ATTACKED_MODEL)
        if outcomes is None:
            continue
        fooled = {cell: _fooled(outcomes, cell, pairs) for cell, pairs in cells.items() if cell[1] in entries}
        made_on = {cell: images for cell, images in fooled.items() if entries[cell[1]].defence == defence}
        for strong, weak in permutations(fooled, 2):
            if strong in made_on and (strong[0], strong[2]) == (weak[0], weak[2]):
                why = _why_weaker(entries[weak[1]], entries[strong[1]])
                rows += _outdone(strong, fooled[strong], fooled[weak], why, outcomes.judge) if why else ()
        for cell, images in made_on.items():
            rows += _withstood(cell, images, outcomes.judge) if _is_best(entries[cell[1]]) else ()
    return sorted(rows, key=lambda row: -(row.measured or 0))


def _fooled(outcomes: Outcomes, cell: Cell, pairs: Sequence[Pair]) -> Fooled:
    question = Question("fooled_rate", cell, outcomes.source, TOP_1)
    return {image: trial.is_hit for image, trial in outcomes.trial_of_each(question, pairs).items()}


def _why_weaker(weak: AttackSettings, strong: AttackSettings) -> str:
    """Returns why the one should fool no more images than the other, in words; "" where that is not known."""
    first, second = _spec(weak), _spec(strong)
    if weak.defence != strong.defence:
        is_same = (weak.name, weak.options) == (strong.name, strong.options)
        return "" if weak.defence or not is_same else "made on the model alone"
    norms = [attack.options.get("norm", spec.norm) for attack, spec in ((weak, first), (strong, second))]
    if norms[0] != norms[1] or not first.on_file or not _is_best(strong):
        return ""
    if not first.needs_gradient:
        return f"of {attack_title(weak.key)}, which asks for no gradient"
    if first.options and not _has_steps(first):
        return f"of {attack_title(weak.key)}, a single step"
    told = [{**_defaults(spec), **attack.options} for attack, spec in ((weak, first), (strong, second))]
    n_weak, n_strong = (options.pop("n_steps", 0) for options in told)
    is_same = weak.name == strong.name and told[0] == told[1]
    return f"of {n_weak} steps and not {n_strong}" if is_same and 0 < n_weak < n_strong else ""  # 0: as many as are usual


def _is_best(attack: AttackSettings) -> bool:
    """Whether an attack follows gradients over many steps, away from the true class, to fool with the file itself."""
    spec = _spec(attack)
    return spec.on_file and spec.needs_gradient and _has_steps(spec) and not attack.options.get("target")


def _spec(attack: AttackSettings) -> AttackSpec:
    return ATTACKS.find(attack.name)


def _has_steps(spec: AttackSpec) -> bool:
    return spec.takes_epsilon and "n_steps" in _defaults(spec)


def _defaults(spec: AttackSpec) -> dict[str, object]:
    kind = load(spec.options) if spec.options else None
    return {item.name: getattr(kind(), item.name) for item in fields(kind)} if kind else {}


def _outdone(cell: Cell, strong: Fooled, weak: Fooled, why: str, judge: str) -> Iterator[FlagRow]:
    """Yields a row where the weaker attack fools with more of the images that both attack, and chance does not explain it."""
    shared = [image for image in strong if image in weak]
    found = compare_paired([(weak[image], strong[image]) for image in shared])
    if found.difference is not None and found.low is not None and found.low > 0:
        n_strong, n_weak = (sum(fooled[image] for image in shared) for fooled in (strong, weak))
        words = f"{n_strong} of {count(len(shared), 'file')} fool, {n_weak} of those {why}"
        yield _row(cell, words, found.difference, 0, judge)


def _withstood(cell: Cell, fooled: Fooled, judge: str) -> Iterator[FlagRow]:
    n_right = len(fooled) - sum(fooled.values())
    if cell[2] >= flags.BOUNDLESS_EPSILON and n_right:
        yield _row(cell, f"{n_right} of {count(len(fooled), 'file')} do not fool", n_right / len(fooled), 0, judge)


def _row(cell: Cell, words: str, measured: float, limit: float, judge: str) -> FlagRow:
    case, attack, epsilon = cell
    message = f"{judge}: {words}, {attack_title(attack)} at ε = {epsilon}, {CASE_TITLES.get(case, case)}"
    return FlagRow("gradient-masking", message, measured, limit, case, attack, epsilon, SOURCE, 1)
