"""Applies every digital transform at every value of its grid to the clean and the adversarial files."""

from collections.abc import Iterator, Sequence
from functools import partial

from pipeline import engine
from pipeline.engine import Context
from pipeline.images import pixels_sha256, png_bytes, read_png
from pipeline.records import View
from pipeline.settings import Experiment
from pipeline.store import Run, saved_image
from pipeline.store.artefacts import PAIRS, TRANSFORMED, TRANSFORMED_IMAGES
from pipeline.store.stage import Outcome
from pipeline.transforms.views import SourceFile, Step, digital_view, source_files, steps_of, transformed, view_of_saved


def transform(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `transforms.parquet`: one view for every file, transform and value.

    With `save_images` the pixels are kept as files, and their hashes with them; otherwise they are made when they are judged.
    """
    settings, steps = experiment.transforms, steps_of(experiment.transforms)
    sources = source_files(PAIRS.rows(run)) if steps else []
    saved: list[str] = []
    with TRANSFORMED.writing(run) as write:
        for views in _saved(sources, steps, experiment.seed, run, context) if settings.save_images else _listed(sources, steps):
            write(views)
            saved += [view.path for view in views if view.path]
    TRANSFORMED_IMAGES.keep_only(run, saved)
    counts = {"n_views": len(sources) * len(steps), "n_transforms": len(settings.grids)}
    return Outcome((TRANSFORMED.name, *saved), counts)


def _listed(sources: Sequence[SourceFile], steps: Sequence[Step]) -> Iterator[list[View]]:
    return ([digital_view(source, "", *step) for step in steps] for source in sources)


def _saved(sources: Sequence[SourceFile], steps: Sequence[Step], seed: int, run: Run, context: Context) -> Iterator[list[View]]:
    """Yields the views of each source file, in their order, and writes what they show."""
    made = partial(_made, steps=steps, seed=seed)
    mapped = engine.map(made, sources, context, "files", load=lambda source: (source, saved_image(run.printouts, source.path)))
    for source, results in engine.in_order(mapped, sources):
        views = [view_of_saved(source, sha256, *step) for step, (sha256, _) in zip(steps, results, strict=True)]
        for view, (_, png) in zip(views, results, strict=True):
            run.files.write(run.captures / view.path, png)
        yield views


def _made(shown: tuple[SourceFile, bytes], steps: Sequence[Step], seed: int) -> list[tuple[str, bytes]]:
    """Returns the hash of the pixels and the PNG of every transform of a source file, which comes with its own PNG."""
    source, png = shown
    results = transformed(read_png(png), source, steps, seed)
    return [(pixels_sha256(pixels), png_bytes(pixels)) for pixels in results]
