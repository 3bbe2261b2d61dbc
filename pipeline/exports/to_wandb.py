"""Exports a run to Weights & Biases: into a folder of this machine, which is sent when a person says so."""

import os
from pathlib import Path

from pipeline.core.errors import Unavailable, in_a_line
from pipeline.exports.tables import Exported
from pipeline.exports.trackers import PROJECT, files_of, metrics, parameters


def to_wandb(found: Exported, output: str) -> tuple[list[Path | str], str]:
    """Makes a run of the project "inkproof": settings as its config, rates as its summary, report and tables as an artefact.

    Nothing leaves this machine unless WANDB_MODE is "online".

    Args:
        output: the folder that gets the folder wandb/; "" for the one where one is.

    Raises:
        Unavailable: wandb is not installed, or could not begin.
    """
    folder = Path(output or ".").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("WANDB_DATA_DIR", str(folder / "wandb"))  # what waits to be sent
    os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        import wandb
    except ImportError as error:
        raise Unavailable("wandb is not installed.", "Install it: pip install 'inkproof[wandb]'") from error
    try:
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=found.run.name,
            dir=str(folder),
            config=parameters(found) | {f"inkproof.{name}": value for name, value in found.facts.items()},
            settings=wandb.Settings(console="off", disable_git=True),
        )
        run.summary.update(metrics(found))
        with files_of(found) as files:
            artefact = wandb.Artifact(f"{found.run.name}-results", "results")
            for file in files:
                artefact.add_file(str(file))
            run.log_artifact(artefact)
            place = Path(run.settings.sync_dir)
            run.finish()
        wandb.teardown()  # only then is all of it on the disk
    except (wandb.Error, OSError) as error:
        raise Unavailable(f"wandb: {in_a_line(error)}.", "Write a folder of this machine with WANDB_MODE=offline.") from None
    is_offline = os.environ["WANDB_MODE"] == "offline"
    return [place], f"wandb sync {place}" if is_offline else ""
