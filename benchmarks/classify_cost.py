"""What the stage `classify` costs beside the bare forward passes of the same pictures, with digital transforms made on the way.

Both in one process and one thread, in turns, in processor time: reading, transforms, hashes and tables are what is above 1.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from streaming import settings_of

from pipeline.engine import Context
from pipeline.images import read_png
from pipeline.models import load_classifier
from pipeline.settings.reading import load_experiment
from pipeline.stages.classify import classify
from pipeline.stages.graph import run_stage
from pipeline.store import Run, saved_image
from pipeline.store.artefacts import PAIRS
from pipeline.transforms.views import source_files, steps_of, transformed


def costs(folder: Path, n_images: int, n_tries: int, model: tuple[str, ...]) -> dict[str, object]:
    """Returns the processor seconds of the stage and of the forward passes alone, and the median of their ratios."""
    experiment_file = folder / "streaming.toml"
    experiment_file.write_text(settings_of(n_images), encoding="utf-8")
    experiment, run = load_experiment(experiment_file, model), Run(folder, "streaming")
    for stage in ("select", "generate", "transform"):
        run_stage(stage, experiment, run, Context())
    classifier = load_classifier(experiment.resolved_model())
    steps, shown = steps_of(experiment.transforms), []
    for source in source_files(PAIRS.read(run)):
        pixels = read_png(saved_image(run.printouts, source.path))
        shown += [pixels, *transformed(pixels, source, steps, experiment.seed)]
    pictures = np.stack(shown)
    found: dict[str, list[float]] = {"stage": [], "forward": []}
    for _ in range(n_tries):
        began_s = time.process_time()
        classifier.predict(pictures)
        found["forward"].append(time.process_time() - began_s)
        run.items("classify", run.reports).clear()
        began_s = time.process_time()
        classify(experiment, run, Context())
        found["stage"].append(time.process_time() - began_s)
    ratios = [stage / forward for stage, forward in zip(found["stage"], found["forward"], strict=True)]
    return {"model": classifier.name, "n_pictures": len(pictures), **found, "ratio": median(ratios)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, default=64)
    parser.add_argument("--n-tries", type=int, default=5)
    parser.add_argument(
        "--set", action="append", default=[], help="settings of another model, such as model.name=torchvision:resnet50"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(costs(Path(folder), options.n_images, options.n_tries, tuple(options.set))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
