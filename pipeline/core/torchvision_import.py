"""Imports torchvision, also where a CPU build of torch stands beside a torchvision that was built for CUDA.

The `torchvision` wheel on PyPI is built for CUDA. Beside a CPU torch its compiled operators cannot be loaded, which torchvision
tolerates, but two of its modules then ask torch for the schemas of `torchvision::nms` and `torchvision::qnms` and the import
ends with `operator torchvision::nms does not exist`. Declaring the two schemas, without an implementation, makes models,
transforms and data sets work; only box operators, which no classifier uses, stay unavailable. Nothing is declared where the
plain import succeeds.
"""

import importlib
import sys
from types import ModuleType

from pipeline.core.errors import Unavailable

_MISSING_OPERATORS = ("torchvision::nms", "torchvision::qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# A schema lives as long as the Library object that declared it.
_declared: list[object] = []


def import_torchvision() -> ModuleType:
    """Returns the torchvision module with `models`, `transforms` and `datasets` loaded.

    Raises:
        Unavailable: torchvision is not installed, or does not fit the installed torch.
    """
    try:
        module = importlib.import_module("torchvision")
        for part in ("models", "transforms", "datasets"):
            importlib.import_module(f"torchvision.{part}")
    except ModuleNotFoundError as error:
        _forget_partial_import()
        raise Unavailable(f"torchvision cannot be imported: {error}.", "Install it: pip install torchvision") from error
    except (RuntimeError, AttributeError, ImportError) as error:
        _forget_partial_import()
        if _declared or not any(name in str(error) for name in _MISSING_OPERATORS):
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise Unavailable(
                f"torchvision does not fit the installed torch ({reason}).",
                "Install a matching pair: pip install --upgrade torch torchvision",
            ) from error
        _declare_operators()
        return import_torchvision()
    return module


def _forget_partial_import() -> None:
    """A failed import leaves submodules behind, which a second try would take for whole ones."""
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]


def _declare_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _MISSING_OPERATORS:
        operator = name.partition("::")[2]
        if not hasattr(torch.ops.torchvision, operator):
            library.define(operator + _SCHEMA)
    _declared.append(library)
