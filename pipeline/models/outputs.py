"""Which of a model's outputs holds the scores of its classes, and how they become logits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from pipeline.core.errors import BadInput, WrongUse, near_match

# As exporters and libraries call the scores, the best known name first, and what stands beside them.
_SCORES = ("logits", "scores", "score", "probabilities", "probs", "prob", "probability", "output_probability", "softmax", "preds")
_OTHERS = ("feat", "embed", "hidden", "pool", "attention", "aux", "label", "token", "latent", "loss")

N_PROBES, FAR = 8, 8.0


@dataclass(frozen=True)
class Scores:
    """Where the scores are, and what kind of numbers.

    Attributes:
        output: name or number of the output, "" where it is the only one.
        kind: "logits", (N, n_classes); "probabilities", rows that add up to 1; "logit" and "probability", one number, of the
            second of two classes; "labels", the index of a class.
    """

    output: str
    kind: str
    n_classes: int

    @property
    def n_ranked(self) -> int:
        """How many classes an answer puts in order: all, or the one that it names."""
        return 1 if self.kind == "labels" else self.n_classes

    def logits(self, outputs: Mapping[str, Tensor], n: int) -> Tensor:
        """Returns float32 (n, n_classes) of a model's outputs for n images.

        Raises:
            BadInput: the output is missing or of another shape than before.
        """
        found = outputs.get(self.output)
        n_columns = self.n_classes if self.kind in ("logits", "probabilities") else 1
        if found is None or found.numel() != n * n_columns:
            got = "nothing" if found is None else str(tuple(found.shape))
            raise BadInput(f"The model gives {got} for {n} images; one row of class scores each is needed.")
        if self.kind == "labels":
            labels = found.reshape(n).long()
            if n and not 0 <= int(labels.min()) <= int(labels.max()) < self.n_classes:
                raise BadInput(f"The model answers with class {int(labels.max())}, but it has {self.n_classes}.")
            return _log(one_hot(labels, self.n_classes).float())
        rows = found.reshape(n, n_columns).float()
        if self.kind == "logit":
            return torch.cat([torch.zeros_like(rows), rows], dim=1)
        if self.kind == "probability":
            return _log(torch.cat([1 - rows, rows], dim=1))
        return _log(rows) if self.kind == "probabilities" else rows


def find_scores(name: str, outputs: Mapping[str, Tensor], n: int, wanted: str = "", n_known: int = 0) -> Scores:
    """Returns where the scores are among the outputs for n images: asked for, else by shape, else by name.

    Args:
        name: the model's, for messages.
        wanted: `model.output`.
        n_known: the number of classes, where the settings tell it.

    Raises:
        WrongUse: there is no such output. BadInput: none, or several, may be the scores.
    """
    if wanted and wanted not in outputs:
        raise WrongUse(f'{name} has no output "{wanted}".', f"{near_match(wanted, outputs) or described(outputs)}")
    offered = {wanted: outputs[wanted]} if wanted else outputs
    rows = {key: value.numel() // n for key, value in offered.items() if _is_one_row_each(value, n)}
    scores = {key: n_columns for key, n_columns in rows.items() if n_columns > 1 and offered[key].is_floating_point()}
    if scores:
        chosen = _chosen(scores, n_known)
        if chosen is None:
            ask = f'Name the one of the scores, for example: model.output = "{next(iter(scores))}".'
            raise BadInput(f"{name} has several outputs that may be the scores of its classes: {described(outputs)}.", ask)
        return Scores(chosen, "logits", scores[chosen])
    single = [key for key in rows if offered[key].is_floating_point()] or [
        key for key in rows if not offered[key].is_complex() and offered[key].dtype != torch.bool
    ]
    if len(single) != 1 or rows[single[0]] != 1:
        what = f"{name} gives {described(outputs)} for {n} images; {'two' if n == 2 else n} rows of logits"
        what += ", one floating-point number for each class, are needed."
        raise BadInput(what, "See docs/models.md for what a model has to give.")
    if offered[single[0]].is_floating_point():
        return Scores(single[0], "logit", 2)
    if not n_known:
        what = f"{name} answers with the number of a class and no scores, and how many classes there are is not known."
        raise BadInput(what, "Set model.classes or model.n_classes.")
    return Scores(single[0], "labels", n_known)


def as_probabilities(scores: Scores, outputs: Mapping[str, Tensor], tolerance: float = 1e-3) -> Scores:
    """Returns the scores as probabilities where the outputs for several different images all are such, if they are finite."""
    rows = outputs[scores.output].reshape(-1, scores.n_classes if scores.kind == "logits" else 1).double()
    rows = rows[rows.isfinite().all(dim=1)]
    if scores.kind == "logits" and (rows >= 0).all() and ((rows.sum(dim=1) - 1).abs() <= tolerance).all():
        return replace(scores, kind="probabilities")
    if scores.kind == "logit" and (rows >= 0).all() and (rows <= 1).all():
        return replace(scores, kind="probability")
    return scores


def probes(size: Sequence[int], low: float = 0.0, high: float = 1.0, n_channels: int = 3) -> Tensor:
    """Returns float32 (N_PROBES, n_channels, height, width): noise, times one number from low to high each.

    Numbers far outside [0, 1] tell logits from probabilities, which never leave it.
    """
    noise = torch.rand((N_PROBES, n_channels, *size), generator=torch.Generator().manual_seed(0))
    return noise * torch.linspace(low, high, N_PROBES).view(-1, 1, 1, 1)


def named_outputs(answer: Any, device: "str | torch.device" = "cpu") -> dict[str, Tensor]:
    """Returns the tensors of an answer by name: of a dictionary, a named tuple, an object with `logits`, or by number of a tuple.

    What is no array of numbers is left out; the single output of a model without names is called "".
    """
    if isinstance(answer, Mapping):
        entries: dict[str, Any] = {str(key): value for key, value in answer.items()}
    elif hasattr(answer, "_asdict"):
        entries = answer._asdict()
    elif hasattr(answer, "logits"):
        entries = {"logits": answer.logits}
    elif isinstance(answer, (list, tuple)) and not _is_numbers(answer):
        entries = {str(number): value for number, value in enumerate(answer)}
    else:
        entries = {"": answer}
    tensors = {key: _tensor(value, device) for key, value in entries.items()}
    return {key: value for key, value in tensors.items() if value is not None}


def described(outputs: Mapping[str, Tensor]) -> str:
    """Returns the outputs in words: name, shape, and type of those that are no floating-point numbers."""
    if not outputs:
        return "no numbers"
    types = {key: "" if value.is_floating_point() else f" of {value.dtype}" for key, value in outputs.items()}
    found = [f"{f'{key} ' if key else ''}{tuple(value.shape)}{types[key]}" for key, value in outputs.items()]
    return ", ".join(found).replace("torch.", "")


def _chosen(scores: Mapping[str, int], n_known: int) -> str | None:
    keys = [key for key, n_columns in scores.items() if n_columns == n_known] or list(scores)
    if len(keys) > 1:
        keys = [key for key in keys if not any(word in key.lower() for word in _OTHERS)] or keys
    if len(keys) > 1:
        keys = [key for word in _SCORES for key in keys if key.lower() == word][:1]
    return keys[0] if len(keys) == 1 else None


def _is_one_row_each(value: Tensor, n: int) -> bool:
    shape = value.shape
    return len(shape) > 0 and shape[0] == n and (len(shape) == 1 or value.numel() == n * shape[1] > 0)


def _is_numbers(answer: Sequence[Any]) -> bool:
    while isinstance(answer, (list, tuple)) and answer:
        answer = answer[0]
    return isinstance(answer, (int, float))


def _tensor(value: Any, device: "str | torch.device") -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.generic) or (isinstance(value, (list, tuple)) and _is_numbers(value)):
        value = np.asarray(value)
    is_numeric = isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
    return torch.as_tensor(value, device=device) if is_numeric else None


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.clamp(min=torch.finfo(torch.float32).tiny).log()
