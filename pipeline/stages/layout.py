"""Lays the pairs out on pages that can be printed, photographed and recognised again."""

import base64
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np

from pipeline.core.errors import WrongUse
from pipeline.engine import Context
from pipeline.images import png_bytes
from pipeline.physical.fiducials.codes import CALIBRATION
from pipeline.physical.printing.arrangement import PrintPair, arrange
from pipeline.physical.printing.chart import calibration_chart
from pipeline.physical.printing.document import caption_text, render_page, screen_html, screen_page_name, write_pdf
from pipeline.physical.printing.instructions import Instructions
from pipeline.records import VARIANTS, Pair, Printout
from pipeline.settings import Experiment, LayoutSettings
from pipeline.store import Run, bytes_hash, content_hash, file_hash, saved_image
from pipeline.store.artefacts import CANDIDATES, LAYOUT, PAIRS, PDF, PHOTOS, SCREEN
from pipeline.store.stage import Outcome
from pipeline.transforms.views import saved_pixels

RUN_CODE_CHARS = 5


def layout(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `printout.pdf`, or pages for the screen, and `layout.json`, the geometry of every page in mm.

    The run's code in the QR codes is made from everything that is printed, so a photo of an older printout is never taken for
    one of this. With `layout.calibration` the last page of the PDF is the calibration page, which is not in the layout: its
    codes tell all of it.

    Raises:
        WrongUse: a calibration page is wanted on a screen.
    """
    if experiment.layout.calibration and experiment.layout.medium == "screen":
        raise WrongUse(f"{experiment.where('layout.calibration')}: a screen has no calibration page.", "Set it to false.")
    pairs = PAIRS.read(run)
    names = {row.image_id: row.true_name for row in CANDIDATES.read(run)}
    settings = experiment.layout
    paths = {pair.clean_path for pair in pairs}
    shapes = {path: saved_pixels(run.printouts, path).shape for path in context.progress(sorted(paths), len(paths), "images")}
    printed = [
        PrintPair(pair.pair_id, pair.clean_path, pair.adversarial_path, shapes[pair.clean_path][1], shapes[pair.clean_path][0])
        for pair in pairs
    ]
    printout = arrange(
        printed,
        run=run.name,
        run_code=_run_code(run, pairs, settings),
        paper=settings.paper,
        orientation=settings.orientation,
        pairs_per_page=settings.pairs_per_page,
        image_mm=settings.image_mm,
        dpi=settings.dpi,
        aids=settings.aids,
        medium=settings.medium,
    )
    captions = {
        (pair.pair_id, variant): caption_text(pair, variant, names[pair.image_id]) for pair in pairs for variant in VARIANTS
    }
    counts = Counter((pair.attack, pair.epsilon_8bit) for pair in pairs)
    instructions = Instructions(f"{PHOTOS.folder}/{run.name}/{PHOTOS.name}/", experiment.file_name, counts)
    chart = calibration_chart(settings.paper, settings.orientation, settings.dpi) if settings.calibration else None
    drawn = context.progress(printout.placements, len(printout.placements), "drawing")

    def image(path: str) -> np.ndarray:
        next(drawn, None)
        return saved_pixels(run.printouts, path)

    write = partial(write_pdf, printout=printout, load_image=image, captions=captions, instructions=instructions, chart=chart)
    run.photos.mkdir(parents=True, exist_ok=True)
    is_screen = settings.medium == "screen"
    digest, outputs, note = _for_screen(run, printout, write, context) if is_screen else _for_paper(run, printout, write)
    LAYOUT.write(run, dataclasses.replace(printout, pdf_sha256=digest))
    first = printout.placements[0]
    summary = {
        "n_pages": printout.n_pages,
        "n_pairs": len(pairs),
        "run_code": printout.run_code,
        "image_mm": round(first.width_mm, 1),
        "n_marks": sum(mark.page == 1 for mark in printout.marks),
    }
    return Outcome((*outputs, LAYOUT.name), summary, (note,))


def _for_paper(run: Run, printout: Printout, write: Callable[[BinaryIO], None]) -> tuple[str, tuple[str, ...], str]:
    """Writes the PDF; returns the hash of what is printed, the files and a note."""
    SCREEN.keep_only(run, ())
    with run.files.writing(PDF.path(run)) as file:
        write(file)
    digest = file_hash(PDF.path(run))
    size = printout.placements[0].width_mm
    note = f"{PDF.name}: {printout.n_pages} pages and one of instructions, images {size:.0f} mm wide"
    return digest, (PDF.name,), note


def _for_screen(
    run: Run, printout: Printout, write: Callable[[BinaryIO], None], context: Context
) -> tuple[str, tuple[str, ...], str]:
    """Writes a picture of each page and the HTML page that shows them; returns as `_for_paper`."""
    PDF.remove(run)
    digest = hashlib.sha256()
    names = [screen_page_name(page) for page in range(1, printout.n_pages + 1)]
    SCREEN.keep_only(run, names)
    with TemporaryDirectory() as folder:
        pdf = Path(folder) / PDF.name
        with pdf.open("wb") as file:
            write(file)
        for page, name in context.progress(enumerate(names, start=1), len(names), "pages"):
            png = png_bytes(render_page(pdf, page, printout.dpi, sharp=True))
            digest.update(png)
            SCREEN.write(run, name.removeprefix(f"{SCREEN.name}/"), png)
    shown_by = SCREEN.write(run, "index.html", screen_html(printout).encode())
    first = printout.placements[0]
    side = round(first.width_mm * printout.dpi / 25.4)
    note = f"{shown_by}: {printout.n_pages} pages, images {side} screen pixels wide"
    return digest.hexdigest(), (*names, shown_by), note


def _run_code(run: Run, pairs: list[Pair], settings: LayoutSettings) -> str:
    # a calibration page more or less changes none of the others
    said = {key: value for key, value in dataclasses.asdict(settings).items() if key != "calibration"}
    images = [
        (pair.pair_id, *(bytes_hash(saved_image(run.printouts, path)) for path in (pair.clean_path, pair.adversarial_path)))
        for pair in pairs
    ]
    digest = bytes.fromhex(content_hash([run.name, said, images]))
    code = base64.b32encode(digest).decode()
    # those of the calibration page are taken
    return code[1 if code.startswith(CALIBRATION) else 0 :][:RUN_CODE_CHARS]
