"""The one thing to do next, of a run in any state: it leads on, until the report is there to be opened."""

from collections.abc import Sequence
from typing import Any

from pipeline.core.errors import Waiting


def next_step(experiment: Any, run: Any, states: Sequence[Any], stage_by_stage: bool = False) -> str:
    """Returns what to type or do next: a command, with what a person has to do before in brackets; at the end, what to open.

    Args:
        states: of all stages, in the order of the flow. stage_by_stage: whether it is a stage that is to be typed, or `run`.
    """
    from pipeline.planning.human_step import mixed_photos, pages_in
    from pipeline.store.artefacts import REPORT_HTML
    from pipeline.store.stage import DONE, WAITING

    if mixed_photos(experiment, run):
        return f"inkproof run {experiment.words} --set photograph.by=camera"
    pages = pages_in(experiment, run, states)
    open_ones = [state.stage for state in states if state.state not in (DONE, WAITING)]
    waits = pages is not None and bool(pages.missing)
    if stage_by_stage:
        waiting = [state.stage for state in states if state.stage == "crop" and waits]
        # a person's pages come before what is made of them, and after what is done without them
        order = [state.stage for state in states if state.stage in (*open_ones, *waiting)]
        if order and order[0] != "crop":
            return f"inkproof {order[0]} {experiment.words}"
        if order:
            return f"inkproof crop {experiment.words}" + (f" ({_first(pages, run)})" if waits else "")
    elif open_ones:
        return f"inkproof run {experiment.words}"
    elif waits:
        return f"inkproof run {experiment.words} ({_first(pages, run)})"
    return f"open {REPORT_HTML.path(run)}"


def waiting_code(pages: Any) -> int:
    """Returns the exit code of a command that ended as far as it gets: that of waiting where pages are missing."""
    return Waiting.exit_code if pages is not None and pages.missing else 0


def _first(pages: Any, run: Any) -> str:
    rest = "the rest of " if pages.n_photos else ""
    return f"when {rest}the photos are in {run.photos}/"
