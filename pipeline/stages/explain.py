"""Shows what the model looks at in a few pairs: maps for the clean file, the adversarial one and its photograph, with scores."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np

from pipeline.core.errors import WrongUse, near_match
from pipeline.core.seeds import generator_for
from pipeline.datasets.labels import Labels
from pipeline.engine import Context
from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.examples import Examples
from pipeline.images import png_bytes
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.models.explaining import Explained, How, explained, how_for
from pipeline.records import SIMULATED, Candidate, ExplainedView, Pair, Prediction, View
from pipeline.report.content import ExplainedPair, ExplainedPicture, Explanations
from pipeline.report.heat import heat_picture, scale_of
from pipeline.settings import Experiment
from pipeline.stages.outcome import Outcome
from pipeline.store import Items, Run, content_hash, read_json, read_table, record_from, replace_folder, write_bytes, write_json

FOLDER = "explain"


def explain(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `explain/`: `explain.json` with the scores, `maps.npz` with the maps, and a picture of each map.

    Every pair's maps of one method share one scale, so that clean file, adversarial file and photograph can be compared.

    Raises:
        WrongUse: an image, a class or a layer that does not exist, or a method that the model does not allow.
    """
    settings = experiment.explain
    pairs = read_table(run.printouts / "pairs.parquet", Pair)
    views = read_table(run.reports / "views.parquet", View)
    if experiment.photograph.predicts:
        views = [view for view in views if view.origin != SIMULATED]
    predictions = {row.view_id: row for row in read_table(run.reports / "predictions.parquet", Prediction)}
    examples = Examples(run, views, predictions)
    chosen = _named(settings.images, pairs, examples) if settings.images else examples.chosen(pairs, settings.n_images)
    how, notes, rows, maps = None, (), [], {}
    written: dict[str, bytes] = {}
    items = run.items("explain", run.reports)
    if chosen:
        classifier = load_classifier(experiment.resolved_model(), context.device)
        how, notes = how_for(classifier, settings)
        fixed = None if settings.target in ("true", "predicted") else _class(settings.target, classifier)
    for pair in context.progress(chosen, len(chosen), "explain"):
        shown = [examples.file(pair, "clean"), examples.file(pair, "adversarial"), examples.photo(pair, "adversarial")]
        shown = [view for view in shown if view is not None]
        label = fixed
        if fixed is None:
            label = pair.true_label if settings.target == "true" else predictions[shown[1].view_id].labels[0]
        pixels = np.stack([examples.pixels(view) for view in shown])
        found = _kept(items, classifier, pair, [view.sha256 for view in shown], pixels, label, how, experiment.seed)
        for place, view in enumerate(shown):
            variant = "photo" if view.capture_id else view.variant
            judged = predictions[view.view_id]
            scores = float(found.logits[place]), float(found.probabilities[place])
            said = judged.labels[0], judged.probabilities[0]
            rows.append(ExplainedView(pair.pair_id, variant, view.view_id, label, *scores, *said))
            for method, values in found.maps.items():
                maps[f"{pair.pair_id}/{variant}/{method}"] = values[place]
                picture = heat_picture(pixels[place], values[place], method, scale_of(values))
                written[f"{pair.pair_id.replace('/', '-')}-{variant}-{method}.png"] = png_bytes(picture)
    items.prune()
    if maps:
        written["maps.npz"] = _npz(maps)
    for name, content in written.items():
        write_bytes(run.reports / FOLDER / name, content)
    write_json(run.reports / FOLDER / "explain.json", {"how": how and asdict(how), "target": settings.target, "views": rows})
    names = [*written, "explain.json"]
    replace_folder(run.reports / FOLDER, set(names))
    summary = {"n_pairs": len(chosen), "n_maps": len(maps)}
    return Outcome(tuple(f"{FOLDER}/{name}" for name in names), summary, notes)


def read_explanations(
    run: Run,
    pairs: Iterable[Pair],
    views: Iterable[View],
    predictions: Mapping[str, Prediction],
    class_names: Sequence[str],
) -> Explanations | None:
    """Returns what the stage found, for the report; None where no pair was explained."""
    kept = read_json(run.reports / FOLDER / "explain.json")
    rows = [record_from(ExplainedView, row) for row in kept["views"]]
    if not rows:
        return None
    examples = Examples(run, views, predictions)
    by_pair, by_view = {pair.pair_id: pair for pair in pairs}, {view.view_id: view for view in views}
    names = {row.image_id: row.true_name for row in read_table(run.printouts / "candidates.parquet", Candidate)}
    how = How(**kept["how"])
    with np.load(run.reports / FOLDER / "maps.npz") as arrays:
        maps = dict(arrays)
    explained_pairs = []
    for pair_id, group in groupby(rows, key=lambda row: row.pair_id):
        members, pair = list(group), by_pair[pair_id]
        pictures = tuple(
            ExplainedPicture(
                row.variant,
                examples.pixels(by_view[row.view_id]),
                {method: maps[f"{pair_id}/{row.variant}/{method}"] for method in how.methods},
                row.logit,
                row.probability,
                class_names[row.predicted_label],
                row.predicted_probability,
                TOP_1.holds((row.predicted_label,), pair.true_label),
            )
            for row in members
        )
        explained_name = class_names[members[0].explained_label]
        explained_pairs.append(
            ExplainedPair(pair.image_id, pair.attack, pair.epsilon_8bit, names[pair.image_id], explained_name, pictures)
        )
    return Explanations(**asdict(how), target=kept["target"], pairs=tuple(explained_pairs))


def _named(ids: tuple[str, ...], pairs: list[Pair], examples: Examples) -> list[Pair]:
    by_id = {pair.pair_id: pair for pair in pairs}
    of_image: dict[str, list[Pair]] = {}
    for pair in pairs:
        of_image.setdefault(pair.image_id, []).append(pair)
    for name in ids:
        if name not in by_id and name not in of_image:
            raise WrongUse(f'explain.images: the run has no image or pair "{name}".', near_match(name, [*of_image, *by_id]))
    chosen = [by_id[name] if name in by_id else max(of_image[name], key=examples.works) for name in ids]
    return list({pair.pair_id: pair for pair in chosen}.values())


def _class(name: str, classifier: Classifier) -> int:
    labels = Labels(classifier.class_names, classifier.wordnet_ids)
    label = labels.index_of(name)
    if label is None:
        raise WrongUse(f"explain.target: {labels.why_not(name)}.", near_match(name, classifier.class_names))
    return label


def _kept(
    items: Items,
    classifier: Classifier,
    pair: Pair,
    hashes: list[str],
    pixels: np.ndarray,
    label: int,
    how: How,
    seed: int,
) -> Explained:
    """Returns what was found before for the same pixels and settings, or finds it."""
    key = content_hash([classifier.fingerprint, pair.image_id, hashes, label, asdict(how), seed])
    content = items.get(key, ".npz")
    if content is None:
        found = explained(classifier, pixels, label, how, lambda: generator_for(seed, "explain", pair.image_id))
        items.put(key, _npz({"logits": found.logits, "probabilities": found.probabilities, **found.maps}), ".npz")
        return found
    with np.load(io.BytesIO(content)) as arrays:
        values: dict[str, Any] = dict(arrays)
    return Explained(logits=values.pop("logits"), probabilities=values.pop("probabilities"), maps=values)


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
