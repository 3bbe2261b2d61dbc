"""What a Ray cluster costs beside processes of one machine, and how much faster more machines are.

Overhead: attacked images of the built-in signs, once with processes and once with Ray on this machine, as many workers, in
turns. Speed-up: tasks that only sleep, on a cluster of one-processor nodes, against the same in a row.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from pipeline import engine
from pipeline.cli import main as inkproof
from pipeline.engine import Context

_RUN = """
name = "scale"
[dataset]
n_images = {n}
[selection]
n_images = {n}
cases = ["average"]
[[attacks]]
name = "bim"
epsilons_8bit = [8]
[transforms]
"""
_STAGES = ("select", "generate", "layout", "transform", "classify")
_SLEEP_S, _TASKS_A_NODE = 0.5, 20


def seconds(folder: Path, n_images: int, *flags: str) -> float:
    """Returns how long the stages take that ask the network, on a run that has nothing yet."""
    settings = folder / "scale.toml"
    settings.write_text(_RUN.format(n=n_images), encoding="utf-8")
    began_s = time.perf_counter()
    for stage in _STAGES:
        if inkproof([stage, str(settings), "--workspace", str(folder), "-q", *flags]):
            raise SystemExit(f"{stage} failed")
    return time.perf_counter() - began_s


def overhead(n_images: int, n_tries: int) -> dict[str, object]:
    """Returns the time with Ray over that with processes, the median of pairs that take turns."""
    workers = str(os.cpu_count() or 1)
    ways = {"processes": ("--workers", workers), "ray": ("--workers", workers, "--engine", "ray")}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(n_tries):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(seconds(Path(folder), n_images, *ways[name]))
    ratios = [ray / alone for ray, alone in zip(found["ray"], found["processes"], strict=True)]
    return {"n_images": n_images, **found, "ratio": median(ratios)}


def asleep(_: int) -> None:
    """One task."""
    time.sleep(_SLEEP_S)


def speed_up(n_nodes: int) -> dict[str, object]:
    """Returns the time that sleeping tasks would take in a row over that on so many nodes."""
    import ray
    from ray.cluster_utils import Cluster

    ray.shutdown()
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(n_nodes - 1):
        nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    context = Context(workers=0, engine="ray", ray_address=nodes.address)
    list(engine.map(asleep, range(4 * n_nodes), context, "waking"))
    began_s = time.perf_counter()
    n_tasks = _TASKS_A_NODE * n_nodes
    list(engine.map(asleep, range(n_tasks), context, "sleeping"))
    took_s = time.perf_counter() - began_s
    ray.shutdown()
    nodes.shutdown()
    return {"n_nodes": n_nodes, "seconds": took_s, "speed_up": n_tasks * _SLEEP_S / took_s}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, default=1000)
    parser.add_argument("--n-tries", type=int, default=3)
    parser.add_argument("--n-nodes", type=int, default=8)
    options = parser.parse_args()
    print(json.dumps({"overhead": overhead(options.n_images, options.n_tries)}), flush=True)
    print(json.dumps({"speed_up": speed_up(options.n_nodes)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
