"""Each flag of a run raised and not raised, at the edge of its limit; where it is shown; and its page in the documents."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from kept_files import read_json
from PIL import Image

from pipeline.cli import main
from pipeline.document.tables import as_text
from pipeline.evaluation.flagging import Evidence, run_flags
from pipeline.images.photo_tags import photo_tags
from pipeline.images.pictures import pictures
from pipeline.physical.printing.arrangement import PrintPair, arrange
from pipeline.physical.printing.document import build_pdf, render_page
from pipeline.physical.printing.instructions import Instructions
from pipeline.physical.registration.page_reading import Reading
from pipeline.physical.registration.photo_reading import PhotoFile, read_file
from pipeline.physical.registration.quality import MIN_PHOTO_PX_PER_IMAGE_PX, print_scale
from pipeline.records import (
    Capture,
    CellFill,
    Discard,
    FlagRow,
    ModelFlag,
    Pair,
    Placement,
    Printout,
    Rate,
    View,
)
from pipeline.records.flags import ALIKE_RMS_8BIT, CLEAN_DROP, LOW_RESOLUTION_PX
from pipeline.report.cell_tables import photo_rate_table
from pipeline.report.content import DatasetFacts, ModelFacts, ReportContent
from pipeline.report.raised_flags import MODEL_FLAGS, RUN_FLAGS, raised_flags
from pipeline.report.run_flags import MARKS, flags_section, marked
from pipeline.settings import CaptureSettings
from pipeline.statistics import compare_paired
from pipeline.statistics.likeness import Alike, alike_images
from pipeline.store import Run, file_hash, record_from
from pipeline.studies.kurakin2016.published import PAPER_TABLE_1

DOCS = Path(__file__).parents[2] / "docs" / "flags.md"


def a_rate(n_eligible=30, transform="photo", origin="camera", n_discarded=0, top_k=1, attack="fgsm"):
    parameter = None if transform == "photo" else 1.0
    counts = {
        "n_hit": 3,
        "n_eligible": n_eligible,
        "n_images": 40,
        "n_discarded": n_discarded,
        "rate": 0.1,
        "low": 0,
        "high": 0.2,
    }
    where = {"transform": transform, "parameter": parameter, "origin": origin}
    return Rate(quantity="destruction_rate", case="average", attack=attack, epsilon_8bit=16, top_k=top_k, **where, **counts)


def a_pair(number=0, linf=16, epsilon=16):
    return Pair(f"p{number}", f"i{number}", "fgsm", epsilon, ("average",), 0, None, "", "", linf, 1.0, 0.9, 1, 1)


def a_capture(name="c0", page=1, device="phone", origin="camera", counts=True, taken_at="", shift_px=0.0):
    home = (10.0, 0.0, 100.0 + shift_px, 0.0, 10.0, 100.0, 0.0, 0.0, 1.0)
    head = (name, f"{name}.jpg", "", name, device, taken_at, origin, 4000, 3000, page, 4, 40, 0.1, home, (), 10.0, "", "", counts)
    return Capture(*head)


def a_view(capture="c0", px_per_px=2.0, number=0):
    place = (f"v{capture}{number}", "i0", "clean", "", 0, "p0", "photo", None, "", "", "camera", capture)
    return View(*place, photo_px_per_image_px=px_per_px)


def lost(n):
    return [Discard(f"lost{i}.jpg", f"l{i}", None, "", "", "no-code", "") for i in range(n)]


def clean(n_lost, n=100, n_won=0):
    """Of n clean images right as files, n_lost are wrong in photographs; n_won the other way."""
    outcomes = [(True, False)] * n_lost + [(False, True)] * n_won + [(True, True)] * (n - n_lost - n_won)
    return {"average": compare_paired(outcomes)}


A4 = Printout(1, "r", "K7QXM", "A4", "portrait", 210.0, 297.0, 300, 0.8, 1, "")
SHOTS = [a_capture(f"c{i}", page=i) for i in range(9)]
CASES = {
    "simulated photographs": ("simulated", {"n_simulated": 1}, {"n_simulated": 0}),
    "few in photographs": ("few-eligible", {"rates": [a_rate(29)]}, {"rates": [a_rate(30)]}),
    "few as files": ("few-eligible", {"rates": [a_rate(29, "blur")]}, {"rates": [a_rate(30, "blur")]}),
    "few in a prediction beside real photographs": (
        "few-eligible",
        {"rates": [a_rate(3), a_rate(90, origin="simulated")]},
        {"rates": [a_rate(90), a_rate(3, origin="simulated")]},
    ),
    "cells": (
        "not-filled",
        {"fills": [CellFill("average", "fgsm", 16, 40, 39, 200)]},
        {"fills": [CellFill("average", "fgsm", 16, 40, 40, 200)]},
    ),
    "lost photographs": (
        "many-discards",
        {"captures": SHOTS[:8], "discards": lost(1)},  # 1 of 9
        {"captures": SHOTS[:9], "discards": lost(1)},  # 1 of 10
    ),
    "pairs without a photograph": (
        "many-discards",
        {"rates": [a_rate(90, n_discarded=3)], "pairs": [a_pair(i) for i in range(20)]},
        {"rates": [a_rate(90, n_discarded=2)], "pairs": [a_pair(i) for i in range(20)]},
    ),
    "a large drop": ("clean-drop", {"clean": clean(12)}, {"clean": clean(11)}),
    "a drop that chance explains": ("clean-drop", {"clean": clean(8, 20)}, {"clean": clean(5, 20, 2)}),
    "resolution": ("low-resolution", {"views": [a_view(px_per_px=1.49)]}, {"views": [a_view(px_per_px=1.5)]}),
    "epsilon": ("epsilon-exceeded", {"pairs": [a_pair(linf=17)]}, {"pairs": [a_pair(linf=16)]}),
    "an attack without epsilon": ("epsilon-exceeded", {"pairs": [a_pair(linf=17)]}, {"pairs": [a_pair(linf=200, epsilon=0)]}),
    "a gradient that is not finite": (
        "attack-not-finite",
        {"pairs": [a_pair(1), replace(a_pair(2), is_blind=True)]},
        {"pairs": [a_pair(1), a_pair(2)]},
    ),
    "what gradients miss": (
        "gradients-miss",
        {"pairs": [replace(a_pair(1), by="square"), replace(a_pair(2), by="apgd-ce")]},
        {"pairs": [replace(a_pair(1), by="fab"), a_pair(2)]},
    ),
    "devices": (
        "mixed-devices",
        {"captures": [a_capture("a"), a_capture("b", 2, "other")]},
        {"captures": [a_capture("a"), a_capture("b", 2, ""), a_capture("c", 3, "other", counts=False)]},
    ),
    "images": ("duplicates", {"alike": [Alike("b", "a", 0.0)]}, {"alike": []}),
    "copied photographs": (
        "duplicates",
        {"captures": [a_capture("a"), a_capture("b", shift_px=1.9)]},
        {"captures": [a_capture("a"), a_capture("b", shift_px=2.1)]},
    ),
    "a photograph taken later from a tripod": (
        "duplicates",
        {"captures": [a_capture("a"), a_capture("b")]},
        {"captures": [a_capture("a", taken_at="10:00:01"), a_capture("b", taken_at="10:00:03")]},
    ),
    "the network": ("model", {"model_flags": [ModelFlag("random", "logits differ by 0.03")]}, {"model_flags": []}),
}


@pytest.mark.parametrize(("flag", "raised", "quiet"), CASES.values(), ids=CASES.keys())
def test_a_flag_is_raised_beyond_its_limit_and_not_at_it(flag, raised, quiet):
    base = {"captures": SHOTS[:1], "views": [a_view()], "printout": A4, "origin": "camera"}
    rows = run_flags(Evidence(**(base | raised)))
    assert {row.flag for row in rows} == {flag}
    assert all(row.message and (row.measured is None or row.measured != row.limit) for row in rows)
    assert run_flags(Evidence(**(base | quiet))) == []


def test_nothing_is_raised_of_nothing_and_flags_come_in_their_order_with_the_worst_first():
    assert run_flags(Evidence()) == []
    rates = [a_rate(20), a_rate(4, "blur"), a_rate(9, top_k=5)]
    rows = run_flags(Evidence(rates=rates, origin="camera", n_simulated=2, pairs=[a_pair(linf=20)]))
    assert [(row.flag, row.measured) for row in rows] == [
        ("simulated", 2),
        ("few-eligible", 4),
        ("few-eligible", 9),
        ("few-eligible", 20),
        ("epsilon-exceeded", 20),
    ]
    assert [(row.transform, row.top_k, row.attack, row.epsilon_8bit) for row in rows[1:3]] == [
        ("source", 1, "fgsm", 16),
        ("photo", 5, "fgsm", 16),
    ]


def test_limits_are_those_of_the_paper_and_of_registration():
    largest = max(row.source_clean_top1 - row.photo_clean_top1 for row in PAPER_TABLE_1)
    assert largest == pytest.approx(10.8) and largest < 100 * CLEAN_DROP < largest + 1
    assert LOW_RESOLUTION_PX == MIN_PHOTO_PX_PER_IMAGE_PX


class TestAlikeImages:
    def test_copies_are_found_after_compression_and_at_another_size_and_different_images_are_not(self):
        rng = np.random.default_rng(0)
        images = {}
        for name in "abc":
            coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            images[name] = cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC)
        assert alike_images(images.items(), ALIKE_RMS_8BIT) == []
        smaller = cv2.resize(images["b"], (72, 72), interpolation=cv2.INTER_AREA)
        images["copy"] = cv2.imdecode(cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], cv2.IMREAD_COLOR)
        (found,) = alike_images(images.items(), ALIKE_RMS_8BIT)
        assert (found.image_id, found.other_id) == ("copy", "b") and 0 < found.rms_8bit < ALIKE_RMS_8BIT

    def test_of_many_images_those_are_found_that_a_comparison_of_all_finds(self):
        rng = np.random.default_rng(1)
        images = [(str(i), rng.integers(0, 256, (2, 2, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)) for i in range(60)]
        images += [(f"{name}+", pixels + rng.integers(-9, 9, pixels.shape)) for name, pixels in images]
        images = [(name, pixels.clip(0, 255).astype(np.uint8)) for name, pixels in images]
        expected = []
        for place, (name, pixels) in enumerate(images):
            every = [(float(np.sqrt(np.square(pixels - other.astype(float)).mean())), it) for it, other in images[:place]]
            nearest = min(every, default=(np.inf, ""))
            if nearest[0] < 5.1:
                expected.append((name, nearest[1], pytest.approx(nearest[0])))
        assert alike_images(images, 5.1) == expected and 10 < len(expected) < 60

    def test_the_difference_is_that_of_the_levels(self):
        grey = np.full((32, 32, 3), 100, np.uint8)
        assert alike_images([("a", grey), ("b", grey + 4)], 4.5)[0].rms_8bit == pytest.approx(4)
        assert alike_images([("a", grey), ("b", grey + 4)], 4.0) == [] and alike_images([], 9) == []


def a_picture(path: str) -> np.ndarray:
    small = np.random.default_rng(len(path)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (128, 128), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def printed() -> tuple[Printout, np.ndarray]:
    printout = arrange([PrintPair("p", "clean", "adversarial", 128, 128)], run="r", run_code="K7QXM", pairs_per_page=2)
    return printout, render_page(build_pdf(printout, a_picture, {}, Instructions("photos/", "my.toml")), 1, 200)


def scanned(printed, folder: Path, across: float, down: float, tag: dict, turned_deg: float = 1.0) -> list[Capture]:
    """What is read of a page printed at `across` x `down` of its size, scanned at 200 dpi a little askew."""
    printout, page = printed
    height, width = page.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), turned_deg, 1) @ np.diag([across, down, 1])
    scan = cv2.warpAffine(page, turn, (width, height), flags=cv2.INTER_AREA, borderValue=(255, 255, 255))
    path = folder / "scan.png"
    Image.fromarray(scan).save(path, **tag)
    photo = PhotoFile(path, path.name, file_hash(path), "k", None, None)
    pairs = {"p": a_pair()}
    return [replace(fresh.page.capture, counts=True) for fresh in read_file(photo, Reading(printout, pairs, CaptureSettings()))]


SCANS = {
    "as laid out": (1.0, 1.0, {"dpi": (200, 200)}, None),
    "within a per cent": (0.993, 0.993, {"dpi": (200, 200)}, None),
    "fit to page": (0.96, 0.96, {"dpi": (200, 200)}, "96.0 % of its size"),
    "enlarged": (1.02, 1.02, {"dpi": (200, 200)}, "102.0 % of its size"),
    "fit to page, without a scanner's word": (0.96, 0.96, {}, None),
    "fit to page, with a word that nobody measured": (0.96, 0.96, {"dpi": (72, 72)}, None),
    "resized after the scan": (0.96, 0.96, {"dpi": (400, 400)}, None),
    "stretched": (1.0, 0.988, {}, "width to height 101."),
    "hardly stretched": (1.0, 0.997, {}, None),
}


@pytest.mark.parametrize(("across", "down", "tag", "said"), SCANS.values(), ids=SCANS.keys())
def test_a_scan_tells_how_large_a_page_was_printed(printed, tmp_path, across, down, tag, said):
    captures = scanned(printed, tmp_path, across, down, tag)
    rows = run_flags(Evidence(captures=captures, printout=printed[0], origin="camera"))
    assert [row.flag for row in rows] == ["page-scaled"] * (said is not None)
    measured = print_scale(captures[0], printed[0])
    assert measured.aspect == pytest.approx(across / down, abs=1e-3)
    if said:
        assert said in rows[0].message and (rows[0].page, rows[0].photo) == (1, "scan.png")


def test_from_an_angle_nothing_is_said_of_a_pages_shape():
    stretched = replace(a_capture(), photo_from_page=(10.0, 0, 0, 0, 9.0, 0, 0, 0, 1), scan_dpi=254.0)
    assert print_scale(replace(stretched, tilt_deg=3.1), A4) is None
    from_above = print_scale(replace(stretched, tilt_deg=2.9), A4)
    assert from_above.aspect == pytest.approx(10 / 9) and from_above.scale is None
    assert print_scale(replace(stretched, tilt_deg=0.5), A4).scale == pytest.approx(90**0.5 / 10)
    assert print_scale(replace(stretched, photo_from_page=None), A4) is None


@pytest.mark.parametrize(("scale", "is_raised"), [(0.986, True), (0.988, False), (1.012, False), (1.014, True)])
def test_by_a_ruler_a_page_is_scaled_where_its_size_is_off_by_more_than_the_limit_and_the_rulers_error(scale, is_raised):
    capture = replace(a_capture(), tilt_deg=20.0, ruler_scale=scale, ruler_error=0.003)
    rows = run_flags(Evidence(captures=[capture], printout=A4, origin="camera"))
    assert [row.flag for row in rows] == ["page-scaled"] * is_raised
    assert print_scale(capture, A4) == (None, scale, 0.003)
    if is_raised:
        assert f"{100 * scale:.1f} % of its size by the ruler beside it, ± 0.3" in rows[0].message


class TestResolutionOfAScan:
    def test_a_cameras_resolution_is_not_believed(self, tmp_path):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x920A] = 4.2  # focal length
        picture = Image.new("RGB", (40, 40))
        picture.save(tmp_path / "phone.jpg", dpi=(300, 300), exif=exif)
        picture.save(tmp_path / "scan.jpg", dpi=(300, 300))
        picture.save(tmp_path / "odd.png", dpi=(300, 200))
        found = [photo_tags(tmp_path / name).scan_dpi for name in ("phone.jpg", "scan.jpg", "odd.png")]
        assert found == [None, 300, None]

    def test_a_scanned_pdf_tells_its_own(self, tmp_path):
        Image.new("RGB", (400, 300), (90, 90, 90)).save(tmp_path / "scan.pdf", resolution=150)
        (picture,) = pictures(tmp_path / "scan.pdf")
        assert picture.scan_dpi == pytest.approx(150, rel=1e-3)


class TestWhereFlagsAreShown:
    FLAGS = run_flags(Evidence(rates=[a_rate(3), a_rate(9, top_k=5), a_rate(40, attack="bim")], origin="camera"))

    def test_rows_of_a_table_that_a_flag_concerns_are_marked_and_the_note_says_why(self):
        table = photo_rate_table([a_rate(3), a_rate(9, top_k=5), a_rate(40, attack="bim")])
        text = as_text(marked(table, self.FLAGS))
        marks = {row[0].text: row[1].note for row in marked(table, self.FLAGS).rows}
        assert marks == {"fast": MARKS["few-eligible"], "basic iterative": ""}
        assert "† Few eligible attacks: 3 working attacks, fast at ε = 16" in text and "(the worst of 2 cases)" in text
        assert marked(table, ()) == table

    def test_a_flag_of_files_marks_no_table_of_photographs(self):
        rows = [replace(row, transform="source") for row in self.FLAGS]
        table = photo_rate_table([a_rate(3)])
        assert marked(table, rows) == table

    def test_a_cell_of_another_case_is_not_marked(self):
        table = photo_rate_table([a_rate(3)])
        keyed = replace(table, keys=tuple(key._replace(case="prefiltered") for key in table.keys))
        assert marked(keyed, self.FLAGS) == keyed

    def test_the_section_says_what_is_raised_with_its_numbers_and_what_is_not(self):
        facts = ModelFacts("toy", "0" * 64, (32, 32), 10), DatasetFacts("folder:x", 4, 10)
        content = ReportContent("r", "R", "", {}, 0, *facts, simulated=False, flags=tuple(self.FLAGS))
        said, table, rest = flags_section(content)
        assert said.markup.startswith(f"1 flag of {len(RUN_FLAGS)} is raised.")
        assert table.rows[0][0] == "Few eligible attacks †" and "3 working attacks" in table.rows[0][1]
        assert table.rows[0][2:] == (RUN_FLAGS["few-eligible"].raised_if, *_advice("few-eligible"))
        assert "simulated photographs" in rest.markup and "few eligible" not in rest.markup
        (nothing,) = flags_section(replace(content, flags=()))
        assert "No problem found" in nothing.markup

    def test_they_stand_in_the_json_of_the_rates_and_of_the_command_line(self, finished, capsys):
        rows = [record_from(FlagRow, row) for row in read_json(Run(finished, "small").reports / "rates.json")["flags"]]
        names = list(raised_flags(rows))
        assert names[:2] == ["simulated", "few-eligible"]
        assert main(["run", "small", "--workspace", str(finished), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert [record_from(FlagRow, row) for row in told["flags"]] == rows


def _advice(name: str) -> tuple[str, str]:
    return RUN_FLAGS[name].why, RUN_FLAGS[name].what_to_do


@pytest.mark.slow
def test_a_photo_that_cannot_be_read_is_counted_by_the_next_run(tiny, tmp_path, capsys):
    """Nothing but the list of discards changes, which the rate stage reads too."""
    workspace = Path(shutil.copytree(tiny, tmp_path / "copy"))
    run = Run(workspace, "small")
    for number in range(3):
        (run.photos / f"IMG_{number}.jpg").write_bytes(bytes([number]) * 99)
    assert main(["run", "small", "--workspace", str(workspace), "-q"]) == 0
    capsys.readouterr()
    rows = [row for row in read_json(run.reports / "rates.json")["flags"] if row["flag"] == "many-discards"]
    n_used = len(list(run.photos.glob("simulated-*.jpg")))
    assert rows[0]["measured"] == pytest.approx(3 / (3 + n_used)) and "3 of" in rows[0]["message"]


def test_pairs_on_pages_that_nobody_photographed_are_told_apart_from_lost_ones():
    places = [Placement(1 + (i >= 15), f"p{i}", "clean", "", *(0.0,) * 4, 9, 9) for i in range(20)]
    evidence = Evidence(
        rates=[a_rate(90, n_discarded=7)],
        pairs=[a_pair(i) for i in range(20)],
        captures=SHOTS[1:2],
        origin="camera",
        printout=replace(A4, placements=tuple(places)),
    )
    (row,) = (row for row in run_flags(evidence) if row.flag == "many-discards")
    assert row.message.startswith("7 of 20 pairs have no usable photograph (5 on pages that are not photographed), fast")


def test_every_flag_is_documented_in_its_own_words():
    text = DOCS.read_text(encoding="utf-8")
    for name, flag in (RUN_FLAGS | MODEL_FLAGS).items():
        words = (
            f"### `{name}`\n",
            f"*Raised if:* {flag.raised_if}",
            f"*Why it matters:* {flag.why}",
            f"*What to do:* {flag.what_to_do}",
        )
        assert "\n- ".join(words) + "\n" in text, name
    assert re.findall(r"### `([a-z-]+)`", text) == [*RUN_FLAGS, *MODEL_FLAGS]
