"""The flow: which stages there are, what each depends on, and running what can run."""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.core.errors import NotFinished, Waiting, WrongUse
from pipeline.engine import Context
from pipeline.physical.photo_arrival import photo_arrival
from pipeline.planning.human_step import mixed_photos, pages_in
from pipeline.settings import ALL, IMAGES_OPTION, MODEL_ALONE, SECTIONS, Experiment, ModelSettings
from pipeline.settings.writing import experiment_text
from pipeline.store import Hashes, Run, artefacts, content_hash, locked, photo_files, photo_name
from pipeline.store.hashes import named_files
from pipeline.store.look import Look
from pipeline.store.run import CAPTURES, PRINTOUTS, REPORTS
from pipeline.store.stage import BOTH, DONE, MISSING, PERSON, PROGRAM, STALE, WAITING, Digests, Stage, StageStatus


def status(experiment: Experiment, run: Run, verify: bool = False) -> list[StageStatus]:
    """Returns the state of every stage, in the order of the flow; `verify` hashes every file again."""
    return Look(STAGES, experiment, run, verify).states()


def run_stage(name: str, experiment: Experiment, run: Run, context: Context, force: bool = False) -> StageStatus:
    """Runs one stage unless it is done, and returns its state.

    Raises:
        WrongUse: a stage that it reads is not done.
        Waiting: it waits for photographs.
    """
    _announce(name, context)
    _check_origins(experiment, run, [name])
    look, stage = Look(STAGES, experiment, run), STAGES[name]
    state = look.state(name)
    for needed in stage.needed(experiment):
        if look.state(needed).state != DONE:
            raise WrongUse(
                f"{name} needs {needed}, which is {_told(look.state(needed))}.", f"Type: inkproof run {experiment.words}"
            )
    if state.state == WAITING and not (force and stage.by(experiment) == BOTH):
        raise Waiting(f"{name} waits for photographs: {state.reason}.")
    for used in stage.uses:
        if look.state(used).state == STALE:
            raise WrongUse(
                f"{name} would use {used}, which is {_told(look.state(used))}.", f"Type: inkproof {used} {experiment.words}"
            )
    if state.state != DONE or force:
        check_would_run(experiment, run, context, [name])
        if force:
            stage.clear_kept(run)
        _keep_experiment(experiment, run)
        state = look.run(name, context)
    look.keep()
    return state


def check_done(name: str, experiment: Experiment, run: Run, needs_photos: bool = False) -> None:
    """Raises NotFinished where a stage is not done, for commands beside the flow that read what it made.

    With `needs_photos` also where photographs are still to be taken.
    """
    look, names = Look(STAGES, experiment, run), list(STAGES)
    if look.state(name).state != DONE:
        before = map(look.state, names[: names.index(name)])
        first = next((state for state in before if state.state in (STALE, MISSING)), look.state(name))
        raise NotFinished(f'Run "{run.name}": {first.stage} is {_told(first)}.', f"Type: inkproof run {experiment.words}")
    pages = pages_in(experiment, run, look.states()) if needs_photos else None
    if pages and not pages.are_all_in:
        raise NotFinished(f'Run "{run.name}": {pages.told}.', f"Type: inkproof status {experiment.words}")
    look.keep()


def check_whole(name: str, experiment: Experiment, run: Run) -> None:
    """Raises NotFinished where a stage of a run, taken as it was made, is missing or damaged."""
    look = Look(STAGES, experiment, run)
    if reason := look.why_broken(name):
        raise NotFinished(f'Run "{run.name}": {name} does not hold ({reason}).', f"Type: inkproof run {experiment.words}")
    look.keep()


def run_all(
    experiment: Experiment, run: Run, context: Context, force: bool = False, verify: bool = False
) -> Iterator[StageStatus]:
    """Runs every stage that can run, in order, and yields the state of each; a stage that waits is yielded and passed over.

    What is optional (explanations, thresholds, other judges, predicted photographs) and fails is left out, which the report says.

    It works on the photographs that were there when each stage began; of those that came later, the state of the stage that is
    concerned is yielded once more at the end, with a reason that says so.
    """
    look = Look(STAGES, experiment, run, verify)
    check_would_run(experiment, run, context, [name for name in STAGES if force or look.state(name).state != DONE])
    for stage in STAGES.values() if force else ():
        stage.clear_kept(run)
    _keep_experiment(experiment, run)
    for stage in STAGES.values():
        _announce(stage.name, context)
        state, by = look.state(stage.name), stage.by(experiment)
        blocked = any(look.state(needed).state != DONE for needed in stage.needed(experiment))
        waits = state.state == WAITING and not (force and by == BOTH)
        is_done = state.state == DONE and not force
        yield state if waits or blocked or is_done or by == PERSON else look.run(stage.name, context, may_fail=True)
    yield from look.came_later()


def what_would_run(experiment: Experiment, run: Run, only: str = "", force: bool = False) -> list[StageStatus]:
    """Returns the stages that a run would do now, each with the reason."""
    chosen = [state for state in status(experiment, run) if not only or state.stage == only]
    return [state for state in chosen if state.state in (STALE, MISSING) or (force and state.state == DONE)]


def check_would_run(experiment: Experiment, run: Run, context: Context, stages: Collection[str]) -> None:
    """Refuses, before any of these stages runs, what one of them would refuse later (see `check_ahead`).

    Raises:
        WrongUse: among others, photographs would be simulated where a person's lie already.
    """
    _check_origins(experiment, run, stages)
    if stages:
        from pipeline.stages.checks import check_ahead

        check_ahead(experiment, context, stages)


def _check_origins(experiment: Experiment, run: Run, stages: Collection[str]) -> None:
    if {"photograph", "crop"} & set(stages) and (mixed := mixed_photos(experiment, run)):
        raise WrongUse(*mixed)


def is_kept(experiment: Experiment, run: Run) -> bool:
    """Returns whether the run keeps the experiment's settings as they are."""
    text = experiment_text(experiment, run.printouts).encode()
    return artefacts.EXPERIMENT.exists(run) and artefacts.EXPERIMENT.read(run) == text


_NO_DEFENCE: dict[str, tuple[Any, ...]] = {
    "defence": ("",),
    "defence_options": ({},),
    "against": (ALL, MODEL_ALONE),
    "defences": ((),),
}


def _settings(*names: str) -> Callable[[Experiment], dict[str, Any]]:
    """Returns what tells these settings of an experiment; attacks, defences and judges are told by their names in the run.

    What says that there is no defence is left out: no result depends on it.
    """

    def told(entry: Any) -> dict[str, Any]:
        return {key: value for key, value in asdict(entry).items() if value not in _NO_DEFENCE.get(key, ())}

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return {entry.key: told(entry) for entry in value}
        return value if isinstance(value, str) else told(value)

    def all_told(experiment: Experiment) -> dict[str, Any]:
        found = {name: getattr(experiment, name) for name in names}
        return {name: plain(value) for name, value in found.items() if value not in _NO_DEFENCE.get(name, ())}

    return all_told


def _crop_settings(experiment: Experiment) -> dict[str, Any]:
    """Its contact sheets bear the run's name; with predicted photographs beside real ones, others count."""
    return _settings("name", "capture")(experiment) | {"predict": experiment.photograph.predicts}


def _select_inputs(experiment: Experiment, run: Run, hashes: Hashes) -> Digests:
    """The model's files, the profiles and pictures of attacks, and the images: of these only names and sizes."""
    found = _model_files(experiment.resolved_model(), hashes) | _attack_files(experiment, run, hashes)
    dataset = experiment.resolved_dataset()
    scheme, _, place = dataset.name.partition(":")
    if scheme == "folder" and Path(place).is_dir():
        in_class_folders = [entry for entry in hashes.listing(Path(place), dataset.follow_links) if "/" in entry[0]]
        found["images"] = content_hash(in_class_folders)
    if scheme == "csv" and Path(place).is_file():
        found["csv"] = hashes.of(Path(place))
        found["images"] = content_hash(named_files(Path(place), Path(dataset.root) if dataset.root else Path(place).parent))
    return found


def _model_files(model: ModelSettings, hashes: Hashes) -> Digests:
    """The user's own files that a model comes from; modules that these import are found when the model is loaded."""
    named = {"weights": model.weights, "classes": model.classes, "model": model.name.partition(":")[2]}
    named |= {f"arguments.{key}": value for key, value in model.arguments.items() if isinstance(value, str)}
    paths = {name: Path(text) for name, text in named.items() if text}
    if model.name.startswith("trained:"):  # its card tells the hash of its weights
        paths["card"] = paths["model"] / "card.json"
    if model.name.startswith("python:"):
        module = model.name.partition(":")[2].rpartition(":")[0]
        places = [Path(folder) for folder in model.python_path.split(os.pathsep)]
        files = [folder / name for name in (module, f"{module.replace('.', '/')}.py") for folder in places]
        paths["module"] = next((file for file in files if file.is_file()), files[0])
    return {name: hashes.of(path) for name, path in paths.items() if path.is_file()}


def _attack_files(experiment: Experiment, run: Run, hashes: Hashes) -> Digests:
    """The user's own profiles that attacks expect to be printed with, and folders that they learn from."""
    found = {}
    for attack in experiment.resolved_attacks():
        for key, value in attack.options.items():
            if _is_profile_file(value):
                found[f"{attack.key}.{key}"] = _profile_hash(value)
            elif key == IMAGES_OPTION and value and Path(value).is_dir():
                found[f"{attack.key}.{key}"] = content_hash(hashes.listing(Path(value)))
    return found


def _judge_files(experiment: Experiment, run: Run, hashes: Hashes) -> Digests:
    judges = experiment.resolved_judges()
    return {f"judges.{judge.label}.{name}": digest for judge in judges for name, digest in _model_files(judge, hashes).items()}


def _photograph_files(experiment: Experiment, run: Run, hashes: Hashes) -> Digests:
    """The user's own profile, and every picture that may lie on the table."""
    profile, background = experiment.profile_place(experiment.photograph.profile), experiment.background_place()
    found = {"profile": _profile_hash(profile)} if _is_profile_file(profile) else {}
    if background:
        from pipeline.images import picture_files

        found["background"] = content_hash([(path.name, hashes.of(path)) for path in picture_files(background)])
    return found


def _is_profile_file(value: object) -> bool:
    return isinstance(value, str) and value.endswith(".toml")


def _profile_hash(path: str) -> str:
    from pipeline.physical.simulator import load_profile, profile_content

    return content_hash(profile_content(load_profile(path)))


def _photos(experiment: Experiment, run: Run, hashes: Hashes) -> Digests:
    files = photo_files(run, by_camera=not experiment.photograph.simulates)
    return {f"photos/{photo_name(run, path)}": photo_arrival(run, path, hashes) for path in files}


def _imported(experiment: Experiment, run: Run, hashes: Hashes) -> Digests:
    found = {artefacts.JUDGEMENTS.file(judge): artefacts.judgements_of(judge) for judge in artefacts.JUDGEMENTS.stems(run)}
    return {name: hashes.of(table.path(run)) for name, table in found.items()}


def _certified(experiment: Experiment, run: Run, hashes: Hashes) -> Digests:
    found = artefacts.CERTIFIED
    return {found.name: hashes.of(found.path(run))} if found.exists(run) else {}


def _who_photographs(experiment: Experiment) -> str:
    if experiment.photograph.by != "camera":
        return PROGRAM
    return BOTH if experiment.photograph.predicts else PERSON


def _photographs_of_a_person(experiment: Experiment, run: Run, state: Callable[[str], StageStatus]) -> StageStatus:
    if state("layout").state != DONE:
        return StageStatus("photograph", WAITING, "the pages are not laid out yet")
    photos = photo_files(run, by_camera=True)
    if not photos:
        is_screen = experiment.layout.medium == "screen"
        show = f"show {artefacts.SCREEN.path(run) / 'index.html'}" if is_screen else f"print {artefacts.PDF.path(run)}"
        return StageStatus("photograph", WAITING, f"{show} and put the photos into {run.photos}")
    return StageStatus("photograph", DONE, "", {"n_photos": len(photos)})


def _no_photos(experiment: Experiment, run: Run) -> str:
    waits = experiment.photograph.by == "camera" and not photo_files(run, by_camera=True)
    return f"no photos in {run.photos}" if waits else ""


def _keep_experiment(experiment: Experiment, run: Run) -> None:
    """Writes the experiment's settings into the run, unless they are there as they are."""
    if not is_kept(experiment, run):
        with locked(run):
            artefacts.EXPERIMENT.write(run, experiment_text(experiment, run.printouts).encode())


def _told(state: StageStatus) -> str:
    return state.state + (f" ({state.reason})" if state.reason else "")


def _announce(name: str, context: Context) -> None:
    context.begins(name, list(STAGES).index(name) + 1, len(STAGES))


_STAGES: tuple[Stage[Experiment], ...] = (
    Stage(
        "select",
        PRINTOUTS,
        after=(),
        settings=_settings("dataset", "model", "selection", "attacks", "defences"),
        inputs=_select_inputs,
        makes=(artefacts.CANDIDATES, artefacts.SELECTED, artefacts.SELECTION, artefacts.FIRST_LAYER, artefacts.CLEAN_IMAGES),
        items=("select", "craft"),
    ),
    Stage(
        "generate",
        PRINTOUTS,
        after=("select",),
        settings=_settings("attacks", "defences"),
        inputs=_attack_files,
        makes=(artefacts.PAIRS, artefacts.IMAGES, artefacts.PATCHES),
        items=("craft",),
    ),
    Stage(
        "layout",
        PRINTOUTS,
        after=("generate", "select"),
        settings=_settings("layout"),
        makes=(artefacts.LAYOUT, artefacts.PDF, artefacts.SCREEN),
    ),
    Stage(
        "photograph",
        CAPTURES,
        after=("layout",),
        settings=_settings("photograph"),
        inputs=_photograph_files,
        makes=(artefacts.SIMULATED_PHOTO_FILES, artefacts.TRUTH),
        clears=(artefacts.TRUTH,),
        by=_who_photographs,
        is_optional=lambda experiment: experiment.photograph.predicts,
        theirs=_photographs_of_a_person,
    ),
    Stage(
        "crop",
        CAPTURES,
        after=("layout",),
        also_after=lambda experiment: ("photograph",) if experiment.photograph.simulates else (),
        settings=_crop_settings,
        arrivals=_photos,
        makes=(*artefacts.TABLES_OF_CROPS, artefacts.CROPS, artefacts.OVERLAYS, artefacts.CONTACT_SHEETS),
        items=("crop",),
        waits=_no_photos,
    ),
    Stage(
        "transform",
        CAPTURES,
        after=("generate",),
        settings=_settings("transforms"),
        makes=(artefacts.TRANSFORMED, artefacts.TRANSFORMED_IMAGES),
    ),
    Stage(
        "classify",
        REPORTS,
        after=("generate", "transform"),
        uses=("crop",),
        settings=_settings("model", "defences", "judges"),
        inputs=_judge_files,
        makes=(artefacts.VIEWS, artefacts.PREDICTIONS, artefacts.JUDGED),
        items=("classify",),
        is_optional=lambda experiment: bool(experiment.judges or experiment.defences),
    ),
    Stage(
        "rate",
        REPORTS,
        after=("classify", "generate", "select"),
        uses=("crop",),
        settings=lambda experiment: {"reproduces": experiment.report.reproduces},
        arrivals=_imported,
        makes=(*artefacts.TABLES_COUNTED.values(), artefacts.COUNTED),
    ),
    Stage(
        "thresholds",
        REPORTS,
        after=("classify", "generate", "select"),
        settings=_settings("model", "thresholds"),
        makes=(artefacts.THRESHOLDS, artefacts.THRESHOLDS_CSV),
        items=("thresholds",),
        is_optional=lambda _: True,
    ),
    Stage(
        "explain",
        REPORTS,
        after=("classify", "generate", "select"),
        uses=("crop",),
        settings=_settings("model", "explain"),
        makes=(artefacts.EXPLAIN,),
        items=("explain",),
        is_optional=lambda _: True,
    ),
    Stage(
        "report",
        REPORTS,
        after=("explain", "thresholds", "rate", "classify", "generate", "select"),
        uses=("crop",),
        settings=_settings(
            "name", *(name for name in SECTIONS if name != "check"), "transforms", "attacks", "defences", "judges"
        ),
        arrivals=_certified,
        makes=(artefacts.REPORT_PDF, artefacts.REPORT_HTML, artefacts.FIGURES, artefacts.TABLES),
    ),
)
STAGES = {stage.name: replace(stage, function=f"pipeline.stages.{stage.name}:{stage.name}") for stage in _STAGES}
