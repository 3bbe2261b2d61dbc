"""Applies every digital transform at every value of its grid to the clean and the adversarial files."""

from functools import partial
from pathlib import Path

from pipeline import engine
from pipeline.engine import Context
from pipeline.images import pixels_sha256, png_bytes, read_png
from pipeline.settings import Experiment
from pipeline.store import Run, content_hash, json_bytes
from pipeline.store.artefacts import PAIRS, TRANSFORMED, TRANSFORMED_IMAGES
from pipeline.store.stage import Outcome
from pipeline.transforms.views import SourceFile, digital_view, source_files, transformed


def transform(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `transforms.parquet`: one view for every file, transform and value, with the hash of its 8-bit pixels.

    The pixels are kept as files only with `save_images`; otherwise they are made again when they are judged, and checked.
    """
    settings = experiment.transforms
    steps = [(name, value) for name, values in settings.grids.items() for value in values]
    sources = source_files(PAIRS.read(run)) if steps else []
    saved_in = run if settings.save_images else None
    items = run.items("transform", run.captures)
    work = partial(_hashes, printouts=run.printouts, steps=steps, seed=experiment.seed, saved_in=saved_in)
    keys = {
        source: content_hash([source.subject, _pixels_hash(run, source), steps, experiment.seed])
        for source in context.progress(sources, len(sources), "reading")
    }
    kept = {source: items.get_json(keys[source]) for source in sources}
    todo = [source for source in sources if kept[source] is None or saved_in]
    for source, hashes in engine.map(work, todo, context, "files"):
        kept[source] = hashes
        items.put(keys[source], json_bytes(hashes))
    views = [
        digital_view(source, sha256, name, value, TRANSFORMED_IMAGES.file(_saved_stem(source, name, value)) if saved_in else "")
        for source in sources
        for (name, value), sha256 in zip(steps, kept[source], strict=True)
    ]
    TRANSFORMED.write(run, views)
    saved = [view.path for view in views if view.path]
    TRANSFORMED_IMAGES.keep_only(run, saved)
    items.prune()
    return Outcome((TRANSFORMED.name, *saved), {"n_views": len(views), "n_transforms": len(settings.grids)})


def _pixels_hash(run: Run, source: SourceFile) -> str:
    return pixels_sha256(read_png(run.printouts / source.path))


def _hashes(source: SourceFile, printouts: Path, steps: list[tuple[str, float]], seed: int, saved_in: Run | None) -> list[str]:
    pixels = read_png(printouts / source.path)
    hashes = []
    for (name, value), result in zip(steps, transformed(pixels, source, steps, seed), strict=True):
        if saved_in:
            TRANSFORMED_IMAGES.write(saved_in, _saved_stem(source, name, value), png_bytes(result))
        hashes.append(pixels_sha256(result))
    return hashes


def _saved_stem(source: SourceFile, name: str, value: float) -> str:
    return f"{name}={value:g}/{source.subject}"
