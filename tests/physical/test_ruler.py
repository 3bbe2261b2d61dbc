"""A ruler beside a page tells how large the page was printed, and nothing else does."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.evaluation.flagging import Evidence, run_flags
from pipeline.images import jpeg_bytes
from pipeline.images.photo_tags import PhotoTags
from pipeline.physical.fiducials.pyramid import Pyramid
from pipeline.physical.printing.arrangement import PrintPair, arrange
from pipeline.physical.printing.document import build_pdf, render_page
from pipeline.physical.printing.instructions import Instructions
from pipeline.physical.registration.photo_reading import PhotoFile, Reading, read_file
from pipeline.physical.registration.print_size import print_size_words
from pipeline.physical.registration.ruler import ruler_scale
from pipeline.records import Capture, Pair, Printout
from pipeline.settings import CaptureSettings
from tests.ruler_scene import A4_MM, PX_PER_MM, desk, ruler, seen

SIZE = tuple(round(side * PX_PER_MM) for side in A4_MM)
PAGE = np.full(SIZE[::-1], 255, np.uint8)
PAGE[20 * PX_PER_MM : 200 * PX_PER_MM, 30 * PX_PER_MM : 180 * PX_PER_MM] = 90
PAIR = Pair("p", "p", "fgsm", 8, ("average",), 0, None, "", "", 8, 0.0, 1.0, 1, 1)


def told(*scene, **camera):
    photo, page_map = seen(*scene, **camera)
    return ruler_scale(Pyramid(photo), page_map)


@pytest.mark.parametrize(
    ("look", "scale", "edge", "turn_deg", "tilt_deg", "toward_deg"),
    [
        ("white", 0.93, 2, 0.0, 0.0, 0.0),
        ("steel", 0.97, 3, 3.0, 10.0, 20.0),
        ("plastic", 1.0, 1, -3.0, 20.0, 110.0),
        ("wood", 1.04, 0, 1.5, 30.0, 200.0),
        ("black", 0.97, 2, -1.0, 25.0, 300.0),
    ],
)
def test_a_ruler_along_an_edge_tells_the_printed_scale(look, scale, edge, turn_deg, tilt_deg, toward_deg):
    scene = desk(PAGE, scale, ruler(look), edge, turn_deg)
    found = told(*scene, tilt_deg=tilt_deg, toward_deg=toward_deg)
    assert found.scale == pytest.approx(scale, rel=1.5e-3)
    # a millimetre of thickness, seen from some 36 cm
    assert 0.002 < found.error < 0.004


def cloth(pitch_mm: float) -> np.ndarray:
    x, y = np.meshgrid(*(np.arange(side + 2 * 45 * PX_PER_MM) / PX_PER_MM for side in SIZE))
    return np.rint(128 + 50 * np.sin(2 * np.pi * x / pitch_mm) + 50 * np.sin(2 * np.pi * y / pitch_mm)).astype(np.uint8)


NO_RULERS = {
    "none": (None, None),
    "all ticks alike": (ruler(tick_mm=(4.0, 4.0, 4.0)), None),
    "too short": (ruler(length_mm=40), None),
    "inches towards the page": (ruler()[::-1], None),
    "a cloth": (None, cloth(1.0)),
}


@pytest.mark.parametrize(("lying", "table"), NO_RULERS.values(), ids=NO_RULERS.keys())
def test_what_is_no_ruler_tells_no_scale(lying, table):
    assert told(*desk(PAGE, 0.97, lying, table=table), tilt_deg=5) is None


def test_threads_that_only_pixels_make_differ_by_fives_tell_no_scale():
    # 7.2 pixels of the table a thread: every fifth falls on them alike
    assert told(*desk(PAGE, table=cloth(0.9)), blur_px=0.4) is None


def test_a_photo_too_coarse_for_millimetres_tells_no_scale():
    scene = desk(PAGE, 0.97, ruler())
    assert told(*scene, size=(1200, 1600)) is not None and told(*scene, size=(700, 933)) is None


def test_the_error_grows_as_the_camera_comes_nearer():
    photo, page_map = seen(*desk(PAGE, 0.97, ruler()))
    wide, narrow = (ruler_scale(Pyramid(photo), page_map, focal) for focal in (20.0, 40.0))
    assert wide.scale == narrow.scale and wide.error == pytest.approx(2 * narrow.error, rel=0.05)


def a_photo(printout: Printout, page: np.ndarray, lying: np.ndarray | None, folder: Path) -> PhotoFile:
    paper = printout.page_width_mm, printout.page_height_mm
    picture, _ = seen(*desk(page, 0.97, lying, edge=3, turn_deg=1.0, page_mm=paper), tilt_deg=8, page_mm=paper)
    path = folder / "photo.jpg"
    path.write_bytes(jpeg_bytes(np.repeat(picture[..., None], 3, axis=2), 90))
    return PhotoFile(path, path.name, "0" * 64, "", None, None)


@pytest.fixture(scope="module")
def printed() -> tuple[Printout, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    printout = arrange([PrintPair("p", "clean", "adversarial", 64, 64)], run="r", run_code="K7QXM")
    pdf = build_pdf(printout, lambda path: images, {}, Instructions("photos/", "my.toml"))
    return printout, cv2.cvtColor(render_page(pdf, 1, 200), cv2.COLOR_RGB2GRAY)


def read(printed, lying: np.ndarray | None, folder: Path, simulated: bool = False) -> Capture:
    photo = a_photo(*printed, lying, folder)
    truth = ((1.0, 0, 0, 0, 1.0, 0, 0, 0, 1), ()) if simulated else None
    (fresh,) = read_file(replace(photo, truth=truth), Reading(printed[0], {"p": PAIR}, CaptureSettings()))
    return replace(fresh.page.capture, counts=True)


def test_a_photo_with_a_ruler_says_how_large_its_page_was_printed(printed, tmp_path):
    capture = read(printed, ruler("plastic"), tmp_path)
    assert capture.ruler_scale == pytest.approx(0.97, rel=2e-3)
    line = print_size_words([capture], printed[0], lambda name: PhotoTags("", ""))
    assert line == "printed at 97.0 % of its size (± 0.3), by the ruler beside the page (1 page)"
    (row,) = run_flags(Evidence(captures=[capture], printout=printed[0], origin="camera"))
    assert row.flag == "page-scaled" and "97.0 % of its size by the ruler beside it, ± 0.3" in row.message


def test_without_a_ruler_and_in_a_simulation_no_scale_is_told(printed, tmp_path):
    assert read(printed, None, tmp_path).ruler_scale is None
    assert read(printed, ruler(), tmp_path, simulated=True).ruler_scale is None
