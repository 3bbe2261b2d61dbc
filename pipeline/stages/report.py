"""Gathers everything a run found and writes the report, with its figures as files."""

import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from pipeline import records
from pipeline.core.version import VERSION
from pipeline.engine import Context
from pipeline.evaluation.criteria import n_ranked_of
from pipeline.evaluation.examples import Examples
from pipeline.records import SIMULATED, Capture, Pair, View
from pipeline.report.content import CaptureQuality, DatasetFacts, GalleryItem, GalleryView, ModelFacts, ReportContent, StudyPart
from pipeline.report.sections import head, sections
from pipeline.report.summary import sentences
from pipeline.report.writing import FIGURE_KINDS, write_document
from pipeline.settings import CheckSettings, Experiment
from pipeline.settings.writing import experiment_text
from pipeline.stages.explain import read_explanations
from pipeline.stages.thresholds import survival_curves
from pipeline.store import Run, artefacts, read_stage_record, record_from
from pipeline.store.artefacts import FIGURES
from pipeline.store.stage import FAILED, Outcome
from pipeline.studies import study_named
from pipeline.studies.cohen2019.certifying import read_certificates
from pipeline.studies.reproducing import write_reproduction

_SHOWN_VERSIONS = ["torch", "torchvision", "numpy", "opencv-python", "pillow"]
_SHOWN_VERSIONS += ["zxing-cpp", "pyzbar", "qrcode", "reportlab", "pypdfium2"]
Row = TypeVar("Row")
_N_GALLERY_LABELS = 3


def report(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `report.pdf`, `report.html`, `figures/` and `tables/`; the summary holds the sentences that matter.

    A run that sets out to reproduce a paper gets `reproduction.md`, `.csv` and `.json` too.
    """
    content = report_content(experiment, run)
    written = write_report(content, run.reports, context)
    n_figures = sum(name.startswith(FIGURES.file("")) for name in written) // len(FIGURE_KINDS)
    headline = [sentence.replace("**", "") for sentence in sentences(content)]
    written += write_reproduction(content, run)
    return Outcome(tuple(written), {"n_figures": n_figures, "headline": headline})


def write_report(content: ReportContent, folder: Path, context: Context) -> list[str]:
    """Writes `report.pdf`, `report.html`, `figures/` and `tables/` into a folder and returns their names."""
    return write_document(head(content), sections(content), folder, context)


def report_content(experiment: Experiment, run: Run) -> ReportContent:
    """Returns everything that the report of a run shows."""
    selection = artefacts.SELECTION.read(run)
    rates = artefacts.COUNTED.read(run)
    pairs = tuple(artefacts.PAIRS.read(run))
    examples = Examples(run, with_simulated=not experiment.photograph.predicts)
    photographed = artefacts.has_photos(run)
    captures = tuple(artefacts.CAPTURED.read(run)) if photographed else ()
    discards = tuple(artefacts.DISCARDS.read(run)) if photographed else ()

    def of(kind: type[Row], rows: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
        return tuple(record_from(kind, row) for row in rows)

    transfer = of(records.Transfer, rates.get("transfer", ()))
    counted = (origin for origin, counts in artefacts.VIEWS.values(run, "origin", "counts", where=artefacts.is_photo()) if counts)
    simulated = SIMULATED in (*counted, *(row.origin for row in transfer))
    if experiment.photograph.predicts:  # the camera's photographs are shown, the simulator's only beside them as a prediction
        ids = {capture.capture_id for capture in captures if capture.origin == SIMULATED}
        captures = tuple(capture for capture in captures if capture.capture_id not in ids)
        discards = tuple(discard for discard in discards if discard.capture_id not in ids)
    model = selection["model"]
    class_names = tuple(selection["class_names"])
    height, width = model["input_size"]
    content = ReportContent(
        run=run.name,
        title=_title(experiment, run, simulated),
        experiment_toml=experiment_text(replace(experiment, check=CheckSettings()), run.printouts, comments=False),
        versions={"inkproof": VERSION, "Python": platform.python_version(), **{name: _version(name) for name in _SHOWN_VERSIONS}},
        seed=experiment.seed,
        model=ModelFacts(
            model["name"],
            model["fingerprint"],
            (width, height),
            model["n_classes"],
            model["differentiable"],
            n_ranked_of(model),
        ),
        dataset=DatasetFacts(experiment.dataset.name, selection["n_dataset"], len(class_names), len(selection["rejected"])),
        simulated=simulated,
        fills=of(records.CellFill, selection["fills"]),
        pairs=pairs,
        accuracies=of(records.Rate, rates["accuracies"]),
        rates=of(records.Rate, rates["destruction_rates"]),
        overall=of(records.Rate, rates["overall"]),
        n_pages=artefacts.LAYOUT.read(run).n_pages if photographed else 0,
        printer=experiment.report.printer,
        profile=experiment.photograph.profile,
        captures=captures,
        discards=discards,
        quality=_quality(captures, examples.photos),
        gallery=_gallery(experiment.report.n_gallery, run, pairs, examples, class_names),
        transfer=transfer,
        defences={defence.key: experiment.made_on(defence.key) for defence in experiment.defences},
        defence_rows=of(records.DefenceRow, rates.get("defences", ())),
        certified=tuple(read_certificates(experiment, run, model["fingerprint"])),
        first_layer=tuple(artefacts.FIRST_LAYER.read(run)) if artefacts.FIRST_LAYER.exists(run) else (),
        compared=of(records.Comparison, rates.get("predicted", ())),
        model_flags=of(records.ModelFlag, selection["model_flags"]),
        comparisons=of(records.Comparison, rates["comparisons"]),
        flags=of(records.FlagRow, rates["flags"]),
        reproduces=experiment.report.reproduces,
        findings=of(records.FindingRow, rates["findings"]),
        explanations=read_explanations(run, pairs, examples, class_names),
        left_out=_left_out(run),
        survival=survival_curves(experiment.thresholds, artefacts.THRESHOLDS.read(run)),
    )
    return replace(content, study=study_named(content.reproduces).part(content) or StudyPart())


def _left_out(run: Run) -> tuple[tuple[str, str], ...]:
    """Returns the stages that failed and that the run went on without, each with the reason."""
    stages = ((run.captures, "photograph"), (run.reports, "classify"), (run.reports, "thresholds"), (run.reports, "explain"))
    records = ((name, read_stage_record(folder, name)) for folder, name in stages)
    return tuple((name, record.summary[FAILED]) for name, record in records if record and FAILED in record.summary)


def _title(experiment: Experiment, run: Run, simulated: bool) -> str:
    """Returns the report's title; that of a reproduction says what stands in for photographs and images."""
    title = experiment.report.title or f"Adversarial images of {run.name}, printed and photographed"
    if not experiment.report.reproduces:
        return title
    stand_ins = ["simulated photographs"] if simulated else []
    stand_ins += ["built-in images"] if experiment.dataset.name.startswith("builtin:") else []
    return f"{title} ({', '.join(stand_ins)})" if stand_ins else title


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _quality(captures: tuple[Capture, ...], views: list[View]) -> tuple[CaptureQuality, ...]:
    by_capture: dict[str, list[View]] = defaultdict(list)
    for view in views:
        by_capture[view.capture_id].append(view)

    def middle(capture: Capture, name: str) -> float | None:
        values = [value for view in by_capture.get(capture.capture_id, ()) if (value := getattr(view, name)) is not None]
        return median(values) if values else None

    return tuple(
        CaptureQuality(
            capture.capture_id,
            capture.photo,
            capture.page,
            capture.n_codes,
            capture.reprojection_rms_px,
            middle(capture, "registration_error_px"),
            middle(capture, "sharpness"),
            middle(capture, "photo_px_per_image_px"),
        )
        for capture in captures
        if capture.page is not None
    )


def _gallery(
    n_rows: int,
    run: Run,
    pairs: tuple[Pair, ...],
    examples: Examples,
    class_names: tuple[str, ...],
) -> tuple[GalleryItem, ...]:
    """Takes working attacks from every cell in turn, those that the photograph undid and those that it did not alternating."""
    names = dict(artefacts.CANDIDATES.values(run, "image_id", "true_name"))

    def shown(view: View) -> GalleryView:
        found = examples.said(view)
        top = zip(found.labels[:_N_GALLERY_LABELS], found.probabilities, strict=False)
        named = tuple((class_names[label], probability) for label, probability in top)
        return GalleryView(examples.pixels(view), named, examples.is_right(view))

    def photo(pair: Pair, variant: str) -> GalleryView | None:
        view = examples.photo(pair, variant)
        return shown(view) if view else None

    return tuple(
        GalleryItem(
            image_id=pair.image_id,
            attack=pair.attack,
            epsilon_8bit=pair.epsilon_8bit,
            true_name=names[pair.image_id],
            clean=shown(examples.file(pair, "clean")),
            adversarial=shown(examples.file(pair, "adversarial")),
            photo_clean=photo(pair, "clean"),
            photo_adversarial=photo(pair, "adversarial"),
            cases=pair.cases,
        )
        for pair in examples.chosen(pairs, n_rows)
    )
