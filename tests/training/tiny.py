"""A data set small enough to learn in a moment: grey pictures of a bright bar, and where it is."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 12
BARS = {"left": 1, "middle": 5, "right": 9}


def write_bars(folder: Path, n: int, seed: int, names=tuple(BARS)) -> None:
    """Writes n noisy pictures of each class as PNG files, a sub-folder a class."""
    draw = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = draw.integers(60, 130, (SIDE, SIDE))
            pixels[:, BARS[name] : BARS[name] + 2] += draw.integers(40, 90)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i:02}.png")


def training_file(folder: Path, name: str = "bars", network: str = "softmax", images: str = "bars", **tables: dict) -> Path:
    """Writes a training file for these pictures and returns it; `tables` are the keys of each table."""
    tables = {
        "dataset": {"name": f"folder:{images}/train"},
        "test": {"name": f"folder:{images}/test"},
        "model": {"name": f"network:{network}", "input_px": SIDE, **tables.pop("model", {})},
        "training": {"n_epochs": 3, "batch_size": 20, "n_validation": 20, **tables.pop("training", {})},
        "attack": {"epsilon_8bit": 16.0, "measured_by": "fgsm", **tables.pop("attack", {})},
        **tables,
    }
    lines = ["seed = 3"]
    for table, keys in tables.items():
        lines += [f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _toml(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value)
