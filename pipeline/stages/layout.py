"""Lays the pairs out on pages that can be printed, photographed and recognised again."""

import base64
import dataclasses
import hashlib
from collections import Counter

from pipeline.executor import Context
from pipeline.images import read_png
from pipeline.printing import Cell, Instructions, PrintPair, arrange, build_pdf, caption_text
from pipeline.records import VARIANTS, Candidate, Pair
from pipeline.settings import Experiment
from pipeline.stages.outcome import Outcome
from pipeline.store import Run, content_hash, file_hash, read_table, write_bytes, write_json

RUN_CODE_CHARS = 5


def layout(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `printout.pdf` and `layout.json`, the geometry of every page in mm.

    The run's code in the QR codes is made from everything that is printed, so a photo of an older printout is never taken for
    one of this.
    """
    pairs = read_table(run.printouts / "pairs.parquet", Pair)
    names = {row.image_id: row.true_name for row in read_table(run.printouts / "candidates.parquet", Candidate)}
    settings = experiment.layout
    shapes = {pair.clean_path: read_png(run.printouts / pair.clean_path).shape for pair in pairs}
    printed = [
        PrintPair(pair.pair_id, pair.clean_path, pair.adversarial_path, shapes[pair.clean_path][1], shapes[pair.clean_path][0])
        for pair in pairs
    ]
    printout = arrange(
        printed,
        run=run.name,
        run_code=_run_code(run, pairs, dataclasses.asdict(settings)),
        paper=settings.paper,
        orientation=settings.orientation,
        pairs_per_page=settings.pairs_per_page,
        image_mm=settings.image_mm,
        dpi=settings.dpi,
    )
    captions = {
        (pair.pair_id, variant): caption_text(pair, variant, names[pair.image_id]) for pair in pairs for variant in VARIANTS
    }
    counts = Counter((pair.attack, pair.epsilon_8bit) for pair in pairs)
    cells = tuple(Cell(attack, epsilon, n_pairs) for (attack, epsilon), n_pairs in counts.items())
    instructions = Instructions(f"captures/{run.name}/photos/", f"inkproof run {run.name}", cells)
    pdf = build_pdf(printout, lambda path: read_png(run.printouts / path), captions, instructions)
    write_bytes(run.pdf, pdf)
    run.photos.mkdir(parents=True, exist_ok=True)
    write_json(run.layout, dataclasses.replace(printout, pdf_sha256=hashlib.sha256(pdf).hexdigest()))
    first = printout.placements[0]
    summary = {
        "n_pages": printout.n_pages,
        "n_pairs": len(pairs),
        "run_code": printout.run_code,
        "image_mm": round(first.width_mm, 1),
    }
    notes = (f"printout.pdf: {printout.n_pages} pages and one of instructions, images {first.width_mm:.0f} mm wide",)
    return Outcome(("printout.pdf", "layout.json"), summary, notes)


def _run_code(run: Run, pairs: list[Pair], settings: dict[str, object]) -> str:
    images = [
        (pair.pair_id, file_hash(run.printouts / pair.clean_path), file_hash(run.printouts / pair.adversarial_path))
        for pair in pairs
    ]
    digest = bytes.fromhex(content_hash([run.name, settings, images]))
    return base64.b32encode(digest).decode()[:RUN_CODE_CHARS]
