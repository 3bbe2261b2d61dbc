"""The tables of an experiment file: one frozen record each, checked by pydantic whenever it is made."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.dataclasses import dataclass

from pipeline.core.errors import InkproofError
from pipeline.settings.fields import TABLE, Once, setting
from pipeline.specs.transforms import TRANSFORMS

# The epsilon of attacks that take none, because they look for the smallest change or change a place and not a ball.
NO_EPSILON = 0

# What an attack is made on, where it is not one defence: the model and each defence of it, or the model alone.
ALL, MODEL_ALONE = "all", "model"

LEAST_SIDE_MM = 5

# What a limit is of where no cell is named.
OVERALL = "overall"

# The option of an attack that names a folder of pictures.
IMAGES_OPTION = "images"


def _printable(side_mm: float) -> float:
    if 0 < side_mm < LEAST_SIDE_MM:
        raise ValueError(f"expected {LEAST_SIDE_MM} mm or more, or 0 for as large as fits.")
    return side_mm


def _known(name: str) -> str:
    try:
        return TRANSFORMS.find(name).name
    except InkproofError as error:
        raise ValueError(str(error)) from error


def _steps(resolutions: dict[str, float]) -> dict[str, float]:
    for name, step in resolutions.items():
        spec = TRANSFORMS.find(_known(name))
        if not spec.finest <= step <= spec.coarsest or (spec.whole and step != int(step)):
            raise ValueError(
                f"expected {'whole numbers from ' if spec.whole else ''}{spec.finest:g} to {spec.coarsest:g} for {name}."
            )
    return resolutions


_Side = Annotated[float, AfterValidator(_printable)]


def _sides(least: int, most: int) -> Callable[[Any], Any]:
    def checked(value: Any) -> Any:
        sides = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        whole = all(type(side) is int and least <= side <= most for side in sides)
        if value != 0 and not (whole and (len(sides) == 2 or sides == (value,))):
            raise ValueError(f"expected a whole number from {least} to {most}, or [height, width].")
        return sides if len(sides) == 2 else value

    return checked


InputSide = Annotated[int | tuple[int, int], BeforeValidator(_sides(8, 4096))]
ResizedSide = Annotated[int | tuple[int, int], BeforeValidator(_sides(8, 8192))]
_Transform = Annotated[str, AfterValidator(_known)]
_Resolutions = Annotated[dict[str, float], AfterValidator(_steps)]


@dataclass(frozen=True, config=TABLE)
class DatasetSettings:
    """Images with true labels."""

    name: str = setting(
        "builtin:signs", 'Where the images come from: "builtin:signs", "folder:DIR", "csv:FILE" or "torchvision:NAME".'
    )
    n_images: int = setting(
        0, "Look at no more than this many images (0: all; the built-in set then has 500).", ge=0, le=1_000_000
    )
    root: str = setting("", "Folder that a CSV's paths or a torchvision data set start from.")
    path_column: str = setting("", "CSV column with the image's path (empty: found by its name).")
    label_column: str = setting("", "CSV column with the true label: index, name or WordNet id (empty: found by its name).")
    split: str = setting("test", "Which part of a data set that has parts.")
    follow_links: bool = setting(False, "Whether symbolic links may lead out of a folder's or a CSV's root.")


@dataclass(frozen=True, config=TABLE)
class ModelSettings:
    """The classifier under test; its preprocessing is part of it (see models.md)."""

    name: str = setting(
        "builtin:signs",
        '"builtin:signs", "torchvision:NAME", "timm:NAME", "imagenet:efficientnet-lite0", "hf:FOLDER", "robustbench:NAME", '
        '"python:MODULE:FACTORY", "onnx:FILE", "trained:FOLDER", "network:NAME", "http://HOST/PATH": see models.md.',
    )
    weights: str = setting("DEFAULT", '"DEFAULT", "none" or a local .pth or .safetensors file.')
    input_px: InputSide = setting(0, "Side of the square model input, or [height, width] (0: the model's own).", unit="px")
    resize_px: ResizedSide = setting(
        0,
        "Shorter side before the centre crop, or [height, width] that a picture is squashed to (0: the model's own).",
        unit="px",
    )
    mean: tuple[float, ...] = setting((), "Mean per channel, of pixels in [0, 1] (empty: the model's own).")
    std: tuple[float, ...] = setting((), "Standard deviation per channel (empty: the model's own).")
    classes: str = setting(
        "",
        'File with the class names: JSON index -> name or [WordNet id, name], or one name a line; or "imagenet-1k".',
    )
    output: str = setting(
        "", "Which of the model's outputs holds the scores, by name or number (empty: found by shape and name)."
    )
    n_classes: int = setting(0, "Number of classes, where the model does not tell (0: as the weights say).", ge=0, le=100_000)
    python_path: str = setting("", "Folder put first on the import path for a python: model, before the experiment file's own.")
    arguments: dict[str, Any] = setting(
        dict, "Keyword arguments for a python: factory; values that start with ./ or ../ or $ are paths."
    )
    defence: str = setting("", "Defence that it stands behind: see `inkproof list defences` (empty: none).")
    defence_options: dict[str, Any] = setting(dict, "Options of that defence: see defences.md.")

    @property
    def title(self) -> str:
        """What a reader calls it: its name, and the defence that it stands behind."""
        return f"{self.name} behind {self.defence}" if self.defence else self.name


@dataclass(frozen=True, config=TABLE)
class DefenceSettings:
    """A defence of the model: the model behind it judges files and photographs, and is attacked (see defences.md)."""

    name: str = setting("jpeg", "Name of the defence: see `inkproof list defences`.")
    label: str = setting("", "What it is called in this run, where one defence is listed twice with other options (empty: name).")
    options: dict[str, Any] = setting(dict, "Options of the defence.")

    @property
    def key(self) -> str:
        """What it is called in every record, table and folder of the run."""
        return self.label or self.name.replace(":", "-")


@dataclass(frozen=True, config=TABLE)
class JudgeSettings(ModelSettings):
    """A further model that judges the saved files and the photographs, and is not attacked (see transfer.md)."""

    label: str = setting("", "What it is called in tables (empty: its name).")

    @property
    def key(self) -> str:
        """What it is called in tables and files."""
        return self.label or self.name


@dataclass(frozen=True, config=TABLE)
class SelectionSettings:
    """Which images are drawn for each cell: an attack at one epsilon."""

    cases: Once[Literal["average", "prefiltered"]] = setting(
        ("average", "prefiltered"),
        '"average" (random images) and "prefiltered" (clean right, adversarial wrong, both confident).',
        min_length=1,
    )
    n_images: int = setting(24, "Images per cell and case.", ge=1, le=1_000_000)
    draw: Literal["shared", "per-cell"] = setting(
        "shared", '"shared": every cell walks one random order of the images; "per-cell": a fresh order for each cell.'
    )
    min_confidence: float = setting(0.8, "Least top-1 probability, clean and adversarial, in the prefiltered case.", ge=0, le=1)


@dataclass(frozen=True, config=TABLE)
class AttackSettings:
    """One attack and its strengths."""

    name: str = setting("fgsm", "Name of the attack: see `inkproof list attacks`.")
    label: str = setting("", "What it is called in this run, where one attack is listed twice with other options (empty: name).")
    epsilons_8bit: Once[Annotated[int, Field(ge=1, le=255)]] = setting(
        (), "Largest change of a pixel (left out: 4 and 16; attacks that look for the smallest change take none).", unit="8-bit"
    )
    options: dict[str, Any] = setting(dict, "Options of the attack, for those that have any.")
    against: str = setting(
        ALL,
        'What it is made on: "all" (the model, and each of its defences apart), "model" (the model alone: its images meet the '
        "defences unaware) or one of [[defences]].",
    )

    @property
    def defence(self) -> str:
        """The defence that it is made on, "" for the model alone."""
        return "" if self.against in (ALL, MODEL_ALONE) else self.against

    @property
    def key(self) -> str:
        """What the attack is called in every record, table and folder of the run."""
        return self.label or self.name.replace(":", "-")

    @property
    def epsilons(self) -> tuple[int, ...]:
        """The epsilons, NO_EPSILON alone where the attack takes none."""
        return self.epsilons_8bit or (NO_EPSILON,)


@dataclass(frozen=True, config=TABLE)
class LayoutSettings:
    """The pages to print, or to show on a screen."""

    medium: Literal["paper", "screen"] = setting(
        "paper", '"paper": a PDF to print; "screen": pictures and an HTML page to show pixel by pixel and to photograph.'
    )
    paper: Literal["A4", "Letter"] = setting("A4", "Paper size.")
    orientation: Literal["portrait", "landscape"] = setting("portrait", "Orientation of the sheet.")
    pairs_per_page: int = setting(
        0, "Clean/adversarial pairs on a page (0: as many as fit with images of the size that three have).", ge=0, le=24
    )
    image_mm: _Side = setting(0.0, "Side of a printed image (0: as large as fits).", ge=0, le=400, unit="mm")
    dpi: Literal[300, 600, 1200] = setting(600, "Printer dots per inch that pixels are aligned to.", unit="dots per inch")
    aids: bool = setting(
        True, "Print corner tags, registration marks and a colour strip beside the images (the codes are always there)."
    )
    calibration: bool = setting(
        False, "Add a calibration page, from a photo of which `inkproof calibrate` makes a profile of your printer and phone."
    )


@dataclass(frozen=True, config=TABLE)
class PhotographSettings:
    """Who takes the photographs."""

    by: Literal["camera", "simulator"] = setting(
        "simulator", '"camera": you print and photograph; "simulator": a simulated printer and phone.'
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


@dataclass(frozen=True, config=TABLE)
class CaptureSettings:
    """How photographs are read."""

    strict: bool = setting(False, "Discard every photo in which one of the four codes is missing.")
    count: Literal["best", "all"] = setting(
        "best", 'Of several photos of one page "best" counts the one with the least predicted error, "all" counts every one.'
    )
    linear_light: bool = setting(False, "Average the photo's pixels in linear light instead of in sRGB values.")
    colour: Literal["as-photographed", "strip"] = setting(
        "as-photographed", '"as-photographed": nothing is corrected; "strip": white balance and tone are, by the printed strip.'
    )


@dataclass(frozen=True, config=TABLE)
class ThresholdSettings:
    """How much of each digital transform undoes each working attack: see transforms.md."""

    n_images: int = setting(20, "Working attacks of each cell and case that are looked at (0: none).", ge=0, le=1_000_000)
    transforms: Once[_Transform] = setting(
        tuple(TRANSFORMS.own),
        "Which transforms; brightness and contrast are lowered and raised.",
        min_length=1,
    )
    resolutions: _Resolutions = setting(
        dict, "How closely a threshold is pinned down, by transform, as { blur = 0.02 } (left out: see transforms.md)."
    )


@dataclass(frozen=True, config=TABLE)
class ExplainSettings:
    """Maps of what the model looks at, in a few pairs: the clean file, the adversarial one and its photograph."""

    n_images: int = setting(4, "Pairs to explain, chosen as the gallery's are (0: none).", ge=0, le=60)
    images: Once[str] = setting(
        (), "Ids of images, or of pairs (attack-eps4/image), to explain instead; an image stands for its first attack that works."
    )
    methods: Once[Literal["occlusion", "gradcam"]] = setting(
        ("occlusion", "gradcam"),
        '"occlusion": cover the image patch by patch; "gradcam": the gradient at a layer, where the network has one with a map.',
        min_length=1,
    )
    layer: str = setting("", "Layer for Grad-CAM (empty: the last map of a convolution, such as layer4 of a ResNet).")
    patch_px: int = setting(0, "Side of the covering patch (0: a seventh of the input).", ge=0, le=4096, unit="px")
    stride_px: int = setting(0, "Step of the patch (0: half of it).", ge=0, le=4096, unit="px")
    patch_value: Literal["mean", "random", "grey", "black"] = setting(
        "mean", 'What covers: "mean" (the image\'s own mean colour), "random" (noise), "grey" or "black".'
    )
    target: str = setting(
        "true",
        'Class to explain: "true", "predicted" (what the model says of the adversarial file), or a class by name or index.',
    )


@dataclass(frozen=True, config=TABLE)
class ReportSettings:
    """The report."""

    title: str = setting("", "Title on the first page (empty: made from the run's name).")
    printer: str = setting("", "The printer and its paper, as the first page names them (empty: not named).")
    n_gallery: int = setting(6, "Rows in the gallery.", ge=0, le=60)
    reproduces: str = setting("", "Study whose published tables are set beside this run's (empty: none).")


@dataclass(frozen=True, config=TABLE)
class TransformSettings:
    """Digital transforms, each with the values of its parameter."""

    grids: dict[str, Annotated[Once[float], Field(min_length=1)]] = setting(dict, "The values of each transform.")
    save_images: bool = setting(
        False, "Keep every transformed image as a file (many); without, they are made when they are judged."
    )


def _by_place(value: Any) -> Any:
    """Takes a number alone for that of everything that is meant without a name."""
    return {OVERALL: value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _of_one_kind(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError("say which accuracy, as { photo = 0.8 }: clean, adversarial, clean-photo or photo.")
    return value


_Share = Annotated[float, Field(ge=0, le=1)]
_Shares = Annotated[dict[str, _Share], BeforeValidator(_by_place)]
_Points = Annotated[dict[str, Annotated[float, Field(ge=0, le=100)]], BeforeValidator(_by_place)]


@dataclass(frozen=True, config=TABLE)
class CheckSettings:
    """What `inkproof check` holds the run to; no stage depends on it (see ci.md)."""

    on: Literal["bound", "rate"] = setting(
        "bound", '"bound": the whole 95 % interval has to keep to a limit; "rate": the rate itself, whatever its interval.'
    )
    min_accuracy: Annotated[dict[str, _Share], BeforeValidator(_of_one_kind)] = setting(
        dict,
        'Least accuracy of "clean" and "adversarial" files and of photographs of them, "clean-photo" and "photo": '
        '{ photo = 0.8 } over all cells, { "photo:fgsm:16" = 0.7 } in one, { "photo:cells" = 0.5 } in each.',
    )
    min_destruction: _Shares = setting(
        dict, 'Least share of working attacks that photographs undo: 0.5 over all cells, { "fgsm:16" = 0.4 } in one.'
    )
    max_destruction: _Shares = setting(dict, "Largest share of working attacks that photographs undo, written in the same way.")
    against: str = setting("", "Another run that max_drop is measured against: its TOML file, folder or name.")
    max_drop: _Points = setting(
        dict,
        "Most that an accuracy may lie below that of the other run: 5 for all four kinds of accuracy over all cells, "
        '{ photo = 5, "photo:fgsm:16" = 10 } for those alone.',
        unit="points",
    )


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
    "check": CheckSettings,
}
