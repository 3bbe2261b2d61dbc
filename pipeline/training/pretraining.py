"""Before a network learns classes: its first layer learns to reconstruct its input, as the hidden layer of an autoencoder."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from pipeline.core.errors import WrongUse
from pipeline.models.torch_models import built_from_seed
from pipeline.training.loop import Job, fit

AUTOENCODER = "autoencoder"


class Autoencoder(nn.Module):
    """A layer of sigmoid units, which another network holds too, and a linear layer that gives the input back."""

    def __init__(self, first: nn.Linear, seed: int) -> None:
        super().__init__()
        self.first = first
        self.decode = built_from_seed(lambda: nn.Linear(first.out_features, first.in_features), seed).to(first.weight.device)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode(torch.sigmoid(self.first(inputs.flatten(1)))).view_as(inputs)


def pretrain(job: Job, n_epochs: int, inputs: Callable[[Tensor], Tensor]) -> None:
    """Trains the first layer of a job's network to reconstruct its input, down the mean squared error, by the job's optimiser.

    Its checkpoint stays in `autoencoder/` of the job's folder, so that an interrupted training does not begin anew.

    Args:
        inputs: gives what the network sees of images in [0, 1].

    Raises:
        WrongUse: the first layer is not a fully connected one of sigmoid units.
    """
    parts = [part for part in job.network.modules() if not list(part.children()) and not isinstance(part, nn.Flatten)]
    first, unit = next(pairwise(parts), (None, None))
    if not isinstance(first, nn.Linear) or not isinstance(unit, nn.Sigmoid):
        what = "training.pretrain_epochs needs a first layer of sigmoid units, fully connected."
        raise WrongUse(what, 'Use a network such as network:fc400-10, or "pretrain_epochs = 0".')
    autoencoder = Autoencoder(first, job.seed)

    def loss(images: Tensor, _: Tensor, __: str) -> Tensor:
        seen = inputs(images)
        return mse_loss(autoencoder(seen), seen)

    settings = replace(job.settings, n_epochs=n_epochs, keep="last", patience=0)
    fit(
        replace(
            job,
            network=autoencoder,
            loss=loss,
            measure=dict,
            settings=settings,
            folder=job.folder / AUTOENCODER,
            say=lambda line: job.say(f"{AUTOENCODER}: {line}"),
        )
    )
