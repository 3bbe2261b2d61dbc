"""What a part of a study works with: networks that all studies share, images, and the simulated camera."""

import io
import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.core.errors import BadInput, Unavailable
from pipeline.core.seeds import generator_for, seed_for
from pipeline.engine import Context, map as engine_map
from pipeline.images import to_model, to_pixels
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.models.preprocessing import Preprocessing
from pipeline.models.trained import CARD, trained_model
from pipeline.physical.simulator import load_profile
from pipeline.physical.simulator.channel import Channel
from pipeline.settings import DatasetSettings, ModelSettings, Source
from pipeline.settings.training import Training, training_of
from pipeline.store import Items, content_hash
from pipeline.studies.lab.parts import Measured, Part
from pipeline.training.feature_sets import SetRecipe, make_set, set_identity
from pipeline.training.images import Images, read_images
from pipeline.training.run import train

DATA = "INKPROOF_DATA"
PROFILE = "office-phone"
AT_ONCE = 250


@dataclass(frozen=True)
class Bench:
    """One run of a study.

    Attributes:
        study: its name.
        is_small: whether it is the small variant.
        models: the folder of the networks that all studies share.
    """

    study: str
    is_small: bool
    seed: int
    models: Path
    items: Items
    context: Context
    say: Callable[[str], None]
    _made: dict[str, Path] = field(default_factory=dict, compare=False, repr=False)
    _opened: dict[str, Classifier] = field(default_factory=dict, compare=False, repr=False)
    _read: dict[str, Images] = field(default_factory=dict, compare=False, repr=False)

    def pick(self, small: int, full: int) -> int:
        """Returns the size of something in this variant."""
        return small if self.is_small else full

    def rng(self, *names: str) -> np.random.Generator:
        """Returns a generator of the study's seed and of what it is for."""
        return generator_for(self.seed, self.study, "/".join(names))

    def generator(self, *names: str) -> torch.Generator:
        """Returns the same for torch, on the device of the networks."""
        return torch.Generator(self.context.device).manual_seed(seed_for(self.seed, self.study, "/".join(names)) % 2**63)

    def training(self, name: str) -> Training:
        """Returns the training of a network of `networks.toml`, with what its small variant changes.

        Args:
            name: "maxout#3" is maxout from another seed, three further on.
        """
        entry, _, further = name.partition("#")
        tree, is_changed = self._entry(network_entries()[entry])
        folder = "-".join([entry, *([further] if further else []), *(["small"] if is_changed else [])])
        if on := tree.pop("on", ""):
            tree["dataset"] = {"name": f"folder:{self.made(on)}"}
        told = {"name": folder, "seed": self.seed + int(further or 0)} | tree
        return training_of(told, Source(Path("networks.toml"), {}))

    def made(self, name: str) -> Path:
        """Returns the images of a set of `sets.toml`, made now unless they are there already; see `feature_sets.py`.

        Its folder has a part of its identity in its name: what depends on another network is another set.
        """
        if name not in self._made:
            entry, is_changed = self._entry(set_entries()[name])
            network, n_images, recipe = entry["network"], entry.get("n_images", 0), self.recipe(name)
            images = self.images(network, "train")
            images = images.only(torch.from_numpy(self.rng("set").permutation(len(images))[: n_images or None]))
            classifier, model = self.network(network), trained_model(self.folder(network))
            identity = set_identity(recipe, classifier.fingerprint, images, self.seed)
            folder = self.models / "sets" / f"{name}{'-small' * is_changed}-{identity[:8]}"
            self.say(f"{name}: {len(images)} images by {network}")
            self._made[name] = make_set(recipe, model, images, classifier.class_names, folder, self.seed, self.context)
        return self._made[name]

    def recipe(self, name: str) -> SetRecipe:
        """Returns how the images of a set of `sets.toml` are made in this variant."""
        entry, _ = self._entry(set_entries()[name])
        return SetRecipe(**{key: value for key, value in entry.items() if key not in ("network", "n_images")})

    def _entry(self, entry: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """Returns an entry as it is in this variant, and whether the small one differs from the full one."""
        tree = dict(entry)
        small = tree.pop("small", {})
        for key, changed in (small if self.is_small else {}).items():
            tree[key] = {**tree.get(key, {}), **changed} if isinstance(changed, dict) else changed
        return tree, self.is_small and bool(small)

    def prepare(self, names: Sequence[str]) -> None:
        """Trains the networks that are not there yet, several at once where there are several processes."""
        trained = [name for name in names if self.training(name).model.name.startswith("network:")]
        left = [name for name in trained if not (self.folder(name) / CARD).is_file()]
        nearby = self.context.nearby()  # a network is trained where its images and its folder lie
        if len(left) > 1 and nearby.workers > 1 and nearby.device == "cpu":
            jobs = [(self.training(name), self.folder(name)) for name in left]
            for (training, _), _ in engine_map(_trained, jobs, nearby, "training networks"):
                self.say(f"{training.name}: trained")

    def folder(self, name: str) -> Path:
        """Returns where a network lies once it is trained."""
        return self.models / self.training(name).name

    def network(self, name: str) -> Classifier:
        """Returns a network, trained now unless it is there already or comes with its weights (no `network:`)."""
        if name not in self._opened and not self.training(name).model.name.startswith("network:"):
            self._opened[name] = load_classifier(self.training(name).resolved().model, self.context.device)
        if name not in self._opened:
            training, folder = self.training(name), self.folder(name)
            try:
                train(training, folder, self.context, self._told(name), read=self._images)
            except BadInput:  # another seed, or an earlier version's settings
                train(training, folder, self.context, self._told(name), force=True, read=self._images)
            self._opened[name] = load_classifier(ModelSettings(name=f"trained:{folder}"), self.context.device)
        return self._opened[name]

    def card(self, name: str) -> dict[str, Any]:
        """Returns what is known of a network, which is trained if need be."""
        self.network(name)
        found: dict[str, Any] = json.loads((self.folder(name) / "card.json").read_bytes())
        return found

    def images(self, name: str, split: str = "test", n: int = 0) -> Images:
        """Returns the images of a network's data set as it sees them: the first `n` of its classes in a part, or all."""
        training, classifier = self.training(name).resolved(), self.network(name)
        settings = training.test if split == "test" and training.test.name else replace(training.dataset, split=split)
        names, steps = training.classes or classifier.class_names, classifier.preprocessing
        found = self._images(settings, names, steps, self.seed, self.context, f"reading {split} images")
        return found.only(torch.arange(min(n or len(found), len(found))))

    def batch(self, name: str, split: str = "test", n: int = 0) -> tuple[Tensor, Tensor]:
        """Returns the same as float32 (n, 3, H, W) in [0, 1], with their labels."""
        found = self.images(name, split, n)
        return found.batch(torch.arange(len(found)))

    def measured(self, part: Part) -> Measured:
        """Returns what a part measures, from before where nothing that it depends on has changed."""
        self.prepare(part.networks)
        prints = [self.network(name).fingerprint for name in part.networks]
        key = content_hash([self.study, part.key, part.form, self.is_small, self.seed, prints])
        if (kept := self.items.get(key, ".npz")) is not None:
            return _unpacked(kept)
        found = part.measure(self)
        content = _packed(found)
        self.items.put(key, content, ".npz")
        return _unpacked(content)

    def _images(
        self, settings: DatasetSettings, names: tuple[str, ...], steps: Preprocessing, seed: int, context: Context, label: str
    ) -> Images:
        """Returns `read_images`, read once: most networks see the same images."""
        key = content_hash([asdict(settings), names, asdict(steps), seed])
        if key not in self._read:
            self._read[key] = read_images(settings, names, steps, seed, context, label)
        return self._read[key]

    def _told(self, name: str) -> Callable[[str], None]:
        return lambda line: self.say(f"{name}: {line}")


@cache
def network_entries() -> dict[str, dict[str, Any]]:
    """Returns the trainings of `networks.toml` by name."""
    return tomllib.loads(files("pipeline.studies").joinpath("networks.toml").read_text(encoding="utf-8"))


@cache
def set_entries() -> dict[str, dict[str, Any]]:
    """Returns the recipes of `sets.toml` by name."""
    return tomllib.loads(files("pipeline.studies").joinpath("sets.toml").read_text(encoding="utf-8"))


def check_data(study: str, needs: Mapping[str, str]) -> None:
    """Raises:
    Unavailable: the data folder lacks what a study needs, in one line.
    """
    root = os.environ.get(DATA, "")
    missing = [title for title, place in needs.items() if not root or not (Path(root) / place).exists()]
    if missing:
        where = f"the folder that {DATA} names has it not" if root else f"set {DATA} to a folder that has it"
        raise Unavailable(f"{study} needs {' and '.join(missing)}: {where}.", "docs/papers.md says what lies where.")


def logits(classifier: Classifier, images: Tensor) -> Tensor:
    """Returns float32 (N, n_classes) logits, in batches and without a gradient."""
    with torch.no_grad():
        return torch.cat([classifier.logits(part) for part in images.split(AT_ONCE)])


def photographed(pixels: np.ndarray, seed: int, profile: str = PROFILE) -> np.ndarray:
    """Returns uint8 (N, H, W, 3) images as a simulated print and phone photograph give them back."""
    found = []
    for start in range(0, len(pixels), AT_ONCE):
        part = to_model(pixels[start : start + AT_ONCE])
        channel = Channel(load_profile(profile), (part.shape[2], part.shape[3]), 70.0)
        draws = channel.draw(len(part), generator_for(seed, "photograph", str(start)))
        noise = torch.Generator().manual_seed(seed_for(seed, "noise", str(start)) % 2**63)
        with torch.no_grad():
            found.append(to_pixels(channel(part, draws, noise)))
    return np.concatenate(found)


_read_once = cache(read_images)


def _trained(job: tuple[Training, Path]) -> None:
    """Trains a network in a worker process, which reads each data set once."""
    training, folder = job
    try:
        train(training, folder, Context(), read=_read_once)
    except BadInput:  # as in Bench.network
        train(training, folder, Context(), force=True, read=_read_once)


def _packed(found: Measured) -> bytes:
    """Returns arrays and the rest, as JSON, in one file."""
    arrays = {key: value for key, value in found.items() if isinstance(value, np.ndarray)}
    rest = {key: value for key, value in found.items() if key not in arrays}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, _rest=np.frombuffer(json.dumps(rest).encode(), np.uint8))  # type: ignore[arg-type]
    return buffer.getvalue()


def _unpacked(content: bytes) -> Measured:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(arrays.pop("_rest").tobytes()) | arrays
