"""What an experiment can say: one frozen record a section, each setting with its default, its limits and its explanation."""

import dataclasses
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pipeline.core.errors import WrongUse

# The epsilon of attacks that take none, because they look for the smallest change or change a place and not a ball.
NO_EPSILON = 0
WITHOUT_EPSILON = ("deepfool", "jsma", "lbfgs", "cw-l2", "cw-l0", "cw-linf", "patch")

# The option of an attack that names a folder of pictures.
IMAGES_OPTION = "images"


def setting(default: Any, doc: str, **limits: Any) -> Any:
    """Returns a field of a settings record: its default, what it means, and `minimum`, `maximum`, `choices` or `unit`."""
    metadata = {"doc": doc, **limits}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class DatasetSettings:
    """Images with true labels."""

    name: str = setting(
        "builtin:signs", 'Where the images come from: "builtin:signs", "folder:DIR", "csv:FILE" or "torchvision:NAME".'
    )
    n_images: int = setting(0, "Look at no more than this many images (0: all; the built-in set then has 500).", minimum=0)
    root: str = setting("", "Folder that a CSV's paths or a torchvision data set start from.")
    path_column: str = setting("", "CSV column with the image's path (empty: found by its name).")
    label_column: str = setting("", "CSV column with the true label: index, name or WordNet id (empty: found by its name).")
    split: str = setting("test", "Which part of a data set that has parts.")


@dataclass(frozen=True)
class ModelSettings:
    """The classifier under test; its preprocessing is part of it."""

    name: str = setting(
        "builtin:signs",
        '"builtin:signs", "torchvision:NAME", "timm:NAME", "python:MODULE:FACTORY" or "onnx:FILE" (predictions only).',
    )
    weights: str = setting("DEFAULT", '"DEFAULT", "none" or a local .pth or .safetensors file.')
    input_px: int = setting(0, "Side of the square model input (0: the model's own).", minimum=0, maximum=4096, unit="px")
    resize_px: int = setting(0, "Shorter side before the centre crop (0: the model's own).", minimum=0, maximum=8192, unit="px")
    mean: tuple[float, ...] = setting((), "Mean per channel, of pixels in [0, 1] (empty: the model's own).")
    std: tuple[float, ...] = setting((), "Standard deviation per channel (empty: the model's own).")
    classes: str = setting("", "File with the class names: JSON index -> name or [WordNet id, name], or one name a line.")
    n_classes: int = setting(0, "Number of classes, where the model does not tell (0: as the weights say).", minimum=0)
    python_path: str = setting("", "Folder put first on the import path for a python: model.")
    arguments: dict[str, Any] = field(
        default_factory=dict,
        metadata={"doc": "Keyword arguments for a python: factory; values that start with ./ or ../ or $ are paths."},
    )


@dataclass(frozen=True)
class JudgeSettings(ModelSettings):
    """A further model that judges the saved files and the photographs, and is not attacked (see transfer.md)."""

    label: str = setting("", "What it is called in tables (empty: its name).")

    @property
    def shown_label(self) -> str:
        """What it is called in tables and files."""
        return self.label or self.name


@dataclass(frozen=True)
class SelectionSettings:
    """Which images are drawn for each cell: an attack at one epsilon."""

    cases: tuple[str, ...] = setting(
        ("average", "prefiltered"),
        'The paper\'s two cases: "average" (random images) and "prefiltered" (clean right, adversarial wrong, both confident).',
        choices=("average", "prefiltered"),
    )
    n_images: int = setting(24, "Images per cell and case (the paper: 102).", minimum=1, maximum=1_000_000)
    draw: str = setting(
        "shared",
        '"shared": every cell walks one random order of the images; "per-cell": a fresh order for each cell, as in the paper.',
        choices=("shared", "per-cell"),
    )
    min_confidence: float = setting(
        0.8, "Least top-1 probability, clean and adversarial, in the prefiltered case.", minimum=0, maximum=1
    )


@dataclass(frozen=True)
class AttackSettings:
    """One attack and its strengths."""

    name: str = setting("fgsm", "Name of the attack: see `inkproof list attacks`.")
    label: str = setting("", "What it is called in this run, where one attack is listed twice with other options (empty: name).")
    epsilons_8bit: tuple[int, ...] = setting(
        (),
        "Largest change of a pixel (left out: 4 and 16; attacks that look for the smallest change take none).",
        minimum=1,
        maximum=255,
        unit="8-bit",
    )
    options: dict[str, Any] = field(default_factory=dict, metadata={"doc": "Options of the attack, for those that have any."})

    @property
    def key(self) -> str:
        """What the attack is called in every record, table and folder of the run."""
        return self.label or self.name.replace(":", "-")

    @property
    def epsilons(self) -> tuple[int, ...]:
        """The epsilons, NO_EPSILON alone where the attack takes none."""
        return self.epsilons_8bit or (NO_EPSILON,)


@dataclass(frozen=True)
class LayoutSettings:
    """The pages to print, or to show on a screen."""

    medium: str = setting(
        "paper",
        '"paper": a PDF to print; "screen": pictures and an HTML page to show pixel by pixel and to photograph.',
        choices=("paper", "screen"),
    )
    paper: str = setting("A4", "Paper size.", choices=("A4", "Letter"))
    orientation: str = setting("portrait", "Orientation of the sheet.", choices=("portrait", "landscape"))
    pairs_per_page: int = setting(3, "Clean/adversarial pairs on a page (the paper: 3).", minimum=1, maximum=24)
    image_mm: float = setting(0.0, "Side of a printed image (0: as large as fits).", minimum=0, unit="mm")
    dpi: int = setting(600, "Printer dots per inch that pixels are aligned to.", choices=(300, 600, 1200), unit="dots per inch")
    aids: bool = setting(
        True, "Print corner tags, registration marks and a colour strip beside the images (the codes are always there)."
    )
    calibration: bool = setting(
        False, "Add a calibration page, from a photo of which `inkproof calibrate` makes a profile of your printer and phone."
    )


@dataclass(frozen=True)
class PhotographSettings:
    """Who takes the photographs."""

    by: str = setting(
        "simulator",
        '"camera": you print and photograph; "simulator": a simulated printer and phone.',
        choices=("camera", "simulator"),
    )
    profile: str = setting(
        "office-phone", "Simulated printer and camera: a name (see `inkproof list profiles`) or a .toml file of your own."
    )
    background: str = setting(
        "", "Picture that lies on the simulated table, or a folder of which each page draws one (empty: drawn wood)."
    )
    predict: bool = setting(
        False, 'With by = "camera": simulate the photographs as well, and report the predicted beside the measured rates.'
    )

    @property
    def predicts(self) -> bool:
        """Whether photographs are simulated beside real ones."""
        return self.by == "camera" and self.predict

    @property
    def simulates(self) -> bool:
        """Whether photographs are simulated, alone or beside real ones."""
        return self.by == "simulator" or self.predict


@dataclass(frozen=True)
class CaptureSettings:
    """How photographs are read."""

    strict: bool = setting(False, "Discard every photo in which one of the four codes is missing, as the paper did.")
    count: str = setting(
        "best",
        'Of several photos of one page "best" counts the one with the least predicted error, "all" counts every one.',
        choices=("best", "all"),
    )
    linear_light: bool = setting(False, "Average the photo's pixels in linear light instead of in sRGB values.")
    colour: str = setting(
        "as-photographed",
        '"strip": white balance and tone are corrected by the printed strip (the paper corrects nothing).',
        choices=("as-photographed", "strip"),
    )


@dataclass(frozen=True)
class ThresholdSettings:
    """How much of each digital transform undoes each working attack: see transforms.md."""

    n_images: int = setting(20, "Working attacks of each cell and case that are looked at (0: none).", minimum=0)
    transforms: tuple[str, ...] = setting(
        ("brightness", "contrast", "blur", "noise", "jpeg"),
        "Which transforms; brightness and contrast are lowered and raised.",
        choices=("brightness", "contrast", "blur", "noise", "jpeg"),
    )
    brightness_resolution_8bit: float = setting(
        1.0, "How closely a threshold is pinned down.", minimum=0.01, maximum=80, unit="8-bit"
    )
    contrast_resolution: float = setting(0.01, "The same for the factor of contrast.", minimum=0.001, maximum=0.8)
    blur_resolution_px: float = setting(0.05, "The same for the sigma of blur.", minimum=0.001, maximum=4, unit="px")
    noise_resolution_8bit: float = setting(0.5, "The same for the sigma of noise.", minimum=0.01, maximum=40, unit="8-bit")


@dataclass(frozen=True)
class ExplainSettings:
    """Maps of what the model looks at, in a few pairs: the clean file, the adversarial one and its photograph."""

    n_images: int = setting(4, "Pairs to explain, chosen as the gallery's are (0: none).", minimum=0, maximum=60)
    images: tuple[str, ...] = setting(
        (), "Ids of images, or of pairs (attack-eps4/image), to explain instead; an image stands for its first attack that works."
    )
    methods: tuple[str, ...] = setting(
        ("occlusion", "gradcam"),
        '"occlusion": cover the image patch by patch; "gradcam": the gradient at a layer, where the network has one with a map.',
        choices=("occlusion", "gradcam"),
    )
    layer: str = setting("", "Layer for Grad-CAM (empty: the last map of a convolution, such as layer4 of a ResNet).")
    patch_px: int = setting(0, "Side of the covering patch (0: a seventh of the input).", minimum=0, maximum=4096, unit="px")
    stride_px: int = setting(0, "Step of the patch (0: half of it).", minimum=0, maximum=4096, unit="px")
    patch_value: str = setting(
        "mean",
        'What covers: "mean" (the image\'s own mean colour), "random" (noise), "grey" or "black".',
        choices=("mean", "random", "grey", "black"),
    )
    target: str = setting(
        "true",
        'Class to explain: "true", "predicted" (what the model says of the adversarial file), or a class by name or index.',
    )


@dataclass(frozen=True)
class ReportSettings:
    """The report."""

    title: str = setting("", "Title on the first page (empty: made from the run's name).")
    n_gallery: int = setting(6, "Rows in the gallery.", minimum=0, maximum=60)
    reproduces: str = setting("", "Study whose published tables are set beside this run's (empty: none).")


@dataclass(frozen=True)
class TransformSettings:
    """Digital transforms, each with the values of its parameter."""

    grids: dict[str, tuple[float, ...]] = field(default_factory=dict)
    save_images: bool = False


Model = TypeVar("Model", bound=ModelSettings)


@dataclass(frozen=True)
class Experiment:
    """A whole experiment as its file states it; `base` is the folder that relative paths start from."""

    name: str
    seed: int
    dataset: DatasetSettings
    model: ModelSettings
    selection: SelectionSettings
    attacks: tuple[AttackSettings, ...]
    layout: LayoutSettings
    photograph: PhotographSettings
    capture: CaptureSettings
    transforms: TransformSettings
    report: ReportSettings
    base: Path = Path(".")
    judges: tuple[JudgeSettings, ...] = ()
    thresholds: ThresholdSettings = field(default_factory=ThresholdSettings)
    explain: ExplainSettings = field(default_factory=ExplainSettings)
    source: "Source | None" = field(default=None, compare=False, repr=False)

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
        """Returns the judges' settings with every path filled in, and with the labels that they are shown under."""
        return tuple(dataclasses.replace(self._resolved(judge), label=judge.shown_label) for judge in self.judges)

    def _resolved(self, model: Model) -> Model:
        arguments = {key: self._filled(value) for key, value in model.arguments.items()}
        local = {key: str(self.path(value)) if (value := getattr(model, key)) else "" for key in ("classes", "python_path")}
        weights = model.weights if model.weights in ("DEFAULT", "none") else str(self.path(model.weights))
        return dataclasses.replace(model, name=self._filled_name(model.name), weights=weights, arguments=arguments, **local)

    def resolved_dataset(self) -> DatasetSettings:
        """Returns the data set's settings with every path filled in."""
        root = str(self.path(self.dataset.root)) if self.dataset.root else ""
        return dataclasses.replace(self.dataset, name=self._filled_name(self.dataset.name), root=root)

    def resolved_attacks(self) -> "tuple[AttackSettings, ...]":
        """Returns the attacks' settings with the paths among their options filled in: a folder of images, and .toml files."""
        return tuple(
            dataclasses.replace(attack, options={key: self._option(key, value) for key, value in attack.options.items()})
            for attack in self.attacks
        )

    def _option(self, key: str, value: Any) -> Any:
        is_folder = key == IMAGES_OPTION and isinstance(value, str) and value
        return str(self.path(value)) if is_folder else self.profile_place(value)

    def profile_place(self, value: Any) -> Any:
        """Returns the path of a profile that is a .toml file; anything else, such as a built-in profile's name, as it is."""
        return str(self.path(value)) if isinstance(value, str) and value.endswith(".toml") else value

    def background_place(self) -> "Path | None":
        """Returns the picture or folder of pictures that lies on the simulated table, None for drawn wood."""
        return self.path(self.photograph.background) if self.photograph.background else None

    def _filled_name(self, name: str) -> str:
        scheme, _, rest = name.partition(":")
        return f"{scheme}:{self.path(rest)}" if scheme in ("folder", "csv", "onnx") and rest else name

    def _filled(self, value: Any) -> Any:
        return str(self.path(value)) if isinstance(value, str) and value.startswith(("./", "../", "$", "~")) else value

    @property
    def words(self) -> str:
        """What a person types after a command to mean this experiment, flags included."""
        if not self.source:
            return self.name
        return shlex.join([str(self.source.path), *self.source.flags])

    def cells(self) -> list[tuple[str, int]]:
        """Returns every (attack, epsilon) in the file's order."""
        return [(attack.key, epsilon) for attack in self.attacks for epsilon in attack.epsilons]


SECTIONS: dict[str, type] = {
    "dataset": DatasetSettings,
    "model": ModelSettings,
    "selection": SelectionSettings,
    "layout": LayoutSettings,
    "photograph": PhotographSettings,
    "capture": CaptureSettings,
    "thresholds": ThresholdSettings,
    "explain": ExplainSettings,
    "report": ReportSettings,
}


@dataclass(frozen=True)
class Source:
    """Where each key of an experiment file stands."""

    path: Path
    lines: dict[str, int]
    flags: tuple[str, ...] = ()

    def where(self, key: str) -> str:
        """Returns `file:line` of the dotted key, or of its nearest parent in the file; `--set` for an override."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        if key and not self.lines[key]:
            return "--set"
        return f"{self.path}:{self.lines[key]}" if key else str(self.path)


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
