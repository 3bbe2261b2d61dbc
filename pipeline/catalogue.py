"""What there is to choose from, and the check that an experiment chooses from it, before anything is made."""

from collections.abc import Callable

from pipeline.attacks import ATTACKS
from pipeline.datasets import available_datasets
from pipeline.errors import WrongUse, near_match
from pipeline.models import available_models
from pipeline.settings import Experiment
from pipeline.simulator import profile_names, profile_summary
from pipeline.transforms import TRANSFORMS, transform_named

_LISTS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "models": available_models,
    "datasets": available_datasets,
    "attacks": lambda: [(name, entry.summary) for name, entry in ATTACKS.items()],
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
        WrongUse: an unknown attack, transform or profile, or a parameter out of its range, with its place in the file.
    """
    for number, attack in enumerate(experiment.attacks):
        if attack.name not in ATTACKS:
            where = experiment.where(f"attacks.{number}.name")
            raise WrongUse(f'{where}: unknown attack "{attack.name}".', near_match(attack.name, ATTACKS))
    for name, values in experiment.transforms.grids.items():
        where = experiment.where(f"transforms.{name}")
        transform = transform_named(name, where)
        for value in values:
            if transform.whole and value != int(value):
                raise WrongUse(f"{where}: {name} = {value:g}: expected a whole number.")
            if not transform.minimum <= value <= transform.maximum:
                expected = f"{transform.minimum:g} to {transform.maximum:g}"
                raise WrongUse(f"{where}: {name} = {value:g} is out of range: expected {expected}.")
    profile, names = experiment.photograph.profile, profile_names()
    if profile not in names:
        raise WrongUse(f'{experiment.where("photograph.profile")}: unknown profile "{profile}".', near_match(profile, names))


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
