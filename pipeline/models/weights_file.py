"""Reads a local weights file into a network, never by running code that the file carries."""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.core.errors import BadInput
from pipeline.images import shown
from pipeline.images.formats import reason

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "module")
_PREFIXES = ("module.", "model.", "_orig_mod.")
_N_NAMED = 3


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Returns the tensors of a `.safetensors` file or of a torch file (`.pth`, `.pt`, `.th`, …), on the CPU.

    Torch files are read with `weights_only=True`; a wrapper such as {"state_dict": …, "epoch": …} is opened.

    Raises:
        BadInput: missing, damaged, not weights, or holding pickled objects other than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"There is no weights file {shown(path)}.", "Check model.weights.")
    content = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_torch(path)
    state = _unwrapped(content)
    if not state:
        raise BadInput(f"{shown(path)} holds no tensors by name.", "Save the state_dict: torch.save(model.state_dict(), FILE).")
    return state


def load_into(module: torch.nn.Module, state: Mapping[str, torch.Tensor], origin: str) -> None:
    """Puts named tensors into a network; names and shapes must fit exactly, apart from a common prefix such as "module.".

    Args:
        origin: the file's path or another phrase for messages.

    Raises:
        BadInput: names or shapes do not fit; some of them are given.
    """
    wanted = {key: value for key, value in module.state_dict().items() if isinstance(value, torch.Tensor)}
    state = _with_fitting_prefix(state, wanted)
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in wanted]
    what, hint = "; ".join(filter(None, [_listed("missing", missing), _listed("unexpected", unexpected)])), ""
    if what:
        hint = "Check that model.name is the network that the file was saved from."
    elif key := next((key for key, tensor in state.items() if tensor.shape != wanted[key].shape), ""):
        what = f"{key} is {tuple(state[key].shape)} in the file, {tuple(wanted[key].shape)} in the network"
        hint = "If this is the last layer, set model.n_classes to the file's number of classes."
    if what:
        raise BadInput(f"The weights in {shown(origin)} do not fit the network: {what}.", hint)
    module.load_state_dict(dict(state), strict=False)


def state_bytes(state: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """Returns each entry's name with dtype and shape, and its bytes, sorted by name: what a fingerprint is made of.

    Entries that are no tensors (packed weights of a quantised layer, extra state) count by their content.
    """
    return [entry for key, value in sorted(state.items()) for entry in _bytes_of(key, value)]


def _bytes_of(key: str, value: Any) -> Iterator[tuple[str, bytes]]:
    if isinstance(value, torch.Tensor) and value.is_quantized:
        yield f"{key} {value.dtype} {tuple(value.shape)} {value.qscheme()}", value.dequantize().numpy().tobytes()
    elif isinstance(value, torch.Tensor):
        tensor = value.detach().cpu().contiguous()
        yield f"{key} {tensor.dtype} {tuple(tensor.shape)}", tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, (tuple, list, dict)):
        parts = sorted(value.items(), key=str) if isinstance(value, dict) else enumerate(value)
        for name, part in parts:
            yield from _bytes_of(f"{key}.{name}", part)
    elif isinstance(value, (str, bytes, int, float, bool, torch.dtype)) or value is None:
        yield f"{key} {type(value).__name__}", repr(value).encode()
    else:
        yield key, pickle.dumps(value)


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{shown(path)} is not a safetensors file or is damaged: {reason(error)}.") from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the zip reader and the restricted unpickler raise anything on damaged bytes
        refusals = ("Unsupported global", "Unsupported class", "GLOBAL", "not an allowed")
        is_pickle = isinstance(error, pickle.UnpicklingError)
        if "TorchScript" in str(error) or (is_pickle and any(word in str(error) for word in refusals)):
            why = "it is refused, as reading them would run code from the file"
            hint = "Save the weights alone where the file came from: torch.save(model.state_dict(), FILE), or use .safetensors."
            raise BadInput(f"{shown(path)} holds pickled objects, not only tensors; {why}.", hint) from error
        said = "" if is_pickle else f": {reason(error)}"
        raise BadInput(f"{shown(path)} is not a weights file of torch, or it is damaged{said}.") from error


def _unwrapped(content: Any) -> dict[str, torch.Tensor]:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping):
        return {}
    return {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}


def _with_fitting_prefix(state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Strips the prefixes that training wrappers leave on every name, unless the network's own names begin so."""
    while True:
        prefix = next((p for p in _PREFIXES if state and all(key.startswith(p) for key in state)), None)
        if prefix is None or all(key in wanted for key in state):
            return state
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}


def _listed(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - _N_NAMED} more" if len(keys) > _N_NAMED else ""
    return f"{what} {', '.join(keys[:_N_NAMED])}{more}"
