"""What works on this machine, and what to install where something does not."""

import importlib
import os
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.core.cores import THREADS, WAITING, n_cores
from pipeline.store import free_space_mb

LEAST_FREE_MB = 1000


@dataclass(frozen=True)
class Check:
    """One thing that was tried; `needed` means that inkproof does not work without it."""

    name: str
    works: bool
    needed: bool
    detail: str
    advice: str = ""

    @property
    def mark(self) -> str:
        return "✓" if self.works else ("✗" if self.needed else "–")

    @property
    def told(self) -> str:
        return self.detail + ("" if self.works or not self.advice else f"  →  {self.advice}")

    @property
    def line(self) -> str:
        return f"{self.mark} {self.name:<14} {self.told}"


def examine(workspace: Path) -> list[Check]:
    """Returns every check, the needed ones first."""
    checks = [Check("Python", sys.version_info >= (3, 11), True, sys.version.split()[0], "install Python 3.11 or newer")]
    checks += [_package(name, True) for name in _NEEDED.split()]
    checks += [
        _try("torchvision", _torchvision, True, "pip install torchvision"),
        _try("built-in model", _builtin_model, True, "reinstall inkproof"),
        _try("AVIF", _avif, True, 'pip install --upgrade "pillow>=11.3"'),
    ]
    checks += [_try("pyzbar", _zbar, False, "apt-get install libzbar0 (QR codes are found by zxing-cpp meanwhile)")]
    for name, _, extra in (entry.partition(":") for entry in _OPTIONAL.split()):
        checks.append(_package(name, False, f'pip install "inkproof[{extra}]"'))
    fonts = "apt-get install fonts-noto-cjk fonts-symbola (letters that no font has are written as numbers meanwhile)"
    checks += [_try("fonts", _fonts, False, fonts)]
    checks += [_try("GPU", _gpu, False, "runs use the CPU")]
    checks += [Check("processors", True, False, f"{n_cores()} of {os.cpu_count()} may be used")]
    checks += [_try("threads", _threads, False, "")]
    free = free_space_mb(workspace)
    checks.append(_try("docs", lambda: str(documents()), False, "they lie in docs/ of the source"))
    checks.append(Check("disk", free >= LEAST_FREE_MB, True, f"{free} MB free", f"make room: at least {LEAST_FREE_MB} MB"))
    return checks


def documents() -> Path:
    """Returns the folder of the documents: of the source where there is one, else where they were installed.

    Raises:
        FileNotFoundError: they are in neither.
    """
    places = [Path(__file__).parents[2] / "docs", Path(sysconfig.get_path("data")) / "share" / "inkproof" / "docs"]
    found = next((place for place in places if (place / "captures.md").is_file()), None)
    if found is None:
        raise FileNotFoundError("not installed")
    return found


_NEEDED = "torch opencv-python pillow-heif qrcode zxing-cpp reportlab scikit-image pypdfium2 pyarrow matplotlib scipy rich"
_NEEDED += " filelock psutil"
# What is installed by an extra of the program, and the extra.
_OPTIONAL = (
    "timm:timm onnxruntime:onnx transformers:hf efficientnet-lite-pytorch:imagenet rawpy:raw foolbox:foolbox "
    "torchattacks:torchattacks art:art robustbench:robustbench ray:ray"
)
_MODULES = {"opencv-python": "cv2", "zxing-cpp": "zxingcpp", "scikit-image": "skimage", "pillow-heif": "pillow_heif"}
_MODULES["efficientnet-lite-pytorch"] = "efficientnet_lite_pytorch"
# Where a package is called otherwise on the package index.
_DISTRIBUTIONS = {"art": "adversarial-robustness-toolbox"}


def _package(name: str, needed: bool, advice: str = "") -> Check:
    def load() -> str:
        importlib.import_module(_MODULES.get(name, name))
        return _version(_DISTRIBUTIONS.get(name, name))

    return _try(name, load, needed, advice or f"pip install {name}")


def _try(name: str, attempt: Callable[[], str], needed: bool, advice: str) -> Check:
    try:
        return Check(name, True, needed, attempt())
    except Exception as error:  # whatever an import or a library raises is the finding
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Check(name, False, needed, reason, advice)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "version unknown"


def _torchvision() -> str:
    from pipeline.core.torchvision_import import import_torchvision

    return str(import_torchvision().__version__)


def _builtin_model() -> str:
    from pipeline.models import load_classifier
    from pipeline.settings import ModelSettings

    return f"{load_classifier(ModelSettings()).n_classes} classes"


def _avif() -> str:
    from PIL import features

    if not features.check("avif"):
        raise RuntimeError("this Pillow reads no AVIF pictures")
    return f"read by Pillow {_version('pillow')}"


def _zbar() -> str:
    from pyzbar import pyzbar

    return f"{_version('pyzbar')}, reads {len(pyzbar.ZBarSymbol)} kinds of code"


def _fonts() -> str:
    from pipeline.document.scripts import fallback_font

    scripts = {"Chinese": "\u4e2d", "Japanese": "\u3042", "Korean": "\ud55c", "Arabic": "\u0639", "emoji": "\U0001f431"}
    if missing := [script for script, letter in scripts.items() if fallback_font(letter) is None]:
        raise RuntimeError(f"none for {', '.join(missing)}")
    return ", ".join(scripts)


def _threads() -> str:
    """How PyTorch computes in this process, as it was settled before it was imported."""
    import torch

    waiting = "sleep" if os.environ.get(WAITING, "").lower() == "passive" else "spin"
    return f"PyTorch has {torch.get_num_threads()}, which {waiting} while they wait ({WAITING}, {THREADS}; docs/scale.md)"


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("no CUDA device")
    return torch.cuda.get_device_name(0)
