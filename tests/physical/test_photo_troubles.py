"""A hand's shadow, darkness all over, a lens out of focus and a hand that moved: each has its own advice and no other's."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.images.pictures import Picture
from pipeline.physical.printing.arrangement import PrintPair, arrange
from pipeline.physical.printing.document import build_pdf, render_page
from pipeline.physical.printing.instructions import Instructions
from pipeline.physical.registration.advice import quality_advice
from pipeline.physical.registration.page_reading import FreshPage, Reading, read_pages
from pipeline.physical.registration.shade_and_motion import one_sidedness, pair_gaps, shades
from pipeline.physical.simulator import load_profile, simulate_photo
from pipeline.records import SIMULATED, Capture, Pair, Printout
from pipeline.settings import CaptureSettings
from pipeline.signs.dataset import SignsDataset

N_PX = 112


@pytest.fixture(scope="module")
def printed() -> tuple[Printout, np.ndarray]:
    """A page of six pairs, clean on the left and with noise of 16/255 on the right; the first clean one is all white."""
    signs, random = SignsDataset(8), np.random.default_rng(0)
    clean = [np.full((N_PX, N_PX, 3), 255, np.uint8), *(signs.image(i) for i in range(5))]

    def image(path: str) -> np.ndarray:
        pixels = clean[int(path[1:])]
        noise = 16 * random.choice([-1, 1], pixels.shape) if path[0] == "a" else 0
        return np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8)

    pairs = [PrintPair(f"p{i}", f"c{i}", f"a{i}", N_PX, N_PX) for i in range(6)]
    printout = arrange(pairs, run="r", run_code="K7QXM", pairs_per_page=6)
    return printout, render_page(build_pdf(printout, image, {}, Instructions("photos/", "my.toml")), 1, 200)


def read(printed: tuple[Printout, np.ndarray], seed: int = 1, **changes: tuple[float, float]) -> FreshPage:
    printout, page = printed
    profile = replace(load_profile("office-phone-3mp"), **changes)
    sides = printout.page_width_mm, printout.page_height_mm
    pixels = simulate_photo(page, *sides, profile, np.random.default_rng(seed)).image
    names = {place.pair_id for place in printout.placements}
    pairs = {name: Pair(name, name, "noise", 16, ("average",), 0, None, "c", "a", 16, 1.0, 1.0, 0, 0) for name in names}
    capture = Capture("c", "photo.jpg", "", "0" * 64, "", "", SIMULATED)
    (fresh,) = read_pages(Picture("", pixels), capture, Reading(printout, pairs, CaptureSettings()))
    return fresh


TROUBLES = {
    "nothing": ({}, set(), ""),
    "a hand's shadow": (
        {"cast_shadow_rate": (0.85, 0.85), "cast_shadow_softness_mm": (15.0, 15.0)},
        {"shadowed"},
        "keep hand and phone out of the light",
    ),
    "darkness": ({"exposure": (0.08, 0.08)}, {"dark"}, "more light, tap on the paper to set the exposure"),
    "out of focus": ({"blur_px": (2.5, 2.5)}, {"soft"}, "tap on the paper to focus"),
    "moved": ({"motion_px": (9.0, 9.0)}, {"moved"}, "hold still"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_each_trouble_has_its_own_advice_and_no_others_and_both_images_of_a_pair_one_verdict(printed, name):
    changes, flags, advice = TROUBLES[name]
    page = read(printed, **changes).page
    assert {flag for row in page.quality for flag in row.flags} == flags
    assert quality_advice([flag for row in page.quality for flag in row.flags]) == advice
    of_pair = {}
    for view in page.views:
        of_pair.setdefault(view.pair_id, set()).add(view.flags)
    assert len(of_pair) == 6 and all(len(verdicts) == 1 for verdicts in of_pair.values())
    assert page.capture.trouble == ""


def test_no_page_is_found_in_a_photo_that_moved_far_and_the_advice_is_to_hold_still(printed):
    page = read(printed, seed=2, motion_px=(14.0, 14.0)).page
    assert not page.views and page.capture.trouble == "blurred because the camera moved: hold still"


@pytest.mark.parametrize("degrees", [0, 30, 45, 90])
def test_movement_in_any_direction_is_told_from_blur_in_all(degrees):
    grey = np.kron(np.random.default_rng(0).integers(0, 2, (24, 24)), np.ones((8, 8))).astype(np.uint8) * 200
    from scipy.ndimage import gaussian_filter, shift

    direction = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    path = [shift(grey.astype(float), np.multiply(direction, step), order=1, mode="nearest") for step in np.linspace(-6, 6, 25)]
    assert one_sidedness(np.mean(path, axis=0).astype(np.uint8)) > 2
    assert one_sidedness(grey) < 1.3 and one_sidedness(gaussian_filter(grey.astype(float), 3).astype(np.uint8)) < 1.3


def test_light_is_seen_on_bare_paper_between_the_images_of_a_pair(printed):
    printout = printed[0]
    for pair_id, (places, half) in pair_gaps(printout, 1).items():
        left, right = sorted((p for p in printout.placements if p.pair_id == pair_id), key=lambda p: p.x_mm)
        assert ((places[:, 0] - half > left.x_mm + left.width_mm) & (places[:, 0] + half < right.x_mm)).all()
        for mark in printout.marks:
            apart = np.abs(places - (mark.x_mm + mark.size_mm / 2, mark.y_mm + mark.size_mm / 2)).max(axis=1)
            assert (apart > mark.size_mm / 2 + half).all()


def test_shade_is_the_darkest_paper_beside_a_pair_of_the_brightest_of_the_page():
    assert shades({"a": [0.4, 0.1], "b": [0.5], "c": []}, [0.8]) == {"a": pytest.approx(0.125), "b": pytest.approx(0.625)}
    assert shades({"a": [0.4]}, []) == {"a": 1.0} and shades({"a": [0.0]}, []) == {}
