"""Certified radii beside those of the Adversarial Robustness Toolbox, image by image: `certified_radii.py EXPERIMENT [N]`."""

import sys
from pathlib import Path

import numpy as np
import torch
from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing
from scipy import stats

from pipeline.attacks.crafting import first_candidates
from pipeline.engine import Context
from pipeline.images import to_model
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.settings.reading import load_experiment
from pipeline.store import Run
from pipeline.store.artefacts import CERTIFIED


class Network(torch.nn.Module):
    """A classifier as a module: pixels in [0, 1] to logits."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier.logits(x)


def main() -> None:
    """Certifies the first images anew by the toolbox, with noise of its own, and compares with `inkproof certify`'s."""
    experiment, n_images = load_experiment(Path(sys.argv[1])), int(sys.argv[2]) if len(sys.argv) > 2 else 200
    run = Run(Path("."), experiment.name)
    classifier = load_classifier(experiment.resolved_model())
    drawn = first_candidates(experiment, run, Context(), classifier, n_images)
    (sigma_8bit,) = {defence.options["sigma_8bit"] for defence in experiment.defences if defence.name == "randomised-smoothing"}
    alpha, n = 0.001, 1000
    torch.manual_seed(1)
    np.random.seed(1)
    toolbox = PyTorchRandomizedSmoothing(
        model=Network(classifier),
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=(3, *classifier.input_size),
        nb_classes=classifier.n_classes,
        sample_size=100,
        scale=sigma_8bit / 255,
        alpha=alpha,
    )
    images = to_model(np.stack([pixels for _, pixels in drawn]), torch.device("cpu")).numpy()
    classes, radii = toolbox.certify(images, n=n, batch_size=250)
    ours = {row["image_id"]: row for row in CERTIFIED.read(run)["certificates"]}
    rows = [ours[candidate.image_id] for candidate, _ in drawn]
    if {(row["n_samples"], row["alpha"]) for row in rows} != {(n, alpha)}:
        sys.exit(f"run first: inkproof certify {sys.argv[1]} --n-images {n_images}")
    lower = stats.beta.ppf(alpha, np.arange(1, n + 1), n - np.arange(n))
    radius_of_count = np.where(lower > 0.5, sigma_8bit / 255 * stats.norm.ppf(lower), 0)
    compare(rows, np.asarray(classes), np.asarray(radii), radius_of_count)


def compare(rows: list[dict[str, float]], classes: np.ndarray, radii: np.ndarray, radius_of_count: np.ndarray) -> None:
    """Prints how many images have the same answer, and radii that differ by no more than two draws of one share do.

    Args:
        radius_of_count: of 1, 2 … n copies with one answer: a radius tells the count that it comes from.
    """
    n = len(radius_of_count)
    abstained = np.array([bool(row["is_abstained"]) for row in rows])
    answers = np.where(abstained, -1, [row["predicted_label"] for row in rows])
    both = ~abstained & (classes >= 0)
    mine, theirs = np.array([row["radius"] for row in rows])[both], radii[both]
    counts = np.array([row["n_hit"] for row in rows])[both]
    other = np.array([int(np.abs(radius_of_count - radius).argmin()) + 1 for radius in theirs])
    p = [stats.fisher_exact([[one, n - one], [two, n - two]]).pvalue for one, two in zip(counts, other, strict=True)]
    difference = mine - theirs
    neither = int((abstained & (classes < 0)).sum())
    print(f"{len(rows)} images, same answer of {(answers == classes).sum()}")
    print(f"abstained: {abstained.sum()} and {(classes < 0).sum()}, both of {neither}")
    print(f"radii of {both.sum()}: mean {mine.mean():.4f} and {theirs.mean():.4f}")
    print(f"the same to 1e-6: {(np.abs(difference) < 1e-6).sum()}; counts differ at the 5 % level: {sum(np.less(p, 0.05))}")
    error = difference.std(ddof=1) / len(difference) ** 0.5
    print(f"difference: mean {difference.mean():+.5f}, standard error {error:.5f}, largest {np.abs(difference).max():.4f}")
    print(f"every copy has the answer: {(counts == n).sum()} and {(other == n).sum()}")


if __name__ == "__main__":
    main()
