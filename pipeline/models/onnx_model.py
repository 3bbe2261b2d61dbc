"""Classifiers from an ONNX file, by onnxruntime: predictions only, no gradients."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.core.errors import BadInput, Unavailable, WrongUse
from pipeline.images import shown
from pipeline.images.formats import reason
from pipeline.models.class_names import n_classes_told
from pipeline.models.classifier import (
    Classifier,
    device_for,
    filled_up,
    fingerprint_of,
)
from pipeline.models.onnx_graph import n_classes_in
from pipeline.models.outputs import FAR, N_PROBES, Scores, as_probabilities, find_scores, named_outputs, probes
from pipeline.models.preprocessing import input_size_of, normalised, preprocessing_for, whole_picture
from pipeline.settings import ModelSettings
from pipeline.store import file_hash

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


class OnnxClassifier(Classifier):
    """An ONNX graph with one image input, (N, 3, H, W), (N, H, W, 3) or of one channel, and class scores; see `Classifier`.

    A graph that ends in a softmax is recognised (rows of probabilities that add up to 1) and its logarithm is taken for the
    logits, so that probabilities are not squashed twice. Pixels that a graph takes as whole numbers are 0 … 255.
    """

    differentiable = False

    def __init__(self, session: Any, file: Path, settings: ModelSettings, device: str) -> None:
        """Reads the input's shape, tries the graph on a few images, and finds its scores."""
        self.name = settings.name
        self.device = device_for(device)
        self._session = session
        self._input = _input_of(session, settings.name)
        asked = input_size_of(settings)
        if self._input.size and asked and self._input.size != asked:
            what = f"{self.name} takes {self._input.size[0]} x {self._input.size[1]} pixels, model.input_px says {list(asked)}."
            raise WrongUse(what, "Leave it out.")
        own = preprocessing_for(settings, whole_picture(self._input.size) if self._input.size else None)
        self.preprocessing = replace(own, n_channels=self._input.n_channels)
        if self._input.dtype == np.uint8 and (own.mean or own.std):
            raise WrongUse(f"{self.name} takes pixels from 0 to 255 as they are.", "Leave model.mean and model.std out.")
        self._tables: dict[str, tuple[Any, ...]] = {}
        self._scores = self._found_scores(settings, file)
        self.n_classes = self._scores.n_classes
        keys = self._tables.get(self._scores.output, ())
        self._name_classes(settings, keys if all(isinstance(key, str) for key in keys) else ())
        self._files = external_files(file)
        parts = [(f"data {data.name}", bytes.fromhex(file_hash(data))) for data in self._files]
        self.fingerprint = fingerprint_of(f"onnx:{file.name}", self.preprocessing, [("graph", file.read_bytes()), *parts])

    @property
    def sources(self) -> tuple[Path, ...]:
        return self._files

    @property
    def n_ranked(self) -> int:
        return self._scores.n_ranked

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        self._check_input(x)
        if x.requires_grad and torch.is_grad_enabled():
            why = "an ONNX model has no gradient, so a gradient attack cannot be run on it"
            raise WrongUse(f"{self.name} gives predictions only: {why}.")
        return self._scores.logits(self._outputs(x), len(x)).to(self.device)

    def _outputs(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        values: np.ndarray = normalised(x.detach().cpu(), self.preprocessing).numpy()
        values = np.rint(values * 255) if self._input.dtype == np.uint8 else values
        values = values.astype(self._input.dtype)
        values = np.ascontiguousarray(values.transpose(0, 2, 3, 1)) if self._input.channels_last else values
        n = self._input.n_fixed or max(len(values), 1)
        runs = [self._run(values[i : i + n], n) for i in range(0, len(values), n)]
        if len(runs) < 2:
            return runs[0] if runs else {}
        each = [name for name, value in runs[0].items() if value.ndim and len(value) == n]  # of each image something
        return {name: torch.cat([run[name] for run in runs]) for name in each}

    def _run(self, values: np.ndarray, n: int) -> dict[str, torch.Tensor]:
        try:
            answers = self._session.run(None, {self._input.name: filled_up(values, n)})
        except Exception as error:  # onnxruntime's errors share no public base class
            raise BadInput(f"{self.name} cannot classify such images: {reason(error)}.") from error
        names = [output.name for output in self._session.get_outputs()]
        outputs = named_outputs({name: self._plain(name, answer) for name, answer in zip(names, answers, strict=True)})
        return {name: value[: len(values)] if value.ndim and len(value) == n else value for name, value in outputs.items()}

    def _plain(self, name: str, answer: Any) -> Any:
        """Returns an answer as an array: one that is a table by class for each image gets its columns in the classes' order."""
        if not isinstance(answer, list) or not answer or not isinstance(answer[0], dict):
            return answer
        keys = self._tables.setdefault(name, tuple(sorted(answer[0])))
        return np.array([[row[key] for key in keys] for row in answer], np.float32)

    def _found_scores(self, settings: ModelSettings, file: Path) -> Scores:
        low, high = (0.0, 1.0) if self._input.dtype == np.uint8 else (-FAR, FAR)
        outputs = self._outputs(probes(self.input_size, low, high))
        n_known = n_classes_told(settings.classes, settings.n_classes)
        if not n_known and not any(output.is_floating_point() for output in outputs.values()):
            n_known = n_classes_in(file)  # a label alone
        return as_probabilities(find_scores(self.name, outputs, N_PROBES, settings.output, n_known), outputs)


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
        raise BadInput(f"{shown(name)} is not an ONNX model that can be run: {reason(error)}.") from error
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


@dataclass(frozen=True)
class _Input:
    """The image input of a graph; `size` is (height, width), None where any will do, and `n_fixed` 0 for any number."""

    name: str
    dtype: type
    channels_last: bool
    n_channels: int
    n_fixed: int
    size: tuple[int, int] | None


def _input_of(session: Any, name: str) -> _Input:
    inputs = session.get_inputs()
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    if len(shape) != 4 or inputs[0].type not in _DTYPES:
        given = ", ".join(f"{i.name} {i.type} {list(i.shape)}" for i in inputs)
        raise BadInput(f"{name} is no classifier of images: its input is {given}; one of numbers, (N, 3, H, W), is needed.")
    channels_last = shape[1] not in (1, 3) and shape[3] in (1, 3)
    n_channels = shape[3] if channels_last else shape[1]
    if isinstance(n_channels, int) and n_channels not in (1, 3):
        raise BadInput(f"{name} takes {n_channels} channels; RGB images have 3, and grey ones 1.")
    height, width = shape[1:3] if channels_last else shape[2:4]
    known = isinstance(height, int) and isinstance(width, int) and min(height, width) > 0
    n_fixed = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 0
    size = (height, width) if known else None
    return _Input(inputs[0].name, _DTYPES[inputs[0].type], channels_last, 1 if n_channels == 1 else 3, n_fixed, size)
