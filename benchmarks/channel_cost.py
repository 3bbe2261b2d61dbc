"""Prints what print and photograph cost an attack beside the network that it attacks, measured side by side in one run.

The channel takes a batch of images through a profile and back, drawing the photographs included; the network, without weights,
goes forward and back to its input. Both are timed in turn; the ratio is the median over the rounds.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from pipeline.core.torchvision_import import import_torchvision
from pipeline.physical.simulator import load_profile
from pipeline.physical.simulator.channel import Channel


def main() -> None:
    """Times a batch through the channel, forward alone and with its gradient, and one pass of the network forward and back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="office-phone")
    parser.add_argument("--model", default="mobilenet_v2", help="a classifier of torchvision")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--at-once", type=int, default=64, help="images that go together; smaller saves memory, for both alike")
    parser.add_argument("--size", type=int, default=299)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    network = import_torchvision().models.get_model(options.model, weights=None).eval().requires_grad_(False).to(options.device)
    profile = load_profile(options.profile)
    channel = Channel(profile, (options.size, options.size))
    images = _images(options.batch, options.size).to(options.device)
    rng, noise = np.random.default_rng(0), torch.Generator(options.device).manual_seed(0)

    def through_channel(part: torch.Tensor) -> torch.Tensor:
        return channel(part, channel.draw(len(part), rng), noise)

    def forward(part: torch.Tensor) -> None:
        with torch.no_grad():
            through_channel(part)

    def seconds(work) -> float:
        _finish(options.device)
        started = time.perf_counter()
        for part in images.split(options.at_once):
            work(part)
        _finish(options.device)
        return time.perf_counter() - started

    works = {
        "network forward + backward": lambda part: _back(network, part),
        "channel forward": forward,
        "channel forward + backward": lambda part: _back(through_channel, part),
    }
    for work in works.values():
        work(images[: min(4, options.batch)])
    rounds = [{name: seconds(work) for name, work in works.items()} for _ in range(options.rounds)]
    print(
        f"{options.profile}, {options.batch} images of {options.size} px, {options.at_once} at once, {options.model}, "
        f"{options.device}, {torch.get_num_threads()} threads, {options.rounds} rounds"
    )
    base = "network forward + backward"
    for name in works:
        ratios = sorted(one[name] / one[base] for one in rounds)
        spread = "" if name == base else f"  {statistics.median(ratios):.2f} x the network ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:<27} {statistics.median(one[name] for one in rounds):7.2f} s{spread}")


def _images(n: int, size: int) -> torch.Tensor:
    """Smooth colours with some detail, as photographs have, in 8-bit steps."""
    generator = torch.Generator().manual_seed(0)
    coarse, fine = (torch.rand(n, 3, side, side, generator=generator) for side in (8, 60))
    coarse, fine = (torch.nn.functional.interpolate(x, size=(size, size), mode="bicubic") for x in (coarse, fine))
    return (0.8 * coarse + 0.2 * fine).clamp(0, 1).mul(255).round().div(255)


def _back(function, images: torch.Tensor) -> None:
    asked = images.clone().requires_grad_()
    torch.autograd.grad(function(asked).sum(), asked)


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
