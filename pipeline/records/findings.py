"""What became of a paper's observations on the images of a run."""

from dataclasses import dataclass

# Evidence for, evidence against, and neither: both p are 0.05 or more after correction.
VERDICTS = ("held", "not_held", "not_enough")


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One observation of a paper, tested on the images of this run; `finding` is its key in the study.

    Where it has parts that must all be true, each has a row of its own, keyed by `part`, and the whole (`part` "") has the
    largest `p` of them. `origin` is that of the photographs, "digital" for transforms. `n` observations of `n_images` images are
    worth `n_effective` independent ones; `n_for` and `n_against` of them speak for one side alone, None where that says nothing.
    `p` speaks for the statement, `p_against` for its opposite, both one-sided by `test`, a key of TEST_TITLES; the `_holm` ones
    are corrected over the `n_family` wholes of one origin. `verdict` is one of VERDICTS.
    """

    finding: str
    part: str
    origin: str
    test: str
    n: int
    n_images: int
    n_effective: float | None
    n_for: int | None
    n_against: int | None
    difference: float | None
    p: float | None
    p_against: float | None
    p_holm: float | None = None
    p_against_holm: float | None = None
    n_family: int = 0
    verdict: str = ""
