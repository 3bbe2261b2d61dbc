"""What an attack is up against: images, where they are to be led, and the network, every pass of it counted."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.attacks.attack import Differentiable
from pipeline.models.scores import doubt

# Kernels are chosen by the shape of a batch. An image gets the same bits in batches of 4, 8 and 16 (seen with ResNet-18 and
# MobileNetV2 on one and two cores; not with 1, 2, 3, 5 or 7), so images may leave a batch without changing their neighbours.
SIZES = {"cpu": (4, 8, 16), "cuda": (16, 32, 64, 128)}

# Larger numbers in a gradient say nothing, and their squares overflow.
_LARGEST_SLOPE = 1e15

Objective = Callable[[Tensor, Tensor], Tensor]


class Network:
    """One attack's view of the classifier.

    Pixels are float32 (n, 3, H, W) in 0 to 255. `rows`, int64 (n,), says which of the call's images they are, all without it: by
    them answers and gradients are counted in `n_forward` and `n_backward`, each int64 (n_images,); an image that is there several
    times, as several photographs of it, is counted as often, copies that fill up a batch are not. `ask` gives the logits of
    images in [0, 1] and counts nothing. Of a network that takes luma, grey pictures have one channel throughout.

    What is not finite in a gradient is given as 0, no direction; logits without a finite largest one are all given as 0, so that
    no class wins; `is_blind` says which images that befell. `doubt`, (n_images,), is the largest margin that rounding may make or
    undo in any of an image's logits so far.
    """

    def __init__(self, classifier: Differentiable, n_images: int) -> None:
        ask, self.device, self._n_passes = classifier.for_attacks(), classifier.device, classifier.n_passes
        self.ask: Callable[[Tensor], Tensor] = (lambda x: ask(x.expand(-1, 3, -1, -1))) if classifier.takes_luma else ask
        self.n_forward, self.n_backward = (torch.zeros(n_images, dtype=torch.int64, device=self.device) for _ in range(2))
        self._n_blind = torch.zeros_like(self.n_forward)
        self.doubt = torch.zeros(n_images, device=self.device)
        self._sizes = SIZES.get(self.device.type, SIZES["cuda"])

    def fork(self) -> "Network":
        """Returns the same network with counts of its own that go on from these."""
        other = copy.copy(self)
        other.n_forward, other.n_backward = self.n_forward.clone(), self.n_backward.clone()
        other._n_blind, other.doubt = self._n_blind.clone(), self.doubt.clone()
        return other

    def keep(self, rows: list[int]) -> None:
        """Makes what was told of these images that of the call's images, one after the other."""
        self.n_forward, self.n_backward = self.n_forward[rows], self.n_backward[rows]
        self._n_blind, self.doubt = self._n_blind[rows], self.doubt[rows]

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns how many forward and backward passes of the network each image cost, int64 (n_images,).

        Behind a defence that asks the network several times an answer costs as many, and so does a gradient.
        """
        return self.n_forward.numpy(force=True) * self._n_passes, self.n_backward.numpy(force=True) * self._n_passes

    def is_blind(self) -> tuple[bool, ...]:
        """Returns which images met numbers that are not finite, () where none did."""
        found = (self._n_blind > 0).tolist()
        return tuple(found) if any(found) else ()

    def logits(self, pixels: Tensor, rows: Tensor | None = None) -> Tensor:
        """Returns (n, n_classes) logits, without gradient."""
        rows = self._count_forward(rows)
        with torch.no_grad():
            found = _joined([self.ask(_taken(pixels, index, n) / 255)[:n] for index, n in self._batches(len(pixels))])
            return self._heard(found, rows)

    def gradient(self, pixels: Tensor, objective: Objective, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns the logits and the gradient (n, 3, H, W) of one objective of each image, per 8-bit level, in one pass.

        Args:
            objective: of the logits (m, n_classes) and of the places (m,) in `pixels` that they belong to, gives (m,) values.
        """
        logits, gradients = [], []
        for one in self.passes(pixels, rows):
            logits.append(one.logits)
            gradients.append(one.last_gradient(objective))
        return _joined(logits), _joined(gradients).div_(255)

    def passes(self, pixels: Tensor, rows: Tensor | None = None) -> Iterator["Pass"]:
        """Yields one forward pass for each batch; gradients of what it says can be asked of it one after the other."""
        rows = self._count_forward(rows)
        for index, n in self._batches(len(pixels)):
            with torch.enable_grad():
                inputs = (_taken(pixels, index, n) / 255).requires_grad_()
                found = self._heard(self.ask(inputs), rows[index])
            yield Pass(self, index, n, inputs, found, rows[index[:n]])

    def count_backward(self, gradient: Tensor, rows: Tensor, asked: Tensor | None) -> Tensor:
        """Counts a pass of the images asked about, bool (n,), all without; returns what of the gradient is a direction."""
        self.n_backward.index_add_(0, rows, torch.ones_like(rows) if asked is None else asked.long())
        direction, is_blind = directions(gradient)
        self.note_blind(rows, is_blind)
        return direction

    def note_blind(self, rows: Tensor, is_blind: Tensor) -> None:
        """Notes of these images whether the network answered with numbers that are not finite."""
        self._n_blind.index_add_(0, rows, is_blind.long())

    def _heard(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Notes what logits (n, n_classes) of these images say of rounding; returns them, 0 where they say nothing."""
        is_broken = ~logits.detach().amax(dim=1).isfinite()
        self.note_blind(rows, is_broken)
        heard = logits.masked_fill(is_broken[:, None], 0.0)
        self.doubt.scatter_reduce_(0, rows, doubt(heard.detach().float()), "amax")
        return heard

    def _count_forward(self, rows: Tensor | None) -> Tensor:
        rows = torch.arange(len(self.n_forward), device=self.device) if rows is None else rows
        self.n_forward.index_add_(0, rows, torch.ones_like(rows))
        return rows

    def _batches(self, n: int) -> Iterator[tuple[Tensor, int]]:
        """Yields the places of each batch, filled up with its last one, and how many of them are real."""
        most = self._sizes[-1]
        for start in range(0, n, most):
            real = min(n - start, most)
            size = next(size for size in self._sizes if size >= real)
            yield torch.arange(start, start + size, device=self.device).clamp_(max=start + real - 1), real


class Pass:
    """A forward pass of some images, kept for several backward passes.

    Attributes:
        places: int64 (n,), the places of its images in the pixels that were given.
        logits: (n, n_classes), without gradient.
    """

    def __init__(self, network: Network, index: Tensor, n: int, inputs: Tensor, found: Tensor, rows: Tensor) -> None:
        self._network, self._index, self._n, self._inputs, self._found, self._rows = network, index, n, inputs, found, rows
        self.places, self.logits = index[:n], found.detach()[:n]

    def gradient(self, weights: Tensor, asked: Tensor | None = None, is_last: bool = False) -> Tensor:
        """Returns the gradient (n, 3, H, W), per 8-bit level, of the sum of each image's logits times its weights (n, n_classes).

        Args:
            asked: bool (n,), the images that the pass is counted for; all without it.
            is_last: nothing more is asked of the pass, which need not be kept.
        """
        filled = weights[self._index - self._index[0]]
        gradient = self._followed_back(self._found, filled, retain_graph=not is_last)
        return self._network.count_backward(gradient[: self._n], self._rows, asked).div_(255)

    def last_gradient(self, objective: Objective) -> Tensor:
        """Returns the gradient (n, 3, H, W) of one objective of each image, by pixels on [0, 1], and gives up the pass."""
        with torch.enable_grad():
            gradient = self._followed_back(objective(self._found, self._index).sum())
        return self._network.count_backward(gradient[: self._n], self._rows, None)

    def _followed_back(self, value: Tensor, weights: Tensor | None = None, retain_graph: bool = False) -> Tensor:
        """Returns the gradient (m, 3, H, W) of a value at the images, 0 where there is no way back for such images."""
        if not value.requires_grad:
            return torch.zeros_like(self._inputs)
        (gradient,) = torch.autograd.grad(value, self._inputs, weights, retain_graph=retain_graph, allow_unused=True)
        return torch.zeros_like(self._inputs) if gradient is None else gradient


def directions(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Returns a gradient (n, 3, H, W) with 0 for what is not finite, and which images had any of that, bool (n,)."""
    is_number = gradient.abs() <= _LARGEST_SLOPE
    return torch.where(is_number, gradient, 0.0), ~is_number.flatten(1).all(dim=1)


def margin(labels: Tensor, targets: Tensor | None = None) -> Objective:
    """Returns the objective that is positive where an image fools the network, in logits.

    Untargeted: best other class minus the true one; targeted: the target minus the best other class (Carlini and Wagner's -f6).
    """

    def value(logits: Tensor, index: Tensor) -> Tensor:
        aim = (labels if targets is None else targets)[index][:, None]
        chosen = logits.gather(1, aim)[:, 0]
        others = logits.scatter(1, aim, -torch.inf).amax(dim=1)
        return others - chosen if targets is None else chosen - others

    return value


def clean_pixels(images: np.ndarray, device: torch.device) -> Tensor:
    """Returns uint8 (N, H, W, 3) images as float32 (N, 3, H, W) whole numbers in 0 to 255."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(device, torch.float32)


def saved_images(pixels: Tensor) -> np.ndarray:
    """Returns whole-numbered pixels in 0 to 255, of three channels or one, as the uint8 (N, H, W, 3) images that are saved."""
    return pixels.to(torch.uint8).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _taken(pixels: Tensor, index: Tensor, n: int) -> Tensor:
    return pixels if len(index) == len(pixels) == n else pixels[index]


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass(frozen=True)
class Found:
    """What a search ends with: whole-numbered images (n, 3, H, W) in 0 to 255, and the network that counted its passes.

    `rounding` and `by` are as in `Perturbed`.
    """

    pixels: Tensor
    network: Network
    rounding: tuple[str, ...] = ()
    by: tuple[str, ...] = ()


class Problem:
    """Images, where they are to be led, and the network's answers about them.

    Attributes:
        classifier, network: the network under test, as it is and as attacks see it.
        images, clean: the clean images, uint8 (n, H, W, 3), and the same as float32 (n, 3, H, W) whole numbers in 0 to 255;
            where `is_grey`, (n, 1, H, W).
        labels, aims: int64 (n,); aims is None for an untargeted attack.
        rows: int64 (n,), which of the call's images these are.
        first_slope: the slope at the clean images, where choosing the aims gave it.
    """

    def __init__(
        self,
        classifier: Differentiable,
        images: np.ndarray,
        labels: np.ndarray,
        targets: np.ndarray | None = None,
        is_grey: bool = False,
    ) -> None:
        """Args: is_grey: the images are grey, and the network takes luma."""
        device = classifier.device
        self.classifier, self.network, self.images = classifier, Network(classifier, len(images)), images
        self.clean = clean_pixels(images, device)[:, : 1 if is_grey else 3]
        self.labels = torch.as_tensor(labels, dtype=torch.int64, device=device)
        self.aims = None if targets is None else torch.as_tensor(targets, dtype=torch.int64, device=device)
        self.rows = torch.arange(len(images), device=device)
        self.first_slope: Tensor | None = None

    def __len__(self) -> int:
        return len(self.clean)

    def fork(self) -> "Problem":
        """Returns the same problem with a count of its own that goes on from this one's."""
        other = copy.copy(self)
        other.network = self.network.fork()
        return other

    def of(self, places: Tensor) -> "Problem":
        """Returns the problem of some of the images; their passes are counted in this one's network."""
        other = copy.copy(self)
        other.images, other.rows = self.images[places.cpu().numpy()], self.rows[places]
        other.clean, other.labels = self.clean[places], self.labels[places]
        other.aims = None if self.aims is None else self.aims[places]
        return other

    def ball(self, epsilon_8bit: int) -> tuple[Tensor, Tensor]:
        """Returns the lowest and the highest image whose pixels are within epsilon of the clean ones, and in 0 to 255."""
        return (self.clean - epsilon_8bit).clamp_(min=0), (self.clean + epsilon_8bit).clamp_(max=255)

    @property
    def goal(self) -> Objective:
        """The margin by which an image fools; see `margin`."""
        return margin(self.labels, self.aims)

    def loss(self, logits: Tensor, places: Tensor) -> Tensor:
        """Returns what is to grow, (m,): the cross-entropy of the true class, or that of the target with its sign turned."""
        if self.aims is None:
            return cross_entropy(logits, self.labels[places], reduction="none")
        return -cross_entropy(logits, self.aims[places], reduction="none")

    def slope(self, pixels: Tensor) -> Tensor:
        """Returns the gradient (n, 3, H, W) of the loss that is to grow, per 8-bit level."""
        return self.gradient(pixels, self.loss)[1]

    def gradient(self, pixels: Tensor, objective: Objective, places: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns the logits (m, n_classes) and the gradient (m, 3, H, W) of an objective of each image, per 8-bit level.

        Args:
            pixels: float32 (m, 3, H, W) in 0 to 255, of the images at these places (m,), all of them without.
            objective: of logits and of places.
        """
        if places is None:
            return self.network.gradient(pixels, objective, self.rows)
        return self.network.gradient(pixels, lambda scores, index: objective(scores, places[index]), self.rows[places])

    def passes(self, pixels: Tensor, places: Tensor) -> Iterator[tuple[Pass, Tensor]]:
        """Yields a forward pass for each batch of these images, and which they are."""
        for one in self.network.passes(pixels, self.rows[places]):
            yield one, places[one.places]

    def look(self, pixels: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns -f6 (m,) before its cut, its gradient (m, 3, H, W) by pixels on [0, 1], and how much of it is in doubt (m,)."""
        logits, gradient = self.gradient(pixels, self.goal, places)
        return self.goal(logits, places), gradient.mul_(255), self.doubt(places)

    def margins(self, pixels: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Returns -f6 (m,) before its cut and how much of it is in doubt (m,), for one forward pass."""
        logits = self.network.logits(pixels, self.rows[places])
        return self.goal(logits, places), self.doubt(places)

    def doubt(self, places: Tensor) -> Tensor:
        """Returns the margin (m,) that rounding may make or undo in these images; only a larger one counts as fooling."""
        return self.network.doubt[self.rows[places]]


class Closest:
    """The closest image so far that fools, of each: `pixels`, and its `distance`, infinite where there is none."""

    def __init__(self, clean: Tensor) -> None:
        self.pixels, self.distance = clean.clone(), clean.new_full((len(clean),), torch.inf)

    @property
    def is_found(self) -> Tensor:
        return self.distance.isfinite()

    def put(self, places: Tensor, pixels: Tensor, distance: Tensor, fools: Tensor) -> Tensor:
        """Keeps what fools and is closer than all before; returns which of the images (m,) that are."""
        better = fools & (distance < self.distance[places])
        self.pixels[places] = torch.where(each(better), pixels, self.pixels[places])
        self.distance[places] = torch.where(better, distance, self.distance[places])
        return better


def each(values: Tensor) -> Tensor:
    """Returns one value for each image, (n,), in the shape that multiplies images."""
    return values[:, None, None, None]


def sums(values: Tensor) -> Tensor:
    """Returns the sum over each image, (n,). One image is summed as one of two: alone it would be in another order."""
    flat = values.flatten(1)
    return flat.expand(2, -1).contiguous().sum(dim=1)[:1] if len(flat) == 1 else flat.sum(dim=1)
