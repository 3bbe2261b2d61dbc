"""Classifiers that are torch networks: the built-in one, the wrapper that freezes and checks any, and its copy for attacks."""

import copy
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from pipeline.core.errors import BadInput, Unavailable, WrongUse
from pipeline.images import shown
from pipeline.images.formats import reason
from pipeline.models.calls import Call, NoCall, find_call
from pipeline.models.class_names import n_classes_told
from pipeline.models.classifier import (
    Classifier,
    argument_bytes,
    device_for,
    fingerprint_of,
)
from pipeline.models.layers import (
    LayerResponse,
    first_filters,
    last_map_layer,
    layer_names,
    layer_response,
    map_layers,
    noise_pictures,
)
from pipeline.models.preprocessing import Preprocessing, normalised, preprocessing_for
from pipeline.models.scores import noise, relative
from pipeline.models.weights_file import load_into, read_state_dict, state_bytes
from pipeline.records import Filter
from pipeline.settings import ModelSettings

_INITIAL_SEED = 0


class TorchClassifier(Classifier):
    """A torch network with its preprocessing; see `Classifier`."""

    def __init__(
        self,
        module: torch.nn.Module,
        settings: ModelSettings,
        steps: Preprocessing,
        device: str,
        own_names: tuple[str, ...] = (),
        own_wordnet_ids: tuple[str, ...] = (),
        fingerprint_name: str = "",
    ) -> None:
        """Freezes the network, tries it on grey images, and names its classes.

        Args:
            module: takes normalised images, gives scores: see `calls.py` for all that it may take and give.
            fingerprint_name: the settings' name without a folder.
        """
        self.name = settings.name
        self.preprocessing = steps
        self.device = device_for(device)
        self._module = evaluated(module).requires_grad_(False).to(self.device)
        self._faster: torch.nn.Module | None = None
        self._call = self._tried_out(settings.output, n_classes_told(settings.classes, settings.n_classes))
        self.n_classes, self.differentiable = self._call.scores.n_classes, self._call.gradient
        self.preprocessing = replace(steps, n_channels=self._call.n_channels)
        self._name_classes(settings, own_names, own_wordnet_ids)
        parts = self._code_parts()
        parts += [("arguments", argument_bytes(settings.arguments))] if settings.arguments else []
        self.fingerprint = fingerprint_of(
            fingerprint_name or self.name, self.preprocessing, parts + state_bytes(module.state_dict())
        )

    @property
    def n_ranked(self) -> int:
        return self._call.scores.n_ranked

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        self._check_input(x)
        if x.requires_grad and torch.is_grad_enabled() and not self.differentiable:
            raise WrongUse(f"{self.name} gives no gradient, so a gradient attack cannot be run on it.", "Use predictions only.")
        if not self.differentiable:
            with torch.no_grad():
                return self._call.logits(self._module, self._network_input(x.detach()))
        return self._call.logits(self._module, self._network_input(x))

    def for_attacks(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Returns the logits within `TOLERANCE`, through a faster copy made once."""
        if self._faster is None:
            generator = torch.Generator().manual_seed(_INITIAL_SEED)
            example = torch.rand((4, 3, *self.input_size), generator=generator).to(self.device)
            self._faster = faster_copy(self._module, self._network_input(example), self._call.logits)
        network, call = self._faster, self._call
        if network is self._module:
            return self.logits
        channels_last = torch.channels_last
        return lambda x: call.logits(network, self._network_input(x).contiguous(memory_format=channels_last))

    def penultimate(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Returns what gives float32 (N, D): what the last fully connected layer is shown, through the copy for attacks.

        Raises:
            WrongUse: the network has no such layer.
        """
        ask, network = self.for_attacks(), self._faster or self._module
        last = [part for part in network.modules() if isinstance(part, nn.Linear)][-1:]
        if not last:
            raise WrongUse(f"{self.name} has no fully connected layer, which penultimate features are shown to.")

        def features(x: torch.Tensor) -> torch.Tensor:
            seen: list[torch.Tensor] = []
            handle = last[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
            try:
                ask(x)
            finally:
                handle.remove()
            return seen[-1].flatten(1)

        return features

    def trainable(self) -> nn.Module:
        """Returns the network itself with its weights thawed: `logits` asks it, in whichever mode it is put."""
        self._faster = None
        return self._module.requires_grad_(True)

    def _network_input(self, x: torch.Tensor) -> torch.Tensor:
        prepared = normalised(x.to(self.device), self.preprocessing)
        return prepared.clone() if prepared is x else prepared  # a network may work in place

    def layer_names(self) -> tuple[str, ...]:
        return layer_names(self._module)

    def first_filters(self) -> tuple[Filter, ...]:
        return first_filters(self._module, (self.preprocessing.n_channels, *self.input_size), self.class_names)

    def last_map_layer(self) -> str:
        grey = torch.full((1, 3, *self.input_size), 0.5, device=self.device)
        return last_map_layer(self._module, lambda: self.logits(grey))

    def map_layers(self) -> dict[str, tuple[int, ...]]:
        return map_layers(self._module, self.logits, noise_pictures(2, self.input_size).to(self.device))

    def layer_response(self, x: torch.Tensor, labels: torch.Tensor, layer: str) -> LayerResponse:
        return layer_response(self._module, self.logits, x, labels, layer)

    def _code_parts(self) -> list[tuple[str, bytes]]:
        return []  # of the fingerprint beside weights and arguments: the code of a user's own network

    def _line_of(self, error: BaseException) -> str:
        return ""  # of a user's own code that an error came from, as " (net.py, line 3)"

    def _tried_out(self, output: str, n_known: int) -> Call:
        def inputs(n: int, n_channels: int) -> torch.Tensor:
            grey = torch.full((n, 3, *self.input_size), 0.5, device=self.device)
            return normalised(grey, replace(self.preprocessing, n_channels=n_channels))

        try:
            return find_call(self._module, self.name, inputs, output, n_known)
        except NoCall as refused:
            height, width = self.input_size
            what = f"{self.name} cannot classify images of {height} x {width} pixels"
            error = refused.error
            raise BadInput(f"{what}: {reason(error)}{self._line_of(error)}", refused.hint) from error


def evaluated(module: nn.Module) -> nn.Module:
    """Returns the network in evaluation mode; an exported program has no other, and refuses to be asked."""
    try:
        return module.eval()
    except NotImplementedError:
        for part in module.modules():
            part.training = False
        return module


def load_builtin(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns the built-in traffic-sign network, with its packaged weights or a file of them."""
    if name != "signs":
        raise WrongUse(f"There is no model builtin:{name}.", "Did you mean builtin:signs?")
    if settings.weights == "none":
        raise WrongUse("builtin:signs has no random weights.", 'Set model.weights to "DEFAULT" or to a file.')
    network = import_module("pipeline.signs.network")
    try:
        module = network.load()
    except FileNotFoundError as error:
        raise Unavailable("The weights of builtin:signs are missing from the package.", "Install inkproof again.") from error
    if settings.weights not in ("", "DEFAULT"):
        load_into(module, read_state_dict(settings.weights), settings.weights)
    steps = preprocessing_for(settings, Preprocessing((network.INPUT_PX,) * 2, network.INPUT_PX))
    return TorchClassifier(module, settings, steps, device, tuple(getattr(network, "CLASS_NAMES", ())))


def built_from_seed(build: Callable[[], torch.nn.Module], seed: int = _INITIAL_SEED) -> torch.nn.Module:
    """Returns what `build` returns, with the same initial weights each time and the caller's random state untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def file_state(weights: str) -> dict[str, torch.Tensor] | None:
    """Returns the tensors of a weights file, None where the setting is "none"."""
    if weights == "none":
        return None
    if not Path(weights).suffix and not Path(weights).exists():
        hint = 'Use "DEFAULT", "none" or a file (.pth, .pt, .safetensors).'
        raise WrongUse(f'There are no weights "{shown(weights)}" for this model.', hint)
    return read_state_dict(weights)


# Largest difference of a logit relative to how far the logits lie apart, and of a gradient in the Euclidean norm relative to its
# own. A unit that stands at its kink may fall to the other side for the last bit: that moves a gradient by more than rounding.
TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-2

Ask = Callable[[nn.Module, torch.Tensor], torch.Tensor]


def faster_copy(module: nn.Module, example: torch.Tensor, ask: Ask = nn.Module.__call__) -> nn.Module:
    """Returns a copy that gives the same logits and input gradients within the two tolerances, or the module itself.

    Folding is left out where the network cannot be traced; the module itself is returned where it has hooks, is training, has
    no convolution, or where a copy answers otherwise on the example, float32 (N, 3, H, W). The module is left as it was. `ask`
    gives the logits of a network for such images.
    """
    if _is_watched(module) or not any(isinstance(part, nn.Conv2d) for part in module.modules()):
        return module
    has_norms = any(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    for make in (fuse, copy.deepcopy) if has_norms else (copy.deepcopy,):
        try:
            found: nn.Module = make(module).eval().requires_grad_(False)
            found = found.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stubs leave it out
            if _agree(module, found, example, ask):
                return found
        except Exception:  # a user's network may raise anything when it is traced, copied or run
            continue
    return module


def _is_watched(module: nn.Module) -> bool:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(part.training or any(getattr(part, name, None) for name in hooks) for part in module.modules())


def _agree(module: nn.Module, copied: nn.Module, example: torch.Tensor, ask: Ask) -> bool:
    logits, gradient = _answer(module, example, ask)
    again, _ = _answer(module, example, ask)
    other, other_gradient = _answer(copied, example.contiguous(memory_format=torch.channels_last), ask)
    if not torch.equal(logits, again):  # a random network cannot be compared
        return False
    return bool(
        ((relative(logits) - relative(other)).abs().amax(dim=1) <= noise(logits, TOLERANCE)).all()
        and (gradient - other_gradient).norm() <= GRADIENT_TOLERANCE * gradient.norm()
    )


def _answer(module: nn.Module, example: torch.Tensor, ask: Ask) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        inputs = example.clone().requires_grad_()
        logits = ask(module, inputs * 1)
        (gradient,) = torch.autograd.grad(logits, inputs, relative(logits.detach()))
    return logits.detach(), gradient
