"""Whether a run keeps to the limits that it is held to: each limit finds its numbers, and none is passed over in silence."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from pipeline.core.errors import BadInput, WrongUse, near_match
from pipeline.document.formats import listed
from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.run_beside_run import name_beside, sides_of
from pipeline.evaluation.two_runs import run_comparisons
from pipeline.records import CASES, PHOTO, SOURCE, Cell, Comparison, Rate
from pipeline.records.rules import ACCURACIES, BOUND, DESTRUCTION, Counted, Rule, Verdict
from pipeline.settings import OVERALL, CheckSettings, Experiment
from pipeline.store import Run, record_from
from pipeline.store.artefacts import COUNTED

# In place of an attack: each cell of the case.
EACH_CELL = "cells"
# A difference of shares is rounded in the last bits; a drop of 7 points is no more than one of 7.
_ROUNDING = 1e-9
_SHOWN = 20

Key = tuple[Counted, Cell]
Other = tuple[Experiment, Run]


def check_asks(settings: CheckSettings) -> None:
    """Refuses limits that ask for nothing.

    Raises:
        WrongUse: there is no limit, or a drop without another run, or the other way round.
    """
    if settings.max_drop and not settings.against:
        raise WrongUse("max_drop needs another run.", "Name it, for example: --against main.toml")
    if settings.against and not settings.max_drop:
        raise WrongUse(f'Nothing is compared with "{settings.against}".', "Say how many points may be lost: --max-drop 5")
    if not any((settings.min_accuracy, settings.min_destruction, settings.max_destruction, settings.max_drop)):
        hint = "Give one, for example --min-accuracy photo=0.8, or write a [check] table into the experiment file."
        raise WrongUse("There is no limit to check.", hint)


def asks_for_photos(settings: CheckSettings) -> bool:
    """Returns whether some limit is one of photographs."""
    kinds = {place.partition(":")[0] for place in (*settings.min_accuracy, *settings.max_drop)}
    return bool(settings.min_destruction or settings.max_destruction or kinds - {"clean", "adversarial"})


def verdicts_of(settings: CheckSettings, run: Run, this: Experiment, other: Other | None = None) -> list[Verdict]:
    """Returns whether the run keeps to each limit, in the order of the settings.

    Args:
        this: the run's experiment.
        other: the run that drops are measured against.

    Raises:
        WrongUse: a limit asks for nothing, or for a cell that there is not. BadInput: nothing was counted there, or the two runs
            cannot be compared.
    """
    check_asks(settings)
    rates = _rates(run)
    found = []
    for key in ("min_accuracy", "min_destruction", "max_destruction"):
        for place, limit in getattr(settings, key).items():
            for counted, cell in _numbers(key, place, rates, run.name):
                rule = Rule(key, place, limit, settings.on, counted, cell)
                found.append(_verdict_of_rate(rule, rates[counted, cell], _with_numbers(rates, counted)))
    if other is not None:
        drops = _comparisons((this, run), other)
        beside = name_beside(run, other[1])
        for place, points in settings.max_drop.items():
            for counted, cell in _numbers("max_drop", place, drops, f"{run.name} and {beside}"):
                rule = Rule("max_drop", place, points / 100, settings.on, counted, cell)
                verdict = _verdict_of_drop(rule, drops[counted, cell], _with_numbers(drops, counted))
                found.append(replace(verdict, other=beside))
    return found


def _rates(run: Run) -> dict[Key, Rate]:
    """The top-1 rates of files and photographs; nothing simulated stands in for what a camera took."""
    tables = COUNTED.read(run)
    rows = [record_from(Rate, row) for name in ("overall", "accuracies", "destruction_rates") for row in tables[name]]
    rows = [row for row in rows if row.top_k == TOP_1.k and row.transform in (SOURCE, PHOTO)]
    origin = min((row.origin for row in rows if row.transform == PHOTO), default="")
    shown = (row for row in rows if row.transform == SOURCE or row.origin == origin)
    return {((row.quantity, row.transform), (row.case, row.attack, row.epsilon_8bit)): row for row in shown}


def _comparisons(this: Other, other: Other) -> dict[Key, Comparison]:
    first, second = sides_of(*this, *other)
    rows = [row for row in run_comparisons(first, second, [TOP_1]) if row.kind != "transform"]
    return {((row.quantity, row.first.transform), (row.case, row.first.attack, row.first.epsilon_8bit)): row for row in rows}


def _numbers(key: str, place: str, known: Mapping[Key, object], where: str) -> Iterator[Key]:
    """Yields what a limit's words mean: [KIND:][CASE:]ATTACK[:EPSILON], or "overall" or "cells" in place of the attack."""
    if key == "max_drop" and place == OVERALL:
        for kind in ACCURACIES:
            yield from _numbers(key, kind, known, where)
        return
    kind, _, rest = place.partition(":") if "destruction" not in key else ("", "", place)
    if kind and kind not in ACCURACIES:
        raise WrongUse(f'{key} "{place}": there is no accuracy "{kind}".', near_match(kind, ACCURACIES))
    counted = ACCURACIES[kind] if kind else DESTRUCTION
    cells = [cell for wanted, cell in known if wanted == counted]
    if not cells:
        what = "photographs" if counted[1] == PHOTO else "files that are compared"
        raise WrongUse(f'{key} "{place}": there are no {what} in {where}.', _others(known))
    case, _, after = rest.partition(":")
    if case not in CASES:
        case, after = next(name for name in CASES if name in {cell[0] for cell in cells}), rest
    meant = [cell for cell in cells if cell[0] == case and _is_meant(after or OVERALL, cell)]
    if not meant:
        start = f"{kind}:" if kind else ""
        choices = [start + words for cell in cells for words in _words_of(cell)]
        raise WrongUse(f'{key} "{place}": there is no such cell in {where}.', near_match(place, choices))
    yield from ((counted, cell) for cell in meant)


def _is_meant(words: str, cell: Cell) -> bool:
    _, attack, epsilon = cell
    if words == EACH_CELL:
        return bool(attack)
    return words in ((attack, f"{attack}:{epsilon}") if attack else (OVERALL,))


def _words_of(cell: Cell) -> tuple[str, ...]:
    case, attack, epsilon = cell
    words = (f"{attack}:{epsilon}" if epsilon else attack) or OVERALL
    return words, f"{case}:{words}"


def _others(known: Mapping[Key, object]) -> str:
    kinds = [kind for kind, counted in ACCURACIES.items() if any(wanted == counted for wanted, _ in known)]
    return f"There are: {listed(kinds)}." if kinds else ""


def _with_numbers(known: Mapping[Key, Rate | Comparison], counted: Counted) -> Callable[[], str]:
    def hint() -> str:
        has = [_words_of(cell)[1] for (wanted, cell), row in known.items() if wanted == counted and _is_known(row)]
        more = f" and {len(has) - _SHOWN} more" if len(has) > _SHOWN else ""
        return f"Counted were: {', '.join(has[:_SHOWN])}{more}." if has else "Nothing was counted in any cell."

    return hint


def _is_known(row: Rate | Comparison) -> bool:
    return (row.rate if isinstance(row, Rate) else row.difference) is not None


def _verdict_of_rate(rule: Rule, row: Rate, hint: Callable[[], str]) -> Verdict:
    if row.rate is None:
        nothing = "no attack that works as a file" if rule.counted == DESTRUCTION else "no image"
        raise BadInput(f'{rule.key} "{rule.place}": {nothing} was counted in {_words_of(rule.cell)[1]}.', hint())
    rate, low, high = row.known
    measured = rate if rule.on != BOUND else low if rule.is_least else high
    return Verdict(rule, row, measured, _keeps(rule, measured), _keeps(rule, rate))


def _verdict_of_drop(rule: Rule, row: Comparison, hint: Callable[[], str]) -> Verdict:
    if row.difference is None or row.low is None:
        raise BadInput(f'{rule.key} "{rule.place}": no image was counted in {_words_of(rule.cell)[1]} of both runs.', hint())
    measured = -(row.low if rule.on == BOUND else row.difference)
    return Verdict(rule, row, measured, _keeps(rule, measured), _keeps(rule, -row.difference))


def _keeps(rule: Rule, measured: float) -> bool:
    return measured >= rule.limit - _ROUNDING if rule.is_least else measured <= rule.limit + _ROUNDING
