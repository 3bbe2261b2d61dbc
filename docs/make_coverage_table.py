"""Prints the two tables of docs/statistics.md, measured by simulation: `python docs/make_coverage_table.py [N_DRAWS]`.

Pages have beta-distributed rates, so two images of a page correlate by a known amount. Two minutes for 2,000 draws on one core.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from pipeline.statistics import compare_paired, effective_number, wilson

RATES, CORRELATIONS = (0.05, 0.1, 0.3, 0.5), (0.0, 0.1, 0.3)
PAGES = {
    "2 × 3": [3] * 2,
    "4 × 3": [3] * 4,
    "5 × 6": [6] * 5,
    "8 × 3": [3] * 8,
    "12 × 3": [3] * 12,
    "17 × 6": [6] * 17,
    "34 × 3": [3] * 34,
    "34 × 1 to 3": [1, 2, 3] * 11 + [2],
}
COMPARED_PAGES = ("4 × 3", "8 × 3", "17 × 6", "34 × 3")
N_RESAMPLES = 500
Interval = tuple[float, float]


def main(n_draws: int) -> None:
    methods: dict[str, Callable] = {
        "Wilson, pages ignored": _plain,
        "bootstrap of pages": _bootstrap,
        "used here": _clustered,
    }
    print("| pages × images | " + " | ".join(f"{name}: mean (least–most)" for name in methods) + " | half-width |")
    print("|---|" + "---|" * (len(methods) + 1))
    for name, sizes in PAGES.items():
        found = {method: list(_coverages(interval, sizes, n_draws)) for method, interval in methods.items()}
        cells = [_cell([covered for covered, _ in values]) for values in found.values()]
        print(f"| {name} | " + " | ".join(cells) + f" | {100 * np.mean([width for _, width in found['used here']]):.0f} |")
    print("\n| pages × images | correlation | McNemar, pages ignored | used here |\n|---|---|---|---|")
    for name, correlation in product(COMPARED_PAGES, CORRELATIONS):
        alarms = np.array([_alarms(PAGES[name], correlation, seed) for seed in range(n_draws)])
        print(f"| {name} | {correlation:g} | {100 * alarms[:, 0].mean():.1f} | {100 * alarms[:, 1].mean():.1f} |")


def _cell(coverages: list[float]) -> str:
    return f"{100 * np.mean(coverages):.1f} ({100 * min(coverages):.0f}–{100 * max(coverages):.0f})"


def _coverages(interval: Callable[..., Interval], sizes: list[int], n_draws: int) -> Iterator[tuple[float, float]]:
    """Yields coverage and mean half-width for every rate and correlation."""
    for rate, correlation in product(RATES, CORRELATIONS):
        generator = np.random.default_rng([int(1000 * rate), int(1000 * correlation), len(sizes)])
        ends = [interval(*_drawn(generator, rate, correlation, sizes)) for _ in range(n_draws)]
        yield np.mean([low <= rate <= high for low, high in ends]), np.mean([(high - low) / 2 for low, high in ends])


def _drawn(generator: np.random.Generator, rate: float, correlation: float, sizes: list[int]) -> tuple[list[bool], list[int]]:
    shape = (1 - correlation) / correlation if correlation else None
    of_page = generator.beta(rate * shape, (1 - rate) * shape, len(sizes)) if shape else np.full(len(sizes), rate)
    outcomes = generator.random(sum(sizes)) < np.repeat(of_page, sizes)
    return outcomes.tolist(), np.repeat(np.arange(len(sizes)), sizes).tolist()


def _plain(outcomes: list[bool], pages: list[int]) -> Interval:
    return wilson(sum(outcomes), len(outcomes))


def _clustered(outcomes: list[bool], pages: list[int]) -> Interval:
    number = effective_number(outcomes, [pages])
    return wilson(sum(outcomes) / number.n * number.n_effective, number.n_effective)


def _bootstrap(outcomes: list[bool], pages: list[int]) -> Interval:
    """The percentile bootstrap: 2.5 and 97.5 per cent of the rates of resampled pages."""
    hits, images = np.bincount(pages, weights=outcomes), np.bincount(pages)
    weights = np.random.default_rng(len(outcomes)).multinomial(len(images), np.full(len(images), 1 / len(images)), N_RESAMPLES)
    return tuple(np.quantile((weights @ hits) / (weights @ images), (0.025, 0.975)))


def _alarms(sizes: list[int], correlation: float, seed: int) -> tuple[bool, bool]:
    """Whether two methods of one rate, each on pages of its own in an order of its own, are told apart at the 5 % level."""
    generator = np.random.default_rng([seed, len(sizes), int(1000 * correlation)])
    (first, pages), (second, others) = (_drawn(generator, 0.4, correlation, sizes) for _ in range(2))
    order = generator.permutation(len(second))
    outcomes = [(one, second[place]) for one, place in zip(first, order, strict=True)]
    ways = [pages, [others[place] for place in order]]
    return compare_paired(outcomes).p < 0.05, compare_paired(outcomes, ways).p < 0.05


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
