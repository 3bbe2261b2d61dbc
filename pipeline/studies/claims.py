"""What a paper claims of destruction rates: its statement, the test on images, and the rates that show it, for one run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.records import LEVEL, VERDICTS, FindingRow
from pipeline.report.findings import Check
from pipeline.statistics import holm
from pipeline.studies.evidence import Rates
from pipeline.studies.testing import ImageTests, Part, Tested


@dataclass(frozen=True, slots=True)
class Claim:
    """One observation of a paper, as it applies to the cells and conditions of one run.

    `title` names it in a table, `parts` says in words what its parts are, by key. `test` asks the images, `show` compares the
    cells' own rates.
    """

    key: str
    title: str
    statement: str
    test: Callable[[ImageTests], Tested]
    show: Callable[[Rates], Iterable[Check | None]]
    parts: Mapping[str, str] = field(default_factory=dict)


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
