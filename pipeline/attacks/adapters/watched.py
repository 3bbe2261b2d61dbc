"""The network as another library sees it: frozen, counted, and with nothing behind it that the library could switch or train."""

import contextlib
import io
import logging
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Watched(nn.Module):
    """Passes images of [0, 1] to `logits` and counts them, forward and backward; an image asked about twice counts twice.

    The network is held by its function alone: what a library does to modes, hooks or parameters ends here.
    """

    def __init__(self, logits: Callable[[Tensor], Tensor], device: torch.device) -> None:
        super().__init__()
        self.__dict__["_logits"] = logits
        self.placeholder = nn.Parameter(torch.zeros(1, device=device), requires_grad=False)  # libraries read the device off it
        self.n_forward, self.n_backward = 0, 0
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        self.n_forward += len(images)
        followed = _CountedBackward.apply(images, self) if images.requires_grad and torch.is_grad_enabled() else images
        return self.__dict__["_logits"](followed.float())


class _CountedBackward(torch.autograd.Function):
    """Changes nothing and tells the network when a gradient has come all the way back."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, watched: Watched) -> Tensor:
        ctx.watched = watched
        return images.view_as(images)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.watched.n_backward += len(gradient)
        return gradient, None


@contextlib.contextmanager
def kept_quiet_and_seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draws inside come from the seed and leave torch's, NumPy's and Python's generators as they were; prints are dropped."""
    states = np.random.get_state(), random.getstate()
    devices = [device] if device.type == "cuda" else []
    sink, level = io.StringIO(), logging.root.manager.disable
    with (
        torch.random.fork_rng(devices=devices),
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            logging.disable(level)
            np.random.set_state(states[0])
            random.setstate(states[1])
