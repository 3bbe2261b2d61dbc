"""Mapping over items, here and in workers: every result once, the first error, hints included, and no worker left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from pipeline import engine
from pipeline.core.errors import BadInput, Unavailable
from pipeline.core.seeds import generator_for, seed_for
from pipeline.engine import Context, Shared, processes


def doubled(number: int) -> int:
    return 2 * number


def threads_told(_: int) -> str:
    return os.environ["OMP_NUM_THREADS"]


def refused(number: int) -> int:
    raise BadInput(f"number {number} is bad.", "Take another.")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("n", [0, 1, 20])
def test_every_item_comes_with_its_result_once(workers, n):
    found = list(engine.map(doubled, range(n), Context(workers=workers), "double"))
    assert sorted(found) == [(number, 2 * number) for number in range(n)]
    assert workers > 1 or found == sorted(found)


@pytest.mark.parametrize(("told", "share"), [("1", "1"), ("4", "2")])
def test_workers_share_the_threads_of_the_command(told, share, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert {found for _, found in engine.map(threads_told, range(4), Context(workers=2), "threads")} == {share}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_keeps_its_hint_on_the_way_from_a_worker(workers):
    with pytest.raises(BadInput) as caught:
        list(engine.map(refused, [3, 4], Context(workers=workers), "refuse"))
    assert str(caught.value) == "number 3 is bad. Take another."


def late_or_bad(number: int) -> int:
    if number == 0:
        time.sleep(0.5)
    return refused(number) if number in (1, 2) else number


def test_what_began_before_an_error_is_handed_over_and_the_first_error_is_raised():
    found = []
    with pytest.raises(BadInput, match="number 1 is bad"):
        for _, result in engine.map(late_or_bad, range(40), Context(workers=2), "mixed"):
            found.append(result)
    assert 0 in found and set(found).isdisjoint({1, 2}) and max(found) < 20


def ended(number: int) -> int:
    if number == 5:
        os._exit(9)
    return number


def test_a_worker_that_is_ended_is_a_clear_error_after_what_was_done():
    found = []
    with pytest.raises(Unavailable, match="A worker process was ended") as caught:
        for item, result in engine.map(ended, range(30), Context(workers=2), "end"):
            found.append((item, result))
    assert "Use fewer --workers; what is done is kept." in str(caught.value)
    assert found and all(item == result for item, result in found)


def test_a_script_whose_workers_would_run_it_once_more_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from pipeline import engine\nlist(engine.map(abs, [1, 2, 3], engine.Context(workers=2), 'abs'))\n")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False)
    assert 'No worker process could begin. A script calls inkproof under: if __name__ == "__main__":' in ended.stderr


def stopped(number: int) -> int:
    if number:
        os.kill(os.getpid(), signal.SIGSTOP)
    return number


def test_workers_that_do_nothing_any_more_are_a_clear_error_and_are_ended(monkeypatch, others):
    monkeypatch.setattr(processes, "SILENT_S", 3.0)
    found = []
    with pytest.raises(Unavailable, match=r"No worker process has done anything for 3 s\..*what is done is kept"):
        for item, _ in engine.map(stopped, [0, 1], Context(workers=2), "stop"):
            found.append(item)
    assert found == [0]
    wait_until(lambda: own_workers() <= others)


def own_workers() -> set[str]:
    """Returns the process ids of this process' workers."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    numbers = {number for path in tasks.glob("*/children") for number in path.read_text().split()}
    return {number for number in numbers if "spawn_main" in command_of(number)}


def command_of(number: str) -> str:
    try:
        return Path(f"/proc/{number}/cmdline").read_text()
    except OSError:  # it has ended meanwhile
        return ""


@pytest.fixture
def others() -> set[str]:
    """The workers that another test's context still holds; they are not waited for."""
    return own_workers()


def test_a_worker_that_works_for_long_is_left_alone(monkeypatch):
    """As long as the processor seconds grow that the workers tell, whatever else they do."""
    monkeypatch.setattr(processes, "SILENT_S", 1.0)
    monkeypatch.setattr(processes, "_LOOK_EVERY_S", 0.05)
    workers, future = object.__new__(processes._Workers), Future()
    workers._beats = [1.0, 0.0]

    def work() -> None:
        for _ in range(15):
            time.sleep(0.1)
            workers._beats[1] += 1
        future.set_result("done")

    threading.Thread(target=work).start()
    assert [ended.result() for ended in workers._ended({future: 0})] == ["done"]


def sleeping(folder: str) -> None:
    (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(60)


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pipeline import engine\nimport test_map\n"
        "if __name__ == '__main__':\n"
        "    list(engine.map(test_map.sleeping, [sys.argv[2]] * 2, engine.Context(workers=2), 'sleep'))\n"
    )
    (tmp_path / "parent.py").write_text(code, encoding="utf-8")
    here = Path(__file__).parent
    command = [sys.executable, str(tmp_path / "parent.py"), str(here), str(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(here.parents[1])}, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    process.kill()
    process.wait()
    workers = [Path(f"/proc/{path.stem}/cmdline") for path in tmp_path.glob("*.pid")]
    wait_until(lambda: not any(path.exists() and path.read_bytes() for path in workers))


def test_whoever_stops_asking_leaves_no_worker_behind(others):
    results = engine.map(partial(slowed, seconds=30), range(4), Context(workers=2), "slow")
    assert next(results)[1] == 0
    results.close()
    wait_until(lambda: own_workers() <= others)


def slowed(number: int, seconds: float) -> int:
    time.sleep(seconds if number else 0)
    return number


def wait_until(holds) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_progress_sees_every_item():
    seen = []

    def watch(items, total, label):
        for item in items:
            seen.append((total, label))
            yield item

    assert dict(engine.map(doubled, [1, 2], Context(progress=watch), "double")) == {1: 2, 2: 4}
    assert seen == [(2, "double"), (2, "double")]


# --- what is opened once ----------------------------------------------------------------------------------------------


@dataclass
class Book:
    """Something heavy: it tells in a folder where it was opened."""

    folder: Path
    page: int

    def opened_by(self) -> int:
        return len(list(self.folder.iterdir()))


def opened_book(folder: Path, page: int) -> Book:
    (folder / f"{os.getpid()}-{page}-{time.monotonic_ns()}").touch()
    return Book(folder, page)


def read_in(number: int, book: Book) -> tuple[int, int]:
    time.sleep(0.05)
    return os.getpid(), number * book.page


@pytest.fixture
def eager(monkeypatch):
    """Workers are worth it at once, however little there is to do and however much memory this process took."""
    monkeypatch.setattr(processes, "WORTH_S", 0.0)
    monkeypatch.setattr(processes, "peak_bytes", lambda: 1)


def test_what_is_shared_is_opened_once_a_worker_and_not_where_it_is_open(tmp_path, eager, others):
    context, here = Context(workers=2), Book(tmp_path, 3)
    shared = Shared(opened_book, (tmp_path, 3), here)
    found = dict(engine.map(read_in, range(12), context, "read", shared))
    assert {number: result for number, (_, result) in found.items()} == {number: 3 * number for number in range(12)}
    workers = {worker for worker, _ in found.values()}
    assert found[0][0] == os.getpid() and len(workers) == 3
    opened = [path.name.split("-")[0] for path in tmp_path.iterdir()]
    assert sorted(map(int, opened)) == sorted(workers - {os.getpid()})
    # the same workers go on with it; another book is opened by others
    again = engine.map(read_in, range(12), context, "read", Shared(opened_book, (tmp_path, 3), here))
    assert {worker for _, (worker, _) in again} <= workers - {os.getpid()} and here.opened_by() == 2
    other = dict(engine.map(read_in, range(12), context, "read", Shared(opened_book, (tmp_path, 5), Book(tmp_path, 5))))
    assert other[7][1] == 35 and here.opened_by() == 4
    context.backend.end()
    wait_until(lambda: own_workers() <= others)


def test_little_work_is_done_where_it_is_open_already(tmp_path):
    found = list(engine.map(read_in, range(6), Context(workers=2), "read", Shared(opened_book, (tmp_path, 3), Book(tmp_path, 3))))
    assert {worker for _, (worker, _) in found} == {os.getpid()} and not list(tmp_path.iterdir())


def test_there_are_as_many_workers_as_the_memory_holds(tmp_path, eager, monkeypatch):
    monkeypatch.setattr(processes, "peak_bytes", lambda: 10**15)
    found = list(engine.map(read_in, range(6), Context(workers=2), "read", Shared(opened_book, (tmp_path, 3))))
    assert {worker for _, (worker, _) in found} == {os.getpid()}


def test_a_device_is_asked_by_one_process(tmp_path, eager):
    shared = Shared(opened_book, (tmp_path, 3), Book(tmp_path, 3))
    found = list(engine.map(read_in, range(4), Context("cuda", workers=2), "read", shared))
    assert {worker for _, (worker, _) in found} == {os.getpid()}


def unopened() -> None:
    raise BadInput("the book is lost.", "Find it.")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_opened_says_why(workers, eager):
    with pytest.raises(BadInput, match="the book is lost"):
        list(engine.map(read_in, range(4), Context(workers=workers), "read", Shared(unopened)))


def test_a_worker_that_cannot_open_it_says_why_too(tmp_path, eager):
    with pytest.raises(BadInput, match="the book is lost"):
        list(engine.map(read_in, range(4), Context(workers=2), "read", Shared(unopened, (), Book(tmp_path, 3))))


def test_seeds_depend_on_run_stage_and_item_and_on_nothing_else():
    keys = [(0, "a", "x"), (1, "a", "x"), (0, "b", "x"), (0, "a", "y"), (0, "ax", ""), (0, "a", "")]
    assert len({seed_for(*key) for key in keys}) == len(keys)
    assert seed_for(0, "a", "x") == seed_for(0, "a", "x") < 2**63
    assert generator_for(7, "noise", "i").random() == generator_for(7, "noise", "i").random()
