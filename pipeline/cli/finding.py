"""Finds the run that a person means: by its TOML file, any of its folders, its workspace, or its name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.core.errors import BadInput, near_match


def found_run(
    text: str, workspace: Path, like: str = "", overrides: tuple[str, ...] = (), seed: int | None = None
) -> tuple[Any, Any]:
    """Returns the experiment and the run that are meant.

    The text is, in this order: an experiment file, whose run lies in the workspace or else beside it; printouts/NAME,
    captures/NAME or reports/NAME of any workspace; a workspace that holds one run, or one called `like`; the name of a run here.

    Raises:
        BadInput: there is no such run. WrongUse: its file says something that cannot be.
    """
    from pipeline.settings.reading import load_experiment
    from pipeline.store import Run
    from pipeline.store.artefacts import EXPERIMENT
    from pipeline.store.mirror import words_of

    path, found = Path(text), None
    if path.is_file():
        file, places = path, [workspace, path.parent]
        if path.name == EXPERIMENT.name and path.resolve().parents[1].name == EXPERIMENT.folder:  # the one that a run keeps
            places = [_shown(path.resolve().parents[2])]
    else:
        found = _of_folder(path, like) if path.is_dir() else None
        found = found or Run(workspace, text)
        if not EXPERIMENT.exists(found):
            raise BadInput(f'There is no run "{text}".', _hint(text, workspace))
        file, places = EXPERIMENT.path(found), []
    experiment = load_experiment(file, overrides, seed, () if seed is None else ("--seed", str(seed)))
    runs = [Run(place, experiment.name) for place in places]
    run = found or next((run for run in runs if EXPERIMENT.exists(run)), runs[0])
    source = experiment.source
    if source and run.workspace != Path("."):
        source = replace(source, flags=(*source.flags, "--workspace", words_of(run.workspace)))
    return replace(experiment, source=source), run


def _of_folder(folder: Path, like: str) -> Any:
    """Returns the run that a folder belongs to, or that lies in it; None where it has to do with none."""
    from pipeline.store import Run
    from pipeline.store.artefacts import EXPERIMENT
    from pipeline.store.run import CAPTURES, PRINTOUTS, REPORTS

    real = folder.resolve()
    if real.parent.name in (PRINTOUTS, CAPTURES, REPORTS):
        return Run(_shown(real.parents[1]), real.name)
    names = _names(real)
    if len(names) > 1 and like not in names:
        raise BadInput(f"{folder} holds {len(names)} runs: {', '.join(names)}.", f"Name one: {folder / PRINTOUTS / names[0]}")
    name = like if like in names else next(iter(names), "")
    run = Run(_shown(real), name)
    return run if name and EXPERIMENT.exists(run) else None


def _shown(folder: Path) -> Path:
    """Returns a folder as a person would write it from here."""
    here = Path.cwd().resolve()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _names(workspace: Path) -> list[str]:
    """Returns the names of the runs of a workspace."""
    from pipeline.store.artefacts import EXPERIMENT

    return sorted(file.parent.name for file in workspace.glob(f"{EXPERIMENT.folder}/*/{EXPERIMENT.name}"))


def _hint(text: str, workspace: Path) -> str:
    if text.endswith(".toml"):
        near = sorted(str(file) for file in Path(text).parent.glob("*.toml")) if Path(text).parent.is_dir() else []
        return near_match(text, near) if near else f"Make one with: inkproof init {text}"
    from pipeline.store.mirror import words_of

    names = _names(workspace)
    return (
        near_match(text, names) if names else f"No run lies in {words_of(workspace.resolve())}; name its folder or its TOML file."
    )
