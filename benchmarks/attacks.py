"""Prints what our attacks cost and find beside Foolbox, torchattacks and ART: one process, the same network, images and steps.

Times are medians over rounds in which all take turns. For attacks with a fixed number of steps the unit is as many plain forward
and backward passes of the whole batch; for the others it is one such pass. Success and distance are those of the 8-bit files: a
peer's result is rounded to the nearest whole number, ours is what it returns; the plain network judges both.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from bench_contests import CONTESTS, Contest
from bench_networks import NETWORKS, Bench
from torch import nn
from torch.nn.functional import cross_entropy

from pipeline.attacks import attack_named
from pipeline.attacks.adapters.adapted_attack import Watched, kept_quiet_and_seeded, library_and_class
from pipeline.attacks.adapters.libraries import Task, parameters_of
from pipeline.core.errors import InkproofError, Unavailable
from pipeline.core.registry import load
from pipeline.images import to_model
from pipeline.specs.attacks import ATTACKS

Logits = Callable[[torch.Tensor], torch.Tensor]

OURS = "ours"
MOST_OF_BARE, LEAST_TIMES_FASTER = 0.95, 2.0
print = functools.partial(print, flush=True)  # a long run is watched
LONG, MANY_CLASSES = ("torchattacks:DeepFool", "art:DeepFool", "art:CarliniL2Method"), 1000
PEERS = {"foolbox": "foolbox", "torchattacks": "torchattacks", "art": "adversarial-robustness-toolbox"}


@dataclass
class Entry:
    """What one of them took and found."""

    name: str
    run: Callable[[], np.ndarray]
    n_forward: float = 0.0
    n_backward: float = 0.0
    seconds: list[float] = field(default_factory=list)
    images: np.ndarray | None = None
    fools: np.ndarray | None = None
    distance: np.ndarray | None = None


def main() -> None:
    """Runs every contest on every network that is there, and says for each bar whether it is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attacks", nargs="+", choices=[contest.ours for contest in CONTESTS], help="only these")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, help="only these")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="only these libraries")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--rounds", type=int, default=7, help="for attacks with fixed steps; the others, which are long, take one for each seven"
    )
    parser.add_argument("--same-network", action="store_true", help="the peers get the faster copy of the network that ours use")
    parser.add_argument("--long", action="store_true", help="with peers that take many minutes on a large network")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"batch {options.batch}, {torch.get_num_threads()} threads, torch {torch.__version__}, {_peers_here()}")
    verdicts = []
    for name in options.networks or NETWORKS:
        chosen = [c for c in CONTESTS if name in c.networks and (not options.attacks or c.ours in options.attacks)]
        if not chosen:
            continue
        try:
            bench = NETWORKS[name](options.batch)
            started = time.perf_counter()
            faster = bench.classifier.for_attacks()
            seconds = time.perf_counter() - started
            for_peers = faster if options.same_network else bench.classifier.logits
        except Unavailable as missing:
            print(f"\n{name}: left out. {missing}")
            continue
        print(f"\n{bench.title}; its copy for our attacks, made once, took {seconds:.1f} s")
        for contest in chosen:
            if contest.ours not in ATTACKS:
                print(f"\n  {contest.ours}: left out, there is no such attack yet")
                continue
            asked = {peer: told for peer, told in contest.peers.items() if peer.partition(":")[0] in options.peers}
            held = _held(replace(contest, peers=asked), bench, for_peers, options.rounds, options.long)
            verdicts.append(f"{contest.ours} on {name}: {held}")
    print("\nBars\n" + "\n".join(f"  {verdict}" for verdict in verdicts))


def _held(contest: Contest, bench: Bench, for_peers: Logits, n_rounds: int, takes_long: bool) -> str:
    """Runs a contest, prints its table, and returns what it says about its bar."""
    bare = [_bare_seconds(bench, contest.n_steps)]
    entries, missing = _entries(contest, bench, for_peers, takes_long)
    if contest.n_steps:  # the first run warms up; a long one counts
        bare.clear()
        for entry in entries:
            entry.seconds.clear()
    for turn in range(n_rounds if contest.n_steps else n_rounds // 7):
        bare.append(_bare_seconds(bench, contest.n_steps))
        for entry in entries[turn % len(entries) :] + entries[: turn % len(entries)]:
            started = time.perf_counter()
            entry.run()
            entry.seconds.append(time.perf_counter() - started)
    for entry in entries:
        _judge(entry, contest, bench)
    ratios = {e.name: statistics.median(s / b for s, b in zip(e.seconds, bare, strict=True)) for e in entries}
    _print_table(contest, entries, ratios, missing, statistics.median(bare))
    return _verdict(contest, entries, ratios)


def _entries(contest: Contest, bench: Bench, for_peers: Logits, takes_long: bool) -> tuple[list[Entry], list[str]]:
    """Returns those that can run, each run once for its result and its counts, and why the others cannot."""
    targets = (bench.labels + 1) % bench.n_classes if contest.is_targeted else None
    attack = attack_named(contest.ours, options=_known_options(contest))
    epsilon = contest.epsilon_8bit

    def ours() -> np.ndarray:
        return attack.perturb(bench.classifier, bench.images, bench.labels, [epsilon], targets)[epsilon].images

    started = time.perf_counter()
    first = attack.perturb(bench.classifier, bench.images, bench.labels, [epsilon], targets)[epsilon]
    seconds = [time.perf_counter() - started]
    entries = [Entry(OURS, ours, float(first.n_forward.mean()), float(first.n_backward.mean()), seconds, first.images)]
    missing = []
    for name, options in contest.peers.items():
        if name in LONG and bench.n_classes >= MANY_CLASSES and not takes_long:
            missing.append(f"{name}: left out, it takes many minutes here (--long)")
            continue
        try:
            entries.append(_peer(name, options, contest, bench, for_peers, targets))
        except Unavailable as error:
            missing.append(f"{name}: {error}")
        except InkproofError as error:
            raise SystemExit(str(error)) from error
        except Exception as error:  # a peer that fails is a result
            missing.append(f"{name}: fails: {type(error).__name__}: {error}")
    return entries, missing


def _peer(
    name: str, options: dict[str, Any], contest: Contest, bench: Bench, logits: Logits, targets: np.ndarray | None
) -> Entry:
    library, kind = library_and_class(name)
    images, labels = to_model(bench.images), torch.as_tensor(bench.labels)
    aims = None if targets is None else torch.as_tensor(targets)
    given = {"batch_size": len(images)} if name.startswith("art:") else {}
    given |= {"n_classes": bench.n_classes} if "n_classes" in parameters_of(kind) else {}
    radius = contest.epsilon_8bit / 255 if contest.epsilon_8bit else None

    def run(module: nn.Module) -> np.ndarray:
        with kept_quiet_and_seeded(0, images.device):
            made = library.run(kind, {**given, **options}, Task(module, images, labels, aims, radius, bench.n_classes))
        return made.detach().mul(255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()

    counting = Watched(logits, images.device)
    started = time.perf_counter()
    found = run(counting)
    seconds, plain = [time.perf_counter() - started], _Plain(logits)
    return Entry(name, lambda: run(plain), counting.n_forward / len(images), counting.n_backward / len(images), seconds, found)


class _Plain(nn.Module):
    """The network as a person would give it to a library: its own preprocessing inside, frozen."""

    def __init__(self, logits: Logits) -> None:
        super().__init__()
        self._logits = logits
        self.placeholder = nn.Parameter(torch.zeros(1), requires_grad=False)  # libraries read the device off it
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._logits(images.float())  # ART asks in double precision too


def _known_options(contest: Contest) -> dict[str, Any]:
    record = ATTACKS.find(contest.ours).options
    known = load(record).__dataclass_fields__ if record else {}
    return {key: value for key, value in contest.options.items() if key in known}


def _bare_seconds(bench: Bench, n_steps: int) -> float:
    """Returns what the passes of that many steps take alone, the least that a loop in plain PyTorch has to do; of one for 0."""
    images, labels = to_model(bench.images), torch.as_tensor(bench.labels)
    n_passes = n_steps or 5
    started = time.perf_counter()
    for _ in range(n_passes):
        inputs = images.detach().requires_grad_(bench.classifier.differentiable)
        loss = cross_entropy(bench.classifier.logits(inputs), labels, reduction="sum")
        if bench.classifier.differentiable:
            torch.autograd.grad(loss, inputs)
    return (time.perf_counter() - started) / (1 if n_steps else n_passes)


def _judge(entry: Entry, contest: Contest, bench: Bench) -> None:
    answers = bench.classifier.predict(entry.images).argmax(axis=1)
    entry.fools = answers == (bench.labels + 1) % bench.n_classes if contest.is_targeted else answers != bench.labels
    change = entry.images.astype(np.float64) - bench.images
    if contest.norm == "l2":
        entry.distance = np.sqrt((change**2).sum(axis=(1, 2, 3)))
    elif contest.norm == "linf":
        entry.distance = np.abs(change).max(axis=(1, 2, 3))
    else:
        entry.distance = (change != 0).sum(axis=(1, 2, 3)).astype(np.float64)


def _print_table(contest: Contest, entries: list[Entry], ratios: dict[str, float], missing: list[str], bare: float) -> None:
    steps = "1 step" if contest.n_steps == 1 else f"{contest.n_steps} steps"
    within = f"within {contest.epsilon_8bit}"
    kind = f"{steps} {within}" if contest.n_steps else within if contest.epsilon_8bit else "smallest change"
    unit = "one bare pass" if contest.n_steps < 2 else f"{contest.n_steps} bare passes"
    print(f"\n  {contest.ours}: {kind}; 1 = {unit}, {bare:.3f} s. {contest.note}".rstrip())
    distance = {"l2": "L2, levels", "linf": "L∞, levels", "l0": "values"}[contest.norm]
    print(f"    {'':<38} {'time':>9} {'forward':>8} {'backward':>8} {'fools':>7} {distance:>11}")
    for entry in entries:
        mean = f"{entry.distance[entry.fools].mean():.1f}" if entry.fools.any() else "-"
        fools, passes = f"{entry.fools.sum()}/{len(entry.fools)}", f"{entry.n_forward:>8.1f} {entry.n_backward:>8.1f}"
        print(f"    {entry.name:<38} {ratios[entry.name]:>9.2f} {passes} {fools:>7} {mean:>11}")
    for line in missing:
        print(f"    {line}")


def _verdict(contest: Contest, entries: list[Entry], ratios: dict[str, float]) -> str:
    ours, *peers = entries
    if contest.n_steps:
        met = ratios[OURS] <= MOST_OF_BARE
        return f"{ratios[OURS]:.2f} of the bare passes, at most {MOST_OF_BARE}: {'met' if met else 'NOT met'}"
    if not peers:
        return "no peer is here to compare with (make bench-attacks installs them)"
    fastest = min(peers, key=lambda entry: ratios[entry.name])
    times = ratios[fastest.name] / ratios[OURS]
    worse = []
    for peer in peers:
        both = ours.fools & peer.fools
        if ours.fools.sum() < peer.fools.sum():
            worse.append(f"fools {ours.fools.sum()}, {peer.name} {peer.fools.sum()}")
        if not contest.epsilon_8bit and both.any() and ours.distance[both].mean() > peer.distance[both].mean():
            worse.append(f"distance {ours.distance[both].mean():.1f}, {peer.name} {peer.distance[both].mean():.1f}")
    is_met = times >= LEAST_TIMES_FASTER and not any(fastest.name in line for line in worse)
    text = f"{times:.1f} x as fast as {fastest.name}, at least {LEAST_TIMES_FASTER:g}: {'met' if is_met else 'NOT met'}"
    return text + (f"; worse on images that both fool: {'; '.join(worse)}" if worse else "; nowhere fewer or farther")


def _peers_here() -> str:
    found = []
    for name, distribution in PEERS.items():
        try:
            found.append(f"{name} {version(distribution)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


if __name__ == "__main__":
    main()
