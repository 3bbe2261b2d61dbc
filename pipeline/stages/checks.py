"""What can be checked before the first stage of a run: a mistake that a late stage would find costs no work of the early ones."""

from collections.abc import Collection

import numpy as np

from pipeline.attacks import check_predictions_are_enough
from pipeline.core.errors import WrongUse, near_match, placed
from pipeline.datasets import Dataset, open_dataset
from pipeline.datasets.labels import Labels
from pipeline.engine import Context
from pipeline.evaluation.judges.asking import opened_judges
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.models.explaining import default_sizes, how_for
from pipeline.physical.fiducials.codes import MAX_PAGE
from pipeline.planning.planner import pages_for
from pipeline.settings import Experiment

_N_TRIED = 2


def check_ahead(experiment: Experiment, context: Context, stages: Collection[str]) -> None:
    """Refuses what one of these stages would refuse, as far as it can be known before any of them has run.

    The model and the judges are opened, and so is the data set where images are still to be drawn; the pages are tried with the
    numbers of images asked for; classes and layers that are named are looked for.

    Raises:
        WrongUse, BadInput, Unavailable: as the stages would, with the place in the file.
    """
    if not {"select", "generate", "layout", "classify", "thresholds", "explain"} & set(stages):
        return
    classifier = load_classifier(experiment.resolved_model(), context.device)
    if classifier.differentiable:  # one of predictions only may want batches of another size
        classifier.predict(np.full((_N_TRIED, *classifier.input_size, 3), 128, np.uint8), _N_TRIED)
    dataset = None
    if "select" in stages:
        check_gradients(experiment, classifier)
        _check_targets(experiment, classifier)
        settings = experiment.resolved_dataset()
        dataset = open_dataset(settings, classifier.class_names, classifier.wordnet_ids, experiment.seed)
    if "layout" in stages:
        _check_pages(experiment, classifier, dataset)
    if "classify" in stages:
        for _ in opened_judges(experiment, context, classifier, ()):
            pass
    if "explain" in stages and (experiment.explain.n_images or experiment.explain.images):
        _check_explaining(experiment, classifier, dataset)


def check_gradients(experiment: Experiment, classifier: Classifier) -> None:
    """Refuses attacks that need gradients, of a model that gives none."""
    if not classifier.differentiable:
        check_predictions_are_enough(classifier.name, experiment.attacks, experiment.where("model.name"))


def class_named(name: str, classifier: Classifier) -> int:
    """Returns the class that is to be explained, by its name or index; WrongUse where there is none."""
    labels = Labels(classifier.class_names, classifier.wordnet_ids)
    label = labels.index_of(name)
    if label is None:
        raise WrongUse(f"explain.target: {labels.why_not(name)}.", near_match(name, classifier.class_names))
    return label


def _check_targets(experiment: Experiment, classifier: Classifier) -> None:
    for number, attack in enumerate(experiment.attacks):
        target = attack.options.get("target")
        if isinstance(target, str) and target.isdecimal() and int(target) >= classifier.n_classes:
            where = experiment.where(f"attacks.{number}.options")
            hint = f"The model has the classes 0 to {classifier.n_classes - 1}."
            raise WrongUse(f'{where}: attack "{attack.key}": there is no class {target}.', hint)


def _check_pages(experiment: Experiment, classifier: Classifier, dataset: Dataset | None) -> None:
    layout = experiment.layout
    if layout.calibration and layout.medium == "screen":
        raise WrongUse(f"{experiment.where('layout.calibration')}: a screen has no calibration page.", "Set it to false.")
    with placed(experiment.where("layout.image_mm" if layout.image_mm else "layout.pairs_per_page")):
        _, per_page = pages_for(experiment, classifier.input_size[::-1])
        selection = experiment.selection
        n_images = min(selection.n_images * len(selection.cases), len(dataset) if dataset else 0)
        n_pages = -(-n_images * len(experiment.cells()) // per_page)
        if n_pages > MAX_PAGE:
            told = f"up to {n_images} images of {len(experiment.cells())} attacks and strengths need {n_pages} pages"
            hint = "Draw fewer images, or print more pairs on a page."
            raise WrongUse(f"{told}, and a run can number {MAX_PAGE}.", hint)


def _check_explaining(experiment: Experiment, classifier: Classifier, dataset: Dataset | None) -> None:
    """Looks for what is named; which layer is taken where none is, the stage finds out, and the report says if it cannot."""
    settings = experiment.explain
    with placed(experiment.where("explain.layer" if settings.layer else "explain")):
        if settings.layer:
            how_for(classifier, settings)
        else:
            default_sizes(*classifier.input_size, settings.patch_px, settings.stride_px)
    with placed(experiment.where("explain.target")):
        if settings.target not in ("true", "predicted"):
            class_named(settings.target, classifier)
    ids = {dataset.item_id(i) for i in range(len(dataset))} if dataset and settings.images else set()
    for name in settings.images if ids else ():
        if name.rpartition("/")[2] not in ids:
            where = experiment.where("explain.images")
            raise WrongUse(f'{where}: the data set has no image "{name}".', near_match(name, ids))
