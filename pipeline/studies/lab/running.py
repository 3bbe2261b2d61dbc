"""Runs a study that measures: each part once, then one document of all of them, with the findings first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.errors import WrongUse
from pipeline.document.blocks import Block, Findings, Head, Section, plain
from pipeline.document.formats import count, p_value
from pipeline.document.pages import SIMULATED_BAND
from pipeline.engine import Context
from pipeline.records import SIMULATED, VERDICTS, FindingRow
from pipeline.report.writing import write_document
from pipeline.store import Run, csv_bytes, locked, write_bytes
from pipeline.studies.claims import VERDICT_TITLES
from pipeline.studies.lab.bench import Bench, check_data
from pipeline.studies.lab.parts import Lab, Observation, Told, findings, judged
from pipeline.studies.study import Study

FINDINGS, FINDINGS_TEXT = "findings.csv", "findings.md"


@dataclass(frozen=True)
class Reproduced:
    """A study's findings in their order, each with its statement, and where everything was written."""

    rows: tuple[FindingRow, ...]
    statements: tuple[str, ...]
    folder: Path
    written: tuple[str, ...]


def reproduce(
    study: Study,
    workspace: Path,
    context: Context,
    small: bool,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
    force: bool = False,
) -> Reproduced:
    """Measures what has not been measured before, and writes `reports/<study>/` (with -small for the small variant).

    Networks are trained into `models/studies/` once for all studies; each part's result is kept under `.items` there, so that an
    interrupted study goes on where it stopped.

    Args:
        force: measure every part again; networks are kept.

    Raises:
        Unavailable: the data that it needs is not there.
        WrongUse: the study does not measure for itself.
    """
    lab = study.lab()
    if lab is None:
        raise WrongUse(f"{study.name} is not measured part by part.", f"Type: {study.command}")
    check_data(study.name, lab.data)
    run = Run(workspace, f"{study.name}-small" if small else study.name)
    items = run.items("study", run.reports)
    if force:
        items.clear()
    bench = Bench(study.name, small, seed, workspace / "models" / "studies", items, context, say)
    told = []
    with locked(run):
        for place, part in enumerate(lab.parts):
            context.begins(part.key, place, len(lab.parts))
            told.append(part.tell(bench.measured(part)))
            say(f"{part.title}: measured ({place + 1} of {len(lab.parts)})")
        items.prune()
        observations = [one for part in told for one in part.observations]
        rows = judged(observations, SIMULATED)
        written = write_document(_head(study, small), _sections(study, lab, told, rows), run.reports, context)
        write_bytes(run.reports / FINDINGS, csv_bytes(FindingRow, rows))
        write_bytes(run.reports / FINDINGS_TEXT, _as_markdown(observations, rows).encode())
    statements = tuple(one.statement for one in observations)
    return Reproduced(tuple(rows), statements, run.reports, (*written, FINDINGS, FINDINGS_TEXT))


def _head(study: Study, small: bool) -> Head:
    variant = " (small variant)" if small else ""
    return Head(f"{study.title}: {study.reference}, repeated{variant}", study.name, SIMULATED_BAND)


def _as_markdown(observations: Sequence[Observation], rows: Sequence[FindingRow]) -> str:
    """Returns a table of the findings: what is stated, what was found, and how sure that is."""
    lines = ["| statement | found | n | p, corrected | verdict |", "|---|---|---|---|---|"]
    for one, row in zip(observations, rows, strict=True):
        found = "; ".join(f"{check.where}: {check.counts}" for check in one.checks)
        is_against = row.verdict == "not_held"
        p = f"{p_value(row.p_against_holm)} for the opposite" if is_against else p_value(row.p_holm)
        cells = (one.statement, found, f"{row.n:,}", p, VERDICT_TITLES[row.verdict])
        lines.append(f"| {' | '.join(cell.replace('|', '∣') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _sections(study: Study, lab: Lab, told: Sequence[Told], rows: Sequence[FindingRow]) -> list[Section]:
    counted = [(sum(row.verdict == verdict for row in rows), VERDICT_TITLES[verdict]) for verdict in VERDICTS]
    summary = f"**{count(len(rows), 'finding')}**: {', '.join(f'{n} {title}' for n, title in counted)}."
    observations = [one for part in told for one in part.observations]
    first: list[Block] = [plain(lab.lead)] if lab.lead else []
    found = findings(observations, rows)
    first += [plain(summary, "lead"), Findings(tuple(replace(one, counted="", evidence=()) for one in found))]
    sections = [Section("summary", "Summary", tuple(first)), Section("findings", "Findings in detail", (Findings(found),))]
    return sections + [Section(part.key, part.title, said.blocks) for part, said in zip(lab.parts, told, strict=True)]
