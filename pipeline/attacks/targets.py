"""Which class a targeted attack leads to."""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.attacks.network import Network
from pipeline.core.errors import WrongUse, near_match
from pipeline.core.seeds import generator_for
from pipeline.images import pixels_sha256

AWAY, LEAST_LIKELY, SECOND, RANDOM, NEXT = "", "least-likely", "second", "random", "next"


def check_target(target: str, name: str, may_be_away: bool = True) -> None:
    """Refuses what is no target.

    Raises:
        WrongUse: the word is unknown, or empty where the attack needs a target.
    """
    known = [AWAY] * may_be_away + [LEAST_LIKELY, SECOND, RANDOM, NEXT]
    if target not in known and not target.isdigit():
        hint = f"{near_match(target, filter(None, known))} A class number in quotes is a target too."
        raise WrongUse(f'attack "{name}": target = "{target}" is no target.', hint)


def chosen_targets(
    target: str, network: Network, pixels: torch.Tensor, images: np.ndarray, labels: Sequence[int], seed: int
) -> torch.Tensor | None:
    """Returns the class that each image is led to, int64 (N,), None for "away"; a random one depends on seed and image alone.

    Args:
        target: one of the words above, or a class number.
        network: is asked once where the clean image's own answer decides or the number of classes is needed.
        pixels: float32 (N, 3, H, W), the same as `images`, uint8 (N, H, W, 3).

    Raises:
        WrongUse: the network has no such class.
    """
    if target == AWAY:
        return None
    logits = network.logits(pixels)
    truth = torch.as_tensor(labels, dtype=torch.int64, device=logits.device)
    n_classes = logits.shape[1]
    if target == LEAST_LIKELY:
        return logits.argmin(dim=1)
    if target == SECOND:
        return logits.scatter(1, truth[:, None], -torch.inf).argmax(dim=1)
    if target == NEXT:
        return (truth + 1) % n_classes
    if target == RANDOM:
        places = [int(generator_for(seed, "target", pixels_sha256(image)).integers(1, n_classes)) for image in images]
        return (truth + torch.tensor(places, device=truth.device)) % n_classes
    if int(target) >= n_classes:
        raise WrongUse(f"target = {target}: the network has the classes 0 to {n_classes - 1}.")
    return torch.full_like(truth, int(target))
