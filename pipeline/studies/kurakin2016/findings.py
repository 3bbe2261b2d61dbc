"""The paper's observations (Sec. 3.3 and 4): each is one function with its statement, its test and the rates that show it."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from itertools import pairwise

from pipeline.document.blocks import Finding
from pipeline.document.formats import number, percent
from pipeline.evaluation.outcomes import Condition
from pipeline.records import DIGITAL, PHOTO, TOP_KS, Cell, FindingRow
from pipeline.report.cell_tables import ordered_cells
from pipeline.report.content import ReportContent
from pipeline.report.words import attack_title, axis_of, cell_title
from pipeline.studies.claims import Check, Claim, Rates, Show, Test, tested, told_finding, told_rate
from pipeline.studies.kurakin2016.published import ITERATIVE, METHOD_TITLES, METHODS, PHOTOMETRIC_BOUNDS, in_figure_6
from pipeline.studies.testing import ImageTests, Side, Step, Tested

_FILE = files(__package__).joinpath("observations.toml")
_OBSERVED: dict[str, dict[str, str]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
# Points of top-1 accuracy that photographs cost the clean images.
LEAST_LOSS, MOST_LOSS = 1, 11
_METHOD_PARTS = {f"{a}-{b}": f"{METHOD_TITLES[a]} below {METHOD_TITLES[b]}" for a, b in pairwise(METHODS)}


def tested_findings(images: ImageTests) -> list[FindingRow]:
    """Returns every observation as a tested statement, corrected by Holm over those of one origin (docs/statistics.md)."""
    rows: list[FindingRow] = []
    for photo in images.photos:
        rows += tested(claims_on_photographs(images.cells, photo, images.top_ks), photo[2], images)
    if not images.digital:
        return rows
    return rows + tested(claims_on_transforms(images.cells, images.digital, images.top_ks), DIGITAL, images)


def told_findings(content: ReportContent, origin: str) -> tuple[Finding, ...]:
    """Returns the observations on photographs of one origin, or on transforms ("digital"), as a report shows them."""
    rates = Rates(content.rates, content.accuracies)
    rows = [row for row in content.findings if row.origin == origin]
    return tuple(
        told_finding(claim.statement, claim.show(rates), [row for row in rows if row.finding == claim.key], claim.parts)
        for claim in claims_of(content, origin)
    )


def claims_of(content: ReportContent, origin: str) -> list[Claim]:
    """Returns what the paper claims of a finished run's cells, in photographs of one origin or in transforms ("digital")."""
    cells = list(dict.fromkeys((row.case, row.attack, row.epsilon_8bit) for row in (*content.rates, *content.accuracies)))
    if origin != DIGITAL:
        return claims_on_photographs(cells, Condition(PHOTO, None, origin), content.top_ks)
    digital = dict.fromkeys(Condition(row.transform, row.parameter, row.origin) for row in content.digital_rates)
    return claims_on_transforms(cells, list(digital), content.top_ks)


def claims_on_photographs(cells: Sequence[Cell], photo: Condition, top_ks: Sequence[int] = TOP_KS) -> list[Claim]:
    """Returns the observations of Sec. 3.3 on photographs, that on the top-5 where the model has one."""
    makers = (_order, *((_top5,) if 5 in top_ks else ()), _epsilon, _prefiltering, _clean_loss)
    return [make(cells, photo) for make in makers]


def claims_on_transforms(cells: Sequence[Cell], digital: Sequence[Condition], top_ks: Sequence[int] = TOP_KS) -> list[Claim]:
    """Returns the observations of Sec. 4 on transforms: on random images at ε 16, where the run has such cells."""
    makers = (_digital_order, *((_digital_top5,) if 5 in top_ks else ()), _photometric, _survivors)
    return [make(in_figure_6(cells), digital) for make in makers]


def _order(cells: Sequence[Cell], photo: Condition) -> Claim:
    places = sorted({(case, epsilon, k) for case, _, epsilon in cells for k in (1, 5)})
    return _claim(
        "order",
        lambda images: images.compared(_method_steps(cells, [photo])),
        lambda rates: [
            rates.ordered(f"{case}, ε {epsilon}, top-{k}", [Side((case, a, epsilon), photo, k) for a in METHODS], "<")
            for case, epsilon, k in places
        ],
        _METHOD_PARTS,
    )


def _top5(cells: Sequence[Cell], photo: Condition) -> Claim:
    return _claim(
        "top5",
        lambda images: images.compared({"": [_both_tops(cell, photo) for cell in cells]}, by_image=False),
        lambda rates: [
            rates.ordered(f"{cell_title(*cell[1:])}, {cell[0]}", _both_tops(cell, photo), "≤") for cell in ordered_cells(cells)
        ],
    )


def _epsilon(cells: Sequence[Cell], photo: Condition) -> Claim:
    def ladder(cells: Sequence[Cell]) -> list[Step]:
        """From each epsilon of an attack to the next: the stronger one is said to be destroyed less often."""
        return [
            Step(Side((case, attack, strong), photo, 1), Side((case, attack, weak), photo, 1))
            for case, attack in dict.fromkeys(cell[:2] for cell in cells)
            for weak, strong in pairwise(sorted(cell[2] for cell in cells if cell[:2] == (case, attack)))
        ]

    def where(step: Step) -> str:
        case, attack, strong = step.lower.cell
        return f"{attack_title(attack)}, {case}, ε {step.higher.cell[2]} to {strong}"

    return _claim(
        "epsilon",
        lambda images: images.compared({"": ladder(cells)}),
        lambda rates: [rates.ordered(where(step), reversed(step), ">") for step in ladder(ordered_cells(cells))],
    )


def _prefiltering(cells: Sequence[Cell], photo: Condition) -> Claim:
    parts = {"iterative": ITERATIVE, "fast": METHODS[:1]}

    def pairs(cells: Sequence[Cell], attacks: Sequence[str]) -> list[tuple[Side, Side]]:
        beside = [(cell, ("prefiltered", *cell[1:])) for cell in cells if cell[0] == "average" and cell[1] in attacks]
        return [(Side(cell, photo, 1), Side(other, photo, 1)) for cell, other in beside if other in cells]

    def steps(key: str) -> list[Step]:
        return [Step(*(pair if key == "iterative" else reversed(pair))) for pair in pairs(cells, parts[key])]

    def show(rates: Rates) -> Iterable[Check | None]:
        for pair in pairs(ordered_cells(cells), METHODS):
            _, attack, epsilon = pair[0].cell
            where = f"{cell_title(attack, epsilon)}, average and prefiltered"
            yield rates.ordered(where, pair, "<" if attack in ITERATIVE else ">")

    return _claim(
        "prefiltering",
        lambda images: images.compared({key: steps(key) for key in parts}, by_image=False),
        show,
        {"iterative": "iterative attacks rise", "fast": "fast attacks fall"},
    )


def _clean_loss(cells: Sequence[Cell], photo: Condition) -> Claim:
    random = [cell for cell in cells if cell[0] == "average"]
    bounds = LEAST_LOSS / 100, MOST_LOSS / 100
    return _claim(
        "clean-loss",
        lambda images: Tested("tost", [images.clean_loss(random, photo, *bounds)]),
        lambda rates: [
            rates.clean_loss(f"{cell_title(*cell[1:])}, average", cell, photo, LEAST_LOSS, MOST_LOSS)
            for cell in ordered_cells(random)
        ],
    )


def _digital_order(cells: Sequence[Cell], digital: Sequence[Condition]) -> Claim:
    places = {(case, epsilon, k) for case, _, epsilon in cells for k in (1, 5)}

    def show(rates: Rates) -> Iterable[Check | None]:
        for name, along in _by_transform(digital).items():
            curves = [
                [rates.mean(Side((case, a, epsilon), at, k) for at in along) for a in METHODS] for case, epsilon, k in places
            ]
            yield rates.tallied(axis_of(name).title, curves, "combinations of case, ε and top-k")

    return _claim(
        "digital-order",
        lambda images: images.compared(_method_steps(cells, digital)),
        show,
        _METHOD_PARTS,
    )


def _digital_top5(cells: Sequence[Cell], digital: Sequence[Condition]) -> Claim:
    return _claim(
        "digital-top5",
        lambda images: images.compared({"": [_both_tops(cell, at) for at in digital for cell in cells]}, by_image=False),
        lambda rates: [
            rates.tallied(
                axis_of(name).title,
                [[rates.rate(side) for side in _both_tops(cell, at)] for at in along for cell in cells],
                "points of the curves",
            )
            for name, along in _by_transform(digital).items()
        ],
    )


def _photometric(cells: Sequence[Cell], digital: Sequence[Condition]) -> Claim:
    along = _by_transform(digital)
    sides = {
        (transform, attack): _sides([cell for cell in cells if cell[1] == attack], along.get(transform, ()))
        for transform in ("brightness", "contrast")
        for attack in PHOTOMETRIC_BOUNDS
    }
    titles = {
        (name, attack): f"{axis_of(name).title}, {METHOD_TITLES[attack]}, below {percent(PHOTOMETRIC_BOUNDS[attack], 0)}"
        for name, attack in sides
    }

    def show(rates: Rates) -> Iterable[Check]:
        for key, of_part in sides.items():
            if worst := rates.highest(of_part):
                counts = f"highest {told_rate(worst)}, {worst.case}, top-{worst.top_k}, at {number(worst.parameter or 0)}"
                yield Check(titles[key], counts, int((worst.rate or 0.0) < PHOTOMETRIC_BOUNDS[key[1]]))

    return _claim(
        "photometric",
        lambda images: Tested(
            "binomial", [images.below("-".join(key), of_part, PHOTOMETRIC_BOUNDS[key[1]]) for key, of_part in sides.items()]
        ),
        show,
        {"-".join(key): title for key, title in titles.items()},
    )


def _survivors(cells: Sequence[Cell], digital: Sequence[Condition]) -> Claim:
    sides = {transform: _sides(cells, along) for transform, along in _by_transform(digital).items()}
    titles = {transform: axis_of(transform).title for transform in sides}

    def show(rates: Rates) -> Iterable[Check]:
        for transform, of_part in sides.items():
            if worst := rates.highest(of_part, by_size=True):
                where = f"{cell_title(worst.attack, worst.epsilon_8bit)}, {worst.case}, top-{worst.top_k}"
                yield Check(titles[transform], f"highest {told_rate(worst)}, {where}", int(worst.rate != 1))

    def test(images: ImageTests) -> Tested:
        parts = [images.survived(transform, of_part) for transform, of_part in sides.items()]
        return Tested("binomial", [part for part in parts if part.found is not None])

    return _claim("survivors", test, show, titles)


def _claim(key: str, test: Test, show: Show, parts: Mapping[str, str] | None = None) -> Claim:
    return Claim(key, _OBSERVED[key]["title"], _OBSERVED[key]["statement"], test, show, parts or {})


def _method_steps(cells: Sequence[Cell], conditions: Sequence[Condition]) -> dict[str, list[Step]]:
    """Returns by part the steps from one method to the next, at the same case and epsilon."""
    return {
        f"{a}-{b}": [
            Step(Side((case, a, epsilon), at, k), Side((case, b, epsilon), at, k))
            for at in conditions
            for k in (1, 5)
            for case, attack, epsilon in cells
            if attack == a and (case, b, epsilon) in cells
        ]
        for a, b in pairwise(METHODS)
    }


def _both_tops(cell: Cell, condition: Condition) -> Step:
    return Step(Side(cell, condition, 1), Side(cell, condition, 5))


def _sides(cells: Iterable[Cell], conditions: Sequence[Condition]) -> list[Side]:
    return [Side(cell, at, k) for cell in cells for at in conditions for k in (1, 5)]


def _by_transform(digital: Sequence[Condition]) -> dict[str, list[Condition]]:
    return {name: [at for at in digital if at[0] == name] for name in dict.fromkeys(at[0] for at in digital)}
