"""The report room: tables, figures and the PDF, on made-up runs."""

import hashlib
import itertools
import re
from dataclasses import replace

import numpy as np
import pypdfium2
import pytest
from made_up_run import ATTACKS, GRIDS, NAMES, gallery_item, make_content, pages, pdf_of, picture, rate

from pipeline.document import figures
from pipeline.document.figures import picture_reader
from pipeline.document.formats import number, percent, ranges, short_class_name
from pipeline.document.pages import SIMULATED_BAND
from pipeline.document.tables import as_text
from pipeline.evaluation.outcomes import Condition
from pipeline.records import CellFill, FlagRow, Pair
from pipeline.report import rate_figures
from pipeline.report.cell_tables import accuracy_table, photo_rate_table, photo_tables, transform_tables
from pipeline.report.front_page import empty_cells, photographed, shown_pair
from pipeline.report.gallery import difference_picture, outcome
from pipeline.report.photo_results import quality_table
from pipeline.report.raised_flags import RUN_FLAGS
from pipeline.report.run_flags import front_page_flags
from pipeline.report.sections import band
from pipeline.report.selection import perturbation_table, selection_table
from pipeline.report.summary import lead, photo_count, sentences, tiles
from pipeline.studies.claims import Rates, told_finding
from pipeline.studies.testing import Side


def test_the_perturbation_table_is_measured_on_the_saved_files():
    pair = Pair("p", "i", "bim", 8, ("average",), 0, None, "", "", 7, 100.0, 0.9, 10, 10)
    other = replace(pair, pair_id="q", linf_8bit=8, l2_8bit=200.0, ssim=0.7)
    text = as_text(perturbation_table([pair, other]))
    assert all(word in text for word in ("basic iterative", " 8 ", "150", "0.800", "10"))


class TestTables:
    def test_table_1_has_the_paper_s_columns_and_epsilon_rises(self):
        table = accuracy_table(make_content().accuracies, "average")
        assert [(c.group, c.header) for c in table.columns[2:]] == [
            (group, top)
            for group in ("Photos, clean", "Photos, adv.", "Source, clean", "Source, adv.")
            for top in ("top-1", "top-5")
        ]
        assert [(row[0].text, row[1].text) for row in table.rows] == [
            ("fast", "4"),
            ("", "16"),
            ("basic iterative", "4"),
            ("", "16"),
            ("least-likely class", "4"),
            ("", "16"),
        ]

    def test_each_rate_stands_above_its_counts_and_its_wilson_interval(self):
        table = photo_rate_table([rate("average", "fgsm", 16, "photo", None, 1, 6, 48)])
        assert (table.rows[0][2].text, table.rows[0][2].note) == ("12.5 %", "6/48 · 6–25")

    def test_nothing_eligible_is_not_applicable_and_never_zero(self):
        table = photo_rate_table(
            [rate("average", "fgsm", 16, "photo", None, 1, 0, 0), rate("average", "bim", 16, "photo", None, 1, 0, 9)]
        )
        assert [row[2].text for row in table.rows] == ["n/a", "0.0 %"]
        assert table.rows[0][2].note == "0 eligible"
        assert [row[3].text for row in table.rows] == ["–", "–"]

    def test_a_cell_that_was_never_filled_still_has_its_row(self):
        fills = [CellFill("average", "illc", 2, 10, 0, 50)]
        rows = [rate("average", "fgsm", 2, "photo", None, 1, 1, 4)]
        assert [row[0].text for row in photo_rate_table(rows, fills).rows] == ["fast", "least-likely class"]

    def test_without_photographs_the_columns_of_photographs_are_left_out(self):
        assert len(accuracy_table(make_content(has_photos=False).accuracies, "average").columns) == 2 + 4
        assert [table.number for table in photo_tables(make_content(has_photos=False))] == ["1", "2"]

    def test_transform_tables_come_one_per_case_and_transform_in_the_run_s_order(self):
        tables = transform_tables(make_content())
        assert [table.number for table in tables] == [f"T{i}" for i in range(1, 11)]
        assert [column.header for column in tables[0].columns[4:]] == ["−30", "−20", "−10", "0", "10", "20", "30"]

    @pytest.mark.parametrize("n_values", [1, 7, 10, 24])
    def test_text_is_aligned_and_at_most_100_columns_wide_and_keeps_every_value(self, n_values):
        rows = [
            rate("average", "illc", 16, "jpeg", float(value), 1, 100 * value % 1000, 1000, "digital") for value in range(n_values)
        ]
        text = as_text(transform_tables(make_content(rates=tuple(rows), fills=()))[0])
        assert max(map(len, text.splitlines())) <= 100
        headers = re.findall(r"^Method.*$", text, re.MULTILINE)
        assert [int(v) for line in headers for v in re.findall(r"(?<!\S)\d+", line)] == list(range(n_values))
        rules = [line for line in text.splitlines() if set(line) == {"-"}]
        assert all(len(line) <= len(rules[0]) for line in rules[1:])

    def test_every_table_of_a_run_fits_100_columns(self):
        content = make_content(epsilons=(2, 4, 8, 16))
        tables = [
            *photo_tables(content),
            *transform_tables(content),
            selection_table(content.fills),
            quality_table(content.quality),
        ]
        assert max(len(line) for table in tables for line in as_text(table).splitlines()) <= 100

    def test_of_many_photographs_the_worst_registered_are_listed_in_the_order_of_their_pages(self):
        first = make_content().quality[0]
        errors = (0.1, 0.5, None, 0.3, 0.4)
        quality = [replace(first, photo=f"{n}.jpg", reprojection_rms_px=error) for n, error in enumerate(errors)]
        table = quality_table(quality, n_rows=3)
        assert [row[0].text for row in table.rows] == ["1.jpg", "3.jpg", "4.jpg"] == [key.photo for key in table.keys]
        assert "Listed are the 3 of 5" in table.note
        assert len(quality_table(quality).rows) == 5 and "Listed" not in quality_table(quality).note

    def test_a_cell_that_stopped_short_says_by_how_much(self):
        table = selection_table([CellFill("prefiltered", "illc", 2, 102, 71, 5000)])
        assert [cell.text for cell in table.rows[0][3:]] == ["102", "71", "5000", "31 short"]


class TestWords:
    @pytest.mark.parametrize(
        "name, max_chars, short",
        [
            (NAMES[0], 28, "great white shark"),
            ("stop", 28, "stop"),
            ("black-and-tan coonhound of the north", 28, "black-and-tan coonhound of…"),
            ("Llanfairpwllgwyngyllgogerychwyrndrobwll", 12, "Llanfairpwl…"),
        ],
    )
    def test_long_class_names_are_cut_at_a_word(self, name, max_chars, short):
        assert short_class_name(name, max_chars) == short
        assert len(short) <= max_chars

    def test_numbers_are_short_and_typographic(self):
        assert (number(-30.0), number(0.7), number(2.0), percent(None), percent(0.125)) == ("−30", "0.7", "2", "n/a", "12.5 %")


class TestSummary:
    def test_the_front_page_counts_what_survived(self):
        rates = (
            rate("average", "fgsm", 16, "photo", None, 1, 6, 48, "camera"),
            rate("average", "bim", 16, "photo", None, 1, 19, 47, "camera"),
        )
        content = make_content(simulated=False, rates=rates)
        said = " ".join(sentences(content))
        assert "Of 95 photographed attacks on 48 images that had worked as files, **70 survived**" in said
        assert "a destruction rate of 26.3 %, 95 % interval 19 to 36 %." in said
        assert "most surely sturdy is fast at ε 16 (12.5 % destroyed, 6 of 48, 95 % interval 6 to 25 %)" in said
        assert tiles(content)[0].value == "70 of 95"

    def test_a_second_photo_of_a_page_is_not_a_lost_one(self):
        photos = photo_count(make_content())
        assert (photos.n_used, photos.n_lost) == (12, 1)

    def test_the_lead_names_what_was_tested(self):
        assert "3 attacks (fast, basic iterative and least-likely class) at ε = 4 and 16" in lead(make_content())

    def test_simulated_photographs_cannot_be_reported_as_real(self):
        with pytest.raises(ValueError, match="expected simulated=True"):
            replace(make_content(), simulated=False)


class TestFigures:
    def test_curves_have_a_labelled_panel_per_transform_and_a_line_per_attack_and_top_k(self):
        figure = rate_figures.transform_curves(make_content().rates, "average", 16)
        panels = [panel for panel in figure.axes if panel.get_title(loc="left")]
        assert [panel.get_title(loc="left") for panel in panels] == [
            "Brightness",
            "Contrast",
            "Gaussian blur",
            "Gaussian noise",
            "JPEG",
        ]
        assert [panel.get_xlabel() for panel in panels] == [
            "added, 8-bit units",
            "factor",
            "σ, pixels",
            "σ, 8-bit units",
            "quality",
        ]
        assert panels[0].get_ylabel() == "destruction rate"
        lines = panels[4].get_lines()
        assert len(lines) == 6 and len(panels[4].collections) == 3
        looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
        assert len(looks) == 6 and len({line.get_marker() for line in lines}) == 3
        assert list(lines[0].get_xdata()) == [float(value) for value in GRIDS["jpeg"]]
        legend = [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
        assert "fast, top-1 (n = 19)" in legend and "least-likely class, top-5 (n = 14)" in legend

    def test_photo_rates_show_intervals_n_and_the_paper_s_values_only_where_they_match(self):
        content = make_content(epsilons=(3, 16))
        figure = rate_figures.photo_rates(content.rates, content.study.rates, "Who 2016")
        panel = figure.axes[0]
        assert "destruction rate" in panel.get_xlabel() and panel.get_title(loc="left") == "Average case"
        hollow = [line for line in panel.get_lines() if line.get_markerfacecolor() == "none"]
        assert sorted(line.get_xdata()[0] for line in hollow) == pytest.approx([12.5, 40.0, 40.4, 69.4, 72.2, 85.1])
        assert "19 · 14" in {text.get_text() for text in panel.texts}
        assert "Who 2016, top-5" in {text.get_text() for text in figure.legends[0].get_texts()}

    def test_accuracy_and_capture_figures_name_their_units_and_n(self):
        content = make_content()
        assert (
            rate_figures.accuracy_by_condition(content.accuracies).axes[0].get_xlabel() == "top-1 accuracy (n = 24 images a cell)"
        )
        panels = rate_figures.capture_quality(content.quality).axes
        assert [panel.get_title(loc="left") for panel in panels] == [
            "Registration error",
            "Reprojection error",
            "Sharpness",
            "Resolution",
        ]
        assert panels[0].get_xlabel() == "crop pixels\n(n = 12)"

    def test_png_is_200_dpi_and_the_same_twice_and_leaves_matplotlib_as_it_was(self):
        import matplotlib

        before = dict(matplotlib.rcParams)
        first, second = (figures.png(rate_figures.capture_quality(make_content().quality)) for _ in range(2))
        assert first == second and first.startswith(b"\x89PNG")
        assert int.from_bytes(first[16:20], "big") == round(figures.WIDTH_IN * 200)
        assert dict(matplotlib.rcParams) == before

    def test_svg_is_the_same_twice(self):
        first, second = (figures.svg(rate_figures.capture_quality(make_content().quality)) for _ in range(2))
        assert first == second and b"<svg" in first

    def test_the_difference_is_amplified_around_mid_grey(self):
        item = gallery_item(1, "fgsm", 4)
        difference, factor = difference_picture(item)
        change = item.adversarial.pixels.astype(int) - item.clean.pixels
        assert factor == 20
        assert np.array_equal(difference, np.clip(128 + 20 * change, 0, 255))
        assert difference_picture(gallery_item(1, "fgsm", 16))[1] == 7

    def test_small_pictures_are_enlarged_without_a_new_colour(self):
        pixels = picture(3, 28)
        reader = picture_reader(pixels)
        assert reader.getSize()[0] % 28 == 0 and reader.getSize()[0] >= 160
        shown = np.frombuffer(reader.getRGBData(), np.uint8).reshape(*reader.getSize()[::-1], 3)
        factor = len(shown) // 28
        assert np.array_equal(shown[factor // 2 :: factor, factor // 2 :: factor], pixels)


SITUATIONS = {
    "digital only": {"has_photos": False, "grids": {"jpeg": GRIDS["jpeg"]}, "epsilons": (16,)},
    "no transforms": {"grids": {}, "attacks": ("fgsm",)},
    "real photos": {"simulated": False, "grids": {}, "epsilons": (16,)},
    "one case, one attack, one epsilon": {
        "attacks": ("bim",),
        "epsilons": (8,),
        "cases": ("prefiltered",),
        "grids": {"blur": (1.0,)},
    },
    "an attack and a transform of its own": {
        "attacks": ("fgsm", "cw<2>"),
        "epsilons": (4,),
        "cases": ("average",),
        "grids": {"two-tone_map": (1, 2)},
    },
    "empty cells": {
        "empty": (("prefiltered", "illc", 16), ("average", "fgsm", 4)),
        "grids": {"jpeg": (10, 50)},
        "epsilons": (16,),
    },
    "every cell empty": {
        "empty": tuple(itertools.product(("average",), ATTACKS, (4, 16))),
        "cases": ("average",),
        "grids": {"jpeg": (10,)},
    },
    "nothing yet": {"attacks": (), "has_photos": False, "grids": {}, "n_gallery": 0},
    "very many cells": {"attacks": (*ATTACKS, "pgd", "cw"), "epsilons": tuple(range(1, 8)), "grids": {}, "n_gallery": 0},
    "small pictures": {
        "grids": {},
        "attacks": ("fgsm",),
        "epsilons": (4,),
        "gallery": tuple(gallery_item(i, "fgsm", 4, i != 1, picture(i, 28)) for i in range(3)),
    },
}


class TestDocument:
    @pytest.mark.slow
    def test_a_full_report_has_the_same_bytes_twice_and_every_number_with_its_n(self):
        content = make_content(title="Paper & ink < pixels?", epsilons=(16,), n_gallery=3)
        first = pdf_of(content)
        assert hashlib.sha256(first).digest() == hashlib.sha256(pdf_of(content)).digest()
        text = " ".join(pages(first))
        assert "Paper & ink < pixels?" in text
        for row in content.rates:
            if row.transform == "photo":
                assert percent(row.rate) in text
                assert f"{row.n_hit}/{row.n_eligible} · " in text
        for heading in ("Selection", "Results from photographs", "Results from digital transforms", "Gallery", "Capture quality"):
            assert heading in text
        for word in ("ε", "σ", "×", "great white shark", "IMG_dark.jpg", "seed = 7", "a1b2c3", "held"):
            assert word in text
        assert len(first) < 6e6

    @pytest.mark.parametrize("changes", SITUATIONS.values(), ids=SITUATIONS)
    def test_every_situation_builds_and_says_simulated_on_every_page_or_on_none(self, changes):
        content = make_content(**{"n_gallery": 2, **changes})
        found = pages(pdf_of(content))
        assert {SIMULATED_BAND in page for page in found} == {content.simulated}
        assert [re.search(r"page (\d+) of", page)[1] for page in found] == [str(i + 1) for i in range(len(found))]

    def test_an_empty_cell_is_n_a_and_counted_as_short(self):
        content = make_content(
            epsilons=(16,), cases=("prefiltered",), empty=(("prefiltered", "illc", 16),), grids={}, n_gallery=0
        )
        text = " ".join(pages(pdf_of(content)))
        assert "n/a" in text and "0 eligible" in text and "24 short" in text and "1 of 3 cells could not be filled" in text

    def test_real_and_simulated_photographs_get_tables_of_their_own(self):
        rates = (
            rate("average", "fgsm", 4, "photo", None, 1, 3, 40, "simulated"),
            rate("average", "fgsm", 4, "photo", None, 1, 9, 41, "camera"),
        )
        content = make_content(("fgsm",), (4,), ("average",), {}, n_gallery=0, rates=rates)
        printed = [photo_tables(content, origin)[-1].rows[0][2].note for origin in ("simulated", "camera")]
        assert printed == ["3/40 · 3–20", "9/41 · 12–37"]
        text = " ".join(pages(pdf_of(content)))
        assert all(text.count(note) == 1 for note in printed)
        assert text.count("Adversarial destruction rate, photographs. Simulated photographs.") == 1
        assert text.count("Adversarial destruction rate, photographs. Real photographs.") == 1

    def test_the_outline_leads_to_every_section_by_its_number(self):
        document = pypdfium2.PdfDocument(pdf_of(make_content(attacks=("bim",), cases=("average",), grids={}, n_gallery=1)))
        top = [entry.get_title() for entry in document.get_toc() if entry.level == 0]
        assert [title.split()[0] for title in top] == [str(place) for place in range(1, len(top) + 1)]
        assert "Flags" in top[-3] and "Findings in detail" in top[-2] and "Settings" in top[-1]

    def test_no_text_leaves_the_page(self):
        wide = make_content(("fgsm", "illc"), (4,), ("average",), {"jpeg": tuple(range(5, 100, 5))}, n_gallery=1)
        document = pypdfium2.PdfDocument(pdf_of(wide))
        for page in document:
            text = page.get_textpage()
            boxes = [text.get_charbox(i) for i in range(text.count_chars())]
            assert min(box[0] for box in boxes) > 20 and max(box[2] for box in boxes) < page.get_width() - 20


def on_cells(**counts):
    """What the front page says of cells with (destroyed, eligible) attacks."""
    rows = tuple(rate("average", attack, 16, "photo", None, 1, *found) for attack, found in counts.items())
    return next((line for line in sentences(make_content(rates=rows)) if "sturdy" in line), "")


class TestFrontPage:
    def test_a_page_that_is_missing_is_told_by_number_with_what_it_leaves_empty(self):
        whole = make_content(simulated=False, grids={})
        n_pages = max(capture.page or 0 for capture in whole.captures if capture.counts)
        taken = [replace(one, device="Pocket Camera", taken_at="2026:02:30 10:00:00") for one in whole.captures]
        taken[0] = replace(taken[0], taken_at="2026:11:27 09:00:00")
        taken[1] = replace(taken[1], taken_at="2026:11:29 09:00:00")
        content = replace(whole, n_pages=n_pages + 4, printer="Office laser", captures=tuple(taken))
        told = photographed(content)
        assert told.startswith(
            "Printed by Office laser, photographed with Pocket Camera from 27 November 2026 to 29 November 2026:"
        )
        in_part = f"{n_pages} of {n_pages + 4} pages photographed"
        missing = f"pages {n_pages + 1}–{n_pages + 4} are missing, and all numbers on photographs are those of the other pages."
        assert told.endswith(f": {in_part}; {missing}")
        assert band(content) == f"INCOMPLETE: {in_part}" and band(replace(content, n_pages=n_pages)) == ""
        assert tiles(content)[3].value == f"{n_pages} of {n_pages + 4}"
        assert empty_cells(content) == ""
        rates = tuple(row for row in whole.rates if (row.attack, row.epsilon_8bit) != ("bim", 16))
        assert empty_cells(replace(content, rates=rates)) == (
            "**No photograph of a working attack in 2 of 12 cells:** basic iterative, ε 16 (average) and basic iterative, ε 16 "
            "(prefiltered)."
        )

    def test_the_pair_that_is_shown_fared_as_most_did(self):
        for hit, usual in ((1, "survived the photograph"), (9, "destroyed by the photograph")):
            rows = (rate("average", "fgsm", 16, "photo", None, 1, hit, 10, "camera"),)
            content = make_content(simulated=False, rates=rows, cases=("average",), grids={})
            assert outcome(shown_pair(content)) == usual
        assert shown_pair(make_content(has_photos=False)) is None

    def test_flags_are_sentences_and_no_more_than_fit(self):
        raised = [FlagRow(name, f"measured {name}") for name in itertools.islice(RUN_FLAGS, 9)]
        found = [block.markup for block in front_page_flags(replace(make_content(), flags=tuple(raised)))]
        assert (
            found[1] == "<b>Simulated photographs:</b> measured simulated." and "further flags" in found[-1] and len(found) == 8
        )
        assert front_page_flags(replace(make_content(), flags=(), model_flags=())) == ()


def test_a_tie_is_neither_for_nor_against():
    rows = [rate("average", attack, 16, "photo", None, 1, hit, 10) for attack, hit in (("fgsm", 2), ("bim", 2), ("illc", 9))]
    sides = [Side(("average", attack, 16), Condition("photo", None, "simulated"), 1) for attack in ATTACKS]
    tied = Rates(rows).ordered("here", sides, "<")
    assert not tied.n_held and tied.is_tie and not tied.is_against
    assert "✗" not in told_finding("It rises.", [tied], [], {}).evidence[0]
    turned = Rates(rows).ordered("here", reversed(sides), "<")
    assert turned.is_against and told_finding("It rises.", [turned], [], {}).evidence[0].startswith("✗ here")


def test_neighbouring_numbers_are_told_together():
    assert ranges([16, 5, 8, 11, 12, 13, 14, 15]) == "5, 8, 11–16" and ranges([1, 2]) == "1, 2" and ranges([]) == ""


def test_cells_that_are_all_alike_have_no_sturdiest():
    assert not on_cells(fgsm=(0, 5), bim=(0, 7)) and on_cells(fgsm=(0, 5), bim=(0, 7), illc=(1, 5))


def test_the_sturdiest_cell_is_the_surest_and_not_the_one_of_the_fewest_attacks():
    told = on_cells(fgsm=(0, 2), bim=(0, 40), illc=(2, 2), pgd=(30, 40))
    assert "most surely sturdy is basic iterative" in told and "0 of 40, 95 % interval 0 to 9 %" in told
    assert "most surely fragile is PGD at ε 16 (75.0 % destroyed, 30 of 40, 95 % interval 60 to 86 %)." in told
    assert on_cells(fgsm=(10, 24), bim=(12, 24)).endswith("; their intervals overlap.")
    told = on_cells(fgsm=(0, 12), bim=(0, 12), illc=(5, 12))
    assert "are fast at ε 16 and basic iterative at ε 16 (0.0 % destroyed, 0 of 12, each, 95 % interval" in told
    assert not on_cells(fgsm=(20, 40), bim=(0, 1), illc=(1, 1)), "one cell is known best at both ends"
