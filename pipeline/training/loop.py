"""The one loop: steps down a loss, epoch by epoch; each is measured and kept, so that an interruption costs one at most."""

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.errors import BadInput
from pipeline.core.progress import Progress
from pipeline.core.seeds import generator_for, seed_for
from pipeline.images import shown
from pipeline.settings.training import RecipeSettings
from pipeline.store import write_bytes
from pipeline.training.images import Images

CHECKPOINT = "checkpoint.pt"
_MOMENTUM, _RISING = 0.9, 0.25

# Of images, targets and a step's name: the loss. Of nothing: what the curve says of an epoch.
BatchLoss = Callable[[Tensor, Tensor, str], Tensor]
Measure = Callable[[], dict[str, float]]


@dataclass
class Progressed:
    """How far a training is: all that it goes on from; what is random follows from the seed and the number of a step."""

    identity: str
    n_epochs: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    network: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)
    kept_epoch: int = 0


@dataclass(frozen=True)
class Job:
    """What is trained on what, where, and who is told.

    Attributes:
        target: labels (N,) or probabilities (N, n_classes) of the images.
        identity: of everything that the result depends on; a checkpoint of another is not gone on from.
        folder: where the checkpoint lies.
    """

    network: nn.Module
    images: Images
    target: Tensor
    loss: BatchLoss
    measure: Measure
    settings: RecipeSettings
    seed: int
    identity: str
    folder: Path
    progress: Progress
    say: Callable[[str], None]


def fit(job: Job) -> Progressed:
    """Trains the network from the last whole epoch on, puts the weights that are kept into it, and returns how that went.

    The network is left in evaluation mode. Weights of a training that was interrupted have the same bytes at the end.

    Raises:
        BadInput: the loss is not finite any more; or the checkpoint in the folder is of another training.
    """
    optimiser, at = _optimiser(job.network, job.settings), Progressed(job.identity)
    if (job.folder / CHECKPOINT).is_file():
        at = _read_checkpoint(job)
        job.network.load_state_dict(at.network)
        optimiser.load_state_dict(at.optimiser)
        job.say(f"going on after epoch {at.n_epochs} of {job.settings.n_epochs}")
    n_batch = min(job.settings.batch_size, len(job.images))
    n_steps = len(job.images) // n_batch
    total = n_steps * job.settings.n_epochs
    steps = range(n_steps * at.n_epochs, total) if not _is_over(at, job.settings) else range(0)
    loss_sum, order = torch.zeros(()), torch.empty(0)
    with _own_random_state(job.images.labels.device):
        for step in job.progress(steps, len(steps), "steps"):
            epoch, place = divmod(step, n_steps)
            if not place:
                order = torch.from_numpy(generator_for(job.seed, "train order", str(epoch)).permutation(len(job.images)))
                loss_sum = torch.zeros((), device=job.images.labels.device)
            chosen = order[place * n_batch : (place + 1) * n_batch]
            loss_sum += _step(job, optimiser, chosen, step, _rate(job.settings, step / total))
            if place == n_steps - 1:
                _end_epoch(job, at, optimiser, float(loss_sum) / n_steps)
                if _is_over(at, job.settings):
                    break
    job.network.load_state_dict(at.kept)
    job.network.eval()
    return at


def _step(job: Job, optimiser: torch.optim.Optimizer, chosen: Tensor, step: int, rate: float) -> Tensor:
    for group in optimiser.param_groups:
        group["lr"] = rate
    _draw_from(seed_for(job.seed, "train step", str(step)), job.images.labels.device)
    job.network.train()
    images, _ = job.images.batch(chosen)
    loss = job.loss(images, job.target[chosen.to(job.target.device)], str(step))
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()
    return loss.detach()


def _end_epoch(job: Job, at: Progressed, optimiser: torch.optim.Optimizer, loss: float) -> None:
    """Measures, notes the best weights so far, writes the checkpoint, and tells."""
    if not math.isfinite(loss):
        raise BadInput(
            f"The loss is not finite in epoch {at.n_epochs + 1}.", "Use a smaller training.learning_rate, and --force."
        )
    job.network.eval()
    at.n_epochs += 1
    at.history.append({"epoch": at.n_epochs, "loss": loss, **job.measure()})
    at.network = _copied(job.network)
    at.optimiser = optimiser.state_dict()
    if job.settings.keep == "last" or not at.kept or _score(at.history[-1], job) > _score(at.history[at.kept_epoch - 1], job):
        at.kept, at.kept_epoch = at.network, at.n_epochs
    buffer = io.BytesIO()
    torch.save(vars(at), buffer)
    write_bytes(job.folder / CHECKPOINT, buffer.getvalue())
    numbers = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in at.history[-1].items() if name != "epoch")
    job.say(f"epoch {at.n_epochs} of {job.settings.n_epochs}: {numbers}")


def _score(row: dict[str, float], job: Job) -> tuple[float, float]:
    """What makes an epoch better: the accuracy that is asked for; the other one breaks ties."""
    clean, adversarial = row["clean_accuracy"], row["adversarial_accuracy"]
    return (clean, adversarial) if job.settings.keep == "clean" else (adversarial, clean)


def _is_over(at: Progressed, settings: RecipeSettings) -> bool:
    waited = at.n_epochs - at.kept_epoch
    return at.n_epochs >= settings.n_epochs or (0 < settings.patience <= waited)


def _optimiser(network: nn.Module, settings: RecipeSettings) -> torch.optim.Optimizer:
    decayed = [weight for weight in network.parameters() if weight.ndim > 1]
    plain = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if settings.optimiser == "adam":
        return torch.optim.Adam(groups, lr=settings.learning_rate)
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=_MOMENTUM, nesterov=True)


def _rate(settings: RecipeSettings, done: float) -> float:
    """Returns the learning rate after a share of all steps."""
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "one-cycle":
        if done < _RISING:
            return settings.learning_rate * (0.04 + 0.96 * done / _RISING)
        done = (done - _RISING) / (1 - _RISING)
    return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2


def _read_checkpoint(job: Job) -> Progressed:
    path = job.folder / CHECKPOINT
    try:
        at = Progressed(**torch.load(path, map_location=job.images.labels.device, weights_only=True))
    except Exception as error:  # torch raises anything on damaged bytes
        raise BadInput(f"{shown(path)} is damaged.", "Begin anew with --force.") from error
    if at.identity != job.identity:
        what = f"{shown(path)} is of a training with other settings, images or network."
        raise BadInput(what, "Give this one another name, or begin anew with --force.")
    return at


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _draw_from(seed: int, device: torch.device) -> None:
    """Lets dropout draw from a seed; `torch.manual_seed` would look at every kind of device there is, for 2 ms."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@contextmanager
def _own_random_state(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
