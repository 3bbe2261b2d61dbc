"""A made-up run for the tests of documents and reports: its records, and what is built from them."""

import itertools
from dataclasses import replace

import numpy as np
import pypdfium2

from pipeline.document.html import build_page
from pipeline.document.pdf import build_pdf
from pipeline.evaluation.criteria import TopK
from pipeline.evaluation.estimates import estimate, rate_of
from pipeline.evaluation.outcomes import Condition, Question
from pipeline.records import Capture, CellFill, Discard, Pair
from pipeline.report.content import (
    CaptureQuality,
    DatasetFacts,
    GalleryItem,
    GalleryView,
    ModelFacts,
    ReportContent,
)
from pipeline.report.sections import head, sections
from pipeline.statistics import effective_number, wilson
from pipeline.studies import study_named

ATTACKS = ("fgsm", "bim", "illc")
GRIDS = {
    "brightness": (-30, -20, -10, 0, 10, 20, 30),
    "contrast": (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3),
    "blur": (0.4, 0.6, 0.8, 1.0, 1.2, 1.6, 2.0),
    "noise": (2, 5, 8, 10, 12, 15, 20),
    "jpeg": (10, 20, 30, 50, 70, 90, 100),
}
NAMES = (
    "great white shark, white shark, man-eater, man-eating shark, Carcharodon carcharias",
    "tench, Tinca tinca",
    "stop",
    "black-and-tan coonhound of the north",
    "brass, memorial tablet, plaque",
)
TOML = '# The small experiment.\nname = "small"\nseed = 7\n\n[model]\nname = "builtin:signs"  # the network under test\n'


def rate(case, attack, epsilon, transform, value, k, n_hit, n, origin="simulated", n_images=None):
    return _rate("destruction_rate", (case, attack, epsilon), (transform, value, origin), k, n_hit, n, n_images or n)


def accuracy(case, attack, epsilon, variant, transform, k, n_correct, n, origin="simulated"):
    return _rate(f"{variant}_accuracy", (case, attack, epsilon), (transform, None, origin), k, n_correct, n, n)


def _rate(quantity, cell, condition, k, n_hit, n, n_images):
    question = Question(quantity, cell, Condition(*condition), TopK(k))
    return rate_of(question, estimate([True] * n_hit + [False] * (n - n_hit)), n_images, 0)


def pooled(rows):
    """The top-1 rates over all cells of each case, as if every cell had the same images."""
    groups = {}
    for row in (row for row in rows if row.top_k == 1):
        groups.setdefault((row.case, row.quantity, row.transform, row.parameter, row.origin), []).append(row)
    for (case, quantity, transform, parameter, origin), found in groups.items():
        most = max(row.n_eligible for row in found)
        is_clean_file = (quantity, transform) == ("clean_accuracy", "source")
        n_hit, n = (found[0].n_hit, most) if is_clean_file else (sum(r.n_hit for r in found), sum(r.n_eligible for r in found))
        question = Question(quantity, (case, "", 0), Condition(transform, parameter, origin), TopK(1))
        yield rate_of(question, estimate([True] * n_hit + [False] * (n - n_hit)), n_different=most)


def picture(seed, size=96):
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = [127 + 100 * np.sin(generator.uniform(2, 9) * x + generator.uniform(2, 9) * y) for _ in range(3)]
    return np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)


def gallery_item(place, attack, epsilon, has_photo=True, pixels=None, name=None):
    clean = picture(place) if pixels is None else pixels
    signs = np.random.default_rng(place + 1).choice((-epsilon, epsilon), clean.shape)
    adversarial = np.clip(clean.astype(int) + signs, 0, 255).astype(np.uint8)
    blurred = np.clip(clean.astype(int) * 0.85 + 20, 0, 255).astype(np.uint8)
    name = name or NAMES[place % len(NAMES)]
    right = ((name, 0.912), (NAMES[1], 0.05), (NAMES[4], 0.01))
    wrong = ((NAMES[3], 0.804), (name, 0.11), (NAMES[1], 0.02))
    photos = (GalleryView(blurred, right, True), GalleryView(blurred, wrong if place % 2 else right, not place % 2))
    return GalleryItem(
        f"image-{place:03d}",
        attack,
        epsilon,
        name,
        GalleryView(clean, right, True),
        GalleryView(adversarial, wrong, False),
        *(photos if has_photo else (None, None)),
    )


def make_content(
    attacks=ATTACKS,
    epsilons=(4, 16),
    cases=("average", "prefiltered"),
    grids=GRIDS,
    has_photos=True,
    simulated=True,
    n_gallery=12,
    empty=(),
    **changes,
):
    """A made-up run whose rates follow the paper's orderings; cells in `empty` have no image at all."""
    cells = list(itertools.product(cases, attacks, epsilons))
    origin = "simulated" if simulated else "camera"
    rates, accuracies, fills, pairs = [], [], [], []
    for case, attack, epsilon in cells:
        n = 0 if (case, attack, epsilon) in empty else 24
        fills.append(CellFill(case, attack, epsilon, 24, n, 120))
        pairs += [
            Pair(
                f"{case}-{attack}-{epsilon}-{i}",
                f"image-{i:03d}",
                attack,
                epsilon,
                (case,),
                0,
                None,
                *("", ""),
                epsilon,
                1.0,
                0.9,
                1,
                1,
            )
            for i in range(n)
        ]
        strength = 0.25 + 0.2 * (ATTACKS.index(attack) if attack in ATTACKS else 1) + 0.1 * (epsilon < 16)
        for k in (1, 5):
            eligible = round(n * (0.8 if k == 1 else 0.6))
            for variant, share in (("clean", 0.9), ("adversarial", 0.15)):
                right = round(n * min(1, share + 0.05 * (k == 5)))
                accuracies.append(accuracy(case, attack, epsilon, variant, "source", k, right, n, ""))
                if has_photos:
                    seen = round(n * (0.84 if variant == "clean" else strength))
                    accuracies.append(accuracy(case, attack, epsilon, variant, "photo", k, min(n, seen), n, origin))
            if has_photos:
                hit = round(eligible * min(1, strength + 0.1 * (k == 5)))
                rates.append(rate(case, attack, epsilon, "photo", None, k, hit, eligible, origin, n))
            for name, values in grids.items():
                for place, value in enumerate(values):
                    far = (
                        1 - place / len(values)
                        if name == "jpeg"
                        else abs(place - 3) / 12
                        if name in ("brightness", "contrast")
                        else place / 7
                    )
                    hit = round(eligible * min(0.95, strength * far + 0.1 * far * (k == 5)))
                    rates.append(rate(case, attack, epsilon, name, float(value), k, hit, eligible, "digital", n))
    captures = [
        Capture(
            f"c{i}",
            f"IMG_20261116_1507176{i:02d}.jpg",
            frame="",
            sha256="0" * 64,
            device="phone",
            taken_at="",
            origin=origin,
            width_px=4000,
            height_px=3000,
            page=i + 1,
            n_codes=4,
            n_points=44,
            reprojection_rms_px=0.4 + 0.05 * i,
            photo_from_page=None,
            residual_px=(),
            tilt_deg=None,
            colour="",
            trouble="",
            counts=True,
        )
        for i in range(12 * has_photos)
    ]
    quality = [
        CaptureQuality(
            c.capture_id,
            c.photo,
            c.page,
            4,
            c.reprojection_rms_px,
            0.2 + 0.013 * i if simulated else None,
            0.31 + 0.004 * i,
            2.1 + 0.02 * i,
        )
        for i, c in enumerate(captures)
    ]
    discards = (
        [
            Discard("IMG_dark.jpg", "", None, "", "", "no-code", "mean level 11 of 255"),
            Discard("IMG_copy.jpg", "c3", 4, "", "", "superseded", ""),
            Discard("IMG_chart.jpg", "c9", None, "", "", "calibration", ""),
            Discard(captures[2].photo, "c2", 3, "average-bim-4-1", "adversarial", "outside", "12 px"),
        ]
        if has_photos
        else []
    )
    gallery = [
        gallery_item(i, attack, epsilon, has_photos)
        for i, (attack, epsilon) in zip(range(n_gallery), itertools.cycle(itertools.product(attacks, epsilons)))
    ]
    content = ReportContent(
        run="small-run",
        title="Do adversarial signs survive paper?",
        experiment_toml=TOML,
        versions={"inkproof": "0.1.0", "torch": "2.13"},
        seed=7,
        model=ModelFacts("builtin:signs", "a1b2c3", (96, 96), 24),
        dataset=DatasetFacts("builtin:signs", 400, 24, 3),
        simulated=simulated and has_photos,
        fills=tuple(fills),
        pairs=tuple(pairs),
        accuracies=tuple(accuracies),
        rates=tuple(rates),
        captures=tuple(captures),
        discards=tuple(discards),
        quality=tuple(quality),
        gallery=tuple(gallery),
    )
    content = replace(content, **changes)
    if "overall" not in changes:
        content = replace(content, overall=tuple(pooled((*content.accuracies, *content.rates))))
    return replace(content, study=study_named(content.reproduces).part(content))


def cluster_interval(outcomes, clusters):
    """Wilson's interval with the effective number of images in place of their number; None without images."""
    if not outcomes:
        return None
    number = effective_number(outcomes, [clusters])
    return wilson(sum(outcomes) / number.n * number.n_effective, number.n_effective)


def pages(pdf):
    document = pypdfium2.PdfDocument(pdf)
    return [document[i].get_textpage().get_text_range().replace("\u00a0", " ") for i in range(len(document))]


def pdf_of(content, said=None):
    """The report of a run as a PDF; `said` in place of its own sections."""
    return build_pdf(head(content), sections(content) if said is None else said)


def page_of(content, said=None):
    """The report of a run as an HTML page, as text; `said` in place of its own sections."""
    return build_page(head(content), sections(content) if said is None else said).decode("utf-8")
