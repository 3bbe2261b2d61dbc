"""An attack of another library as one of ours: its result is rounded, cut to the budget and judged as what will be saved.

Options of an experiment file go to the library's own constructor, in the library's own units; what they may be called is read
off it. Three are ours: `target`, `seed` and `images_at_once`.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.attacks.adapters.libraries import Family, Library, Task, parameters_of
from pipeline.attacks.attack import NO_EPSILON
from pipeline.attacks.frame import FramedAttack
from pipeline.attacks.lattice import settle, settle_outward
from pipeline.attacks.options import NEXT, check_target
from pipeline.attacks.problem import Found, Problem, directions, each
from pipeline.core.errors import InkproofError, Unavailable, WrongUse, near_match
from pipeline.core.registry import load
from pipeline.core.seeds import seed_for
from pipeline.images import pixels_sha256
from pipeline.images.formats import reason
from pipeline.models.classifier import seeded
from pipeline.specs.attacks import ALWAYS, LIBRARIES, NONE, AttackSpec

_log = logging.getLogger(__name__)


def adapted(name: str, options: Mapping[str, Any] | None = None) -> "LibraryAttack":
    """Returns another library's attack, `library:Attack`, with options for its constructor and our own: see `attack_spec`."""
    library, kind = library_and_class(name)
    own = {key: value for key, value in (options or {}).items() if key in _OWN}
    passed = {key: value for key, value in (options or {}).items() if key not in _OWN}
    _check_own(name, own)
    parameters = parameters_of(kind)
    if "seed" in parameters:  # some draw from the clock where they are given none
        passed["seed"] = own.get("seed", _OWN["seed"])
    allowed = [*(key for key in parameters if key not in library.given), *_OWN]
    for key in passed:
        if key in library.given and key in parameters:
            place = library.given[key]
            hint = f"It is set by {place}." if place else "Leave it out."
            raise WrongUse(f'attack "{name}": {key} is not an option here.', hint)
        if key not in allowed:
            raise WrongUse(f'attack "{name}": unknown option "{key}".', near_match(key, allowed))
    try:
        attack = LibraryAttack(name, library, kind, passed, OwnOptions(**own))
    except InkproofError:
        raise
    except ImportError as error:  # an attack with a package of its own, such as numba
        advice = f"Install it: pip install {error.name}" if error.name else ""
        raise Unavailable(f'attack "{name}" cannot be used here: {reason(error)}.', advice) from error
    except Exception as error:  # what a constructor says of its arguments, as whatever exception
        what = f'attack "{name}" refuses its options: {reason(error)}.'
        raise WrongUse(what, f"Options: {', '.join(allowed)}.") from error
    if attack.targeted and not attack.accepts_targets:
        raise WrongUse(f'attack "{name}" cannot be led to a target.', "Leave options.target out.")
    return attack


def library_and_class(name: str) -> tuple[Library, type]:
    """Returns the library of an attack, ready to run it, and the attack's class in it."""
    scheme, word = LIBRARIES.find_scheme(name)
    library: Library = load(scheme.target)()
    attacks = library.attacks()
    if word not in attacks:
        raise WrongUse(f'unknown attack "{name}".', near_match(word, attacks))
    return library, attacks[word]


def _check_own(name: str, own: Mapping[str, Any]) -> None:
    for key, value in own.items():
        kind = type(_OWN[key])
        if not isinstance(value, kind) or isinstance(value, bool):
            expected = "text in quotes" if kind is str else "a whole number"
            raise WrongUse(f'attack "{name}": {key} = {value!r}: expected {expected}.')
        if isinstance(value, int) and value < (1 if key == "images_at_once" else 0):
            raise WrongUse(f'attack "{name}": {key} = {value} is out of range.')


@dataclass(frozen=True)
class OwnOptions:
    """What an adapter itself can be told, beside what it passes on: `target` as in `chosen_targets`, the seed of all draws.

    With more than one of `images_at_once` a library is faster, but what becomes of an image may depend on its neighbours, and
    passes are counted as their mean.
    """

    target: str = ""
    seed: int = 0
    images_at_once: int = 1


_OWN = {item.name: item.default for item in fields(OwnOptions)}


class LibraryAttack(FramedAttack):
    """An attack of another library with options for its constructor.

    Where the library raises, or returns a blank image or numbers that are not finite, the clean image is kept, as "not-found".
    """

    options_kind = OwnOptions

    def __init__(self, name: str, library: Library, kind: type, options: Mapping[str, Any], own: OwnOptions) -> None:
        self.name, self._library, self._kind, self._passed = name, library, kind, dict(options)
        self.family: Family = library.family(kind, options)
        if self.family.targets == ALWAYS and not own.target:
            own = replace(own, target=NEXT)
        check_target(own.target, name)
        super().__init__(own)
        self.accepts_targets = self.family.targets != NONE

    @property
    def spec(self) -> AttackSpec:
        """What kind of attack it is, with these options."""
        title, summary = self.name.replace(":", "-"), "an attack of " + self.name.partition(":")[0]
        return AttackSpec(self.name, title, summary, make="", batch_size=self._options.images_at_once, **asdict(self.family))

    @property
    def identity(self) -> dict[str, Any]:
        return {"options": self._passed} | asdict(self._options)

    def search(self, problem: Problem, epsilons_8bit: Sequence[int]) -> dict[int, Found]:
        if self.family.takes_epsilon:
            return {epsilon: self._within(problem.fork(), epsilon) for epsilon in epsilons_8bit}
        return {NO_EPSILON: self._smallest(problem)}

    def _within(self, problem: Problem, epsilon_8bit: int) -> Found:
        """Returns what the library makes of the images within a budget, in whole numbers."""
        norm = self.family.norm
        found, is_found = self._made(problem, radius_of(epsilon_8bit, norm, problem.clean[0].numel()))
        words = () if is_found.all() else tuple("" if seen else "not-found" for seen in is_found.tolist())
        return Found(cut_to_ball(problem.clean, found, epsilon_8bit, norm), problem.network, words)

    def _smallest(self, problem: Problem) -> Found:
        """Returns the smallest change that the library finds, in whole numbers that fool the network themselves."""
        found, is_found = self._made(problem, None)
        norm = {"l1": "l0"}.get(self.family.norm, self.family.norm)
        every = torch.arange(len(problem), device=found.device)
        value, unsure = problem.margins(found if norm else found.round(), every)
        if norm and not self.family.needs_gradient:
            return self._settled_outward(problem, found, is_found & (value > 0))
        if norm:
            settled = settle(problem, found, is_found & (value > 0), norm, moves_closer=False)
            return Found(settled.pixels, problem.network, settled.rounding)
        # nothing to move it along: the rounded image is the result, if it fools
        fools = is_found & (value > unsure)
        words = tuple("not-found" if not seen else "kept" if fooled else "lost" for seen, fooled in zip(is_found, fools))
        return Found(torch.where(each(fools), found.round(), problem.clean), problem.network, words)

    def _settled_outward(self, problem: Problem, found: Tensor, is_found: Tensor) -> Found:
        """Returns what an attack that asks for predictions alone found, in whole numbers that fool: no gradient is asked for."""
        pixels, words = problem.clean.clone(), ["not-found"] * len(problem)

        def fools(place: Tensor, tried: Tensor) -> bool:
            value, unsure = problem.margins(tried, place)
            return bool(value > unsure)

        for place in is_found.nonzero():
            pixels[place], words[int(place)] = settle_outward(problem.clean[place], found[place], partial(fools, place))
        return Found(pixels, problem.network, tuple(words))

    def _made(self, problem: Problem, radius: float | None) -> tuple[Tensor, Tensor]:
        """Returns the library's images (n, 3, H, W) in 0 to 255 and which of them are any; counts the passes that each took."""
        n, size, clean, network = len(problem), self._options.images_at_once, problem.clean, problem.network
        with torch.no_grad():
            n_classes = network.ask(clean[:1] / 255).shape[1]
        found, is_found = clean.clone(), torch.zeros(n, dtype=torch.bool, device=clean.device)
        for start in range(0, n, size):
            some = problem.of(torch.arange(start, min(start + size, n), device=clean.device))
            watched, rows = Watched(network.ask, clean.device), some.rows
            made = self._attempt(some, watched, n_classes, radius)
            if made is not None:
                is_found[start : start + size] = is_image = _is_image(made, some.clean)
                found[start : start + size] = torch.where(each(is_image), made, some.clean)
            network.n_forward[rows] += -(-watched.n_forward // len(rows))
            network.n_backward[rows] += -(-watched.n_backward // len(rows))
            network.note_blind(rows, torch.full_like(rows, watched.is_blind))
        return found, is_found

    def _attempt(self, some: Problem, watched: "Watched", n_classes: int, radius: float | None) -> Tensor | None:
        """Returns the library's images in 0 to 255, None where it returns none."""
        clean = some.clean
        task = Task(watched, clean / 255, some.labels, some.aims, radius, n_classes)
        names = "".join(pixels_sha256(image) for image in some.images)
        try:
            with kept_quiet_and_seeded(seed_for(self._options.seed, self.name, names), clean.device), torch.enable_grad():
                made = self._library.run(self._kind, self._passed, task)
        except (InkproofError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a library may raise anything; the image is then listed as not found
            _log.warning("%s failed on an image, which is kept clean: %s: %s", self.name, type(error).__name__, error)
            return None
        if not isinstance(made, Tensor) or made.shape != clean.shape:
            _log.warning("%s returned no image of the size given, which is kept clean", self.name)
            return None
        return made.detach().to(clean).mul(255).clamp_(0, 255)


def radius_of(epsilon_8bit: float, norm: str, n_values: int) -> float:
    """Returns a library's budget, of values in [0, 1]: a largest, root mean square or mean change becomes a norm's radius."""
    return epsilon_8bit / 255 * {"linf": 1.0, "l2": n_values**0.5, "l1": float(n_values)}[norm]


def cut_to_ball(clean: Tensor, found: Tensor, epsilon_8bit: int, norm: str) -> Tensor:
    """Returns the images found (n, 3, H, W), rounded, inside [0, 255], and shortened to lie inside the ball in whole numbers.

    Epsilon is the largest change of a value ("linf"), the root mean square ("l2") or the mean ("l1") over all values.
    """
    change = found.round().clamp(0, 255) - clean
    if norm == "linf":
        return clean + change.clamp(-epsilon_8bit, epsilon_8bit)
    power = 2 if norm == "l2" else 1
    budget = float(epsilon_8bit) ** power * clean[0].numel()

    def fits(some: Tensor) -> Tensor:
        return some.abs().double().pow(power).sum(dim=(1, 2, 3)) <= budget

    low, high = fits(change).to(change.dtype), torch.ones(len(clean), device=clean.device)
    for _ in range(20):
        middle = (low + high) / 2
        is_inside = fits((change * each(middle)).round())
        low, high = torch.where(is_inside, middle, low), torch.where(is_inside, high, middle)
    return clean + (change * each(low)).round()


def _is_image(made: Tensor, clean: Tensor) -> Tensor:
    """Returns where a result is an image at all, bool (n,): finite, and not of one colour where the clean image is not."""
    is_finite = made.isfinite().all(dim=(1, 2, 3))
    return is_finite & (_is_varied(made) | ~_is_varied(clean))


def _is_varied(pixels: Tensor) -> Tensor:
    return (pixels.amax(dim=(2, 3)) > pixels.amin(dim=(2, 3))).any(dim=1)


class Watched(nn.Module):
    """Passes images of [0, 1] to `logits` and counts them, forward and backward; an image asked about twice counts twice.

    The network is held by its function alone: what a library does to modes, hooks or parameters ends here.
    """

    def __init__(self, logits: Callable[[Tensor], Tensor], device: torch.device) -> None:
        super().__init__()
        self.__dict__["_logits"] = logits
        self.placeholder = nn.Parameter(torch.zeros(1, device=device), requires_grad=False)  # libraries read the device off it
        self.n_forward, self.n_backward, self.is_blind = 0, 0, False
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        self.n_forward += len(images)
        followed = _CountedBackward.apply(images, self) if images.requires_grad and torch.is_grad_enabled() else images
        return self.__dict__["_logits"](followed.float())


class _CountedBackward(torch.autograd.Function):
    """Tells the network when a gradient has come all the way back, and gives 0 for what is not finite in it."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, watched: Watched) -> Tensor:
        ctx.watched = watched
        return images.view_as(images)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.watched.n_backward += len(gradient)
        direction, is_blind = directions(gradient)
        ctx.watched.is_blind |= bool(is_blind.any())
        return direction, None


@contextlib.contextmanager
def kept_quiet_and_seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draws inside come from the seed and leave all generators as they were; what is printed, logged or warned of is dropped."""
    sink, level = io.StringIO(), logging.root.manager.disable
    with seeded(seed, device), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)
