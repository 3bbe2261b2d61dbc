"""Simulated prints and photographs beside real ones: tone, colour, sharpness, noise, and what fitting the light leaves.

Each real photograph of a print is compared with its digital original printed and photographed in the simulator along the same
homography. Colours are told relative to the white of the print. `print_cells.py` says what a folder of photographs holds.
"""

import argparse
import csv
import dataclasses
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms
from print_cells import Cells, Print, linear, read_prints, seen_cells
from print_copy import photographed
from scipy.optimize import least_squares
from skimage.color import deltaE_cie76, deltaE_ciede2000, lab2lch, xyz2lab

from pipeline import engine
from pipeline.core.seeds import generator_for
from pipeline.engine import Context
from pipeline.physical.simulator import load_profile

PROFILES = ("office-phone", "nexus5x-ricoh600", "daylight", "dim-handheld", "harsh", "ideal")
REAL, OTHER, FILE = "photographs", "another photograph", "the file itself"
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
# greys are few in such pictures: colours of little chroma tell the tone, too
_TONES, _TONE_REACH, _TONE_CHROMA = (35, 51, 65, 81), 6.0, 40.0
_MIN_CELLS, _MAX_OTHERS = 4, 2
_CHROMA = (10.0, 50.0)
_MIDDLE_8BIT = (60, 200)
_INTENTS = {"perceptual": ImageCms.Intent.PERCEPTUAL, "relative": ImageCms.Intent.RELATIVE_COLORIMETRIC}


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One photograph, real or simulated, of one print; `*_error` are mean colour differences from the real photograph.

    Error names: `cie76` and `ciede2000` of colours relative to the print's own white; `balanced_*` after the light that falls
    across the print and the gain of each channel were fitted to the real photograph; `toned_*` after an offset and a power of
    each channel were, too. `l_<n>` is L* relative to white where the file has L* n and little chroma, `chroma_rate` the chroma
    that is kept of colours with 10 to 50 in the file. NaN is what could not be measured.
    """

    source: str
    photo: str
    group: str
    l_0: float
    l_35: float
    l_51: float
    l_65: float
    l_81: float
    black_rate: float
    white_8bit: float
    red_cast_rate: float
    blue_cast_rate: float
    chroma_rate: float
    spread_px: float
    mtf50: float
    over_rate: float
    under_rate: float
    noise_white_8bit: float
    noise_black_8bit: float
    noise_middle_8bit: float
    cie76: float
    ciede2000: float
    balanced_cie76: float
    balanced_ciede2000: float
    toned_cie76: float
    toned_ciede2000: float


def lab(light: np.ndarray) -> np.ndarray:
    """Returns CIELAB (…, 3) of linear sRGB light whose white is 1."""
    return np.asarray(xyz2lab(np.clip(light, 0, None) @ _XYZ.T, illuminant="D65"))


def relative(light: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Returns the cells' light (h, w, 3) as shares of the print's white, channel by channel."""
    return light / _white(light, original)


def errors(light: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Returns the mean CIE76 and CIEDE2000 difference of two sets of cells relative to white."""
    ours, theirs = lab(light), lab(real)
    return float(np.nanmean(deltaE_cie76(ours, theirs))), float(np.nanmean(deltaE_ciede2000(ours, theirs)))


def fitted(light: np.ndarray, real: np.ndarray, with_tone: bool) -> np.ndarray:
    """Returns the cells' light (h, w, 3) with the light of the real photograph: least squares of CIELAB.

    Light falls off evenly across the print, and each channel has a gain; `with_tone`, each has an offset and a power as well.
    """
    height, width = light.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    seen = np.isfinite(light).all(axis=2) & np.isfinite(real).all(axis=2)
    target = lab(real[seen])

    def lit(p: np.ndarray) -> np.ndarray:
        toned = np.clip(light, 1e-6, None) ** p[8:11] + p[5:8] if with_tone else light
        return np.asarray(toned * p[:3] * (1 + p[3] * x + p[4] * y)[..., None])

    start = np.array([1.0, 1, 1, 0, 0] + [0.0, 0, 0, 1, 1, 1] * with_tone)
    found = least_squares(lambda p: (lab(lit(p)[seen]) - target).ravel(), start, loss="soft_l1", f_scale=5.0, max_nfev=40)
    return lit(found.x)


def measured(source: str, one: Print, cells: Cells, real: Cells) -> Row:
    """Returns what one photograph of a print shows, and how far its cells are from those of the real one."""
    original = one.original
    ours, theirs = relative(cells.light, original), relative(real.light, original)
    sent, shown = lab(linear(original)), lab(ours)
    chroma = np.hypot(sent[..., 1], sent[..., 2])
    is_grey = chroma < _TONE_CHROMA
    tones = [_mean(shown[is_grey & (np.abs(sent[..., 0] - tone) < _TONE_REACH), 0]) for tone in _TONES]
    is_black, is_white = (original == 0).all(axis=2), (original == 255).all(axis=2)
    grey = original @ np.array([0.299, 0.587, 0.114])
    is_middle = (grey > _MIDDLE_8BIT[0]) & (grey < _MIDDLE_8BIT[1])
    coloured = (chroma > _CHROMA[0]) & (chroma < _CHROMA[1])
    white, black = _white(cells.light, original), _median(cells.light[is_black] @ _XYZ[1])
    edge = dataclasses.astuple(cells.edge) if cells.edge else (np.nan,) * 4
    fits = [errors(fitted(ours, theirs, tone) if source != REAL else ours, theirs) for tone in (False, True)]
    return Row(
        source,
        one.name,
        one.group,
        _mean(shown[is_black, 0]),
        *tones,
        float(black / (white @ _XYZ[1])),
        float(np.interp(white @ _XYZ[1], linear(np.arange(256)), np.arange(256))),
        float(white[0] / white[1] - 1),
        float(white[2] / white[1] - 1),
        _mean(lab2lch(shown)[..., 1][coloured]) / _mean(chroma[coloured]),
        *edge,
        *(_median(cells.noise_8bit[kind]) for kind in (is_white, is_black, is_middle)),
        *errors(ours, theirs),
        *fits[0],
        *fits[1],
    )


def icc_cells(original: np.ndarray, profile_file: Path, intent: str) -> np.ndarray:
    """Returns the light of every cell, relative to the paper, as an ICC profile says that its printer prints it.

    To the printer with black-point compensation, back by relative colorimetry as it is: the profile's own account of the print.
    """
    printer, lab_profile = ImageCms.getOpenProfile(str(profile_file)), ImageCms.createProfile("LAB", 5000)
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.HIGHRESPRECALC
    mode = {"RGB": "RGB", "CMYK": "CMYK"}[printer.profile.xcolor_space.strip()]
    there = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), printer, "RGB", mode, _INTENTS[intent], flags=flags)
    back = ImageCms.buildTransform(printer, lab_profile, mode, "LAB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    inks = there.apply(Image.fromarray(original))
    values = np.asarray(back.apply(inks))
    lightness = values[..., 0] * (100 / 255)
    a, b = (values[..., channel].view(np.int8).astype(float) for channel in (1, 2))
    return _linear_of_lab(np.stack([lightness, a, b], axis=-1))


def row_of(task: tuple[str, str, int], folder: Path) -> Row | None:
    """Returns one row: what a source makes of the photograph of that name in the folder, draw `number` of it.

    None where the source is another photograph of the same group and original, and there is none.
    """
    source, name, number = task
    cv2.setNumThreads(1)
    one, real = _real(folder)[name]
    if source == REAL:
        return measured(source, one, real, real)
    if source == OTHER:
        like = [it for it in _real(folder).values() if it[0].group == one.group and np.array_equal(it[0].original, one.original)]
        others = [cells for other, cells in like if other.name != name]
        return measured(source, one, others[number], real) if number < len(others) else None
    if source == FILE or ", " in source:
        file, _, intent = source.partition(", ")
        cells = linear(one.original) if source == FILE else icc_cells(one.original, Path(file), intent)
        return measured(source, one, Cells(cells, np.full(cells.shape[:2], np.nan), None), real)
    photo = photographed(one, load_profile(source), generator_for(0, "real prints", f"{name}/{number}"))
    return measured(source, one, seen_cells(photo, one, np.zeros_like(one.bend)), real)


def main() -> None:
    """Prints a table for each group of photographs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="photographs with homographies.json (default: real_prints/sticker)")
    parser.add_argument("--profile", action="append", help="a built-in profile or a .toml file (may be repeated)")
    parser.add_argument("--icc", type=Path, help="a folder of printers' ICC profiles, each taken for the whole printer")
    parser.add_argument("--draws", type=int, default=2, help="simulated photographs of each real one")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--csv", type=Path, help="write every row there")
    options = parser.parse_args()
    folder = options.folder or default_folder()
    if not (folder / "homographies.json").exists():
        print(f"no photographs: there is no {folder / 'homographies.json'} (give --folder, or set INKPROOF_DATA)")
        return
    files = sorted(options.icc.iterdir()) if options.icc else []
    profiled = [f"{file}, {intent}" for file in files if file.suffix in (".icc", ".icm") for intent in _INTENTS]
    profiles = options.profile or list(PROFILES)
    draws = {OTHER: _MAX_OTHERS} | dict.fromkeys(profiles, options.draws)
    sources = [REAL, OTHER, FILE, *profiled, *profiles]
    tasks = [(source, name, number) for source in sources for name in _real(folder) for number in range(draws.get(source, 1))]
    found = engine.map(partial(row_of, folder=folder), tasks, Context(workers=options.workers), "prints")
    rows = [row for _, row in found if row is not None]
    if options.csv:
        _write(options.csv, rows)
    for group in dict.fromkeys(row.group for row in rows):
        _print_table(group, [row for row in rows if row.group == group])


def default_folder() -> Path:
    """Returns where the real prints lie: in INKPROOF_DATA, or beside the repository."""
    root = os.environ.get("INKPROOF_DATA") or Path(__file__).parents[2] / "shared" / "data"
    return Path(root) / "real_prints" / "sticker"


_COLUMNS: tuple[tuple[str, str, Callable[[Mapping[str, float]], str]], ...] = (
    ("L* of 0 35 51 65 81", "20", lambda r: " ".join(f"{r[f'l_{tone}']:3.0f}" for tone in (0, *_TONES))),
    ("black", "6", lambda r: f"{r['black_rate']:.3f}"),
    ("white", "5", lambda r: f"{r['white_8bit']:.0f}"),
    ("red blue", "9", lambda r: f"{r['red_cast_rate']:+4.0%} {r['blue_cast_rate']:+4.0%}"),
    ("chroma", "6", lambda r: f"{r['chroma_rate']:.2f}"),
    ("edge", "5", lambda r: f"{r['spread_px']:.2f}"),
    ("MTF50", "5", lambda r: f"{r['mtf50']:.3f}"),
    ("over under", "10", lambda r: f"{r['over_rate']:4.0%} {r['under_rate']:4.0%}"),
    ("noise w b m", "11", lambda r: " ".join(f"{r[f'noise_{k}_8bit']:3.1f}" for k in ("white", "black", "middle"))),
    ("dE76 00", "9", lambda r: f"{r['cie76']:4.1f} {r['ciede2000']:4.1f}"),
    ("balanced", "9", lambda r: f"{r['balanced_cie76']:4.1f} {r['balanced_ciede2000']:4.1f}"),
    ("toned", "9", lambda r: f"{r['toned_cie76']:4.1f} {r['toned_ciede2000']:4.1f}"),
)


def _print_table(group: str, rows: list[Row]) -> None:
    n = len({row.photo for row in rows})
    print(f"\n{group}: {n} photograph{'s' * (n > 1)}")
    print(" ".join([f"{'':28}", *(f"{title:>{width}}" for title, width, _ in _COLUMNS)]))
    for source in dict.fromkeys(row.source for row in rows):
        chosen = [dataclasses.asdict(row) for row in rows if row.source == source]
        means = {
            key: _mean(np.array([one[key] for one in chosen])) for key in chosen[0] if key not in ("source", "photo", "group")
        }
        cells = [f"{said(means):>{width}}".replace("nan", "  -") for _, width, said in _COLUMNS]
        print(" ".join([f"{_short(source):28}", *cells]))


def _short(source: str) -> str:
    file, _, intent = source.partition(", ")
    return f"{Path(file).stem[:16]}, {intent}" if intent else Path(source).stem[:28]


def _write(file: Path, rows: Iterable[Row]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow([field.name for field in dataclasses.fields(Row)])
        table.writerows(dataclasses.astuple(row) for row in rows)


@lru_cache(maxsize=1)
def _real(folder: Path) -> dict[str, tuple[Print, Cells]]:
    return {one.name: (one, seen_cells(one.photo, one)) for one in read_prints(folder)}


def _white(light: np.ndarray, original: np.ndarray) -> np.ndarray:
    """The light of the white cells, (3,); where the original has none, of its brightest."""
    is_white = (original == 255).all(axis=2)
    if is_white.sum() < _MIN_CELLS:
        sums = original.sum(axis=2)
        is_white = sums >= np.sort(sums, axis=None)[-_MIN_CELLS]
    return np.asarray(np.nanmedian(light[is_white], axis=0))


def _linear_of_lab(values: np.ndarray) -> np.ndarray:
    """Linear sRGB, white 1, of CIELAB relative to its own white."""
    t = (values[..., 0] + 16) / 116
    f = np.stack([t + values[..., 1] / 500, t, t - values[..., 2] / 200], axis=-1)
    white = _XYZ.sum(axis=1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * white
    return np.asarray(xyz @ np.linalg.inv(_XYZ).T)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _median(values: np.ndarray) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
