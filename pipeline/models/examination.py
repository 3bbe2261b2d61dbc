"""Looks at the network under test before it is attacked: does it answer, and differentiate, as attacks take for granted?"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.core.seeds import generator_for
from pipeline.images import to_model
from pipeline.models.class_order import LEAST_GAIN, MANY, Answers, other_order
from pipeline.models.classifier import Classifier, seeded
from pipeline.models.preprocessing import LUMA, channels
from pipeline.models.scores import can_win, noise, relative
from pipeline.records import ModelFlag

N_EXAMINED = 16
# Beyond what other orders of summation do to a logit, relative to how far the logits lie apart.
ROUNDING = 1e-5
# Of probabilities that were added up in float16 or by another program.
SUM_TOLERANCE = 1e-3
N_PIXEL_BATCHES = 3
STEPS_8BIT = (1 / 16, 1.0)
# A kinked network agrees with its gradient less and less as steps grow (the built-in one: 0.91 to 1.00 of it at 1/16 of a level,
# 0.46 to 1.20 at one, 48 images), a rounded one as they shrink; one that fails by half at both has another gradient.
MISMATCH = 0.5
# Differences of float32 logits below this many units in the last place say nothing.
_NOISE_ULPS = 64
_LOSS_ERROR = 0.1
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def examine(
    classifier: Classifier, images: np.ndarray, labels: np.ndarray, answers: Answers | None = None
) -> tuple[ModelFlag, ...]:
    """Returns what is suspicious about a network, in the order of `report/flags.toml`; () where nothing is.

    The idea is that of AutoAttack's warnings (Croce and Hein 2020): random outputs, probabilities, zero gradients. About 15
    passes of one batch. Neither the network (modes, buffers, gradients) nor any global random state is changed, and the same
    network and images give the same flags. A network without gradients gets the checks that need none.

    Args:
        images: uint8 (N, H, W, 3) at the model's input size, N >= 1; the first N_EXAMINED are looked at.
        labels: int64 (N,), true labels.
        answers: what is known of more images, to tell the order of the classes from; of these ones alone where it is None.
    """
    if len(images) < 1 or len(images) != len(labels):
        raise ValueError(f"expected at least one image and as many labels, got {len(images)} and {len(labels)}")
    n = min(len(images), N_EXAMINED)
    rows = np.arange(N_EXAMINED) % n
    with _left_as_found(classifier):
        return tuple(ModelFlag(name, detail) for name, detail in _look(classifier, images[rows], labels[rows], n, answers))


@dataclass(frozen=True)
class _Batch:
    """The examined images as the network sees them, filled up to one size; the first `n` rows are images of their own."""

    images: np.ndarray
    x: Tensor
    labels: Tensor
    n: int
    logits: Tensor


def _look(
    classifier: Classifier, images: np.ndarray, labels: np.ndarray, n: int, answers: Answers | None
) -> Iterator[tuple[str, str]]:
    x = to_model(images, classifier.device)
    logits = _asked(classifier, x)
    batch = _Batch(images, x, torch.as_tensor(labels, device=classifier.device), n, logits)
    gradients = _gradients(classifier, batch) if classifier.differentiable else None
    if detail := _not_finite(batch, gradients):
        yield "not-finite", detail
        return
    difference, spread = _moved(logits, _asked(classifier, x)), float(relative(logits).abs().max())
    rounding = float(noise(logits, ROUNDING).max())
    is_random = difference > rounding
    if is_random:
        yield "random", f"logits differ by up to {difference:.2g}, they lie {spread:.3g} apart"
    neighbours = 0.0 if is_random else _by_neighbours(classifier, batch)
    is_coupled = neighbours > rounding
    in_training = _parts_in_training(classifier)
    if is_coupled or in_training:
        found = [f"other neighbours change logits by up to {neighbours:.2g}"] if is_coupled else []
        found += [f"in training mode: {', '.join(in_training)}"] if in_training else []
        yield "train-mode", "; ".join(found)
    if classifier.n_ranked == 1 < classifier.n_classes:
        yield "label-alone", f"one of {classifier.n_classes} classes for each image"
    yield from _outputs(batch, classifier.differentiable)
    if gradients:
        yield from _vanishing(batch, *gradients)
    if not is_random and not is_coupled and classifier.n_ranked > 1 and (detail := _dead_levels(classifier, batch)):
        yield "saturating", detail
    answers = answers or Answers(logits[:n].argmax(dim=1).cpu().numpy(), labels[:n])
    order = other_order(answers, classifier.class_names, classifier.wordnet_ids)
    if not order and (detail := _other_range(classifier, batch)):  # where an order fits, any other answers are more often right
        yield "input-range", detail
    if order:
        yield "class-order", order
    if gradients and not is_random and not is_coupled and (detail := _mismatch(classifier, batch, gradients[1])):
        yield "gradient-mismatch", detail
    if classifier.preprocessing.n_channels == 1:
        yield "one-channel", "luma = " + " + ".join(f"{share} {name}" for share, name in zip(LUMA, "RGB"))


def _asked(classifier: Classifier, x: Tensor) -> Tensor:
    with torch.no_grad():
        return classifier.logits(x).detach().float()


def _moved(logits: Tensor, others: Tensor) -> float:
    """Returns by how much the logits of any class that can win differ."""
    return float(torch.where(can_win(logits), logits - others, 0.0).abs().max())


def _margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the best other logit minus the true one, (N,): positive where the image is misclassified."""
    true = logits.gather(1, labels[:, None])[:, 0]
    return logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1) - true


def _gradients(classifier: Classifier, batch: _Batch) -> tuple[Tensor, Tensor]:
    """Returns the gradients of cross-entropy and margin, each (N, 3, H, W): one forward, two backward passes."""
    with torch.enable_grad():
        x = batch.x.clone().requires_grad_()
        logits = classifier.logits(x)
        if not logits.requires_grad:  # the network answers without a way back for such images
            return torch.zeros_like(x), torch.zeros_like(x)
        objectives = cross_entropy(logits, batch.labels, reduction="sum"), _margins(logits, batch.labels).sum()
        found = [torch.autograd.grad(objective, x, retain_graph=True, allow_unused=True)[0] for objective in objectives]
    loss, margin = (torch.zeros_like(x) if gradient is None else gradient.detach() for gradient in found)
    return loss, margin


def _not_finite(batch: _Batch, gradients: tuple[Tensor, Tensor] | None) -> str:
    best = batch.logits.amax(dim=1, keepdim=True)  # masks may be -inf
    broken = dict(zip(("logits", "loss gradient", "margin gradient"), (best, *(gradients or ())), strict=False))
    counts = {what: int((~values[: batch.n].flatten(1).isfinite().all(dim=1)).sum()) for what, values in broken.items()}
    return "; ".join(f"{what} of {count} of {batch.n} images" for what, count in counts.items() if count)


def _by_neighbours(classifier: Classifier, batch: _Batch) -> float:
    """Returns how far the logits of the batch's first half move when its second half is replaced by negatives."""
    half = len(batch.x) // 2
    others = torch.cat([batch.x[:half], 1 - batch.x[half:]])
    return _moved(batch.logits[:half], _asked(classifier, others)[:half])


def _parts_in_training(classifier: Classifier) -> list[str]:
    kinds = [type(part).__name__ for part in _parts(classifier) if part.training]
    return [f"{kinds.count(kind)} × {kind}" for kind in sorted(set(kinds))]


def _outputs(batch: _Batch, differentiable: bool) -> Iterator[tuple[str, str]]:
    rows = batch.logits[: batch.n].double()
    sums = rows.sum(dim=1)
    if bool((rows >= 0).all() and (rows <= 1 + SUM_TOLERANCE).all() and ((sums - 1).abs() <= SUM_TOLERANCE).all()):
        detail = f"rows add up to {float(sums.min()):.4f} … {float(sums.max()):.4f}, the largest is {float(rows.max()):.3f}"
        yield "probabilities", detail
    total = rows.exp().sum(dim=1)
    if differentiable and bool((rows <= SUM_TOLERANCE).all() and ((total - 1).abs() <= SUM_TOLERANCE).all()):
        yield "log-probabilities", f"exponentials add up to {float(total.min()):.4f} … {float(total.max()):.4f}"


def _vanishing(batch: _Batch, loss: Tensor, margin: Tensor) -> Iterator[tuple[str, str]]:
    n = batch.n
    no_loss, no_margin = ((gradient[:n] == 0).flatten(1).all(dim=1) for gradient in (loss, margin))
    if n_masked := int(no_margin.sum()):
        yield "zero-gradient", f"{n_masked} of {n} images"
    gap = float(_margins(batch.logits, batch.labels)[:n].abs().median())
    distances = f"median distance of the true logit from the best other {gap:.3g}"
    if n_saturated := int((no_loss & ~no_margin).sum()):
        yield "saturated-softmax", f"{n_saturated} of {n} images; {distances}"
    if (n_wrong := int((_loss_errors(batch)[:n][~no_loss] > _LOSS_ERROR).sum())) > MANY * n:
        yield "large-logits", f"{n_wrong} of {n} images; {distances}"


def _loss_errors(batch: _Batch) -> Tensor:
    """Returns how far float32 is off in the loss gradient with respect to the logits, relative to the gradient's norm, (N,).

    The gradient is softmax minus one-hot; p - 1 of the true class is lost to rounding, so it is taken as minus all the others.
    """
    with torch.enable_grad():
        logits = batch.logits.clone().requires_grad_()
        (rounded,) = torch.autograd.grad(cross_entropy(logits, batch.labels, reduction="sum"), logits)
    others = batch.logits.double().softmax(dim=1).scatter(1, batch.labels[:, None], 0.0)
    exact = others.scatter(1, batch.labels[:, None], -others.sum(dim=1, keepdim=True))
    error: Tensor = (rounded.double() - exact).norm(dim=1)
    return error / exact.norm(dim=1).clamp(min=torch.finfo(torch.float64).tiny)


def _dead_levels(classifier: Classifier, batch: _Batch) -> str:
    """Changes one random pixel of each image by one grey level, a few times; compares with the same rows of the same batch."""
    generator = generator_for(0, "sanity", "single grey levels")
    height, width = batch.images.shape[1:3]
    n_dead = n_tried = 0
    for _ in range(N_PIXEL_BATCHES):
        changed = batch.images.copy()
        for image in changed:
            pixel = image[generator.integers(height), generator.integers(width)]
            up = np.where(generator.integers(2), pixel < 255, pixel == 0)
            pixel[:] = np.where(up, pixel + 1, pixel - 1)
        same = (_asked(classifier, to_model(changed, classifier.device)) == batch.logits).all(dim=1)
        n_dead, n_tried = n_dead + int(same.sum()), n_tried + len(same)
    return f"{n_dead} of {n_tried} changes of one pixel have no effect" if n_dead > MANY * n_tried else ""


def _other_range(classifier: Classifier, batch: _Batch) -> str:
    """Feeds the network pixels as other conventions have them, and counts how many images it then gets right."""
    right = _n_right(batch.logits, batch)
    found = {words: _n_right(_asked(classifier, fed), batch) for words, fed in _conventions(classifier, batch.x)}
    best = max(found, key=lambda words: found[words])
    gain = found[best] - right
    if gain < LEAST_GAIN or gain < MANY * batch.n:
        return ""
    return f"{right} of {batch.n} images right as they are, {found[best]} with pixels {best}"


def _conventions(classifier: Classifier, x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yields what to give the classifier, which normalises it, so that its network sees [0, 1] pixels in other clothes."""
    steps = classifier.preprocessing
    mean, std = channels(steps.mean or (0.0,) * 3, x), channels(steps.std or (1.0,) * 3, x)
    yield "multiplied by 255", x * 255 * std + mean
    yield "scaled to -1 … 1", (x * 2 - 1) * std + mean
    yield "in blue, green, red order", x.flip(1)
    if steps.mean or steps.std:
        yield "not normalised by model.mean and model.std", x * std + mean
    if (steps.mean, steps.std) != _IMAGENET:
        yield "normalised by ImageNet's mean and std", (x - channels(_IMAGENET[0], x)) / channels(_IMAGENET[1], x) * std + mean


def _n_right(logits: Tensor, batch: _Batch) -> int:
    return int((logits.argmax(dim=1) == batch.labels)[: batch.n].sum())


def _mismatch(classifier: Classifier, batch: _Batch, gradient: Tensor) -> str:
    """Compares central difference quotients of the margin along the gradient's sign with what the gradient promises.

    Black and white pixels stay as they are: a network may cut its input to the range of pixels. A step whose promised change
    is lost in the rounding of the logits is left out, and an image without such a step is not counted.
    """
    direction = gradient.sign() * ((batch.x > 0) & (batch.x < 1))
    promised = (gradient * direction).flatten(1).sum(dim=1)[: batch.n].double() / 255
    # of the two logits that a margin is the difference of
    true, best = batch.logits.gather(1, batch.labels[:, None])[:, 0], batch.logits.amax(dim=1)
    hidden = _NOISE_ULPS * torch.finfo(torch.float32).eps * torch.maximum(true.abs(), best.abs())[: batch.n].double()
    errors, quotients = [], []
    for step in STEPS_8BIT:
        ahead, behind = (
            _margins(_asked(classifier, batch.x + sign * step / 255 * direction).double(), batch.labels)[: batch.n]
            for sign in (+1, -1)
        )
        quotient = (ahead - behind) / (2 * step * promised)
        is_told = 2 * step * promised > hidden
        errors.append(torch.where(is_told, (quotient - 1).abs(), torch.inf))
        quotients.append(quotient[is_told])
    least = torch.stack(errors).amin(dim=0)
    counted = torch.stack(errors).isfinite().any(dim=0)
    n_wrong, n_counted = int((least[counted] > MISMATCH).sum()), int(counted.sum())
    if n_wrong <= MANY * n_counted:
        return ""
    shares = " and ".join(f"{float(found.median()):.2g}" for found in quotients if len(found))
    return f"{n_wrong} of {n_counted} images; median quotient over promised slope, smallest step first: {shares}"


def _parts(classifier: Classifier) -> list[torch.nn.Module]:
    values = list(vars(classifier).values())
    behind = [part for value in values if isinstance(value, Classifier) for part in _parts(value)]
    return behind + [part for value in values if isinstance(value, torch.nn.Module) for part in value.modules()]


@contextmanager
def _left_as_found(classifier: Classifier) -> Iterator[None]:
    """Puts back what passes may change: random states, modes of the network's parts, and its buffers (running statistics)."""
    parts = _parts(classifier)
    modes = [part.training for part in parts]
    buffers = [(buffer, buffer.clone()) for part in parts for buffer in part.buffers(recurse=False)]
    try:
        with seeded(0, classifier.device):
            yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
