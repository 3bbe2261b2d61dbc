"""The QR codes: what they say, that any reader can read them, and where they are found."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import qrcode
import zxingcpp

from pipeline.physical.fiducials import detection
from pipeline.physical.fiducials.codes import N_MODULES, Payload, decode_payload, encode_payload, modules, tag_id, tag_modules
from pipeline.physical.fiducials.detection import agreement, detect_tags, read_treated, search
from pipeline.physical.fiducials.pyramid import Pyramid, level_from_photo, photo_from_level
from pipeline.physical.fiducials.treatments import treatments
from pipeline.records import CORNERS

RUN = "K7QXM"
MODULE_PX = 10
SIDE_PX = N_MODULES * MODULE_PX
PLACES = {"TL": (150, 150), "TR": (840, 150), "BR": (840, 840), "BL": (150, 840)}
SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
# a module and a half of the photos: what decoders are off by; the wrong corner is twenty modules away
WITHIN_PX = 1.5 * 0.6 * MODULE_PX


def _drawn(text: str) -> np.ndarray:
    return np.where(np.kron(modules(text), np.ones((MODULE_PX, MODULE_PX), bool)), 25, 230).astype(np.uint8)


def _photo(
    angle_deg: float = 0.0, scale: float = 0.6, mirrored: bool = False, blur_px: float = 1.2, noise_8bit: float = 3.0
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A page of four codes, turned, tilted, blurred and noisy; and the true corners of each, by payload."""
    page = np.full((1200, 1200), 230, np.uint8)
    corners = {}
    for name, (x, y) in PLACES.items():
        text = encode_payload(RUN, 3, name)
        page[y : y + SIDE_PX, x : x + SIDE_PX] = _drawn(text)
        corners[text] = SQUARE * SIDE_PX + (x, y) - 0.5
    angle = np.deg2rad(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [6e-5, -4e-5, 1]])
    flip = np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    photo_from_page = (
        np.array([[scale, 0, 700], [0, scale, 700], [0, 0, 1]])
        @ flip
        @ turn
        @ np.array([[1, 0, -600], [0, 1, -600], [0, 0, 1.0]])
    )
    triple = np.array([[3, 0, 1], [0, 3, 1], [0, 0, 1.0]])
    fine = cv2.warpPerspective(page, triple @ photo_from_page, (4200, 4200), borderValue=200)
    photo = cv2.GaussianBlur(cv2.resize(fine, (1400, 1400), interpolation=cv2.INTER_AREA).astype(np.float64), (0, 0), blur_px)
    photo += np.random.default_rng(0).normal(0, noise_8bit, photo.shape)
    truth = {text: cv2.perspectiveTransform(points[None], photo_from_page)[0] for text, points in corners.items()}
    return np.clip(np.rint(photo), 0, 255).astype(np.uint8), truth


def _found(photo: np.ndarray, expected: int = 4) -> tuple[detection.Detection, ...]:
    """What the search has found when it first knows as many of our codes."""
    found: tuple[detection.Detection, ...] = ()
    for found in search(Pyramid(photo)):
        if sum(decode_payload(one.text) is not None for one in found) >= expected:
            break
    return found


def _errors_px(found: tuple[detection.Detection, ...], truth: dict[str, np.ndarray]) -> list[float]:
    return [float(np.linalg.norm(one.corners - truth[one.text], axis=1).max()) for one in found]


def test_a_payload_says_what_was_put_in(subtests: pytest.Subtests) -> None:
    for page in [1, 35, 36, 1295, 1296, 46655]:
        for corner in CORNERS:
            with subtests.test(page=page, corner=corner):
                text = encode_payload("ABC27", page, corner)
                assert len(text) == 16 and text.isalnum() and text == text.upper()
                assert decode_payload(text) == Payload("ABC27", page, corner)


def test_no_single_wrong_character_is_accepted() -> None:
    text = encode_payload(RUN, 7, "BR")
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    wrong = [text[:i] + letter + text[i + 1 :] for i in range(16) for letter in letters if letter != text[i]]
    assert [candidate for candidate in wrong if decode_payload(candidate) is not None] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://example.org",
        "IP1K7QXM0010",
        encode_payload(RUN, 7, "BR").lower(),
        encode_payload(RUN, 7, "BR") + "\n",
        "IP2" + encode_payload(RUN, 7, "BR")[3:],
    ],
)
def test_a_text_that_is_not_ours_is_refused(text: str) -> None:
    assert decode_payload(text) is None


@pytest.mark.parametrize(
    ("run_code", "page", "corner"),
    [("ABCD", 1, "TL"), ("ABCD1", 1, "TL"), ("abcde", 1, "TL"), (RUN, 0, "TL"), (RUN, 46656, "TL"), (RUN, 1, "XX")],
)
def test_a_payload_out_of_range_is_a_value_error(run_code: str, page: int, corner: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        encode_payload(run_code, page, corner)


def test_another_reader_reads_the_drawn_code_as_version_1_level_q(subtests: pytest.Subtests) -> None:
    for page in range(1, 400, 23):
        with subtests.test(page=page):
            text = encode_payload(RUN, page, CORNERS[page % 4])
            assert modules(text).shape == (21, 21)
            (read,) = zxingcpp.read_barcodes(np.pad(_drawn(text), 4 * MODULE_PX, constant_values=230))
            assert (read.text, read.ec_level) == (text, "Q")


@pytest.mark.parametrize("text", ["short", "ip1k7qxm0032skt6", "IP1K7QXM0032SKT-"])
def test_modules_of_anything_but_a_payload_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected sixteen"):
        modules(text)


@pytest.mark.parametrize("angle_deg", [0, 45, 90, 133, 180, 270, 311])
def test_corners_are_in_the_codes_own_order_at_any_angle(angle_deg: float) -> None:
    photo, truth = _photo(angle_deg)
    found = _found(photo)
    assert sorted(one.text for one in found) == sorted(truth)
    assert max(_errors_px(found, truth)) < WITHIN_PX


def test_a_mirrored_photo_gives_the_codes_own_corners() -> None:
    photo, truth = _photo(30, mirrored=True)
    assert max(_errors_px(_found(photo), truth)) < WITHIN_PX


def test_the_decoders_corners_count_from_pixel_centres() -> None:
    offsets = []
    for angle_deg in (0, 40, 80, 120, 160, 200, 240, 280, 320):
        photo, truth = _photo(angle_deg)
        offsets += [corners - truth[text] for text, corners in detection._read(photo, "zxing-cpp")]
    assert np.abs(np.mean(offsets, axis=(0, 1))).max() < 0.25


@pytest.mark.parametrize("module_px", [5, 13, 21, 34])
def test_corners_are_true_at_any_size_of_the_modules(module_px: int) -> None:
    text = encode_payload(RUN, 12, "TR")
    light = np.pad(~np.kron(modules(text), np.ones((module_px, module_px), bool)), 6 * module_px + 1, constant_values=True)
    photo = cv2.GaussianBlur((light * 200 + 20).astype(np.uint8), (0, 0), 1.0)
    (found,) = _found(photo)
    assert np.abs(found.corners - (SQUARE * 21 * module_px + 6 * module_px + 0.5)).max() < 1.5


def test_grey_and_rgb_photos_give_the_same_detections() -> None:
    photo, _ = _photo(10)
    grey, colour = _found(photo), _found(np.repeat(photo[..., None], 3, axis=2))
    assert [one.text for one in grey] == [one.text for one in colour]
    assert all((one.corners == other.corners).all() for one, other in zip(grey, colour, strict=True))


def test_a_foreign_code_is_reported_too() -> None:
    photo, truth = _photo()
    foreign = np.array(zxingcpp.create_barcode("https://example.org", zxingcpp.BarcodeFormat.QRCode).to_image(scale=5))
    photo[600 : 600 + foreign.shape[0], 600 : 600 + foreign.shape[1]] = foreign
    assert {one.text for one in _found(photo)} == {*truth, "https://example.org"}


def test_nothing_is_found_where_nothing_is() -> None:
    assert _found(np.full((400, 500, 3), 200, np.uint8)) == ()


@pytest.mark.parametrize("photo", [np.zeros((9, 9), np.float32), np.zeros(9, np.uint8)], ids=["float", "one-dimensional"])
def test_a_photo_of_another_kind_is_a_value_error(photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        _found(photo)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("step", [1, -1], ids=["clockwise", "anticlockwise"])
def test_the_order_of_the_corners_is_found_from_the_modules(turn: int, step: int) -> None:
    photo, truth = _photo(50)
    text, corners = next(iter(truth.items()))
    shuffled = corners[[(turn + step * k) % 4 for k in range(4)]]
    assert (detection.order_corners(photo, shuffled, text) == corners).all()


def test_another_code_in_the_place_is_not_taken_for_the_one_expected() -> None:
    photo, truth = _photo(25)
    for text, corners in truth.items():
        others = [encode_payload(run, page, CORNERS[int(text[11])]) for run in (RUN, "ABCDE") for page in (1, 2, 4, 39)]
        assert agreement(photo, corners, text) > 0.9
        assert max(agreement(photo, corners, other) for other in others) < 0.65


def test_the_search_goes_on_only_while_codes_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, _ = _photo()
    calls = []
    read = detection._read
    monkeypatch.setattr(detection, "_read", lambda image, *how: calls.append((image.shape, how[0])) or read(image, *how))
    _found(photo, expected=4)
    assert calls == [((1400, 1400), "zxing-cpp")] * 2  # a glance does not show all of them
    calls.clear()
    _found(photo, expected=5)
    assert calls == [
        *[((1400, 1400), "zxing-cpp")] * 4,
        ((1400, 2800), "zxing-cpp"),
        ((4200, 4200), "zxing-cpp"),
        ((1400, 1400), "zxing-cpp"),
        ((2800, 1400), "zxing-cpp"),
        *[((2100, 2100), "zxing-cpp")] * 2,
        *[((1400, 1400), "zxing-cpp")] * 3,
        ((1400, 1400), "pyzbar"),
        ((700, 700), "pyzbar"),
    ]


HARD = {
    "2 times as wide": lambda photo: cv2.resize(photo, None, fx=0.32, fy=0.8, interpolation=cv2.INTER_AREA),
    "2 times as tall": lambda photo: cv2.resize(photo, None, fx=0.8, fy=0.32, interpolation=cv2.INTER_AREA),
    "enlarged 3 times": lambda photo: cv2.resize(photo, None, fx=0.23, fy=0.23, interpolation=cv2.INTER_AREA),
    "gamma 0.4": lambda photo: photo // 16,
    "over a narrow background": lambda photo: photo // 16,
}


@pytest.mark.parametrize("name", HARD)
def test_a_treatment_reads_what_the_photo_as_it_is_does_not_show(name: str) -> None:
    photo, truth = _photo()
    hard = np.ascontiguousarray(HARD[name](photo))
    steps = {step.name: step for step in treatments(Pyramid(hard)) if step.decoder == "zxing-cpp"}
    plain, treated = ({one.text: one for one in read_treated(Pyramid(hard), steps[key])} for key in ("as it is", name))
    assert len(plain) < len(treated) == len(truth)
    scale = np.array(hard.shape[::-1]) / photo.shape[::-1]
    for text, one in treated.items():
        assert np.abs(one.corners - ((truth[text] + 0.5) * scale - 0.5)).max() < WITHIN_PX


@pytest.mark.parametrize("text", ["Zürich Straße 12", "naïve café", "±ε 8/255", "日本語テキスト", "Привет мир", "IP1K7QXM"])
def test_what_zbar_takes_for_another_alphabet_is_read_as_utf_8(text: str) -> None:
    code = qrcode.QRCode(border=4, box_size=6)
    code.add_data(text.encode())
    code.make()
    photo = np.where(np.kron(np.array(code.get_matrix()), np.ones((6, 6), bool)), 0, 255).astype(np.uint8)
    if detection._decoder("pyzbar") is None:
        pytest.skip("pyzbar is not installed")
    assert [one for one, _ in detection._read(photo, "pyzbar")] == [text]


def test_the_codes_of_real_photographs_are_read(data_root: Path) -> None:
    photos = sorted((data_root / "real_qr" / "zxing").glob("*/*.png"))
    if not photos:
        pytest.skip("needs the photographs of codes in the data pack")
    unread = []
    for path in photos:
        wanted = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
        seen = (one.text.replace("\r", "").strip() for found in search(Pyramid(cv2.imread(str(path)))) for one in found)
        unread += [path.name] if wanted not in seen else []
    assert not unread


def test_a_code_that_several_treatments_find_is_reported_once() -> None:
    photo, truth = _photo()
    assert len(_found(photo, expected=9)) == len(truth)


def test_the_hull_that_pyzbar_gives_is_put_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, truth = _photo(70)
    codes = [
        SimpleNamespace(data=text.encode(), polygon=[tuple(map(int, corners[(2 - k) % 4] + 0.5)) for k in range(4)])
        for text, corners in truth.items()
    ]
    zbar = SimpleNamespace(ZBarSymbol=SimpleNamespace(QRCODE=64), decode=lambda image, symbols: codes)
    monkeypatch.setattr(detection, "_decoder", lambda name: zbar if name == "pyzbar" else None)
    found = _found(photo)
    assert {one.decoder for one in found} == {"pyzbar"}
    assert max(_errors_px(found, truth)) < 1.5


@pytest.mark.parametrize(
    "error",
    [
        ImportError("Unable to find zbar shared library"),
        OSError("libv4l2.so.0: cannot open shared object file"),
        ImportError("No module named 'pyzbar'"),
    ],
    ids=str,
)
def test_a_missing_pyzbar_is_not_needed(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    asked = []

    def without_zbar(name: str) -> object:
        asked.append(name)
        if name.startswith("pyzbar"):
            raise error
        return zxingcpp

    detection._decoder.cache_clear()
    monkeypatch.setattr(detection, "import_module", without_zbar)
    try:
        assert len(_found(_photo()[0], expected=5)) == 4
        assert asked == ["zxingcpp", "pyzbar.pyzbar"]
    finally:
        detection._decoder.cache_clear()


def test_a_large_photo_is_read_small_first(monkeypatch: pytest.MonkeyPatch) -> None:
    small, truth = _photo()
    photo = cv2.resize(small, (5600, 5600), interpolation=cv2.INTER_LINEAR)
    sizes = []
    read = detection._read
    monkeypatch.setattr(detection, "_read", lambda image, *how: sizes.append(max(image.shape)) or read(image, *how))
    assert {one.text for one in _found(photo)} == set(truth)
    assert sizes == [1400, 1400]  # a glance, and a look


@pytest.mark.parametrize("k", [0, 1, 3])
def test_points_of_a_small_version_are_given_in_pixels_of_the_photo(k: int) -> None:
    corners = np.array([[3.0, 4.0], [10.5, 2.0]])
    photo = photo_from_level(corners, k)
    back = np.column_stack([photo, np.ones(2)]) @ level_from_photo(k).T
    assert np.allclose(back[:, :2], corners)
    assert np.allclose(photo_from_level(np.array([[-0.5, -0.5]]), k), -0.5), "the photo's edge is the small version's edge"


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_tag_is_found_with_its_corners_in_its_own_order(turn: int) -> None:
    cells = np.kron(~np.pad(tag_modules(tag_id(3, "BR")), 2), np.ones((12, 12))).astype(np.uint8) * 255
    photo = np.ascontiguousarray(np.rot90(np.pad(cells, 60, constant_values=140), turn))
    ((found, corners),) = detect_tags(photo)
    assert found == tag_id(3, "BR")
    start = 60 + 24 - 0.5
    square = np.array([[0, 0], [96, 0], [96, 96], [0, 96]]) + start
    n = photo.shape[0] - 1
    for _ in range(turn):
        square = np.column_stack([square[:, 1], n - square[:, 0]])
    assert np.abs(corners - square).max() < 1.5


def test_every_corner_of_the_first_146_pages_has_its_own_tag() -> None:
    ids = {tag_id(page, corner) for page in range(1, 147) for corner in CORNERS}
    assert len(ids) == 584 and max(ids) < 587
    assert tag_id(147, "TL") == tag_id(1, "TL")
