"""Candidates and their adversarial images, made once each and kept: what select and generate share."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipeline import engine
from pipeline.attacks import attack_named, attack_spec
from pipeline.attacks.attack import Attack, Learnt, Trainable
from pipeline.core.errors import BadInput
from pipeline.core.seeds import generator_for
from pipeline.datasets import Dataset, open_dataset
from pipeline.engine import Context, Shared
from pipeline.images import picture_files, pixels_sha256, png_bytes, read_apart, read_png
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.models.sending import shared_classifier
from pipeline.records import Candidate
from pipeline.records.views import N_LABELS
from pipeline.settings import AttackSettings, Experiment, ModelSettings
from pipeline.store import Items, Run, content_hash, record_from

BATCH_SIZE = 16
GPU_BATCH_SIZE = 128
# built-in signs come with their classes in turn
_N_CLASSES_IN_TURN = 32


@dataclass(frozen=True)
class Crafted:
    """An adversarial image as it is saved, and what making it cost."""

    png: bytes
    target_label: int | None
    n_forward: int
    n_backward: int
    rounding: str = ""
    is_blind: bool = False
    by: str = ""

    @property
    def pixels(self) -> np.ndarray:
        return read_png(self.png)


class CandidatePool:
    """The data set's images at the model's input size, with the model's prediction of each."""

    def __init__(self, dataset: Dataset, classifier: Classifier, items: Items) -> None:
        self._dataset, self._classifier, self._items = dataset, classifier, items
        self._known: dict[int, Candidate | None] = {}
        self.rejected: dict[str, str] = {}
        self.notes: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._dataset)

    def candidates(self, indices: Sequence[int]) -> list[Candidate]:
        """Returns the candidates of these places in the data set, in order; unreadable images are listed and left out."""
        fresh: list[tuple[int, str, np.ndarray]] = []
        for index in indices:
            if index in self._known:
                continue
            try:
                loaded = self._dataset.image(index)
            except BadInput as error:
                self._known[index] = None
                self.rejected[self._dataset.item_id(index)] = str(error)
                continue
            if loaded.notes:
                self.notes[self._dataset.item_id(index)] = loaded.notes
            pixels = self._classifier.prepare(loaded.pixels)
            label = self._dataset.label(index)
            name = self._classifier.class_names[label]
            identity = [self._dataset.item_id(index), label, name, pixels_sha256(pixels), self._classifier.fingerprint]
            key = content_hash(identity)
            if kept := _kept(self._items, key):
                self._known[index] = record_from(Candidate, kept[0])
            else:
                fresh.append((index, key, pixels))
        self._predict(fresh)
        return [found for index in indices if (found := self._known[index]) is not None]

    def pixels(self, candidate: Candidate) -> np.ndarray:
        """Returns the candidate's 8-bit image at the model's input size."""
        return read_png(self.png(candidate))

    def png(self, candidate: Candidate) -> bytes:
        """Returns the candidate's image as the file that is saved."""
        kept = self._items.get(candidate.path, ".png")
        if kept is None:
            why = f"{candidate.path}: the image that was drawn is gone."
            raise BadInput(why, "Draw again with: inkproof select EXPERIMENT --force")
        return kept

    def _predict(self, fresh: list[tuple[int, str, np.ndarray]]) -> None:
        if not fresh:
            return
        probabilities = self._classifier.predict(np.stack([pixels for _, _, pixels in fresh]))
        for (index, key, pixels), row in zip(fresh, probabilities, strict=True):
            labels, values = top_predictions(row)
            label = self._dataset.label(index)
            candidate = Candidate(
                image_id=self._dataset.item_id(index),
                true_label=label,
                true_name=self._classifier.class_names[label],
                path=key,
                sha256=pixels_sha256(pixels),
                top_labels=labels,
                top_probabilities=values,
            )
            _keep(self._items, key, candidate, png_bytes(pixels))
            self._known[index] = candidate


def first_candidates(
    experiment: Experiment, run: Run, context: Context, classifier: Classifier, n_images: int, only_right: bool = False
) -> list[tuple[Candidate, np.ndarray]]:
    """Returns the first images of an experiment, uint8 (H, W, 3), in the order of `select`, which draws the same ones.

    Args:
        only_right: those alone that the model gets right.

    Raises:
        BadInput: no image can be read.
    """
    dataset = open_dataset(experiment.resolved_dataset(), classifier.class_names, classifier.wordnet_ids, experiment.seed)
    pool = CandidatePool(dataset, classifier, run.items("select", run.printouts))
    order = generator_for(experiment.seed, "select", "").permutation(len(pool))
    found: list[tuple[Candidate, np.ndarray]] = []
    starts = range(0, len(order), BATCH_SIZE)
    for start in context.progress(starts, len(starts), "images"):
        drawn = pool.candidates([int(index) for index in order[start : start + BATCH_SIZE]])
        wanted = [one for one in drawn if not only_right or one.top_labels[0] == one.true_label]
        found += [(candidate, pool.pixels(candidate)) for candidate in wanted[: n_images - len(found)]]
        if len(found) >= n_images:
            break
    if len(pool.rejected) == len(pool):
        reason = next(iter(pool.rejected.values()), "it is empty")
        raise BadInput(f"{dataset.name}: no image could be used.", f"The first reason: {reason}")
    return found


class Crafter:
    """Makes adversarial images in batches of one fixed size, and each only once.

    `model` are the settings that `classifier` was loaded by, `attacks` those of the attacks that it will be asked for, with every
    path filled in, `defended` those of the model behind each defence that some of them are made on; `training` gives the images
    for those that learn something once from images of their own (see `training_images`).
    """

    def __init__(
        self,
        classifier: Classifier,
        model: ModelSettings,
        items: Items,
        context: Context,
        attacks: Iterable[AttackSettings],
        training: Callable[[str, int], np.ndarray] | None = None,
        defended: Mapping[str, ModelSettings] | None = None,
    ) -> None:
        self._items, self._context, self._training = items, context, training
        self._models = {"": model} | dict(defended or {})
        self._classifiers = {"": classifier}
        self._learnt: dict[str, tuple[bytes, dict[str, int]]] = {}
        attacks = list(attacks)
        self._settings = {found.key: found for found in attacks}
        self._specs = {found.key: attack_spec(found.name, options=found.options) for found in attacks}
        self._attacks = {found.key: attack_named(found.name, options=found.options) for found in attacks}

    def classifier_of(self, attack_key: str) -> Classifier:
        """Returns what an attack is made on: the model, or the model behind a defence."""
        defence = self._settings[attack_key].defence
        if defence not in self._classifiers:
            self._classifiers[defence] = load_classifier(self._models[defence], str(self._classifiers[""].device))
        return self._classifiers[defence]

    def craft(
        self, attack_key: str, epsilons_8bit: Sequence[int], images: Sequence[tuple[Candidate, np.ndarray]], label: str = ""
    ) -> dict[tuple[int, str], Crafted]:
        """Returns the adversarial images by (epsilon, image id).

        Batches are filled up with copies to one fixed size, so that what becomes of an image never depends on its neighbours.
        """
        shown = {candidate.image_id: pixels for candidate, pixels in images}
        candidates = [candidate for candidate, _ in images]
        self.make(attack_key, epsilons_8bit, candidates, lambda candidate: shown[candidate.image_id], label)
        every = [(epsilon, candidate) for epsilon in epsilons_8bit for candidate in candidates]
        return {(epsilon, one.image_id): self.made(attack_key, epsilon, one) for epsilon, one in every}

    def make(
        self,
        attack_key: str,
        epsilons_8bit: Sequence[int],
        candidates: Sequence[Candidate],
        pixels_of: Callable[[Candidate], np.ndarray],
        label: str = "",
    ) -> None:
        """Makes and keeps the adversarial images that are not there yet; `pixels_of` gives an image when its turn comes."""
        self._learn(attack_key)
        missing = [
            candidate
            for candidate in candidates
            if any(_kept(self._items, self._key(attack_key, epsilon, candidate)) is None for epsilon in epsilons_8bit)
        ]
        classifier, settings = self.classifier_of(attack_key), self._settings[attack_key]
        size = self._specs[attack_key].batch_size or (BATCH_SIZE if classifier.device.type == "cpu" else GPU_BATCH_SIZE)
        batches = [missing[start : start + size] for start in range(0, len(missing), size)]
        work = partial(_perturbed, size=size, epsilons_8bit=epsilons_8bit)
        # what makes images elsewhere: the model and the attack, with what it learnt
        model = shared_classifier(self._models[settings.defence], classifier)
        named = {
            name: os.path.abspath(text)
            for name, text in settings.options.items()
            if isinstance(text, str) and os.path.isfile(text)
        }
        recipe = *model.arguments, replace(settings, options={**settings.options, **named}), self._learnt.get(attack_key)
        files = *model.files, *map(Path, named.values())
        shared = Shared(_attacker, recipe, (self._attacks[attack_key], classifier), files)

        def load(batch: Sequence[Candidate]) -> list[tuple[Candidate, np.ndarray]]:
            return [(candidate, pixels_of(candidate)) for candidate in batch]

        for batch, made in engine.map(work, batches, self._context, label or attack_key, shared, load):
            for epsilon, row, crafted in made:
                cost = {name: value for name, value in asdict(crafted).items() if name != "png"}
                _keep(self._items, self._key(attack_key, epsilon, batch[row]), cost, crafted.png)

    def made(self, attack_key: str, epsilon_8bit: int, candidate: Candidate) -> Crafted:
        """Returns an adversarial image that `make` made.

        Raises:
            BadInput: it is gone.
        """
        kept = _kept(self._items, self._key(attack_key, epsilon_8bit, candidate))
        if kept is None:
            raise BadInput(f"{attack_key}/{candidate.image_id}: gone while it was saved.", "Type the same command again.")
        return Crafted(kept[1], **kept[0])

    def learnt(self, attack_key: str, side_px: int) -> np.ndarray | None:
        """Returns the picture, uint8 (side_px, side_px, 3), that an attack learnt to put into images, None for all others."""
        self._learn(attack_key)
        attack = self._attacks[attack_key]
        return attack.picture(side_px) if isinstance(attack, Trainable) else None

    def blind_share(self, attack_key: str) -> tuple[int, int]:
        """Returns how many of the gradients that an attack learnt from were not finite, and of how many; (0, 0) for others."""
        _, told = self._learnt.get(attack_key, (b"", {}))
        return told.get("n_blind", 0), told.get("n_gradients", 0)

    def _learn(self, attack_key: str) -> None:
        """Has an attack learn what it has to before it meets an image: once, and kept like any other result."""
        attack = self._attacks[attack_key]
        if attack_key in self._learnt or not isinstance(attack, Trainable):
            return
        if self._training is not None:
            attack.prepare(self._training(*attack.training_images))
        classifier = self.classifier_of(attack_key)
        key = content_hash([self._specs[attack_key].name, "learnt", classifier.fingerprint, attack.identity])
        kept = _kept(self._items, key)
        if kept is None:
            for _ in self._context.progress(range(1), 1, f"{attack_key}: training"):
                learnt = attack.learn(classifier, classifier.input_size)
            told = {"target": learnt.target, "n_gradients": learnt.n_gradients, "n_blind": learnt.n_blind}
            kept = told, png_bytes(learnt.picture)
            _keep(self._items, key, *kept)
        attack.use(Learnt(read_png(kept[1]), **kept[0]))
        self._learnt[attack_key] = kept[1], kept[0]

    def _key(self, attack: str, epsilon: int, candidate: Candidate) -> str:
        name, identity, on = self._specs[attack].name, self._attacks[attack].identity, self.classifier_of(attack).fingerprint
        return content_hash([name, epsilon, candidate.sha256, candidate.true_label, on, identity])


def _kept(items: Items, key: str) -> tuple[dict[str, Any], bytes] | None:
    """Returns a result's record and picture, None where either is not there."""
    record, png = items.get_json(key), items.get(key, ".png")
    return None if record is None or png is None else (record, png)


def _keep(items: Items, key: str, record: Any, png: bytes) -> None:
    items.put(key, png, ".png")
    items.put_json(key, record)


def craft_images(classifier: Classifier, attack: AttackSettings, images: np.ndarray, labels: Sequence[int]) -> list[np.ndarray]:
    """Returns one attack's adversarial images, uint8 (H, W, 3), of some images, with nothing kept.

    Args:
        attack: with one epsilon, if it takes any; one that learns first learns from these images.
        images: uint8 (N, H, W, 3). labels: their true classes.
    """
    if len(labels) != len(images):
        raise ValueError(f"expected a label for each of {len(images)} images, got {len(labels)}")
    shown = [
        (Candidate(str(i), int(label), classifier.class_names[label], "", pixels_sha256(pixels), (), ()), pixels)
        for i, (label, pixels) in enumerate(zip(labels, images, strict=True))
    ]
    with TemporaryDirectory() as folder:
        here, context = ModelSettings(name=classifier.name), Context(str(classifier.device))
        crafter = Crafter(classifier, here, Items(Path(folder)), context, [attack], lambda _, n_wanted: images[:n_wanted])
        made = crafter.craft(attack.key, attack.epsilons, shown)
    return [made[attack.epsilons[0], candidate.image_id].pixels for candidate, _ in shown]


def _attacker(
    model: ModelSettings, device: str, attack: AttackSettings, learnt: tuple[bytes, dict[str, int]] | None
) -> tuple[Attack, Classifier]:
    """Returns an attack that has learnt what it has to, and the model that it attacks."""
    made = attack_named(attack.name, options=attack.options)
    if learnt is not None and isinstance(made, Trainable):
        png, told = learnt
        made.use(Learnt(read_png(png), **told))
    return made, load_classifier(model, device)


def _perturbed(
    batch: Sequence[tuple[Candidate, np.ndarray]], attacker: tuple[Attack, Classifier], size: int, epsilons_8bit: Sequence[int]
) -> list[tuple[int, int, Crafted]]:
    """Returns (epsilon, row, what was made) of every image of a batch, which is filled up to its size."""
    attack, classifier = attacker
    rows = [min(row, len(batch) - 1) for row in range(size)]
    pixels = np.stack([batch[row][1] for row in rows])
    labels = np.array([batch[row][0].true_label for row in rows], dtype=np.int64)
    made = []
    for epsilon, result in attack.perturb(classifier, pixels, labels, epsilons_8bit).items():
        for row in range(len(batch)):
            target = None if result.targets is None else int(result.targets[row])
            png, rounding = png_bytes(result.images[row]), result.rounding[row] if result.rounding else ""
            passes = int(result.n_forward[row]), int(result.n_backward[row])
            is_blind = bool(result.is_blind and result.is_blind[row])
            crafted = Crafted(png, target, *passes, rounding, is_blind, result.by[row] if result.by else "")
            made.append((epsilon, row, crafted))
    return made


def training_images(
    experiment: Experiment, classifier: Classifier, folder: str, n_images: int, without: Collection[str] = ()
) -> np.ndarray:
    """Returns pictures for an attack to learn from, uint8 (n, H, W, 3) at the model's input size, n at most `n_images`.

    They are drawn from the seed; files that cannot be read are passed over.

    Args:
        folder: of pictures of any size; "" for the experiment's data set, of built-in signs those that are for training.
        without: ids of images of the data set that are not to be drawn; with them the experiment's own part of it is drawn from.

    Raises:
        BadInput: there is no picture that can be read.
    """
    settings = experiment.resolved_dataset()
    if settings.name.startswith("builtin:") and not without:
        settings = replace(settings, split="train", n_images=max(n_images, _N_CLASSES_IN_TURN))
    source = (
        picture_files(Path(folder))
        if folder
        else open_dataset(settings, classifier.class_names, classifier.wordnet_ids, experiment.seed)
    )
    found: list[np.ndarray] = []
    for place in map(int, generator_for(experiment.seed, "training").permutation(len(source))):
        if not isinstance(source, list) and source.item_id(place) in without:
            continue
        try:
            loaded = read_apart(source[place]) if isinstance(source, list) else source.image(place)
            found.append(classifier.prepare(loaded.pixels))
        except BadInput:
            continue
        if len(found) == n_images:
            break
    if not found:
        what = "no picture is left that the run did not draw" if without else "no picture to train on can be read"
        raise BadInput(f"{folder or experiment.dataset.name}: {what}.")
    return np.stack(found)


def top_predictions(probabilities: np.ndarray) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Returns the five likeliest labels and their probabilities, best first; ties go to the lower label."""
    order = np.argsort(-probabilities, kind="stable")[:N_LABELS]
    return tuple(int(label) for label in order), tuple(float(probabilities[label]) for label in order)
