"""A few pictures with their maps on one scale, drawn as a run's report draws them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pipeline.document.blocks import Figure
from pipeline.document.formats import short_class_name
from pipeline.images import to_model
from pipeline.models.classifier import Classifier
from pipeline.report.content import ExplainedPair, ExplainedPicture, Explanations
from pipeline.report.explanations import explanation_figure
from pipeline.studies.explain.asking import METHODS, PATCH_PX, PATCH_VALUE, STRIDE_PX
from pipeline.studies.explain.texts import TEXTS
from pipeline.studies.lab.bench import logits
from pipeline.studies.lab.parts import Measured

N_EXAMPLES = 2


def examples(
    classifier: Classifier,
    versions: Mapping[str, np.ndarray],
    maps: Mapping[str, Mapping[str, np.ndarray]],
    labels: np.ndarray,
    explained: np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns what the figures of the first pictures need, to be kept with what a part measures.

    Args:
        versions: uint8 (N, H, W, 3) by variant. maps: float32 (N, H, W) by method, by variant.
        labels: int64 (N,), the true classes. explained: those that are explained, by default the true ones.
    """
    n = min(N_EXAMPLES, len(labels))
    of = labels if explained is None else explained
    found: dict[str, Any] = {"variants": list(versions), "layer": classifier.last_map_layer()}
    names = classifier.class_names
    found["classes"] = [(names[label], names[asked]) for label, asked in zip(labels[:n], of[:n], strict=True)]
    found["example pictures"] = np.stack([pixels[:n] for pixels in versions.values()], axis=1)
    for method in METHODS:
        found[f"example {method}"] = np.stack([by_method[method][:n] for by_method in maps.values()], axis=1)
    said = []
    for pixels in versions.values():
        scores = logits(classifier, to_model(pixels[:n]))
        shares = scores.softmax(1)
        best, asked = shares.argmax(1), torch.from_numpy(of[:n])
        said.append(
            [
                (float(scores[row, asked[row]]), float(shares[row, asked[row]]), names[best[row]], float(shares[row, best[row]]),
                 bool(best[row] == labels[row]))
                for row in range(n)
            ]
        )  # fmt: skip
    return found | {"said": [list(of_picture) for of_picture in zip(*said, strict=True)]}


def example_figures(found: Measured, name: str, caption: str, **words: object) -> tuple[Figure, ...]:
    """Returns a figure for each picture, its versions side by side.

    Args:
        name: of the files. caption: with {explained} and {true}, the classes, and what `words` fill in.
    """
    figures = []
    for place, (true, asked) in enumerate(found["classes"]):
        shown = tuple(
            ExplainedPicture(
                variant,
                found["example pictures"][place, number],
                {method: found[f"example {method}"][place, number] for method in METHODS},
                *found["said"][place][number],
            )
            for number, variant in enumerate(found["variants"])
        )
        pair = ExplainedPair(str(place), "", 0, true, asked, shown)
        how = Explanations(METHODS, found["layer"], PATCH_PX, STRIDE_PX, PATCH_VALUE, "true", (pair,))
        told = caption.format(true=short_class_name(true, 40), explained=short_class_name(asked, 40), **words)
        made = TEXTS["map-caption"].format(patch=PATCH_PX, stride=STRIDE_PX, layer=found["layer"])
        figures.append(Figure(f"{name}-{place + 1}", explanation_figure(how, pair), f"{told} {made}", _spoken(shown, asked)))
    return tuple(figures)


def _spoken(shown: Sequence[ExplainedPicture], asked: str) -> str:
    scores = ", ".join(f"{picture.variant}: logit {picture.logit:.2f}" for picture in shown)
    return f"Maps of {short_class_name(asked, 40)}: {scores}."
