"""Attacks the drawn images and saves each result as the 8-bit PNG that everything later reads."""

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np

from pipeline.attacks.crafting import Crafted, Crafter, training_images
from pipeline.core.errors import BadInput
from pipeline.engine import Context
from pipeline.images import pixels_sha256, png_bytes, read_png
from pipeline.models import load_classifier
from pipeline.records import CASES, Candidate, Pair, Selected
from pipeline.settings import NO_EPSILON, Experiment
from pipeline.statistics import l2_8bit, linf_8bit, n_changed_pixels, ssim
from pipeline.store import Run, cell_folder
from pipeline.store.artefacts import CANDIDATES, IMAGES, PAIRS, PATCHES, SELECTED
from pipeline.store.stage import Outcome

# 10 cm at 300 dots per inch
PATCH_PX = 1200
_N_NAMED = 4


def generate(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `images/<attack>-eps<k>/<image>.png` and `pairs.parquet`; `patches/<attack>.png` of an attack that learns a picture.

    Raises:
        BadInput: a clean image was changed since it was drawn.
    """
    selected = SELECTED.read(run)
    candidates = {found.image_id: found for found in CANDIDATES.read(run)}
    model = experiment.resolved_model()
    classifier = load_classifier(model, context.device)
    training = partial(training_images, experiment, classifier)
    attacks, defended = experiment.resolved_attacks(), experiment.resolved_defended()
    crafter = Crafter(classifier, model, run.items("craft", run.printouts), context, attacks, training, defended)
    pairs: list[Pair] = []
    written: list[str] = []
    for attack in experiment.attacks:
        wanted = _wanted(selected, attack.key)
        crafted: dict[tuple[int, str], Crafted] = {}
        for epsilons, image_ids in _shared_sweeps(wanted):
            images = [(candidates[image_id], _clean_pixels(run, candidates[image_id])) for image_id in image_ids]
            crafted |= crafter.craft(attack.key, epsilons, images, _progress_label(attack.key, epsilons))
        for epsilon in attack.epsilons:
            drawn = sorted(wanted.get(epsilon, {}).items())
            for image_id, cases in context.progress(drawn, len(drawn), f"{_progress_label(attack.key, [epsilon])}, saving"):
                result, candidate = crafted[epsilon, image_id], candidates[image_id]
                pair_id = f"{cell_folder(attack.key, epsilon)}/{image_id}"
                path = IMAGES.write(run, pair_id, result.png)
                written.append(path)
                clean, adversarial = _clean_pixels(run, candidate), result.pixels
                pairs.append(
                    Pair(
                        pair_id=pair_id,
                        image_id=image_id,
                        attack=attack.key,
                        epsilon_8bit=epsilon,
                        cases=tuple(case for case in CASES if case in cases),
                        true_label=candidate.true_label,
                        target_label=result.target_label,
                        clean_path=candidate.path,
                        adversarial_path=path,
                        linf_8bit=linf_8bit(clean, adversarial),
                        n_changed_pixels=n_changed_pixels(clean, adversarial),
                        l2_8bit=l2_8bit(clean, adversarial),
                        ssim=ssim(clean, adversarial),
                        n_forward=result.n_forward,
                        n_backward=result.n_backward,
                        rounding=result.rounding,
                        is_blind=result.is_blind,
                        by=result.by,
                    )
                )
    PAIRS.write(run, pairs)
    IMAGES.keep_only(run, {pair.clean_path for pair in pairs} | set(written))
    patches = _patches(experiment, run, crafter)
    cells = {(pair.attack, pair.epsilon_8bit) for pair in pairs}
    summary = {"n_pairs": len(pairs), "n_cells": len(cells), "n_unchanged": sum(pair.linf_8bit == 0 for pair in pairs)}
    notes = [f"{summary['n_unchanged']} adversarial images equal their clean image"] if summary["n_unchanged"] else []
    notes += _blind_notes(pairs, {attack.key: crafter.blind_share(attack.key) for attack in experiment.attacks})
    notes += [f"{path}: to print alone, at any size (see docs/patch.md)" for path in patches]
    return Outcome((PAIRS.name, *written, *patches), summary, tuple(notes), read=classifier.sources)


def _blind_notes(pairs: Iterable[Pair], shares: Mapping[str, tuple[int, int]]) -> list[str]:
    """Returns what is said of attacks that met numbers that are not finite; `shares` as `Crafter.blind_share`, by attack."""
    blind = [pair.pair_id for pair in pairs if pair.is_blind]
    if not blind:
        return []
    named = ", ".join(blind[:_N_NAMED]) + (f" and {len(blind) - _N_NAMED} more" if len(blind) > _N_NAMED else "")
    learnt = [f"{attack}, {n} of the {of} gradients that it learnt from" for attack, (n, of) in shares.items() if n]
    told = f" ({'; '.join(learnt)})" if learnt else ""
    return [f"the network's logits or gradients were not finite, which gives an attack no direction: {named}{told}"]


def _patches(experiment: Experiment, run: Run, crafter: Crafter) -> list[str]:
    """Writes what attacks learnt as pictures large enough to be printed alone."""
    learnt = {attack.key: crafter.learnt(attack.key, PATCH_PX) for attack in experiment.attacks}
    paths = [PATCHES.write(run, key, png_bytes(pixels)) for key, pixels in learnt.items() if pixels is not None]
    PATCHES.keep_only(run, paths)
    return paths


def _progress_label(attack: str, epsilons: list[int]) -> str:
    return attack if epsilons == [NO_EPSILON] else f"{attack} ε = {', '.join(map(str, epsilons))}"


def _wanted(selected: Iterable[Selected], attack: str) -> dict[int, dict[str, set[str]]]:
    """Returns epsilon -> image id -> cases."""
    wanted: dict[int, dict[str, set[str]]] = {}
    for row in selected:
        if row.attack == attack:
            wanted.setdefault(row.epsilon_8bit, {}).setdefault(row.image_id, set()).add(row.case)
    return wanted


def _shared_sweeps(wanted: dict[int, dict[str, set[str]]]) -> list[tuple[list[int], list[str]]]:
    """Groups the images by the epsilons that each needs, so that one sweep serves several."""
    needs: dict[str, list[int]] = {}
    for epsilon in sorted(wanted):
        for image_id in wanted[epsilon]:
            needs.setdefault(image_id, []).append(epsilon)
    groups: dict[tuple[int, ...], list[str]] = {}
    for image_id in sorted(needs):
        groups.setdefault(tuple(needs[image_id]), []).append(image_id)
    return [(list(epsilons), image_ids) for epsilons, image_ids in sorted(groups.items())]


def _clean_pixels(run: Run, candidate: Candidate) -> np.ndarray:
    path = run.printouts / candidate.path
    pixels = read_png(path)
    if pixels_sha256(pixels) != candidate.sha256:
        raise BadInput(f"{path}: not the image that was drawn.", "Draw again with: inkproof select EXPERIMENT --force")
    return pixels
