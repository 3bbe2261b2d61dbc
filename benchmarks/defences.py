"""Prints what is left behind each defence, of files and simulated photographs, against attackers who know it and who do not.

All rows are of the same images, which the model alone is right about. Each photograph is taken by itself, with the same draws of
light, place and noise for every attack, by the simulator's twin at the scale of one image (`inkproof.photograph`). To refuse
withstands an attack, and is wrong of a clean image. Differences are paired, with their 95 % intervals.
"""

import argparse
import functools
import os
from typing import Any

import numpy as np

from inkproof import attack, draw_images, load_model, open_dataset, photograph
from pipeline.defences.squeezing import FeatureSqueezing
from pipeline.models.classifier import Classifier
from pipeline.specs.defences import DEFENCES
from pipeline.statistics import compare_paired

print = functools.partial(print, flush=True)  # a long run is watched
PACK = os.environ.get("INKPROOF_DATA", "")
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "signs": ({"model": "builtin:signs"}, {"name": "builtin:signs", "n_images": 400}),
    "mobilenet": (
        {
            "model": f"python:{PACK}/models_ref.py:load",
            "arguments": {"path": f"{PACK}/weights/mobilenet_v2_qat.pt", "kind": "mobilenet_v2"},
            "input_px": 224,
            "resize_px": 256,
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
        },
        {"name": f"csv:{PACK}/imagenet/labels.csv", "root": f"{PACK}/imagenet/images", "label_column": "class_index"},
    ),
}
# The threshold of a detector is set on at most so many clean images that are not attacked.
N_CLEAN = 200
FILE, PHOTO = "file", "photo"


def main() -> None:
    """Attacks the model alone and behind each defence, and prints a row for each defence and epsilon."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="signs")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--epsilons", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--photos", type=int, nargs="*", default=[8, 16], help="the epsilons at which photographs are taken too")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", default="office-phone")
    parser.add_argument("--defences", nargs="+", choices=DEFENCES.names(), default=DEFENCES.names())
    parser.add_argument("--adaptive", nargs="*", choices=DEFENCES.names(), default=DEFENCES.names(), help="attacked knowing them")
    asked = parser.parse_args()

    settings, data = MODELS[asked.model]
    model = load_model(**settings)
    pictures, truth = draw_images(open_dataset(model=model, seed=asked.seed, **data), model, asked.images + N_CLEAN)
    right = model.predict(pictures[: asked.images]).argmax(axis=1) == truth[: asked.images]
    images, labels = pictures[: asked.images][right], truth[: asked.images][right]
    what = f"{len(images)} images of {asked.images}, pgd with {asked.steps} steps, seed {asked.seed}, {asked.profile}"
    print(f"{asked.model}: {what}\n")
    shot = functools.partial(photograph, profile=asked.profile, seed=asked.seed)
    clean = {FILE: images, PHOTO: shot(images)} if asked.photos else {FILE: images}

    def made_on(classifier: Classifier) -> dict[tuple[str, int], np.ndarray]:
        files = {(FILE, e): attack(classifier, images, labels, "pgd", e, n_steps=asked.steps) for e in asked.epsilons}
        return files | {(PHOTO, e): shot(files[FILE, e]) for e in asked.photos}

    unaware = made_on(model)
    alone = {key: withstood(model, shown, labels) for key, shown in unaware.items()}
    print("| defence | ε | clean file, photo | file: unaware, adaptive, difference | photo: unaware, gain, adaptive, gain |")
    print("|---|---|---|---|---|")
    for name in ("", *asked.defences):
        judge = behind(settings, name, pictures[asked.images :]) if name else model
        told = ", ".join(str((judge.predict(shown).argmax(axis=1) == labels).sum()) for shown in clean.values())
        blind = {key: withstood(judge, shown, labels) for key, shown in unaware.items()}
        knows = made_on(judge) if name in asked.adaptive else {}
        seen = {key: withstood(judge, shown, labels) for key, shown in knows.items()}
        for epsilon in asked.epsilons:
            file, photo = (FILE, epsilon), (PHOTO, epsilon)
            files = [counted(blind, file), counted(seen, file), gain(blind.get(file), seen.get(file))]
            photos = [cell for left in (blind, seen) for cell in (counted(left, photo), gain(left.get(photo), alone.get(photo)))]
            print(f"| {name or 'none'} | {epsilon} | {told} | {', '.join(files)} | {', '.join(photos)} |")


def behind(settings: dict[str, Any], name: str, others: np.ndarray) -> Classifier:
    """Returns the model behind a defence with its default options, a detector with its threshold set on clean images."""
    judge = load_model(**settings, defence=name)
    if not isinstance(judge, FeatureSqueezing):
        return judge
    return load_model(**settings, defence=name, defence_options={"threshold": judge.threshold_on(others)})


def withstood(judge: Classifier, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns which images a classifier is right about, or refuses."""
    said = judge.predict(images).argmax(axis=1)
    return (said == labels) | (judge.refuses & (said == judge.n_classes - 1))


def counted(left: dict[tuple[str, int], np.ndarray], key: tuple[str, int]) -> str:
    return str(left[key].sum()) if key in left else "–"


def gain(first: np.ndarray | None, second: np.ndarray | None) -> str:
    """Returns by how many points more is left of the first, with its interval."""
    if first is None or second is None:
        return "–"
    found = compare_paired(list(zip(first.tolist(), second.tolist(), strict=True)))
    return f"{100 * found.difference:+.0f} ({100 * found.low:+.0f} to {100 * found.high:+.0f})"


if __name__ == "__main__":
    main()
