"""What an attack can be told beside its epsilons: one frozen record for each attack that has options, and what refuses it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipeline.core.errors import WrongUse, near_match
from pipeline.settings import TABLE, Ends, setting

# The words that say which class a targeted attack leads to.
AWAY, LEAST_LIKELY, SECOND, RANDOM, NEXT = "", "least-likely", "second", "random", "next"
_Share = Annotated[float, Field(ge=0.02, le=1)]
_TARGET_DOC = (
    'Where it leads: "" away from the true class; "least-likely" or "second" (likeliest wrong) class of the clean image; '
    '"random" wrong class; "next" to the true one; or a class number in quotes.'
)
_OTHER_CLASS_DOC = _TARGET_DOC.replace('"" away from the true class; ', "")


@dataclass(frozen=True, config=TABLE)
class Aimed:
    """What nearly every attack can be told."""

    target: str = setting("", _TARGET_DOC)
    seed: int = setting(0, "Seed of its random draws.", ge=0)


@dataclass(frozen=True, config=TABLE)
class FastOptions(Aimed):
    """Options of `fgsm`."""


@dataclass(frozen=True, config=TABLE)
class IterativeOptions(Aimed):
    """Options of `bim`."""

    n_steps: int = setting(0, "Steps (0: min(ε + 4, 1.25 ε), rounded up).", ge=0, le=100_000)


@dataclass(frozen=True, config=TABLE)
class MomentumOptions(Aimed):
    """Options of `mi-fgsm`."""

    n_steps: int = setting(10, "Steps, each of ε / steps.", ge=1, le=100_000)
    decay: float = setting(1.0, "Decay factor μ of the accumulated gradient.", ge=0, le=10)


@dataclass(frozen=True, config=TABLE)
class ProjectedOptions(Aimed):
    """Options of `pgd`."""

    norm: Literal["linf", "l2"] = setting(
        "linf", '"linf": ε is the largest change of a pixel; "l2": ε is the root mean square change over all pixels and channels.'
    )
    n_steps: int = setting(40, "Steps.", ge=1, le=100_000)
    step_8bit: float = setting(0.0, "Length of a step, as ε is counted (0: 2.5 ε / steps).", ge=0, le=255, unit="8-bit")
    n_restarts: int = setting(1, "Starts; an image that is fooled does not start again.", ge=1, le=1000)
    random_start: bool = setting(True, "Start at a random place in the ball instead of at the clean image.")
    stop_early: bool = setting(False, "Stop an image as soon as its rounded self fools (printing gains from going on).")


@dataclass(frozen=True, config=TABLE)
class AutoStepOptions(Aimed):
    """Options of `apgd-ce`."""

    n_steps: int = setting(100, "Steps; their length, first 2 ε, is halved where it no longer gains.", ge=1, le=100_000)
    n_restarts: int = setting(1, "Starts; an image that is fooled does not start again.", ge=1, le=1000)
    stop_early: bool = setting(False, "Stop an image as soon as it fools (printing gains from going on).")


@dataclass(frozen=True, config=TABLE)
class LogitsRatioOptions(AutoStepOptions):
    """Options of `apgd-dlr`."""

    n_targets: int = setting(
        0,
        "Likeliest wrong classes to lead to one after another until any fools (APGD-T: 9; 0: away from the true one).",
        ge=0,
        le=1000,
    )


@dataclass(frozen=True, config=TABLE)
class BoundaryOptions(Aimed):
    """Options of `fab`."""

    norm: Literal["linf", "l2"] = setting("linf", 'The distance that is kept small: "linf" (the largest change), or "l2".')
    n_steps: int = setting(100, "Steps.", ge=1, le=10_000)
    n_targets: int = setting(
        9, "Likeliest wrong classes walked to one after another (FAB-T; 0: to the nearest of all in each step).", ge=0, le=1000
    )
    n_restarts: int = setting(
        1,
        "Starts: the first from the clean image, others from random places around it, half as far as what was found.",
        ge=1,
        le=1000,
    )
    n_candidates: int = setting(
        10, "Where n_targets is 0, classes looked at in each step: the true one and the likeliest.", ge=2, le=1000
    )


@dataclass(frozen=True, config=TABLE)
class SquareOptions(Aimed):
    """Options of `square`."""

    n_queries: int = setting(5000, "Images that the network is asked about, at most.", ge=1, le=1_000_000)
    share: float = setting(0.8, "Share of the image that the first squares have.", gt=0, le=1)


@dataclass(frozen=True, config=TABLE)
class AutoAttackOptions(Aimed):
    """Options of `autoattack`; the defaults are those of its standard version."""

    n_steps: int = setting(100, "Steps of each gradient attack.", ge=1, le=10_000)
    n_targets: int = setting(9, "Likeliest wrong classes that apgd-dlr and fab lead to, one after another.", ge=0, le=1000)
    n_queries: int = setting(5000, "Images that square asks the network about, at most.", ge=1, le=1_000_000)


@dataclass(frozen=True, config=TABLE)
class LabelOnlyOptions:
    """Options of `hopskipjump`."""

    norm: Literal["l2", "linf"] = setting("l2", 'The distance that is kept small: "l2", or "linf" (the largest change).')
    n_steps: int = setting(50, "Steps along the boundary, at most.", ge=1, le=10_000)
    n_first: int = setting(
        100, "Images around the first one that the network is asked about; √k times as many at step k.", ge=2, le=100_000
    )
    n_queries: int = setting(
        5000, "Images that the network is asked about, about at most: no step begins after.", ge=1, le=10_000_000
    )
    seed: int = setting(0, "Seed of its random draws.", ge=0)


@dataclass(frozen=True, config=TABLE)
class ExpectationOptions(Aimed):
    """Options of `eot`."""

    profile: str = setting("office-phone", "Simulated printer and camera: a name (`inkproof list profiles`) or a .toml file.")
    over: Literal["camera", "transforms", "both"] = setting(
        "camera",
        'What it expects: "camera" print and photograph, "transforms" digital transforms, "both" the one after the other.',
    )
    transforms: dict[str, Any] = setting(dict, "Lowest and highest value of each, as { blur = [0.4, 2], jpeg = [30, 95] }.")
    n_steps: int = setting(40, "Steps.", ge=1, le=10_000)
    n_samples: int = setting(4, "Draws of photographs or transforms that each step's gradient is the mean of.", ge=1, le=1000)
    step_8bit: int = setting(1, "Length of a step.", ge=1, le=255, unit="8-bit")
    image_mm: float = setting(70.0, "Side of the printed image that it expects.", ge=5, le=200, unit="mm")


@dataclass(frozen=True, config=TABLE)
class SmallestDistanceOptions(Aimed):
    """Options of `cw-l2`. As published: search "bisection", 9 searches of 10000 steps, initial_c 0.001, whole_numbers false."""

    kappa: float = setting(0.0, "Confidence κ: how far ahead the wrong class has to be.", ge=0, le=1000, unit="logits")
    search: Literal["gliding", "running", "bisection"] = setting(
        "gliding",
        '"gliding": in whole numbers along the boundary from where DeepFool\'s walk first fools, and "running" where that is far '
        'or does not fool; "running": by Adam, c follows the boundary within one descent, and only an image not fooled gets '
        'another, from ten times c at twice the rate; "bisection": by Adam, c is fixed in a descent, times ten until one fools, '
        "then bisected (published).",
    )
    start: Literal["boundary", "clean"] = setting(
        "boundary",
        '"boundary": a running search starts where DeepFool\'s walk first fools; "clean": at the clean image (as published).',
    )
    n_searches: int = setting(5, "Descents, at most.", ge=1, le=100)
    n_steps: int = setting(0, "Steps of a descent (0: 8 where it glides, else 60).", ge=0, le=100_000)
    learning_rate: float = setting(
        0.01,
        "Rate of Adam on w; in a running search from the boundary it grows with the distance beyond 3 levels, and falls to 0.",
        ge=1e-6,
        le=10,
    )
    initial_c: float = setting(0.0, "First c of |x - x0|² + c f6 on [0, 1] (0: each image's, by its gradient).", ge=0, le=1e6)
    whole_numbers: bool = setting(True, "In its last three quarters a descent sees the image as it would be saved, rounded.")
    warm_start: bool = setting(False, "A bisection's descents start at the closest result so far, not at the clean image.")
    abort_early: bool = setting(True, "In a bisection an image leaves a descent that no longer gets better.")
    n_starts: int = setting(1, "Searches: the first from the clean image, others from random places around it.", ge=1, le=100)


@dataclass(frozen=True, config=TABLE)
class SmallestLargestChangeOptions(Aimed):
    """Options of `cw-linf`."""

    kappa: float = setting(0.0, "Confidence κ: how far ahead the wrong class has to be.", ge=0, le=1000, unit="logits")
    n_steps: int = setting(50, "Steps for one τ and one c, at most.", ge=1, le=100_000)
    n_doublings: int = setting(2, "How often c is doubled where a τ does not fool.", ge=0, le=60)
    learning_rate: float = setting(
        0.005, "Rate of Adam on w for τ up to 4 levels; it grows with τ, and within a descent falls to 0.", ge=1e-6, le=10
    )
    initial_c: float = setting(0.0, "First c (0: each image's own, from its gradient).", ge=0, le=1e6)
    initial_tau_8bit: int = setting(
        0, "First τ (0: twice the distance that the gradient at the clean image foretells).", ge=0, le=255, unit="8-bit"
    )


@dataclass(frozen=True, config=TABLE)
class DeepFoolOptions(Aimed):
    """Options of `deepfool`."""

    norm: Literal["l2", "linf"] = setting("l2", 'The distance that is kept small: "l2", or "linf" (the largest change).')
    n_steps: int = setting(50, "Steps, at most.", ge=1, le=10_000)
    overshoot: float = setting(0.02, "How much farther than the plane, as a part of the way.", ge=0, le=10)
    n_candidates: int = setting(10, "Classes looked at: the true one, and the likeliest of the clean image (0: all).", ge=0)
    prune: float = setting(
        2.0,
        "A class is left out of a step where its plane is nearest only if its gradient were this many times longer than any "
        "seen in the image (0: none is left out).",
        ge=0,
        le=1000,
    )


@dataclass(frozen=True, config=TABLE)
class FewestPixelsOptions(Aimed):
    """Options of `cw-l0`."""

    kappa: float = setting(0.0, "Confidence κ: how far ahead the wrong class has to be.", ge=0, le=1000, unit="logits")
    n_steps: int = setting(20, "Steps for one set of pixels and one c, at most.", ge=1, le=100_000)
    n_doublings: int = setting(3, "How often c is doubled where a set does not fool.", ge=0, le=60)
    learning_rate: float = setting(0.05, "Rate of Adam on w.", ge=1e-6, le=10)
    initial_c: float = setting(0.0, "First c (0: each image's own, from its gradient).", ge=0, le=1e6)
    share: float = setting(0.5, "Share of changed pixels taken after a success; a quarter of it after a failure.", ge=0, le=0.95)


@dataclass(frozen=True, config=TABLE)
class PatchOptions(Aimed):
    """Options of `patch`."""

    target: str = setting("random", '"random": one class for all images, drawn from the seed; or a class number in quotes.')
    shape: Literal["circle", "square"] = setting("circle", "Outline of the patch.")
    scale_rate: Ends[_Share] = setting((0.5, 0.5), "Its diameter or side, lowest and highest, as a share of the shorter side.")
    trained_scale_rate: Ends[_Share] = setting((0.3, 0.65), "The same in training.")
    rotation_deg: float = setting(22.5, "How far it is turned at most, either way.", ge=0, le=180, unit="deg")
    location: Literal["anywhere", "off-centre"] = setting(
        "anywhere", 'Where it lies: "anywhere" in the image, or "off-centre", so that the middle of the image is not covered.'
    )
    over: Literal["file", "camera"] = setting(
        "file", 'What it is trained through: "file", the pasted image alone, or "camera", simulated print and photograph of it.'
    )
    profile: str = setting("office-phone", "Simulated printer and camera: a name (`inkproof list profiles`) or a .toml file.")
    image_mm: float = setting(70.0, "Side of the printed image that it expects.", ge=5, le=200, unit="mm")
    variation_weight: float = setting(1.0, "Weight of the total variation, per pixel on [0, 1].", ge=0, le=1000)
    printable_weight: float = setting(2.0, "Weight of the mean distance to the nearest of 30 printable colours.", ge=0, le=1000)
    n_steps: int = setting(300, "Steps of the training.", ge=1, le=1_000_000)
    n_samples: int = setting(16, "Images with the patch that each step's gradient is the mean of.", ge=1, le=1024)
    learning_rate: float = setting(0.05, "Rate of Adam on [0, 1]; it falls to 0 along a cosine.", ge=1e-6, le=10)
    images: str = setting("", "Folder of pictures to train on (empty: the data set's; of built-in signs, those for training).")
    n_images: int = setting(64, "Images to train on, at most.", ge=1, le=100_000)


@dataclass(frozen=True, config=TABLE)
class SaliencyOptions(Aimed):
    """Options of `jsma`."""

    form: Literal["pair", "single"] = setting(
        "pair", '"pair": two values at a time, those best together (as published); "single": one.'
    )
    of: Literal["logits", "log-probabilities", "probabilities"] = setting(
        "log-probabilities",
        'Gradients: of "logits" (two passes a step), of "log-probabilities" (one) or of "probabilities" in float32: the '
        "same order of pairs, until the target's rounds to 0 and there is none (JSMA-F on a distilled network).",
    )
    theta_8bit: int = setting(255, "What a step adds to a value, or, negative, takes away.", ge=-255, le=255, unit="8-bit")
    gamma: float = setting(0.145, "Largest share of all values (pixels times channels) that may be changed.", ge=0.0, le=1.0)
    n_per_step: int = setting(1, "Pairs, or single values, changed in a step.", ge=1, le=200)
    gives_back: bool = setting(True, "In the end the values that the target does not need after all get their clean value back.")
    target: str = setting("random", _OTHER_CLASS_DOC)


@dataclass(frozen=True, config=TABLE)
class LBFGSOptions(Aimed):
    """Options of `lbfgs`."""

    n_searches: int = setting(8, "Values of c that are tried, at most.", ge=1, le=100)
    n_steps: int = setting(60, "Points that one minimisation asks the network about, at most.", ge=1, le=10_000)
    initial_c: float = setting(1.0, "First c of |x' - x|² + c J, distances on [0, 1].", ge=1e-6, le=1e6)
    target: str = setting("random", _OTHER_CLASS_DOC)


def check_target(target: str, name: str, may_be_away: bool = True) -> None:
    """Refuses what is no target.

    Raises:
        WrongUse: the word is unknown, or empty where the attack needs a target.
    """
    known = [AWAY] * may_be_away + [LEAST_LIKELY, SECOND, RANDOM, NEXT]
    if target not in known and not target.isdecimal():
        hint = f"{near_match(target, filter(None, known))} A class number in quotes is a target too."
        raise WrongUse(f'attack "{name}": target = "{target}" is no target.', hint)


def check_expectation(options: ExpectationOptions) -> None:
    """Refuses ranges that are none, transforms that are not gone through, and a profile that cannot be read."""
    from pipeline.physical.simulator import load_profile
    from pipeline.specs.transforms import checked_ranges

    ranges = checked_ranges(options.transforms)
    if (options.over != "camera") != bool(ranges):
        hint = 'Add transforms, for example { blur = [0.4, 2] }, and over = "transforms" or "both".'
        raise WrongUse(f'attack "eot": over = "{options.over}" does not go with {len(ranges)} transforms.', hint)
    load_profile(options.profile)


def check_patch(options: PatchOptions) -> None:
    """Refuses a target that is not one class for all images, a profile that cannot be read, and a folder without pictures."""
    from pipeline.images import picture_files
    from pipeline.physical.simulator import load_profile

    if options.target != RANDOM and not options.target.isdecimal():
        hint = f'Choose "{RANDOM}" or a class number in quotes.'
        raise WrongUse(f'attack "patch": target = "{options.target}" is no target.', hint)
    load_profile(options.profile)
    if options.images:
        picture_files(Path(options.images))
