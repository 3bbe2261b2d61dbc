"""Carlini and Wagner's L2 attack (2017, Sec. V-B): the smallest squared distance that still leads the network astray."""

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.cw import Variables
from pipeline.attacks.deepfool import walked
from pipeline.attacks.frame import MinimumNormAttack
from pipeline.attacks.lattice import Settled, settle
from pipeline.attacks.options import DeepFoolOptions, SmallestDistanceOptions
from pipeline.attacks.problem import Closest, Problem, each, sums
from pipeline.core.seeds import generator_for
from pipeline.images import pixels_sha256

# Of a descent that ends on whole numbers, the share that still sees real ones.
_REAL_SHARE = 0.25
# Steps where the option leaves them open, of a search that glides and of a descent by Adam.
_N_GLIDED, _N_DESCENDED = 8, 60
# How far DeepFool walks to the boundary that a running search and one that glides start from, and to which classes.
_RUNS_FROM = DeepFoolOptions(n_steps=20, n_candidates=10, overshoot=0.005)
_GLIDES_FROM = DeepFoolOptions(n_steps=20, n_candidates=7, overshoot=0.02)
# The running search multiplies or divides c by this at each step; what one run has not fooled starts again from ten times c,
_C_PACE, _C_GROWTH = 1.15, 10.0
# and with larger steps: where the boundary is far, small ones that shrink never get there.
_RATE_GROWTH = 2.0
# A search glides, and the rate is the option's, where the boundary is this near (root mean square over all values, in levels).
# Beyond, the rate grows with the distance: black and white pixels have farther to go in w than grey ones.
_NEAR_8BIT = 3.0
# Nearer than this, whole numbers alone may cost what gliding gains, and say nothing of where it got to.
_FINE_8BIT = 1.0
_LARGEST_C = 1e10
# A search ends for an image whose bounds of c are this close: c then changes the distance by less than rounding does.
_CLOSE_BOUNDS = 1.01
# An image leaves a descent whose objective has not fallen to this part of what it was a tenth of the steps ago (reference code).
_PROGRESS = 0.9999


class SmallestDistance(MinimumNormAttack):
    """Minimises |x - x0|^2 + c f6(x), distances on [0, 1], with c searched for each image by itself.

    The paper's search descends by Adam over w, and bisects c over whole descents. Gliding (`lattice.settle`) solves for c in each
    step, as the multiplier that leads to the boundary's plane: a few passes in whole numbers, where Adam takes many. The running
    search, by Adam, gets there in one descent: c grows at a step that does not fool and shrinks at one that does, so that the
    image stays at the boundary while the rate falls to zero. Where `whole_numbers` is set, Adam's network sees rounded pixels in
    the later part of a descent and its gradient is passed on as if it had not: what is found is then what can be saved.
    """

    name = "cw-l2"
    options_kind = SmallestDistanceOptions

    def smallest(self, problem: Problem) -> Settled:
        """Returns what to save: the closest image of all searches and starts, on the lattice."""
        return self._glided(problem) if self._options.search == "gliding" else self.closest(problem).settled()

    def _glided(self, problem: Problem) -> Settled:
        """Returns the closest images of all starts, each glided along the boundary where that is near.

        A running search looks for the others: where the boundary is far, it bends too much for steps that take it as a plane. It
        does so, too, where gliding came no nearer than the walk.
        """
        options = self._options
        places, fools = walked(problem, _GLIDES_FROM)
        reach = sums((places - problem.clean).div_(255).square_()).sqrt_()
        reach_8bit = reach * (255 / problem.clean[0].numel() ** 0.5)
        is_near = fools & (reach_8bit <= _NEAR_8BIT)
        found, lengths = Settled(problem.clean, ("not-found",) * len(problem)), problem.clean.new_full((len(problem),), torch.inf)
        for start in range(options.n_starts):
            if start:
                places = self._random_places(problem, lengths, start)
            n_steps = options.n_steps or _N_GLIDED
            again = settle(problem, places, is_near, "l2", confidence=options.kappa, n_refinements=n_steps)
            length = _lengths(again, problem.clean)
            found, lengths = found.where(lengths <= length, again), lengths.minimum(length)
        is_stuck = (lengths >= reach) & (reach_8bit > _FINE_8BIT) & (options.kappa == 0)
        left = (is_stuck | ~lengths.isfinite()).nonzero()[:, 0]
        if not len(left):
            return found
        rest = self.closest(problem.of(left)).settled()
        length = _lengths(rest, problem.clean[left])
        words = dict(zip(left.tolist(), rest.rounding, strict=True))
        rounding = tuple(words.get(place, word) for place, word in enumerate(found.rounding))
        searched = Settled(found.pixels.index_copy(0, left, rest.pixels), rounding)
        return found.where(lengths < lengths.index_copy(0, left, length), searched)

    def closest(self, problem: Problem) -> "_Best":
        """Returns the closest images that all searches and starts came across, before they are settled on the lattice."""
        options, best = self._options, _Best(problem, self._options.kappa)
        first_c, places = self._first_c(problem, best), None
        is_open, rate = ~best.is_found(), torch.full_like(first_c, options.learning_rate)
        if options.start == "boundary" and options.search != "bisection":
            first_c, places = self._at_boundary(problem, best, first_c)
            reach_8bit = (places - problem.clean).square().mean(dim=(1, 2, 3)).sqrt_()
            rate = rate * (reach_8bit / _NEAR_8BIT).clamp(min=1)
        self._search_c(problem, best, first_c, rate, is_open, places)
        for start in range(1, options.n_starts):
            active = best.is_found() & (best.distance > 0)
            places = self._random_places(problem, best.distance.sqrt(), start)
            self._search_c(problem, best, best.c.where(active, first_c), rate, active, places)
        return best

    def _first_c(self, problem: Problem, best: "_Best") -> Tensor:
        """Returns c for the first search. For a linear network 2 |margin| / |gradient|^2 leads exactly to the boundary."""
        every = torch.arange(len(problem), device=problem.clean.device)
        value, gradient, unsure = problem.look(problem.clean, every)
        best.put(problem.clean, value, unsure, torch.zeros_like(value), every, torch.zeros_like(value), is_whole=True)
        if self._options.initial_c:
            return torch.full_like(value, self._options.initial_c)
        missing = (self._options.kappa - value).clamp_(min=1e-3)
        return 2 * missing / sums(gradient.square_()).clamp_(min=1e-12)

    def _at_boundary(self, problem: Problem, best: "_Best", c: Tensor) -> tuple[Tensor, Tensor]:
        """Returns c and where DeepFool's walk first fools; c is that whose minimum is there: 2 |x - x0| / |gradient|.

        What the walk has not fooled keeps its c and starts at the clean image.
        """
        pixels, fools = walked(problem, _RUNS_FROM)
        places = (fools & ~best.is_found()).nonzero()[:, 0]
        if len(places):
            value, gradient, unsure = problem.look(pixels[places], places)
            distance = sums((pixels[places] - problem.clean[places]).div_(255).square_())
            balanced = 2 * distance.sqrt() / sums(gradient.square_()).sqrt_().clamp_(min=1e-12)
            if not self._options.initial_c:
                c = c.index_put((places,), balanced)
            best.put(pixels[places], value, unsure, distance, places, balanced, is_whole=False)
        return c, torch.where(each(fools), pixels, problem.clean)

    def _search_c(
        self, problem: Problem, best: "_Best", c: Tensor, rate: Tensor, is_active: Tensor, places: Tensor | None
    ) -> None:
        options = self._options
        low, high = torch.zeros_like(c), torch.full_like(c, _LARGEST_C)
        at = problem.clean if places is None else places
        for _ in range(options.n_searches):
            active = is_active.nonzero()[:, 0]
            if not len(active):
                return
            if options.warm_start and options.search == "bisection":
                at = torch.where(each(best.distance.isfinite() & is_active), best.closest(), at)
            fooled = torch.zeros_like(is_active)
            fooled[active] = self._descend(problem, best, active, c[active], at[active], rate[active])
            if options.search != "bisection":
                c, rate = c * _C_GROWTH, rate * _RATE_GROWTH
                is_active = is_active & ~fooled & (c <= _LARGEST_C)
                continue
            high, low = torch.where(fooled, high.minimum(c), high), torch.where(fooled, low, low.maximum(c))
            c = torch.where(high < _LARGEST_C, (low + high) / 2, (low * _C_GROWTH).clamp(max=_LARGEST_C))
            is_active = is_active & (high > low * _CLOSE_BOUNDS)

    def _descend(self, problem: Problem, best: "_Best", active: Tensor, c: Tensor, start: Tensor, rate: Tensor) -> Tensor:
        """Returns which of the active images (m,) one descent from `start` fooled; c and rate are numbers of each."""
        options, is_running = self._options, self._options.search != "bisection"
        n_steps = options.n_steps or _N_DESCENDED
        n_real = round(_REAL_SHARE * n_steps) if options.whole_numbers else n_steps
        every_n = max(n_steps // 10, 1)
        variables, clean = Variables(start), problem.clean[active]
        fooled = torch.zeros(len(active), dtype=torch.bool, device=active.device)
        here = torch.arange(len(active), device=active.device)
        before = torch.full_like(c, torch.inf)
        for step in range(n_steps):
            pixels = variables.pixels()
            is_whole = step >= n_real
            seen = pixels.round() if is_whole else pixels
            value, gradient, unsure = problem.look(seen, active[here])
            distance = sums((seen - clean).div_(255).square_())
            fools = best.put(seen, value, unsure, distance, active[here], c, is_whole)
            fooled[here] |= fools
            objective = distance + c * (options.kappa - value).clamp_(min=0)
            pull = (pixels - clean).mul_(2 / 255)
            now = rate[here] * ((1 - step / n_steps) if is_running else 1.0)
            variables.step(pull.sub_(gradient.mul_(each(torch.where(fools, 0.0, c)))), now)
            if is_running:
                c = torch.where(fools, c / _C_PACE, c * _C_PACE)
            elif options.abort_early and step % every_n == 0:
                stays = (objective <= before * _PROGRESS).nonzero()[:, 0]
                if step == n_real:
                    stays = torch.arange(len(here), device=here.device)
                here, c, clean, before = here[stays], c[stays], clean[stays], objective[stays]
                variables.keep(stays)
                if not len(here):
                    break
        return fooled

    def _random_places(self, problem: Problem, distances: Tensor, start: int) -> Tensor:
        """Returns points drawn uniformly from the ball around each clean image that reaches to its closest adversarial image.

        Args:
            distances: (n,) to the closest image so far, on [0, 1]; infinite where there is none.
        """
        shape = tuple(problem.clean.shape[1:])
        places = problem.clean.clone()
        for k, radius in enumerate(distances.tolist()):
            if np.isfinite(radius):
                draw = generator_for(self._options.seed, f"cw-l2-{start}", pixels_sha256(problem.images[k]))
                direction = draw.normal(size=shape)
                direction *= 255 * radius * draw.uniform() ** (1 / direction.size) / np.linalg.norm(direction)
                places[k] += torch.from_numpy(direction).to(places)
        return places.clamp_(0, 255)


def _lengths(found: Settled, clean: Tensor) -> Tensor:
    """Returns how far each image (n,) is from the clean one, Euclidean on [0, 1]; infinite where none fools."""
    is_lost = torch.tensor([word in ("lost", "not-found") for word in found.rounding], device=clean.device)
    return sums((found.pixels - clean).div_(255).square_()).sqrt_().masked_fill(is_lost, torch.inf)


class _Best:
    """The closest images so far that fool: among real ones and among whole-numbered ones, squared distances on [0, 1]."""

    def __init__(self, problem: Problem, kappa: float) -> None:
        self._problem, self._kappa = problem, kappa
        self._real, self._whole = Closest(problem.clean), Closest(problem.clean)
        self.c = problem.clean.new_zeros(len(problem))

    @property
    def distance(self) -> Tensor:
        return self._real.distance.minimum(self._whole.distance)

    def is_found(self) -> Tensor:
        return self.distance.isfinite()

    def closest(self) -> Tensor:
        return torch.where(each(self._real.distance <= self._whole.distance), self._real.pixels, self._whole.pixels)

    def put(
        self, pixels: Tensor, value: Tensor, unsure: Tensor, distance: Tensor, places: Tensor, c: Tensor, is_whole: bool
    ) -> Tensor:
        """Keeps what fools and is closer than all before; returns which of the images (m,) fool, surely if whole-numbered."""
        fools = value > self._kappa + (unsure if is_whole else 0.0)
        self.c[places] = torch.where(fools & (distance < self.distance[places]), c, self.c[places])
        (self._whole if is_whole else self._real).put(places, pixels, distance, fools)
        return fools

    def settled(self) -> Settled:
        """Returns what to save. The word says what rounding did to the closest real-numbered image, where there is one."""
        problem, is_found = self._problem, self.is_found()
        undone = torch.zeros_like(is_found)
        both = (self._real.is_found & self._whole.is_found).nonzero()[:, 0]
        if len(both):
            rounded = self._real.pixels[both].round()
            value, unsure = problem.margins(rounded, both)
            distance = sums((rounded - problem.clean[both]).div_(255).square_())
            undone[both] = ~self.put(rounded, value, unsure, distance, both, self.c[both], is_whole=True)
        start = torch.where(each(self._whole.is_found), self._whole.pixels, self._real.pixels)
        found = settle(problem, start, is_found, "l2", confidence=self._kappa)
        words = zip(found.rounding, undone.tolist(), strict=True)
        return Settled(found.pixels, tuple("repaired" if word == "kept" and mended else word for word, mended in words))
