"""How a torch network, or any function of images, is asked: what it takes, and what it gives, found by trying."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.errors import InkproofError
from pipeline.models.outputs import FAR, N_PROBES, Scores, as_probabilities, find_scores, named_outputs, probes

# Of networks that take no other number of images: as exporters fix it, beside 2, which is tried first.
_FIXED = (1, 4, 8, 16, 32)
_NO_SCORES = Scores("", "logits", 0)


class NoCall(Exception):
    """A network answers no call: the error of the likeliest one, and what to look at."""

    def __init__(self, error: BaseException, hint: str) -> None:
        super().__init__(str(error))
        self.error, self.hint = error, hint


class Function(nn.Module):
    """A plain function, on tensors or NumPy arrays, in the clothes of a Module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Any) -> Any:
        return self._function(x)


@dataclass(frozen=True)
class Call:
    """How a network is asked.

    Attributes:
        scores: which of its outputs counts.
        gradient: whether the answer can be followed back to the images.
        n_channels: 3 for RGB, 1 for luma.
        dtype: of the images; as_array: whether they are a NumPy array.
        n_fixed: how many it takes at a time, 0 for any number.
    """

    scores: Scores = _NO_SCORES
    gradient: bool = True
    n_channels: int = 3
    dtype: torch.dtype = torch.float32
    as_array: bool = False
    n_fixed: int = 0

    def logits(self, network: nn.Module, x: Tensor) -> Tensor:
        """Returns float32 (N, n_classes) of normalised (N, n_channels, H, W) images, N >= 1."""
        if not self.n_fixed:
            return self.scores.logits(self.outputs(network, x), len(x))
        parts = []
        for part in x.split(self.n_fixed):
            last = part[-1:].expand(self.n_fixed - len(part), *part.shape[1:])
            answer = self.scores.logits(self.outputs(network, torch.cat([part, last])), self.n_fixed)
            parts.append(answer[: len(part)])
        return torch.cat(parts)

    def outputs(self, network: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """Returns everything that the network gives for images, by name."""
        given = x.to(self.dtype)
        return named_outputs(network(given.detach().cpu().numpy() if self.as_array else given), x.device)


def find_call(network: nn.Module, name: str, inputs: Callable[[int, int], Tensor], output: str = "", n_known: int = 0) -> Call:
    """Returns the first way of asking that the network answers to: as simple as can be, with a gradient where there is one.

    Args:
        name: the model's, for messages.
        inputs: gives n normalised images of that many channels.
        output: `model.output`. n_known: the number of classes, 0 where it is not told.

    Raises:
        NoCall: it answers to none. WrongUse, BadInput: its answer holds no scores, or several outputs that may be.
    """
    failures: list[BaseException] = []
    for call in _calls(network):
        n = call.n_fixed or 2
        x = inputs(n, call.n_channels)
        try:
            with torch.set_grad_enabled(call.gradient):
                outputs = call.outputs(network, (x.requires_grad_() * 1) if call.gradient else x)
        except InkproofError:
            raise
        except (Exception, SystemExit) as error:  # a user's network may raise anything
            failures.append(error)
            continue
        found = replace(call, scores=find_scores(name, outputs, n, output, n_known))
        found = replace(found, gradient=call.gradient and _leads_back(outputs[found.scores.output], x))
        return _told_apart(found, network, x) if found.scores.kind == "logit" else found
    told = next((error for error in failures if "requires grad" not in str(error)), failures[0])
    raise NoCall(told, _hint(told, tuple(inputs(1, 3).shape[2:])))


def _calls(network: nn.Module) -> Iterator[Call]:
    own = {value.dtype for value in network.parameters() if value.is_floating_point()}
    dtypes = (torch.float32, *(own - {torch.float32} if len(own) == 1 else ()))
    for gradient, n_channels, dtype in product((True, False), (3, 1), dtypes):
        yield Call(gradient=gradient, n_channels=n_channels, dtype=dtype)
    if isinstance(network, Function):
        for n_channels in (3, 1):
            yield Call(gradient=False, n_channels=n_channels, as_array=True)
    for n_fixed, dtype in product(_FIXED, dtypes):
        yield Call(n_fixed=n_fixed, dtype=dtype)


def _leads_back(output: Tensor, x: Tensor) -> bool:
    """Returns whether an output can be followed back to the images: parts such as quantised layers let the way end inside."""
    if not output.requires_grad:
        return False
    try:
        (gradient,) = torch.autograd.grad(output.sum(), x, allow_unused=True)
    except Exception:  # an operation without a derivative; a user's own may raise anything
        return False
    return gradient is not None


def _told_apart(call: Call, network: nn.Module, like: Tensor) -> Call:
    """Returns the call of a network with one number for two classes, which is a probability where it never leaves [0, 1]."""
    images = probes(like.shape[2:], -FAR, FAR, like.shape[1]).to(like.device)
    with torch.no_grad():
        n = call.n_fixed or N_PROBES
        images = images.repeat(-(-n // N_PROBES), 1, 1, 1)
        parts = [call.outputs(network, part) for part in images.split(n)]
        outputs = {call.scores.output: torch.cat([part[call.scores.output].reshape(-1) for part in parts])}
    return replace(call, scores=as_probabilities(call.scores, outputs))


def _hint(error: BaseException, size: tuple[int, ...]) -> str:
    """Returns which rule a network broke, as far as its own words tell."""
    said = str(error).lower()
    if "channel" in said:
        return "The network has to take RGB images, (N, 3, H, W), or one channel, (N, 1, H, W)."
    if "positional argument" in said or "keyword argument" in said:
        return "The network is called with one argument, the images."
    if "dtype" in said or "scalar type" in said or "should be the same" in said:
        return "The network is called with float32, or with its weights' own type where all have one."
    if any(word in said for word in ("mat1", "size", "shape", "height", "kernel")):
        return f"Check model.input_px: the network is called with {size[0]} x {size[1]} pixels."
    return "It is called with images as float32 (N, 3, height, width): see docs/models.md."
