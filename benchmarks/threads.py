"""What PyTorch's threads are worth, alone and beside other work: how they wait, how many there are, in how many processes.

Each row is so many processes, each with so many threads, that take a network forward and back to its input for a few seconds, all
at once, beside so many neighbours that only count. It tells images a second of all of them together, and processor seconds an
image. Settings are those of the environment, as they have to be there before PyTorch is imported.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import NamedTuple

from pipeline.core.cores import THREADS, WAITING, n_cores

_SPIN: dict[str, str] = {}
_SLEEP = {WAITING: "passive"}


class Row(NamedTuple):
    """One way to compute: how threads wait, as environment, and how many there are."""

    name: str
    environment: dict[str, str]
    n_processes: int
    n_threads: int


def rows(n: int) -> tuple[Row, ...]:
    """Returns the ways that are compared on n processors."""
    return (
        Row("as PyTorch comes", _SPIN, 1, n),
        Row("KMP_BLOCKTIME=0", {"KMP_BLOCKTIME": "0"}, 1, n),
        Row("OMP_WAIT_POLICY=passive", _SLEEP, 1, n),
        Row("one thread", _SPIN, 1, 1),
        Row("a process a processor", _SLEEP, n, 1),
        Row("too many, as PyTorch comes", _SPIN, n, n),
        Row("too many, passive", _SLEEP, n, n),
    )


def measured(row: Row, network: str, n_neighbours: int, seconds: float) -> dict[str, float]:
    """Returns images a second and processor seconds an image of all processes of a row together."""
    own = {name: value for name, value in os.environ.items() if name not in (THREADS, WAITING, "KMP_BLOCKTIME", "GOMP_SPINCOUNT")}
    environment = own | row.environment | {THREADS: str(row.n_threads)}
    command = [sys.executable, __file__, "--as-worker", network, "--seconds", str(seconds)]
    workers = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(row.n_processes)
    ]
    for worker in workers:
        worker.stdout.readline()  # warm
    counting = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_neighbours)]
    try:
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        found = [json.loads(worker.communicate()[0]) for worker in workers]
    finally:
        for neighbour in counting:
            neighbour.kill()
            neighbour.wait()
    n_images = sum(one["n_images"] for one in found)
    return {
        "images_per_s": sum(one["n_images"] / one["wall_s"] for one in found),
        "processor_s_per_image": sum(one["processor_s"] for one in found) / n_images,
    }


def work(network: str, seconds: float) -> None:
    """Is one worker: it says when it is warm, waits for a line, and tells what it did."""
    import torch

    from pipeline.core.torchvision_import import import_torchvision
    from pipeline.models import load_classifier
    from pipeline.settings import ModelSettings

    if network == "signs":
        ask, size, n = load_classifier(ModelSettings()).for_attacks(), 112, 16
    else:
        ask, size, n = import_torchvision().models.get_model(network, weights=None).eval().requires_grad_(False), 224, 16
    images = torch.rand((n, 3, size, size), generator=torch.Generator().manual_seed(0))

    def once() -> None:
        asked = images.clone().requires_grad_()
        torch.autograd.grad(ask(asked).sum(), asked)

    once()
    once()
    print("warm", flush=True)
    sys.stdin.readline()
    began_s, used_s, n_batches = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began_s < seconds:
        once()
        n_batches += 1
    wall_s = time.perf_counter() - began_s
    print(json.dumps({"n_images": n_batches * n, "wall_s": wall_s, "processor_s": time.process_time() - used_s}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["signs", "mobilenet_v2"], help='"signs", or classifiers of torchvision')
    parser.add_argument("--neighbours", nargs="+", type=int, default=[0, n_cores()])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--as-worker", metavar="NETWORK", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_worker:
        return work(options.as_worker, options.seconds)
    for network in options.networks:
        for n_neighbours in options.neighbours:
            for row in rows(n_cores()):
                tries = [measured(row, network, n_neighbours, options.seconds) for _ in range(options.rounds)]
                best = max(tries, key=lambda one: one["images_per_s"])
                told = {"network": network, "neighbours": n_neighbours, "row": row.name, "n_processes": row.n_processes}
                told |= {"n_threads": row.n_threads} | {name: round(value, 4) for name, value in best.items()}
                print(json.dumps(told | {"load": round(os.getloadavg()[0], 1)}), flush=True)
    return None


if __name__ == "__main__":
    main()
