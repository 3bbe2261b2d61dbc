"""The printable pages: true size, whole dots, nothing lost, nothing overlapping, the same bytes every time."""

import io
import itertools
import re

import numpy as np
import pypdfium2
import pytest

from pipeline.errors import WrongUse
from pipeline.fiducials import QUIET_MODULES, decode_payload, modules
from pipeline.printing import PAPERS, Cell, Instructions, PrintPair, arrange, build_pdf, caption_text, furniture, render_page
from pipeline.records import Pair, Printout

SHEET = Instructions("captures/signs/photos/", "inkproof run signs.toml", (Cell("fgsm", 4, 2), Cell("bim", 16, 1)))


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


def _boxes(printout: Printout, page: int) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right, bottom in mm of all that page `page` carries, codes with their quiet zone towards the page."""
    places = furniture(printout, page)
    named = {
        "header": places.header,
        "bar": places.scale_bar,
        **{f"text {c}": b for c, b in places.payloads.items()},
        **{f"caption {key}": box for key, box in places.captions.items()},
    }
    boxes = {name: (b.x_mm, b.y_mm, b.x_mm + b.width_mm, b.y_mm + b.height_mm) for name, b in named.items()}
    for p in printout.placements:
        if p.page == page:
            boxes[f"{p.pair_id} {p.variant}"] = (p.x_mm, p.y_mm, p.x_mm + p.width_mm, p.y_mm + p.height_mm)
    quiet = QUIET_MODULES * printout.module_mm - 1e-6
    for f in printout.fiducials:
        if f.page == page:
            boxes[f.corner] = (f.x_mm - quiet, f.y_mm - quiet, f.x_mm + f.size_mm + quiet, f.y_mm + f.size_mm + quiet)
    return boxes


LAYOUTS = [(paper, orientation, n) for paper in PAPERS for orientation in ("portrait", "landscape") for n in (1, 2, 3, 6, 12)]


@pytest.mark.parametrize(("paper", "orientation", "n"), LAYOUTS)
@pytest.mark.parametrize(("width_px", "height_px"), [(224, 224), (299, 299), (160, 96)], ids=["224", "299", "160x96"])
def test_nothing_overlaps_and_nothing_is_nearer_than_10_mm_to_the_edge(
    paper: str, orientation: str, n: int, width_px: int, height_px: int
) -> None:
    printout = _printout(n + 1, width_px, height_px, paper=paper, orientation=orientation, pairs_per_page=n)
    assert printout.n_pages == 2
    for page in (1, 2):
        boxes = _boxes(printout, page)
        for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
            apart = a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
            assert apart, (one, a, other, b)
        quiet = QUIET_MODULES * printout.module_mm
        for name, (left, top, right, bottom) in boxes.items():
            inset = quiet if name in ("TL", "TR", "BR", "BL") else 0.0
            assert min(left, top) + inset >= 10 - 1e-3, name
            assert right - inset <= printout.page_width_mm - 10 + 1e-3, name
            assert bottom - inset <= printout.page_height_mm - 10 + 1e-3, name


@pytest.mark.parametrize(
    ("dpi", "width_px", "n"), [(600, 224, 3), (600, 299, 3), (600, 96, 6), (300, 96, 1), (1200, 128, 2), (720, 96, 3)]
)
def test_every_edge_lies_on_a_printer_dot_and_every_pixel_is_whole_dots(dpi: int, width_px: int, n: int) -> None:
    printout = _printout(n, width_px, width_px, dpi=dpi, pairs_per_page=n)
    lengths = [length for p in printout.placements for length in (p.x_mm, p.y_mm, p.width_mm, p.height_mm, p.width_mm / width_px)]
    lengths += [length for f in printout.fiducials for length in (f.x_mm, f.y_mm, f.size_mm, f.size_mm / 21)]
    dots = np.array([*lengths, printout.page_width_mm, printout.page_height_mm, printout.module_mm]) * dpi / 25.4
    assert np.abs(dots - np.rint(dots)).max() < 1e-6


@pytest.mark.parametrize(
    ("paper", "orientation", "n", "image_mm"),
    [("A4", "portrait", 3, 75.86), ("Letter", "portrait", 3, 75.86), ("A4", "landscape", 1, 132.76)],
)
def test_images_are_as_large_as_whole_dots_allow(paper: str, orientation: str, n: int, image_mm: float) -> None:
    printout = _printout(n, 224, 224, paper=paper, orientation=orientation, pairs_per_page=n)
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
        ({"module_mm": 0.85}, "fiducials"),
    ],
)
def test_every_setting_changes_the_pages(settings: dict[str, object], differs: str) -> None:
    assert getattr(_printout(4, 130, 130, **settings), differs) != getattr(_printout(4, 130, 130), differs)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"paper": "B4"}, "A4"),
        ({"orientation": "square"}, "landscape"),
        ({"pairs_per_page": 0}, "pairs_per_page"),
        ({"image_mm": 120.0}, r"largest that fit are \d+\.\d mm"),
        ({"pairs_per_page": 500}, r"At most \d+ fit"),
        ({"module_mm": 0.1}, "0.4 mm"),
        ({"module_mm": 8.0}, "smaller QR modules"),
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


@pytest.mark.parametrize(
    ("paper", "orientation", "width_px", "height_px", "dpi"),
    [("A4", "portrait", 96, 96, 600), ("Letter", "landscape", 75, 51, 600), ("A5", "portrait", 64, 64, 300)],
)
def test_the_raster_shows_every_pixel_and_every_module_exactly(
    paper: str, orientation: str, width_px: int, height_px: int, dpi: int
) -> None:
    printout = _printout(4, width_px, height_px, paper=paper, orientation=orientation, pairs_per_page=3, dpi=dpi)
    pdf = _pdf(printout, width_px, height_px)
    raster = render_page(pdf, 2, dpi)
    to_dots = dpi / 25.4
    assert raster.shape == (round(printout.page_height_mm * to_dots), round(printout.page_width_mm * to_dots), 3)
    for p in (p for p in printout.placements if p.page == 2):
        k = round(p.width_mm * to_dots / width_px)
        x, y = round(p.x_mm * to_dots), round(p.y_mm * to_dots)
        shown = raster[y - 1 : y + k * height_px + 1, x - 1 : x + k * width_px + 1]
        ideal = np.pad(
            np.kron(_image(p.path, width_px, height_px), np.ones((k, k, 1), np.uint8)),
            ((1, 1), (1, 1), (0, 0)),
            constant_values=255,
        )
        assert (shown == ideal).all()
    for f in (f for f in printout.fiducials if f.page == 2):
        k = round(f.size_mm * to_dots / 21)
        x, y = round(f.x_mm * to_dots) - 4 * k, round(f.y_mm * to_dots) - 4 * k
        ideal = np.kron(~np.pad(modules(f.payload), 4), np.ones((k, k), bool)) * 255
        assert (raster[y : y + 29 * k, x : x + 29 * k] == ideal[..., None]).all()
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
    for phrase in ("captures/signs/photos/", "inkproof run signs.toml", "100 mm", "page 1 of 2", "fgsm", "p0"):
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
