"""Randomised smoothing: its votes, what an attack that knows it follows, and radii against closed forms and other packages."""

import numpy as np
import pytest
import torch
from linear_classifier import Linear, pictures
from scipy import stats
from scipy.special import logsumexp

from pipeline.core.seeds import generator_for
from pipeline.defences.options import RandomisedSmoothingOptions
from pipeline.defences.randomised_smoothing import RandomisedSmoothing
from pipeline.images import pixels_sha256, to_model
from pipeline.statistics import binomial_bounds
from pipeline.studies.cohen2019.certifying import certified_radius

proportion = pytest.importorskip("statsmodels.stats.proportion")


def smoothed(scale=1.0, **options):
    return RandomisedSmoothing(Linear(scale), RandomisedSmoothingOptions(**options))


def copies_logits(classifier, image, n, purpose):
    """The network's logits of an image's noisy copies, by hand in NumPy."""
    draw = generator_for(classifier._options.seed, f"randomised-smoothing {purpose}", pixels_sha256(image))
    noise = draw.standard_normal((n, 3, *image.shape[:2]), np.float32)
    seen = image.transpose(2, 0, 1) / 255 + classifier.sigma_8bit / 255 * noise
    return seen.reshape(n, -1) @ classifier._inner.weights.numpy().T


def test_probabilities_are_the_shares_of_votes_of_a_pictures_own_copies():
    classifier, images = smoothed(sigma_8bit=200, n_samples=50, seed=4), pictures(4)
    votes = [np.bincount(copies_logits(classifier, image, 50, "defence").argmax(1), minlength=4) for image in images]
    assert np.allclose(classifier.predict(images), np.array(votes) / 50, atol=1e-6)
    assert any(0 < vote.max() < 50 for vote in votes)


def test_an_attack_follows_the_mean_probability_of_other_copies_exactly():
    classifier, images = smoothed(0.05, sigma_8bit=100, n_samples=5, n_expected=3), pictures(2)
    x = to_model(images, torch.device("cpu"))
    log_shares = np.stack([stats_log_softmax(copies_logits(classifier, image, 3, "attack")) for image in images])
    assert np.allclose(classifier.for_attacks()(x), logsumexp(log_shares, axis=1) - np.log(3), atol=1e-5)
    one = x[:1].double().requires_grad_()
    assert torch.autograd.gradcheck(classifier.for_attacks(), one, eps=1e-6, atol=1e-5, fast_mode=True)


def stats_log_softmax(logits):
    return logits - logsumexp(logits, axis=1, keepdims=True)


def test_votes_go_forward_and_the_mean_probability_backward():
    classifier = smoothed(0.05, sigma_8bit=100, n_samples=6)
    x = to_model(pictures(1), torch.device("cpu")).requires_grad_()
    answers = [classifier._inner.logits(copy / 255) for copy in classifier._copies(x * 255, 6, "defence")]
    mean = torch.stack([answer.softmax(dim=1) for answer in answers]).mean(dim=0).log()
    found, wanted = (torch.autograd.grad(logits[0, 1], x)[0] for logits in (classifier.logits(x), mean))
    assert torch.allclose(found, wanted, rtol=1e-3) and found.abs().max() > 0


@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_how_many_copies_are_looked_at_together_changes_no_vote(at_once):
    classifier, image = smoothed(sigma_8bit=200), pictures(1)[0]
    counts = classifier.votes(image, 100, np.random.default_rng(3), at_once)
    assert counts.sum() == 100 and 0 < counts.max() < 100
    assert np.array_equal(counts, classifier.votes(image, 100, np.random.default_rng(3), 100))


class TwoClasses(Linear):
    """w·x + b against 0, with a boundary that lies near a picture."""

    def __init__(self, image, distance):
        super().__init__()
        self.n_classes, self.class_names = 2, ("a", "b")
        normal = self.weights[0] / self.weights[0].norm()
        self.normal, self.bias = normal, distance - float(normal @ to_model(image[None], self.device).flatten().double())

    def logits(self, x):
        score = x.flatten(1).double() @ self.normal + self.bias
        return torch.stack([score, torch.zeros_like(score)], dim=1)


@pytest.mark.parametrize("distance", [0.02, 0.1, 0.25, 0.5])
def test_the_radius_of_a_linear_classifier_lies_below_its_distance_from_the_boundary_and_near_it(distance):
    """|w·x + b| / |w| is exact: p = Φ(distance / σ). The bound misses it by what 4,000 copies cannot tell."""
    image, sigma, n, alpha = pictures(1)[0], 0.25, 4000, 0.001
    classifier = RandomisedSmoothing(TwoClasses(image, distance), RandomisedSmoothingOptions(sigma_8bit=255 * sigma))
    n_hit = int(classifier.votes(image, n, np.random.default_rng(7), 200)[0])
    radius, at_most = certified_radius(n_hit, n, alpha, sigma)
    assert radius < distance < at_most
    p = stats.norm.cdf(distance / sigma)
    slack = 7 * np.sqrt(p * (1 - p) / n) * sigma / stats.norm.pdf(distance / sigma)  # 3.1 + 3.9 standard errors
    assert radius > distance - slack and slack < 0.15


@pytest.mark.parametrize(("n_hit", "n"), [(0, 1), (1, 1), (50, 100), (61, 100), (99, 100), (100, 100), (99_990, 100_000)])
@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_bounds_and_radii_are_those_of_statsmodels_and_scipy(n_hit, n, alpha):
    low, high = proportion.proportion_confint(n_hit, n, alpha=2 * alpha, method="beta")
    wanted = 0.0 if n_hit == 0 else low, 1.0 if n_hit == n else high
    assert binomial_bounds(n_hit, n, alpha) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    radius, at_most = certified_radius(n_hit, n, alpha, 0.5)
    assert radius == pytest.approx(max(0.0, 0.5 * stats.norm.ppf(wanted[0])) if wanted[0] > 0 else 0.0, rel=1e-9)
    assert at_most is None if n_hit == n else at_most == pytest.approx(max(0.0, 0.5 * stats.norm.ppf(wanted[1])), rel=1e-9)


def test_a_bound_is_wrong_as_rarely_as_it_says():
    """Of all counts that a share of 0.8 gives, those whose lower bound lies above it have a chance of alpha at most."""
    counts = np.arange(201)
    above = np.array([binomial_bounds(int(k), 200, 0.05)[0] > 0.8 for k in counts])
    assert 0.02 < stats.binom.pmf(counts, 200, 0.8)[above].sum() <= 0.05
    with pytest.raises(ValueError, match="3 of 2"):
        binomial_bounds(3, 2, 0.05)
