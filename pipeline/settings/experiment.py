"""An experiment as its file states it, with the places that its relative paths and variables mean."""

import os
import re
import shlex
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, SkipValidation
from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema

from pipeline.core.errors import WrongUse
from pipeline.core.file_names import FOLDER_NAME, folder_name
from pipeline.settings.fields import TABLE
from pipeline.settings.source import Source
from pipeline.settings.tables import (
    IMAGES_OPTION,
    AttackSettings,
    CaptureSettings,
    CheckSettings,
    DatasetSettings,
    DefenceSettings,
    ExplainSettings,
    JudgeSettings,
    LayoutSettings,
    ModelSettings,
    PhotographSettings,
    ReportSettings,
    SelectionSettings,
    ThresholdSettings,
    TransformSettings,
)

Model = TypeVar("Model", bound=ModelSettings)


@dataclass(frozen=True, config=TABLE)
class Experiment:
    """A whole experiment in its file's order; `base` is the folder that relative paths start from."""

    name: Annotated[str, AfterValidator(folder_name)] = Field(pattern=FOLDER_NAME)
    seed: int = Field(0, ge=0)
    dataset: DatasetSettings = Field(default_factory=DatasetSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    selection: SelectionSettings = Field(default_factory=SelectionSettings)
    defences: tuple[DefenceSettings, ...] = ()
    judges: tuple[JudgeSettings, ...] = ()
    attacks: tuple[AttackSettings, ...] = ()
    layout: LayoutSettings = Field(default_factory=LayoutSettings)
    photograph: PhotographSettings = Field(default_factory=PhotographSettings)
    capture: CaptureSettings = Field(default_factory=CaptureSettings)
    transforms: TransformSettings = Field(default_factory=TransformSettings)
    thresholds: ThresholdSettings = Field(default_factory=ThresholdSettings)
    explain: ExplainSettings = Field(default_factory=ExplainSettings)
    report: ReportSettings = Field(default_factory=ReportSettings)
    check: CheckSettings = Field(default_factory=CheckSettings)
    base: Path = Path(".")
    source: SkipJsonSchema[SkipValidation[Source | None]] = field(default=None, compare=False, repr=False)

    def where(self, key: str) -> str:
        """Returns `file:line` of a dotted key, for messages about it."""
        return self.source.where(key) if self.source else key

    def path(self, text: str) -> Path:
        """Returns a path of the file with variables filled in, relative to the experiment file's folder."""
        return resolve_path(text, self.base)

    def resolved_model(self) -> ModelSettings:
        """Returns the model's settings with every path filled in."""
        return self._resolved(self.model)

    def resolved_judges(self) -> tuple[JudgeSettings, ...]:
        """Returns everyone who judges: the model behind each defence, then the judges, with every path filled in, and a label."""
        judges = (replace(self._resolved(judge), label=judge.key) for judge in self.judges)
        return (*(self._defended(defence) for defence in self.defences), *judges)

    def resolved_defended(self) -> dict[str, ModelSettings]:
        """Returns the settings of the model behind each defence, by the defence's key."""
        return {defence.key: self._defended(defence) for defence in self.defences}

    def made_on(self, defence: str) -> dict[str, str]:
        """Returns the attacks made on a defence, by what each is called on the model alone, where it is made on that too."""
        of_it = (attack.key for attack in self.attacks if attack.defence == defence)
        return {key.removesuffix(f"-vs-{defence}"): key for key in of_it}

    def where_judge(self, number: int) -> str:
        """Returns where one of `resolved_judges` stands in the file."""
        n_defences = len(self.defences)
        return self.where(f"defences.{number}" if number < n_defences else f"judges.{number - n_defences}")

    def _defended(self, defence: DefenceSettings) -> JudgeSettings:
        model = self.resolved_model()
        told = {item.name: getattr(model, item.name) for item in fields(model)}
        return JudgeSettings(**told | {"defence": defence.name, "defence_options": defence.options, "label": defence.key})

    def _resolved(self, model: Model) -> Model:
        arguments = {key: self._filled(value) for key, value in model.arguments.items()}
        classes = model.classes if model.classes in ("", "imagenet-1k") else str(self.path(model.classes))
        weights = model.weights if model.weights in ("DEFAULT", "none") else str(self.path(model.weights))
        own = [str(self.path(folder)) for folder in model.python_path.split(os.pathsep) if folder]
        is_python = model.name.startswith("python:")
        return replace(
            model,
            name=self._filled_name(model.name),
            weights=weights,
            classes=classes,
            python_path=os.pathsep.join([*own, str(self.base)] if is_python else own),
            arguments=arguments,
        )

    def resolved_dataset(self) -> DatasetSettings:
        """Returns the data set's settings with every path filled in."""
        root = str(self.path(self.dataset.root)) if self.dataset.root else ""
        return replace(self.dataset, name=self._filled_name(self.dataset.name), root=root)

    def resolved_attacks(self) -> tuple[AttackSettings, ...]:
        """Returns the attacks' settings with the paths among their options filled in: a folder of images, and .toml files."""
        return tuple(
            replace(attack, options={key: self._option(key, value) for key, value in attack.options.items()})
            for attack in self.attacks
        )

    def _option(self, key: str, value: Any) -> Any:
        is_folder = key == IMAGES_OPTION and isinstance(value, str) and value
        return str(self.path(value)) if is_folder else self.profile_place(value)

    def profile_place(self, value: Any) -> Any:
        """Returns the path of a profile that is a .toml file; anything else, such as a built-in profile's name, as it is."""
        return str(self.path(value)) if isinstance(value, str) and value.endswith(".toml") else value

    def background_place(self) -> Path | None:
        """Returns the picture or folder of pictures that lies on the simulated table, None for drawn wood."""
        return self.path(self.photograph.background) if self.photograph.background else None

    def against_place(self) -> str:
        """Returns the run that [check] compares with: a path where it is written as one, else a name as it is."""
        against = self.check.against
        is_path = "/" in against or against.endswith(".toml") or against.startswith((".", "~", "$"))
        return str(self.path(against)) if is_path else against

    def _filled_name(self, name: str) -> str:
        scheme, _, rest = name.partition(":")
        if scheme == "python" and (file := rest.rpartition(":")[0]).endswith(".py"):
            return f"{scheme}:{self.path(file)}:{rest.rpartition(':')[2]}"
        return f"{scheme}:{self.path(rest)}" if scheme in ("folder", "csv", "onnx", "hf", "trained") and rest else name

    def _filled(self, value: Any) -> Any:
        return str(self.path(value)) if isinstance(value, str) and value.startswith(("./", "../", "$", "~")) else value

    @property
    def words(self) -> str:
        """What a person types after a command to mean this experiment, flags included."""
        if not self.source:
            return self.name
        return shlex.join([str(self.source.path), *self.source.flags])

    @property
    def file_name(self) -> str:
        """The experiment file's name, without its folder and without flags: what can be printed and typed on another day."""
        return shlex.quote(self.source.path.name) if self.source else self.name

    def cells(self) -> list[tuple[str, int]]:
        """Returns every (attack, epsilon) in the file's order."""
        return [(attack.key, epsilon) for attack in self.attacks for epsilon in attack.epsilons]


def resolve_path(text: str, base: Path) -> Path:
    """Returns a path with `~`, `$NAME` and `${NAME:-default}` filled in, relative to `base`.

    Raises:
        WrongUse: a variable without a default is not set.
    """

    def fill(match: re.Match[str]) -> str:
        name, default = match["name"] or match["bare"], match["default"]
        if name in os.environ:
            return os.path.abspath(os.environ[name])
        if default is None:
            raise WrongUse(f"{text}: the environment variable {name} is not set.", f"Set it, for example: export {name}=DIR")
        return default

    filled = re.sub(r"\$(?:\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}|(?P<bare>\w+))", fill, text)
    return base / Path(filled).expanduser()
