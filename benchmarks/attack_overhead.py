"""Prints what an attack costs beyond its bare forward and backward passes, measured side by side in one run.

Both loops make the same number of passes on the same batch; the bare one only computes the input gradient.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from pipeline.attacks import attack_named
from pipeline.images import to_model
from pipeline.models import load_classifier
from pipeline.settings import ModelSettings


def main() -> None:
    """Times each attack against its bare passes, in turn, and prints the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="torchvision:resnet18")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epsilon", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    weights = "DEFAULT" if options.model.startswith("builtin:") else "none"
    classifier = load_classifier(ModelSettings(name=options.model, weights=weights))
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (options.batch, *classifier.input_size, 3), dtype=np.uint8)
    labels = generator.integers(0, classifier.n_classes, options.batch)
    print(f"{options.model}, batch {options.batch}, {classifier.input_size[0]} px, {torch.get_num_threads()} threads")
    for name in ("fgsm", "bim", "illc"):
        attack = attack_named(name)
        result = attack.perturb(classifier, images, labels, [options.epsilon])[options.epsilon]
        ratios = []
        for _ in range(options.rounds):
            bare = _seconds(lambda n_passes=result.n_backward: _bare_passes(classifier, images, labels, n_passes))
            ours = _seconds(lambda attack=attack: attack.perturb(classifier, images, labels, [options.epsilon]))
            ratios.append(ours / bare)
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(f"{name:<5} {result.n_backward:>3} passes: {statistics.median(ratios):.3f} x the bare passes ({spread})")


def _bare_passes(classifier, images: np.ndarray, labels: np.ndarray, n_passes: int) -> None:
    inputs, targets = to_model(images), torch.as_tensor(labels)
    for _ in range(n_passes):
        asked = inputs.detach().requires_grad_()
        torch.autograd.grad(cross_entropy(classifier.logits(asked), targets, reduction="sum"), asked)


def _seconds(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
