"""Classifiers from an ONNX file, by onnxruntime: predictions only, no gradients."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.core.errors import BadInput, Unavailable, WrongUse
from pipeline.images import shown
from pipeline.images.formats import reason
from pipeline.models.classifier import (
    Classifier,
    Preprocessing,
    device_for,
    filled_up,
    fingerprint_of,
    normalised,
    preprocessing_for,
)
from pipeline.settings import ModelSettings
from pipeline.store import file_hash

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class OnnxClassifier(Classifier):
    """An ONNX graph with one image input, (N, 3, H, W) or (N, H, W, 3), and class scores as its first output; see `Classifier`.

    A graph that ends in a softmax is recognised (rows of probabilities that add up to 1) and its logarithm is taken for the
    logits, so that probabilities are not squashed twice.
    """

    differentiable = False

    def __init__(self, session: Any, file: Path, settings: ModelSettings, device: str) -> None:
        """Reads the input's shape and tries the graph on two images."""
        self.name = settings.name
        self.device = device_for(device)
        self._session = session
        self._input, self._dtype, self._channels_last, self._fixed_n, own_size = _input_of(session, settings.name)
        own = Preprocessing(own_size, min(own_size)) if own_size else None
        if own_size and settings.input_px and own_size != (settings.input_px,) * 2:
            what = f"{self.name} takes {own_size[0]} x {own_size[1]} pixels, model.input_px says {settings.input_px}."
            raise WrongUse(what, "Leave it out.")
        self.preprocessing = preprocessing_for(settings, own)
        self._gives_probabilities = False
        self.n_classes = self._tried_out()
        self._name_classes(settings)
        self._files = external_files(file)
        parts = [(f"data {data.name}", bytes.fromhex(file_hash(data))) for data in self._files]
        self.fingerprint = fingerprint_of(f"onnx:{file.name}", self.preprocessing, [("graph", file.read_bytes()), *parts])

    @property
    def sources(self) -> tuple[Path, ...]:
        return self._files

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        self._check_input(x)
        if x.requires_grad and torch.is_grad_enabled():
            why = "an ONNX model has no gradient, so a gradient attack cannot be run on it"
            raise WrongUse(f"{self.name} gives predictions only: {why}.")
        values: np.ndarray = normalised(x.detach().cpu(), self.preprocessing).numpy().astype(self._dtype)
        values = np.ascontiguousarray(values.transpose(0, 2, 3, 1)) if self._channels_last else values
        n = self._fixed_n or max(len(values), 1)
        scores = np.concatenate([self._run(values[i : i + n], n) for i in range(0, len(values), n)]).astype(np.float32)
        if self._gives_probabilities:
            scores = np.log(np.maximum(scores, np.finfo(np.float32).tiny))
        return torch.from_numpy(np.ascontiguousarray(scores)).to(self.device)

    def _run(self, values: np.ndarray, n: int) -> np.ndarray:
        try:
            scores = np.asarray(self._session.run(None, {self._input: filled_up(values, n)})[0])
        except Exception as error:  # onnxruntime's errors share no public base class
            raise BadInput(f"{self.name} cannot classify such images: {reason(error)}") from error
        if len(scores) != n or scores.size == 0 or scores.size != n * scores.shape[1]:
            raise BadInput(f"{self.name} gives {scores.shape} for {n} images; one row of class scores each is needed.")
        return scores.reshape(n, -1)[: len(values)]

    def _tried_out(self) -> int:
        noise = np.random.Generator(np.random.PCG64(0)).random((1, 3, *self.input_size), np.float32)
        images = torch.from_numpy(np.concatenate([np.full_like(noise, 0.5), noise]))
        scores = self.logits(images).cpu().numpy()
        self._gives_probabilities = bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3))
        return int(scores.shape[1])


def load_onnx(name: str, settings: ModelSettings, device: str) -> Classifier:
    """Returns the classifier in an ONNX file."""
    file = Path(name)
    if not file.is_file():
        raise BadInput(f"There is no ONNX file {shown(name)}.", "Check model.name.")
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable("onnxruntime is not installed.", "Install it: pip install 'inkproof[onnx]'") from error
    wanted = ["CUDAExecutionProvider", "CPUExecutionProvider"] if device.startswith("cuda") else ["CPUExecutionProvider"]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        providers = [p for p in wanted if p in onnxruntime.get_available_providers()]
        session = onnxruntime.InferenceSession(str(file), sess_options=options, providers=providers)
    except Exception as error:  # as above
        raise BadInput(f"{shown(name)} is not an ONNX model that can be run: {reason(error)}") from error
    return OnnxClassifier(session, file, settings, device)


def external_files(file: Path) -> tuple[Path, ...]:
    """Returns the files beside an ONNX file that hold tensors of it, sorted; () where it holds all of them itself.

    They are the values of all entries ("location", name) in the protocol buffer, which are written as field 1 and field 2.
    """
    content, names = file.read_bytes(), set()
    for found in re.finditer(rb"\x0a\x08location\x12([\x80-\xff]*[\x00-\x7f])", content):
        length = sum((byte & 127) << 7 * place for place, byte in enumerate(found[1]))
        names.add(content[found.end() : found.end() + length].decode(errors="replace"))
    return tuple(path for name in sorted(names) if (path := file.absolute().parent / name).is_file())


def _input_of(session: Any, name: str) -> tuple[str, type, bool, int, tuple[int, int] | None]:
    inputs = session.get_inputs()
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    if len(shape) != 4 or inputs[0].type not in _DTYPES:
        described = ", ".join(f"{i.name} {i.type} {list(i.shape)}" for i in inputs)
        raise BadInput(f"{name} is no classifier of images: its input is {described}; one float (N, 3, H, W) is needed.")
    channels_last = shape[1] != 3 and shape[3] == 3
    if not channels_last and isinstance(shape[1], int) and shape[1] != 3:
        raise BadInput(f"{name} takes {shape[1]} channels; RGB images have 3.")
    height, width = shape[1:3] if channels_last else shape[2:4]
    known = isinstance(height, int) and isinstance(width, int) and min(height, width) > 0
    fixed_n = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 0
    return inputs[0].name, _DTYPES[inputs[0].type], channels_last, fixed_n, (height, width) if known else None
