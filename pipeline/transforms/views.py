"""What is judged of a saved file: the file itself and every digital transform of it, the same whenever they are made."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.seeds import generator_for
from pipeline.records import DIGITAL, SOURCE, Pair, View
from pipeline.specs.transforms import TRANSFORMS
from pipeline.store import cell_folder


@dataclass(frozen=True)
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


def source_files(pairs: Iterable[Pair]) -> list[SourceFile]:
    """Returns every saved image of the pairs once, in a fixed order: the clean ones first."""
    pairs = list(pairs)
    clean = {pair.image_id: SourceFile(pair.clean_path, pair.image_id, "clean", "", 0) for pair in pairs}
    adversarial = [
        SourceFile(pair.adversarial_path, pair.image_id, "adversarial", pair.attack, pair.epsilon_8bit) for pair in pairs
    ]
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


def transformed(pixels: np.ndarray, source: SourceFile, steps: Sequence[tuple[str, float]], seed: int) -> Iterator[np.ndarray]:
    """Yields the uint8 (H, W, 3) result of each (transform, value) on a source file's pixels."""
    for name, value in steps:
        generator = generator_for(seed, "transform", f"{source.subject}/{name}={value:g}")
        yield TRANSFORMS.find(name).apply(pixels, value, generator)
