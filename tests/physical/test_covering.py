"""What lies on a page: its crops are listed as covered, its codes place nothing, and a right crop never goes."""

import dataclasses
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.physical.fiducials.codes import encode_payload
from pipeline.physical.printing.arrangement import PrintPair, arrange
from pipeline.physical.printing.document import build_pdf, render_page
from pipeline.physical.printing.instructions import Instructions
from pipeline.physical.registration.covering import MIN_LIKENESS, likeness
from pipeline.physical.registration.page import Registration, register
from pipeline.physical.registration.page_reading import Reading
from pipeline.physical.registration.photo_reading import PhotoFile, read_file
from pipeline.records import Discard, Pair, Printout, View
from pipeline.settings import CaptureSettings

N_PX, DPI, N_PAIRS = 96, 150, 6
PX_PER_MM = DPI / 25.4


@cache
def picture(path: str) -> np.ndarray:
    """Blots of several sizes, as photographs have; the adversarial twin is 48 levels lighter or darker in every pixel."""
    index, variant = path.split("/")
    rng = np.random.default_rng(int(index))
    sides = (3, 6, 12, 24)
    blots = [cv2.resize(rng.normal(0, 30, (n, n, 3)), (N_PX, N_PX), interpolation=cv2.INTER_CUBIC) for n in sides]
    signs = rng.integers(0, 2, (N_PX, N_PX, 3)) * 2 - 1
    return np.clip(128 + sum(blots) + 48 * signs * (variant == "adversarial"), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def printed() -> tuple[Printout, list[np.ndarray]]:
    pairs = [PrintPair(f"p{i}", f"{i}/clean", f"{i}/adversarial", N_PX, N_PX) for i in range(N_PAIRS)]
    printout = arrange(pairs, run="r", run_code="K7QXM")
    pdf = build_pdf(printout, picture, {}, Instructions("photos/", "my.toml"))
    return printout, [render_page(pdf, page, DPI) for page in (1, 2)]


def of_another_run(printout: Printout) -> Printout:
    codes = tuple(dataclasses.replace(f, payload=encode_payload("ZZZZZ", f.page, f.corner)) for f in printout.fiducials)
    return dataclasses.replace(printout, run_code="ZZZZZ", fiducials=codes)


def laid(below: np.ndarray, above: np.ndarray, x_mm: float, y_mm: float) -> np.ndarray:
    """A table with one sheet on it and another on that one, so much further right and down."""
    height, width = below.shape[:2]
    table = np.full((2 * height, 2 * width, 3), (120, 100, 80), np.uint8)
    top, left = height // 2, width // 2
    table[top : top + height, left : left + width] = below
    top, left = top + round(y_mm * PX_PER_MM), left + round(x_mm * PX_PER_MM)
    table[top : top + height, left : left + width] = above
    return table


def read(photo: np.ndarray, printout: Printout, folder: Path) -> tuple[list[View], list[Discard]]:
    path = folder / "photo.png"
    Image.fromarray(photo).save(path, compress_level=0)
    pairs = {
        f"p{i}": Pair(f"p{i}", f"{i}", "fgsm", 16, ("average",), 0, None, "", "", 16, 0.0, 1.0, 1, 1) for i in range(N_PAIRS)
    }
    pages = read_file(PhotoFile(path, path.name, "0" * 64, "", None, None), Reading(printout, pairs, CaptureSettings(), picture))
    return [view for one in pages for view in one.page.views], [row for one in pages for row in one.page.discards]


def test_with_one_page_lying_on_another_only_the_upper_one_s_crops_count(printed: tuple, tmp_path: Path) -> None:
    printout, (first, second) = printed
    views, discards = read(laid(second, first, 25, 22), printout, tmp_path)
    pages = {p.pair_id: p.page for p in printout.placements}
    assert {pages[view.pair_id] for view in views} == {1}
    assert len(views) == sum(p.page == 1 for p in printout.placements)
    lost = [row for row in discards if row.page == 2]
    assert len(lost) == sum(p.page == 2 for p in printout.placements)
    covered = [row for row in lost if row.reason == "covered"]
    assert covered and {row.reason for row in lost} <= {"covered", "unplaced"}
    assert all("resembles what was printed there by" in row.detail for row in covered)


def test_a_page_of_another_run_beside_ours_is_listed(printed: tuple, tmp_path: Path) -> None:
    printout, (first, second) = printed
    ours = dataclasses.replace(printout, fiducials=tuple(f for f in printout.fiducials if f.page == 1))
    views, discards = read(np.concatenate([first, second], axis=1), ours, tmp_path)
    assert len(views) == sum(p.page == 1 for p in printout.placements)
    (row,) = discards
    assert (row.reason, row.page) == ("other-run", None) and "K7QXM, page 2" in row.detail


@pytest.mark.parametrize("shift_mm", [0.4, 0.8])
def test_codes_of_a_page_that_lies_on_ours_place_nothing(printed: tuple, shift_mm: float) -> None:
    """The lower half of ours lies under another run's page with the same layout, a little beside."""
    printout, (first, _) = printed
    other = of_another_run(printout)
    theirs = render_page(build_pdf(other, picture, {}, Instructions("photos/", "my.toml")), 1, DPI)
    photo = first.copy()
    half, step = len(first) // 2, round(shift_mm * PX_PER_MM)
    photo[half:, step:] = theirs[half:, : theirs.shape[1] - step]
    photo = cv2.copyMakeBorder(photo, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(120, 100, 80))
    (found, beside) = register(photo, printout)
    assert isinstance(found, Registration) and set(found.codes) == {"TL", "TR"}
    assert beside.reason == "other-run"


LIGHTS = {
    "as printed": lambda seen: seen,
    "dark, little contrast": lambda seen: 30 + 0.15 * seen,
    "tinted": lambda seen: seen * np.array([1.0, 0.8, 0.55]),
    "a lamp": lambda seen: 0.5 * seen + 120 * np.exp(-(((np.mgrid[:N_PX, :N_PX] - 30) / 25) ** 2).sum(axis=0))[..., None],
    "half in shadow": lambda seen: seen * np.where(np.arange(N_PX) < 40, 0.4, 1.0)[None, :, None],
    "blurred": lambda seen: cv2.GaussianBlur(seen, (0, 0), 4),
}


@pytest.mark.parametrize("name", LIGHTS)
@pytest.mark.parametrize("variant", ["clean", "adversarial"])
def test_a_right_crop_is_recognised_in_any_light(name: str, variant: str) -> None:
    for index in range(12):
        printed = picture(f"{index}/{variant}")
        noise = np.random.default_rng(index).normal(0, 4, printed.shape)
        seen = np.clip(LIGHTS[name](printed.astype(np.float64)) + noise, 0, 255).astype(np.uint8)
        assert likeness(seen, printed) > MIN_LIKENESS + 0.1
        assert likeness(seen, picture(f"{index + 12}/{variant}")) < MIN_LIKENESS - 0.1


LEFT, LOWER = np.s_[:, : N_PX // 2], np.s_[N_PX // 2 :]
COVERS = {
    "paper": np.full((N_PX, N_PX, 3), (225, 222, 215)),
    "a hand": np.full((N_PX, N_PX, 3), (190, 140, 115)) + np.linspace(-15, 15, N_PX)[None, :, None],
    "another picture": picture("40/clean"),
}


@pytest.mark.parametrize("half", [LEFT, LOWER], ids=["left", "lower"])
@pytest.mark.parametrize("name", COVERS)
def test_a_crop_of_which_half_is_covered_is_not_what_was_printed(name: str, half: tuple) -> None:
    found = 0
    for index in range(12):
        seen = picture(f"{index}/adversarial").astype(np.float64)
        seen[half] = COVERS[name][half]
        seen += np.random.default_rng(index).normal(0, 3, seen.shape)
        found += likeness(np.clip(seen, 0, 255).astype(np.uint8), picture(f"{index}/adversarial")) < MIN_LIKENESS
    assert found >= 11


@pytest.mark.parametrize("light", ["a shadow on half of it", "glare on half of it"])
def test_what_shows_in_shadow_or_glare_is_not_covered(light: str) -> None:
    for index in range(12):
        printed = picture(f"{index}/clean")
        linear = (printed / 255.0) ** 2.2
        linear[LEFT] = 0.1 * linear[LEFT] if light.startswith("a shadow") else linear[LEFT] + 0.15
        seen = 255 * np.clip(linear, 0, 1) ** (1 / 2.2) + np.random.default_rng(index).normal(0, 3, printed.shape)
        assert likeness(np.clip(seen, 0, 255).astype(np.uint8), printed) > MIN_LIKENESS


def test_a_blown_out_quarter_says_nothing() -> None:
    for index in range(12):
        seen = picture(f"{index}/clean").copy()
        seen[: N_PX // 2, : N_PX // 2] = 255
        assert likeness(seen, picture(f"{index}/clean")) > MIN_LIKENESS


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_a_blank_picture_counts_also_half_in_shadow(share: float) -> None:
    for level in (90, 255):
        seen = np.full((N_PX, N_PX, 3), 30 + 0.75 * level)
        seen[LEFT] *= share ** (1 / 2.2)
        seen = np.clip(seen + np.random.default_rng(level).normal(0, 3, seen.shape), 0, 255).astype(np.uint8)
        assert likeness(seen, np.full((N_PX, N_PX, 3), level, np.uint8)) > MIN_LIKENESS


def test_paper_is_not_a_picture_and_a_flat_picture_may_be_anything_flat() -> None:
    paper = np.clip(np.random.default_rng(0).normal(230, 2, (N_PX, N_PX, 3)), 0, 255).astype(np.uint8)
    assert likeness(paper, picture("0/clean")) < 0.2
    assert likeness(paper, np.full((N_PX, N_PX, 3), 90, np.uint8)) > MIN_LIKENESS
    assert likeness(picture("0/clean"), np.full((N_PX, N_PX, 3), 90, np.uint8)) < MIN_LIKENESS


def test_noise_alone_is_told_from_paper_by_finer_cells() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    seen = cv2.GaussianBlur(noise // 3 + 60, (0, 0), 1.0)
    assert likeness(seen, noise) > MIN_LIKENESS > likeness(np.full_like(noise, 230), noise)
