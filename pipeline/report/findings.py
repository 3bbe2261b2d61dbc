"""Which of the paper's observations hold in this run: a statement, its test and verdict, and the rates that show it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pipeline.document import blocks
from pipeline.document.blocks import Findings, Mark
from pipeline.document.formats import count, number, p_value, percent, points
from pipeline.records import CASES, FINDING_TESTS, PHOTO, SOURCE, VERDICTS, FindingRow, Rate
from pipeline.report.content import TransformAxis
from pipeline.report.words import ATTACK_TITLES, attack_order, attack_title, axis_of, cell_title
from pipeline.statistics.kurakin2016 import ITERATIVE, PHOTOMETRIC_BOUNDS, in_figure_6

HELD, NOT_HELD, CANNOT_TELL = VERDICTS
FINDINGS_INTRO = (
    "Held: a one-sided test speaks for the statement, p below 0.05 after Holm's correction over the statements of this list. Not "
    "held: the same test speaks for the opposite. Cannot be told: neither, which with few images is what to expect of a true "
    "statement too. Tests compare an image with itself where they can; images that share a page or come several times count "
    "for fewer. The lines below show the cells' own rates, those that go against the statement first and marked."
)


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison; `is_clear` where the 95 % intervals of the rates compared do not overlap."""

    where: str
    is_held: bool
    counts: str
    is_clear: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation of the paper with the comparisons of rates that show it, and its test; untested it cannot be told."""

    statement: str
    checks: tuple[Check, ...]
    n_held: int
    n_checks: int
    n_clear: int | None = None
    tested: FindingRow | None = None
    parts: tuple[FindingRow, ...] = ()

    @property
    def verdict(self) -> str:
        """One of VERDICTS."""
        return self.tested.verdict if self.tested else CANNOT_TELL

    @property
    def counted(self) -> str:
        """The test's n and p, and how many comparisons of rates come out as stated; "" where there is nothing to compare."""
        told = [f"{told_test(self.tested)}."] if self.tested and self.tested.n else []
        if self.n_checks:
            apart = f", {self.n_clear} of them with 95 % intervals apart" if self.n_clear is not None else ""
            told.append(f"{self.n_held} of {count(self.n_checks, 'comparison')} of rates as stated{apart}.")
        return " ".join(told)

    @property
    def evidence(self) -> list[str]:
        """A line for each part with its test, then one for each comparison, those against the statement first and marked."""
        checks = sorted(self.checks, key=lambda check: check.is_held)
        parts = [f"{row.part}: {told_test(row)} ({row.verdict})" for row in self.parts]
        return parts + [f"{'' if check.is_held else '✗ '}{check.where}: {check.counts}" for check in checks]


def shown(findings: Iterable[Finding]) -> Findings:
    """Returns observations as a block of the report."""
    marks: dict[str, Mark] = {HELD: "right", NOT_HELD: "wrong"}
    return Findings(
        tuple(
            blocks.Finding(f.statement, f.verdict, marks.get(f.verdict, "open"), f.counted, tuple(f.evidence)) for f in findings
        )
    )


def told_test(row: FindingRow) -> str:
    """Returns a test in words: what was counted, on how many images, and the p of the statement and of its opposite."""
    worth = f", worth {row.n_effective:.0f}" if row.n_effective is not None and round(row.n_effective) < row.n else ""
    sides = f", {row.n_for} for and {row.n_against} against" if row.n_for is not None else ""
    moved = f", difference {points(row.difference, 1)} points" if row.difference is not None else ""
    told = f"n {row.n} of {count(row.n_images, 'image')}{worth}{sides}{moved}; p {p_value(row.p)}"
    if row.part:
        return f"{told}, of the opposite {p_value(row.p_against)}"
    return (
        f"{told}, corrected {p_value(row.p_holm)}; of the opposite {p_value(row.p_against)}, corrected "
        f"{p_value(row.p_against_holm)}; {FINDING_TESTS[row.test]}"
    )


def photo_findings(
    rates: Iterable[Rate],
    accuracies: Iterable[Rate] = (),
    origin: str | None = None,
    tested: Iterable[FindingRow] = (),
) -> list[Finding]:
    """Returns the observations of Kurakin et al. 2016, Sec. 3.3, on destruction rates by photographs.

    A comparison needs a rate on each side: a cell without eligible attacks takes part in none. Comparisons of attacks are
    strict, and ties do not count as held. The verdicts are those of the rows in `tested`.
    """
    tests = _Tests(row for row in tested if origin in (None, row.origin))
    rates = [row for row in rates if row.transform == PHOTO and origin in (None, row.origin)]
    table = {(row.case, row.attack, row.epsilon_8bit, row.top_k): row for row in rates if row.rate is not None}
    photographed = [row for row in accuracies if row.transform == SOURCE or origin in (None, row.origin)]
    return [
        tests.of("order", _attack_order(table)),
        tests.of("top5", _top5_above_top1(table)),
        tests.of("epsilon", _falls_with_epsilon(table)),
        tests.of("prefiltering", _prefiltering(table)),
        tests.of("clean-loss", _clean_loss(photographed)),
    ]


def transform_findings(
    rates: Iterable[Rate], axes: Iterable[TransformAxis] = (), tested: Iterable[FindingRow] = ()
) -> list[Finding]:
    """Returns the observations of Kurakin et al. 2016, Sec. 4, on destruction rates by digital transforms.

    They are of random images at ε 16; of a run without such cells, of those it has. Comparisons are not strict here, because a
    weak transform destroys nothing at all, and are counted per transform. The verdicts are those of the rows in `tested`.
    """
    digital = [row for row in rates if row.transform not in (PHOTO, SOURCE) and row.rate is not None]
    cells = in_figure_6({(row.case, row.attack, row.epsilon_8bit) for row in digital})
    digital = [row for row in digital if (row.case, row.attack, row.epsilon_8bit) in cells]
    axes, tests = tuple(axes), _Tests(tested)
    groups: dict[str, dict[tuple, Rate]] = {}
    for row in digital:
        groups.setdefault(row.transform, {})[row.case, row.attack, row.epsilon_8bit, row.parameter, row.top_k] = row
    named = [(axis_of(name, axes), table) for name, table in groups.items()]
    return [
        tests.of("digital-order", _digital_order(named)),
        tests.of("digital-top5", _digital_top5(named)),
        tests.of("photometric", _photometric_is_weak(groups, axes)),
        tests.of("survivors", _none_destroys_all(named)),
    ]


class _Tests:
    """The tested rows by finding, to be joined to the comparisons of rates."""

    def __init__(self, rows: Iterable[FindingRow]) -> None:
        self._rows = tuple(rows)

    def of(self, key: str, finding: Finding) -> Finding:
        mine = [row for row in self._rows if row.finding == key]
        whole = next((row for row in mine if not row.part), None)
        return replace(finding, tested=whole, parts=tuple(row for row in mine if row.part))


def _attack_order(table: dict[tuple, Rate]) -> Finding:
    checks = []
    for case, epsilon, k in _places(table):
        chain = [table[case, a, epsilon, k] for a in ATTACK_TITLES if (case, a, epsilon, k) in table]
        if len(chain) > 1:
            checks.append(_chain_check(f"{case}, ε {epsilon}, top-{k}", chain, lambda a, b: a < b))
    return _finding(
        "Fast attacks survive photographs best and least-likely-class attacks worst: the destruction rate rises from fast to "
        "basic iterative to least-likely class.",
        checks,
    )


def _top5_above_top1(table: dict[tuple, Rate]) -> Finding:
    checks = []
    for case, attack, epsilon in _cells(table):
        chain = [table.get((case, attack, epsilon, k)) for k in (1, 5)]
        if all(chain):
            where = f"{cell_title(attack, epsilon)}, {case}"
            checks.append(_chain_check(where, chain, lambda a, b: a <= b, "≤"))
    return _finding("Photographs destroy at least as many attacks on the top-5 as on the top-1.", checks)


def _falls_with_epsilon(table: dict[tuple, Rate]) -> Finding:
    checks = []
    for case in CASES:
        for attack in attack_order(key[1] for key in table):
            ladder = sorted((row for key, row in table.items() if key[:2] == (case, attack) and key[3] == 1), key=_epsilon)
            for weak, strong in pairwise(ladder):
                where = f"{attack_title(attack)}, {case}, ε {weak.epsilon_8bit} to {strong.epsilon_8bit}"
                checks.append(_chain_check(where, [weak, strong], lambda a, b: a > b, ">"))
    return _finding(
        "The destruction rate (top-1) falls as ε grows (in 17 of the paper's 18 steps).",
        checks,
    )


def _prefiltering(table: dict[tuple, Rate]) -> Finding:
    checks = []
    for case, attack, epsilon in _cells(table):
        pair = [table.get((name, attack, epsilon, 1)) for name in ("average", "prefiltered")]
        if case == "average" and attack in ATTACK_TITLES and all(pair):
            where = f"{cell_title(attack, epsilon)}, average and prefiltered"
            rises = attack in ITERATIVE
            checks.append(
                _chain_check(where, pair, (lambda a, b: a < b) if rises else (lambda a, b: a > b), "<" if rises else ">")
            )
    return _finding(
        "Prefiltering raises the destruction rate (top-1) of the iterative attacks and lowers that of the fast attack.", checks
    )


def _clean_loss(rows: Sequence[Rate]) -> Finding:
    found = {
        (row.attack, row.epsilon_8bit, row.transform): row
        for row in rows
        if row.case == "average" and row.variant == "clean" and row.top_k == 1 and row.rate is not None
    }
    checks = []
    for attack in attack_order(key[0] for key in found):
        for epsilon in sorted({key[1] for key in found if key[0] == attack}, reverse=True):
            source, photo = (found.get((attack, epsilon, transform)) for transform in (SOURCE, PHOTO))
            if source and photo:
                lost = round(100 * (source.rate - photo.rate), 1)
                counts = f"{_accuracy(source)} to {_accuracy(photo)}: {number(lost)} points lost"
                checks.append(Check(f"{cell_title(attack, epsilon)}, average", 1 <= lost <= 11, counts))
    return _finding(
        "Photographs cost the clean images 1 to 11 points of accuracy (top-1, average case). A larger loss points at the "
        "printing, the light or the camera, not at the attack.",
        checks,
        is_of_rates=False,
    )


def _digital_order(named: Sequence[tuple[TransformAxis, dict[tuple, Rate]]]) -> Finding:
    outcomes = []
    for axis, table in named:
        curves = {key[:3] + key[4:]: [] for key in table}
        for key, row in table.items():
            curves[key[:3] + key[4:]].append(row)
        places = dict.fromkeys((case, epsilon, k) for case, _, epsilon, k in curves)
        chains = [[_mean_rate(curves[c, a, e, k]) for a in ATTACK_TITLES if (c, a, e, k) in curves] for c, e, k in places]
        outcomes.append((axis.title, [_rises(chain) for chain in chains if len(chain) > 1]))
    return _tallied(
        "Over a transform's whole range, fast attacks are destroyed no more often than basic iterative ones, and these no more "
        "often than least-likely-class ones.",
        outcomes,
        "combinations of case, ε and top-k",
    )


def _digital_top5(named: Sequence[tuple[TransformAxis, dict[tuple, Rate]]]) -> Finding:
    outcomes = []
    for axis, table in named:
        pairs = [(row, table.get((*key[:4], 5))) for key, row in table.items() if key[4] == 1]
        held = [one.rate <= five.rate for one, five in pairs if five]
        outcomes.append((axis.title, held))
    return _tallied(
        "Attacks on the top-5 are destroyed at least as often as attacks on the top-1.", outcomes, "points of the curves"
    )


def _photometric_is_weak(groups: dict[str, dict[tuple, Rate]], axes: tuple[TransformAxis, ...]) -> Finding:
    checks = []
    for name in ("brightness", "contrast"):
        for attack, bound in PHOTOMETRIC_BOUNDS.items():
            rows = [row for row in groups.get(name, {}).values() if row.attack == attack]
            if rows:
                worst = max(rows, key=lambda row: row.rate)
                counts = f"highest {_rate(worst)}, {worst.case}, top-{worst.top_k}, at {number(worst.parameter or 0)}"
                where = f"{axis_of(name, axes).title}, {attack_title(attack)}, below {percent(bound, 0)}"
                checks.append(Check(where, worst.rate < bound, counts))
    return _finding(
        "Brightness and contrast destroy less than 5 % of the fast and basic iterative and less than 20 % of the "
        "least-likely-class attacks.",
        checks,
        is_of_rates=False,
    )


def _none_destroys_all(named: Sequence[tuple[TransformAxis, dict[tuple, Rate]]]) -> Finding:
    checks = []
    for axis, table in named:
        worst = max(table.values(), key=lambda row: (row.rate, row.n_eligible))
        counts = f"highest {_rate(worst)}, {cell_title(worst.attack, worst.epsilon_8bit)}, {worst.case}, top-{worst.top_k}"
        checks.append(Check(axis.title, worst.rate < 1, counts))
    return _finding("No transform destroys every attack.", checks, is_of_rates=False)


def _chain_check(where: str, chain: Sequence[Rate], holds: Callable[[float, float], bool], sign: str = "<") -> Check:
    steps = list(pairwise(chain))
    is_held = all(holds(a.rate, b.rate) for a, b in steps)
    is_clear = all(a.high < b.low or b.high < a.low for a, b in steps)
    joint = f" {sign} " if is_held else ", "
    return Check(where, is_held, joint.join(_rate(row) for row in chain), is_clear)


def _rate(row: Rate) -> str:
    return f"{percent(row.rate)} ({row.n_hit}/{row.n_eligible})"


def _accuracy(row: Rate) -> str:
    return f"{percent(row.rate)} ({row.n_hit}/{row.n_eligible})"


def _mean_rate(rows: Sequence[Rate]) -> float:
    return sum(row.rate for row in rows) / len(rows)


def _rises(rates: Sequence[float]) -> bool:
    return all(a <= b for a, b in pairwise(rates))


def _finding(statement: str, checks: Sequence[Check], is_of_rates: bool = True) -> Finding:
    n_clear = sum(check.is_clear for check in checks) if is_of_rates else None
    return Finding(statement, tuple(checks), sum(check.is_held for check in checks), len(checks), n_clear)


def _tallied(statement: str, outcomes: Sequence[tuple[str, Sequence[bool]]], of_what: str) -> Finding:
    """One line per transform, since the comparisons at every parameter would fill pages; marked where most go against."""
    outcomes = [(title, held) for title, held in outcomes if held]
    checks = [Check(title, 2 * sum(held) > len(held), f"{sum(held)} of {len(held)} {of_what}") for title, held in outcomes]
    n_held, n_checks = sum(sum(held) for _, held in outcomes), sum(len(held) for _, held in outcomes)
    return Finding(statement, tuple(checks), n_held, n_checks)


def _cells(table: dict[tuple, Rate]) -> list[tuple[str, str, int]]:
    order = attack_order(key[1] for key in table)
    return sorted({key[:3] for key in table}, key=lambda cell: (cell[0], order.index(cell[1]), -cell[2]))


def _places(table: dict[tuple, Rate]) -> list[tuple[str, int, int]]:
    return sorted({(key[0], key[2], key[3]) for key in table}, key=lambda place: (place[0], -place[1], place[2]))


def _epsilon(row: Rate) -> int:
    return row.epsilon_8bit
