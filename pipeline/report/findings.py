"""A paper's observations in words: the verdict on each, its test, and the comparisons of rates that show it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.document.blocks import Finding, Mark
from pipeline.document.formats import count, p_value, points
from pipeline.records import FindingRow

VERDICT_TITLES = {"held": "held", "not_held": "not held", "not_enough": "not enough images to tell"}
# All one-sided; docs/statistics.md says what each does.
TEST_TITLES = {
    "mcnemar": "exact McNemar test",
    "mantel-haenszel": "Mantel-Haenszel test",
    "tost": "equivalence test",
    "binomial": "exact binomial test",
}
_MARKS: dict[str, Mark] = {"held": "right", "not_held": "wrong", "not_enough": "open"}


@dataclass(frozen=True, slots=True)
class Check:
    """A line of evidence: `n_held` of `n` comparisons come out as stated.

    `is_clear`: whether the 95 % intervals of the rates compared lie apart, None where no intervals are compared.
    """

    where: str
    counts: str
    n_held: int
    n: int = 1
    is_clear: bool | None = None

    @property
    def is_held(self) -> bool:
        """Whether most comparisons come out as stated."""
        return 2 * self.n_held > self.n


def told_finding(statement: str, checks: Iterable[Check | None], rows: Sequence[FindingRow], parts: Mapping[str, str]) -> Finding:
    """Returns an observation with its verdict and its evidence: a line for each part, then one for each comparison of rates.

    The comparisons that go against the statement come first and are marked. Without a test there is no verdict.

    Args:
        rows: the tests of this observation, of the whole and of its parts.
        parts: what each part says, by its key.
    """
    made = sorted((check for check in checks if check is not None), key=lambda check: check.is_held)
    whole = next((row for row in rows if not row.part), None)
    verdict = whole.verdict if whole else "not_enough"
    evidence = [f"{parts[row.part]}: {told_test(row)} ({VERDICT_TITLES[row.verdict]})" for row in rows if row.part]
    evidence += [f"{'' if check.is_held else '✗ '}{check.where}: {check.counts}" for check in made]
    return Finding(statement, VERDICT_TITLES[verdict], _MARKS[verdict], _counted(whole, made), tuple(evidence))


def told_test(row: FindingRow) -> str:
    """Returns a test in words: what was counted, on how many images, and the p of the statement and of its opposite."""
    n = f"n {row.n} of {count(row.n_images, 'image')}"
    if row.n_effective is not None and round(row.n_effective) < row.n:
        n += f", effective n {row.n_effective:.0f}"
    sides = f", {row.n_for} for and {row.n_against} against" if row.n_for is not None else ""
    moved = f", difference {points(row.difference, 1)} points" if row.difference is not None else ""
    told = f"{n}{sides}{moved}; p {p_value(row.p)}"
    if row.part:
        return f"{told}, of the opposite {p_value(row.p_against)}"
    return (
        f"{told}, corrected {p_value(row.p_holm)}; of the opposite {p_value(row.p_against)}, corrected "
        f"{p_value(row.p_against_holm)}; {TEST_TITLES[row.test]}"
    )


def _counted(whole: FindingRow | None, checks: Sequence[Check]) -> str:
    """Returns the test's n and p, and how many comparisons of rates come out as stated; "" where there is nothing to compare."""
    told = [f"{told_test(whole)}."] if whole and whole.n else []
    if checks:
        n_held, n = sum(check.n_held for check in checks), sum(check.n for check in checks)
        clear = [check.is_clear for check in checks if check.is_clear is not None]
        apart = f", {sum(clear)} of them with 95 % intervals apart" if clear else ""
        told.append(f"{n_held} of {count(n, 'comparison')} of rates as stated{apart}.")
    return " ".join(told)
