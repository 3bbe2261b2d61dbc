"""What ten times as many images cost each stage: processor time and peak memory.

Built-in signs, one attack, two digital transforms; each stage in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_RUN = """
name = "streaming"
[dataset]
n_images = {n}
[selection]
n_images = {n}
cases = ["average"]
[[attacks]]
name = "fgsm"
epsilons_8bit = [8]
[transforms]
noise = [16]
jpeg = [60]
"""
_STAGES = ("select", "generate", "transform", "classify", "thresholds", "explain", "rate", "report")


def settings_of(n_images: int) -> str:
    """Returns the experiment."""
    return _RUN.format(n=n_images)


def cost(command: list[str]) -> dict[str, float]:
    """Returns the seconds, processor seconds and peak memory of a command, in MB."""
    began_s = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: failed")
    return {
        "seconds": round(time.perf_counter() - began_s, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss / 1024),
    }


def run_costs(n_images: int, stages: list[str]) -> dict[str, dict[str, float]]:
    """Returns what every stage, and `status` after them, costs with so many images."""
    with tempfile.TemporaryDirectory() as folder:
        experiment = Path(folder) / "streaming.toml"
        experiment.write_text(settings_of(n_images), encoding="utf-8")
        found = {}
        for stage in [*stages, "status"]:
            typed = [sys.executable, "-m", "pipeline", stage, str(experiment), "--workspace", folder]
            found[stage] = cost(typed if stage == "status" else [*typed, "-q", "--workers", "1"])
            print(json.dumps({"n_images": n_images, "stage": stage, **found[stage]}), flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, default=3000)
    parser.add_argument("--times", type=int, default=10, help="how many times as many images the second run has")
    parser.add_argument("--stages", nargs="+", default=list(_STAGES))
    options = parser.parse_args()
    few, many = (run_costs(n, options.stages) for n in (options.n_images, options.times * options.n_images))
    seconds = [sum(cost["cpu_s"] for cost in costs.values()) for costs in (few, many)]
    peaks = [max(cost["peak_mb"] for cost in costs.values()) for costs in (few, many)]
    ratios = {"time_over_linear": seconds[1] / seconds[0] / options.times, "memory": peaks[1] / peaks[0]}
    print(json.dumps({"ratios": ratios}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
