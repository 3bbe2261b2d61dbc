"""Prints how often trained networks are right about attacked signs, as files and in simulated photographs, beside the first.

    python benchmarks/trained.py models/plain models/through

Each network is attacked itself; photographs are taken as in `defences.py`. Differences are paired, with their 95 % intervals.
"""

import argparse
import functools

from defences import gain

from inkproof import attack, draw_images, load_model, open_dataset, photograph

print = functools.partial(print, flush=True)  # a long run is watched


def main() -> None:
    """Attacks every network at every epsilon and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", help="as inkproof train writes them")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--epsilons", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", default="office-phone")
    asked = parser.parse_args()
    models = [load_model(f"trained:{folder}") for folder in asked.folders]
    signs = open_dataset("builtin:signs", models[0], seed=asked.seed, split="test", n_images=asked.images)
    images, labels = draw_images(signs, models[0])
    shot = functools.partial(photograph, profile=asked.profile, seed=asked.seed)
    clean = [images, shot(images)]
    print(f"{len(images)} signs, pgd with {asked.steps} steps, seed {asked.seed}, {asked.profile}\n")
    print("| network | ε | right: file, against the first | photo, against the first |\n|---|---|---|---|")
    for epsilon in (0, *asked.epsilons):
        first = []
        for folder, model in zip(asked.folders, models, strict=True):
            file = attack(model, images, labels, "pgd", epsilon, n_steps=asked.steps) if epsilon else images
            shown = [file, shot(file)] if epsilon else clean
            right = [model.predict(seen).argmax(axis=1) == labels for seen in shown]
            first = first or right
            told = [f"{one.sum()}, {gain(one, other)}" for one, other in zip(right, first, strict=True)]
            print(f"| {folder} | {epsilon or 'clean'} | {' | '.join(told)} |")


if __name__ == "__main__":
    main()
