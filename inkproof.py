"""Does an adversarial attack survive ink, paper and a camera? The same as the command `inkproof`, from Python.

Two kinds of arrays go in and come out, and what comes out is of the kind that went in:

- images: NumPy uint8, RGB, (H, W, 3) or (N, H, W, 3);
- a tensor: torch, floating-point, RGB, (N, 3, H, W) in [0, 1].

ε is counted in 8-bit units, 1 to 255. What is judged is what would be saved: a tensor is rounded to 8 bits before it is attacked
or transformed. Whatever a user can mend is an `InkproofError`, whose message says what happened and what to write instead: a
`WrongUse` (no such name or value), a `BadInput` (a file that cannot be used) or an `Unavailable` (this machine lacks something).
Everything is loaded when it is first used; `docs/python.md` shows each name at work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pipeline.core.errors import BadInput, InkproofError, WrongUse, near_match

if TYPE_CHECKING:
    import numpy as np
    import torch

    from pipeline.datasets import Dataset
    from pipeline.images.arrays import Images
    from pipeline.models.classifier import Classifier
    from pipeline.physical.registration.page_reading import FreshPage
    from pipeline.records import Estimate
    from pipeline.store.results import Results

__all__ = [
    "InkproofError",
    "attack",
    "destruction_rate",
    "draw_images",
    "estimate",
    "load_model",
    "open_dataset",
    "open_run",
    "page",
    "photograph",
    "photograph_page",
    "read_photos",
    "run",
    "transform",
]

P = ParamSpec("P")
Returned = TypeVar("Returned")
Checked = TypeVar("Checked")


def _door(function: Callable[P, Returned]) -> Callable[P, Returned]:
    """Lets the project find its own modules also where it is called from a user's module that has others of the same names."""

    @wraps(function)
    def opened(*args: P.args, **kwargs: P.kwargs) -> Returned:
        user_modules = sys.modules.get("inkproof_own_ground")
        with user_modules.nothing_shown() if user_modules else nullcontext():
            return function(*args, **kwargs)

    return opened


@_door
def load_model(model: str | torch.nn.Module, *, device: str = "cpu", **settings: Any) -> Classifier:
    """Returns a classifier, frozen: `predict(images)` gives probabilities, `logits(tensor)` lets gradients flow.

    Args:
        model: a name as in an experiment file, such as "builtin:signs", "torchvision:resnet50", "timm:convnext_tiny",
            "python:my_models:load", "onnx:net.onnx"; or a torch Module of (N, 3, H, W) in [0, 1], of which a copy is used.
        settings: further keys of [model] (docs/experiment-file.md), such as `weights`, `classes`, `input_px`, `mean`, `std`.

    Raises:
        WrongUse: there is no such model, device or key. BadInput: a file cannot be used, or the network is no classifier.
        Unavailable: a package or a download that this machine lacks.
    """
    from pipeline.settings import ModelSettings

    if isinstance(model, str):
        from pipeline.models import load_classifier

        return load_classifier(_checked(ModelSettings, {"name": model, **settings}), device)
    import copy

    from pipeline.models.preprocessing import preprocessing_for
    from pipeline.models.torch_models import TorchClassifier

    given = _checked(ModelSettings, {"name": f"python:{type(model).__name__}", **settings})
    return TorchClassifier(copy.deepcopy(model), given, preprocessing_for(given, None), device)


@_door
def open_dataset(name: str, model: Classifier, *, seed: int = 0, **settings: Any) -> Dataset:
    """Returns images with true labels, which are indices of the model's classes; what cannot be used is in its `rejected`.

    Args:
        name: "builtin:signs", "folder:DIR", "csv:FILE" or "torchvision:NAME".
        seed: decides which are drawn where `n_images` asks for fewer than there are.
        settings: further keys of [dataset], such as `n_images`, `root`, `split`.

    Raises:
        WrongUse: there is no such kind, split, column or key. BadInput: files are missing, or none can be used.
    """
    from pipeline.datasets import open_dataset
    from pipeline.settings import DatasetSettings

    return open_dataset(_checked(DatasetSettings, {"name": name, **settings}), model.class_names, model.wordnet_ids, seed)


@_door
def draw_images(dataset: Dataset, model: Classifier, n_images: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images of a data set as the model sees them, uint8 (N, H, W, 3), and their labels, int64 (N,).

    Args:
        n_images: how many; 0, or more than there are, for all. Files that cannot be read are passed over.

    Raises:
        BadInput: none can be read.
    """
    from pipeline.datasets.dataset import first_images

    return first_images(dataset, model.prepare, n_images or len(dataset))


@_door
def attack(
    model: Classifier, images: Images, labels: Sequence[int], name: str = "fgsm", epsilon_8bit: int = 16, **options: Any
) -> Images:
    """Returns adversarial images, one of each image: the same bits as a run saves of it.

    Args:
        images: at the model's input size, uint8 (H, W, 3) or (N, H, W, 3), or a tensor (N, 3, H, W) in [0, 1].
        labels: the true class of each image.
        name: as in an experiment file; `inkproof list attacks` names all. An attack that learns first learns from these images.
        epsilon_8bit: the largest change of a pixel in 8-bit units; of no meaning for an attack that looks for the smallest one.
        options: of the attack (docs/attacks.md), such as `n_steps`, `target`.

    Raises:
        WrongUse: there is no such attack or option, or the model gives no gradient. Unavailable: a library is not installed.
    """
    from pipeline.attacks import attack_spec, is_adapted
    from pipeline.attacks.crafting import craft_images
    from pipeline.core.registry import load
    from pipeline.images.arrays import as_pixels
    from pipeline.settings import AttackSettings
    from pipeline.specs.attacks import ATTACKS

    pixels, back = as_pixels(images)
    if not is_adapted(name) and (record := ATTACKS.find(name).options):
        _checked(load(record), options)
    epsilons = [epsilon_8bit] if attack_spec(name, options=options).takes_epsilon else []
    settings = _checked(AttackSettings, {"name": name, "epsilons_8bit": epsilons, "options": options})
    return back(craft_images(model, settings, pixels, labels))


@_door
def transform(images: Images, name: str, value: float, *, seed: int = 0) -> Images:
    """Returns images after a digital transform: "brightness", "contrast", "blur", "noise" or "jpeg" (docs/transforms.md).

    Args:
        images: uint8 (H, W, 3) or (N, H, W, 3), or a tensor (N, 3, H, W) in [0, 1]; no gradient passes.
        value: the transform's parameter, such as blur's σ in pixels.
        seed: of what is random, such as noise; image i draws the same in any company.

    Raises:
        WrongUse: there is no such transform, or the value is out of its range.
    """
    from pipeline.core.seeds import generator_for
    from pipeline.images.arrays import as_pixels
    from pipeline.specs.transforms import TRANSFORMS

    spec = TRANSFORMS.find(name)
    if not spec.minimum <= value <= spec.maximum:
        raise WrongUse(f"{name} = {value:g} is out of range.", f"Write a value of {spec.limits}.")
    pixels, back = as_pixels(images)
    return back([spec.apply(image, value, generator_for(seed, name, str(i))) for i, image in enumerate(pixels)])


@_door
def photograph(images: Images, *, profile: str = "office-phone", image_mm: float = 70.0, seed: int = 0) -> Images:
    """Returns images as a simulated print and phone photograph give them back, cropped and aligned, at their own size.

    Args:
        images: uint8 (H, W, 3) or (N, H, W, 3), or a tensor (N, 3, H, W) in [0, 1], which gradients pass through.
        profile: a printer and camera: a name (`inkproof list profiles`) or a .toml file.
        image_mm: the longer side of the image on an A4 page.
        seed: of where on the page each lies, how the phone is held, and of paper and sensor.

    Raises:
        WrongUse, BadInput: there is no such profile, or its file cannot be used.
    """
    import torch

    from pipeline.core.seeds import generator_for, seed_for
    from pipeline.images import to_model, to_pixels
    from pipeline.images.arrays import as_pixels, check_tensor
    from pipeline.physical.simulator import load_profile
    from pipeline.physical.simulator.channel import Channel

    def crops_of(given: torch.Tensor) -> torch.Tensor:
        channel = Channel(load_profile(profile), (given.shape[2], given.shape[3]), image_mm)
        draws = channel.draw(len(given), generator_for(seed, "photograph"))
        return channel(given, draws, torch.Generator(given.device).manual_seed(seed_for(seed, "noise") % 2**63))

    if isinstance(images, torch.Tensor):
        check_tensor(images)
        return crops_of(images)
    pixels, back = as_pixels(images)
    return back(list(to_pixels(crops_of(to_model(pixels)))))


@_door
def page(results: Results, number: int = 1, dpi: int = 300) -> np.ndarray:
    """Returns a page of a run as it is printed, uint8 (H, W, 3); 1 is the first with images.

    Raises:
        BadInput: the pages are not laid out yet. WrongUse: there is no such page.
    """
    from pipeline.physical.printing.document import page_file, page_raster
    from pipeline.store.artefacts import LAYOUT

    printout = LAYOUT.read(results.files)
    if not 1 <= number <= printout.n_pages:
        raise WrongUse(f'Run "{results.name}" has no page {number}.', f"Write 1 to {printout.n_pages}.")
    return page_raster(page_file(results.files.printouts, printout, number), printout, number, dpi)


@_door
def photograph_page(
    raster: np.ndarray,
    *,
    profile: str = "office-phone",
    page_mm: tuple[float, float] = (210.0, 297.0),
    seed: int = 0,
    save_as: str | Path | None = None,
) -> np.ndarray:
    """Returns a phone photograph, uint8 (H, W, 3), of a page that is printed and laid on a table, all simulated.

    Args:
        raster: uint8 (H, W, 3), edge to edge at 300 dpi or more, as `page` gives one.
        profile: a printer and camera: a name (`inkproof list profiles`) or a .toml file.
        page_mm: width and height of the paper.
        save_as: a JPEG file to write as well; its EXIF says that it is simulated.

    Raises:
        WrongUse, BadInput: there is no such profile, or its file cannot be used.
    """
    from pipeline.core.seeds import generator_for
    from pipeline.physical.simulator import encode_jpeg, load_profile, simulate_photo

    photo = simulate_photo(raster, *page_mm, load_profile(profile), generator_for(seed, "photograph"))
    if save_as is not None:
        Path(save_as).write_bytes(encode_jpeg(photo))
    return photo.image


@_door
def read_photos(results: Results, photos: Iterable[str | Path] | None = None) -> list[FreshPage]:
    """Returns every page of a run found in photographs; nothing of the run is changed.

    Each has `page` (its capture, views, their quality and what was discarded, with reasons) and `crops`, uint8 (H, W, 3) by view.

    Args:
        photos: JPEG, PNG, HEIC, TIFF or PDF files and videos; None for all in the run's photos folder.

    Raises:
        BadInput: the run has no layout yet, or there is no such file.
    """
    from pipeline.physical.registration.page_reading import Reading
    from pipeline.physical.registration.photo_reading import printed_images, read_files
    from pipeline.settings.reading import load_experiment
    from pipeline.store import photo_files
    from pipeline.store.artefacts import EXPERIMENT, LAYOUT, PAIRS

    at = results.files
    pairs = {pair.pair_id: pair for pair in PAIRS.read(at)}
    settings = load_experiment(EXPERIMENT.path(at)).capture
    printout = LAYOUT.read(at)
    reading = Reading(printout, pairs, settings, printed_images(at.printouts, printout))
    return read_files(photo_files(at) if photos is None else [Path(photo) for photo in photos], reading)


@_door
def estimate(hits: Sequence[bool], pages: Sequence[int | str] | None = None) -> Estimate:
    """Returns the rate of some outcomes with its 95 % interval: `n_hit`, `n_eligible`, `rate`, `low`, `high`, `n_effective`.

    The rate of nothing is None, never 0.

    Args:
        hits: whether each one counts.
        pages: the page that each was printed on; images on one page are correlated, and the interval allows for it.
    """
    from pipeline.evaluation.estimates import estimate

    return estimate([bool(hit) for hit in hits], [list(pages)] if pages is not None else ())


@_door
def destruction_rate(
    labels: Sequence[int],
    clean: np.ndarray,
    adversarial: np.ndarray,
    after: np.ndarray,
    *,
    top_k: int = 1,
    pages: Sequence[int | str] | None = None,
) -> Estimate:
    """Returns the share of working attacks that a transformation undoes (Kurakin et al. 2016, Eq. 1), with its 95 % interval.

    An attack works where the clean image is classified right and the adversarial one wrong; it is undone where the adversarial
    image is right again after the transformation.

    Args:
        labels: int (N,), true classes.
        clean, adversarial, after: answers on the clean files, the adversarial files, and these after the transformation: float
            (N, n_classes) as `predict` gives them, or int (N,) or (N, k) labels, best first.
        top_k: right means that the true label is among so many.
        pages: as in `estimate`, of each image.
    """
    from pipeline.evaluation.estimates import destruction_of

    return destruction_of(labels, (clean, adversarial, after), top_k, pages)


@_door
def run(
    experiment: str | Path,
    *,
    workspace: str | Path = ".",
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    device: str = "cpu",
    workers: int = 1,
    engine: str = "processes",
    ray_address: str = "",
    force: bool = False,
) -> Results:
    """Runs an experiment as far as it goes, or goes on where it stopped: what is done and current is not done again.

    The results' `tables` are the names of what there is, `table("rates")` is one as columns, which pandas takes as it is, and
    `todo` says what a person has to do next.

    Args:
        experiment: a TOML file (docs/experiment-file.md).
        workspace: the folder that the run's three folders lie in, or its URL in an object store, such as s3://BUCKET/PREFIX; the
            results then read a copy of it here.
        settings: values by dotted key that replace the file's, such as {"selection.n_images": 12}.
        workers: how many processes; of a Ray cluster, 0 takes all.
        engine: where they are: "processes" of this machine, "local" in this process alone, "ray" on the cluster at `ray_address`.
        force: do everything again.

    Raises:
        WrongUse, BadInput: the file, or what it names, cannot be used; the message says where. Unavailable: something is lacking.
    """
    from pipeline.cli.catalogue import check_names
    from pipeline.engine import ENGINES, Context
    from pipeline.planning.human_step import instructions, pages_in
    from pipeline.settings.reading import load_experiment
    from pipeline.settings.writing import toml_value
    from pipeline.stages.graph import run_all
    from pipeline.store import Run
    from pipeline.store.mirror import workspace_at
    from pipeline.store.results import Results

    if engine not in ENGINES:
        raise WrongUse(f'There is no engine "{engine}".', near_match(engine, ENGINES))
    overrides = tuple(f"{key}={toml_value(value)}" for key, value in (settings or {}).items())
    loaded = load_experiment(Path(experiment), overrides, seed)
    check_names(loaded)
    with workspace_at(workspace) as (folder, sends):
        files = Run(folder, loaded.name)
        context = Context(device, workers, begins=lambda *_: sends(), engine=engine, ray_address=ray_address)
        states = list({state.stage: state for state in run_all(loaded, files, context, force)}.values())
        return Results(files, states, instructions(loaded, files, pages_in(loaded, files, states)))


@_door
def open_run(name: str, *, workspace: str | Path = ".") -> Results:
    """Returns what there is of a run; nothing is run.

    Raises:
        BadInput: there is no run of that name in the workspace.
    """
    from pipeline.settings.reading import load_experiment
    from pipeline.stages.graph import status
    from pipeline.store import Run
    from pipeline.store.artefacts import EXPERIMENT
    from pipeline.store.mirror import workspace_at
    from pipeline.store.results import Results

    with workspace_at(workspace, writes=False) as (folder, _):
        files = Run(folder, name)
        if not EXPERIMENT.exists(files):
            others = [path.parent.name for path in folder.glob(f"printouts/*/{EXPERIMENT.name}")]
            raise BadInput(f'There is no run "{name}" in {workspace}.', near_match(name, others) if others else "")
        return Results(files, status(load_experiment(EXPERIMENT.path(files)), files))


def _checked(kind: type[Checked], entries: Mapping[str, Any]) -> Checked:
    from pipeline.settings import Refused, checked

    try:
        return checked(kind, entries)
    except Refused as error:
        raise WrongUse(error.sentence, error.hint) from None
