"""What there is to choose from, and the check that an experiment chooses from it, before anything is made."""

from collections.abc import Callable
from pathlib import Path

from pipeline.attacks import attack_spec, attacks_listed, is_adapted
from pipeline.core.errors import WrongUse, near_match, placed
from pipeline.core.registry import load
from pipeline.datasets import DATASETS
from pipeline.images import picture_files
from pipeline.models import MODELS
from pipeline.physical.simulator import load_profile, profile_names, profile_summary
from pipeline.settings import Experiment, Source
from pipeline.settings.reading import section
from pipeline.specs.attacks import ATTACKS
from pipeline.specs.defences import DEFENCES
from pipeline.specs.transforms import TRANSFORMS
from pipeline.studies import STUDIES

_LISTS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "models": MODELS.listed,
    "networks": lambda: load("pipeline.models.networks:NETWORKS").listed(),
    "datasets": DATASETS.listed,
    "attacks": attacks_listed,
    "defences": DEFENCES.listed,
    "transforms": TRANSFORMS.listed,
    "profiles": lambda: [(name, profile_summary(name)) for name in profile_names()],
}


def listed(kind: str) -> list[tuple[str, str]]:
    """Returns (name, one line) of everything of a kind: models, networks, datasets, attacks, defences, transforms or profiles."""
    return _LISTS[kind]()


def check_names(experiment: Experiment) -> None:
    """Refuses names and values that only the registries know.

    Raises:
        WrongUse: an unknown attack, transform, profile or study, or a parameter out of its range, with its place in the file.
    """
    for number in range(len(experiment.attacks)):
        _check_attack(experiment, number)
    _check_defences(experiment)
    _check_grids(experiment)
    _check_profile(experiment)
    _check_background(experiment)
    study = experiment.report.reproduces
    if study and study not in STUDIES:
        raise WrongUse(f'{experiment.where("report.reproduces")}: unknown study "{study}".', near_match(study, STUDIES.names()))


def _check_attack(experiment: Experiment, number: int) -> None:
    """Checks each option by itself, all of them with their paths filled in, and that there are epsilons where it takes some."""
    attack, key = experiment.attacks[number], f"attacks.{number}"
    name, options, epsilons = (experiment.where(f"{key}.{part}") for part in ("name", "options", "epsilons_8bit"))
    if not is_adapted(attack.name):
        with placed(name):
            record = ATTACKS.find(attack.name).options
        if record:
            source = experiment.source or Source(Path("experiment"), {})
            section(load(record), attack.options, f"{key}.options", source, f"attacks.{attack.key}.options")
    spec = attack_spec(attack.name, options if attack.options else name, experiment.resolved_attacks()[number].options)
    if spec.takes_epsilon and not attack.epsilons_8bit:
        raise WrongUse(f'{name}: attack "{attack.name}" has no epsilon.', "Add for example: epsilons_8bit = [4, 16]")
    if attack.epsilons_8bit and not spec.takes_epsilon:
        raise WrongUse(f'{epsilons}: attack "{attack.name}" takes no epsilon.', "Leave epsilons_8bit out.")


def _check_defences(experiment: Experiment) -> None:
    asked = [
        (f"defences.{i}.options", f"defences.{entry.key}", entry.name, entry.options)
        for i, entry in enumerate(experiment.defences)
    ]
    models = [("model", experiment.model), *((f"judges.{i}", judge) for i, judge in enumerate(experiment.judges))]
    asked += [(f"{place}.defence_options", place, model.defence, model.defence_options) for place, model in models]
    source = experiment.source or Source(Path("experiment"), {})
    for place, shown, name, options in asked:
        if name:
            section(load(DEFENCES.find(name).options), options, place, source, f"{shown}.{place.rpartition('.')[2]}")
        elif options:
            raise WrongUse(f"{source.where(place)}: there are options, and no defence.", "Name the defence, or leave them out.")


def _check_grids(experiment: Experiment) -> None:
    for name, values in experiment.transforms.grids.items():
        with placed(experiment.where(f"transforms.{name}")):
            transform = TRANSFORMS.find(name)
            for value in values:
                if transform.whole and value != int(value):
                    raise WrongUse(f"{name} = {value:g}: expected a whole number.")
                if not transform.minimum <= value <= transform.maximum:
                    raise WrongUse(f"{name} = {value:g} is out of range: expected {transform.limits}.")


def _check_profile(experiment: Experiment) -> None:
    profile = experiment.photograph.profile
    with placed(experiment.where("photograph.profile")):
        if not profile.endswith(".toml") and profile not in profile_names():
            raise WrongUse(f'unknown profile "{profile}".', near_match(profile, profile_names()))
        load_profile(experiment.profile_place(profile))


def _check_background(experiment: Experiment) -> None:
    place = experiment.background_place()
    with placed(experiment.where("photograph.background")):
        if place:
            picture_files(place)
