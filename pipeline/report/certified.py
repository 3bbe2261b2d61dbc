"""What is certified of smoothed classifiers: curves over the L2 distance, and what attacks and photographs leave of it."""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure as Plot
from matplotlib.ticker import PercentFormatter

from pipeline.document.blocks import Block, Figure, numbered, plain
from pipeline.document.figures import WIDTH_IN, styled
from pipeline.document.formats import number
from pipeline.document.tables import Cell, Column, Table, stub
from pipeline.records import ADAPTIVE, Certificate, CertifiedRate, Estimate
from pipeline.report.cell_tables import estimate_cell
from pipeline.report.content import ReportContent
from pipeline.report.defences import lines_of, shown_rows
from pipeline.report.words import CASE_TITLES, ORIGIN_TITLES, TEXTS, attack_title, epsilon_title
from pipeline.statistics import wilson

# Distances of the table, of pixels in [0, 1], as in the literature; nearer ones where the largest radius is small.
_STEP, _SMALL_STEP, _SMALL = 0.25, 0.05, 0.5
_STYLES = (("#0072b2", "-"), ("#d55e00", "-"), ("#009e73", "-"), ("#cc79a7", "-"), ("#4d4d4d", "-"))


def certified_rates(certificates: Iterable[Certificate]) -> list[CertifiedRate]:
    """Returns the certified accuracy of each defence at distances of 0, 0.25, 0.5 … up to the first at which none is left.

    Where no radius reaches 0.5, they are 0.05 apart.
    """
    found = []
    for defence, rows in _by_defence(certificates).items():
        largest = max(row.radius for row in rows)
        step = _STEP if largest >= _SMALL else _SMALL_STEP
        for place in range(ceil(largest / step + 1e-9) + 1):
            radius = round(place * step, 2)
            certified = _share([row.holds(radius) for row in rows])
            at_most = _share([row.may_hold(radius) for row in rows])
            found.append(CertifiedRate(defence, radius, 255 * radius, certified, at_most))
    return found


@styled
def certified_curves(certificates: Iterable[Certificate]) -> Plot:
    """Returns the certified accuracy over the L2 distance, a line a defence, with a band for the 95 % Wilson interval.

    The dotted line is the upper Monte-Carlo bound: what more noisy copies could raise the certified accuracy to.
    """
    figure = Plot(figsize=(WIDTH_IN, 2.9), layout="constrained")
    panel = figure.subplots()
    by_defence = _by_defence(certificates)
    end = 1.1 * max([row.radius for rows in by_defence.values() for row in rows] + [1e-3])
    for place, (defence, rows) in enumerate(by_defence.items()):
        colour, line = _STYLES[place % len(_STYLES)]
        at = sorted({0.0, end, *(row.radius for row in rows if row.radius > 0)})
        shares = [_share([row.holds(radius) for row in rows]) for radius in at]
        rate, low, high = ([100 * value for value in column] for column in zip(*(share.known for share in shares), strict=True))
        label = f"{defence}, σ = {number(rows[0].sigma_8bit)}, n = {len(rows)} images"
        panel.step(at, rate, where="pre", color=colour, linestyle=line, label=label)
        panel.fill_between(at, low, high, step="pre", color=colour, alpha=0.12, linewidth=0)
        could = sorted({0.0, end, *(row.radius_at_most for row in rows if row.radius_at_most and row.radius_at_most < end)})
        most = [100 * sum(row.may_hold(radius) for row in rows) / len(rows) for radius in could]
        panel.step(could, most, where="pre", color=colour, linestyle=":", linewidth=0.9)
    panel.set(xlim=(0, end), ylim=(-2, 102), xlabel="L2 distance, pixels in [0, 1]", ylabel="certified accuracy")
    panel.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    panel.secondary_xaxis("top", functions=(_in_levels, _in_range)).set_xlabel("8-bit levels")
    panel.legend(loc="lower left")
    return figure


def certified_table(certificates: Sequence[Certificate]) -> Table:
    """Returns the certified accuracy of each defence at some distances."""
    columns = (
        *(stub("Defence"), stub("σ", is_number=True)),
        *(stub("L2", is_number=True), stub("8-bit", is_number=True)),
        *(Column("Certified"), Column("At most")),
    )
    body: list[tuple[Cell, ...]] = []
    rules, sigmas = set(), {row.defence: row.sigma_8bit for row in certificates}
    for rate in certified_rates(certificates):
        is_first = rate.radius == 0
        rules |= {len(body)} if is_first and body else set()
        front = (rate.defence, number(sigmas[rate.defence])) if is_first else ("", "")
        distance = number(rate.radius), f"{rate.radius_8bit:.0f}"
        body.append((*map(Cell, (*front, *distance)), estimate_cell(rate.certified), estimate_cell(rate.at_most)))
    first = certificates[0]
    note = TEXTS["certified-table"].format(n=f"{first.n_samples:,}", alpha=number(first.alpha))
    return Table("B1", "Certified accuracy within an L2 distance, as files", columns, tuple(body), note, frozenset(rules))


def certified_blocks(content: ReportContent) -> tuple[Block, ...]:
    """Returns the curves, the table, and what attacks and photographs leave of what is certified; () where nothing is."""
    certificates = content.certified
    if not certificates:
        return ()
    curves = Figure("certified", certified_curves(certificates), TEXTS["certified-figure"])
    measured = list(_measured(content))
    tables = [certified_table(certificates), *([_measured_table(measured, content)] if measured else [])]
    return (plain(TEXTS["certified"]), curves, *numbered(tables))


def _measured(content: ReportContent) -> Iterator[tuple[Cell, ...]]:
    """Yields a row for each attack on images that were all looked at: what is certified of these very images, and measured."""
    by_image = {(row.defence, row.image_id): row for row in content.certified}
    for line in lines_of(shown_rows(content)):
        row = line.about
        made = content.defences.get(row.defence, {}).get(row.attack, row.attack) if row.attacker == ADAPTIVE else row.attack
        pairs = [
            pair
            for pair in content.pairs
            if (pair.attack, pair.epsilon_8bit) == (made, row.epsilon_8bit) and row.case in pair.cases
        ]
        if not row.defence or not pairs or any((row.defence, pair.image_id) not in by_image for pair in pairs):
            continue
        certified = _share([by_image[row.defence, pair.image_id].holds(pair.l2_8bit / 255) for pair in pairs])
        front = (CASE_TITLES[row.case], row.defence, attack_title(row.attack), epsilon_title(row.epsilon_8bit), row.attacker)
        distance = f"{fmean(pair.l2_8bit for pair in pairs) / 255:.2f}"
        rights = (estimate_cell(side.adversarial if side else None) for side in (line.file, line.photo))
        yield (*map(Cell, (*front, distance)), estimate_cell(certified), *rights)


def _measured_table(rows: Sequence[tuple[Cell, ...]], content: ReportContent) -> Table:
    names = (stub("Case"), stub("Defence"), stub("Method"), stub("ε", is_number=True), stub("Attacker"))
    columns = (*names, stub("mean L2", is_number=True), Column("Certified"), Column("As files"), Column("In photos"))
    title = f"Right behind the defence: certified, under attack as files, and in {ORIGIN_TITLES[content.main_origin]} photographs"
    return Table("B2", title, columns, tuple(rows), TEXTS["certified-measured"])


def _by_defence(certificates: Iterable[Certificate]) -> dict[str, list[Certificate]]:
    found: dict[str, list[Certificate]] = {}
    for row in certificates:
        found.setdefault(row.defence, []).append(row)
    return found


def _share(hits: Sequence[bool]) -> Estimate:
    low, high = wilson(sum(hits), len(hits)) or (None, None)
    return Estimate(n_hit=sum(hits), n_eligible=len(hits), rate=sum(hits) / len(hits), low=low, high=high)


def _in_levels(radius: Any) -> Any:
    return 255 * radius


def _in_range(levels: Any) -> Any:
    return levels / 255
