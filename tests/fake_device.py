"""A second device without hardware: tensors that say they are elsewhere, and refuse to be mixed with the CPU's.

PyTorch's own `lazy` device lends its name, so that no backend has to be registered: a wrapper around a tensor of the CPU says
`device=lazy`, autograd works on the wrappers, and what lies below autograd computes with what is inside. As on a GPU an
operation takes tensors of one device, beside single numbers of the CPU and indices; `.numpy()` asks for `.cpu()` first; and
numbers are drawn for a tensor by a generator of its own device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = "lazy"
_THERE, _HERE = torch.device(DEVICE), torch.device("cpu")
_aten = torch.ops.aten
# What moves values from one device to the other.
_MOVES = {_aten._to_copy.default, _aten.copy_.default, _aten.lift_fresh.default}
# What takes indices of the CPU for a tensor that lies elsewhere.
_INDEXED = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default}
# What joins tensors takes no single number of the CPU either.
_JOINS = {_aten.cat.default, _aten.stack.default}
_OwnGenerator = torch.Generator


class MixedDevices(RuntimeError):
    """An operation was given tensors of two devices."""


class There(torch.Tensor):
    """A tensor that says it is on the fake device; `inner` is where it is computed."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=_THERE,
            requires_grad=False,
        )

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    def __repr__(self, *, tensor_contents=None) -> str:
        return f"There({self.inner})"

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.Tensor.tolist:  # PyTorch knows neither for wrappers
            return args[0].inner.tolist()
        if func is torch.Tensor.numpy and (kwargs or {}).get("force"):
            return args[0].inner.numpy(force=True)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _computed(func, args, kwargs or {})


class _Generator(_OwnGenerator):
    """A generator of either device."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls)

    def __init__(self, device="cpu") -> None:
        self._told = torch.device(device)

    @property
    def device(self):
        return self._told


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _computed(func, args, kwargs or {})


class _Draws(TorchFunctionMode):
    """Holds each generator to its device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if (generator := kwargs.get("generator")) is not None:
            first = next((value for value in args if isinstance(value, torch.Tensor)), None)
            asked = torch.device(kwargs.get("device") or (_HERE if first is None else first.device))
            if generator.device.type != asked.type:
                raise MixedDevices(f"{func}: a generator of {generator.device} draws for {asked}")
        return func(*args, **kwargs)


@contextmanager
def fake_device() -> Iterator[str]:
    """Yields the name of a device that can be used inside."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device=…) is made here and moved there
    try:
        with _Mode(), _Draws(), mock.patch.object(torch, "Generator", _Generator):
            yield DEVICE
    finally:
        torch._C._set_only_lift_cpu_tensors(before)


def _computed(func, args, kwargs):
    flat, _ = tree_flatten((args, kwargs))
    tensors = [value for value in flat if isinstance(value, torch.Tensor)]
    asked = kwargs.get("device")
    goes_there = any(isinstance(tensor, There) for tensor in tensors)
    if func not in _MOVES:
        _check(func, args, tensors, goes_there)
    if func is _aten.copy_.default:
        goes_there = isinstance(args[0], There)
    if asked is not None:
        goes_there = torch.device(asked).type == DEVICE
        kwargs = {**kwargs, "device": _HERE}
    inner_args, inner_kwargs = tree_map(lambda value: value.inner if isinstance(value, There) else value, (args, kwargs))
    found = func(*inner_args, **inner_kwargs)
    if not goes_there:
        return found
    wrapped = tree_map(lambda value: There(value) if isinstance(value, torch.Tensor) else value, found)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if tensors else wrapped


def _check(func, args, tensors, goes_there) -> None:
    if not goes_there:
        return
    allowed = set()
    if func in _INDEXED and isinstance(args[0], There):
        allowed = {id(index) for index in args[1] if index is not None}
    for tensor in tensors:
        is_number = tensor.dim() == 0 and func not in _JOINS
        if not isinstance(tensor, There) and not is_number and id(tensor) not in allowed:
            raise MixedDevices(f"{func}: a tensor {tuple(tensor.shape)} of the CPU beside one of another device")
