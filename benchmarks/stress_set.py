"""The labelled stress set: simulated photographs of one page over a declared grid of conditions, with the truth beside each."""

import argparse
import dataclasses
import hashlib
import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.core.seeds import generator_for
from pipeline.images import read_image
from pipeline.physical.printing.arrangement import PrintPair, arrange
from pipeline.physical.printing.document import build_pdf, render_page
from pipeline.physical.printing.instructions import Instructions
from pipeline.physical.simulator import SimulatedPhoto, load_profile, simulate_photo
from pipeline.records import Printout

GRID = Path(__file__).with_name("stress_grid.toml")
IMAGE_PX, IMAGE_MM, N_PAIRS = 299, 60.0, 3


@dataclass(frozen=True)
class Condition:
    """One photo to take: the set that it belongs to, its number there, and the settings that differ from the default profile."""

    name: str
    number: int
    overrides: tuple[tuple[str, tuple[float, float]], ...]


def conditions(grid: Path = GRID) -> list[Condition]:
    """Returns every photo that a grid declares."""
    sets = tomllib.loads(grid.read_text(encoding="utf-8"))
    return [
        Condition(name, number, tuple((key, tuple(value)) for key, value in table.items() if key != "n"))
        for name, table in sets.items()
        for number in range(table["n"])
    ]


def printed_page(dpi: int = 600, aids: bool = True) -> tuple[Printout, np.ndarray, dict[str, np.ndarray]]:
    """Returns a page of three pairs of noise-like 299 px images, its raster, and the images by path; `aids` as of `arrange`."""
    rng = np.random.default_rng(0)
    images = {}
    for index in range(N_PAIRS):
        coarse = cv2.resize(
            rng.integers(30, 226, (24, 24, 3), dtype=np.uint8), (IMAGE_PX, IMAGE_PX), interpolation=cv2.INTER_CUBIC
        )
        signs = rng.integers(0, 2, (IMAGE_PX, IMAGE_PX, 1)) * 2 - 1
        images[f"{index}/clean"] = coarse
        images[f"{index}/adversarial"] = np.clip(coarse + 8 * signs, 0, 255).astype(np.uint8)
    pairs = [PrintPair(f"p{i}", f"{i}/clean", f"{i}/adversarial", IMAGE_PX, IMAGE_PX) for i in range(N_PAIRS)]
    printout = arrange(pairs, run="stress", run_code="STRES", image_mm=IMAGE_MM, aids=aids)
    pdf = build_pdf(printout, images.__getitem__, {}, Instructions("photos/", "inkproof run"))
    return printout, render_page(pdf, 1, dpi), images


def make_photo(condition: Condition, printout: Printout, raster: np.ndarray) -> SimulatedPhoto:
    """Returns one photo of the set."""
    profile = dataclasses.replace(load_profile("office-phone"), **dict(condition.overrides))
    generator = generator_for(0, "stress", f"{condition.name}/{condition.number}")
    table = _background(condition) if condition.number % 2 else None
    return simulate_photo(raster, printout.page_width_mm, printout.page_height_mm, profile, generator, table)


def _background(condition: Condition) -> np.ndarray | None:
    """Returns a real photograph to lie beneath the page, None where there is none at hand."""
    root = Path(os.environ.get("INKPROOF_DATA") or Path(__file__).parents[2] / "shared" / "data")
    files = sorted((root / "imagenet" / "images").glob("*"))
    if not files:
        return None
    digest = hashlib.sha256(f"{condition.name}/{condition.number}".encode()).digest()
    return read_image(files[int.from_bytes(digest[:4]) % len(files)]).pixels


def main() -> None:
    """Writes the photos as JPEG files and `labels.json`, the truth of each."""
    from pipeline.physical.simulator import encode_jpeg

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    printout, raster, _ = printed_page()
    labels = {}
    for condition in conditions():
        photo = make_photo(condition, printout, raster)
        name = f"{condition.name.replace(' ', '-')}-{condition.number:02d}.jpg"
        (folder / name).write_bytes(encode_jpeg(photo))
        homography, residual = photo.page_map.numbers
        labels[name] = {"set": condition.name, "page": 1, "photo_from_page": homography, "residual_px": residual}
    (folder / "labels.json").write_text(json.dumps(labels, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
