"""Shows what the model looks at in a few pairs: maps for the clean file, the adversarial one and its photograph, with scores."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from pipeline import engine
from pipeline.core.errors import WrongUse, near_match
from pipeline.core.seeds import generator_for
from pipeline.engine import Context
from pipeline.evaluation.criteria import TOP_1
from pipeline.evaluation.examples import Examples
from pipeline.images import png_bytes
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.models.explaining import Explained, How, explained, how_for
from pipeline.models.sending import shared_classifier
from pipeline.records import ExplainedView, Pair, View
from pipeline.report.content import ExplainedPair, ExplainedPicture, Explanations
from pipeline.report.explanations import heat_picture, scale_of
from pipeline.settings import Experiment
from pipeline.stages.checks import class_named
from pipeline.store import Run, content_hash, record_from
from pipeline.store.artefacts import CANDIDATES, EXPLAIN, EXPLAINED, MAPS, PAIRS
from pipeline.store.stage import Outcome


@dataclass(frozen=True, eq=False)
class _Work:
    """One pair as it is explained: its views, the class that is asked for, and the views' pixels, uint8 (n, H, W, 3)."""

    pair: Pair
    shown: list[View]
    label: int
    pixels: np.ndarray

    @property
    def identity(self) -> list[Any]:
        """What its maps depend on, beside the model and how it is asked."""
        return [self.pair.image_id, [view.sha256 for view in self.shown], self.label]


def explain(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `explain/`: `explain.json` with the scores, `maps.npz` with the maps, and a picture of each map.

    Every pair's maps of one method share one scale, so that clean file, adversarial file and photograph can be compared.

    Raises:
        WrongUse: an image, a class or a layer that does not exist, or a method that the model does not allow.
    """
    settings = experiment.explain
    pairs = PAIRS.read(run)
    examples = Examples(run, with_simulated=not experiment.photograph.predicts)
    chosen = _named(settings.images, pairs, examples) if settings.images else examples.chosen(pairs, settings.n_images)
    notes: tuple[str, ...] = ()
    how, rows, maps = None, [], {}
    names: list[str] = []
    items = run.items("explain", run.reports)
    works: list[_Work] = []
    found: list[Explained] = []
    if chosen:
        model = experiment.resolved_model()
        classifier = load_classifier(model, context.device)
        how, notes = how_for(classifier, settings)
        fixed = None if settings.target in ("true", "predicted") else class_named(settings.target, classifier)
        works = [_work(pair, examples, settings.target, fixed) for pair in chosen]
        keys = [content_hash([classifier.fingerprint, *work.identity, asdict(how), experiment.seed]) for work in works]
        todo = [(key, work) for key, work in zip(keys, works, strict=True) if items.get(key, ".npz") is None]
        look, shared = partial(_explained, how=how, seed=experiment.seed), shared_classifier(model, classifier)
        for (key, _), fresh in engine.map(look, todo, context, "explain", shared):
            items.put(key, _npz({"logits": fresh.logits, "probabilities": fresh.probabilities, **fresh.maps}), ".npz")
        found = [_read(items.get(key, ".npz") or b"") for key in keys]
    for work, pictures in zip(works, found, strict=True):
        for place, view in enumerate(work.shown):
            variant = "photo" if view.capture_id else view.variant
            judged = examples.said(view)
            scores = float(pictures.logits[place]), float(pictures.probabilities[place])
            said = judged.labels[0], judged.probabilities[0]
            rows.append(ExplainedView(work.pair.pair_id, variant, view.view_id, work.label, *scores, *said))
            for method, values in pictures.maps.items():
                maps[f"{work.pair.pair_id}/{variant}/{method}"] = values[place]
                picture = heat_picture(work.pixels[place], values[place], method, scale_of(values))
                name = f"{work.pair.pair_id.replace('/', '-')}-{variant}-{method}.png"
                names.append(EXPLAIN.write(run, name, png_bytes(picture)))
    items.prune()
    if maps:
        MAPS.write(run, _npz(maps))
        names.append(MAPS.name)
    EXPLAINED.write(run, {"how": how and asdict(how), "target": settings.target, "views": rows})
    names.append(EXPLAINED.name)
    EXPLAIN.keep_only(run, names)
    summary = {"n_pairs": len(chosen), "n_maps": len(maps)}
    return Outcome(tuple(names), summary, notes)


def without_explain(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes that nothing is explained."""
    EXPLAINED.write(run, {"how": None, "target": experiment.explain.target, "views": []})
    EXPLAIN.keep_only(run, [EXPLAINED.name])
    return Outcome((EXPLAINED.name,), {"n_pairs": 0, "n_maps": 0})


def read_explanations(run: Run, pairs: Iterable[Pair], examples: Examples, class_names: Sequence[str]) -> Explanations | None:
    """Returns what the stage found, for the report; None where no pair was explained."""
    kept = EXPLAINED.read(run)
    rows = [record_from(ExplainedView, row) for row in kept["views"]]
    if not rows:
        return None
    examples.load(row.view_id for row in rows)
    by_pair = {pair.pair_id: pair for pair in pairs}
    names = dict(CANDIDATES.values(run, "image_id", "true_name"))
    how = How(**kept["how"])
    with np.load(MAPS.path(run)) as arrays:
        maps = dict(arrays)
    explained_pairs = []
    for pair_id, group in groupby(rows, key=lambda row: row.pair_id):
        pair, pictures = by_pair[pair_id], []
        for row in group:
            shown = examples.pixels(examples.view(row.view_id))
            heat = {method: maps[f"{pair_id}/{row.variant}/{method}"] for method in how.methods}
            said = class_names[row.predicted_label], row.predicted_probability
            is_right = TOP_1.holds((row.predicted_label,), pair.true_label)
            pictures.append(ExplainedPicture(row.variant, shown, heat, row.logit, row.probability, *said, is_right))
        titles = names[pair.image_id], class_names[row.explained_label]
        explained_pairs.append(ExplainedPair(pair.image_id, pair.attack, pair.epsilon_8bit, *titles, tuple(pictures)))
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


def _work(pair: Pair, examples: Examples, target: str, fixed: int | None) -> _Work:
    every = [examples.file(pair, "clean"), examples.file(pair, "adversarial"), examples.photo(pair, "adversarial")]
    shown = [view for view in every if view is not None]
    if fixed is None:
        fixed = pair.true_label if target == "true" else examples.said(shown[1]).labels[0]
    return _Work(pair, shown, fixed, np.stack([examples.pixels(view) for view in shown]))


def _explained(keyed: tuple[str, _Work], classifier: Classifier, how: How, seed: int) -> Explained:
    _, work = keyed
    generator = partial(generator_for, seed, "explain", work.pair.image_id)
    return explained(classifier, work.pixels, work.label, how, generator)


def _read(content: bytes) -> Explained:
    with np.load(io.BytesIO(content)) as arrays:
        values: dict[str, Any] = dict(arrays)
    return Explained(logits=values.pop("logits"), probabilities=values.pop("probabilities"), maps=values)


def _npz(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
