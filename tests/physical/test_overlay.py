"""What a person sees and reads of a photo: the overlay, what to do, and the contact sheets."""

import dataclasses

import cv2
import numpy as np
import pytest
import qrcode
from PIL import Image, ImageDraw

from pipeline.physical.fiducials.codes import encode_payload
from pipeline.physical.page_map import PageMap
from pipeline.physical.printing.arrangement import PrintPair, arrange
from pipeline.physical.printing.document import build_pdf, render_page
from pipeline.physical.printing.instructions import Instructions
from pipeline.physical.registration.advice import code_trouble, photo_advice, quality_advice, quality_words
from pipeline.physical.registration.contact_sheet import ContactRow, draw_contact_sheets
from pipeline.physical.registration.lettering import Letters, font, letters, shortened, wrapped
from pipeline.physical.registration.overlay import draw_overlay
from pipeline.physical.registration.page import Failure, Registration, register
from pipeline.physical.registration.photo_lines import pages_to_do, photo_lines
from pipeline.records import CROP_FLAGS, DISCARD_REASONS, Capture, CropQuality, Discard, Fiducial, Mark, Printout

N_PX, BORDER_PX, PX_PER_MM = 128, 60, 150 / 25.4
GREEN, TEAL, RED, AMBER = (24, 150, 92), (0, 140, 160), (200, 44, 44), (198, 118, 4)
BLUE, MAGENTA, DARK = (30, 102, 200), (190, 60, 140), (34, 38, 46)
GOOD = CropQuality("p0/clean/photo-a", 0.03, None, 0.31, 200.0, 30.0, 0.0, 0.0, 1.0, 0.0, 3.0, 5.0, ())


def _image(path: str) -> np.ndarray:
    grey = 60 if path.endswith("clean") else 100
    return np.full((N_PX, N_PX, 3), grey, np.uint8)


@pytest.fixture(scope="module")
def printed() -> tuple[Printout, np.ndarray, np.ndarray]:
    """A printout and its two pages on a grey table, seen straight from above at 150 px an inch."""
    pairs = [PrintPair(f"p{i}", f"{i}/clean", f"{i}/adversarial", N_PX, N_PX) for i in range(6)]
    printout = arrange(pairs, run="r", run_code="K7QXM")
    pdf = build_pdf(printout, _image, {}, Instructions("photos/", "my.toml"))
    return printout, *(_seen(render_page(pdf, page, 150)) for page in (1, 2))


@pytest.fixture(scope="module")
def found(printed: tuple) -> Registration:
    (result,) = register(printed[1], printed[0])
    assert isinstance(result, Registration)
    return result


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is written on pictures."""
    written: list[str] = []
    draw = ImageDraw.ImageDraw.text

    def noted(self: ImageDraw.ImageDraw, xy: object, text: str, *args: object, **kwargs: object) -> None:
        written.append(text)
        draw(self, xy, text, *args, **kwargs)

    write = Letters.written

    def noted_too(self: Letters, text: str, *args: object) -> np.ndarray:
        written.append(text)
        return write(self, text, *args)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    monkeypatch.setattr(Letters, "written", noted_too)
    return written


def _seen(page: np.ndarray) -> np.ndarray:
    sides = [BORDER_PX] * 4
    return cv2.copyMakeBorder(page, *sides, cv2.BORDER_CONSTANT, value=(120, 120, 120))


def _photo_px(*page_mm: float) -> np.ndarray:
    return np.array(page_mm) * PX_PER_MM + BORDER_PX - 0.5


def _code(printout: Printout, corner: str, page: int = 1) -> Fiducial:
    return next(f for f in printout.fiducials if (f.page, f.corner) == (page, corner))


def _around(code: Fiducial | Mark, margin_mm: float) -> tuple[slice, slice]:
    x, y = (code.x_mm, code.y_mm) if isinstance(code, Fiducial) else (code.x_mm - code.size_mm / 2, code.y_mm - code.size_mm / 2)
    (left, top), (right, bottom) = (
        _photo_px(x - margin_mm, y - margin_mm),
        _photo_px(x + code.size_mm + margin_mm, y + code.size_mm + margin_mm),
    )
    return slice(max(0, round(top)), round(bottom) + 1), slice(max(0, round(left)), round(right) + 1)


def _with(photo: np.ndarray, place: tuple[slice, slice], change: object) -> np.ndarray:
    photo = photo.copy()
    photo[place] = change(photo[place]) if callable(change) else change
    return photo


def _has(overlay: np.ndarray, photo: np.ndarray, page_mm: tuple[float, float], colour: tuple[int, int, int]) -> bool:
    """Whether the overlay has a colour within two pixels of a place of the page; the photo is shrunk beneath its banner."""
    scale = min(1.0, 1280 / max(photo.shape[:2]))
    banner_px = len(overlay) - round(len(photo) * scale)
    left_px = (overlay.shape[1] - round(photo.shape[1] * scale)) // 2
    x, y = np.rint(_photo_px(*page_mm) * scale).astype(int) + (left_px, banner_px)
    return bool((np.abs(overlay[y - 2 : y + 3, x - 2 : x + 3].astype(int) - colour).max(axis=2) <= 3).any())


def _strips(overlay: np.ndarray) -> list[tuple[int, int, int]]:
    """The colours of the banner's lines, each once, from the top."""
    column = (tuple(map(int, pixel)) for pixel in overlay[:, 3])
    return list(dict.fromkeys(pixel for pixel in column if pixel in (GREEN, RED, AMBER, DARK)))


def test_an_overlay_is_small_and_leaves_the_photo_as_it_is(printed: tuple, found: Registration) -> None:
    photo = cv2.resize(printed[1], None, fx=2, fy=2)
    before = photo.copy()
    overlay = draw_overlay(photo, [Failure("no-code", "")], printed[0], "a.jpg")
    assert (photo == before).all() and overlay.dtype == np.uint8
    assert overlay.shape[1] == round(1280 * photo.shape[1] / photo.shape[0]) and 1280 < overlay.shape[0] < 1800
    assert (overlay == draw_overlay(photo, [Failure("no-code", "")], printed[0], "a.jpg")).all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 3000), (3000, 5), (40, 60), (1281, 1280), (3200, 20)], ids=str)
def test_every_photo_can_be_drawn(printed: tuple, shape: tuple[int, int]) -> None:
    overlay = draw_overlay(np.full((*shape, 3), 90, np.uint8), [Failure("no-code", "")], printed[0])
    assert overlay.shape[1] >= min(shape[1], 900) and (overlay[-1] == 90).all(axis=1).any()


def test_what_was_found_is_outlined_in_its_colour(printed: tuple, found: Registration) -> None:
    printout, photo = printed[:2]
    overlay = draw_overlay(photo, [found], printout)
    clean, adversarial = (next(p for p in printout.placements if p.variant == v) for v in ("clean", "adversarial"))
    for code in (f for f in printout.fiducials if f.page == 1):
        assert _has(overlay, photo, (code.x_mm, code.y_mm + code.size_mm / 2), GREEN)
    for p, colour in ((clean, BLUE), (adversarial, MAGENTA)):
        for x_mm in (p.x_mm, p.x_mm + p.width_mm):
            assert _has(overlay, photo, (x_mm, p.y_mm + p.height_mm / 2), colour)
    for x_mm in (0, printout.page_width_mm):
        assert _has(overlay, photo, (x_mm, printout.page_height_mm / 2), GREEN)
    for mark in (m for m in printout.marks if m.page == 1):
        assert _has(overlay, photo, (mark.x_mm, mark.y_mm), GREEN)


def test_a_mark_that_was_not_found_is_a_red_cross(printed: tuple) -> None:
    printout, photo = printed[:2]
    mark = next(m for m in printout.marks if m.page == 1)
    photo = _with(photo, _around(mark, 1.0), 255)
    overlay = draw_overlay(photo, register(photo, printout), printout)
    assert _has(overlay, photo, (mark.x_mm, mark.y_mm), RED)
    other = [m for m in printout.marks if m.page == 1][1]
    assert _has(overlay, photo, (other.x_mm, other.y_mm), GREEN)


def test_a_recognised_code_is_told_from_one_that_was_read(printed: tuple, found: Registration, texts: list[str]) -> None:
    printout, photo = printed[:2]
    code = dataclasses.replace(found.codes["BR"], decoder="alignment")
    overlay = draw_overlay(photo, [dataclasses.replace(found, codes=found.codes | {"BR": code})], printout)
    place = _code(printout, "BR")
    assert _has(overlay, photo, (place.x_mm, place.y_mm + place.size_mm / 2), TEAL)
    assert "BR recognised" in texts


def test_a_missing_code_is_red_with_its_reason(printed: tuple, texts: list[str]) -> None:
    printout, photo = printed[:2]
    code = _code(printout, "BR")
    photo = _with(photo, _around(code, 2.5), (150, 90, 60))
    overlay = draw_overlay(photo, register(photo, printout), printout)
    assert _has(overlay, photo, (code.x_mm, code.y_mm + code.size_mm / 2), RED)
    assert "BR covered" in texts and "bottom-right code covered: take away what lies on it" in texts
    assert _strips(overlay) == [AMBER]


def test_lines_follow_the_curved_sheet(printed: tuple, found: Registration) -> None:
    printout, photo = printed[:2]
    residual = np.zeros((3, 3, 2))
    residual[1, :, 0] = 30
    bent = PageMap(found.page_map.width_mm, found.page_map.height_mm, found.page_map.homography, residual)
    overlay = draw_overlay(photo, [dataclasses.replace(found, page_map=bent)], printout)
    middle = printout.page_height_mm / 2
    assert _has(overlay, photo, (30 / PX_PER_MM, middle), GREEN)
    assert not _has(overlay, photo, (0, middle), GREEN)


@pytest.mark.parametrize(
    ("quality", "words", "colour"),
    [
        (GOOD, "ok · ±0.03 px · MTF50 0.31", GREEN),
        (dataclasses.replace(GOOD, flags=("dark",)), "dark · ±0.03 px · MTF50 0.31", AMBER),
        (
            dataclasses.replace(GOOD, flags=("soft", "clipped"), predicted_error_px=0.4),
            "soft, clipped · ±0.40 px · MTF50 0.31",
            RED,
        ),
        (dataclasses.replace(GOOD, mtf50_cycles_per_px=None), "ok · ±0.03 px", GREEN),
    ],
    ids=["ok", "dark", "soft and clipped", "no edges"],
)
def test_each_frame_says_what_its_crop_is_worth(
    printed: tuple, found: Registration, texts: list[str], quality: CropQuality, words: str, colour: tuple[int, int, int]
) -> None:
    assert quality_words(quality) == words
    printout, photo = printed[:2]
    p = next(p for p in printout.placements if p.page == 1)
    overlay = draw_overlay(photo, [found], printout, quality={(1, p.pair_id, p.variant): quality})
    assert texts.count(words) == 1 and texts.count("not cropped") == 5
    # the label's left end, at the middle of the frame's lower edge
    half_mm = (letters(16).getlength(words) / 2 + 2) / PX_PER_MM * max(1, max(photo.shape) / 1280)
    assert _has(overlay, photo, (p.x_mm + p.width_mm / 2 - half_mm, p.y_mm + p.height_mm - 1.2), colour)


def test_the_banner_has_a_line_for_every_page(printed: tuple, texts: list[str]) -> None:
    printout, first, second = printed
    results = [*register(np.concatenate([first, second], axis=1), printout), Failure("repeated-page", "page 3", 3)]
    overlay = draw_overlay(np.concatenate([first, second], axis=1), results, printout, "table.jpg")
    lines = [text for text in texts if text.startswith("page ") and "codes" in text]
    n_points = [f"{result.n_points} of {result.n_targets} points" for result in results[:2]]
    assert [line.split(" · ")[:3] for line in lines] == [[f"page {i + 1}", "4 of 4 codes", n_points[i]] for i in (0, 1)]
    assert all("expected error 0." in line for line in lines)
    assert "table.jpg" in texts and any(text.startswith("page 3 not used · the same page") for text in texts)
    assert _strips(overlay) == [DARK, GREEN, RED]


@pytest.mark.parametrize("reason", DISCARD_REASONS)
def test_a_photo_that_cannot_be_used_says_why_in_red(printed: tuple, texts: list[str], reason: str) -> None:
    failure = Failure(reason, "some detail", 1, 1)
    overlay = draw_overlay(np.full((1300, 1700, 3), 200, np.uint8), [failure], printed[0])
    assert DISCARD_REASONS[reason] in " ".join(texts) and "some detail" in " ".join(texts)
    assert _strips(overlay) == [RED]


def test_codes_of_others_are_amber(printed: tuple, texts: list[str]) -> None:
    photo = _foreign()
    overlay = draw_overlay(photo, register(photo, printed[0]), printed[0])
    assert "https://example.org" in texts
    assert (np.abs(overlay.astype(int) - AMBER).max(axis=2) <= 3).any()


def _foreign() -> np.ndarray:
    code = qrcode.QRCode(border=4, box_size=6)
    code.add_data("https://example.org")
    code.make()
    light = ~np.kron(np.array(code.get_matrix()), np.ones((6, 6), bool))
    return np.repeat(light.astype(np.uint8)[..., None] * 255, 3, axis=2)


def _blurred(sigma_px: float) -> object:
    return lambda part: cv2.GaussianBlur(part, (0, 0), sigma_px)


def _half_hidden(part: np.ndarray) -> np.ndarray:
    part = part.copy()
    part[:, : part.shape[1] // 2] = 110
    return part


def _blob(part: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: part.shape[0], : part.shape[1]] / part.shape[0] - 0.55
    return np.clip(part + 600 * np.exp(-(x**2 + y**2) / 0.15)[..., None], 0, 255).astype(np.uint8)


TROUBLES = {
    "white light": ("in glare", 255),
    "lamp's reflection": ("in glare", _blob),
    "washed out": ("in glare", lambda part: 249 + part // 50),
    "shadow": ("in shadow", lambda part: part // 8),
    "brown mug": ("covered", (150, 90, 60)),
    "finger over half": ("covered", _half_hidden),
    "noise": ("covered", lambda part: np.random.default_rng(0).integers(0, 256, part.shape, dtype=np.uint8)),
    "out of focus": ("blurred", _blurred(4.0)),
    "far out of focus": ("blurred", _blurred(9.0)),
    "torn": ("out of its place", lambda part: np.roll(part, 8, axis=1)),
    "faint": ("faint", lambda part: (part * 0.2 + 120).astype(np.uint8)),
}


@pytest.mark.parametrize("name", TROUBLES)
@pytest.mark.parametrize("corner", ["TL", "BR"])
def test_the_reason_for_a_missing_code_is_seen(printed: tuple, found: Registration, name: str, corner: str) -> None:
    trouble, change = TROUBLES[name]
    code = _code(printed[0], corner)
    grey = cv2.cvtColor(_with(printed[1], _around(code, 3.0), change), cv2.COLOR_RGB2GRAY)
    assert code_trouble(grey, found.page_map, code) == trouble


@pytest.mark.parametrize(("step", "trouble"), [(2, "too small"), (1, "faint")])
def test_a_code_with_too_few_pixels_is_too_small(printed: tuple, found: Registration, step: int, trouble: str) -> None:
    small = cv2.resize(cv2.cvtColor(printed[1], cv2.COLOR_RGB2GRAY), None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA)
    scaled = np.diag([1 / step, 1 / step, 1]) @ found.page_map.homography
    page_map = PageMap(found.page_map.width_mm, found.page_map.height_mm, scaled)
    assert code_trouble(small, page_map, _code(printed[0], "TL")) == trouble


def _bottom_right_in_glare(photo: np.ndarray, printout: Printout) -> np.ndarray:
    return _with(photo, _around(_code(printout, "BR"), 3.0), 255)


PHOTOS = {
    "nothing wrong": (lambda photo, printout: photo, ""),
    "glare": (
        _bottom_right_in_glare,
        "bottom-right code in glare: photograph again without flash, lamp from the side",
    ),
    "cut off at the bottom": (
        lambda photo, printout: photo[: len(photo) * 4 // 5],
        "the page is cut off at the bottom: step back so that all four codes are in the picture",
    ),
    "cut off, turned": (
        lambda photo, printout: np.ascontiguousarray(np.rot90(photo[: len(photo) * 4 // 5])),
        "the page is cut off on the right: step back so that all four codes are in the picture",
    ),
    "two troubles": (
        lambda photo, printout: _with(
            _bottom_right_in_glare(photo, printout), _around(_code(printout, "TL"), 3.0), (150, 90, 60)
        ),
        "top-left code covered: take away what lies on it; "
        "bottom-right code in glare: photograph again without flash, lamp from the side",
    ),
    "too blurred": (lambda photo, printout: cv2.GaussianBlur(photo, (0, 0), 10), "too blurred: tap on the paper to focus"),
    "too dark": (lambda photo, printout: photo // 8 * 0 + 9, "too dark: more light, tap on the paper to set the exposure"),
    "no page": (
        lambda photo, printout: np.kron(np.eye(20, dtype=np.uint8), np.full((40, 40), 180, np.uint8))[..., None].repeat(3, 2),
        "no code found: is the page in the picture, sharp and well lit?",
    ),
    "mirrored": (
        lambda photo, printout: np.ascontiguousarray(photo[:, ::-1]),
        "mirrored: switch off the selfie camera's mirroring, or print without mirroring",
    ),
    "negative": (
        lambda photo, printout: 255 - photo,
        "a negative (colours inverted): switch off inverted colours, or save the scan as a positive",
    ),
    "negative and mirrored": (
        lambda photo, printout: np.ascontiguousarray(255 - photo[:, ::-1]),
        "a negative (colours inverted): switch off inverted colours, or save the scan as a positive",
    ),
    "foreign": (
        lambda photo, printout: _foreign(),
        "only codes of other makers are in the picture: photograph a page of this printout",
    ),
    "twice": (
        lambda photo, printout: np.concatenate([photo, photo], axis=1),
        "the same page is in the picture twice: photograph one copy",
    ),
    "one corner": (
        lambda photo, printout: photo[: len(photo) // 6, : photo.shape[1] // 4],
        "the page is cut off on the right and at the bottom: step back so that all four codes are in the picture",
    ),
}


@pytest.mark.parametrize("name", PHOTOS)
def test_advice_says_what_is_wrong_and_what_to_do(printed: tuple, name: str) -> None:
    make, advice = PHOTOS[name]
    photo = np.ascontiguousarray(make(printed[1], printed[0])).astype(np.uint8)
    (result,) = register(photo, printed[0])
    assert photo_advice(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), result, printed[0]) == advice


def test_a_code_that_was_read_is_never_called_faint(printed: tuple, found: Registration) -> None:
    codes = {corner: code for corner, code in found.codes.items() if corner != "TR"}
    unused = dataclasses.replace(found, codes=codes)
    advice = photo_advice(cv2.cvtColor(printed[1], cv2.COLOR_RGB2GRAY), unused, printed[0])
    assert advice == "top-right code out of its place: is the page torn or folded there? lay it flat"


def test_codes_of_another_run_name_the_file_to_print(printed: tuple) -> None:
    printout, photo = printed[:2]
    codes = tuple(dataclasses.replace(f, payload=encode_payload("ZZZZZ", f.page, f.corner)) for f in printout.fiducials)
    other = dataclasses.replace(printout, run="mine", run_code="ZZZZZ", fiducials=codes)
    (result,) = register(photo, other)
    advice = photo_advice(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), result, other)
    assert "print printouts/mine/printout.pdf again" in advice


def test_a_strict_run_names_the_codes_that_were_not_read(printed: tuple, found: Registration) -> None:
    detections = tuple(d for d in found.detections if not d.text.endswith(_code(printed[0], "TR").payload[-4:]))
    failure = Failure("missing-code", "page 1: not read: TR", 1, 3, detections)
    advice = photo_advice(cv2.cvtColor(printed[1], cv2.COLOR_RGB2GRAY), failure, printed[0])
    assert advice == "top-right code not read: photograph again with all four in the picture, sharp and evenly lit"


def test_a_page_without_aids_needs_more_than_one_code() -> None:
    pairs = [PrintPair("p", "0/clean", "0/adversarial", N_PX, N_PX)]
    printout = arrange(pairs, run="r", run_code="BARE2", aids=False)
    photo = _seen(render_page(build_pdf(printout, _image, {}, Instructions("photos/", "my.toml")), 1, 150))
    for corner in ("TL", "TR", "BR"):
        photo = _with(photo, _around(_code(printout, corner), 2.5), (150, 90, 60))
    (result,) = register(photo, printout)
    assert isinstance(result, Failure) and result.reason == "unregistered"
    assert photo_advice(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), result, printout) == (
        "top-left and top-right and bottom-right codes not found: all four codes in the picture, sharp and evenly lit"
    )


def test_a_page_whose_codes_disagree_is_to_be_laid_flat(printed: tuple, found: Registration) -> None:
    failure = Failure("unregistered", "its printed points disagree by 3.0 mm", 1, 4, found.detections)
    assert "lay the page flat" in photo_advice(cv2.cvtColor(printed[1], cv2.COLOR_RGB2GRAY), failure, printed[0])


def test_every_flag_has_advice(subtests: pytest.Subtests) -> None:
    for flag in CROP_FLAGS:
        with subtests.test(flag=flag):
            assert quality_advice([flag])


def test_advice_on_several_flags_says_each_thing_once() -> None:
    assert quality_advice([]) == ""
    assert quality_advice(["noisy", "coarse", "soft"]) == (
        "tap on the paper to focus, go closer or print fewer pairs a page, more light"
    )


def _capture(capture_id: str, page: int | None, counts: bool, trouble: str = "") -> Capture:
    return Capture(
        capture_id, f"{capture_id}.jpg", "", "", "", "", "camera", 1, 1, page, 4, 40, 0.1, None, (), 0.0, "", trouble, counts
    )


def test_pages_to_do_are_those_without_a_counted_photo_or_with_flagged_crops(printed: tuple) -> None:
    printout = dataclasses.replace(printed[0], n_pages=6)
    captures = [
        _capture("a", 1, True),
        _capture("b", 2, True),
        _capture("old", 2, False),
        _capture("c", 3, False, "mirrored: switch it off"),
        _capture("d", None, False),
        _capture("e-1.40s-p5", 5, True),
    ]
    soft, dark = dataclasses.replace(GOOD, flags=("soft",)), dataclasses.replace(GOOD, flags=("soft", "dark"))
    rows = [(GOOD, "x/p0/clean/photo-a"), (GOOD, "x/p0/adversarial/photo-a")]
    rows += [
        (soft, "p1/clean/photo-b"),
        (dark, "p1/adversarial/photo-b"),
        (GOOD, "p2/clean/photo-b"),
        (soft, "p1/clean/photo-old"),
    ]
    rows += [(GOOD, "p3/clean/photo-e-1.40s-p5")]
    quality = [dataclasses.replace(row, view_id=view_id) for row, view_id in rows]
    discards = [
        Discard("c.jpg", "c", 3, "", "", "mirrored", "page 3"),
        Discard("old.jpg", "old", 2, "", "", "superseded", ""),
        Discard("e.mp4", "e-1.40s-p5", 5, "p3", "adversarial", "outside", ""),
    ]
    assert pages_to_do(printout, captures, discards, quality) == [
        (
            2,
            "2 of 3 images soft, 1 of 3 images dark: tap on the paper to focus, more light, tap on the paper to set the exposure",
        ),
        (3, "c.jpg is not used: mirrored: switch it off"),
        (4, "not in any photo, d.jpg shows no page of this run"),
        (5, "1 of 2 images outside the photo: all of the page in the picture"),
        (6, "not in any photo, d.jpg shows no page of this run"),
    ]
    assert photo_lines(captures, [*discards, Discard("two.jpg", "", None, "", "", "duplicate", "a.jpg")], quality) == [
        ("a.jpg", "page 1, nothing wrong"),
        ("b.jpg", f"page 2, {pages_to_do(printout, captures, discards, quality)[0][1]}"),
        ("c.jpg", "not used, mirrored: switch it off"),
        ("d.jpg", "not used, nothing was found in it"),
        ("e-1.40s-p5.jpg", "page 5, 1 of 2 images outside the photo: all of the page in the picture"),
        ("old.jpg", "page 2, 1 of 1 images soft: tap on the paper to focus; a better photo of the same page is used"),
        ("two.jpg", "not used, the same file was already used (a.jpg)"),
    ]


def _row(i: int, side: int, missing: tuple[int, ...] = ()) -> ContactRow:
    rng = np.random.default_rng(i)
    images = tuple(None if k in missing else rng.integers(0, 200, (side, side, 3), dtype=np.uint8) for k in range(4))
    return ContactRow(f"pair {i}", images, tuple("outside the photo" if k in missing else f"words {i} {k}" for k in range(4)))


def _holds(sheet: np.ndarray, image: np.ndarray) -> bool:
    scores = cv2.matchTemplate(sheet, image, cv2.TM_SQDIFF)
    _, _, (x, y), _ = cv2.minMaxLoc(scores)
    return bool((sheet[y : y + len(image), x : x + image.shape[1]] == image).all())


@pytest.mark.parametrize(("side", "factor"), [(32, 7), (128, 1), (224, 1), (299, 1)])
def test_small_images_are_shown_pixel_by_pixel(side: int, factor: int) -> None:
    row = _row(0, side)
    (sheet,) = draw_contact_sheets([row, _row(1, side)], "run")
    for image in row.images:
        assert _holds(sheet, image.repeat(factor, axis=0).repeat(factor, axis=1))


def test_large_images_are_averaged() -> None:
    row = _row(0, 512)
    (sheet,) = draw_contact_sheets([row], "run")
    mean = np.rint(row.images[0].reshape(256, 2, 256, 2, 3).mean(axis=(1, 3)) - 1e-9)
    block = sheet[_first_row_of(sheet, 256) :][:256, 24 : 24 + 256]
    assert np.abs(block.astype(int) - mean).max() <= 1


def _first_row_of(sheet: np.ndarray, side: int) -> int:
    return next(y for y in range(len(sheet)) if (sheet[y, 24 : 24 + side] < 230).any(axis=1).mean() > 0.98 and y > 78)


@pytest.mark.parametrize(
    ("n_rows", "side", "n_sheets"),
    [(0, 32, 0), (1, 32, 1), (7, 224, 1), (12, 32, 1), (13, 32, 2), (17, 224, 2), (36, 128, 2), (9, 299, 2)],
)
def test_every_row_is_on_one_sheet(texts: list[str], n_rows: int, side: int, n_sheets: int) -> None:
    sheets = list(draw_contact_sheets([_row(i, side) for i in range(n_rows)], "my run"))
    assert len(sheets) == n_sheets
    assert [text for text in texts if text.startswith("sheet ")] == [f"sheet {i + 1} of {n_sheets}" for i in range(n_sheets)]
    assert sorted(text for text in texts if text.startswith("pair ")) == sorted(f"pair {i}" for i in range(n_rows))
    assert all(sheet.shape[0] <= 2000 and sheet.shape[1] <= 2000 and sheet.dtype == np.uint8 for sheet in sheets)


def test_a_missing_crop_is_a_grey_box_with_its_reason(texts: list[str]) -> None:
    whole, lacking = (next(draw_contact_sheets([_row(0, 64, missing)], "run")) for missing in ((), (1, 3)))
    assert texts.count("outside the photo") == 2
    boxes = [(sheet == (214, 216, 220)).all(axis=2).sum() for sheet in (whole, lacking)]
    assert boxes[1] - boxes[0] > 2 * 0.8 * 192**2
    empty = next(draw_contact_sheets([ContactRow("t", (None,) * 4, ("not captured",) * 4)], "run"))
    assert empty.shape[2] == 3


TEXT = "soft, clipped · ±0.40 px · MTF50 0.31"


@pytest.mark.parametrize(
    ("room_px", "text"),
    [(500, TEXT), (200, "soft, clipped · ±0.40 px"), (110, "soft, clipped"), (50, "soft,..."), (5, "")],
)
def test_words_are_shortened_by_whole_parts_first(room_px: float, text: str) -> None:
    assert shortened(TEXT, font(16), room_px) == text
    assert font(16).getlength(text) <= room_px


@pytest.mark.parametrize(("room_px", "n_lines"), [(1000, 1), (150, 3), (60, 4)])
def test_wrapped_lines_fit_and_keep_the_order(room_px: float, n_lines: int) -> None:
    text = "step back so that all four codes are in the picture"
    lines = wrapped(text, font(16), room_px, 4)
    assert len(lines) == n_lines and all(font(16).getlength(line) <= room_px for line in lines)
    assert text.startswith(lines[0]) and (n_lines == 4 or " ".join(lines) == text)


def test_letters_side_by_side_look_as_the_font_writes_them() -> None:
    drawn = Image.new("RGB", (letters(16).getlength(TEXT), 22), AMBER)
    ImageDraw.Draw(drawn).text((0, 1), TEXT, font=font(16), fill=(255, 255, 255))
    seen = letters(16).written(TEXT, (255, 255, 255), AMBER)
    assert abs(letters(16).getlength(TEXT) - font(16).getlength(TEXT)) <= 0.02 * font(16).getlength(TEXT)
    assert np.corrcoef(seen.ravel(), np.asarray(drawn).ravel())[0, 1] > 0.98


def test_letters_that_the_sheets_font_lacks_are_written_out() -> None:
    shown = [shortened(text, font(14), 900.0) for text in ("plain", "\u732b/IMG \u00e9.jpg", "a\u0301")]
    assert shown == ["plain", "U+732B /IMG e.jpg", "a"]
    assert wrapped("\u732b one two", font(14), 900.0, 2) == ["U+732B  one two"]
