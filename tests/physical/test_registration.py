"""From a photograph to crops: against the simulator's truth and closed forms, and every way that a photo can be of no use."""

import dataclasses

import cv2
import numpy as np
import pytest
import qrcode

from pipeline.core.seeds import generator_for
from pipeline.physical.fiducials.codes import encode_payload
from pipeline.physical.fiducials.detection import search
from pipeline.physical.fiducials.pyramid import Pyramid
from pipeline.physical.geometry import box_homography
from pipeline.physical.page_map import PageMap
from pipeline.physical.printing.arrangement import PrintPair, arrange
from pipeline.physical.printing.document import build_pdf, render_page
from pipeline.physical.printing.instructions import Instructions
from pipeline.physical.registration.cropping import crop, registration_error, sharpness_of
from pipeline.physical.registration.page import Failure, Registration, register
from pipeline.physical.simulator import SimulatedPhoto, load_profile, simulate_photo
from pipeline.records import DISCARD_REASONS, Placement, Printout

N_PX = 128
BOX = Placement(1, "p", "clean", "c", 20.0, 30.0, 50.0, 50.0, 100, 100)


def _image(path: str) -> np.ndarray:
    rng = np.random.default_rng(int(path.split("/")[0]))
    smooth = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (N_PX, N_PX), interpolation=cv2.INTER_CUBIC)
    return smooth if path.endswith("clean") else 255 - smooth


def _print(run_code: str, aids: bool = True) -> tuple[Printout, bytes]:
    pairs = [PrintPair(f"p{i}", f"{i}/clean", f"{i}/adversarial", N_PX, N_PX) for i in range(6)]
    printout = arrange(pairs, run="r", run_code=run_code, aids=aids)
    return printout, build_pdf(printout, _image, {}, Instructions("photos/", "my.toml"))


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


@pytest.fixture(scope="module")
def bare() -> tuple[Printout, np.ndarray]:
    """A layout without aids and its page seen straight from above."""
    printout, pdf = _print("BARE2", aids=False)
    return printout, _seen(render_page(pdf, 1, 300))


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


def _one(photo: np.ndarray, printout: Printout) -> Registration | Failure:
    (result,) = register(photo, printout)
    return result


def _errors(found: Registration, truth: PageMap, printout: Printout) -> list[float]:
    return [registration_error(found.page_map, truth, p) for p in printout.placements if p.page == found.page]


def test_simulated_photos_of_curled_pages_are_registered_within_a_fifth_of_a_crop_pixel(
    printed: tuple, shots: list[SimulatedPhoto]
) -> None:
    printout = printed[0]
    for shot in shots:
        found = _one(shot.image, printout)
        assert isinstance(found, Registration)
        assert (found.page, found.n_codes) == (1, 4)
        assert found.n_points > 0.9 * found.n_targets
        assert max(_errors(found, shot.page_map, printout)) < 0.2
        predicted = [found.predicted_error_px(p) for p in printout.placements if p.page == 1]
        assert max(predicted) < 0.3


def test_what_is_known_of_the_sheet_beats_one_homography(printed: tuple, shots: list[SimulatedPhoto]) -> None:
    printout, shot = printed[0], shots[2]
    found = _one(shot.image, printout)
    flat = PageMap(printout.page_width_mm, printout.page_height_mm, found.page_map.homography)
    assert shot.shot.curl_mm > 1
    straight = [registration_error(flat, shot.page_map, p) for p in printout.placements if p.page == 1]
    assert max(_errors(found, shot.page_map, printout)) < 0.3 * max(straight)


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_crops_equal_the_source_however_the_photo_is_turned(printed: tuple, flat: np.ndarray, quarter_turns: int) -> None:
    printout = printed[0]
    photo = np.ascontiguousarray(np.rot90(flat, quarter_turns))
    found = _one(photo, printout)
    assert isinstance(found, Registration)
    for p in (p for p in printout.placements if p.page == 1):
        pixels = crop(photo, found.page_map, p)
        assert pixels.shape == (N_PX, N_PX, 3) and pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - _image(p.path)).mean() < 1.0


@pytest.mark.parametrize("hidden", [("TL",), ("TR", "BL"), ("TL", "TR"), ("TL", "TR", "BL")], ids="+".join)
def test_one_code_and_the_printed_marks_are_enough(printed: tuple, flat: np.ndarray, hidden: tuple[str, ...]) -> None:
    printout = printed[0]
    found = _one(_hidden(flat, printout, *hidden), printout)
    assert isinstance(found, Registration)
    assert set(found.codes) == {"TL", "TR", "BR", "BL"} - set(hidden)
    assert max(_errors(found, _one(flat, printout).page_map, printout)) < 0.1


@pytest.mark.parametrize("hidden", [("TL",), ("TR", "BL"), ("TL", "TR")], ids="+".join)
def test_a_layout_without_aids_needs_two_codes(bare: tuple, hidden: tuple[str, ...]) -> None:
    printout, photo = bare
    found = _one(_hidden(photo, printout, *hidden), printout)
    assert isinstance(found, Registration)
    assert max(_errors(found, _one(photo, printout).page_map, printout)) < 0.6
    alone = _one(_hidden(photo, printout, "TL", "TR", "BR"), printout)
    assert isinstance(alone, Failure) and alone.reason == "unregistered" and alone.page == 1


def test_a_code_that_decoders_miss_is_found_from_the_others(printed: tuple, flat: np.ndarray) -> None:
    printout = printed[0]
    photo = flat.copy()
    f = next(f for f in printout.fiducials if (f.page, f.corner) == (1, "BR"))
    x, y = (np.array([f.x_mm, f.y_mm]) * 150 / 25.4 + 60).astype(int)
    photo[y - 12 : y + 96, x - 12 : x + 96] = cv2.GaussianBlur(photo[y - 12 : y + 96, x - 12 : x + 96], (0, 0), 2.4)
    found = _one(photo, printout)
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
    photo[y - 24 : y + 88, x - 24 : x + 88] = torn
    found = _one(photo, printout)
    assert isinstance(found, Registration) and set(found.codes) == {"TL", "TR", "BL"}
    assert max(_errors(found, _one(flat, printout).page_map, printout)) < 0.1


def test_codes_that_nobody_can_read_are_recognised_between_the_tags(printed: tuple, flat: np.ndarray) -> None:
    printout = printed[0]
    photo = cv2.GaussianBlur(flat, (0, 0), 3.2)
    assert list(search(Pyramid(photo)))[-1] == ()
    found = _one(photo, printout)
    assert isinstance(found, Registration) and found.page == 1
    assert {code.decoder for code in found.codes.values()} == {"alignment"}
    assert max(_errors(found, _one(flat, printout).page_map, printout)) < 0.2


def test_tags_of_another_run_are_not_taken_for_this_page(printed: tuple, flat: np.ndarray) -> None:
    result = _one(cv2.GaussianBlur(flat, (0, 0), 3.2), _of_another_run(printed[0]))
    assert isinstance(result, Failure)


def test_pages_side_by_side_are_both_registered(printed: tuple, flat: np.ndarray) -> None:
    printout = printed[0]
    both = np.concatenate([flat, np.ascontiguousarray(np.rot90(_seen(printed[2]), 2))], axis=1)
    results = register(both, printout)
    assert [result.page for result in results] == [1, 2]
    for result in results:
        assert isinstance(result, Registration)
        for p in (p for p in printout.placements if p.page == result.page):
            assert np.abs(crop(both, result.page_map, p).astype(int) - _image(p.path)).mean() < 1.0


def test_of_a_page_cut_off_by_the_photo_s_edge_what_is_there_is_cropped(printed: tuple, flat: np.ndarray) -> None:
    printout = printed[0]
    photo = np.ascontiguousarray(flat[: flat.shape[0] * 2 // 3])
    found = _one(photo, printout)
    assert isinstance(found, Registration) and set(found.codes) == {"TL", "TR"}
    crops = {p: crop(photo, found.page_map, p) for p in printout.placements if p.page == 1}
    assert 0 < sum(pixels is None for pixels in crops.values()) < len(crops)
    for p, pixels in crops.items():
        assert pixels is None or np.abs(pixels.astype(int) - _image(p.path)).mean() < 1.0


def test_of_half_a_page_nothing_is_kept_that_lies_beyond_all_that_was_found(
    printed: tuple, flat: np.ndarray, bare: tuple
) -> None:
    """Of a bare page its codes are at one end, so all lies beyond them; a whole page has points around every image."""
    for printout, photo in ((printed[0], flat), bare):
        placements = [p for p in printout.placements if p.page == 1]
        assert not any(_one(photo, printout).is_beyond(p) for p in placements)
        halves = [photo[: len(photo) // 2], photo[len(photo) // 2 :], photo[:, : photo.shape[1] // 2]]
        for half in halves:
            found = _one(np.ascontiguousarray(half), printout)
            points = found.surface.fits[0].points_mm
            for p in placements:
                x, y = p.x_mm + p.width_mm / 2, p.y_mm + p.height_mm / 2
                is_between = points[:, 0].min() < x < points[:, 0].max() and points[:, 1].min() < y < points[:, 1].max()
                assert found.is_beyond(p) is not is_between
            if printout is bare[0]:
                assert all(found.is_beyond(p) for p in placements)


def _of_another_run(printout: Printout) -> Printout:
    codes = tuple(dataclasses.replace(f, payload=encode_payload("ZZZZZ", f.page, f.corner)) for f in printout.fiducials)
    return dataclasses.replace(printout, run_code="ZZZZZ", fiducials=codes)


def _failures(printout: Printout, flat: np.ndarray, second: np.ndarray) -> dict[str, tuple[np.ndarray, Printout]]:
    first_only = dataclasses.replace(printout, fiducials=tuple(f for f in printout.fiducials if f.page == 1))
    return {
        "no-code": (np.full((300, 400, 3), 128, np.uint8), printout),
        "foreign-code": (_foreign(), printout),
        "other-run": (flat, _of_another_run(printout)),
        "other-run: page not in the layout": (second, first_only),
        "repeated-page": (np.concatenate([flat, flat], axis=1), printout),
        "mirrored": (np.ascontiguousarray(flat[:, ::-1]), printout),
        "negative": (255 - flat, printout),
        "negative: turned": (np.ascontiguousarray(255 - np.rot90(flat)), printout),
        "negative: mirrored too": (np.ascontiguousarray(255 - flat[:, ::-1]), printout),
    }


def _foreign() -> np.ndarray:
    code = qrcode.QRCode(border=4, box_size=6)
    code.add_data("https://example.org")
    code.make()
    light = ~np.kron(np.array(code.get_matrix()), np.ones((6, 6), bool))
    return np.repeat(light.astype(np.uint8)[..., None] * 255, 3, axis=2)


FAILURES = ["no-code", "foreign-code", "other-run", "other-run: page not in the layout", "repeated-page", "mirrored"]
FAILURES += ["negative", "negative: turned", "negative: mirrored too"]


@pytest.mark.parametrize("name", FAILURES)
def test_a_photo_of_no_use_says_why(printed: tuple, flat: np.ndarray, name: str) -> None:
    photo, printout = _failures(printed[0], flat, _seen(printed[2]))[name]
    result = _one(photo, printout)
    assert isinstance(result, Failure)
    assert result.reason == name.split(":")[0] and result.reason in DISCARD_REASONS


def test_pages_are_told_apart(printed: tuple) -> None:
    assert _one(_seen(printed[2]), printed[0]).page == 2


@pytest.mark.parametrize(
    ("shift_px", "scale_px_per_mm"), [((3.0, 0.0), 10.0), ((0.0, -4.0), 8.0), ((3.0, 4.0), 5.0), ((0.0, 0.0), 9.0)]
)
def test_the_registration_error_of_a_shift_is_the_shift(shift_px: tuple[float, float], scale_px_per_mm: float) -> None:
    true = np.diag([scale_px_per_mm, scale_px_per_mm, 1.0])
    off = true.copy()
    off[:2, 2] = shift_px
    crop_px_per_photo_px = 100 / 50 / scale_px_per_mm
    error = registration_error(PageMap(210, 297, off), PageMap(210, 297, true), BOX)
    assert error == pytest.approx(np.hypot(*shift_px) * crop_px_per_photo_px)


def test_a_crop_is_the_photo_itself_where_pixels_coincide() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (160, 140, 3), dtype=np.uint8)
    photo_from_page = np.linalg.inv(box_homography(-10, -5, 140 / 2, 160 / 2, 140, 160))
    pixels = crop(photo, PageMap(210, 297, photo_from_page), dataclasses.replace(BOX, x_mm=0, y_mm=10))
    assert (pixels == photo[30:130, 20:120]).all()


@pytest.mark.parametrize(("x_mm", "inside"), [(0.0, True), (-0.1, False), (20.0, True), (20.1, False)])
def test_a_crop_that_leaves_the_photo_is_none(x_mm: float, inside: bool) -> None:
    photo = np.zeros((160, 140, 3), np.uint8)
    page_map = PageMap(210, 297, np.linalg.inv(box_homography(0, 0, 70, 80, 140, 160)))
    assert (crop(photo, page_map, dataclasses.replace(BOX, x_mm=x_mm, y_mm=5)) is not None) is inside


def test_sharpness_is_20_for_white_noise_falls_with_blur_and_ignores_contrast() -> None:
    noise = np.repeat(np.random.default_rng(0).integers(0, 256, (400, 400, 1), dtype=np.uint8), 3, axis=2)
    assert sharpness_of(noise) == pytest.approx(20, rel=0.03)
    blurred = [sharpness_of(cv2.GaussianBlur(noise, (0, 0), sigma)) for sigma in (0.6, 1.0, 2.0)]
    assert 20 > blurred[0] > blurred[1] > blurred[2] > 0
    assert sharpness_of(noise // 2 + 60) == pytest.approx(sharpness_of(noise), rel=0.02)
    assert sharpness_of(np.full((9, 9, 3), 7, np.uint8)) == 0
