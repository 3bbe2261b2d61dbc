"""JSMA (Papernot et al. 2016, "The limitations of deep learning in adversarial settings"): few values, each changed much."""

from math import floor

import torch
from torch import Tensor

from pipeline.attacks.frame import MinimumNormAttack
from pipeline.attacks.lattice import Settled
from pipeline.attacks.options import SaliencyOptions
from pipeline.attacks.problem import Pass, Problem, each

# Features that are tried against each other at once; a bound says whether the best pair is surely among them.
_N_TRIED = 64
# So many rows of pairs are looked at together where the bound does not say so.
_N_ROWS = 1024


class Saliency(MinimumNormAttack):
    """Changes the values that help the target most and all other classes least, step by step, until the network says the target.

    A feature is the value of one channel of one pixel. With a the gradient of the target's logit and b that of the sum of all
    other logits, a step takes the pair (p, q) with the largest -(a_p + a_q)(b_p + b_q) among those whose first sum is positive
    and whose second is negative (Alg. 3; signs are exchanged where values decrease), or the feature with the largest -a_p b_p
    (Eq. 8). Any number of classes costs two backward passes; of probabilities, which add up to one, b is -a, and it is one. That
    of the target's logarithm is the same but for the probability as a factor, and does not vanish with it.

    Every image on the way is whole-numbered, so the one that is saved is the one that the network saw.
    """

    name = "jsma"
    options_kind = SaliencyOptions

    def smallest(self, problem: Problem) -> Settled:
        """Returns the images that reached their target, and the clean ones for the others."""
        walk = _Walk(problem, self._options)
        while len(active := (~walk.is_over).nonzero()[:, 0]):
            for one, places in problem.passes(walk.pixels[active], active):
                walk.step(one, places)
        if self._options.gives_back:
            walk.give_back()
        words = tuple("kept" if fools else "not-found" for fools in walk.fools.tolist())
        return Settled(torch.where(each(walk.fools), walk.pixels, problem.clean), words)


def best_pairs(target: Tensor, others: Tensor, is_open: Tensor, n_pairs: int = 1) -> tuple[Tensor, Tensor]:
    """Returns the pairs with the largest product of sums, (n, n_pairs, 2) places, and which of them exist, (n, n_pairs).

    The first is exactly the best of all D (D - 1) / 2 pairs, in memory of order D: a pair with p in it has at most the product
    (x_p + max x)(y_p + max y), so features by falling bound are enough once the next bound is not above the best product found.
    Where that is not so, features that two others exceed in both x and y are left out: exchanging one for the free one of the
    two only raises a product of positive sums. Further pairs, of features not yet taken, come from the same few features.

    Args:
        target, others: float (n, D), x and y: how much each feature helps the target, and hurts the other classes.
        is_open: bool (n, D), features that can be changed.
    """
    n_features = target.shape[1]
    low = torch.finfo(target.dtype).min / 4
    x, y = torch.where(is_open, target, low), torch.where(is_open, others, low)
    bound = (x + x.amax(dim=1, keepdim=True)).clamp_(min=0) * (y + y.amax(dim=1, keepdim=True)).clamp_(min=0)
    n_tried = min(n_features, _N_TRIED + 4 * n_pairs)
    bounds, tried = bound.topk(min(n_features, n_tried + 1), dim=1)
    left_out = bounds[:, n_tried] if bounds.shape[1] > n_tried else bounds.new_zeros(len(bounds))
    tried = tried[:, :n_tried]
    if others is target and n_pairs == 1 < n_features:  # the two largest, which are in front
        pair = tried[:, :2]
        return pair[:, None], x.gather(1, pair).sum(dim=1, keepdim=True).clamp_(min=0).square_() > 0
    pairs, worth = _greedy(x.gather(1, tried), y.gather(1, tried), n_pairs)
    places = tried.gather(1, pairs.flatten(1)).view(pairs.shape)
    for row in (left_out > worth[:, 0]).nonzero()[:, 0].tolist():
        kept = (bound[row] > worth[row, 0]).nonzero()[:, 0]
        pair, product = _best_of(x[row, kept], y[row, kept])
        if product > worth[row, 0]:
            best = kept[pair]
            clashes = (places[row, :, :, None] == best).any(dim=2).any(dim=1)
            worth[row] = torch.where(clashes, 0.0, worth[row])
            places[row, 0], worth[row, 0] = best, product
    return places, worth > 0


class _Walk:
    """The images on their way: where each stands and which of its values have been changed."""

    def __init__(self, problem: Problem, options: SaliencyOptions) -> None:
        self._problem, self._options, n = problem, options, len(problem)
        self._aims = problem.labels if problem.aims is None else problem.aims  # this attack always has a target
        self.pixels = problem.clean.clone()
        self.fools, self.is_over = (torch.zeros(n, dtype=torch.bool, device=problem.clean.device) for _ in range(2))
        self._is_changed = torch.zeros_like(problem.clean, dtype=torch.bool).flatten(1)
        self._most_changed = floor(options.gamma * self._is_changed.shape[1])

    def step(self, one: Pass, places: Tensor) -> None:
        """Notes which of these images (m,) have got there, and changes values of the others."""
        options, aims = self._options, self._aims[places]
        value = self._problem.goal(one.logits, places)
        arrived = value > self._problem.doubt(places)
        self.fools[places] = self.is_over[places] = arrived
        walks = ~arrived
        if not walks.any():
            return
        target, others = self._gradients(one, aims, walks)
        flat, is_changed = self.pixels[places].flatten(1), self._is_changed[places]
        is_open = (flat < 255) if options.theta_8bit > 0 else (flat > 0)
        n_left = self._most_changed - is_changed.sum(dim=1, keepdim=True)
        size, n_groups = (2 if options.form == "pair" else 1), options.n_per_step
        is_open &= is_changed | (n_left >= size)
        if options.form == "pair":
            chosen, exists = best_pairs(target, others, is_open, n_groups)
        else:
            worth = torch.where(is_open & (target > 0) & (others > 0), target * others, 0.0)
            found = worth.topk(min(n_groups, worth.shape[1]), dim=1)
            chosen, exists = found.indices[:, :, None], found.values > 0
        exists[:, 1:] &= torch.arange(2, exists.shape[1] + 1, device=exists.device) * size <= n_left
        self.is_over[places] |= ~exists[:, 0]
        chosen, exists = chosen.flatten(1), (exists & walks[:, None])[:, :, None].expand(chosen.shape).flatten(1)
        changes = torch.zeros_like(flat).scatter_add_(1, chosen, exists * float(options.theta_8bit))
        self.pixels[places] = (flat + changes).clamp_(0, 255).view_as(self.pixels[places])
        self._is_changed[places] = is_changed | (changes != 0)

    def give_back(self) -> None:
        """Gives those changed values their clean value back that helped the target least, as many as it can do without."""
        problem, active = self._problem, self.fools.nonzero()[:, 0]
        if not len(active):
            return
        clean, found = problem.clean[active], self.pixels[active].clone()
        gradient = problem.gradient(found, problem.goal, active)[1]
        help_ = torch.where(found != clean, gradient * (found - clean), torch.inf).flatten(1)
        rank = help_.argsort(dim=1, stable=True).argsort(dim=1).view_as(found)
        low, high = torch.zeros_like(active), (found != clean).flatten(1).sum(dim=1)
        while len(here := (high - low > 1).nonzero()[:, 0]):
            middle = (low[here] + high[here]) // 2
            tried = torch.where(rank[here] < each(middle), clean[here], found[here])
            value, unsure = problem.margins(tried, active[here])
            arrived = value > unsure
            low[here], high[here] = torch.where(arrived, middle, low[here]), torch.where(arrived, high[here], middle)
        self.pixels[active] = torch.where(rank < each(low), clean, found)

    def _gradients(self, one: Pass, aims: Tensor, walks: Tensor) -> tuple[Tensor, Tensor]:
        """Returns how much a change in the direction of theta helps the target, and hurts the others, each (m, D)."""
        sign = 1.0 if self._options.theta_8bit > 0 else -1.0
        of_target = torch.zeros_like(one.logits).scatter_(1, aims[:, None], 1.0)
        if self._options.of != "logits":
            chances = one.logits.softmax(dim=1)
            gradient = one.gradient(of_target - chances, walks, is_last=True).flatten(1).mul_(sign)
            if self._options.of == "probabilities":
                gradient *= chances.gather(1, aims[:, None])
            return gradient, gradient
        target, others = (one.gradient(weights, walks).flatten(1).mul_(sign) for weights in (of_target, of_target - 1))
        return target, others


def _greedy(x: Tensor, y: Tensor, n_pairs: int) -> tuple[Tensor, Tensor]:
    """Returns the best pairs (n, n_pairs, 2) of few features (n, k), each feature in one pair at most, and their products."""
    n, k = x.shape
    products = (x[:, :, None] + x[:, None]).clamp_(min=0) * (y[:, :, None] + y[:, None]).clamp_(min=0)
    products = products.masked_fill_(torch.eye(k, dtype=torch.bool, device=x.device), 0).view(n, k * k)
    pairs, worth = [], []
    for _ in range(min(n_pairs, k // 2)):
        best = products.max(dim=1)
        pair = torch.stack([best.indices // k, best.indices % k], dim=1)
        pairs.append(pair)
        worth.append(best.values)
        if len(pairs) < n_pairs:
            is_taken = torch.zeros_like(x, dtype=torch.bool).scatter_(1, pair, True)
            products.masked_fill_((is_taken[:, :, None] | is_taken[:, None]).view(n, k * k), 0)
    if not pairs:
        return torch.zeros((n, 1, 2), dtype=torch.int64, device=x.device), x.new_zeros((n, 1))
    return torch.stack(pairs, dim=1), torch.stack(worth, dim=1)


def _best_of(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the best pair (2,) of many features (k,) and its product, looking only at those that at most one other exceeds."""
    front = _first_two_fronts(x, y)
    x, y = x[front], y[front]
    best, pair = x.new_zeros(()), front[:2]
    for start in range(0, len(front), _N_ROWS):
        rows = slice(start, start + _N_ROWS)
        products = (x[rows, None] + x).clamp_(min=0) * (y[rows, None] + y).clamp_(min=0)
        products.diagonal(start).zero_()
        largest, place = products.view(-1).max(dim=0)
        if largest > best:
            best, pair = largest, front[torch.stack([start + place // len(front), place % len(front)])]
    return pair, best


def _first_two_fronts(x: Tensor, y: Tensor) -> Tensor:
    """Returns the features that no other has exceeded in x and y (the first front), and those that only the first front does."""
    order = x.argsort(descending=True, stable=True)
    sorted_y, low = y[order], torch.finfo(y.dtype).min
    fronts = []
    for _ in range(2):
        highest_before = torch.cat([sorted_y.new_full((1,), low), sorted_y.cummax(dim=0).values[:-1]])
        is_front = sorted_y > highest_before
        fronts.append(order[is_front])
        sorted_y = sorted_y.masked_fill(is_front, low)
    return torch.cat(fronts)
