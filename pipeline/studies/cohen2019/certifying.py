"""Certifies the images of an experiment behind every randomised smoothing in it: CERTIFY of Cohen et al. 2019, Algorithm 1."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from pipeline import engine
from pipeline.attacks.crafting import first_candidates
from pipeline.core.errors import WrongUse
from pipeline.core.seeds import generator_for
from pipeline.defences.randomised_smoothing import RandomisedSmoothing
from pipeline.document.figures import png, svg
from pipeline.engine import Context
from pipeline.models import load_classifier
from pipeline.models.sending import shared_classifier
from pipeline.records import ATTACKED_MODEL, Candidate, Certificate
from pipeline.report.certified import certified_curves, certified_rates
from pipeline.settings import Experiment, ModelSettings
from pipeline.statistics import binomial_bounds
from pipeline.statistics.intervals import normal_quantile
from pipeline.store import Run, content_hash, locked, record_from
from pipeline.store.artefacts import CERTIFIED, CERTIFIED_CSV, CERTIFIED_PNG, CERTIFIED_SVG

# Of counts that are kept: another number where what is counted changes.
_FORM = 1
_MOST_COPIES, _MOST_PIXELS = 256, 2**21
_Drawn = list[tuple[Candidate, np.ndarray]]


@dataclass(frozen=True)
class CertifyRequest:
    """What is certified, and how surely: `n_choosing` copies (n₀) choose the class, `n_samples` others are counted.

    `n_images` 0 takes the experiment's; `alpha` is the chance that a certificate is wrong, at most.

    Raises:
        WrongUse: numbers are out of range.
    """

    n_images: int = 0
    n_samples: int = 1000
    n_choosing: int = 100
    alpha: float = 0.001

    def __post_init__(self) -> None:
        whole = {"--n-images": (self.n_images, 0), "--n-samples": (self.n_samples, 1), "--n0": (self.n_choosing, 1)}
        for name, (value, least) in whole.items():
            if value < least:
                raise WrongUse(f"{name} {value}: expected 1 or more.")
        if not 0 < self.alpha < 0.5:
            raise WrongUse(f"--alpha {self.alpha:g}: expected a chance above 0 and below 0.5.")


def certify(
    experiment: Experiment, run: Run, context: Context, request: CertifyRequest, force: bool = False
) -> list[Certificate]:
    """Writes `certified.csv`, `.json`, `.png` and `.svg` into `reports/<run>`, and returns a certificate a defence and image.

    Images are drawn in the order of `select`, so that the first are those that the run attacks and prints. The counts of every
    image are kept under `printouts/<run>/.items`: what was interrupted goes on where it stopped, another `alpha` costs nothing,
    and nothing depends on the order of the images or on how many there are. `force` counts them all again.

    Raises:
        WrongUse: the experiment has no randomised smoothing.
        BadInput: no image can be read.
    """
    smoothed = smoothed_models(experiment)
    classifier = load_classifier(experiment.resolved_model(), context.device)
    with locked(run):
        if force:
            run.items("certify", run.printouts).clear()
        images = first_candidates(experiment, run, context, classifier, request.n_images or experiment.selection.n_images)
        found = []
        for label, settings in smoothed.items():
            behind = load_classifier(settings, context.device)
            if isinstance(behind, RandomisedSmoothing):
                counts = _counted(behind, settings, label, images, experiment, run, context, request)
                found += [_certificate(label, behind, candidate, counts[candidate.sha256], request) for candidate, _ in images]
    figure = certified_curves(found)
    CERTIFIED_CSV.write(run, found)
    told = {"of": _identity(experiment, classifier.fingerprint), "n_choosing": request.n_choosing}
    CERTIFIED.write(run, {**told, "rates": certified_rates(found), "certificates": found})
    CERTIFIED_PNG.write(run, png(figure))
    CERTIFIED_SVG.write(run, svg(figure))
    return found


def smoothed_models(experiment: Experiment) -> dict[str, ModelSettings]:
    """Returns the settings of the model behind each randomised smoothing of the experiment, by its label.

    Raises:
        WrongUse: there is none.
    """
    named = {ATTACKED_MODEL: experiment.resolved_model()} | experiment.resolved_defended()
    found = {label: settings for label, settings in named.items() if settings.defence == RandomisedSmoothing.defence}
    if not found:
        hint = f'Add a [[defences]] entry named "{RandomisedSmoothing.defence}".'
        raise WrongUse(f'"{experiment.name}" has no randomised smoothing, and nothing else can be certified.', hint)
    return found


def read_certificates(experiment: Experiment, run: Run, fingerprint: str) -> list[Certificate]:
    """Returns what `certify` found, [] where it was not asked, or of another model, images or noise.

    Args:
        fingerprint: the model's, as `select` keeps it.
    """
    told = CERTIFIED.read(run) if CERTIFIED.exists(run) else {}
    if not told or told["of"] != _identity(experiment, fingerprint):
        return []
    return [record_from(Certificate, row) for row in told["certificates"]]


def _identity(experiment: Experiment, fingerprint: str) -> str:
    """Returns the hash of what certificates are of: model, noise and images."""
    named = {defence.key: asdict(defence) for defence in experiment.defences if defence.name == RandomisedSmoothing.defence}
    return content_hash([fingerprint, named, asdict(experiment.dataset), experiment.seed])


def certified_radius(n_hit: int, n: int, alpha: float, sigma: float) -> tuple[float, float | None]:
    """Returns σ Φ⁻¹(p) of the lower and the upper bound p of the share of copies with the chosen answer, in the unit of σ.

    The first is 0 where the lower bound is not above one half, which proves nothing; the second is None where every copy has the
    answer. Each bound alone is wrong with a chance of `alpha` at most (Clopper and Pearson 1934).
    """
    low, high = binomial_bounds(n_hit, n, alpha)
    at_most = None if high >= 1 else sigma * max(0.0, normal_quantile(high))
    return (sigma * normal_quantile(low) if low > 0.5 else 0.0), at_most


def _counted(
    behind: RandomisedSmoothing,
    settings: ModelSettings,
    label: str,
    images: _Drawn,
    experiment: Experiment,
    run: Run,
    context: Context,
    request: CertifyRequest,
) -> Mapping[str, tuple[int, int]]:
    """Returns, by the hash of each image, the chosen class and how many copies have it; what is kept is not counted again."""
    items, seed = run.items("certify", run.printouts), experiment.seed
    identity = [_FORM, behind.fingerprint, request.n_samples, request.n_choosing, seed]
    keys = {candidate.sha256: content_hash([*identity, candidate.sha256]) for candidate, _ in images}
    kept = {sha256: items.get_json(key) for sha256, key in keys.items()}
    missing = {candidate.sha256: (candidate.sha256, pixels) for candidate, pixels in images if kept[candidate.sha256] is None}
    count = partial(_count, n_choosing=request.n_choosing, n=request.n_samples, seed=seed)
    todo, shared = list(missing.values()), shared_classifier(settings, behind)
    for (sha256, _), found in engine.map(count, todo, context, f"certifying {label}", shared):
        items.put_json(keys[sha256], found)
        kept[sha256] = found
    return kept


def _count(item: tuple[str, np.ndarray], behind: Any, n_choosing: int, n: int, seed: int) -> tuple[int, int]:
    """Returns the class that most of the first copies of an image have, and how many of the others have it."""
    sha256, pixels = item
    at_once = max(1, min(_MOST_COPIES, _MOST_PIXELS // (pixels.shape[0] * pixels.shape[1])))
    first = behind.votes(pixels, n_choosing, generator_for(seed, "certify choosing", sha256), at_once)
    chosen = int(first.argmax())
    return chosen, int(behind.votes(pixels, n, generator_for(seed, "certify", sha256), at_once)[chosen])


def _certificate(
    label: str, behind: RandomisedSmoothing, candidate: Candidate, counts: Iterable[int], request: CertifyRequest
) -> Certificate:
    chosen, n_hit = counts
    radius_8bit, at_most_8bit = certified_radius(n_hit, request.n_samples, request.alpha, behind.sigma_8bit)
    return Certificate(
        defence=label,
        image_id=candidate.image_id,
        true_label=candidate.true_label,
        true_name=candidate.true_name,
        predicted_label=chosen,
        predicted_name=behind.class_names[chosen],
        is_abstained=radius_8bit == 0,
        radius=radius_8bit / 255,
        radius_8bit=radius_8bit,
        radius_at_most=None if at_most_8bit is None else at_most_8bit / 255,
        n_hit=n_hit,
        n_samples=request.n_samples,
        alpha=request.alpha,
        sigma_8bit=behind.sigma_8bit,
    )
