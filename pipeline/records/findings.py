"""A paper's observations and numbers beside those of a run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One observation of Kurakin et al. 2016, tested on the images of this run; `finding` is a key of FINDINGS.

    Where it has parts that must all be true, each has a row of its own, named by `part`, and the whole (`part` "") has the
    largest `p` of them. `origin` is that of the photographs, "digital" for transforms. `n` observations of `n_images` images are
    worth `n_effective` independent ones; `n_for` and `n_against` of them speak for one side alone, None where that says nothing.
    `p` speaks for the statement, `p_against` for its opposite, both one-sided by `test`, a key of FINDING_TESTS; the `_holm` ones
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


FINDINGS = {
    "order": "fast < basic iterative < least-likely class, photographs",
    "top5": "top-5 destroyed at least as often as top-1, photographs",
    "epsilon": "destroyed less often as ε grows, photographs",
    "prefiltering": "prefiltering: iterative attacks more fragile, fast sturdier, photographs",
    "clean-loss": "clean images lose 1 to 11 points, photographs",
    "digital-order": "fast ≤ basic iterative ≤ least-likely class, transforms",
    "digital-top5": "top-5 destroyed at least as often as top-1, transforms",
    "photometric": "brightness and contrast: below 5 % (fast, basic), 20 % (least-likely)",
    "survivors": "no transform destroys every attack",
}
# All one-sided; docs/statistics.md says what each does.
FINDING_TESTS = {
    "mcnemar": "exact McNemar test",
    "mantel-haenszel": "Mantel-Haenszel test",
    "tost": "equivalence test",
    "binomial": "exact binomial test",
}
# Evidence for, evidence against, and neither: both p are 0.05 or more after correction.
VERDICTS = ("held", "not held", "cannot be told")


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One number of Kurakin et al. 2016, Tables 1 to 3, beside this run's: `n_hit` of `n` with its 95 % interval.

    `quantity` is a key of PAPER_QUANTITIES, `origin` that of the photographs. `paper` is a share, of `paper_n` images where the
    paper says or lets infer of how many. `difference` is this run minus the paper; None where this run has nothing to count.
    """

    table: int
    case: str
    attack: str
    epsilon_8bit: int
    quantity: str
    top_k: int
    origin: str
    n_hit: int
    n: int
    rate: float | None
    low: float | None
    high: float | None
    paper: float
    paper_n: int | None
    difference: float | None

    @property
    def is_within(self) -> bool:
        """Whether the paper's number lies in this run's interval."""
        return self.n > 0 and self.low <= self.paper <= self.high


PAPER_QUANTITIES = {
    "photo_clean": "clean photographs classified right",
    "photo_adversarial": "adversarial photographs classified right",
    "source_clean": "clean files classified right",
    "source_adversarial": "adversarial files classified right",
    "destruction_rate": "attacks destroyed by photographs",
}
