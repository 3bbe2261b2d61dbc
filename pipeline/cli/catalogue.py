"""What there is to choose from, and the check that an experiment chooses from it, before anything is made."""

from collections.abc import Callable
from pathlib import Path

from pipeline.attacks import ATTACKS, attack_named, available_attacks, is_adapted
from pipeline.core.errors import InkproofError, WrongUse, near_match
from pipeline.datasets import available_datasets
from pipeline.images import picture_files
from pipeline.models import available_models
from pipeline.physical.simulator import load_profile, profile_names, profile_summary
from pipeline.settings import IMAGES_OPTION, Experiment, Source
from pipeline.settings.reading import section
from pipeline.studies import STUDIES
from pipeline.transforms import TRANSFORMS, transform_named

_LISTS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "models": available_models,
    "datasets": available_datasets,
    "attacks": available_attacks,
    "transforms": lambda: [
        (item.name, f"{item.summary}; {', '.join(f'{x:g}' for x in item.grid)}") for item in TRANSFORMS.values()
    ],
    "profiles": lambda: [(name, profile_summary(name)) for name in profile_names()],
}


def listed(kind: str) -> list[tuple[str, str]]:
    """Returns (name, one line) of everything of a kind: models, datasets, attacks, transforms or profiles."""
    return _LISTS[kind]()


def check_names(experiment: Experiment) -> None:
    """Refuses names and values that only the registries know.

    Raises:
        WrongUse: an unknown attack, transform, profile or study, or a parameter out of its range, with its place in the file.
    """
    for number, attack in enumerate(experiment.attacks):
        if is_adapted(attack.name):
            _check_adapted(experiment, number)
            continue
        if attack.name not in ATTACKS:
            where = experiment.where(f"attacks.{number}.name")
            raise WrongUse(f'{where}: unknown attack "{attack.name}".', near_match(attack.name, ATTACKS))
        _check_options(experiment, number)
    for name, values in experiment.transforms.grids.items():
        where = experiment.where(f"transforms.{name}")
        transform = transform_named(name, where)
        for value in values:
            if transform.whole and value != int(value):
                raise WrongUse(f"{where}: {name} = {value:g}: expected a whole number.")
            if not transform.minimum <= value <= transform.maximum:
                expected = f"{transform.minimum:g} to {transform.maximum:g}"
                raise WrongUse(f"{where}: {name} = {value:g} is out of range: expected {expected}.")
    _check_profile(experiment, experiment.photograph.profile, "photograph.profile")
    _check_background(experiment)
    study = experiment.report.reproduces
    if study and study not in STUDIES:
        raise WrongUse(f'{experiment.where("report.reproduces")}: unknown study "{study}".', near_match(study, STUDIES))


def _check_options(experiment: Experiment, number: int) -> None:
    attack, key = experiment.attacks[number], f"attacks.{number}.options"
    kind = ATTACKS[attack.name].options
    if kind is None:
        if attack.options:
            raise WrongUse(f'{experiment.where(key)}: attack "{attack.name}" has no options.', "Leave options out.")
        return
    options = section(kind, attack.options, key, experiment.source or Source(Path("experiment"), {}))
    if hasattr(options, "profile"):
        _check_profile(experiment, options.profile, f"{key}.profile")
    folder = experiment.resolved_attacks()[number].options.get(IMAGES_OPTION)
    try:  # what one option alone cannot tell: targets, ranges, options that contradict each other
        attack_named(attack.name, options=experiment.resolved_attacks()[number].options)
        if folder:
            picture_files(Path(folder))
    except InkproofError as error:
        raise type(error)(f"{experiment.where(key)}: {error.message}", error.hint) from None


def _check_adapted(experiment: Experiment, number: int) -> None:
    attack = experiment.attacks[number]
    key = f"attacks.{number}.options" if attack.options else f"attacks.{number}.name"
    takes_epsilon = attack_named(attack.name, experiment.where(key), attack.options).family.takes_epsilon
    if takes_epsilon and not attack.epsilons_8bit:
        where = experiment.where(f"attacks.{number}.name")
        raise WrongUse(f'{where}: attack "{attack.name}" has no epsilon.', "Add for example: epsilons_8bit = [4, 16]")
    if attack.epsilons_8bit and not takes_epsilon:
        where = experiment.where(f"attacks.{number}.epsilons_8bit")
        raise WrongUse(f'{where}: attack "{attack.name}" takes no epsilon.', "Leave epsilons_8bit out.")


def _check_profile(experiment: Experiment, profile: str, key: str) -> None:
    where = experiment.where(key)
    if not profile.endswith(".toml") and profile not in profile_names():
        raise WrongUse(f'{where}: unknown profile "{profile}".', near_match(profile, profile_names()))
    try:
        load_profile(experiment.profile_place(profile))
    except InkproofError as error:
        raise type(error)(f"{where}: {error.message}", error.hint) from None


def _check_background(experiment: Experiment) -> None:
    place, where = experiment.background_place(), experiment.where("photograph.background")
    try:
        if place:
            picture_files(place)
    except InkproofError as error:
        raise type(error)(f"{where}: {error.message}", error.hint) from None
