"""Everything that asks a network, on a GPU and on the CPU beside it: how far the answers are apart, and how fast both are.

One command, run whole, prints one JSON object: networks, the channel, every attack, every defence, and a run from its file to its
report. Sums on a GPU run in another order, so last bits differ and signs of gradients near zero with them; told is how much. What
is not begun within --budget-s is listed under `left_out`. `--device cpu --n-images 4` rehearses it where there is no GPU.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.cores import settle_threads

settle_threads()

import torch  # noqa: E402  # after what its threads are to do

from pipeline.attacks import attack_named  # noqa: E402
from pipeline.attacks.attack import NO_EPSILON, Trainable  # noqa: E402
from pipeline.cli import main as inkproof  # noqa: E402
from pipeline.core.errors import InkproofError  # noqa: E402
from pipeline.core.torchvision_import import import_torchvision  # noqa: E402
from pipeline.images import to_model  # noqa: E402
from pipeline.models import load_classifier  # noqa: E402
from pipeline.models.classifier import Classifier  # noqa: E402
from pipeline.physical.simulator import load_profile  # noqa: E402
from pipeline.physical.simulator.channel import Channel  # noqa: E402
from pipeline.settings import ModelSettings  # noqa: E402
from pipeline.signs.dataset import SignsDataset  # noqa: E402
from pipeline.specs.attacks import ATTACKS  # noqa: E402
from pipeline.specs.defences import DEFENCES  # noqa: E402

_EPSILON_8BIT = 8
# Where an attack's own number of steps takes minutes on a CPU; it does the same in fewer.
_FEWER: dict[str, dict[str, Any]] = {
    "apgd-ce": {"n_steps": 20},
    "apgd-dlr": {"n_steps": 20},
    "square": {"n_queries": 200},
    "autoattack": {"n_steps": 10, "n_targets": 2, "n_queries": 50},
    "cw-l2": {"n_steps": 30, "n_searches": 2},
    "cw-l0": {"n_steps": 8},
    "cw-linf": {"n_steps": 10},
    "fab": {"n_steps": 10, "n_targets": 3},
    "hopskipjump": {"n_steps": 2, "n_first": 20},
    "lbfgs": {"n_searches": 3, "n_steps": 20},
    "eot": {"n_steps": 2, "n_samples": 2},
    "patch": {"n_steps": 10, "n_images": 16},
}
# Those that take their images one by one are given fewer of them.
_ONE_BY_ONE = {"hopskipjump": 8, "eot": 8, "jsma": 16, "lbfgs": 16}
_RUN = """
name = "gpu"
[dataset]
n_images = 60
[selection]
n_images = 6
[[attacks]]
name = "bim"
epsilons_8bit = [8, 16]
[[attacks]]
name = "cw-l2"
[layout]
pairs_per_page = 12
[photograph]
profile = "office-phone-3mp"
[transforms]
blur = [1]
noise = [10]
"""


class Bench:
    """The two devices, the images, and how much time there is."""

    def __init__(self, device: str, n_images: int, budget_s: float) -> None:
        self.device, self.ends_s = device, time.monotonic() + budget_s
        data = SignsDataset(n_images)
        self.images = np.stack([data.image(place) for place in range(n_images)])
        self.labels = np.array([data.label(place) for place in range(n_images)])
        self.here, self.there = load_classifier(ModelSettings()), load_classifier(ModelSettings(), device)

    def seconds(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """Returns how long it takes until the device has done it, and what it returns."""
        self.finish()
        began_s = time.perf_counter()
        found = work()
        self.finish()
        return time.perf_counter() - began_s, found

    def finish(self) -> None:
        """Waits for the device."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


def networks(bench: Bench) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields each network by name with what compares and times it; those of ImageNet without weights."""
    yield "signs", lambda: _network(bench, bench.here.logits, bench.there.logits, to_model(bench.images))
    for name in ("mobilenet_v2", "resnet50"):
        yield name, lambda name=name: _imagenet(bench, name)  # type: ignore[misc]


def _imagenet(bench: Bench, name: str) -> dict[str, Any]:
    torch.manual_seed(0)
    x = torch.rand((len(bench.images), 3, 224, 224), generator=torch.Generator().manual_seed(0))
    here = import_torchvision().models.get_model(name, weights=None).requires_grad_(False)
    for norm in (layer for layer in here.modules() if isinstance(layer, torch.nn.BatchNorm2d)):
        norm.momentum = 1.0
    here(x[:16])  # without statistics of its layers a network that has learnt nothing answers next to nothing
    here.eval()
    there = import_torchvision().models.get_model(name, weights=None).eval().requires_grad_(False)
    there.load_state_dict(here.state_dict())
    there.to(bench.device)
    return _network(bench, here, there, x)


def _network(bench: Bench, here: Any, there: Any, x: torch.Tensor) -> dict[str, Any]:
    on_device = x.to(bench.device)
    with torch.no_grad():
        found, beside = here(x), there(on_device).cpu()

    def back(ask: Any, images: torch.Tensor) -> torch.Tensor:
        asked = images.clone().requires_grad_()
        return torch.autograd.grad(ask(asked).square().sum(), asked)[0].cpu()

    gradient_here, _ = back(here, x), back(there, on_device)
    cpu_s, _ = bench.seconds(lambda: back(here, x))
    device_s, gradient = bench.seconds(lambda: back(there, on_device))
    return {
        "largest_logit": float(found.abs().max()),
        "largest_difference": float((found - beside).abs().max()),
        "same_top_1": float((found.argmax(1) == beside.argmax(1)).float().mean()),
        "same_gradient_signs": float((gradient.sign() == gradient_here.sign()).float().mean()),
        "cpu_images_per_s": len(x) / cpu_s,
        "device_images_per_s": len(x) / device_s,
    }


def channels(bench: Bench) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields each profile of the channel: the same draws on both devices, without noise, which each draws for itself."""
    for name in ("office-phone", "nexus5x-ricoh600"):
        yield name, lambda name=name: _channel(bench, name)  # type: ignore[misc]


def _channel(bench: Bench, name: str) -> dict[str, Any]:
    channel, x = Channel(load_profile(name), bench.images.shape[1:3]), to_model(bench.images[:16])
    draws = channel.draw(len(x), np.random.default_rng(0))

    def seen(place: str) -> tuple[torch.Tensor, torch.Tensor]:
        asked = x.to(place).requires_grad_()
        crops = channel(asked, draws)
        return crops.detach().cpu(), torch.autograd.grad(crops.square().sum(), asked)[0].cpu()

    seen(bench.device)
    cpu_s, (here, gradient_here) = bench.seconds(lambda: seen("cpu"))
    device_s, (there, gradient) = bench.seconds(lambda: seen(bench.device))
    away = (here - there).abs() * 255
    cosine = torch.nn.functional.cosine_similarity(gradient.flatten(), gradient_here.flatten(), dim=0)
    told = {
        "largest_difference_8bit": float(away.max()),
        "mean_difference_8bit": float(away.mean()),
        "gradient_cosine": float(cosine),
    }
    return told | {"cpu_images_per_s": len(x) / cpu_s, "device_images_per_s": len(x) / device_s}


def attacks(bench: Bench) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields every attack of the program: its images from both devices, judged by the CPU's network."""
    for name in ATTACKS.own:
        yield name, lambda name=name: _attack(bench, name)  # type: ignore[misc]


def _attack(bench: Bench, name: str) -> dict[str, Any]:
    n = min(len(bench.images), _ONE_BY_ONE.get(name, len(bench.images)))
    images, labels = bench.images[:n], bench.labels[:n]
    epsilon = _EPSILON_8BIT if ATTACKS.find(name).takes_epsilon else NO_EPSILON

    def made(classifier: Classifier) -> np.ndarray:
        attack = attack_named(name, options=_FEWER.get(name, {}))
        if isinstance(attack, Trainable):
            attack.prepare(images)
            attack.use(attack.learn(classifier, images.shape[1:3]))
        return np.asarray(attack.perturb(classifier, images, labels, [epsilon])[epsilon].images)

    cpu_s, here = bench.seconds(lambda: made(bench.here))
    device_s, there = bench.seconds(lambda: made(bench.there))
    fooled = [bench.here.predict(found).argmax(axis=1) != labels for found in (here, there)]
    away = np.abs(here.astype(int) - there)
    distances = [float(np.sqrt(((found.astype(float) - images) ** 2).sum(axis=(1, 2, 3))).mean()) for found in (here, there)]
    return {
        "n_images": n,
        "same_values": float((away == 0).mean()),
        "largest_difference_8bit": int(away.max()),
        "fooled_cpu": int(fooled[0].sum()),
        "fooled_device": int(fooled[1].sum()),
        "same_outcome": float((fooled[0] == fooled[1]).mean()),
        "mean_l2_cpu_8bit": distances[0],
        "mean_l2_device_8bit": distances[1],
        "cpu_s": cpu_s,
        "device_s": device_s,
    }


def defences(bench: Bench) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields every defence: what the network behind it answers, and one step of an attacker who knows it."""
    for name in DEFENCES.own:
        yield name, lambda name=name: _defence(bench, name)  # type: ignore[misc]


def _defence(bench: Bench, name: str) -> dict[str, Any]:
    images, found = bench.images[:8], []
    for place in ("cpu", bench.device):
        classifier = load_classifier(ModelSettings(defence=name), place)
        asked = to_model(images, place).requires_grad_()
        (gradient,) = torch.autograd.grad(classifier.for_attacks()(asked).square().sum(), asked)
        found.append((classifier.predict(images), gradient.cpu().flatten()))
    (here, gradient_here), (there, gradient) = found
    cosine = torch.nn.functional.cosine_similarity(gradient, gradient_here, dim=0)
    told = {"same_top_1": float((here.argmax(1) == there.argmax(1)).mean()), "gradient_cosine": float(cosine)}
    return told | {"largest_difference": float(np.abs(here - there).max())}


def runs(bench: Bench) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields a whole run, from its file to its report."""
    yield "run", lambda: _run(bench)


def _run(bench: Bench) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gpu.toml"
        file.write_text(_RUN, encoding="utf-8")
        command = ["run", str(file), "--workspace", folder, "--device", bench.device, "-q"]
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            before, sys.stdout = sys.stdout, nowhere
            try:
                seconds, code = bench.seconds(lambda: inkproof(command))
            finally:
                sys.stdout = before
        lines = (Path(folder) / "reports/gpu/journal.jsonl").read_text(encoding="utf-8").splitlines()
        stages = {line["stage"]: line["seconds"] for line in map(json.loads, lines)}
    return {"exit_code": code, "seconds": seconds, "stages": stages}


_PARTS = {"networks": networks, "channel": channels, "run": runs, "attacks": attacks, "defences": defences}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--n-images", type=int, default=64)
    parser.add_argument("--budget-s", type=float, default=450.0)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS))
    options = parser.parse_args()
    try:
        bench = Bench(options.device, options.n_images, options.budget_s)
    except InkproofError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    name = torch.cuda.get_device_name(0) if options.device.startswith("cuda") else platform.processor() or platform.machine()
    told: dict[str, Any] = {"device": options.device, "name": name, "torch": torch.__version__, "n_images": options.n_images}
    told |= {"cpu_threads": torch.get_num_threads(), "left_out": [], "failed": {}}
    for part in options.parts:
        told[part] = {}
        for one, work in _PARTS[part](bench):
            if time.monotonic() > bench.ends_s:
                told["left_out"].append(f"{part}/{one}")
                continue
            try:
                told[part][one] = work()
            except Exception as error:  # the others are still worth their time
                told["failed"][f"{part}/{one}"] = f"{type(error).__name__}: {error}"
            print(f"{part}/{one}: {told[part].get(one, 'failed')}", file=sys.stderr, flush=True)
    print(json.dumps(told))
    return 1 if told["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
