"""What works on a device that is not the CPU: in a process of its own, as PyTorch's autograd does not survive the fake device."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

APART = Path(__file__).with_name("devices_apart.py")


@pytest.mark.parametrize("kind", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_whatever_works_with_a_network_works_on_another_device(kind, tiny):
    options = ["-q", "-p", "no:cacheprovider", "-n", "0", "-m", kind, str(APART)]
    apart = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {"TINY_RUN": str(tiny)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=APART.parents[1], capture_output=True, text=True, env=apart
    )
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-4000:] + done.stderr[-1000:]
