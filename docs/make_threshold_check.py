"""Prints how often a threshold is not the mildest flip of all: `python docs/make_threshold_check.py EXPERIMENT [N_IMAGES]`.

The experiment's run is finished. Every step of every direction is asked of the first N_IMAGES (20) adversarial images of its
thresholds: some 480 passes for each with the default settings.
"""

import sys
from collections import defaultdict
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.images import read_png
from pipeline.models import load_classifier
from pipeline.settings.reading import load_experiment
from pipeline.store import Run
from pipeline.store.artefacts import PAIRS, THRESHOLDS
from pipeline.transforms.thresholds import Subject, directions_of, transformed


def main(file: str, n_images: int) -> None:
    """Prints for each direction how many searches missed a milder flip, and by how many steps."""
    experiment = load_experiment(Path(file))
    run = Run(Path(file).resolve().parent, experiment.name)
    directions = directions_of(experiment.thresholds.transforms, experiment.thresholds.resolutions)
    classifier = load_classifier(experiment.resolved_model(), "cpu")
    pairs = {pair.pair_id: pair for pair in PAIRS.read(run)}
    found: dict[str, dict[tuple[str, str], float | None]] = defaultdict(dict)
    for row in THRESHOLDS.read(run):
        found[row.pair_id][row.transform, row.direction] = row.threshold
    tallies: dict[tuple[str, str], list[int]] = {(d.transform, d.name): [] for d in directions}
    for pair_id in islice(found, n_images):
        pair = pairs[pair_id]
        subject = Subject(pair_id, read_png(run.printouts / pair.adversarial_path), pair.true_label)
        for direction in directions:
            steps = range(1, direction.rungs[-1] + 1)
            images = np.stack([transformed(subject, direction, k, experiment.seed) for k in steps])
            flips = classifier.predict(images).argmax(1) == pair.true_label
            first = int(flips.argmax()) + 1 if flips.any() else direction.rungs[-1] + 1
            threshold = found[pair_id][direction.transform, direction.name]
            seen = direction.rungs[-1] + 1
            if threshold is not None:
                seen = next(k for k in steps if direction.value(k) == threshold)
            if seen < first:
                raise SystemExit(f"{pair_id}, {direction}: a threshold at step {seen} milder than any flip, {first}.")
            tallies[direction.transform, direction.name].append(seen - first)
    for (transform, name), missed in tallies.items():
        late = [steps for steps in missed if steps]
        print(f"{transform} {name}: {len(late)} of {len(missed)} late, by {np.median(late) if late else 0:.0f} steps (median)")
    n_late, n = sum(bool(steps) for missed in tallies.values() for steps in missed), sum(map(len, tallies.values()))
    print(f"all: {n_late} of {n} = {100 * n_late / n:.1f} %")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20)
