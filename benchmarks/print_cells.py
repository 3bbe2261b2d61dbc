"""What a photograph shows of a printed picture of flat cells: the light of each cell, its noise, and how sharp its edges are.

A folder of photographs holds the digital originals and `homographies.json`: for each photograph its `original` and
`photo_from_original` (3, 3), which takes the original's pixel edges (0 .. W, 0 .. H) to places in the photo, counted from its
edge as EXIF turns it. The print's width is `width_mm`, or is told by "<n>in" in the file's name.
"""

import dataclasses
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps

from pipeline.core.errors import BadInput
from pipeline.images.colour import linear_from_srgb, linear_levels
from pipeline.physical.calibration.edges import FREQUENCIES, half_contrast
from pipeline.physical.geometry import Floats, apply_homography

# fewer photo pixels a cell leave nothing between its blurred edges: cells are then several pixels of the original
_LEAST_CELL_PX = 7.0
_MARGIN_PX = 24
_INNER_RATE = 0.5
_GREY = np.array([0.299, 0.587, 0.114])
_MM_PER_INCH, _UNKNOWN_WIDTH_MM = 25.4, 100.0
# the edge spread function: bins a pixel, how far it is followed, the least plateau and the least contrast that tell it
_BINS_PER_PX, _REACH_PX, _LEAST_REACH_PX, _LEAST_CONTRAST = 4, 10.0, 5.0, 0.2
_MAX_EDGES = 200
# a print is not as flat as a homography: a cubic over it, found from coarse to fine (cells of blur)
_SAMPLES_A_CELL, _BLURS, _N_STEPS, _DEGREE = 6, (0.5, 0.3, 0.17), 4, 3


@dataclass(frozen=True, slots=True, eq=False)
class Print:
    """One print in one photograph: `original` uint8 (h, w, 3), a cell each pixel, and its surroundings in the photo.

    `photo` uint8 (H, W, 3) sRGB begins at `corner_px` (x, y) of the whole photo, whose size (W, H) is `frame_px`;
    `photo_from_original` is for the whole photo, in pixel centres. `bend` (terms, 2) are what is added, in cells, to where a cell
    is sought (`terms`). `group` is the photograph's name up to its first "_".
    """

    name: str
    group: str
    original: np.ndarray
    photo: np.ndarray
    corner_px: tuple[int, int]
    frame_px: tuple[int, int]
    photo_from_original: Floats
    width_mm: float
    bend: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((1, 2)))


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """The mean edge from black into white, in sRGB values where black is 0 and white 1, over both directions.

    `spread_px` lies between 10 and 90 %; `mtf50` is in cycles per photo pixel; `over_rate` is how far the white side exceeds
    white beside the edge, `under_rate` how far the black side falls below black.
    """

    spread_px: float
    mtf50: float
    over_rate: float
    under_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """`light` (h, w, 3) linear, the mean of each cell's inner half; `noise_8bit` (h, w) of its luma about a plane."""

    light: np.ndarray
    noise_8bit: np.ndarray
    edge: Edge | None


def read_prints(folder: Path) -> list[Print]:
    """Returns every photograph of a folder that its `homographies.json` names, in sRGB, the print's bend found.

    Raises: BadInput where the file or something in it is missing.
    """
    file = folder / "homographies.json"
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return [_print(folder, name, entry) for name, entry in sorted(entries.items())]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise BadInput(f"{file}: {error}.", "It names for each photograph its original and photo_from_original.") from None


def to_srgb(image: Image.Image) -> np.ndarray:
    """Returns the picture, uint8 (H, W, 3), by its own profile in sRGB (LittleCMS, relative colorimetry, black point kept)."""
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image).convert("RGB")
    if profile:
        own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        image = ImageCms.buildTransform(own, srgb, "RGB", "RGB", intent, flags=flags).apply(image)
    return np.asarray(image)


def seen_cells(photo: np.ndarray, one: Print, bend: np.ndarray | None = None) -> Cells:
    """Returns what a photo of a print, uint8 (H, W, 3) beginning at its `corner_px`, shows of every cell; NaN where of none.

    Args: `bend` of this photo, by default that of the print's own.
    """
    rows, columns = one.original.shape[:2]
    u, v = _places(one, photo.shape[:2], one.bend if bend is None else bend)
    inside = (u > 0) & (u < columns) & (v > 0) & (v < rows)
    inner = inside & (np.abs(u % 1 - 0.5) < _INNER_RATE / 2) & (np.abs(v % 1 - 0.5) < _INNER_RATE / 2)
    cell = (v[inner].astype(int) * columns + u[inner].astype(int)).astype(np.int64)
    n = np.bincount(cell, minlength=rows * columns).astype(float)
    n[n == 0] = np.nan
    light = linear_levels()[photo[inner]]
    mean = np.stack([np.bincount(cell, light[:, c], rows * columns) / n for c in range(3)], axis=-1)
    noise = _noise(cell, u[inner] % 1 - 0.5, v[inner] % 1 - 0.5, photo[inner] @ _GREY, n)
    return Cells(mean.reshape(rows, columns, 3), noise.reshape(rows, columns), _edge(photo, one.original, u, v))


def _print(folder: Path, name: str, entry: dict) -> Print:
    with Image.open(folder / entry["original"]) as image:
        original = np.asarray(image.convert("RGB"))
    with Image.open(folder / name) as image:
        photo = to_srgb(image)
    # places are counted from the photo's edge, where its first pixel's centre is a half
    homography = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]]) @ np.array(entry["photo_from_original"], np.float64)
    inch = re.search(r"(\d+(?:\.\d+)?)in", name)
    width_mm = float(entry.get("width_mm") or (float(inch[1]) * _MM_PER_INCH if inch else _UNKNOWN_WIDTH_MM))
    original, homography = _coarser(original, homography)
    corners = apply_homography(homography, np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * original.shape[1::-1])
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - _MARGIN_PX, 0, None)
    high = np.ceil(corners.max(axis=0)).astype(int) + _MARGIN_PX
    part = np.ascontiguousarray(photo[low[1] : high[1], low[0] : high[0]])
    frame = (photo.shape[1], photo.shape[0])
    one = Print(name, name.split("_")[0], original, part, (int(low[0]), int(low[1])), frame, homography, width_mm)
    return dataclasses.replace(one, bend=_bend(part, one))


def _coarser(original: np.ndarray, homography: Floats) -> tuple[np.ndarray, Floats]:
    """The original in cells of as many of its pixels as it takes to see one, by the mean of their light."""
    height, width = original.shape[:2]
    corners = apply_homography(homography, np.array([[0.0, 0.0], [width, 0], [width, height], [0, height]]))
    a_pixel = float(np.sqrt(cv2.contourArea(corners.astype(np.float32)) / (width * height)))
    size = int(np.ceil(_LEAST_CELL_PX / a_pixel))
    if size <= 1:
        return original, homography
    light = linear_levels()[original[: height // size * size, : width // size * size]]
    mean = light.reshape(height // size, size, width // size, size, 3).mean(axis=(1, 3))
    shown = np.interp(mean, linear_levels(), np.arange(256))
    return np.rint(shown).astype(np.uint8), homography @ np.diag([size, size, 1.0])


def _terms(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Returns the products x^i y^j, i + j <= 3, of places in [-1, 1], stacked last."""
    return np.stack([u**i * v**j for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)], axis=-1)


def _places(one: Print, shape: tuple[int, ...], bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns where in the original, in cells, each pixel of a part of the photo lies: two arrays (H, W)."""
    x, y = np.meshgrid(np.arange(shape[1]) + one.corner_px[0], np.arange(shape[0]) + one.corner_px[1])
    flat = apply_homography(np.linalg.inv(one.photo_from_original), np.column_stack([x.ravel(), y.ravel()]))
    if bend.any():
        size = np.array(one.original.shape[1::-1])
        unit = np.clip(2 * flat / size - 1, -1.1, 1.1)
        flat = flat - _terms(unit[:, 0], unit[:, 1]) @ bend
    return flat[:, 0].reshape(shape[:2]), flat[:, 1].reshape(shape[:2])


def _bend(photo: np.ndarray, one: Print) -> np.ndarray:
    """Returns by how many cells, as a cubic (10, 2), the print lies aside from its homography: Gauss and Newton on its grey."""
    rows, columns = one.original.shape[:2]
    step = 1 / _SAMPLES_A_CELL
    u, v = np.meshgrid(np.arange(step / 2, columns, step), np.arange(step / 2, rows, step))
    flat = apply_homography(one.photo_from_original, np.column_stack([u.ravel(), v.ravel()])) - one.corner_px
    places = flat.reshape(*u.shape, 2).astype(np.float32)
    seen = cv2.remap((photo @ _GREY).astype(np.float32), places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    drawn = np.kron(one.original @ _GREY, np.ones((_SAMPLES_A_CELL, _SAMPLES_A_CELL))).astype(np.float32)
    terms = _terms(2 * u / columns - 1, 2 * v / rows - 1)
    bend = np.zeros((terms.shape[-1], 2))
    y, x = np.mgrid[0 : u.shape[0], 0 : u.shape[1]].astype(np.float32)
    for blur in _BLURS:
        soft_seen, soft = (cv2.GaussianBlur(grey, (0, 0), blur * _SAMPLES_A_CELL) for grey in (seen, drawn))
        down, across = np.gradient(soft)
        for _ in range(_N_STEPS):
            aside = (terms @ bend * _SAMPLES_A_CELL).astype(np.float32)
            moved = cv2.remap(soft_seen, x + aside[..., 0], y + aside[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            gain, level = np.polyfit(soft.ravel(), moved.ravel(), 1)
            misfit = (moved - level) / gain - soft
            kept = (np.abs(misfit) < 2.5 * misfit.std())[..., None]
            slopes = np.concatenate([terms * across[..., None], terms * down[..., None]], axis=-1) * kept
            slopes = slopes.reshape(-1, 2 * terms.shape[-1])
            normal = slopes.T @ slopes
            move = np.linalg.solve(normal + 1e-4 * np.diag(np.diag(normal)), slopes.T @ misfit.ravel())
            bend = bend - move.reshape(2, -1).T / _SAMPLES_A_CELL
    return bend


def _noise(cell: np.ndarray, x: np.ndarray, y: np.ndarray, grey: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Returns the standard deviation of each cell's grey about its plane of best fit; NaN of cells with under nine pixels."""

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(cell, values, len(n))

    known = np.where(n >= 9, n, np.nan)
    x, y, z = (values - (total(values) / known)[cell] for values in (x, y, grey))
    xx, yy, xy, xz, yz = (total(a * b) for a, b in ((x, x), (y, y), (x, y), (x, z), (y, z)))
    root = xx * yy - xy**2
    along, down = (xz * yy - yz * xy) / root, (yz * xx - xz * xy) / root
    return np.sqrt(np.clip(total(z * z) - along * xz - down * yz, 0, None) / (known - 3))


def _edge(photo: np.ndarray, original: np.ndarray, u: np.ndarray, v: np.ndarray) -> Edge | None:
    grey = photo @ _GREY / 255
    is_black, is_white = (original == 0).all(axis=2), (original == 255).all(axis=2)
    tone = is_white.astype(int) - is_black
    both = [_edge_spread(grey, tone, u, v), _edge_spread(grey, tone.T, v, u)]
    found = [one for one in both if one is not None]
    if not found:
        return None
    spread, mtf = (float(np.exp(np.mean([np.log(getattr(one, key)) for one in found]))) for key in ("spread_px", "mtf50"))
    return Edge(spread, mtf, *(float(np.mean([getattr(one, key) for one in found])) for key in ("over_rate", "under_rate")))


def _edge_spread(grey: np.ndarray, tone: np.ndarray, across: np.ndarray, along: np.ndarray) -> Edge | None:
    """The mean of all edges where two cells of black meet two of white in a row of the original."""
    down_px, across_px = np.gradient(across)
    px_a_cell = 1 / np.hypot(down_px, across_px)
    run = 1 if (px := float(np.median(px_a_cell))) >= 2 * _LEAST_REACH_PX else 2
    reach = min(_REACH_PX, (run - 0.2) * px)
    if reach < _LEAST_REACH_PX:
        return None
    beside = [tone[:, k : tone.shape[1] - 2 * run + 1 + k] for k in range(2 * run)]
    row, column = np.nonzero(np.abs(sum(beside[run:]) - sum(beside[:run])) == 2 * run)
    chosen = np.linspace(0, len(row) - 1, min(len(row), _MAX_EDGES)).astype(int)
    columns = tone.shape[1]
    near = (across > 0) & (across < columns) & (along > 0) & (along < len(tone))
    near &= np.abs(along % 1 - 0.5) < _INNER_RATE / 2
    cell = np.where(near, along.astype(int) * columns + across.astype(int), tone.size).ravel()
    order = np.argsort(cell, kind="stable")[: int(near.sum())]
    starts = np.searchsorted(cell[order], np.arange(tone.size + 1))
    pieces = []
    for r, c in zip(row[chosen], column[chosen], strict=True):
        # the cells of one row are neighbours
        pixels = order[starts[r * columns + c] : starts[r * columns + c + 2 * run]]
        d = np.sign(tone[r, c + run]) * (across.ravel()[pixels] - (c + run)) * px_a_cell.ravel()[pixels]
        piece = _levelled(d, grey.ravel()[pixels], reach)
        if piece is not None:
            pieces.append(piece)
    if len(pieces) < 3:
        return None
    return _of_spread(np.concatenate([d for d, _ in pieces]), np.concatenate([s for _, s in pieces]), reach)


def _levelled(d: np.ndarray, grey: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray] | None:
    """One edge's pixels: distance from where it is half way, and share of the way from black to white."""
    black, white = (grey[sign * d > reach / 2] for sign in (-1, 1))
    if len(black) < 8 or len(white) < 8 or np.median(white) - np.median(black) < _LEAST_CONTRAST:
        return None
    share = (grey - np.median(black)) / (np.median(white) - np.median(black))
    steep = (share > 0.15) & (share < 0.85) & (np.abs(d) < 4)
    if steep.sum() < 3 or np.ptp(share[steep]) < 0.2:
        return None
    return d - np.polyfit(share[steep] - 0.5, d[steep], 1)[1], share


def _of_spread(d: np.ndarray, share: np.ndarray, reach: float) -> Edge | None:
    edges = np.arange(-reach, reach + 1e-9, 1 / _BINS_PER_PX)
    n, total = np.histogram(d, edges)[0], np.histogram(d, edges, weights=share)[0]
    if (n == 0).mean() > 0.1:
        return None
    middle = (edges[1:] + edges[:-1]) / 2
    spread = np.interp(middle, middle[n > 0], total[n > 0] / n[n > 0])
    ends = len(spread) // 4
    black, white = np.median(spread[:ends]), np.median(spread[-ends:])
    spread = (spread - black) / (white - black)
    half = int(np.argmax(spread > 0.5))
    before, after = spread[half::-1], spread[half:]
    if half == 0 or before.min() > 0.1 or after.max() < 0.9:
        return None
    # the nearest crossings: ripples of sharpening may cross again
    down, up = int(np.argmax(before <= 0.1)), int(np.argmax(after >= 0.9))
    first = middle[half] - (down - 1 + (before[down - 1] - 0.1) / (before[down - 1] - before[down])) / _BINS_PER_PX
    last = middle[half] + (up - 1 + (0.9 - after[up - 1]) / (after[up] - after[up - 1])) / _BINS_PER_PX if up else middle[half]
    line = np.diff(spread)
    place = (np.arange(len(line)) - (len(line) - 1) / 2) / _BINS_PER_PX
    line = line * np.clip(2 * (1 - np.abs(place) / reach), 0, 1)
    mtf = np.abs(np.exp(-2j * np.pi * np.outer(FREQUENCIES, place)) @ line)
    mtf = mtf / max(mtf[0], 1e-9) / np.sinc(FREQUENCIES / _BINS_PER_PX) ** 2
    near = np.abs(middle) < min(6.0, reach)
    smooth = np.convolve(spread, np.ones(3) / 3, mode="same")[near]
    return Edge(float(last - first), half_contrast(mtf), float(smooth.max() - 1), float(-smooth.min()))


def linear(values: np.ndarray) -> np.ndarray:
    """Returns the linear light of 8-bit sRGB values."""
    return linear_from_srgb(np.asarray(values) / 255)
