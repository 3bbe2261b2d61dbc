"""The stages as a graph: which is done, stale (and why), missing or waiting for a person, and running what can run."""

import dataclasses
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.core.errors import AnswerNo, WrongUse
from pipeline.core.version import VERSION
from pipeline.engine import Context
from pipeline.settings import IMAGES_OPTION, SECTIONS, Experiment, JudgeSettings, ModelSettings
from pipeline.settings.writing import experiment_text
from pipeline.store import (
    Run,
    StageRecord,
    content_hash,
    file_hash,
    forget_stage,
    locked,
    photo_digest,
    photo_files,
    photo_name,
    photo_trouble,
    read_stage_record,
    remove_partial,
    replace_folder,
    why_stale,
    write_bytes,
    write_stage_record,
)

DONE, STALE, MISSING, WAITING = "done", "stale", "missing", "waiting"


@dataclass(frozen=True)
class Stage:
    """One stage of the flow: what it reads (`after`), what it would read if it is there (`uses`), and its own settings."""

    name: str
    summary: str
    folder: str
    after: tuple[str, ...]
    settings: Callable[[Experiment], dict[str, Any]]
    uses: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageStatus:
    """What is known of one stage without running it."""

    stage: str
    state: str
    reason: str = ""
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)


def _sections(*names: str) -> Callable[[Experiment], dict[str, Any]]:
    return lambda experiment: {name: _plain(getattr(experiment, name)) for name in names}


def _everything(experiment: Experiment) -> dict[str, Any]:
    return _sections(*SECTIONS, "attacks", "transforms")(experiment) | _judges(experiment)


def _asked(experiment: Experiment) -> dict[str, Any]:
    return _sections("model")(experiment) | _judges(experiment)


def _judges(experiment: Experiment) -> dict[str, Any]:
    """Without judges a run is what it was before there were any; of each judge only what is set counts."""
    default = dataclasses.asdict(JudgeSettings())
    said = {
        judge.shown_label: {key: value for key, value in dataclasses.asdict(judge).items() if value != default[key]}
        for judge in experiment.judges
    }
    return {"judges": said} if said else {}


def _layout(experiment: Experiment) -> dict[str, Any]:
    """A layout without a calibration page is what it was before there was one."""
    settings = dataclasses.asdict(experiment.layout)
    return {"layout": {key: value for key, value in settings.items() if value or key != "calibration"}}


def _capture(experiment: Experiment) -> dict[str, Any]:
    """With predicted photographs beside real ones, others count."""
    return _sections("capture")(experiment) | ({"predict": True} if experiment.photograph.predicts else {})


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        return {item.name: _without_empty_options(dataclasses.asdict(item)) for item in value}
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value


def _without_empty_options(settings: dict[str, Any]) -> dict[str, Any]:
    """An attack without options is what it was before there were any."""
    return {key: value for key, value in settings.items() if value or key != "options"}


STAGES = {
    stage.name: stage
    for stage in (
        Stage("select", "draw the images of every cell", "printouts", (), _sections("dataset", "model", "selection", "attacks")),
        Stage("generate", "attack them", "printouts", ("select",), _sections("attacks")),
        Stage("layout", "lay the pairs out on printable pages", "printouts", ("generate", "select"), _layout),
        Stage("photograph", "photograph the pages", "captures", ("layout",), _sections("photograph")),
        Stage("crop", "find the pages in the photos and crop every image", "captures", ("layout",), _capture),
        Stage("transform", "apply the digital transforms", "captures", ("generate",), _sections("transforms")),
        Stage("classify", "ask the model about every image", "reports", ("generate", "transform"), _asked, ("crop",)),
        Stage(
            "rate",
            "count accuracies and destruction rates",
            "reports",
            ("classify", "generate", "select"),
            _sections(),
            ("crop",),
        ),
        Stage(
            "thresholds",
            "find how much of each transform undoes each attack",
            "reports",
            ("classify", "generate", "select"),
            _sections("model", "thresholds"),
        ),
        Stage(
            "explain",
            "show what the model looks at",
            "reports",
            ("classify", "generate", "select"),
            _sections("model", "explain"),
            ("crop",),
        ),
        Stage(
            "report",
            "write the report",
            "reports",
            ("explain", "thresholds", "rate", "classify", "generate", "select"),
            _everything,
            ("crop",),
        ),
    )
}


def status(experiment: Experiment, run: Run) -> list[StageStatus]:
    """Returns the state of every stage, in the order of the flow."""
    known: dict[str, StageStatus] = {}
    for stage in STAGES.values():
        known[stage.name] = _status(stage, experiment, run, known)
    return list(known.values())


def run_stage(name: str, experiment: Experiment, run: Run, context: Context, force: bool = False) -> StageStatus:
    """Runs one stage unless it is done, and returns its state.

    Raises:
        WrongUse: a stage that it reads is not done.
        AnswerNo: it waits for photographs.
    """
    _announce(name, context)
    states = {state.stage: state for state in status(experiment, run)}
    stage, state = STAGES[name], states[name]
    for needed in stage.after:
        if states[needed].state != DONE:
            why = f" ({states[needed].reason})" if states[needed].reason else ""
            raise WrongUse(
                f"{name} needs {needed}, which is {states[needed].state}{why}.", f"Type: inkproof run {experiment.words}"
            )
    if state.state == WAITING and not (force and _is_predicting(stage, experiment)):
        raise AnswerNo(f"{name} waits for photographs.", state.reason)
    for used in stage.uses:
        if states[used].state == STALE:
            why = states[used].reason
            raise WrongUse(f"{name} would use {used}, which is stale ({why}).", f"Type: inkproof {used} {experiment.words}")
    if state.state == DONE and not force:
        return state
    if force:
        _clear_items(stage, run)
    return _run(stage, experiment, run, context)


def check_done(name: str, experiment: Experiment, run: Run) -> None:
    """Raises WrongUse where a stage is not done, for commands beside the flow that read what it made."""
    state = next(found for found in status(experiment, run) if found.stage == name)
    if state.state != DONE:
        why = f" ({state.reason})" if state.reason else ""
        raise WrongUse(f'Run "{run.name}": {name} is {state.state}{why}.', f"Type: inkproof run {experiment.words}")


def run_all(experiment: Experiment, run: Run, context: Context, force: bool = False) -> Iterator[StageStatus]:
    """Runs every stage that can run, in order, and yields the state of each; a stage that waits is yielded and passed over."""
    by_person = not experiment.photograph.simulates
    for stage in STAGES.values() if force else ():
        _clear_items(stage, run)
    for stage in STAGES.values():
        _announce(stage.name, context)
        states = {state.stage: state for state in status(experiment, run)}
        state = states[stage.name]
        blocked = any(states[needed].state != DONE for needed in stage.after)
        theirs = by_person and stage.name == "photograph"
        waits = state.state == WAITING and not (force and _is_predicting(stage, experiment))
        if waits or blocked or theirs or (state.state == DONE and not force):
            yield state
        else:
            state = _run(stage, experiment, run, context)
            if _is_predicting(stage, experiment):  # its photographs do not stand in for those that are still to be taken
                state = next(found for found in status(experiment, run) if found.stage == stage.name)
            yield state


def what_would_run(experiment: Experiment, run: Run, only: str = "", force: bool = False) -> list[StageStatus]:
    """Returns the stages that a run would do now, each with the reason."""
    states = status(experiment, run)
    chosen = [state for state in states if not only or state.stage == only]
    return [state for state in chosen if state.state in (STALE, MISSING) or (force and state.state == DONE)]


def instructions(experiment: Experiment, run: Run) -> str:
    """Returns what a person has to do when a run waits for photographs."""
    show = f"Print {run.pdf} at 100 % (not 'fit to page')"
    if experiment.layout.medium == "screen":
        show = f"Open {run.screen / 'index.html'} in a browser in full screen"
    return (
        f"{show}, photograph every page with its four codes in the frame,\n"
        f"copy the photos, under any names, into {run.photos}/ and type: inkproof run {experiment.words}\n"
        f"No printer at hand? Let one be simulated: inkproof run {experiment.words} --set photograph.by=simulator"
    )


def _announce(name: str, context: Context) -> None:
    context.begins(name, list(STAGES).index(name) + 1, len(STAGES))


def _status(stage: Stage, experiment: Experiment, run: Run, known: dict[str, StageStatus]) -> StageStatus:
    by_camera = experiment.photograph.by == "camera"
    if stage.name == "photograph" and by_camera and not experiment.photograph.predicts:
        return _camera_status(experiment, run, known)
    if stage.name == "crop" and by_camera and not photo_files(run, by_camera):
        return StageStatus("crop", WAITING, f"no photos in {run.photos}")
    record = read_stage_record(_folder(stage, run), stage.name)
    if record is None:
        return StageStatus(stage.name, MISSING)
    for needed in stage.after:
        if known[needed].state != DONE:
            return StageStatus(stage.name, STALE, f"{needed} is {known[needed].state}", record.summary)
    if stage.name == "crop" and experiment.photograph.simulates and known["photograph"].state != DONE:
        return StageStatus("crop", STALE, f"photograph is {known['photograph'].state}", record.summary)
    for used in stage.uses:
        if known[used].state != DONE and used in record.inputs:
            return StageStatus(stage.name, STALE, f"{used} is {known[used].state}", record.summary)
    settings = _as_recorded(stage.settings(experiment), record.settings)
    reason = why_stale(record, _folder(stage, run), settings, _inputs(stage, experiment, run, known), experiment.seed)
    if not reason and _is_predicting(stage, experiment):
        return _camera_status(experiment, run, known)
    return StageStatus(stage.name, STALE if reason else DONE, reason, record.summary)


def _as_recorded(settings: dict[str, Any], recorded: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what the record does not know and what is at its default: such a setting came later and changes nothing."""
    kept = {}
    for name, values in settings.items():
        before = recorded.get(name)
        if name in SECTIONS and isinstance(before, dict):
            default = SECTIONS[name]()
            values = {key: value for key, value in values.items() if key in before or value != getattr(default, key)}
        kept[name] = values
    return kept


def _is_predicting(stage: Stage, experiment: Experiment) -> bool:
    """Whether the stage simulates photographs and asks for real ones too."""
    return stage.name == "photograph" and experiment.photograph.predicts


def _camera_status(experiment: Experiment, run: Run, known: dict[str, StageStatus]) -> StageStatus:
    photos = photo_files(run, by_camera=True)
    if known["layout"].state != DONE:
        return StageStatus("photograph", WAITING, "the pages are not laid out yet")
    if not photos:
        show = f"show {run.screen / 'index.html'}" if experiment.layout.medium == "screen" else f"print {run.pdf}"
        return StageStatus("photograph", WAITING, f"{show} and put the photos into {run.photos}")
    crop = read_stage_record(run.captures, "crop")
    to_do = crop.summary.get("to_do", []) if crop else []
    missing = crop.summary.get("missing_pages", []) if crop else []
    reason = f"{len(missing)} of {crop.summary['n_pages']} pages not yet captured" if missing else ""
    notes = [f"page {entry['page']}: {entry['advice']}" for entry in to_do]
    return StageStatus("photograph", DONE, reason, {"n_photos": len(photos), "notes": notes})


def _run(stage: Stage, experiment: Experiment, run: Run, context: Context) -> StageStatus:
    with locked(run):
        return _run_locked(stage, experiment, run, context)


def _run_locked(stage: Stage, experiment: Experiment, run: Run, context: Context) -> StageStatus:
    folder = _folder(stage, run)
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    forget_stage(folder, stage.name)
    _keep_experiment(experiment, run)
    known = {state.stage: state for state in status(experiment, run)}
    for used in stage.uses:
        if known[used].state != DONE:
            forget_stage(_folder(STAGES[used], run), used)
    inputs, started = _inputs(stage, experiment, run, known), time.monotonic()
    outcome = getattr(import_module(f"pipeline.stages.{stage.name}"), stage.name)(experiment, run, context)
    outputs = {name: file_hash(folder / name) for name in sorted(outcome.outputs)}
    summary = {**outcome.summary, "notes": list(outcome.notes)}
    record = StageRecord(
        stage.name,
        VERSION,
        experiment.seed,
        stage.settings(experiment),
        inputs,
        outputs,
        json.loads(json.dumps(summary)),
    )
    write_stage_record(folder, record)
    _journal(run, stage.name, time.monotonic() - started)
    return StageStatus(stage.name, DONE, "", summary)


def _inputs(stage: Stage, experiment: Experiment, run: Run, known: dict[str, StageStatus]) -> dict[str, str]:
    inputs = {}
    for name in (*stage.after, *(used for used in stage.uses if known[used].state == DONE)):
        if record := read_stage_record(_folder(STAGES[name], run), name):
            inputs[name] = record.digest
    if stage.name == "select":
        inputs |= _external_files(experiment)
    if stage.name in ("select", "generate"):
        inputs |= _attack_profiles(experiment)
    if stage.name == "classify":
        for judge in experiment.resolved_judges():
            inputs |= {f"judges.{judge.label}.{name}": digest for name, digest in _model_files(judge).items()}
    if stage.name == "rate":
        inputs |= {f"judgements/{path.name}": file_hash(path) for path in sorted(run.judgements.glob("*.parquet"))}
    if stage.name == "photograph":
        inputs |= _photograph_files(experiment)
    if stage.name == "crop":
        from pipeline.images import missing_reader

        for path in photo_files(run, not experiment.photograph.simulates):
            digest, is_sound = photo_digest(run, path), photo_trouble(run, path) is None
            missing = missing_reader(path) if is_sound else ""
            inputs[f"photos/{photo_name(run, path)}"] = content_hash([digest, missing]) if missing else digest
    return inputs


def _external_files(experiment: Experiment) -> dict[str, str]:
    """Hashes the user's own files that the images and the model come from; of a folder of images only names and sizes."""
    inputs = _model_files(experiment.resolved_model())
    dataset = experiment.resolved_dataset()
    scheme, _, place = dataset.name.partition(":")
    if place and Path(place).is_file():
        inputs["csv"] = file_hash(Path(place))
    images = {"folder": Path(place), "csv": Path(dataset.root) if dataset.root else Path(place).parent}.get(scheme)
    if images and images.is_dir():
        inputs["images"] = content_hash(_listing(images))
    return inputs


def _model_files(model: ModelSettings) -> dict[str, str]:
    """Hashes the user's own files that a model comes from."""
    inputs = {}
    named = {"weights": model.weights, "classes": model.classes, "model": model.name.partition(":")[2]}
    named |= {f"arguments.{key}": value for key, value in model.arguments.items() if isinstance(value, str)}
    for name, text in named.items():
        if text and Path(text).is_file():
            inputs[name] = file_hash(Path(text))
    if model.name.startswith("python:"):
        module = model.name.partition(":")[2].rpartition(":")[0]
        for path in (Path(model.python_path) / module, Path(model.python_path) / f"{module.replace('.', '/')}.py"):
            if path.is_file():
                inputs["module"] = file_hash(path)
    return inputs


def _attack_profiles(experiment: Experiment) -> dict[str, str]:
    """Hashes the user's own profiles that attacks expect to be printed with, and folders that they learn from."""
    values = [(attack.name, key, value) for attack in experiment.resolved_attacks() for key, value in attack.options.items()]
    profiles = {f"{name}.{key}": _profile_hash(value) for name, key, value in values if _is_profile_file(value)}
    folders = ((name, key, Path(value)) for name, key, value in values if key == IMAGES_OPTION and value)
    return profiles | {f"{name}.{key}": content_hash(_listing(folder)) for name, key, folder in folders if folder.is_dir()}


def _photograph_files(experiment: Experiment) -> dict[str, str]:
    """Hashes the user's own profile, and every picture that may lie on the table."""
    inputs = {}
    profile, background = experiment.profile_place(experiment.photograph.profile), experiment.background_place()
    if _is_profile_file(profile):
        inputs["profile"] = _profile_hash(profile)
    if background:
        from pipeline.images import picture_files

        inputs["background"] = content_hash([(path.name, file_hash(path)) for path in picture_files(background)])
    return inputs


def _is_profile_file(value: object) -> bool:
    return isinstance(value, str) and value.endswith(".toml")


def _profile_hash(path: str) -> str:
    from pipeline.physical.simulator import load_profile, profile_content

    return content_hash(profile_content(load_profile(path)))


def _clear_items(stage: Stage, run: Run) -> None:
    shared = {"select": ("craft",), "generate": ("craft",), "classify": ("judge",)}
    for name in (stage.name, *shared.get(stage.name, ())):
        run.items(name, _folder(stage, run)).clear()
    if stage.name == "photograph":
        # a simulated photo counts as taken where the truth beside it says so
        replace_folder(run.truth, ())


def _listing(folder: Path) -> list[tuple[str, int]]:
    files = (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    return sorted((path.relative_to(folder).as_posix(), path.lstat().st_size) for path in files)


def _keep_experiment(experiment: Experiment, run: Run) -> None:
    text = experiment_text(experiment, run.experiment.parent).encode()
    if not run.experiment.is_file() or run.experiment.read_bytes() != text:
        write_bytes(run.experiment, text)


def _journal(run: Run, stage: str, seconds: float) -> None:
    """Notes what a stage cost: the one file of a run that differs between two runs of the same experiment."""
    run.journal.parent.mkdir(parents=True, exist_ok=True)
    peak_mb = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024
    with run.journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"stage": stage, "seconds": round(seconds, 1), "peak_memory_mb": peak_mb}) + "\n")


def _folder(stage: Stage, run: Run) -> Path:
    return getattr(run, stage.folder)
