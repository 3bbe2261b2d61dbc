"""Prints how often the tests of the paper's observations call what is not so: `python docs/make_false_alarm_table.py [N_DRAWS]`.

Images differ in how fragile they are, each to each attack in its own way, and pages in how well they were photographed; both
attacks are equally fragile, or the loss lies at its bound. Half a minute for 1,000 draws on one core.
"""

import sys

import numpy as np

from pipeline.statistics.one_sided import loss_within, paired_less, stratified_less

# Images, cells that they are in (or points of a curve), images on a page, spread of pages and mean fragility in logits.
ORDERS = ((12, 4, 3, 0.7, -0.5), (30, 8, 3, 0.7, -0.5), (102, 8, 3, 0.7, -0.5), (102, 8, 3, 0.0, -3.0), (102, 2, 6, 1.0, -1.0))
CURVES = ((12, 60), (40, 40), (102, 20))
LOSSES = ((20, 4), (51, 6), (102, 6))


def main(n_draws: int) -> None:
    names = ("images", "cells", "images a page", "spread of pages", "mean fragility", "McNemar", "Mantel-Haenszel")
    print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|")
    for setting in ORDERS:
        generator = np.random.default_rng([*setting[:3], n_draws])
        print("| " + " | ".join(f"{value:g}" for value in setting) + f" | {_called(_order, generator, setting, n_draws)} |")
    print("\n| images | points of a curve | McNemar | Mantel-Haenszel |\n|---|---|---|---|")
    for setting in CURVES:
        generator = np.random.default_rng([*setting, n_draws])
        print(f"| {setting[0]} | {setting[1]} | {_called(_curve, generator, setting, n_draws)} |")
    print("\n| images | cells | called within at 1 point | at 11 points | at 5 points, rightly |\n|---|---|---|---|---|")
    for n_images, n_cells in LOSSES:
        generator = np.random.default_rng([n_images, n_cells, n_draws])
        called = [np.mean([_loss(generator, n_images, n_cells, loss) for _ in range(n_draws)]) for loss in (0.01, 0.11, 0.05)]
        print(f"| {n_images} | {n_cells} | " + " | ".join(f"{100 * share:.1f}" for share in called) + " |")


def _called(draw, generator: np.random.Generator, setting: tuple, n_draws: int) -> str:
    """Per cent of draws called at the 5 % level, the worse of the statement and its opposite, by both tests."""
    p = np.array([draw(generator, *setting) for _ in range(n_draws)])
    return " | ".join(f"{100 * (p[:, test] < 0.05).mean(axis=0).max():.1f}" for test in range(2))


def _order(generator: np.random.Generator, n_images: int, n_cells: int, per_page: int, page_sd: float, base: float) -> list:
    fragile = base + generator.normal(0, 1, n_images) + generator.normal(0, 1, (2, n_images))
    outcomes, images, pages = [], [], ([], [])
    for cell in range(n_cells):
        of_page = generator.normal(0, page_sd, (2, n_images // per_page + 1))
        for image in np.flatnonzero(generator.random(n_images) < 0.6):
            logits = fragile[:, image] + of_page[:, image // per_page]
            outcomes.append(tuple(generator.random(2) < 1 / (1 + np.exp(-logits))))
            images.append(image)
            for side in range(2):
                pages[side].append((cell, side, image // per_page))
    return _both(outcomes, images, pages, [page[0] for page in pages[0]])


def _curve(generator: np.random.Generator, n_images: int, n_points: int) -> list:
    """An attack that a point of a curve undoes is undone by all that follow."""
    gives_way = generator.normal(0, 1.5, n_images) + generator.normal(0, 1.5, (2, n_images))
    at = np.linspace(-4, 2, n_points)
    outcomes = [tuple(gives_way[:, image] < level) for level in at for image in range(n_images)]
    images = [image for _ in at for image in range(n_images)]
    return _both(outcomes, images, (), [level for level in range(n_points) for _ in range(n_images)])


def _both(outcomes: list, images: list, pages: tuple, strata: list) -> list:
    paired = paired_less(outcomes, [images, *pages])
    sides, hits = [False] * len(outcomes) + [True] * len(outcomes), [hit for side in zip(*outcomes, strict=True) for hit in side]
    ways = [images * 2, pages[0] + pages[1]] if pages else [images * 2]
    apart = stratified_less(sides, hits, strata * 2, ways)
    return [(found.p, found.p_against) for found in (paired, apart)]


def _loss(generator: np.random.Generator, n_images: int, n_cells: int, loss: float) -> bool:
    fragile = generator.beta(0.5, 0.5 * (0.9 - loss) / loss, n_images)
    right = generator.random(n_images) < 0.9
    outcomes = [(right[i], right[i] and generator.random() >= fragile[i]) for _ in range(n_cells) for i in range(n_images)]
    pages = [(cell, i // 3) for cell in range(n_cells) for i in range(n_images)]
    return loss_within(outcomes, 0.01, 0.11, [list(range(n_images)) * n_cells, pages]).p < 0.05


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
