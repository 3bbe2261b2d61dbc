"""How often a network is right, on clean images and under attacks of its own gradient, and how sure it is where it is wrong."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.core.seeds import seed_for
from pipeline.training.images import Images
from pipeline.training.perturbing import Steps

_AT_ONCE = 250


def accuracies(ask: Callable[[Tensor], Tensor], images: Images, attacks: Mapping[str, Steps], seed: int) -> dict[str, Any]:
    """Returns the number of images, and the accuracy on them clean and under each attack of the loss of the true label.

    Beside each accuracy stands `…_confidence_when_wrong`, the mean probability of the wrong answers, None where there are none.

    Args:
        ask: gives logits; the network behind it is in evaluation mode.
    """
    answers: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in ("clean", *attacks)}
    generator = torch.Generator(images.labels.device).manual_seed(seed_for(seed, "measure"))
    for places in torch.arange(len(images)).split(_AT_ONCE):
        x, labels = images.batch(places)
        answers["clean"].append(_answers(ask, x, labels))
        for name, attack in attacks.items():
            attacked = attack(x, partial(_loss, ask, labels), generator)
            answers[name].append(_answers(ask, attacked, labels))
    found: dict[str, Any] = {"n_images": len(images)}
    for name, parts in answers.items():
        is_right, confidence = (torch.cat(values) for values in zip(*parts, strict=True))
        found[f"{name}_accuracy"] = int(is_right.sum()) / len(images)
        wrong = confidence[~is_right]
        found[f"{name}_confidence_when_wrong"] = round(float(wrong.double().mean()), 6) if len(wrong) else None
    return found


def _loss(ask: Callable[[Tensor], Tensor], labels: Tensor, images: Tensor) -> Tensor:
    return cross_entropy(ask(images), labels, reduction="sum")


def _answers(ask: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns which answers are right, and the probability that each is given with."""
    with torch.no_grad():
        confidence, answer = ask(images).softmax(dim=1).max(dim=1)
    return answer == labels, confidence
