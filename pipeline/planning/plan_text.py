"""A plan as a person reads it on the command line."""

from collections.abc import Iterator

from pipeline.document.formats import count
from pipeline.document.tables import Column, Table, as_text, filled, stub
from pipeline.planning.plan_records import Plan, Proposal, Work
from pipeline.records import FEW_ELIGIBLE
from pipeline.report.words import TEXTS, attack_title, cell_title, epsilon_title


def plan_text(found: Plan) -> str:
    """Returns a plan as a person reads it."""
    minutes = found.photographing_s / 60
    duration = f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
    # one image in several cells is printed once, which is known when the images are drawn
    most = "at most " if found.pairs_from.endswith("at most") else ""
    if found.medium == "paper":
        sheets = f"{most}{count(found.n_pages, 'page')}; {count(found.n_sheets, 'sheet')} with the one of instructions, one-sided"
        ink = (
            f"{found.ink_cm2:,.0f} cm² of solid colour, {100 * found.coverage_rate:.1f} % of the pages (images of "
            f"{100 * found.darkness:.0f} % darkness, {found.darkness_from})"
        )
    else:
        sheets, ink = f"{most}{count(found.n_pages, 'page')} on a screen, no sheet", "none"
    facts = (
        ("Pairs", f"{found.n_pairs:,}, {found.pairs_from}; {found.pairs_per_page} on a page, images of {found.image_mm:.1f} mm"),
        ("Pages", sheets),
        ("Ink", ink),
        ("Photographing", f"{duration} at {found.assumptions.seconds_per_page:g} s a page"),
        *_computing(found.work, most),
    )
    parts = ["\n".join(f"{name:<14}{text}" for name, text in facts), as_text(_cell_table(found)), as_text(_cost_table(found))]
    if found.work.stages:
        parts.append(as_text(_work_table(found.work)))
    if found.proposals:
        parts.append("To print less (each from this plan):\n" + "\n".join(map(_proposed, found.proposals)))
    if found.n_images_for_wish:
        wish = f"± {100 * found.assumptions.wished_half_width:g} points"
        parts.append(f"For {wish} in every cell: about --set selection.n_images={found.n_images_for_wish}")
    if found.warnings:
        parts.append("\n".join(f"Warning: {text}" for text in found.warnings))
    return "\n\n".join(parts) + "\n"


def _cell_table(found: Plan) -> Table:
    columns, rows = filled(
        [
            (stub("Case"), lambda cell: cell.case),
            (stub("Method"), lambda cell: attack_title(cell.attack)),
            (stub("ε", is_number=True), lambda cell: epsilon_title(cell.epsilon_8bit)),
            (Column("images"), lambda cell: str(cell.n_images)),
            (Column("eligible"), lambda cell: f"{cell.n_eligible}{' !' if cell.n_eligible < FEW_ELIGIBLE else ''}"),
            (Column("known", is_number=False), lambda cell: cell.known),
            (Column("pages"), lambda cell: str(cell.n_pages)),
            (Column("eff. n"), lambda cell: f"{cell.n_effective:.0f}"),
            (Column("rate"), lambda cell: f"{100 * cell.rate:.0f} %"),
            (Column("±"), lambda cell: _points(cell.half_width)),
            (Column("sees"), lambda cell: _points(cell.detectable_difference)),
        ],
        found.cells,
    )
    assumed = found.assumptions
    shares = {"right": 100 * assumed.clean_accuracy, "fooled": 100 * assumed.fooled_rate, "correlation": assumed.page_correlation}
    note = TEXTS["plan"].format(few=FEW_ELIGIBLE, **shares)
    return Table("1", "What each cell will tell", columns, rows, note)


def _points(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.0f}"


def _cost_table(found: Plan) -> Table:
    columns, rows = filled(
        [
            (stub("Method"), lambda cost: attack_title(cost.attack)),
            (stub("ε", is_number=True), lambda cost: epsilon_title(cost.epsilon_8bit)),
            (Column("pairs"), lambda cost: str(cost.n_pairs)),
            (Column("pages"), lambda cost: f"{cost.n_pages:.1f}"),
        ],
        found.costs,
    )
    return Table("2", "What each attack costs", columns, rows)


def _computing(work: Work, most: str) -> Iterator[tuple[str, str]]:
    judged = f"{most}{work.n_judged:,} pictures judged, a forward pass each"
    if not work.like:
        yield "Passes", f"{judged}; those of the attacks, hours and bytes by a small run like it: --like RUN"
        return
    yield "Passes", f"{most}{work.n_forward:,} forward and {work.n_backward:,} back by attacks; {judged}"
    yield "Computing", f"{most}{work.hours:,.1f} h, as {work.like} was computed: on its machine, device and workers"
    kept = ", ".join(f"{kind} {n / 1e9:,.1f}" for kind, n in work.kept_bytes.items())
    yield "Disk", f"{most}{sum(work.kept_bytes.values()) / 1e9:,.1f} GB: {kept}"
    if work.unknown:
        names = ", ".join(cell_title(*block) for block in work.unknown)
        yield "Not counted", f"passes of {names}: {work.like} has none"


def _work_table(work: Work) -> Table:
    columns, rows = filled(
        [
            (stub("Stage"), lambda stage: stage.stage),
            (Column("goes by", is_number=False), lambda stage: stage.unit),
            (Column("n"), lambda stage: f"{stage.n:,}"),
            (Column("hours"), lambda stage: f"{stage.seconds / 3600:,.2f}"),
        ],
        work.stages,
    )
    return Table("3", f"What computing takes, by what it took in {work.like}", columns, rows)


def _proposed(proposal: Proposal) -> str:
    width = "n/a" if proposal.widest_half_width is None else f"± {_points(proposal.widest_half_width)} points"
    return (
        f"  {proposal.what:<28}{count(proposal.n_pages, 'page')}, images of {proposal.image_mm:.1f} mm, widest interval {width}\n"
        f"      {proposal.words}"
    )
