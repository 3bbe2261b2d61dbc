"""How much right crops and wrong ones resemble what was printed there, profile by profile: what `MIN_LIKENESS` rests on.

Pages of photographs, small images and digits, each with a strongly changed twin, are photographed by the simulator. Right crops
are cut out where the truth has them; wrong ones show another image, a place beside, a code, lettering, or the table. Each right
one is also half covered, by paper, a hand or another crop, and lit unevenly: half in a shadow, or with a lamp mirrored in it.
"""

import argparse
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pipeline.core.seeds import generator_for
from pipeline.images import read_image
from pipeline.physical.printing.arrangement import PrintPair, arrange
from pipeline.physical.printing.document import build_pdf, render_page
from pipeline.physical.printing.instructions import Instructions
from pipeline.physical.registration.covering import MIN_LIKENESS, likeness
from pipeline.physical.registration.cropping import crop
from pipeline.physical.simulator import load_profile, profile_names, simulate_photo
from pipeline.records import Placement, Printout

_KINDS = {"imagenet/images": 224, "cifar10/test_jpeg": 0, "mnist/test": 0}
_LONG_SIDE_PX, _DPI, _N_PAIRS, _N_PAGES = 2200, 300, 24, 3
_BESIDE = ((0.5, 0.0), (0.0, 0.5), (0.9, 0.4))
_COVERS_8BIT, _COVER_NOISE_8BIT = {"paper": (225, 222, 215), "hand": (190, 140, 115)}, 2.5
_GROUPS = ("right", "wrong", "half covered", "unevenly lit")
_SHADOWS, _LAMPS = (0.08, 0.2, 0.4), (0.3, 0.6)


def pictures(root: Path, kind: str, n: int) -> list[np.ndarray]:
    """Returns some images of one kind, those of another size than theirs shrunk to it."""
    files = sorted(path for path in (root / kind).rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    chosen = generator_for(0, "covered", kind).permutation(len(files))[:n]
    images = [read_image(files[index]).pixels for index in chosen]
    side = _KINDS[kind]
    return [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) if side else image for image in images]


def changed(image: np.ndarray, number: int) -> np.ndarray:
    """Returns an image changed far more than attacks do: signs of 16, 64 or 128, salt, a patch, blots, or noise in its place."""
    rng = np.random.default_rng(number)
    signs, pixels = rng.integers(0, 2, image.shape) * 2 - 1, image.astype(int)
    height, width = image.shape[:2]
    match number % 7:
        case 0 | 1 | 2:
            pixels = pixels + (16, 64, 128)[number % 7] * signs
        case 3:
            salted = rng.random((height, width)) < 0.15
            pixels[salted] = 255 * rng.integers(0, 2, (int(salted.sum()), 3))
        case 4:
            third = (height // 3, width // 3)
            pixels[third[0] : 2 * third[0], : third[1]] = rng.integers(0, 256, (*third, 3))
        case 5:
            pixels = pixels + cv2.resize(rng.normal(0, 40, (6, 6, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        case _:
            pixels = rng.integers(0, 256, image.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def half_covered(seen: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields a crop with its left or its lower half under paper, a hand and another crop."""
    height, width = seen.shape[:2]
    other = cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA)
    plain = [np.broadcast_to(np.array(colour), seen.shape) for colour in _COVERS_8BIT.values()]
    for above in (other, *(np.clip(rng.normal(one, _COVER_NOISE_8BIT), 0, 255).astype(np.uint8) for one in plain)):
        for half in (np.s_[:, : width // 2], np.s_[height // 2 :]):
            covered = seen.copy()
            covered[half] = above[half]
            yield covered


def unevenly_lit(seen: np.ndarray) -> Iterator[np.ndarray]:
    """Yields a crop with its left half in shadows with a soft edge, and with a lamp mirrored near its middle."""
    y, x = ((np.arange(side) + 0.5) / side for side in seen.shape[:2])
    light, beyond = (seen / 255.0) ** 2.2, (1 / (1 + np.exp((0.5 - x) / 0.02)))[None, :, None]
    lamp = np.exp(-((y[:, None] - 0.3) ** 2 + (x[None] - 0.35) ** 2) / 0.18)[..., None]
    lit = [light * (share + (1 - share) * beyond) for share in _SHADOWS] + [light + strength * lamp for strength in _LAMPS]
    yield from (np.rint(255 * np.minimum(one, 1) ** (1 / 2.2)).astype(np.uint8) for one in lit)


def measured(profile_name: str, kind: str, images: dict[str, np.ndarray], printout: Printout) -> Iterator[tuple[str, float]]:
    """Yields (a key of `_GROUPS`, likeness) of crops of some photographed pages."""
    profile = load_profile(profile_name)
    shrink = min(1.0, _LONG_SIDE_PX / profile.frame_long_px)
    size = {"frame_long_px": int(shrink * profile.frame_long_px), "frame_short_px": int(shrink * profile.frame_short_px)}
    profile = dataclasses.replace(profile, **size)
    pdf = build_pdf(printout, images.__getitem__, {}, Instructions("photos/", "inkproof run"))
    for page in range(1, min(printout.n_pages, _N_PAGES) + 1):
        raster = render_page(pdf, page, _DPI)
        generator = generator_for(page, "covered", f"{profile_name}/{kind}")
        photo = simulate_photo(raster, printout.page_width_mm, printout.page_height_mm, profile, generator)
        here = [placement for placement in printout.placements if placement.page == page]
        for placement in here:
            known, table = images[placement.path], np.ascontiguousarray(photo.image[2:100, 2:100])
            crops = [
                (is_right, crop(photo.image, photo.page_map, place)) for is_right, place in _places(placement, here, printout)
            ]
            right = [seen for is_right, seen in crops if seen is not None and is_right]
            wrong = [seen for is_right, seen in crops if seen is not None and not is_right] + [table]
            yield from (("right", likeness(seen, known)) for seen in right)
            yield from (("wrong", likeness(seen, known)) for seen in wrong)
            for seen in right:
                yield from (("half covered", likeness(one, known)) for one in half_covered(seen, wrong[0], generator))
                yield from (("unevenly lit", likeness(one, known)) for one in unevenly_lit(seen))


def _places(placement: Placement, here: list[Placement], printout: Printout) -> Iterator[tuple[bool, Placement]]:
    yield True, placement
    others = [one for one in here if one.pair_id != placement.pair_id]
    spots = [(one.x_mm, one.y_mm) for one in others]
    spots += [(placement.x_mm + x * placement.width_mm, placement.y_mm + y * placement.height_mm) for x, y in _BESIDE]
    spots += [(code.x_mm - 5, code.y_mm - 5) for code in printout.fiducials if code.page == placement.page]
    spots += [(0.35 * printout.page_width_mm, 2.0)]
    for x_mm, y_mm in spots:
        yield False, dataclasses.replace(placement, x_mm=x_mm, y_mm=y_mm)


def main() -> None:
    """Prints a row a profile."""
    default = Path(os.environ.get("INKPROOF_DATA") or Path(__file__).parents[2] / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=default, help="folder that holds imagenet, cifar10 and mnist")
    parser.add_argument("--profile", action="append", help="only this profile (may be repeated)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"likeness of crops; share of them below {MIN_LIKENESS}, which are listed as covered")
    print(f"{'profile':20}" + "".join(f" | {group:>14}: {'least':>5} {'most':>5} {'below':>6}" for group in _GROUPS))
    for name in options.profile or profile_names():
        values: dict[str, list[float]] = {group: [] for group in _GROUPS}
        for kind in _KINDS:
            images = {f"{i}/clean": image for i, image in enumerate(pictures(options.data, kind, _N_PAIRS))}
            images |= {f"{i}/adversarial": changed(images[f"{i}/clean"], i) for i in range(len(images))}
            sizes = {i: images[f"{i}/clean"].shape[1::-1] for i in range(len(images) // 2)}
            pairs = [PrintPair(f"p{i}", f"{i}/clean", f"{i}/adversarial", *size) for i, size in sizes.items()]
            printout = arrange(pairs, run="r", run_code="COVER")
            for group, value in measured(name, kind, images, printout):
                values[group].append(value)
        cells = []
        for group, each in values.items():
            below = np.mean(np.array(each) < MIN_LIKENESS)
            cells.append(f" | {group} {len(each):5d}".ljust(18) + f": {min(each):5.2f} {max(each):5.2f} {below:6.1%}")
        print(f"{name:20}{''.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
