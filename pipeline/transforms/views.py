"""What is judged of a saved file: the file itself and every digital transform of it, the same whenever they are made."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.seeds import generator_for
from pipeline.images import read_png, shown
from pipeline.records import DIGITAL, SOURCE, Pair, View
from pipeline.settings.tables import TransformSettings
from pipeline.specs.transforms import TRANSFORMS
from pipeline.store import cell_folder, saved_image
from pipeline.store.artefacts import TRANSFORMED_IMAGES

# A digital transform and the value of its parameter.
Step = tuple[str, float]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One saved image, and what it is; `path` is relative to the run's printouts folder."""

    path: str
    image_id: str
    variant: str
    attack: str
    epsilon_8bit: int

    @property
    def subject(self) -> str:
        """The pair's id for an adversarial file, `clean/<image>` for a clean one."""
        return f"{cell_folder(self.attack, self.epsilon_8bit)}/{self.image_id}" if self.attack else f"clean/{self.image_id}"


def steps_of(settings: TransformSettings) -> tuple[Step, ...]:
    """Returns every transform with every value of its grid, in a fixed order."""
    return tuple((name, value) for name, values in settings.grids.items() for value in values)


def source_files(pairs: Iterable[Pair]) -> list[SourceFile]:
    """Returns every saved image of the pairs once, in a fixed order: the clean ones first."""
    clean: dict[str, SourceFile] = {}
    adversarial = []
    for pair in pairs:
        clean[pair.image_id] = SourceFile(pair.clean_path, pair.image_id, "clean", "", 0)
        adversarial.append(SourceFile(pair.adversarial_path, pair.image_id, "adversarial", pair.attack, pair.epsilon_8bit))
    return [clean[image_id] for image_id in sorted(clean)] + adversarial


def digital_view(source: SourceFile, sha256: str, name: str = SOURCE, value: float | None = None, path: str = "") -> View:
    """Returns the view of a file, or of a digital transform of it."""
    return View(
        view_id=f"{source.subject}/{name}" + ("" if value is None else f"={value:g}"),
        image_id=source.image_id,
        variant=source.variant,
        attack=source.attack,
        epsilon_8bit=source.epsilon_8bit,
        pair_id=source.subject if source.attack else "",
        transform=name,
        parameter=value,
        path=path,
        sha256=sha256,
        origin=DIGITAL,
    )


def view_of_saved(source: SourceFile, sha256: str, name: str, value: float) -> View:
    """Returns the view of a digital transform that is kept as a file."""
    return digital_view(source, sha256, name, value, TRANSFORMED_IMAGES.file(f"{name}={value:g}/{source.subject}"))


def saved_pixels(folder: Path, path: str) -> np.ndarray:
    """Returns a picture of a run, uint8 (H, W, 3); `path` is relative to one of its folders.

    Raises:
        BadInput: it is missing, or damaged.
    """
    return read_png(saved_image(folder, path), shown(folder / path))


def transformed(pixels: np.ndarray, source: SourceFile, steps: Sequence[Step], seed: int) -> Iterator[np.ndarray]:
    """Yields the uint8 (H, W, 3) result of each (transform, value) on a source file's pixels."""
    for name, value in steps:
        generator = generator_for(seed, "transform", f"{source.subject}/{name}={value:g}")
        yield TRANSFORMS.find(name).apply(pixels, value, generator)
