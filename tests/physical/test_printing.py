"""The printable pages: true size, whole dots, nothing lost, nothing overlapping, the same bytes every time."""

import dataclasses
import io
import re
import weakref
import zlib
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pypdfium2
import pytest
from kept_files import write_table
from PIL import Image, ImageCms

from pipeline.core.errors import WrongUse
from pipeline.engine import Context
from pipeline.images import png_bytes
from pipeline.physical.fiducials.codes import QUIET_MODULES, decode_payload, modules
from pipeline.physical.printing.arrangement import PAPERS, PrintPair, arrange
from pipeline.physical.printing.document import build_pdf, caption_text, page_file, page_raster, render_page, screen_html
from pipeline.physical.printing.furniture import furniture
from pipeline.physical.printing.instructions import Instructions
from pipeline.records import CORNERS, Candidate, Pair, Printout
from pipeline.settings import LayoutSettings
from pipeline.stages.layout import layout
from pipeline.store import Run, write_bytes
from pipeline.store.artefacts import LAYOUT

SHEET = Instructions("captures/signs/photos/", "signs.toml", {("fgsm", 4): 2, ("bim", 16): 1})


def _pairs(n: int, width_px: int = 96, height_px: int = 96) -> list[PrintPair]:
    return [PrintPair(f"p{i}", f"{i}/clean.png", f"{i}/adversarial.png", width_px, height_px) for i in range(n)]


def _printout(n: int = 4, width_px: int = 96, height_px: int = 96, **settings: object) -> Printout:
    return arrange(_pairs(n, width_px, height_px), run="signs", run_code="K7QXM", **settings)


def _image(path: str, width_px: int = 96, height_px: int = 96) -> np.ndarray:
    seed = 2 * int(path.split("/")[0]) + ("clean" in path)
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def _pdf(printout: Printout, width_px: int = 96, height_px: int = 96) -> bytes:
    captions = {(p.pair_id, p.variant): f"{p.variant} · stop · {p.pair_id}" for p in printout.placements}
    return build_pdf(printout, lambda path: _image(path, width_px, height_px), captions, SHEET)


def test_an_image_is_loaded_once_when_it_is_written_and_none_is_held() -> None:
    printout, loaded, held = _printout(9), [], []

    def load(path: str) -> np.ndarray:
        pixels = _image(path)
        held.append(sum(image() is not None for image in (found for _, found in loaded)))
        loaded.append((path, weakref.ref(pixels)))
        return pixels

    build_pdf(printout, load, {}, SHEET)
    assert sorted(path for path, _ in loaded) == sorted({p.path for p in printout.placements}) and max(held) <= 1


def test_the_pdf_says_that_its_colours_are_srgb() -> None:
    content = _pdf(_printout(1))
    intent = re.search(rb"/OutputIntents \[ <<\s*/DestOutputProfile (\d+) 0 R", content)
    assert intent
    stored = re.search(rb"\n%s 0 obj.*?stream\r?\n(.*?)endstream" % intent[1], content, re.DOTALL)
    assert stored
    colours = np.random.default_rng(1).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    srgb = ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(Image.fromarray(colours), io.BytesIO(zlib.decompress(stored[1])), srgb)
    assert np.abs(np.asarray(shown, int) - colours).max() <= 1


def _boxes(printout: Printout, page: int) -> dict[str, tuple[float, float, float, float, float]]:
    """Left, top, right, bottom in mm of all that page `page` carries, and the white that it needs around it."""
    places = furniture(printout, page)
    bare = {
        "header": places.header,
        "bar": places.scale_bar,
        **{f"text {c}": b for c, b in places.payloads.items()},
        **{f"caption {key}": box for key, box in places.captions.items()},
        **{f"{p.pair_id} {p.variant}": (p.x_mm, p.y_mm, p.width_mm, p.height_mm) for p in printout.placements if p.page == page},
        **{f"patch {i}": (p.x_mm, p.y_mm, p.width_mm, p.height_mm) for i, p in enumerate(printout.patches) if p.page == page},
    }
    boxes = {name: (x, y, x + width, y + height, 0.0) for name, (x, y, width, height) in bare.items()}
    squares = [(f"code {f.corner}", f, QUIET_MODULES * printout.module_mm) for f in printout.fiducials]
    squares += [(f"tag {t.corner}", t, t.size_mm / 8) for t in printout.tags]
    for name, square, white in squares:
        if square.page == page:
            x, y, size = square.x_mm, square.y_mm, square.size_mm
            boxes[name] = (x, y, x + size, y + size, white)
    for index, mark in enumerate(printout.marks):
        if mark.page == page:
            x, y, half = mark.x_mm, mark.y_mm, mark.size_mm / 2
            boxes[f"mark {index}"] = (x - half, y - half, x + half, y + half, 0.5)
    return boxes


def _assert_apart_and_within(printout: Printout, page: int, margin_mm: float = 10.0) -> None:
    boxes = _boxes(printout, page)
    left, top, right, bottom, white = np.array(list(boxes.values())).T
    assert min(left.min(), top.min()) >= margin_mm - 1e-3
    assert right.max() <= printout.page_width_mm - margin_mm + 1e-3
    assert bottom.max() <= printout.page_height_mm - margin_mm + 1e-3
    # each keeps its own white free of the others' ink
    near = (left[:, None] - white[:, None] < right - 1e-6) & (left < right[:, None] + white[:, None] - 1e-6)
    near &= (top[:, None] - white[:, None] < bottom - 1e-6) & (top < bottom[:, None] + white[:, None] - 1e-6)
    np.fill_diagonal(near, False)
    names = list(boxes)
    assert not near.any(), [(names[i], names[j]) for i, j in np.argwhere(near)]


LAYOUTS = [(paper, orientation, n) for paper in PAPERS for orientation in ("portrait", "landscape") for n in (1, 2, 3, 6, 12)]
USUAL = [
    (paper, orientation, n, px)
    for paper in ("A4", "Letter")
    for orientation in ("portrait", "landscape")
    for n, px in ((1, 112), (3, 32), (6, 112), (12, 32))
]


def test_nothing_overlaps_and_nothing_is_nearer_than_10_mm_to_the_edge(subtests: pytest.Subtests) -> None:
    for (paper, orientation, n), (width_px, height_px) in zip(LAYOUTS, cycle([(224, 224), (299, 299), (160, 96)]), strict=False):
        with subtests.test(paper=paper, orientation=orientation, n=n, width_px=width_px, height_px=height_px):
            printout = _printout(n + 1, width_px, height_px, paper=paper, orientation=orientation, pairs_per_page=n)
            assert printout.n_pages == 2
            for page in (1, 2):
                _assert_apart_and_within(printout, page)


def test_usual_pages_carry_all_aids_that_leave_the_images_where_they_were(subtests: pytest.Subtests) -> None:
    for paper, orientation, n, px in USUAL:
        with subtests.test(paper=paper, orientation=orientation, n=n, px=px):
            printout = _printout(n, px, px, paper=paper, orientation=orientation, pairs_per_page=n)
            _assert_apart_and_within(printout, 1)
            bare = _printout(n, px, px, paper=paper, orientation=orientation, pairs_per_page=n, aids=False)
            assert dataclasses.replace(printout, tags=(), marks=(), patches=()) == bare
            assert [tag.corner for tag in printout.tags] == list(CORNERS)
            assert len(printout.patches) == 13
            assert 12 <= len(printout.marks) <= 24
            known = np.array([(m.x_mm, m.y_mm) for m in printout.marks])
            between = np.linalg.norm(known[:, None] - known, axis=2)[~np.eye(len(known), dtype=bool)]
            assert between.min() >= 25


@pytest.mark.parametrize(
    ("paper", "orientation", "n", "px", "farthest_mm"),
    [
        ("A4", "portrait", 3, 224, 48),
        ("A4", "portrait", 3, 299, 48),
        ("A4", "portrait", 6, 112, 40),
        ("Letter", "portrait", 3, 224, 48),
        ("Letter", "portrait", 3, 299, 48),
        ("A4", "landscape", 3, 224, 48),
    ],
)
def test_no_image_point_is_far_from_a_printed_one(paper: str, orientation: str, n: int, px: int, farthest_mm: float) -> None:
    printout = _printout(n, px, px, paper=paper, orientation=orientation, pairs_per_page=n)
    known = [(mark.x_mm, mark.y_mm) for mark in printout.marks]
    known += [(code.x_mm + code.size_mm / 2, code.y_mm + code.size_mm / 2) for code in (*printout.fiducials, *printout.tags)]
    step = np.linspace(0, 1, 15)
    for p in printout.placements:
        x, y = np.meshgrid(p.x_mm + step * p.width_mm, p.y_mm + step * p.height_mm)
        apart = np.hypot(*(axis.ravel()[:, None] - np.array(known)[:, i] for i, axis in enumerate((x, y))))
        assert apart.min(axis=1).max() <= farthest_mm


@pytest.mark.parametrize(
    ("dpi", "width_px", "n"), [(600, 224, 3), (600, 299, 3), (600, 96, 6), (300, 96, 1), (1200, 128, 2), (720, 96, 3)]
)
def test_every_edge_lies_on_a_printer_dot_and_every_pixel_is_whole_dots(dpi: int, width_px: int, n: int) -> None:
    printout = _printout(n, width_px, width_px, dpi=dpi, pairs_per_page=n)
    lengths = [length for p in printout.placements for length in (p.x_mm, p.y_mm, p.width_mm, p.height_mm, p.width_mm / width_px)]
    lengths += [length for f in printout.fiducials for length in (f.x_mm, f.y_mm, f.size_mm, f.size_mm / 21)]
    lengths += [length for tag in printout.tags for length in (tag.x_mm, tag.y_mm, tag.size_mm / 8)]
    lengths += [length for mark in printout.marks for length in (mark.x_mm, mark.y_mm, mark.size_mm / 2)]
    lengths += [length for patch in printout.patches for length in (patch.x_mm, patch.y_mm, patch.width_mm, patch.height_mm)]
    dots = np.array([*lengths, printout.page_width_mm, printout.page_height_mm, printout.module_mm]) * dpi / 25.4
    assert np.abs(dots - np.rint(dots)).max() < 1e-6


def test_images_are_as_large_as_whole_dots_allow(subtests: pytest.Subtests) -> None:
    for paper, orientation, n, px, image_mm in [
        ("A4", "portrait", 1, 224, 85.34),
        ("A4", "portrait", 3, 112, 75.86),
        ("A4", "portrait", 3, 224, 75.86),
        ("A4", "portrait", 3, 299, 75.95),
        ("A4", "portrait", 6, 112, 42.67),
        ("A4", "portrait", 12, 32, 36.58),
        ("A4", "landscape", 1, 224, 132.76),
        ("A4", "landscape", 3, 224, 66.38),
        ("Letter", "portrait", 1, 299, 88.60),
        ("Letter", "portrait", 3, 224, 75.86),
        ("Letter", "portrait", 6, 112, 42.67),
        ("Letter", "landscape", 6, 299, 50.63),
    ]:
        with subtests.test(paper=paper, orientation=orientation, n=n, px=px, image_mm=image_mm):
            printout = _printout(n, px, px, paper=paper, orientation=orientation, pairs_per_page=n)
            assert printout.placements[0].width_mm == pytest.approx(image_mm, abs=0.01)


def test_pairs_keep_their_order_with_the_adversarial_image_right_beside_the_clean_one() -> None:
    printout = _printout(5, pairs_per_page=2)
    assert [p.page for p in printout.placements] == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]
    for i, (clean, adversarial) in enumerate(zip(printout.placements[::2], printout.placements[1::2], strict=True)):
        assert (clean.pair_id, clean.variant, clean.path) == (f"p{i}", "clean", f"{i}/clean.png")
        assert (adversarial.pair_id, adversarial.variant, adversarial.path) == (f"p{i}", "adversarial", f"{i}/adversarial.png")
        assert adversarial.y_mm == clean.y_mm
        assert 2 <= adversarial.x_mm - clean.x_mm - clean.width_mm <= 5.1


def test_every_page_has_four_codes_that_say_so() -> None:
    printout = _printout(3, pairs_per_page=1)
    said = [decode_payload(f.payload) for f in printout.fiducials]
    expected = [("K7QXM", page, corner) for page in (1, 2, 3) for corner in ("TL", "TR", "BR", "BL")]
    assert [(p.run_code, p.page, p.corner) for p in said] == expected
    assert [(f.page, f.corner) for f in printout.fiducials] == [(p.page, p.corner) for p in said]


def test_a_size_in_mm_replaces_the_number_of_pairs() -> None:
    small, large = _printout(30, image_mm=30), _printout(30, image_mm=60)
    assert small.placements[0].width_mm == pytest.approx(30, abs=2.1)
    assert large.placements[0].width_mm == pytest.approx(60, abs=2.1)
    assert small.n_pages < large.n_pages


@pytest.mark.parametrize(
    ("settings", "differs"),
    [
        ({"paper": "Letter"}, "page_width_mm"),
        ({"orientation": "landscape"}, "page_width_mm"),
        ({"pairs_per_page": 2}, "placements"),
        ({"image_mm": 30.0}, "placements"),
        ({"dpi": 300}, "placements"),
        ({"aids": False}, "marks"),
        ({"medium": "screen"}, "dpi"),
    ],
)
def test_every_setting_changes_the_pages(settings: dict[str, object], differs: str) -> None:
    assert getattr(_printout(4, 130, 130, **settings), differs) != getattr(_printout(4, 130, 130), differs)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"paper": "B4"}, "A4"),
        ({"orientation": "square"}, "landscape"),
        ({"pairs_per_page": -1}, "pairs_per_page"),
        ({"image_mm": 120.0}, r"largest that fit are \d+\.\d mm"),
        ({"pairs_per_page": 500}, r"At most \d+ fit"),
        ({"dpi": 72}, "600"),
    ],
)
def test_a_layout_that_cannot_be_is_refused_with_what_can(settings: dict[str, object], words: str) -> None:
    with pytest.raises(WrongUse, match=words):
        _printout(4, **settings)


def test_the_largest_size_that_is_offered_does_fit() -> None:
    with pytest.raises(WrongUse) as refusal:
        _printout(4, image_mm=200)
    offered = float(re.search(r"([\d.]+) mm", refusal.value.hint)[1])
    assert _printout(4, image_mm=offered).placements[0].width_mm == pytest.approx(offered, abs=0.1)


def test_nothing_to_print_is_refused() -> None:
    with pytest.raises(WrongUse, match="no pair"):
        _printout(0)


def _assert_exact(raster: np.ndarray, printout: Printout, page: int, to_dots: float, width_px: int, height_px: int) -> None:
    def shown(x_mm: float, y_mm: float, ideal: np.ndarray, border: int) -> bool:
        height, width = (side - border for side in ideal.shape[:2])
        x, y = round(x_mm * to_dots), round(y_mm * to_dots)
        return bool((raster[y - border : y + height, x - border : x + width] == ideal).all())

    def blown_up(dark: np.ndarray, dots: int) -> np.ndarray:
        return np.kron(~dark, np.ones((dots, dots), bool))[..., None] * np.full(3, 255, np.uint8)

    for p in (p for p in printout.placements if p.page == page):
        k = p.width_mm * to_dots / width_px
        assert k == pytest.approx(round(k), abs=1e-6)
        image = np.kron(_image(p.path, width_px, height_px), np.ones((round(k), round(k), 1), np.uint8))
        assert shown(p.x_mm, p.y_mm, np.pad(image, ((1, 1), (1, 1), (0, 0)), constant_values=255), 1)
    for f in (f for f in printout.fiducials if f.page == page):
        k = round(f.size_mm * to_dots / 21)
        assert shown(f.x_mm, f.y_mm, blown_up(np.pad(modules(f.payload), 4), k), 4 * k)
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    for tag in (tag for tag in printout.tags if tag.page == page):
        assert tag.tag_id == 4 * (page - 1) + CORNERS.index(tag.corner)
        k = round(tag.size_mm * to_dots / 8)
        ideal = np.pad(cv2.aruco.generateImageMarker(family, tag.tag_id, 8 * k) == 0, k)
        assert shown(tag.x_mm, tag.y_mm, blown_up(ideal, 1), k)
    for mark in (mark for mark in printout.marks if mark.page == page):
        k, white = round(mark.size_mm / 2 * to_dots), int(0.45 * to_dots)
        ideal = np.pad(np.kron(np.eye(2, dtype=bool), np.ones((k, k), bool)), white)
        assert shown(mark.x_mm - mark.size_mm / 2, mark.y_mm - mark.size_mm / 2, blown_up(ideal, 1), white)
    for patch in (patch for patch in printout.patches if patch.page == page):
        sides = round(patch.height_mm * to_dots) - 2, round(patch.width_mm * to_dots) - 2
        colour = np.full((*sides, 3), (patch.red, patch.green, patch.blue), np.uint8)
        assert shown(patch.x_mm + 1 / to_dots, patch.y_mm + 1 / to_dots, colour, 0)


@pytest.mark.parametrize(
    ("paper", "orientation", "width_px", "height_px", "dpi"),
    [
        ("A4", "portrait", 96, 96, 600),
        ("A4", "landscape", 64, 64, 300),
        ("Letter", "landscape", 75, 51, 600),
        ("A5", "portrait", 64, 64, 300),
    ],
)
def test_the_raster_shows_every_pixel_and_every_module_exactly(
    paper: str, orientation: str, width_px: int, height_px: int, dpi: int
) -> None:
    printout = _printout(4, width_px, height_px, paper=paper, orientation=orientation, pairs_per_page=3, dpi=dpi)
    pdf = _pdf(printout, width_px, height_px)
    raster = render_page(pdf, 2, dpi, sharp=True)
    to_dots = dpi / 25.4
    assert printout.tags and printout.marks and printout.patches
    assert raster.shape == (round(printout.page_height_mm * to_dots), round(printout.page_width_mm * to_dots), 3)
    _assert_exact(raster, printout, 2, to_dots, width_px, height_px)
    for page in (0, 1, 2):
        small = render_page(pdf, page, 150)
        small[58:-58, 58:-58] = 255
        assert (small == 255).all(), "ink within 10 mm of the edge"


def test_the_scale_bar_is_100_mm_long() -> None:
    printout = _printout(1)
    raster = render_page(_pdf(printout), 1, 600)
    bar = furniture(printout, 1).scale_bar
    first = round((bar.x_mm - 2) * 600 / 25.4)
    row = raster[round((bar.y_mm + 2.35) * 600 / 25.4), first : round((bar.x_mm + 102) * 600 / 25.4), 0]
    dark = np.flatnonzero(row < 128)
    assert (dark[-1] - dark[0] + 1) / 600 * 25.4 == pytest.approx(100, abs=0.05)


def test_the_same_input_gives_the_same_bytes() -> None:
    assert _pdf(_printout()) == _pdf(_printout())


def test_images_are_embedded_bit_for_bit_and_without_interpolation() -> None:
    printout = _printout(2, 60, 40)
    pdf = _pdf(printout, 60, 40)
    expected = {_image(p.path, 60, 40).tobytes() for p in printout.placements}
    embedded = set()
    with pypdfium2.PdfDocument(pdf) as document:
        for page in document:
            for item in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]):
                assert "DCTDecode" not in item.get_filters()
                embedded.add(bytes(item.get_data(decode_simple=True)))
    assert embedded == expected
    assert b"/Interpolate true" not in pdf


def test_the_document_says_do_not_scale_and_what_it_is() -> None:
    pdf = _pdf(_printout())
    assert b"/PrintScaling /None" in pdf
    with pypdfium2.PdfDocument(pdf) as document:
        facts = document.get_metadata_dict()
        words = document[0].get_textpage().get_text_bounded() + document[1].get_textpage().get_text_bounded()
        assert len(document) == 1 + _printout().n_pages
    assert facts["Title"] == "inkproof printout signs (K7QXM)" and facts["Author"] == "inkproof"
    for phrase in ("captures/signs/photos/", "serve signs.toml", "run signs.toml", "100 mm", "page 1 of 2", "fgsm", "p0"):
        assert phrase in words


def test_an_image_of_another_size_than_its_place_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        _pdf(_printout(1, 96, 96), 95, 96)


def test_any_text_in_a_caption_is_drawn_within_its_image() -> None:
    printout = _printout(1, 96, 96, pairs_per_page=1, image_mm=20)
    captions = {("p0", "clean"): "clean · " + "a very long label " * 9, ("p0", "adversarial"): "日本 & <b> · ε ∞ · é"}
    pdf = build_pdf(printout, _image, captions, SHEET)
    raster = render_page(pdf, 1, 300)
    for box in furniture(printout, 1).captions.values():
        edges_mm = box.x_mm, box.y_mm, box.x_mm + box.width_mm, box.y_mm + box.height_mm
        left, top, right, bottom = (round(edge * 300 / 25.4) for edge in edges_mm)
        assert (raster[top:bottom, left:right] < 255).any()
        assert (raster[top:bottom, right + 2 : right + 8] == 255).all()


def test_a_caption_names_attack_epsilon_label_and_image() -> None:
    pair = Pair("p", "dog/1", "bim", 16, ("average",), 3, None, "c", "a", 16, 1.0, 0.9, 1, 1)
    assert caption_text(pair, "adversarial", "stop") == "bim ε 16 · stop · dog/1"
    assert caption_text(pair, "clean", "stop") == "clean · stop · dog/1"


def test_the_page_can_be_rendered_from_a_file(tmp_path: object) -> None:
    pdf = _pdf(_printout(1))
    file = tmp_path / "printout.pdf"
    file.write_bytes(io.BytesIO(pdf).read())
    assert (render_page(file, 1, 72) == render_page(pdf, 1, 72)).all()


@pytest.mark.parametrize("orientation", ["portrait", "landscape"])
def test_tags_and_marks_are_seen_where_the_printout_says(orientation: str) -> None:
    printout = _printout(4, 60, 60, orientation=orientation)
    scale = 300 / 25.4
    grey = cv2.cvtColor(render_page(_pdf(printout, 60, 60), 2, 300), cv2.COLOR_RGB2GRAY)
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    quads, ids, _ = cv2.aruco.ArucoDetector(family).detectMarkers(grey)
    seen = {int(tag): quad[0] for tag, quad in zip(ids.ravel(), quads, strict=True)}
    tags = [tag for tag in printout.tags if tag.page == 2]
    assert set(seen) == {tag.tag_id for tag in tags} == {4, 5, 6, 7}
    for tag in tags:
        corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * tag.size_mm + (tag.x_mm, tag.y_mm)
        assert np.abs(seen[tag.tag_id] - (corners * scale - 0.5)).max() < 1.5
        code = next(f for f in printout.fiducials if (f.page, f.corner) == (2, tag.corner))
        assert np.hypot(tag.x_mm - code.x_mm, tag.y_mm - code.y_mm) < 26
    places = np.array([(m.x_mm, m.y_mm) for m in printout.marks if m.page == 2]) * scale - 0.5
    found = np.rint(places + 1.2).astype(np.float32).reshape(-1, 1, 2)
    cv2.cornerSubPix(grey, found, (7, 7), (-1, -1), (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-4))
    assert np.abs(found.reshape(-1, 2) - places).max() < 0.05


def test_tag_ids_start_again_where_the_family_ends() -> None:
    printout = _printout(148, 32, 32, pairs_per_page=1)
    assert [tag.tag_id for tag in printout.tags if tag.page in (146, 147)] == [580, 581, 582, 583, 0, 1, 2, 3]


@pytest.mark.parametrize(("n", "px", "k"), [(1, 112, 7), (3, 112, 3), (3, 224, 1), (6, 112, 2), (12, 32, 6)])
def test_a_screen_shows_every_pixel_on_whole_screen_pixels_within_full_hd(n: int, px: int, k: int) -> None:
    printout = _printout(n, px, px, medium="screen", pairs_per_page=n)
    assert (printout.medium, printout.paper, printout.orientation, printout.dpi) == ("screen", "screen", "landscape", 96)
    scale = 96 / 25.4
    assert printout.placements[0].width_mm * scale / px == pytest.approx(k, abs=1e-6)
    picture = render_page(_pdf(printout, px, px), 1, 96, sharp=True)
    assert picture.shape == (1040, 1920, 3)
    _assert_exact(picture, printout, 1, scale, px, px)
    _assert_apart_and_within(printout, 1)
    html = screen_html(printout)
    assert "width = 1920, height = 1040" in html and "'page-001.png'" in html and "pixelated" in html


@pytest.mark.parametrize(("n", "px", "words"), [(6, 299, "At most 4 fit"), (1, 960, "smaller images")])
def test_images_that_a_screen_cannot_show_pixel_by_pixel_are_refused(n: int, px: int, words: str) -> None:
    with pytest.raises(WrongUse, match=words):
        _printout(n, px, px, medium="screen", pairs_per_page=n)


def _laid_out(workspace: Path, **settings: object) -> tuple[Run, tuple[str, ...]]:
    run = Run(workspace, "signs")
    pairs = [
        Pair(f"p{i}", f"im{i}", "bim", 16, ("average",), 3, None, f"{i}/clean.png", f"{i}/adversarial.png", 16, 1.0, 0.9, 1, 1)
        for i in range(2)
    ]
    write_table(run.printouts / "pairs.parquet", Pair, pairs)
    people = [Candidate(pair.image_id, 3, "stop", "x.png", "", (3,), (1.0,)) for pair in pairs]
    write_table(run.printouts / "candidates.parquet", Candidate, people)
    for pair in pairs:
        for path in (pair.clean_path, pair.adversarial_path):
            write_bytes(run.printouts / path, png_bytes(_image(path, 48, 48)))
    experiment = SimpleNamespace(layout=LayoutSettings(pairs_per_page=1, **settings), file_name="pages.toml")
    return run, layout(experiment, run, Context()).outputs


def test_the_stage_writes_pages_for_the_medium_under_a_code_of_their_own(tmp_path: Path) -> None:
    codes = set()
    for settings in ({}, {"aids": False}, {"medium": "screen"}, {}):
        run, outputs = _laid_out(tmp_path, **settings)
        printout = LAYOUT.read(run)
        codes.add(printout.run_code)
        assert bool(printout.tags and printout.marks and printout.patches) == ("aids" not in settings)
        assert printout.format_version == 2 and len(printout.pdf_sha256) == 64
        assert all((run.printouts / name).is_file() for name in outputs)
        raster = page_raster(page_file(run.printouts, printout, 2), printout, 2, 150)
        if printout.medium == "screen":
            assert set(outputs) == {"screen/page-001.png", "screen/page-002.png", "screen/index.html", "layout.json"}
            assert not (run.printouts / "printout.pdf").exists()
            _assert_exact(raster, printout, 2, 96 / 25.4, 48, 48)
        else:
            assert set(outputs) == {"printout.pdf", "layout.json"}
            assert not list((run.printouts / "screen").glob("*"))
            assert (raster == render_page(run.printouts / "printout.pdf", 2, 150)).all()
    assert len(codes) == 3


@pytest.mark.parametrize(("paper", "orientation"), [("A4", "portrait"), ("A4", "landscape"), ("Letter", "portrait")])
@pytest.mark.parametrize("px", [32, 112, 224, 299])
def test_by_default_a_page_takes_the_most_pairs_that_keep_the_size_of_three(paper, orientation, px):
    three, default = (_printout(40, px, px, paper=paper, orientation=orientation, pairs_per_page=n) for n in (3, 0))
    n_pairs = sum(place.page == 1 for place in default.placements) // 2
    assert default.placements[0].width_mm == three.placements[0].width_mm and n_pairs >= 3
    one_more = _printout(40, px, px, paper=paper, orientation=orientation, pairs_per_page=n_pairs + 1)
    assert one_more.placements[0].width_mm < three.placements[0].width_mm
    assert n_pairs == 4 or orientation == "portrait"
