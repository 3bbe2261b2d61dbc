"""What a training file can say: data, network, recipe, attack and simulated photographs; read and checked as an experiment is."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema

from pipeline.core.errors import BadInput, WrongUse
from pipeline.core.file_names import FOLDER_NAME, folder_name
from pipeline.settings.experiment import Experiment
from pipeline.settings.fields import TABLE, Once, setting
from pipeline.settings.overrides import apply_override
from pipeline.settings.reading import section
from pipeline.settings.source import Source, line_numbers
from pipeline.settings.tables import DatasetSettings, ModelSettings
from pipeline.settings.toml_files import toml_text, toml_tree

# Data sets that have a test part of their own.
_WITH_PARTS = ("builtin", "torchvision")


@dataclass(frozen=True, config=TABLE)
class RecipeSettings:
    """How the network is trained."""

    recipe: Literal["plain", "fgsm", "fast", "pgd", "linear"] = setting(
        "plain",
        "Loss: plain cross entropy; or mixed with that of images attacked afresh in each step by FGSM, by FGSM from a random "
        "start (fast) or by PGD; or with the exact worst case of a linear model of two classes (linear).",
    )
    alpha: float = setting(
        0.5, "Share of the clean loss in an adversarial recipe (0: attacked images alone, as Madry's).", ge=0, le=1
    )
    temperature: float = setting(
        0.0, "Defensive distillation: temperature of teacher and student; predictions are made at 1 (0: none).", ge=0, le=1000
    )
    n_epochs: int = setting(10, "Passes over the training images.", ge=1, le=100_000)
    batch_size: int = setting(128, "Images in one step; what is left over in an epoch is not used in it.", ge=1, le=100_000)
    optimiser: Literal["sgd", "adam"] = setting("sgd", "SGD with Nesterov momentum 0.9, or Adam.")
    learning_rate: float = setting(0.1, "Largest learning rate.", ge=0, le=100)
    schedule: Literal["constant", "cosine", "one-cycle"] = setting(
        "constant", "Learning rate over all steps: as it is, falling to 0 as a cosine, or rising for a quarter before that."
    )
    weight_decay: float = setting(0.0, "λ of λ/2 ‖w‖² in the loss, over weights without biases and norms.", ge=0, le=100)
    noise_8bit: float = setting(
        0.0,
        "Standard deviation of the Gaussian noise on every image, drawn anew in each step, as randomised smoothing needs it.",
        ge=0,
        le=1000,
        unit="8-bit",
    )
    first_layer_l1: float = setting(
        0.0, "λ of λ ‖w‖₁ in the loss, over the first layer's weights (Goodfellow et al. 2015, Sec. 5).", ge=0, le=100
    )
    pretrain_epochs: int = setting(
        0,
        "Passes before these, in which the first layer, fully connected and of sigmoid units, learns to reconstruct its input: "
        "an autoencoder (AE400-10 of Szegedy et al. 2014).",
        ge=0,
        le=100_000,
    )
    label_smoothing: float = setting(0.0, "Share of each label that is spread over all classes.", ge=0, le=0.99)
    n_validation: int = setting(1000, "Training images that are held back and measured after each epoch (0: none).", ge=0)
    half: Literal["", "first", "second"] = setting(
        "", "Which half of the training images, drawn by the seed, is trained on: two networks then share no image (empty: all)."
    )
    keep: Literal["last", "clean", "adversarial"] = setting(
        "last", "Which epoch's weights are kept: the last, or the best in clean or in adversarial validation accuracy."
    )
    patience: int = setting(0, "Stop after this many epochs without a better one (0: never).", ge=0)
    n_threads: int = setting(1, "Threads on a CPU; with another number the weights' last bits differ.", ge=1, le=256)


@dataclass(frozen=True, config=TABLE)
class TrainingAttackSettings:
    """The attack in an adversarial recipe, and in the accuracies that are measured."""

    norm: Literal["linf", "l2"] = setting(
        "linf", "What ε and a step measure: the largest change of a pixel (linf), or the Euclidean length over all pixels (l2)."
    )
    epsilon_8bit: float = setting(
        8.0, "Largest change in that norm; 127.5 in l2 is 0.5 of pixels in [0, 1].", ge=0, le=100_000, unit="8-bit"
    )
    n_steps: int = setting(7, "Steps of PGD.", ge=1, le=1000)
    step_8bit: float = setting(
        0.0, "Size of a step of PGD (0: 2.5 ε / n_steps), of fast training (0: 1.25 ε).", ge=0, unit="8-bit"
    )
    clip: bool = setting(
        True, "Whether attacked pixels are cut to [0, 255], as files have to be (false: as in Goodfellow et al.)."
    )
    measured_by: Literal["fgsm", "pgd"] = setting("pgd", "Attack of the adversarial learning curve and of keep and patience.")


@dataclass(frozen=True, config=TABLE)
class TrainingCameraSettings:
    """Training through the simulated printer and camera; attacks then see through them too."""

    rate: float = setting(0.0, "Share of each batch that is printed and photographed, anew in each step.", ge=0, le=1)
    profile: str = setting("office-phone", "Printer, paper and phone: a built-in profile or a .toml file.")
    image_mm: float = setting(70.0, "Longer side of an image on paper.", ge=5, le=200, unit="mm")


@dataclass(frozen=True, config=TABLE)
class Training:
    """A whole training file; `base` is the folder that relative paths start from, `test.name` "" where there is no test part."""

    name: Annotated[str, AfterValidator(folder_name)] = Field(pattern=FOLDER_NAME)
    seed: int = Field(0, ge=0)
    classes: Once[str] = ()
    dataset: DatasetSettings = Field(default_factory=DatasetSettings)
    test: DatasetSettings = Field(default_factory=lambda: DatasetSettings(name=""))
    model: ModelSettings = Field(default_factory=ModelSettings)
    training: RecipeSettings = Field(default_factory=RecipeSettings)
    attack: TrainingAttackSettings = Field(default_factory=TrainingAttackSettings)
    camera: TrainingCameraSettings = Field(default_factory=TrainingCameraSettings)
    base: SkipJsonSchema[Path] = Path(".")

    def resolved(self) -> "Training":
        """Returns it with every path filled in, as an experiment's are."""
        about = Experiment(name=self.name, seed=self.seed, model=self.model, dataset=self.dataset, base=self.base)
        tested = replace(about, dataset=self.test)
        camera = replace(self.camera, profile=about.profile_place(self.camera.profile))
        test = tested.resolved_dataset()
        return replace(self, model=about.resolved_model(), dataset=about.resolved_dataset(), test=test, camera=camera)


TRAINING_SECTIONS = {
    "dataset": DatasetSettings,
    "model": ModelSettings,
    "training": RecipeSettings,
    "attack": TrainingAttackSettings,
    "camera": TrainingCameraSettings,
}


def load_training(path: Path, overrides: tuple[str, ...] = (), seed: int | None = None) -> Training:
    """Returns the validated training of a TOML file, with `key=value` overrides and a seed on top.

    The split is "train" unless the file says otherwise. [test] says where it differs from [dataset]; without it, data sets with
    parts are tested on their part "test", others on nothing.

    Raises:
        BadInput: the file cannot be read or is not TOML.
        WrongUse: a key is unknown, a value is not allowed, or two contradict each other.
    """
    try:
        text = toml_text(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such training file.", "Make one with: inkproof init FILE --template train-signs") from None
    tree = toml_tree(text, str(path))
    source = Source(path, line_numbers(text))
    for override in overrides:
        apply_override(tree, override, source)
    return training_of({"name": path.stem} | tree | ({} if seed is None else {"seed": seed}), source)


def training_of(tree: dict[str, Any], source: Source) -> Training:
    """Returns the validated training of what a file says.

    Raises:
        WrongUse: a key is unknown, a value is not allowed, or two contradict each other.
    """
    if "base" in tree:
        raise WrongUse(f'{source.where("base")}: unknown key "base".')
    training = section(Training, tree | _data_sets(tree), "", source)
    _check(training, source)
    return replace(training, base=source.path.parent)


def _data_sets(tree: dict[str, Any]) -> dict[str, Any]:
    """Returns the tables of the training images and of the test images, where they are tables at all."""
    dataset, test = tree.get("dataset", {}), tree.get("test", {})
    if not (isinstance(dataset, dict) and isinstance(test, dict)):
        return {}
    dataset = {"split": "train"} | dataset
    scheme = str(dataset.get("name", "builtin:")).partition(":")[0]
    has_test = test or scheme in _WITH_PARTS
    return {"dataset": dataset, "test": dataset | {"split": "test", "n_images": 0} | test if has_test else {"name": ""}}


def _check(training: Training, source: Source) -> None:
    recipe, is_linear = training.training, training.training.recipe == "linear"
    needs_validation = recipe.keep != "last" and not recipe.n_validation
    refused = (
        ("training.keep", needs_validation, f'keep = "{recipe.keep}" needs n_validation above 0.'),
        ("training.patience", recipe.patience and recipe.keep == "last", 'patience needs keep = "clean" or "adversarial".'),
        ("model.defence", training.model.defence, "a defence is put around a network that is trained already."),
        ("training.temperature", is_linear and recipe.temperature, 'recipe = "linear" knows no temperature.'),
        ("training.label_smoothing", is_linear and recipe.label_smoothing, 'recipe = "linear" smooths no labels.'),
        ("training.noise_8bit", is_linear and recipe.noise_8bit, 'recipe = "linear" has no exact worst case under noise.'),
        (
            "attack.epsilon_8bit",
            training.attack.norm == "linf" and training.attack.epsilon_8bit > 255,
            'epsilon_8bit above 255 is more than a pixel can change, in the norm "linf".',
        ),
        ("camera.rate", is_linear and training.camera.rate, 'recipe = "linear" has no exact worst case behind a camera.'),
    )
    for key, is_refused, sentence in refused:
        if is_refused:
            raise WrongUse(f"{source.where(key)}: {sentence}", "Leave one of the two out.")
