"""What `inkproof report --compare` does: writes a run's report with another run beside it, into a folder of its own."""

from dataclasses import replace
from pathlib import Path

from pipeline.engine import Context
from pipeline.evaluation.run_beside_run import compared_with
from pipeline.records import SIMULATED
from pipeline.records.rates import RUN_COMPARISON_COLUMNS
from pipeline.report.against import against_sentences
from pipeline.settings import Experiment
from pipeline.stages.report import report_content, write_report
from pipeline.store import Run, csv_bytes, json_bytes, locked, write_bytes


def write_against(
    experiment: Experiment, run: Run, context: Context, other_experiment: Experiment, other: Run
) -> tuple[Path, list[str]]:
    """Writes `reports/<run>/against-<other>/`: the report, `comparison.csv` and `.json`; the run's own stay as they are.

    Returns:
        the folder, and the sentences that matter.

    Raises:
        WrongUse: both are the same run.
        BadInput: the runs have other classes, or no cell in common.
    """
    against = compared_with(experiment, run, other_experiment, other)
    content = report_content(experiment, run)
    others = {row.second.origin for row in against.rows}
    content = replace(content, against=against, simulated=content.simulated or SIMULATED in others)
    folder = run.reports / f"against-{other.name if other.name != run.name else f'{other.workspace.resolve().name}-{other.name}'}"
    table = {"first": against.first, "second": against.second, "differences": against.differences, "notes": against.notes}
    told = [sentence.replace("**", "") for sentence in against_sentences(against)]
    with locked(run):
        write_report(content, folder, context)
        write_bytes(folder / "comparison.csv", csv_bytes(RUN_COMPARISON_COLUMNS, against.rows))
        write_bytes(folder / "comparison.json", json_bytes({**table, "sentences": told, "rows": against.rows}))
    return folder, told
