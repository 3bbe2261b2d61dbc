"""One training from its file to its folder: data, network, teacher where there is one, and what they leave."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from pipeline.core.errors import BadInput, WrongUse
from pipeline.datasets import own_classes
from pipeline.engine import Context
from pipeline.images import shown
from pipeline.models import load_classifier
from pipeline.models.class_names import read_class_list
from pipeline.models.preprocessing import Preprocessing, normalised
from pipeline.models.torch_models import TorchClassifier
from pipeline.models.trained import CARD, CLASSES, read_card, trained_model
from pipeline.settings import DatasetSettings, ModelSettings
from pipeline.settings.training import Training
from pipeline.store import content_hash, json_bytes, write_bytes
from pipeline.training.images import Images, halved, read_images, split
from pipeline.training.loop import CHECKPOINT, Job, Progressed, fit
from pipeline.training.measuring import accuracies
from pipeline.training.perturbing import steps_for
from pipeline.training.pretraining import AUTOENCODER, pretrain
from pipeline.training.recipes import Loss
from pipeline.training.results import write_results

TEACHER = "teacher"
Say = Callable[[str], None]
Reader = Callable[[DatasetSettings, tuple[str, ...], Preprocessing, int, Context, str], Images]


def train(
    training: Training,
    folder: Path,
    context: Context,
    say: Say = lambda _: None,
    force: bool = False,
    read: Reader = read_images,
) -> dict[str, Any]:
    """Trains a network into a folder, goes on with one that was interrupted there, and returns its card.

    With a temperature T, a network of the same kind is trained first at T, in the folder below; this one then learns its
    probabilities at T, and predicts at 1 (defensive distillation, Papernot et al. 2016).

    Args:
        training: as its file has it.
        say: is told a line after each epoch.
        force: begin anew, whatever lies in the folder.
        read: `read_images`, or what keeps them for the next training.

    Raises:
        BadInput: the folder holds another training; images or weights cannot be used; the loss grew beyond all numbers.
        WrongUse: the model cannot be trained, or the classes are not known.
    """
    settings = content_hash(_told(training))
    with _alone(folder, say):
        if force and folder.is_dir():
            shutil.rmtree(folder)
        if (folder / CARD).is_file():
            card = read_card(folder)
            if card["settings_sha256"] == settings:
                return card
            raise BadInput(f"{shown(folder)} holds a network of other settings.", "Give this one another name, or use --force.")
        resolved = training.resolved()
        names = _class_names(resolved)
        with threads(training.training.n_threads, context.device):
            return _Lesson(training, resolved, names, folder, context, say, settings, read).held()


@contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """Keeps other processes from training into the folder meanwhile; where one does already, waits until it has ended."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("another process trains it: waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Lesson:
    """Everything that teacher and student have in common."""

    def __init__(
        self,
        training: Training,
        resolved: Training,
        names: tuple[str, ...],
        folder: Path,
        context: Context,
        say: Say,
        settings: str,
        read: Reader,
    ) -> None:
        self._training, self._resolved, self._folder, self._context, self._say = training, resolved, folder, context, say
        self._settings = settings
        write_bytes(folder / CLASSES, json_bytes(list(names)))
        self._model = _with_classes(resolved, folder / CLASSES, len(names))
        steps = _classifier(self._model, context.device)[0].preprocessing
        found = read(resolved.dataset, names, steps, training.seed, context, "reading training images")
        images, self._validation = split(found, training.training.n_validation, training.seed)
        self._images = halved(images, training.training.half, training.seed)
        self._test = None
        if resolved.test.name:
            self._test = read(resolved.test, names, steps, training.seed, context, "reading test images")

    def held(self) -> dict[str, Any]:
        temperature = self._training.training.temperature
        if not temperature:
            return self._taught(self._folder, self._images.labels, 1.0, "student", {})
        folder = self._folder / TEACHER
        write_bytes(folder / CLASSES, (self._folder / CLASSES).read_bytes())
        card = read_card(folder) if (folder / CARD).is_file() else {}
        if card.get("settings_sha256") != self._settings:
            card = self._taught(folder, self._images.labels, temperature, TEACHER, {})
        teacher, _ = _classifier(trained_model(folder), self._context.device)
        soft = _probabilities(teacher, self._images, temperature)
        return self._taught(self._folder, soft, temperature, "student", {"teacher_sha256": card["weights_sha256"]})

    def _taught(self, folder: Path, target: Tensor, temperature: float, role: str, told: dict[str, Any]) -> dict[str, Any]:
        """Trains one network into a folder and returns its card."""
        training = self._resolved
        classifier, network = _classifier(self._model, self._context.device)
        attacks = {kind: steps_for(kind, training.attack) for kind in ("fgsm", "pgd")}
        measured = {"adversarial": attacks[training.attack.measured_by]}

        def measure() -> dict[str, float]:
            if not len(self._validation):
                return {}
            found = accuracies(classifier.logits, self._validation, measured, training.seed)
            return {key: value for key, value in found.items() if key.endswith("_accuracy")}

        identity = [self._settings, classifier.fingerprint, self._images, self._validation, role, told]
        loss = Loss(classifier.logits, network, training, temperature, classifier.input_size)
        job = Job(
            network, self._images, target, loss, measure, training.training, training.seed,
            content_hash([digest(part) if isinstance(part, Images) else part for part in identity]),
            folder, self._context.progress, self._say,
        )  # fmt: skip
        if training.training.pretrain_epochs and not (folder / CHECKPOINT).is_file():
            pretrain(job, training.training.pretrain_epochs, lambda images: normalised(images, classifier.preprocessing))
        at = fit(job)
        told = told | self._counts(at, role) | {"accuracies": self._accuracies(classifier, attacks)}
        model = replace(self._model, classes=str(folder / CLASSES))
        card = write_results(folder, self._training, model, at.kept, at.history, classifier.first_filters(), told)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        shutil.rmtree(folder / AUTOENCODER, ignore_errors=True)
        return card

    def _accuracies(self, classifier: TorchClassifier, attacks: dict[str, Any]) -> dict[str, Any]:
        parts = {"validation": self._validation, "test": self._test}
        found = {name: part for name, part in parts.items() if part is not None and len(part)}
        return {name: accuracies(classifier.logits, part, attacks, self._training.seed) for name, part in found.items()}

    def _counts(self, at: Progressed, role: str) -> dict[str, Any]:
        return {
            "role": role,
            "settings_sha256": self._settings,
            "images_sha256": digest(self._images),
            "n_images": len(self._images),
            "n_rejected": self._images.n_rejected,
            "n_epochs_trained": at.n_epochs,
            "epoch_kept": at.kept_epoch,
        }


def _classifier(model: ModelSettings, device: str) -> tuple[TorchClassifier, nn.Module]:
    """Returns the classifier with its network thawed.

    Raises:
        WrongUse: it is none of torch, or there is nothing in it to train.
    """
    classifier = load_classifier(model, device)
    if not isinstance(classifier, TorchClassifier) or not classifier.differentiable:
        raise WrongUse(f"{model.name} cannot be trained.", "Use network:NAME, or another torch network: see docs/training.md.")
    network = classifier.trainable()
    if not any(True for _ in network.parameters()):
        raise WrongUse(f"{model.name} has no weights to train.", "Its factory has to return a torch Module with parameters.")
    return classifier, network


def _class_names(training: Training) -> tuple[str, ...]:
    if training.classes:
        return training.classes
    names = read_class_list(training.model.classes)[0] if training.model.classes else own_classes(training.dataset)
    if len(names) < 2:
        what = "is not known" if not names else f"has one class, {names[0]}"
        raise WrongUse(f"What {training.dataset.name} tells apart {what}.", 'Set classes = ["one", "other"].')
    return names


def _with_classes(training: Training, classes: Path, n_classes: int) -> ModelSettings:
    """Returns the model's settings with the classes; a network of ours starts from the seed, a trained one as what it was."""
    scheme, _, name = training.model.name.partition(":")
    model = trained_model(Path(name)) if scheme == "trained" else training.model
    if scheme == "network":
        model = replace(model, arguments={"seed": training.seed} | model.arguments)
    return replace(model, classes=str(classes), n_classes=n_classes)


def _probabilities(teacher: TorchClassifier, images: Images, temperature: float) -> Tensor:
    """Returns softmax(logits / T) of every image, (N, n_classes)."""
    with torch.no_grad():
        parts = torch.arange(len(images)).split(250)
        return torch.cat([(teacher.logits(images.batch(places)[0]) / temperature).softmax(dim=1) for places in parts])


def _told(training: Training) -> dict[str, Any]:
    return {key: value for key, value in asdict(training).items() if key != "base"}


def digest(images: Images) -> str:
    """Returns the SHA-256 of pixels and labels, in hex."""
    digest = hashlib.sha256(str(tuple(images.pixels.shape)).encode())
    for part in (images.pixels, images.labels):
        digest.update(part.cpu().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def threads(n: int, device: str) -> Iterator[None]:
    """Sums on a CPU run in an order that the number of threads decides."""
    before = torch.get_num_threads()
    torch.set_num_threads(n if device == "cpu" else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
