"""What `inkproof train` does: it reads the file, trains, and says what was reached."""

import argparse
from pathlib import Path
from typing import Any

from pipeline.cli.commands import context_of, would_run


def train(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.settings.training import load_training

    training = load_training(Path(options.file), tuple(options.set), options.seed)
    folder = options.workspace / "models" / training.name
    if options.dry_run:
        return would_run("train", f"{training.model.name} on {training.dataset.name} would be trained into {folder}")
    from pipeline.training.run import train as trained

    options.display.begins("train")
    context = context_of(options)
    card = trained(training, folder, context, options.display.say, options.force)
    name = f"trained:{folder.as_posix()}"
    if options.json:
        return {"wrote": str(folder), "model": name, "card": card}, 0
    return {
        "table": _table(card),
        "wrote": str(folder),
        "next": f'[model] name = "{name}" in an experiment, then inkproof run',
    }, 0


def _table(card: dict[str, Any]) -> str:
    """Returns the accuracies as text, one line a part of the data."""
    lines = [f"epoch {card['epoch_kept']} of {card['n_epochs_trained']} is kept"]
    attack = f"ε = {card['attack']['epsilon_8bit']:g}{' in L2' * (card['attack'].get('norm') == 'l2')}"
    for part, found in card["accuracies"].items():
        rates = ", ".join(f"{kind} {found[f'{kind}_accuracy']:.2%}" for kind in ("clean", "fgsm", "pgd"))
        lines.append(f"{part}, {found['n_images']} images, right ({attack}): {rates}")
    return "\n".join(lines)
