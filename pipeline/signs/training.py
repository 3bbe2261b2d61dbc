"""Trains the built-in classifier on the built-in dataset, from a seed: `python -m pipeline.signs.training --help`.

Training runs on one thread. On one machine, with one version of torch, the same seed gives the same weights, bit for bit;
elsewhere sums run in another order and the weights differ in their last digits.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from pipeline.core.progress import Display, Progress, silent
from pipeline.core.seeds import generator_for, seed_for
from pipeline.signs import network as signs_net
from pipeline.signs.dataset import SignsDataset
from pipeline.signs.shapes import CLASS_NAMES

PACKAGED_WEIGHTS = Path(__file__).parent / "weights" / "signs.safetensors"

_BATCH = 64
_PEAK_RATE = 0.12
_WEIGHT_DECAY = 5e-4


def train(
    seed: int,
    n_images: int = 16_000,
    n_epochs: int = 4,
    n_workers: int = 2,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> nn.Module:
    """Returns the network trained on `n_images` of the "train" split, in eval mode.

    Stochastic gradient descent with Nesterov momentum 0.9, batches of 64, one cycle of the learning rate (Smith and Topin,
    2018), cross entropy without label smoothing, light photometric and geometric changes, nothing adversarial.

    Args:
        report: called with one line after each epoch.
        progress: shows how many images are rendered, and batches of an epoch done.
    """
    images, labels = render_all(SignsDataset(n_images, "train", seed), n_workers, progress)
    torch.manual_seed(seed_for(seed, "train-signs", "start"))
    net = signs_net.SignsNet().train()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's annotations lack this keyword
    decayed = [weight for weight in net.parameters() if weight.ndim > 1]
    plain = [weight for weight in net.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": _WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(groups, lr=_PEAK_RATE, momentum=0.9, nesterov=True)
    n_steps = n_epochs * -(-n_images // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _PEAK_RATE, total_steps=n_steps, pct_start=0.25)
    for epoch in range(n_epochs):
        started, loss_sum = time.perf_counter(), 0.0
        batches = _batches(images, labels, generator_for(seed, "train-signs", f"epoch-{epoch}"))
        for x, y in progress(batches, n_steps // n_epochs, f"epoch {epoch + 1} of {n_epochs}, batches"):
            loss = nn.functional.cross_entropy(net(x), y)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            loss_sum += float(loss.detach()) * len(y)
        report(f"epoch {epoch + 1}/{n_epochs}: loss {loss_sum / n_images:.4f}, {time.perf_counter() - started:.0f} s")
    return net.eval()


def save(net: nn.Module, path: Path) -> None:
    """Writes the weights, with the names of the classes beside them, as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous() for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    save_file(state, path, metadata={"class_names": json.dumps(CLASS_NAMES)})


def measure(net: nn.Module, dataset: SignsDataset, n_workers: int = 2, progress: Progress = silent) -> dict[str, float]:
    """Returns the top-1 and top-5 accuracy and the share of images that are right with a confidence of 0.8 or more."""
    images, labels = render_all(dataset, n_workers, progress)
    n_top1 = n_top5 = n_sure = 0
    for first in range(0, len(labels), 256):
        with torch.inference_mode():
            probabilities = net(_as_input(images[first : first + 256])).softmax(1)
        confidence, ranking = probabilities.topk(5)
        hits = ranking == torch.from_numpy(labels[first : first + 256, None])
        n_top1 += int(hits[:, 0].sum())
        n_top5 += int(hits.any(1).sum())
        n_sure += int((hits[:, 0] & (confidence[:, 0] >= 0.8)).sum())
    n = len(labels)
    return {"n_images": n, "top1_accuracy": n_top1 / n, "top5_accuracy": n_top5 / n, "sure_and_right_rate": n_sure / n}


def render_all(
    dataset: SignsDataset, n_workers: int = 1, progress: Progress = silent
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns all images, uint8 (n, H, W, 3), and labels, int64 (n,), of a dataset, rendered in `n_workers` processes."""
    places = range(len(dataset))
    labels = np.array([dataset.label(i) for i in places], np.int64)
    if n_workers <= 1:
        return np.stack(list(progress(map(dataset.image, places), len(places), "rendering"))), labels
    with ProcessPoolExecutor(n_workers, get_context("spawn")) as pool:
        rendered = pool.map(dataset.image, places, chunksize=256)
        return np.stack(list(progress(rendered, len(places), "rendering"))), labels


def _batches(
    images: NDArray[np.uint8], labels: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    order = rng.permutation(len(labels))
    for first in range(0, len(order), _BATCH):
        chosen = order[first : first + _BATCH]
        varied = np.stack([_varied(images[i], rng) for i in chosen])
        yield torch.from_numpy(varied).permute(0, 3, 1, 2), torch.from_numpy(labels[chosen])


def _varied(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """A small move and what a print and a camera do at their mildest: tone, colour, blur, noise; float32 (H, W, 3) in [0, 1]."""
    px = image.shape[0]
    turn = cv2.getRotationMatrix2D(((px - 1) / 2,) * 2, rng.uniform(-4, 4), rng.uniform(0.88, 1.1)).astype(np.float64)
    turn[:, 2] += rng.uniform(-5, 5, 2)
    moved = cv2.warpAffine(image, turn, (px, px), borderMode=cv2.BORDER_REFLECT_101)
    gain = rng.uniform(0.5, 1.2) * rng.uniform(0.93, 1.07, 3)
    tone = (_LEVELS * gain + rng.uniform(-0.05, 0.2)).clip(0, 1) ** rng.uniform(0.8, 1.5)
    varied = cv2.LUT(moved, tone.astype(np.float32).reshape(1, 256, 3))
    if rng.random() < 0.5:
        varied = cv2.GaussianBlur(varied, (0, 0), rng.uniform(0.3, 1.4))
    noise = rng.standard_normal(varied.shape, dtype=np.float32)
    return (varied + np.float32(rng.uniform(0, 0.025)) * noise).clip(0, 1)


_LEVELS = np.linspace(0, 1, 256)[:, None]


def _as_input(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.signs.training", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PACKAGED_WEIGHTS)
    parser.add_argument("--images", type=int, default=16_000, help="size of the training set (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2, help="processes that render; training itself runs on one thread")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with Display(sys.stderr) as display:
        display.begins("train")
        net = train(options.seed, options.images, options.epochs, options.workers, display.say, display.progress)
        save(net, options.out)
        n_bytes, hours = options.out.stat().st_size, sum(os.times()[:4]) / 3600
        display.say(f"wrote {options.out} ({n_bytes} bytes) after {hours:.2f} CPU hours")
        display.begins("measure")
        found = measure(net, SignsDataset(1600, "test", options.seed), options.workers, display.progress)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
