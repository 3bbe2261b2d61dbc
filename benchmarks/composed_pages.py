"""How well pages are registered on paper as it really lies: a page of ours multiplied into photographs of real sheets.

Outline, bends, shading, noise and blur are those of the photograph, the print is ours; what was printed there is taken away.
A sheet's inside is not seen, only its sides: bends run from side to side as a Coons patch.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from page_outlines import Outline, outline_of
from PIL import Image, ImageOps
from stress_set import IMAGE_MM, printed_page

from pipeline import engine
from pipeline.core.seeds import generator_for
from pipeline.engine import Context
from pipeline.images.colour import linear_levels, srgb_from_linear
from pipeline.physical.geometry import homography_from_points
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration.cropping import registration_error
from pipeline.physical.registration.page import Registration, register
from pipeline.physical.simulator import draw_shot, load_profile
from pipeline.physical.simulator.printer import printed_reflectance
from pipeline.physical.simulator.scene import mask_within
from pipeline.physical.simulator.warp import Tiles, shrink_for
from pipeline.records import Printout

SIZES_PX = (0, 1600)
_PROFILE = "office-phone"
_PRINTED_SHARE, _QUALITY = 0.93, 92
_CLOSING_RATE, _LEAST_BLUR_PX, _BEYOND_MM = 0.03, 0.3, 60.0


@dataclass(frozen=True)
class Task:
    """One page to compose: a photograph, the longer side that it is brought to (0 leaves it), and with aids or without."""

    photo: Path
    long_px: int
    aids: bool


@dataclass(frozen=True)
class Outcome:
    """What one composed page gave; errors are of each crop, RMS in pixels of a 299 px image printed 60 mm wide."""

    task: Task
    found: bool
    n_codes: int = 0
    n_points: int = 0
    errors: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()
    straight: tuple[float, ...] = ()


def photographs() -> list[Path]:
    """Returns the real page photographs, sorted."""
    root = Path(os.environ.get("INKPROOF_DATA") or Path(__file__).parents[2] / "shared" / "data")
    return sorted((root / "photos").glob("*/*.jpg"))


def composed(photo: np.ndarray, outline: Outline, printout: Printout, raster: np.ndarray) -> tuple[np.ndarray, PageMap]:
    """Returns the photo, uint8 (H, W, 3), with the page printed on its sheet, and where the page truly lies in it."""
    size_mm = np.array([printout.page_width_mm, printout.page_height_mm])
    truth = PageMap.fitted(lambda mm: outline.photo_from_unit(mm / size_mm), *size_mm)
    edge = np.concatenate([np.linspace(a, b, 80, endpoint=False) for a, b in zip(_SQUARE, np.roll(_SQUARE, -1, axis=0))])
    inside = mask_within(outline.photo_from_unit(edge), photo.shape[1::-1])
    blank = _without_print(photo, inside, np.ptp(outline.corners, axis=0).max())
    print_seen = _reflectance(_page_from(outline, size_mm), inside > 0, raster, size_mm)
    print_seen = cv2.GaussianBlur(print_seen, (0, 0), max(outline.blur_px, _LEAST_BLUR_PX))
    share = inside[..., None].astype(np.float32) / 255
    light = blank * (1 - share + share * print_seen)
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * srgb_from_linear(light)).astype(np.uint8)).save(file, "JPEG", quality=_QUALITY)
    return np.asarray(Image.open(file)), truth


def measure(task: Task) -> Outcome | None:
    """Returns what one composed page gives; None where the photograph shows no sheet whose sides are found."""
    cv2.setNumThreads(1)
    with Image.open(task.photo) as image:
        photo = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    scale = task.long_px / max(photo.shape[:2]) if task.long_px else 1.0
    if scale < 1:
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    elif scale > 1:
        return None
    outline = outline_of(photo)
    if outline is None:
        return None
    printout, raster = _page(task.aids)
    pixels, truth = composed(photo, outline, printout, raster)
    if folder := os.environ.get("INKPROOF_COMPOSED"):
        Image.fromarray(pixels).save(Path(folder) / f"{task.photo.stem}-{task.long_px}-{'aids' if task.aids else 'bare'}.png")
    found = next((one for one in register(pixels, printout) if isinstance(one, Registration)), None)
    if found is None:
        return Outcome(task, False)
    per_px = printout.placements[0].width_mm / IMAGE_MM
    straight = PageMap(truth.width_mm, truth.height_mm, _flat(truth))
    return Outcome(
        task,
        True,
        found.n_codes,
        found.n_points,
        tuple(registration_error(found.page_map, truth, p) * per_px for p in printout.placements),
        tuple(found.predicted_error_px(p) * per_px for p in printout.placements),
        tuple(registration_error(straight, truth, p) * per_px for p in printout.placements),
    )


def main() -> None:
    """Prints a row for each photograph, size and kind of page, and sums of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", type=int, action="append", help="longer side in px, 0 as it is (may be repeated)")
    parser.add_argument("--save", type=Path, help="write the composed photographs into this folder")
    options = parser.parse_args()
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        os.environ["INKPROOF_COMPOSED"] = str(options.save)
    photos = photographs()
    if not photos:
        print("no composed pages: there are no photographs of real pages (set INKPROOF_DATA)")
        return
    tasks = [Task(photo, size, aids) for aids in (True, False) for size in options.size or SIZES_PX for photo in photos]
    print("pages composed into photographs of real sheets; registration in px of 299 px images of 60 mm")
    heads = f"{'aids':>4} {'found':>5} {'codes':>5} {'points':>6} {'RMS':>7} predicted  one H"
    print(f"{'photograph':24} {'side px':>7} {heads}")
    known = []
    for _, one in engine.map(measure, tasks, Context(workers=options.workers), "pages"):
        if one is not None:
            known.append(one)
            print(_line(one), flush=True)
    for aids in (True, False):
        for size in options.size or SIZES_PX:
            rows = [one for one in known if one.task.aids == aids and one.task.long_px == size]
            _print_sum(f"{'with' if aids else 'without'} aids, {size or 'full'}", rows)
    missing = sorted({task.photo.name for task in tasks} - {one.task.photo.name for one in known})
    print(f"no sides found in: {', '.join(missing) or 'none'}")


_SQUARE = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])


@cache
def _page(aids: bool) -> tuple[Printout, np.ndarray]:
    printout, raster, _ = printed_page(aids=aids)
    return printout, raster


def _without_print(photo: np.ndarray, inside: np.ndarray, sheet_px: float) -> np.ndarray:
    """Returns the photo's light, float32 (H, W, 3), where the sheet is blank: what is printed on it becomes paper.

    Where ink was, the smooth shade of the paper is multiplied with the grain of blank paper some way off.
    """
    light = linear_levels().astype(np.float32)[photo]
    size = 2 * int(_CLOSING_RATE * sheet_px / 2) + 1
    core = cv2.erode(inside, np.ones((5, 5), np.uint8)) == 255
    level = light.copy()
    level[~core] = 0
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    shade = cv2.morphologyEx(cv2.GaussianBlur(level, (0, 0), 1.5), cv2.MORPH_CLOSE, disc)
    shade = _smooth_within(shade, core, size / 2)
    ratio = light / np.maximum(shade, 1e-4)
    ink = core & (cv2.GaussianBlur(ratio.min(axis=2), (0, 0), 1.0) < _PRINTED_SHARE)
    ink = (cv2.dilate(ink.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0) & core
    blank = core & ~ink
    # closing follows the brightest: brought to the mean of blank paper
    weight = cv2.GaussianBlur(blank.astype(np.float32), (0, 0), size)
    mean = cv2.GaussianBlur(np.where(blank[..., None], ratio, 0).astype(np.float32), (0, 0), size)
    shade = shade * np.where(weight[..., None] > 0.02, mean / np.maximum(weight, 0.02)[..., None], 1)
    grain = np.where(blank[..., None], light / np.maximum(shade, 1e-4), 0)
    left = ink.copy()
    rng = generator_for(0, "composed pages", f"{photo.shape}")
    filled = light.copy()
    for _ in range(200):
        if not left.any():
            break
        dy, dx = rng.integers(-int(sheet_px / 3), int(sheet_px / 3) + 1, 2)
        other = np.roll(blank, (dy, dx), (0, 1)) & left
        filled[other] = (shade * np.roll(grain, (dy, dx), (0, 1)))[other]
        left &= ~other
    filled[left] = shade[left]
    return filled


def _smooth_within(values: np.ndarray, where: np.ndarray, sigma_px: float) -> np.ndarray:
    weight = cv2.GaussianBlur(where.astype(np.float32), (0, 0), sigma_px)
    total = cv2.GaussianBlur(np.where(where[..., None], values, 0).astype(np.float32), (0, 0), sigma_px)
    return total / np.maximum(weight, 1e-3)[..., None]


def _page_from(outline: Outline, size_mm: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Page mm of photo px, smooth well beyond the sheet, as what is drawn tile by tile must be."""
    wider = PageMap.fitted(lambda mm: outline.photo_from_unit((mm - _BEYOND_MM) / size_mm), *(size_mm + 2 * _BEYOND_MM))
    return lambda photo_px: wider.inverse(photo_px) - _BEYOND_MM


def _reflectance(
    page_from_photo: Callable[[np.ndarray], np.ndarray], wanted: np.ndarray, raster: np.ndarray, size_mm: np.ndarray
) -> np.ndarray:
    """The print as the photo sees it, float32 (H, W, 3), 1 on bare paper."""
    profile = load_profile(_PROFILE)
    rng = generator_for(0, "composed pages", "print")
    tiles = Tiles(wanted.shape[::-1], wanted)
    per_mm = np.array(raster.shape[1::-1]) / size_mm
    places = page_from_photo(tiles.nodes) * per_mm - 0.5
    shrink = shrink_for(tiles.spans(places, raster.shape[1::-1]))
    printed = printed_reflectance(raster, float(size_mm[0]), profile, draw_shot(profile, rng), shrink, rng)
    seen = tiles.drawn(printed, (places + 0.5) / shrink - 0.5, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
    return np.where(wanted[..., None], seen / profile.paper_reflectance, 1).astype(np.float32)


def _flat(truth: PageMap) -> np.ndarray:
    """The best homography of the page: through even points of it."""
    x, y = np.meshgrid(np.linspace(0, truth.width_mm, 15), np.linspace(0, truth.height_mm, 15))
    page_mm = np.column_stack([x.ravel(), y.ravel()])
    return homography_from_points(page_mm, truth(page_mm))


def _line(one: Outcome) -> str:
    name = f"{one.task.photo.stem[:24]:24} {one.task.long_px or 'full':>7} {'yes' if one.task.aids else 'no':>4}"
    if not one.found:
        return f"{name} {'no':>5}"
    numbers = f"{_rms(one.errors):7.3f} {_rms(one.predicted):9.3f} {_rms(one.straight):6.2f}"
    return f"{name} {'yes':>5} {one.n_codes:5d} {one.n_points:6d} {numbers}"


def _print_sum(title: str, rows: list[Outcome]) -> None:
    found = [row for row in rows if row.found]
    errors, predicted, straight = ([v for row in found for v in getattr(row, key)] for key in ("errors", "predicted", "straight"))
    if not found:
        print(f"{title}: found 0 of {len(rows)}")
        return
    print(
        f"{title}: found {len(found)} of {len(rows)}; RMS {_rms(errors):.3f}, p95 {np.percentile(errors, 95):.3f}, largest"
        f" {max(errors):.3f}; predicted {_rms(predicted):.3f}, true / predicted {_rms(errors) / _rms(predicted):.2f};"
        f" one homography {_rms(straight):.2f}; worse than it in {sum(_rms(r.errors) > _rms(r.straight) for r in found)}"
    )


def _rms(values: "tuple[float, ...] | list[float]") -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else float("nan")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
