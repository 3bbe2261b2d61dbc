"""The report as one HTML page: what it says, what it cannot do, and how it behaves in a browser where one is found."""

import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from made_up_run import gallery_item, make_content, page_of, picture, rate

from pipeline.document.blocks import (
    Choice,
    Code,
    Figure,
    Finding,
    Findings,
    Gallery,
    Head,
    Picture,
    PictureRow,
    Section,
    Subheading,
    TableBlock,
    TextTable,
    Tile,
    Tiles,
    plain,
)
from pipeline.document.html import build_page
from pipeline.document.html.page import inline_svg, picture_uri
from pipeline.document.pages import SIMULATED_BAND
from pipeline.document.tables import Cell, Column, Table
from pipeline.report import rate_figures
from pipeline.report.gallery import DESTROYED, NOT_PHOTOGRAPHED, NOT_WORKING, SURVIVED, gallery, gallery_section, outcome
from pipeline.report.sections import sections

VOID = {"meta", "link", "img", "col", "br", "input"}
HOSTILE = "</script><script>document.title = 'taken'</script><img src=x onerror=\"alert(1)\"> \"&'"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """A page's elements as (tag, attributes), its text, and the tags that were closed out of order."""

    def __init__(self, markup):
        super().__init__()
        self.elements, self.open, self.unbalanced, self.texts = [], [], [], []
        self.feed(markup)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, text):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(text)

    def all(self, *names):
        return [attributes for tag, attributes in self.elements if tag in names]


@pytest.fixture(scope="module")
def content():
    return make_content(grids={"blur": (0.5, 1.0, 2.0)})


@pytest.fixture(scope="module")
def markup(content):
    return page_of(content)


def words_of(markup):
    return re.sub(r"\s+", " ", " ".join(Page(markup).texts).replace("\u00a0", " "))


@pytest.mark.slow
def test_the_same_content_gives_the_same_bytes(content, markup):
    assert page_of(content) == markup
    assert page_of(content, ()) != page_of(replace(content, title="Another"), ())


def test_the_page_says_what_the_sections_say_in_their_order(content, markup):
    page, said = words_of(markup), sections(content)
    assert re.findall(r'<section id="([^"]+)">', markup) == [part.key for part in said]
    captions = [unescape(block.caption) for part in said for block in part.blocks if isinstance(block, Figure)]
    places = [page.index(f"Figure {number}. {caption}") for number, caption in enumerate(captions, 1)]
    assert len(places) > 3 and places == sorted(places)
    for block in (block for part in said for block in part.blocks if isinstance(block, TableBlock)):
        start = page.index(f"Table {block.table.number}. {block.table.title}.")
        assert all(cell.text in page[start:] and cell.note in page[start:] for row in block.table.rows for cell in row)
    assert all(name in page for name in ("Do adversarial signs survive paper?", content.experiment_toml.split()[-1]))


def test_every_tag_is_closed_every_id_is_its_own_and_every_reference_leads_somewhere(markup):
    page = Page(markup)
    assert not page.unbalanced and not page.open
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert len(ids) > 100 and max(ids.values()) == 1
    targets = {value[1:] for _, a in page.elements if (value := a.get("href") or "").startswith("#")}
    targets |= {value for _, a in page.elements for value in (a.get("aria-labelledby") or "").split()}
    targets |= set(re.findall(r"url\(#([^)]+)\)", markup))
    assert len(targets) > 20 and targets <= set(ids)


def test_headings_descend_one_level_at_a_time_and_the_contents_name_every_section(content, markup):
    levels = [int(tag[1]) for tag, _ in Page(markup[markup.index("<main>") :]).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    contents = markup[markup.index("<nav") : markup.index("</nav>")]
    assert all(f'<a href="#{part.key}">{part.title}</a>' in contents for part in sections(content))


def test_nothing_in_the_page_asks_for_another_file(markup):
    page = Page(markup)
    names = ("src", "href", "xlink:href", "srcset", "data", "action", "poster")
    addresses = [attributes[name] for _, attributes in page.elements for name in names if name in attributes]
    assert len(addresses) > 20 and all(address.startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"@import|url\((?!#)", markup)
    (policy,) = (a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_every_picture_has_words_for_who_cannot_see_it(markup):
    page = Page(markup)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("img")) == 65 and all(a["alt"].strip() for a in page.all("img"))
    assert len(page.all("svg")) > 4 and all(a["role"] == "img" and a["aria-label"].strip() for a in page.all("svg"))


def test_a_page_of_simulated_photographs_says_so_above_everything_and_on_every_printed_page(markup):
    assert markup.count(SIMULATED_BAND) == 2
    assert markup.index("@top-center") < markup.index('class="band"') < markup.index("<nav")
    real = page_of(make_content(grids={}, simulated=False, n_gallery=0))
    assert SIMULATED_BAND not in real and 'class="band"' not in real


def test_names_of_classes_files_and_titles_are_shown_as_they_are_and_never_run():
    table = Table("1", HOSTILE, (Column(HOSTILE, HOSTILE, is_stub=True),), ((Cell(HOSTILE, HOSTILE),),), HOSTILE)
    item = replace(gallery_item(0, "fgsm", 4, name=HOSTILE), image_id=HOSTILE, attack=HOSTILE, cases=(HOSTILE,))
    blocks = (
        plain(HOSTILE),
        Subheading(HOSTILE),
        Code(HOSTILE),
        Tiles((Tile(HOSTILE, HOSTILE),)),
        Findings((Finding(HOSTILE, HOSTILE, "right", HOSTILE, (HOSTILE,)),)),
        TableBlock(HOSTILE, table, HOSTILE),
        TextTable(HOSTILE, (HOSTILE, "b"), ((HOSTILE, HOSTILE),), (0.5, 0.5)),
        gallery((item, gallery_item(1, "bim", 8)), True),
    )
    made = page_of(make_content(title=HOSTILE), (Section("summary", HOSTILE, blocks), Section("b", HOSTILE, blocks)))
    page = Page(made)
    assert not page.unbalanced and not page.open
    assert len(page.all("script")) == 1 and not any("onerror" in attributes for _, attributes in page.elements)
    assert all(a["src"].startswith("data:") for a in page.all("img"))
    assert page.all("article")[0]["data-attack"] == page.all("article")[0]["data-cases"] == HOSTILE
    assert "".join(page.texts).count('onerror="alert(1)"> "&\'') > 20


def test_what_stands_in_attributes_and_in_the_style_is_escaped_too():
    pictures = (Picture(HOSTILE, None), Picture(HOSTILE, picture(0), ((HOSTILE, 0.5),), True))
    row = PictureRow(HOSTILE, (HOSTILE,), pictures, HOSTILE, "open", {"attack": (HOSTILE,)})
    shown = Gallery((row,), HOSTILE, HOSTILE, (Choice("attack", HOSTILE, ((HOSTILE, HOSTILE),)),))
    page = Page(build_page(Head(HOSTILE, HOSTILE, HOSTILE), (Section("summary", HOSTILE, (shown,)),)).decode("utf-8"))
    assert not page.unbalanced and not page.open and len(page.all("script")) == len(page.all("style")) == 1
    assert page.all("option")[1]["value"] == page.all("article")[0]["data-attack"] == HOSTILE
    assert len(page.all("img")) == 1 and not any("onerror" in attributes for _, attributes in page.elements)


def test_only_bold_survives_in_markup():
    block = replace(plain("x"), markup="<b>n</b> &lt; 3 <i>& <script>alert(1)</script>")
    made = page_of(make_content(), (Section("summary", "S", (block,)),))
    assert '<p class="body"><b>n</b> &lt; 3 &lt;i&gt;& &lt;script&gt;alert(1)&lt;/script&gt;</p>' in made


def test_two_plots_that_are_the_same_share_no_id():
    plots = [rate_figures.photo_rates([rate("average", "fgsm", 8, "photo", None, 1, 3, 9)]) for _ in range(2)]
    first, second = (set(re.findall(r'\bid="([^"]+)"', inline_svg(plot, name, "x"))) for plot, name in zip(plots, "ab"))
    assert len(first) > 10 and not first & second


def test_text_in_a_plot_stays_text_in_a_font_that_every_machine_has():
    drawn = inline_svg(rate_figures.photo_rates([rate("average", "fgsm", 8, "photo", None, 1, 3, 9)]), "a", "Rates & n")
    assert re.search(r"<text[^>]*sans-serif[^>]*>fast, ε 8</text>", drawn)
    assert 'aria-label="Rates &amp; n"' in drawn and "<metadata" not in drawn and "<style" not in drawn


@pytest.mark.parametrize("size, kind", [(32, "png"), (64, "png"), (65, "jpeg"), (500, "jpeg")])
def test_small_pictures_are_lossless_and_large_ones_are_reduced(size, kind):
    import base64
    import io

    from PIL import Image

    pixels = np.random.default_rng(3).integers(0, 256, (size, size, 3), dtype=np.uint8)
    head, data = picture_uri(pixels, 320).split(",")
    assert head == f"data:image/{kind};base64"
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert seen.shape == (min(size, 320), min(size, 320), 3) and (kind == "jpeg" or np.array_equal(seen, pixels))


def test_the_largest_gallery_of_noisy_photographs_stays_below_15_mb_and_says_that_they_are_reduced():
    noise = np.random.default_rng(4).normal(0, 20, (240, 240, 3))
    item = gallery_item(0, "fgsm", 16, pixels=np.clip(picture(0, 240) + noise, 0, 255).astype(np.uint8))
    content = make_content(grids={}, gallery=(item,) * 60)
    made = page_of(content, (Section("gallery", "Gallery", gallery_section(content)),))
    assert 8e6 < len(made) < 14e6 and "reduced to 177 pixels" in made
    assert "reduced to" not in page_of(content, (Section("gallery", "Gallery", gallery_section(make_content())),))


def test_the_outcome_is_that_of_a_working_attack_alone():
    destroyed, survived = gallery_item(0, "fgsm", 8), gallery_item(1, "fgsm", 8)
    assert [outcome(destroyed), outcome(survived)] == [DESTROYED, SURVIVED]
    assert outcome(gallery_item(0, "fgsm", 8, has_photo=False)) == NOT_PHOTOGRAPHED
    never = replace(destroyed, adversarial=replace(destroyed.adversarial, is_correct=True))
    assert outcome(never) == outcome(replace(survived, clean=replace(survived.clean, is_correct=False))) == NOT_WORKING


def test_a_choice_is_offered_only_where_pairs_differ_in_it():
    def selects(*items):
        made = page_of(make_content(), (Section("gallery", "G", (gallery(items, True),)),))
        return [a["name"] for a in Page(made).all("select")]

    item = replace(gallery_item(0, "fgsm", 8), cases=("average",))
    assert selects(item, item) == []
    assert selects(item, replace(item, epsilon_8bit=4, cases=("average", "prefiltered"))) == ["epsilon", "cases"]
    assert selects(item, gallery_item(1, "bim", 8)) == ["attack", "outcome"]


def test_a_run_without_photographs_transforms_or_gallery_gives_a_page():
    page = words_of(page_of(make_content(grids={}, has_photos=False, n_gallery=0)))
    assert "No photograph has been judged yet." in page and "No pair was chosen for the gallery." in page


# What a reader does, done in the page itself; its result is read back from the document.
ACTIONS = """
<script>
addEventListener("load", async () => {
  const found = { violations: [] };
  document.addEventListener("securitypolicyviolation", (event) => found.violations.push(event.blockedURI));
  const later = () => new Promise((resolve) => setTimeout(resolve, 20));
  const table = document.querySelector("#sorted table");
  const header = (place) => table.tHead.rows[1].cells[place];
  const click = (place) => header(place).querySelector("button").click();
  const column = (place) => Array.from(table.tBodies[0].rows, (row) => row.cells[place].firstChild.textContent);
  const state = () => Array.from(table.tHead.rows[1].cells, (cell) => cell.getAttribute("aria-sort"));
  found.groups = Array.from(table.tHead.rows[0].cells, (cell) => cell.textContent);
  found.hidden = getComputedStyle(table.querySelector(".repeated")).color;
  click(1); found.up = column(1); found.names = column(0); found.upState = state();
  found.shown = getComputedStyle(table.querySelector(".repeated")).color;
  click(1); found.down = column(1); found.downState = state();
  click(1); found.again = column(1); found.againState = state();
  click(0); found.words = column(0);
  const button = header(1).querySelector("button");
  button.focus(); found.isFocused = document.activeElement === button; found.role = button.tagName;
  const form = document.querySelector("form.filter"), output = form.querySelector("output");
  const visible = () => Array.from(document.querySelectorAll(".pair")).filter((pair) => pair.offsetParent).length;
  const choose = (name, value) => {
    form.elements[name].value = value;
    form.elements[name].dispatchEvent(new Event("change", { bubbles: true }));
  };
  found.isOffered = !form.hidden;
  found.filters = [[visible(), output.value]];
  choose("attack", "fgsm"); found.filters.push([visible(), output.value]);
  choose("outcome", "destroyed by the photograph"); found.filters.push([visible(), output.value]);
  choose("epsilon", "16"); found.filters.push([visible(), output.value]);
  form.reset(); await later(); found.filters.push([visible(), output.value]);
  choose("cases", "prefiltered"); found.filters.push([visible(), output.value]);
  found.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  found.requests = performance.getEntriesByType("resource").map((entry) => entry.name.slice(0, 40));
  found.title = document.title;
  HOOK
  await later();
  document.documentElement.dataset.found = JSON.stringify(found);
});
</script>
"""


def browse(folder, markup, hook="", width=1200):
    """Returns what ACTIONS found in a headless browser, and what the page wrote to the console."""
    if BROWSER is None:
        pytest.skip("needs a browser: no chromium, chromium-browser or google-chrome is installed (apt-get install chromium)")
    path = folder / "page.html"
    path.write_text(markup.replace("</body>", ACTIONS.replace("HOOK", hook) + "</body>"), encoding="utf-8")
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=5000")
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [BROWSER, *options, profile, f"--window-size={width},900", "--dump-dom", path.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-found="([^"]*)"', ran.stdout)
    assert found, ran.stderr[-2000:]
    return json.loads(unescape(found[1])), [line for line in ran.stderr.splitlines() if ":CONSOLE" in line]


@pytest.fixture(scope="module")
def acted_page():
    """A table that has everything in it that sorting must stand, and a gallery of 12 pairs."""
    texts = ("12.5 %", "n/a", "−3.0", "1,204", "< 0.5", "–", "12.5 %", "9")
    names = ("fast", "", "", "basic iterative", "", "least-likely class", "", "")
    columns = (Column("Method", is_number=False, is_stub=True), Column("rate", "Group"), Column("n", "Group"))
    notes = ("", "†", *[""] * 6)
    rows = tuple((Cell(*name), Cell(text, "99/99"), Cell("1")) for *name, text in zip(names, notes, texts, strict=True))
    table = TableBlock("sorted", Table("1", "To be sorted", columns, rows, rules=frozenset({3})))
    items = make_content(n_gallery=12).gallery
    cases = [("average",), ("average", "prefiltered"), ("prefiltered",)]
    items = tuple(replace(item, cases=cases[place % 3]) for place, item in enumerate(items))
    wide = TextTable("wide", ("words",) * 9, (("more words",) * 9,), (1 / 9,) * 9)
    said = (Section("summary", "Summary", (table, wide, gallery(items, True))),)
    return page_of(make_content(grids={}, title=HOSTILE), said)


@pytest.fixture(scope="module")
def acted(acted_page, tmp_path_factory):
    return browse(tmp_path_factory.mktemp("browser"), acted_page)


class TestInABrowser:
    def test_numbers_are_sorted_by_value_and_what_is_missing_stays_last(self, acted):
        found, _ = acted
        assert found["up"] == ["−3.0", "< 0.5", "9", "12.5 %", "12.5 %", "1,204", "n/a", "–"]
        assert found["down"] == ["1,204", "12.5 %", "12.5 %", "9", "< 0.5", "−3.0", "n/a", "–"]
        assert found["again"] == ["12.5 %", "n/a", "−3.0", "1,204", "< 0.5", "–", "12.5 %", "9"]

    def test_rows_that_are_equal_keep_their_order_and_take_their_names_along(self, acted):
        found, _ = acted
        assert found["names"][:3] == ["fast", "basic iterative", "least-likely class"]
        assert found["names"][3:5] == ["fast", "least-likely class"]
        assert found["words"] == ["basic iterative"] * 2 + ["fast"] * 3 + ["least-likely class"] * 3
        assert found["hidden"] == "rgba(0, 0, 0, 0)" != found["shown"]

    def test_the_header_says_how_the_table_is_sorted_and_keeps_its_groups(self, acted):
        found, _ = acted
        assert found["groups"] == ["", "Group"]
        assert found["upState"] == ["none", "ascending", "none"]
        assert found["downState"] == ["none", "descending", "none"]
        assert found["againState"] == ["none"] * 3

    def test_a_header_is_a_button_that_the_keyboard_reaches(self, acted):
        assert acted[0]["isFocused"] and acted[0]["role"] == "BUTTON"

    def test_the_gallery_shows_the_pairs_that_fit_every_choice_and_counts_them(self, acted):
        assert acted[0]["isOffered"]
        assert acted[0]["filters"] == [
            [12, "12 pairs"],
            [4, "4 of 12 pairs shown"],
            [2, "2 of 12 pairs shown"],
            [0, "0 of 12 pairs shown"],
            [12, "12 pairs"],
            [8, "8 of 12 pairs shown"],
        ]

    def test_the_console_stays_silent_and_nothing_is_asked_for(self, acted):
        found, console = acted
        assert console == [] and found["violations"] == []
        assert all(name.startswith("data:") for name in found["requests"])

    def test_a_hostile_title_is_only_a_title(self, acted):
        assert acted[0]["title"] == HOSTILE

    def test_a_picture_from_elsewhere_would_be_refused_and_seen_and_a_narrow_page_is_not_pushed_sideways(
        self, acted_page, tmp_path
    ):
        hook = 'document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:9/x.png" }));'
        found, console = browse(tmp_path, acted_page, hook, width=500)
        assert found["violations"] == ["http://127.0.0.1:9/x.png"] and console
        assert found["overflow"] == 0
