"""What a training leaves: weights, a card that says what they are, learning curves, and the first layer as pictures."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from safetensors.torch import save
from torch import Tensor

from pipeline.core.csv_cells import csv_text
from pipeline.core.version import VERSION
from pipeline.document.figures import png, styled
from pipeline.models.trained import CARD, WEIGHTS, as_card, read_card
from pipeline.records import Filter
from pipeline.report.first_layer import largest, weights_figure
from pipeline.settings import ModelSettings
from pipeline.settings.training import Training
from pipeline.store import file_hash, json_bytes, write_bytes

CURVES, FIGURE, PICTURES = "curves.csv", "curves.png", "weights.png"
Row = dict[str, float]
_LINES = (("clean_accuracy", "clean", "#0072b2", "o"), ("adversarial_accuracy", "adversarial", "#d55e00", "D"))


def write_results(
    folder: Path,
    training: Training,
    model: ModelSettings,
    state: dict[str, Tensor],
    history: Sequence[Row],
    filters: Sequence[Filter],
    told: dict[str, Any],
) -> dict[str, Any]:
    """Writes everything, the card last, and returns the card.

    Args:
        training: as its file has it. model: resolved.
        filters: the weights of the first layer, none where they make no pictures.
        told: what else the card says.
    """
    write_bytes(folder / WEIGHTS, save({name: value.cpu().contiguous() for name, value in state.items()}))
    columns = list(history[0])
    write_bytes(folder / CURVES, csv_text([columns, *([row[name] for name in columns] for row in history)]).encode())
    write_bytes(folder / FIGURE, _figure(history, training))
    if filters:
        write_bytes(folder / PICTURES, _pictures(filters))
    settings = {key: value for key, value in asdict(training).items() if key not in ("name", "base", "model")}
    card = {
        "name": training.name,
        "inkproof": VERSION,
        "torch": torch.__version__,
        "model": _set_keys(as_card(model, folder)),
        **settings,
        **told,
        "weights_sha256": file_hash(folder / WEIGHTS),
    }
    write_bytes(folder / CARD, json_bytes(card))
    return read_card(folder)


@styled
def learning_curves(history: Sequence[Row], attack: str, epsilon_8bit: float) -> Figure:
    """Returns loss and validation accuracies over the epochs."""
    figure = Figure(figsize=(6.7, 2.4), layout="constrained")
    panels = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    panels[0].plot(epochs, [row["loss"] for row in history], color="#1d2733", marker="o", markersize=3)
    panels[0].set_ylabel("training loss")
    for key, label, colour, marker in _LINES:
        if key in history[0]:
            line = [100 * row[key] for row in history]
            panels[1].plot(epochs, line, color=colour, marker=marker, markersize=3, label=label)
            panels[1].legend(title=f"adversarial: {attack}, ε = {epsilon_8bit:g}")
    panels[1].set_ylim(-2, 102)
    panels[1].set_ylabel("validation accuracy")
    panels[1].yaxis.set_major_formatter(PercentFormatter(decimals=0))
    for panel in panels:
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _figure(history: Sequence[Row], training: Training) -> bytes:
    attack = f"{training.attack.measured_by}{', L2' * (training.attack.norm == 'l2')}"
    return png(learning_curves(history, attack, training.attack.epsilon_8bit))


def _pictures(filters: Sequence[Filter]) -> bytes:
    return png(weights_figure(filters, largest(filters)))


def _set_keys(model: ModelSettings) -> dict[str, Any]:
    """Returns the keys of [model] that are not as they are without being set."""
    usual = asdict(ModelSettings())
    return {key: value for key, value in asdict(model).items() if value != usual[key] or key == "name"}
