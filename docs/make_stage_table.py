"""Prints which part of print and camera costs what: `python docs/make_stage_table.py RUN [WORKSPACE] [EPSILON]`.

The finished run's own files go through the differentiable channel with its profile, once whole and once without each part.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipeline.images import read_png, to_model
from pipeline.models import load_classifier
from pipeline.physical.simulator import load_profile
from pipeline.physical.simulator.channel import Channel
from pipeline.records import Pair
from pipeline.settings.reading import load_experiment
from pipeline.store import Run
from pipeline.store.artefacts import LAYOUT, PAIRS

STILL, N_AT_ONCE = (0.0, 0.0), 16
# What each row leaves out; all rows but the first print the mean tone in place of the halftone's dots, which is ten times faster.
WITHOUT = {
    "nothing": {},
    "the dots": {},
    "dots, dot gain, grey of black and of paper": {"dot_gain_rate": 0.0, "paper_reflectance": 1.0, "ink_reflectance": 0.0},
    "dots, underexposure": {"exposure": (1.0, 1.0)},
    "dots, fading of the inks": {"print_saturation_rate": 1.0},
    "dots, uneven or tinted light": dict.fromkeys(
        ("light_fall_rate", "cast_shadow_rate", "vignette_rate", "white_balance_error_rate"), STILL
    ),
    "dots, blur of ink, lens and hand": {"blur_px": STILL, "motion_px": STILL, "f_number": 0.0, "ink_spread_um": 0.0},
    "dots, noise, grain, banding": {"iso": STILL, "paper_grain_rate": 0.0, "banding_rate": 0.0},
    "dots, denoising and sharpening": {"luma_denoise_8bit": 0.0, "chroma_denoise_px": 0.0, "sharpen_rate": 0.0},
    "dots, S-curve and camera's saturation": {"tone_contrast_rate": 0.0, "saturation": 1.0},
    "dots, all of tone, light and colour": {
        **dict.fromkeys(("light_fall_rate", "cast_shadow_rate", "vignette_rate", "white_balance_error_rate"), STILL),
        "dot_gain_rate": 0.0,
        "paper_reflectance": 1.0,
        "ink_reflectance": 0.0,
        "print_saturation_rate": 1.0,
        "exposure": (1.0, 1.0),
        "tone_contrast_rate": 0.0,
        "saturation": 1.0,
    },
}


def main(run_name: str, workspace: str = ".", epsilon: str = "16") -> None:
    """For each variant: clean top-1 accuracy of the average case, and destruction rates of every attack at one epsilon."""
    run = Run(Path(workspace), run_name)
    experiment = load_experiment(run.printouts / "experiment.toml")
    classifier = load_classifier(experiment.resolved_model())
    profile = load_profile(experiment.photograph.profile)
    image_mm = LAYOUT.read(run).placements[0].width_mm
    pairs = [p for p in PAIRS.read(run) if "average" in p.cases and p.epsilon_8bit == int(epsilon)]
    clean = {p.image_id: (p.clean_path, p.true_label) for p in pairs}
    attacks = list(dict.fromkeys(p.attack for p in pairs))
    on_file = dict(judged(run, classifier, [p.adversarial_path for p in pairs], labels(pairs), None))
    on_file |= dict(judged(run, classifier, [path for path, _ in clean.values()], [label for _, label in clean.values()], None))
    print(
        f"| left out | clean right (files: {share([on_file[path] for path, _ in clean.values()])}) | "
        + " | ".join(attacks)
        + " |"
    )
    print("|---" * (2 + len(attacks)) + "|")
    for name, changes in WITHOUT.items():
        dots = name == "nothing"
        channel = Channel(replace(profile, **changes), classifier.input_size, image_mm=image_mm, halftone=dots)
        kept = [right for _, right in judged(run, classifier, *zip(*clean.values(), strict=True), channel)]
        cells = [share(kept)]
        for attack in attacks:
            works = [p for p in pairs if p.attack == attack and on_file[p.clean_path] and not on_file[p.adversarial_path]]
            cells.append(
                share(
                    [right for _, right in judged(run, classifier, [p.adversarial_path for p in works], labels(works), channel)]
                )
            )
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def judged(run: Run, classifier, paths, true_labels, channel: Channel | None) -> Iterator[tuple[str, bool]]:
    """Yields each file and whether the model is right about it, itself or as it comes back through the channel."""
    draws_from, noise = np.random.default_rng(0), torch.Generator().manual_seed(0)
    paths, true_labels = list(paths), list(true_labels)
    for start in range(0, len(paths), N_AT_ONCE):
        part = paths[start : start + N_AT_ONCE]
        images = to_model(np.stack([read_png(run.printouts / path) for path in part]), classifier.device)
        with torch.no_grad():
            if channel is not None:
                images = channel(images, channel.draw(len(part), draws_from), noise)
            found = classifier.logits(images).argmax(dim=1).tolist()
        yield from zip(part, [a == b for a, b in zip(found, true_labels[start:], strict=False)], strict=True)


def labels(pairs: list[Pair]) -> list[int]:
    """Returns the true labels."""
    return [pair.true_label for pair in pairs]


def share(right: list[bool]) -> str:
    """Returns per cent and counts."""
    return f"{100 * sum(right) / len(right):.0f} % ({sum(right)}/{len(right)})"


if __name__ == "__main__":
    main(*sys.argv[1:])
