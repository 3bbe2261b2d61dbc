"""Mapping over items: in order, in this process or in workers, errors and their hints included."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.errors import BadInput, Unavailable
from pipeline.core.seeds import generator_for, seed_for
from pipeline.engine import Context, map_items


def doubled(number: int) -> int:
    return 2 * number


def refused(number: int) -> int:
    raise BadInput(f"number {number} is bad.", "Take another.")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers):
    assert list(map_items(doubled, range(20), Context(workers=workers), "double")) == [2 * number for number in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_keeps_its_hint_on_the_way_from_a_worker(workers):
    with pytest.raises(BadInput) as caught:
        list(map_items(refused, [3, 4], Context(workers=workers), "refuse"))
    assert str(caught.value) == "number 3 is bad. Take another."


def ended(number: int) -> int:
    os._exit(9)


def test_a_worker_that_is_ended_is_a_clear_error():
    with pytest.raises(Unavailable, match="Use fewer --workers"):
        list(map_items(ended, [1, 2], Context(workers=2), "end"))


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pipeline.engine import Context, map_items\nimport test_executor\n"
        "if __name__ == '__main__': list(map_items(test_executor.sleeping, [sys.argv[2]] * 2, Context(workers=2), 'sleep'))\n"
    )
    (tmp_path / "parent.py").write_text(code, encoding="utf-8")
    here = Path(__file__).parent
    command = [sys.executable, str(tmp_path / "parent.py"), str(here), str(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(here.parent)}, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    process.kill()
    process.wait()
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    wait_until(
        lambda: (
            not any(
                Path(f"/proc/{worker}/cmdline").exists() and Path(f"/proc/{worker}/cmdline").read_bytes() for worker in workers
            )
        )
    )


def sleeping(folder: str) -> None:
    (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(60)


def wait_until(holds) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_progress_sees_every_item():
    seen = []

    def watch(items, total, label):
        for item in items:
            seen.append((item, total, label))
            yield item

    assert list(map_items(doubled, [1, 2], Context(progress=watch), "double")) == [2, 4]
    assert seen == [(2, 2, "double"), (4, 2, "double")]


def test_seeds_depend_on_run_stage_and_item_and_on_nothing_else():
    keys = [(0, "a", "x"), (1, "a", "x"), (0, "b", "x"), (0, "a", "y"), (0, "ax", ""), (0, "a", "")]
    assert len({seed_for(*key) for key in keys}) == len(keys)
    assert seed_for(0, "a", "x") == seed_for(0, "a", "x") < 2**63
    assert generator_for(7, "noise", "i").random() == generator_for(7, "noise", "i").random()
