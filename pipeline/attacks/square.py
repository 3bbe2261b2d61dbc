"""The Square attack (Andriushchenko et al. 2020, Sec. 3): random squares at the corners of the ball; it asks for scores alone."""

from math import sqrt

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.frame import BallAttack
from pipeline.attacks.options import SquareOptions
from pipeline.attacks.problem import Problem
from pipeline.core.seeds import generator_for
from pipeline.images import pixels_sha256

# Of 10,000 queries, those after which the squares' share of the image is halved (Sec. 3.3).
_HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_OF_QUERIES = 10_000


class Square(BallAttack):
    """Starts with vertical stripes of plus and minus epsilon; a square of one colour of such is kept where the margin grows.

    Every image asked about is whole-numbered. An image leaves as soon as it fools.
    """

    name = "square"
    options_kind = SquareOptions

    def within(self, problem: Problem, epsilon: int) -> Tensor:
        """Returns whole-numbered images in the ball, each with the largest margin that was found."""
        clean, n_queries = problem.clean, self._options.n_queries
        keys = [pixels_sha256(image) for image in problem.images]
        draws = [generator_for(self._options.seed, f"square-{epsilon}", key) for key in keys]
        best, value = clean.clone(), clean.new_full((len(clean),), -torch.inf)
        active = torch.arange(len(clean), device=clean.device)
        for query in range(n_queries):
            here = active.tolist()
            some = [draws[place] for place in here]
            tried = (
                self._stripes(clean[active], epsilon, some)
                if query == 0
                else self._squares(clean[active], best[active], epsilon, some, share_of(query, n_queries, self._options.share))
            )
            ahead, unsure = problem.margins(tried, active)
            rises = ahead > value[active]
            best[active[rises]], value[active[rises]] = tried[rises], ahead[rises]
            active = active[value[active] <= unsure]
            if not len(active):
                break
        return best

    def _stripes(self, clean: Tensor, epsilon: int, draws: list[np.random.Generator]) -> Tensor:
        n_channels, width = clean.shape[1], clean.shape[3]
        signs = np.stack([draw.choice([-epsilon, epsilon], (n_channels, 1, width)) for draw in draws])
        return (clean + torch.from_numpy(signs).to(clean)).clamp_(0, 255)

    def _squares(self, clean: Tensor, best: Tensor, epsilon: int, draws: list[np.random.Generator], share: float) -> Tensor:
        """Returns the best images (m, 3, H, W) with a square each at a corner of the ball, drawn again if it changes nothing."""
        tried, (height, width) = best.clone(), best.shape[2:]
        side = min(max(round(sqrt(share * height * width)), 1), height - 1, width - 1)
        for place, draw in enumerate(draws):
            top, left = int(draw.integers(height - side + 1)), int(draw.integers(width - side + 1))
            window = place, slice(None), slice(top, top + side), slice(left, left + side)
            for _ in range(_N_DRAWN):
                signs = torch.from_numpy(draw.choice([-epsilon, epsilon], (clean.shape[1], 1, 1))).to(clean)
                tried[window] = (clean[window] + signs).clamp_(0, 255)
                if not torch.equal(tried[window], best[window]):
                    break
        return tried


# A square of a channel has one of two colours; that so many draws all change nothing happens only where nothing can be changed.
_N_DRAWN = 20


def share_of(query: int, n_queries: int, first: float) -> float:
    """Returns the share of the image that a square has at a query."""
    of_all = int(query / n_queries * _OF_QUERIES)
    return first / 2 ** sum(of_all > place for place in _HALVED_AFTER)
