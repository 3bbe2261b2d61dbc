"""The command that hands the results of a run to other tools."""

import argparse
from typing import Any

from pipeline.cli.commands import would_run
from pipeline.cli.finding import found_run


def export(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.exports import export
    from pipeline.stages.graph import check_done

    experiment, run = found_run(str(options.experiment), options.workspace, "", tuple(options.set), options.seed)
    check_done("rate", experiment, run)
    if options.dry_run:
        return would_run("export", f"the results of {run.name} would be written as {options.to}")
    written, after = export(options.to, experiment, run, options.output)
    following = {"next": after} if after else {}
    return {"wrote": written if options.json else ", ".join(written)} | following, 0
