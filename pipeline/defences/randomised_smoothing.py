"""Randomised smoothing: the class that most noisy copies of a picture are given, which can be certified (`certifying.py`)."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from pipeline.defences.defended import Defended, draws_of, straight_through
from pipeline.defences.options import RandomisedSmoothingOptions

# Stands for no vote at all, of which there is no logarithm.
_NO_VOTE = 1e-9


class RandomisedSmoothing(Defended):
    """g(x), the class with the most votes f(x + N(0, σ²)) of `n_samples` noisy copies (Cohen, Rosenfeld and Kolter 2019).

    Copies are not cut to a range. The noise is drawn from the seed and the picture's own 8-bit pixels: the same picture always
    gets the same votes, whatever is asked with it. The logits are the logarithms of the shares of votes; they never abstain.

    Votes have no derivative: backward goes the logarithm of the mean probability of the copies. An attack that knows the defence
    follows that alone, over `n_expected` copies with other noise, which changes with every step (SmoothAdv, Salman et al. 2019).
    """

    defence = "randomised-smoothing"
    _options: RandomisedSmoothingOptions

    def shown(self, pixels: Tensor) -> Tensor:
        """Returns the first noisy copy of each, which is what explanations look at."""
        return next(self._copies(pixels, 1, "defence"))

    def logits(self, x: Tensor) -> Tensor:
        self._check_input(x)
        answers = [self._inner.logits(copy / 255) for copy in self._copies(x * 255, self._options.n_samples, "defence")]
        votes = sum(torch.nn.functional.one_hot(answer.argmax(dim=1), self.n_classes) for answer in answers)
        shares = torch.as_tensor(votes).to(answers[0]) / len(answers)
        return straight_through(_log_mean(answers), shares.clamp(min=_NO_VOTE).log())

    def for_attacks(self) -> Callable[[Tensor], Tensor]:
        ask, n_expected = self._inner.for_attacks(), self._options.n_expected
        return lambda x: _log_mean([ask(copy / 255) for copy in self._copies(x * 255, n_expected, "attack")])

    @property
    def sigma_8bit(self) -> float:
        """σ of the noise."""
        return self._options.sigma_8bit

    def votes(self, pixels: np.ndarray, n: int, draw: np.random.Generator, at_once: int) -> np.ndarray:
        """Returns how often each class, int64 (n_classes,), is said of n noisy copies of one uint8 (H, W, 3) picture.

        Args:
            draw: of the noise, the same for every `at_once`, which only says how many copies are looked at together.
        """
        clean, votes = torch.from_numpy(pixels).permute(2, 0, 1).float(), np.zeros(self.n_classes, np.int64)
        for start in range(0, n, at_once):
            noise = draw.standard_normal((min(at_once, n - start), *clean.shape), np.float32)
            copies = (clean + self._options.sigma_8bit * torch.from_numpy(noise)) / 255
            with torch.no_grad():
                said = self._inner.logits(copies.to(self.device)).argmax(dim=1)
            votes += np.bincount(said.cpu().numpy(), minlength=self.n_classes)
        return votes

    def _copies(self, pixels: Tensor, n: int, purpose: str) -> Iterator[Tensor]:
        """Yields noisy copies of a batch, each picture with noise of its own."""
        draws = draws_of(pixels, self._options.seed, f"{self.defence} {purpose}")
        for _ in range(n):
            noise = np.stack([draw.standard_normal(pixels.shape[1:], np.float32) for draw in draws])
            yield pixels + self._options.sigma_8bit * torch.from_numpy(noise).to(pixels)


def _log_mean(answers: list[Tensor]) -> Tensor:
    """Returns the logarithm of the mean probabilities of some logits (N, n_classes)."""
    return torch.stack([answer.log_softmax(dim=1) for answer in answers]).logsumexp(dim=0) - np.log(len(answers))
