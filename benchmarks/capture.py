"""How well and how fast photographs are read: recall, wrong payloads, registration, time, beside a naive reader.

The naive reader is pyzbar on the whole photo and one homography through the outer corners of its four codes.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does; NumPy looks at it once

import cv2
import numpy as np
from stage_shares import STEPS, timed_steps
from stress_set import IMAGE_MM, Condition, conditions, make_photo, printed_page

from pipeline import engine
from pipeline.core.memory import peak_bytes
from pipeline.engine import Context
from pipeline.physical.fiducials.codes import decode_payload
from pipeline.physical.geometry import homography_from_points
from pipeline.physical.page_map import PageMap
from pipeline.physical.registration.cropping import crop, registration_error
from pipeline.physical.registration.page import Registration, register
from pipeline.physical.registration.photo_reading import PhotoFile, Reading, read_file
from pipeline.physical.simulator import encode_jpeg, load_profile, simulate_photo
from pipeline.records import Pair, Printout
from pipeline.settings import CaptureSettings

_N_TRIES = 3
_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one photo gave; errors are of each crop, RMS in pixels of a 299 px image printed 60 mm wide."""

    name: str
    found: bool
    wrong: int
    errors: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()
    straight: tuple[float, ...] = ()
    n_zbar: int = 0
    n_zxing: int = 0
    naive: tuple[float, ...] = ()
    decode_s: float = 0.0
    stage_s: float = 0.0
    steps_s: tuple[tuple[str, float], ...] = ()
    naive_s: float = 0.0
    peak_mb: float = 0.0


_PAGE: list = []


def measure(condition: Condition) -> Outcome:
    """Returns what one condition gives, with OpenCV on one thread."""
    cv2.setNumThreads(1)
    if not _PAGE:
        _PAGE.extend(printed_page()[:2])
    printout, raster = _PAGE
    photo = make_photo(condition, printout, raster)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        path.write_bytes(encode_jpeg(photo))
        file = PhotoFile(path, path.name, "0" * 64, "", photo.page_map.numbers, None)
        pixels, times = _timed(file, Reading(printout, _pairs(printout), CaptureSettings()))
    started = time.perf_counter()
    naive, n_zbar = _naive(pixels, printout)
    naive_s = time.perf_counter() - started
    wrong, results = 0, register(pixels, printout)
    known = {code.payload for code in printout.fiducials}
    for result in results:
        wrong += sum(decode_payload(one.text) is not None and one.text not in known for one in result.detections)
    found = next((one for one in results if isinstance(one, Registration)), None)
    per_px = printout.placements[0].width_mm / IMAGE_MM
    peak_mb = peak_bytes() / 2**20
    common = {"n_zbar": n_zbar, "n_zxing": _n_zxing(pixels, known), "naive_s": naive_s, **times}
    common |= {"wrong": wrong, "peak_mb": peak_mb, "naive": _errors(naive, photo.page_map, printout, per_px) if naive else ()}
    if found is None:
        return Outcome(condition.name, False, **common)
    return Outcome(
        condition.name,
        True,
        errors=_errors(found.page_map, photo.page_map, printout, per_px),
        predicted=tuple(found.predicted_error_px(p) * per_px for p in printout.placements),
        straight=_errors(_one_homography(photo.page_map, printout), photo.page_map, printout, per_px),
        **common,
    )


def _timed(file: PhotoFile, reading: Reading) -> tuple[np.ndarray, dict[str, Any]]:
    """Returns the pixels, and the times of a bare decode and of the stage: of so many tries, which take turns, the shortest."""
    data = np.frombuffer(file.path.read_bytes(), np.uint8)
    decodes, stages = [], []
    for _ in range(_N_TRIES):
        started = time.perf_counter()
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        decodes.append(time.perf_counter() - started)
        with timed_steps() as steps:
            started = time.perf_counter()
            read_file(file, reading)
            stages.append((time.perf_counter() - started, tuple(steps.items())))
    stage_s, steps_s = min(stages)
    return pixels, {"decode_s": min(decodes), "stage_s": stage_s, "steps_s": steps_s}


def _errors(estimated: PageMap, true: PageMap, printout: Printout, per_px: float) -> tuple[float, ...]:
    return tuple(registration_error(estimated, true, p) * per_px for p in printout.placements)


def _one_homography(true: PageMap, printout: Printout) -> PageMap:
    """The best that one homography can do: fitted to the true places of every printed point."""
    page = [_SQUARE * c.size_mm + (c.x_mm, c.y_mm) for c in printout.fiducials] + [
        np.array([[m.x_mm, m.y_mm]]) for m in printout.marks
    ]
    page_mm = np.concatenate(page)
    return PageMap(printout.page_width_mm, printout.page_height_mm, homography_from_points(page_mm, true(page_mm)))


def _naive(pixels: np.ndarray, printout: Printout) -> tuple[PageMap | None, int]:
    try:
        from pyzbar import pyzbar
    except ImportError:
        return None, 0  # not installed here

    known = {code.payload: code for code in printout.fiducials}
    page_mm, photo_px = [], []
    centre = np.array([printout.page_width_mm, printout.page_height_mm]) / 2
    found = {}
    for one in pyzbar.decode(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), symbols=[pyzbar.ZBarSymbol.QRCODE]):
        if one.data.decode("utf-8", "replace") in known and len(one.polygon) == 4:
            found[one.data.decode()] = np.array(one.polygon, np.float64) - 0.5
    if len(found) == 4:
        middle = np.mean([corners.mean(axis=0) for corners in found.values()], axis=0)
        for text, corners in found.items():
            code = known[text]
            square = _SQUARE * code.size_mm + (code.x_mm, code.y_mm)
            page_mm.append(square[np.linalg.norm(square - centre, axis=1).argmax()])
            photo_px.append(corners[np.linalg.norm(corners - middle, axis=1).argmax()])
        h = homography_from_points(np.array(page_mm), np.array(photo_px))
        return PageMap(printout.page_width_mm, printout.page_height_mm, h), 4
    return None, len(found)


def _n_zxing(pixels: np.ndarray, known: set[str]) -> int:
    import zxingcpp

    codes = zxingcpp.read_barcodes(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), formats=zxingcpp.BarcodeFormat.QRCode)
    return len({one.text for one in codes} & known)


def _pairs(printout: Printout) -> dict[str, Pair]:
    return {
        p.pair_id: Pair(p.pair_id, p.pair_id, "fgsm", 8, ("average",), 0, None, "", "", 8, 0.0, 1.0, 1, 1)
        for p in printout.placements
    }


def perturbation_kept() -> float:
    """Returns the correlation between the printed perturbation and the one recovered from a photo without blur and noise."""
    printout, raster, images = printed_page(dpi=600)
    profile = dataclasses.replace(
        load_profile("ideal"), blur_px=(0.0, 0.0), jpeg_quality=(100, 100), tilt_deg=(8, 8), curl_mm=(2, 2)
    )
    photo = simulate_photo(raster, printout.page_width_mm, printout.page_height_mm, profile, np.random.default_rng(4))
    (found,) = register(photo.image, printout)
    crops = {p.path: crop(photo.image, found.page_map, p).astype(float) for p in printout.placements}
    printed, seen = [], []
    for index in range(len(crops) // 2):
        printed.append((images[f"{index}/adversarial"].astype(float) - images[f"{index}/clean"]).mean(axis=2).ravel())
        seen.append((crops[f"{index}/adversarial"] - crops[f"{index}/clean"]).mean(axis=2).ravel())
    return float(np.corrcoef(np.concatenate(printed), np.concatenate(seen))[0, 1])


def main() -> None:
    """Prints one row a set of the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", help="only this set of the grid (may be repeated)")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    todo = [one for one in conditions() if not options.set or one.name in options.set]
    by_set: dict[str, list[Outcome]] = {one.name: [] for one in todo}
    started = time.monotonic()
    for _, outcome in engine.map(measure, todo, Context(workers=options.workers), "photos"):
        by_set[outcome.name].append(outcome)
    print("pages found; codes read by zxing-cpp and pyzbar alone; registration in px of 299 px images of 60 mm")
    print(
        f"{'set':16} {'pages':>8} {'wrong':>5} {'zxing':>6} {'pyzbar':>6} {'RMS':>7} {'p95':>7} {'predicted':>9} {'ratio':>5}",
        end="",
    )
    print(f" {'one H':>6} {'naive':>11} {'stage/decode':>12} {'ms':>5} {'naive ms':>8}")
    for name, rows in by_set.items():
        print(_line(name, rows))
    print("share of each step in the stage's time, the medians of a set")
    for name, rows in by_set.items():
        print(f"{name:16} {_shares(rows)}")
    peak = max(row.peak_mb for rows in by_set.values() for row in rows)
    print(f"peak memory of a worker, simulator included: {peak:.0f} MB; {time.monotonic() - started:.0f} s in all")
    print(f"correlation of the printed with the recovered perturbation, no blur, no noise: {perturbation_kept():.3f}")


def _line(name: str, rows: list[Outcome]) -> str:
    errors = np.array([value for row in rows for value in row.errors])
    predicted = np.array([value for row in rows for value in row.predicted])
    straight = np.array([value for row in rows for value in row.straight])
    naive = [row for row in rows if row.naive]
    n_codes = 4 * len(rows)
    ratio = float(np.median([row.stage_s / row.decode_s for row in rows]))
    naive_rms = f"{_rms(np.array([v for row in naive for v in row.naive])):.2f}" if naive else "-"
    return (
        f"{name:16} {sum(row.found for row in rows):3d}/{len(rows):<4d} {sum(row.wrong for row in rows):5d}"
        f" {sum(row.n_zxing for row in rows) / n_codes:6.0%} {sum(row.n_zbar for row in rows) / n_codes:6.0%}"
        f" {_rms(errors):7.4f} {np.percentile(errors, 95) if len(errors) else np.nan:7.4f} {_rms(predicted):9.4f}"
        f" {_rms(errors) / _rms(predicted):5.2f} {_rms(straight):6.2f} {naive_rms:>6} {len(naive):>2d}/{len(rows):<2d}"
        f" {ratio:11.1f}x {1000 * np.median([row.stage_s for row in rows]):5.0f}"
        f" {1000 * np.median([row.naive_s for row in rows]):8.0f}"
    )


def _shares(rows: list[Outcome]) -> str:
    """Returns the share of each step, and of what is in none, in words."""
    steps = [dict(row.steps_s) for row in rows]
    shares = {
        key: float(np.median([one.get(key, 0.0) / row.stage_s for one, row in zip(steps, rows, strict=True)])) for key in STEPS
    }
    shares["rest"] = 1 - sum(shares.values())
    return " · ".join(f"{key} {share:.0%}" for key, share in shares.items())


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean())) if len(values) else float("nan")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
