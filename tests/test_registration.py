"""From a photograph to crops: against the simulator's truth and closed forms, and every way that a photo can be of no use."""

import dataclasses

import cv2
import numpy as np
import pytest
import qrcode

from pipeline.fiducials import encode_payload
from pipeline.geometry import apply_homography, box_homography
from pipeline.printing import Instructions, PrintPair, arrange, build_pdf, render_page
from pipeline.records import DISCARD_REASONS, Placement, Printout
from pipeline.registration import Failure, Registration, crop, draw_overlay, register, registration_error, sharpness_of
from pipeline.seeds import generator_for
from pipeline.simulator import SimulatedPhoto, load_profile, simulate_photo

N_PX = 128
SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
BOX = Placement(1, "p", "clean", "c", 20.0, 30.0, 50.0, 50.0, 100, 100)


def _image(path: str) -> np.ndarray:
    rng = np.random.default_rng(int(path.split("/")[0]))
    smooth = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (N_PX, N_PX), interpolation=cv2.INTER_CUBIC)
    return smooth if path.endswith("clean") else 255 - smooth


def _print(run_code: str) -> tuple[Printout, bytes]:
    pairs = [PrintPair(f"p{i}", f"{i}/clean", f"{i}/adversarial", N_PX, N_PX) for i in range(6)]
    printout = arrange(pairs, run="r", run_code=run_code)
    return printout, build_pdf(printout, _image, {}, Instructions("photos/", "inkproof run"))


@pytest.fixture(scope="module")
def printed() -> tuple[Printout, np.ndarray, np.ndarray]:
    printout, pdf = _print("K7QXM")
    return printout, render_page(pdf, 1, 300), render_page(pdf, 2, 300)


@pytest.fixture(scope="module")
def shots(printed: tuple[Printout, np.ndarray, np.ndarray]) -> list[SimulatedPhoto]:
    printout, first, _ = printed
    return [
        simulate_photo(
            first,
            printout.page_width_mm,
            printout.page_height_mm,
            load_profile(profile),
            generator_for(0, "photograph", str(seed)),
        )
        for profile, seed in (("office-phone", 0), ("office-phone", 1), ("harsh", 2))
    ]


@pytest.fixture(scope="module")
def flat(printed: tuple[Printout, np.ndarray, np.ndarray]) -> np.ndarray:
    """The first page on a grey table, seen straight from above at 6 px a millimetre."""
    return _seen(printed[1])


def _seen(page: np.ndarray) -> np.ndarray:
    small = cv2.resize(page, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(small, 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=(120, 120, 120))


def _hidden(photo: np.ndarray, printout: Printout, *corners: str) -> np.ndarray:
    """The flat photo with a mug on some of the codes."""
    photo = photo.copy()
    for f in printout.fiducials:
        if f.page == 1 and f.corner in corners:
            x, y = (np.array([f.x_mm, f.y_mm]) * 150 / 25.4 + 60).astype(int)
            photo[y - 8 : y + 92, x - 8 : x + 92] = (150, 90, 60)
    return photo


def test_simulated_photos_are_registered_within_a_twentieth_of_a_crop_pixel(printed: tuple, shots: list[SimulatedPhoto]) -> None:
    printout = printed[0]
    for shot in shots:
        found = register(shot.image, printout)
        assert isinstance(found, Registration)
        assert (found.page, found.n_codes) == (1, 4)
        assert found.reprojection_rms_px < 0.5
        errors = [registration_error(found.photo_from_page, shot.photo_from_page, p) for p in printout.placements if p.page == 1]
        assert max(errors) < 0.05


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_crops_equal_the_source_however_the_photo_is_turned(printed: tuple, flat: np.ndarray, quarter_turns: int) -> None:
    printout = printed[0]
    photo = np.ascontiguousarray(np.rot90(flat, quarter_turns))
    found = register(photo, printout)
    assert isinstance(found, Registration)
    for p in (p for p in printout.placements if p.page == 1):
        result = crop(photo, found.photo_from_page, p)
        assert result.inside and result.pixels.shape == (N_PX, N_PX, 3) and result.pixels.dtype == np.uint8
        assert result.photo_px_per_image_px == pytest.approx(p.width_mm * 150 / 25.4 / N_PX, rel=1e-3)
        assert np.abs(result.pixels.astype(int) - _image(p.path)).mean() < 1.0


@pytest.mark.parametrize("hidden", [("TL",), ("TR", "BL"), ("TL", "TR"), ("TL", "BL")], ids="+".join)
def test_two_codes_are_enough(printed: tuple, flat: np.ndarray, hidden: tuple[str, ...]) -> None:
    printout = printed[0]
    found = register(_hidden(flat, printout, *hidden), printout)
    assert isinstance(found, Registration)
    assert set(found.codes) == {"TL", "TR", "BR", "BL"} - set(hidden)
    whole = register(flat, printout)
    placements = [p for p in printout.placements if p.page == 1]
    assert max(registration_error(found.photo_from_page, whole.photo_from_page, p) for p in placements) < 0.25


def test_a_code_that_decoders_miss_is_found_from_the_others(printed: tuple, flat: np.ndarray) -> None:
    printout = printed[0]
    photo = flat.copy()
    f = next(f for f in printout.fiducials if (f.page, f.corner) == (1, "BR"))
    x, y = (np.array([f.x_mm, f.y_mm]) * 150 / 25.4 + 60).astype(int)
    photo[y - 12 : y + 96, x - 12 : x + 96] = cv2.GaussianBlur(photo[y - 12 : y + 96, x - 12 : x + 96], (0, 0), 2.4)
    found = register(photo, printout)
    assert {corner: code.decoder for corner, code in found.codes.items()} == {
        "TL": "zxing-cpp",
        "TR": "zxing-cpp",
        "BR": "alignment",
        "BL": "zxing-cpp",
    }


def test_a_code_in_the_wrong_place_is_left_out(printed: tuple, flat: np.ndarray) -> None:
    printout = printed[0]
    f = next(f for f in printout.fiducials if (f.page, f.corner) == (1, "BR"))
    x, y = (np.array([f.x_mm, f.y_mm]) * 150 / 25.4 + 60).astype(int)
    photo = flat.copy()
    torn = photo[y - 14 : y + 98, x - 14 : x + 98].copy()
    photo[y - 14 : y + 98, x - 14 : x + 98] = 255
    photo[y - 194 : y - 82, x - 159 : x - 47] = torn
    found = register(photo, printout)
    assert isinstance(found, Registration) and set(found.codes) == {"TL", "TR", "BL"}


def _failures(printout: Printout, flat: np.ndarray, second: np.ndarray) -> dict[str, tuple[np.ndarray, Printout, int]]:
    glued = flat.copy()
    n_cols = flat.shape[1]
    glued[:400, 100:300], glued[:400, n_cols - 300 : n_cols - 100] = flat[:400, n_cols - 300 : n_cols - 100], flat[:400, 100:300]
    return {
        "no-code": (np.full((300, 400, 3), 128, np.uint8), printout, 2),
        "foreign-code": (_foreign(), printout, 2),
        "other-run": (
            flat,
            dataclasses.replace(
                printout,
                run_code="ZZZZZ",
                fiducials=tuple(
                    dataclasses.replace(f, payload=encode_payload("ZZZZZ", f.page, f.corner)) for f in printout.fiducials
                ),
            ),
            2,
        ),
        "other-run: page not in the layout": (
            second,
            dataclasses.replace(printout, fiducials=tuple(f for f in printout.fiducials if f.page == 1)),
            2,
        ),
        "several-pages": (np.concatenate([flat, second], axis=1), printout, 2),
        "several-pages: the same twice": (np.concatenate([flat, flat], axis=1), printout, 2),
        "unregistered: one code": (_hidden(flat, printout, "TL", "TR", "BR"), printout, 2),
        "unregistered: three where four are needed": (_hidden(flat, printout, "TL"), printout, 4),
        "unregistered: codes glued elsewhere": (glued, printout, 2),
        "unregistered: mirrored": (np.ascontiguousarray(flat[:, ::-1]), printout, 2),
    }


def _foreign() -> np.ndarray:
    code = qrcode.QRCode(border=4, box_size=6)
    code.add_data("https://example.org")
    code.make()
    light = ~np.kron(np.array(code.get_matrix()), np.ones((6, 6), bool))
    return np.repeat(light.astype(np.uint8)[..., None] * 255, 3, axis=2)


FAILURES = [
    "no-code",
    "foreign-code",
    "other-run",
    "other-run: page not in the layout",
    "several-pages",
    "several-pages: the same twice",
    "unregistered: one code",
    "unregistered: three where four are needed",
    "unregistered: codes glued elsewhere",
    "unregistered: mirrored",
]


@pytest.mark.parametrize("name", FAILURES)
def test_a_photo_of_no_use_says_why(printed: tuple, flat: np.ndarray, name: str) -> None:
    photo, printout, min_codes = _failures(printed[0], flat, _seen(printed[2]))[name]
    result = register(photo, printout, min_codes)
    assert isinstance(result, Failure)
    assert result.reason == name.split(":")[0] and result.reason in DISCARD_REASONS
    if result.reason == "unregistered":
        assert result.page == 1
        assert ("mirrored" in result.detail) == ("mirrored" in name)
    overlay = draw_overlay(photo, result, printout, "photo.jpg")
    assert max(overlay.shape[:2]) <= 1676 and overlay.dtype == np.uint8
    assert overlay[5, 5, 0] > 150 > overlay[5, 5, 1], "a red banner"


def test_pages_are_told_apart(printed: tuple) -> None:
    assert register(_seen(printed[2]), printed[0]).page == 2


def test_the_overlay_is_small_and_frames_what_was_found(printed: tuple, flat: np.ndarray) -> None:
    printout = printed[0]
    found = register(flat, printout)
    overlay = draw_overlay(flat, found, printout, "photo.jpg")
    shrink = 1600 / max(flat.shape[:2])
    assert overlay.shape[1] == round(flat.shape[1] * shrink)
    p = printout.placements[0]
    middles = np.array([[p.x_mm + 0.5 * p.width_mm, p.y_mm + p.height_mm], [p.x_mm + p.width_mm, p.y_mm + 0.5 * p.height_mm]])
    for x, y in apply_homography(found.photo_from_page, middles) * shrink + (0, 76):
        drawn = overlay[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].reshape(-1, 3)
        assert (np.abs(drawn.astype(int) - (30, 102, 200)).sum(axis=1) < 12).sum() >= 10


@pytest.mark.parametrize(
    ("shift_px", "scale_px_per_mm"), [((3.0, 0.0), 10.0), ((0.0, -4.0), 8.0), ((3.0, 4.0), 5.0), ((0.0, 0.0), 9.0)]
)
def test_the_registration_error_of_a_shift_is_the_shift(shift_px: tuple[float, float], scale_px_per_mm: float) -> None:
    true = np.diag([scale_px_per_mm, scale_px_per_mm, 1.0])
    off = true.copy()
    off[:2, 2] = shift_px
    crop_px_per_photo_px = 100 / 50 / scale_px_per_mm
    assert registration_error(off, true, BOX) == pytest.approx(np.hypot(*shift_px) * crop_px_per_photo_px)


def test_a_crop_is_the_photo_itself_where_pixels_coincide() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (160, 140, 3), dtype=np.uint8)
    photo_from_page = np.linalg.inv(box_homography(-10, -5, 140 / 2, 160 / 2, 140, 160))
    result = crop(photo, photo_from_page, dataclasses.replace(BOX, x_mm=0, y_mm=10))
    assert (result.pixels == photo[30:130, 20:120]).all()
    assert result.photo_px_per_image_px == pytest.approx(1) and result.inside


@pytest.mark.parametrize(("x_mm", "inside"), [(0.0, True), (-0.1, False), (20.0, True), (20.1, False)])
def test_a_crop_that_leaves_the_photo_is_marked(x_mm: float, inside: bool) -> None:
    photo = np.zeros((160, 140, 3), np.uint8)
    photo_from_page = np.linalg.inv(box_homography(0, 0, 70, 80, 140, 160))
    assert crop(photo, photo_from_page, dataclasses.replace(BOX, x_mm=x_mm, y_mm=5)).inside is inside


def test_sharpness_is_20_for_white_noise_falls_with_blur_and_ignores_contrast() -> None:
    noise = np.repeat(np.random.default_rng(0).integers(0, 256, (400, 400, 1), dtype=np.uint8), 3, axis=2)
    assert sharpness_of(noise) == pytest.approx(20, rel=0.03)
    blurred = [sharpness_of(cv2.GaussianBlur(noise, (0, 0), sigma)) for sigma in (0.6, 1.0, 2.0)]
    assert 20 > blurred[0] > blurred[1] > blurred[2] > 0
    assert sharpness_of(noise // 2 + 60) == pytest.approx(sharpness_of(noise), rel=0.02)
    assert sharpness_of(np.full((9, 9, 3), 7, np.uint8)) == 0
