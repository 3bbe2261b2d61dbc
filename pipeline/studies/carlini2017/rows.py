"""From single shots to the rows of a table, and these as CSV, as LaTeX and as text: means are over successes alone."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

import numpy as np

from pipeline.core.csv_cells import csv_text
from pipeline.core.seeds import generator_for
from pipeline.document.formats import DASH
from pipeline.document.tables import Cell, Column, Table, as_text, stub
from pipeline.report.words import attack_title
from pipeline.studies.carlini2017.measuring import Shot

BEST, AVERAGE, WORST, AWAY, LEAST_LIKELY = "best", "average", "worst", "untargeted", "least-likely"
TABLES = {"IV": (BEST, AVERAGE, WORST), "V": (AWAY, AVERAGE, LEAST_LIKELY)}
NORMS = {"l0": "L0", "l2": "L2", "linf": "L∞"}
CASE_TITLES = {BEST: "best case", AVERAGE: "average case", WORST: "worst case", AWAY: "untargeted", LEAST_LIKELY: "least likely"}
_WIDTH = 100
_ESCAPES = str.maketrans({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "–": "--"})
_LATEX_NORMS = {"l0": "$L_0$", "l2": "$L_2$", "linf": r"$L_\infty$"}
DISTANCES: dict[str, Callable[[Shot], float]] = {
    "l0": lambda shot: shot.l0_px,
    "l2": lambda shot: shot.l2_8bit,
    "linf": lambda shot: shot.linf_8bit,
}


@dataclass(frozen=True, slots=True)
class TableRow:
    """One attack in one case.

    Of `n_images` images `n_success` are led where they shall. `mean_distance` is over these alone: pixels changed in any channel
    for L0, on pixels in [0, 1] for L2 (of luma where the network takes one channel) and L∞, as in the paper; `mean_distance_8bit`
    is the same in 8-bit units (None for L0). `n_targets` is how many targets the case chooses among, 1 where it does not choose.
    A case that the attack cannot be asked for has no images; rates and means without images or successes are None. Passes are
    means over the successes.
    """

    table: str
    attack: str
    norm: str
    case: str
    n_images: int
    n_success: int
    success_probability: float | None
    mean_distance: float | None
    mean_distance_8bit: float | None
    n_targets: int
    mean_n_forward: float | None
    mean_n_backward: float | None


@dataclass(frozen=True, slots=True)
class Targets:
    """The wrong classes of one image: one drawn at random, the least likely one, and those that best and worst choose among."""

    average: int
    least_likely: int
    choice: tuple[int, ...]

    def of(self, case: str) -> tuple[int | None, ...]:
        """Returns the targets that a case needs."""
        one: dict[str, tuple[int | None, ...]] = {AVERAGE: (self.average,), LEAST_LIKELY: (self.least_likely,), AWAY: (None,)}
        return one.get(case, self.choice)


def targets_of(sha256: str, label: int, logits: np.ndarray, n_targets: int, seed: int) -> Targets:
    """Returns the targets of one image; the draws depend on the seed and the image alone.

    Args:
        logits: float (n_classes,) of the clean image.
        n_targets: how many random wrong classes best and worst choose among; 0 or too many: all of them.
    """
    wrong = np.array([label_ for label_ in range(len(logits)) if label_ != label])
    drawn = generator_for(seed, "attack-table", sha256).permutation(wrong)
    choice = drawn if n_targets == 0 else drawn[:n_targets]
    return Targets(int(drawn[0]), int(wrong[logits[wrong].argmin()]), tuple(sorted(int(target) for target in choice)))


def table_row(table: str, attack: str, norm: str, case: str, shots: Sequence[Mapping[int | None, Shot]] | None) -> TableRow:
    """Returns one row.

    Args:
        shots: for each image the shots of this case, by target; None where the attack cannot be asked for the case.
    """
    if shots is None:
        return TableRow(table, attack, norm, case, 0, 0, None, None, None, 0, None, None)
    distance = DISTANCES[norm]
    counted = [shot for found in shots if (shot := chosen(case, list(found.values()), distance)) is not None]
    n_targets = max((len(found) for found in shots), default=0)
    mean = fmean(map(distance, counted)) if counted else None
    in_pixels = norm == "l0"
    passes = ([shot.n_forward for shot in counted], [shot.n_backward for shot in counted])
    return TableRow(
        *(table, attack, norm, case, len(shots), len(counted), len(counted) / len(shots) if shots else None),
        *(mean if in_pixels or mean is None else mean / 255, None if in_pixels else mean, n_targets),
        *(fmean(each) if each else None for each in passes),
    )


def chosen(case: str, shots: list[Shot], distance: Callable[[Shot], float]) -> Shot | None:
    """Returns the shot that counts for an image: the nearest hit; in the worst case the farthest, and only if all hit."""
    hits = [shot for shot in shots if shot.is_success]
    if case == WORST:
        return max(hits, key=distance) if hits and len(hits) == len(shots) else None
    return min(hits, key=distance) if hits else None


def as_csv(rows: Sequence[TableRow]) -> str:
    """Returns one line a row, with a header; what is None is left empty."""
    names = [field.name for field in fields(TableRow)]
    return csv_text([names, *([getattr(row, name) for name in names] for row in rows)])


def as_plain_text(rows: Sequence[TableRow], title: str, note: str) -> str:
    """Returns the table as aligned text."""
    table, cases = rows[0].table, TABLES[rows[0].table]
    columns = (Column(header, CASE_TITLES[case]) for case in cases for header in ("mean", "8-bit", "success"))
    body = []
    for lines in _by_attack(rows):
        texts = (text for row in lines for text in _texts(row))
        body.append(tuple(map(Cell, (attack_title(lines[0].attack), NORMS[lines[0].norm], *texts))))
    return as_text(Table(table, title, (stub("Attack"), stub("norm"), *columns), tuple(body), note))


def as_latex(rows: Sequence[TableRow], title: str, note: str) -> str:
    """Returns a `table` environment that needs no package; the note stands in a comment above it."""
    cases = TABLES[rows[0].table]
    heads = " & ".join(rf"\multicolumn{{3}}{{c}}{{{CASE_TITLES[case].capitalize()}}}" for case in cases)
    lines = [f"% {line}" for line in textwrap.wrap(note, _WIDTH)]
    lines += [
        r"\begin{table}",
        rf"\caption{{{title.translate(_ESCAPES)}}}",
        rf"\begin{{tabular}}{{ll{'rrr' * len(cases)}}}",
        r"\hline",
        rf" & & {heads} \\",
        rf"Attack & norm{' & mean & 8-bit & success' * len(cases)} \\",
        r"\hline",
    ]
    for found in _by_attack(rows):
        cells = [attack_title(found[0].attack).replace("∞", "inf").translate(_ESCAPES), _LATEX_NORMS[found[0].norm]]
        cells += [text.translate(_ESCAPES) for row in found for text in _texts(row)]
        lines.append(rf"{' & '.join(cells)} \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", r"\end{table}", ""])


def _texts(row: TableRow) -> tuple[str, str, str]:
    """Mean distance in the paper's units and in 8-bit ones, and successes of images; dashes for what there is none of."""
    mean = DASH if row.mean_distance is None else f"{row.mean_distance:{'.1f' if row.norm == 'l0' else '.3g'}}"
    mean_8bit = DASH if row.mean_distance_8bit is None else f"{row.mean_distance_8bit:.1f}"
    return mean, mean_8bit, f"{row.n_success}/{row.n_images}" if row.n_images else DASH


def _by_attack(rows: Sequence[TableRow]) -> list[list[TableRow]]:
    return [[row for row in rows if row.attack == attack] for attack in dict.fromkeys(row.attack for row in rows)]
