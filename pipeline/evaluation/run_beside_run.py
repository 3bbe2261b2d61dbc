"""What a report says of another run beside its own: two printers, two phones, two defences, two simulated cameras."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.core.errors import BadInput, WrongUse
from pipeline.document.formats import count, listed
from pipeline.evaluation.criteria import criteria_for, n_ranked_of
from pipeline.evaluation.outcomes import made_on_model, outcomes_of, pairs_by_cell
from pipeline.evaluation.two_runs import Side, is_paired, run_comparisons, shared_images
from pipeline.records import CASES, SIMULATED, SOURCE, Cell
from pipeline.report.content import AgainstContent
from pipeline.report.words import cell_title
from pipeline.settings import Experiment
from pipeline.settings.writing import flat_settings
from pipeline.store import Run, file_hash
from pipeline.store.artefacts import CAPTURED, FIRST_LAYER, PAIRS, PDF, SELECTION, VIEWS, field_of

# What a run is called, how its report looks and what it is held to makes no difference between two runs.
_NOT_TOLD = ("name", "base", "report", "check")


def sides_of(experiment: Experiment, run: Run, other_experiment: Experiment, other: Run) -> tuple[Side, Side]:
    """Returns two finished runs as they are compared.

    Raises:
        WrongUse: both are the same run. BadInput: they have other classes, or no cell in common.
    """
    if run.reports.resolve() == other.reports.resolve():
        raise WrongUse(f'Run "{run.name}" cannot be compared with itself.', "Name another run.")
    _check_classes(run, other, *(SELECTION.read(one)["class_names"] for one in (run, other)))
    first, second = _side(experiment, run), _side(other_experiment, other)
    if not first.cells.keys() & second.cells.keys():
        have = [listed(sorted({f"{cell_title(*cell[1:])} ({cell[0]})" for cell in side.cells})) for side in (first, second)]
        raise BadInput(
            f'The runs "{run.name}" and "{other.name}" have no cell in common: {have[0]} against {have[1]}.',
            "A cell is a case and an attack at one epsilon; both runs need one that is the same.",
        )
    return first, second


def compared_with(experiment: Experiment, run: Run, other_experiment: Experiment, other: Run) -> AgainstContent:
    """Returns what differs between two finished runs, in settings and in every rate that both have; raises as `sides_of`."""
    first, second = sides_of(experiment, run, other_experiment, other)
    selections = [SELECTION.read(one) for one in (run, other)]
    common = [cell for cell in first.cells if cell in second.cells]
    names = run.name, name_beside(run, other)
    told, others = _settings(experiment, run), _settings(other_experiment, other)
    differing = [key for key in dict.fromkeys((*told, *others)) if told.get(key) != others.get(key)]
    facts = [_facts(*one) for one in zip((run, other), (first, second), selections, strict=True)]
    return AgainstContent(
        first=names[0],
        second=names[1],
        differences=tuple((key, str(told.get(key, "–")), str(others.get(key, "–"))) for key in differing),
        facts=tuple((key, facts[0][key], facts[1][key]) for key in facts[0]),
        notes=tuple(_notes(names, first, second, common)),
        rows=tuple(run_comparisons(first, second, criteria_for(min(n_ranked_of(found["model"]) for found in selections)))),
        first_layer=tuple(FIRST_LAYER.read(other)) if FIRST_LAYER.exists(other) else (),
    )


def name_beside(run: Run, other: Run) -> str:
    """Returns what another run is called beside one, with its workspace where the names are the same."""
    return other.name if run.name != other.name else f"{other.name} ({other.workspace})"


def _check_classes(run: Run, other: Run, names: list[str], other_names: list[str]) -> None:
    if names == other_names:
        return
    what = f"{len(names)} and {len(other_names)} classes"
    if len(names) == len(other_names):
        place = next(place for place, pair in enumerate(zip(names, other_names, strict=True)) if pair[0] != pair[1])
        what = f'class {place} is "{names[place]}" in the one and "{other_names[place]}" in the other'
    raise BadInput(
        f'The runs "{run.name}" and "{other.name}" know other classes: {what}.',
        "Compare models of the same classes; model.classes names them.",
    )


def _side(experiment: Experiment, run: Run) -> Side:
    cells = made_on_model(experiment, pairs_by_cell(experiment, PAIRS.read(run)))
    shown = VIEWS.values(run, "pair_id", "image_id", "sha256", where=field_of("transform") == SOURCE)
    files = {pair_id or image_id: sha256 for pair_id, image_id, sha256 in shown}
    return Side(cells, outcomes_of(run), files)


def _settings(experiment: Experiment, run: Run) -> dict[str, Any]:
    told = flat_settings(experiment, run.printouts)
    return {key: value for key, value in told.items() if key.partition(".")[0] not in _NOT_TOLD}


def _facts(run: Run, side: Side, selection: Mapping[str, Any]) -> dict[str, str]:
    """What no setting tells: the model that was loaded, and the photographs that were brought."""
    facts = {"model": f"{selection['model']['name']} ({selection['model']['fingerprint'][:12]})"}
    if side.photo is None:
        return facts | {"photographs": "none", "taken with": "–", "printed pages": "–"}
    captures = [capture for capture in CAPTURED.read(run) if capture.counts and capture.origin == side.photo.origin]
    kind = "simulated photograph" if side.photo.origin == SIMULATED else "real photograph"
    devices = sorted({capture.device or "unknown device" for capture in captures})
    printed = file_hash(PDF.path(run))[:12] if PDF.exists(run) else "on a screen"
    return facts | {"photographs": count(len(captures), kind), "taken with": listed(devices), "printed pages": printed}


def _notes(names: tuple[str, str], first: Side, second: Side, common: list[Cell]) -> Iterator[str]:
    for case in CASES:
        cells = [cell for cell in common if cell[0] == case]
        if cells:
            n_shared, n_first, n_second = shared_images(first, second, cells)
            how = "so each is compared with itself"
            if not is_paired(first, second, cells):
                how = (
                    "too few to compare images with themselves: the runs are independent samples, compared by Fisher's exact test"
                )
            yield f"{case.capitalize()} case: {n_shared} of {n_first} and {n_second} images are the same, {how}."
    for name, side, rest in ((names[0], first, second), (names[1], second, first)):
        alone = sorted({cell_title(*cell[1:]) for cell in side.cells if cell not in rest.cells})
        if alone:
            yield f"Only in {name}, and not compared: {listed(alone)}."
    if first.photo and second.photo:
        if first.photo.origin != second.photo.origin:
            yield "The photographs of the one run are real and those of the other simulated."
    else:
        yield "Photographs are not compared, for not both runs have any."
