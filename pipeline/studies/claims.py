"""What a paper claims of destruction rates: its statement, the test on images, the rates that show it, and all in words."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pipeline.document.blocks import Finding, Mark
from pipeline.document.formats import count, number, p_value, percent, points
from pipeline.evaluation.outcomes import Condition
from pipeline.records import LEVEL, SOURCE, VERDICTS, Cell, FindingRow, Rate
from pipeline.statistics import holm
from pipeline.studies.testing import ImageTests, Part, Side, Tested

VERDICT_TITLES = {"held": "held", "not_held": "not held", "not_enough": "not enough images to tell"}
# All one-sided; docs/statistics.md says what each does.
TEST_TITLES = {
    "mcnemar": "exact McNemar test",
    "mantel-haenszel": "Mantel-Haenszel test",
    "tost": "equivalence test",
    "binomial": "exact binomial test",
    "share": "exact binomial test",
    "permutation": "permutation test",
    "mean": "one-sided t test of a mean",
}
_MARKS: dict[str, Mark] = {"held": "right", "not_held": "wrong", "not_enough": "open"}
_HOLDS: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, "≤": operator.le, ">": operator.gt}
_SPEAKS_AGAINST = {"<": operator.gt, "≤": operator.gt, ">": operator.lt}


@dataclass(frozen=True, slots=True)
class Check:
    """A line of evidence: `n_held` of `n` comparisons come out as stated; `is_tie` where what differs in nothing was to differ.

    `is_clear`: whether the 95 % intervals of the rates compared lie apart, None where no intervals are compared.
    """

    where: str
    counts: str
    n_held: int
    n: int = 1
    is_clear: bool | None = None
    is_tie: bool = False

    @property
    def is_against(self) -> bool:
        """Whether no more than half of the comparisons come out as stated, and the others speak against it."""
        return 2 * self.n_held <= self.n and not self.is_tie


class Rates:
    """The destruction rates and clean accuracies of a run; a cell without eligible attacks takes part in no comparison.

    A comparison without rates to compare is None.
    """

    def __init__(self, rates: Iterable[Rate], accuracies: Iterable[Rate] = ()) -> None:
        self._rates = {
            Side((row.case, row.attack, row.epsilon_8bit), Condition(row.transform, row.parameter, row.origin), row.top_k): row
            for row in rates
            if row.rate is not None
        }
        self._clean = {
            ((row.case, row.attack, row.epsilon_8bit), row.transform, "" if row.transform == SOURCE else row.origin): row
            for row in accuracies
            if row.variant == "clean" and row.top_k == 1 and row.rate is not None
        }

    def ordered(self, where: str, sides: Iterable[Side], sign: str) -> Check | None:
        """Compares neighbours among those of the sides that have a rate; None where there are fewer than two."""
        chain = [self._rates[side] for side in sides if side in self._rates]
        if len(chain) < 2:
            return None
        ends = [(row.low or 0.0, row.high or 0.0) for row in chain]
        is_held = all(_HOLDS[sign](a.rate or 0.0, b.rate or 0.0) for a, b in pairwise(chain))
        is_tie = not is_held and not any(_SPEAKS_AGAINST[sign](a.rate or 0.0, b.rate or 0.0) for a, b in pairwise(chain))
        is_clear = all(a[1] < b[0] or b[1] < a[0] for a, b in pairwise(ends))
        joint = f" {sign} " if is_held else ", "
        return Check(where, joint.join(told_rate(row) for row in chain), int(is_held), is_clear=is_clear, is_tie=is_tie)

    def tallied(self, where: str, chains: Iterable[Sequence[float | None]], of_what: str) -> Check | None:
        """Counts the chains that do not fall, in one line, since those at every parameter would fill pages."""
        present = [[rate for rate in chain if rate is not None] for chain in chains]
        held = [all(a <= b for a, b in pairwise(chain)) for chain in present if len(chain) > 1]
        return Check(where, f"{sum(held)} of {len(held)} {of_what}", sum(held), len(held)) if held else None

    def highest(self, sides: Iterable[Side], by_size: bool = False) -> Rate | None:
        """Returns the highest rate; `by_size`: of equal ones that of the most attacks, else the first."""
        rows = [self._rates[side] for side in sides if side in self._rates]
        return max(rows, key=lambda row: (row.rate or 0.0, row.n_eligible * by_size), default=None)

    def rate(self, side: Side) -> float | None:
        """Returns one rate, None where nothing is eligible."""
        return self._rates[side].rate if side in self._rates else None

    def mean(self, sides: Iterable[Side]) -> float | None:
        """Returns the mean of those that have a rate, None without any."""
        found = [rate for side in sides if (rate := self.rate(side)) is not None]
        return sum(found) / len(found) if found else None

    def clean_loss(self, where: str, cell: Cell, photo: Condition, least: int, most: int) -> Check | None:
        """Returns how many points of top-1 accuracy a cell's clean images lose in photographs, held between the two bounds."""
        source, after = self._clean.get((cell, SOURCE, "")), self._clean.get((cell, photo[0], photo[2]))
        if not source or not after:
            return None
        lost = round(100 * ((source.rate or 0.0) - (after.rate or 0.0)), 1)
        counts = f"{told_rate(source)} to {told_rate(after)}: {number(lost)} points lost"
        return Check(where, counts, int(least <= lost <= most))


def told_rate(row: Rate) -> str:
    """Returns a rate with its counts."""
    return f"{percent(row.rate)} ({row.n_hit}/{row.n_eligible})"


Test = Callable[[ImageTests], Tested]
Show = Callable[[Rates], Iterable[Check | None]]


@dataclass(frozen=True, slots=True)
class Claim:
    """One observation of a paper, as it applies to the cells and conditions of one run.

    `title` names it in a table, `parts` says in words what its parts are, by key. `test` asks the images, `show` compares the
    cells' own rates.
    """

    key: str
    title: str
    statement: str
    test: Test
    show: Show
    parts: Mapping[str, str]


def tested(claims: Sequence[Claim], origin: str, images: ImageTests) -> list[FindingRow]:
    """Returns the tests of all claims, a row for the whole and one for each of several parts; Holm corrects over the wholes."""
    wholes, parts = [], []
    for claim in claims:
        whole, *others = _rows(claim.key, origin, claim.test(images))
        wholes.append(whole)
        parts.append(others)
    n_family = sum(row.p is not None for row in wholes)
    corrected = zip(holm([row.p for row in wholes]), holm([row.p_against for row in wholes]), strict=True)
    rows = []
    for whole, (p, p_against), others in zip(wholes, corrected, parts, strict=True):
        rows.append(replace(whole, p_holm=p, p_against_holm=p_against, n_family=n_family, verdict=verdict(p, p_against)))
        rows += [replace(row, verdict=verdict(row.p, row.p_against)) for row in others]
    return rows


def verdict(p: float | None, p_against: float | None) -> str:
    """Returns what two corrected one-sided p say, one of VERDICTS."""
    held, not_held, not_enough = VERDICTS
    return held if p is not None and p < LEVEL else not_held if p_against is not None and p_against < LEVEL else not_enough


def _rows(finding: str, origin: str, tested: Tested) -> list[FindingRow]:
    """Returns the whole and, where it has several, the parts that this run can test.

    All parts must be true, so the whole is as sure as the least sure of them, and one that cannot be tested leaves it open; it is
    refuted where one of them is, at a level that is shared among them.
    """
    if len(tested.parts) < 2:
        _, found, images = tested.parts[0] if tested.parts else Part("", None, set())
        return [_row(finding, origin, tested.test, Part("", found, images))]
    known = [(part.found, part.images) for part in tested.parts if part.found is not None]
    whole = FindingRow(
        *(finding, "", origin, tested.test),
        sum(found.n for found, _ in known),
        len(set[str]().union(*(images for _, images in known))),
        *(None, None, None, None),
        max(found.p for found, _ in known) if len(known) == len(tested.parts) else None,
        min(1.0, len(known) * min(found.p_against for found, _ in known)) if known else None,
    )
    return [whole, *(_row(finding, origin, tested.test, part) for part in tested.parts if part.found)]


def _row(finding: str, origin: str, test: str, part: Part) -> FindingRow:
    found = part.found
    if found is None:
        return FindingRow(finding, part.key, origin, test, 0, 0, None, None, None, None, None, None)
    return FindingRow(
        *(finding, part.key, origin, test, found.n, len(part.images), found.n_effective, found.n_for, found.n_against),
        *(found.difference, found.p, found.p_against),
    )


def told_finding(statement: str, checks: Iterable[Check | None], rows: Sequence[FindingRow], parts: Mapping[str, str]) -> Finding:
    """Returns an observation with its verdict and its evidence: a line for each part, then one for each comparison of rates.

    The comparisons that go against the statement come first and every one is marked. Without a test there is no verdict.

    Args:
        rows: the tests of this observation, of the whole and of its parts.
        parts: what each part says, by its key.
    """
    made = sorted((check for check in checks if check is not None), key=lambda check: not check.is_against)
    whole = next((row for row in rows if not row.part), None)
    verdict = whole.verdict if whole else "not_enough"
    evidence = [f"{parts[row.part]}: {told_test(row)} ({VERDICT_TITLES[row.verdict]})" for row in rows if row.part]
    evidence += [f"{_sign(check)} {check.where}: {check.counts}" for check in made]
    return Finding(statement, VERDICT_TITLES[verdict], _MARKS[verdict], _counted(whole, made), tuple(evidence))


def _sign(check: Check) -> str:
    return "✗" if check.is_against else "=" if check.is_tie else "✓"


def told_test(row: FindingRow) -> str:
    """Returns a test in words: what was counted, on how many images, and the p of the statement and of its opposite."""
    n = f"n {row.n:,}" if row.n == row.n_images else f"n {row.n:,} on {count(row.n_images, 'image')}"
    if row.n_effective is not None and round(row.n_effective) < row.n:
        n += f", effective n {row.n_effective:.0f}"
    moved = f", difference {points(row.difference, 1)} points" if row.difference is not None else ""
    told = f"{n}{_sides(row)}{moved}; p = {p_value(row.p)} for it".replace("= <", "<")
    if row.part:
        return f"{told}, {p_value(row.p_against)} for the opposite"
    corrected = f"after correction {p_value(row.p_holm)} and {p_value(row.p_against_holm)}"
    return f"{told} and {p_value(row.p_against)} for the opposite, {corrected}; {TEST_TITLES[row.test]}"


def _sides(row: FindingRow) -> str:
    """Returns what speaks for a statement and what against it, in attacks of one cell or in pairs that are compared."""
    if row.n_for is None or row.n_against is None:
        return ""
    if row.test == "binomial":
        return f", of which {row.n_for} survive and {row.n_against} are destroyed"
    alike = f", {row.n - row.n_for - row.n_against:,} alike" if row.test != "share" else ""
    return f": {row.n_for:,} as stated, {row.n_against:,} the other way{alike}"


def _counted(whole: FindingRow | None, checks: Sequence[Check]) -> str:
    """Returns the test's n and p, and how many comparisons of rates come out as stated; "" where there is nothing to compare."""
    told = [f"{told_test(whole)}."] if whole and whole.n else []
    if len(checks) > 1 or (checks and not told):
        n_held, n = sum(check.n_held for check in checks), sum(check.n for check in checks)
        clear = [check.is_clear for check in checks if check.is_clear is not None]
        apart = f", {sum(clear)} of them with 95 % intervals apart" if clear else ""
        n_ties = sum(check.is_tie for check in checks)
        ties = f", {count(n_ties, 'tie')}" if n_ties else ""
        told.append(f"{n_held} of {count(n, 'comparison')} of rates as stated{ties}{apart}.")
    return " ".join(told)
