"""Attacks the drawn images and saves each result as the 8-bit PNG that everything later reads."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from pipeline.attacks.crafting import Crafted, Crafter, training_images
from pipeline.core.errors import BadInput
from pipeline.engine import Context
from pipeline.images import pixels_sha256, png_bytes
from pipeline.models import load_classifier
from pipeline.records import CASES, Candidate, Pair, Selected
from pipeline.settings import NO_EPSILON, Experiment
from pipeline.statistics import l2_8bit, linf_8bit, n_changed_pixels, ssim
from pipeline.store import Run, cell_folder, packed_files, save_images
from pipeline.store.artefacts import CANDIDATES, CLEAN_IMAGES, IMAGES, PAIRS, PATCHES, SELECTED, images_of_cell
from pipeline.store.stage import Outcome
from pipeline.transforms.views import saved_pixels

# 10 cm at 300 dots per inch
PATCH_PX = 1200
_N_NAMED = 4


def generate(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `images/<attack>-eps<k>/<image>.png` and `pairs.parquet`; `patches/<attack>.png` of an attack that learns a picture.

    Raises:
        BadInput: a clean image was changed since it was drawn.
    """
    selected = SELECTED.read(run)
    used = {row.image_id for row in selected}
    candidates = {found.image_id: found for found in CANDIDATES.rows(run) if found.image_id in used}
    model = experiment.resolved_model()
    classifier = load_classifier(model, context.device)
    training = partial(training_images, experiment, classifier)
    attacks, defended = experiment.resolved_attacks(), experiment.resolved_defended()
    crafter = Crafter(classifier, model, run.items("craft", run.printouts), context, attacks, training, defended)
    clean = packed_files(run, CLEAN_IMAGES) or sorted(candidates[image_id].path for image_id in used)
    written: list[str] = []
    counted: Counter[str] = Counter()
    blind: list[str] = []
    with PAIRS.writing(run) as write:
        for attack in experiment.attacks:
            wanted = _wanted(selected, attack.key)
            for epsilons, image_ids in _shared_sweeps(wanted):
                images = [candidates[image_id] for image_id in image_ids]
                crafter.make(attack.key, epsilons, images, partial(_clean_pixels, run), _progress_label(attack.key, epsilons))
            for epsilon in attack.epsilons:
                drawn, cell = wanted.get(epsilon, {}), images_of_cell(attack.key, epsilon)
                made = partial(_made, crafter, attack.key, epsilon, candidates)
                saved = context.progress(sorted(drawn), len(drawn), f"{_progress_label(attack.key, [epsilon])}, saving")
                written += save_images(run, cell, drawn, partial(_png, made))
                for image_id in saved:
                    pair = _pair(run, attack.key, epsilon, candidates[image_id], made(image_id), drawn[image_id])
                    write([pair])
                    counted["n_pairs"] += 1
                    counted["n_unchanged"] += pair.linf_8bit == 0
                    blind += [pair.pair_id] if pair.is_blind else []
                counted["n_cells"] += bool(drawn)
    IMAGES.keep_only(run, [*clean, *written])
    patches = _patches(experiment, run, crafter)
    summary = {name: counted[name] for name in ("n_pairs", "n_cells", "n_unchanged")}
    notes = [f"{summary['n_unchanged']} adversarial images equal their clean image"] if summary["n_unchanged"] else []
    notes += _blind_notes(blind, {attack.key: crafter.blind_share(attack.key) for attack in experiment.attacks})
    notes += [f"{path}: to print alone, at any size (see docs/patch.md)" for path in patches]
    return Outcome((PAIRS.name, *written, *patches), summary, tuple(notes), read=classifier.sources)


def _made(crafter: Crafter, attack: str, epsilon: int, candidates: Mapping[str, Candidate], image_id: str) -> Crafted:
    return crafter.made(attack, epsilon, candidates[image_id])


def _png(made: Callable[[str], Crafted], image_id: str) -> bytes:
    return made(image_id).png


def _pair(run: Run, attack: str, epsilon: int, candidate: Candidate, result: Crafted, cases: set[str]) -> Pair:
    clean, adversarial = _clean_pixels(run, candidate), result.pixels
    return Pair(
        pair_id=f"{cell_folder(attack, epsilon)}/{candidate.image_id}",
        image_id=candidate.image_id,
        attack=attack,
        epsilon_8bit=epsilon,
        cases=tuple(case for case in CASES if case in cases),
        true_label=candidate.true_label,
        target_label=result.target_label,
        clean_path=candidate.path,
        adversarial_path=images_of_cell(attack, epsilon).file(candidate.image_id),
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


def _blind_notes(blind: Sequence[str], shares: Mapping[str, tuple[int, int]]) -> list[str]:
    """Returns what is said of attacks that met numbers that are not finite.

    Args:
        blind: the pairs of which that is so. shares: as `Crafter.blind_share`, by attack.
    """
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
    pixels = saved_pixels(run.printouts, candidate.path)
    if pixels_sha256(pixels) != candidate.sha256:
        path = run.printouts / candidate.path
        raise BadInput(f"{path}: not the image that was drawn.", "Draw again with: inkproof select EXPERIMENT --force")
    return pixels
