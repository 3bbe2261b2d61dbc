"""Mapping over items on a Ray cluster of three nodes: the same results, lost nodes, lost workers, and a cluster that is gone."""

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from pipeline import engine
from pipeline.cli import main
from pipeline.core.errors import BadInput, Unavailable
from pipeline.engine import Context, Shared

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.slow


RUN = """
name = "same"
seed = 5
[dataset]
n_images = 24
[selection]
n_images = 3
[[attacks]]
name = "fgsm"
epsilons_8bit = [16]
[layout]
pairs_per_page = 2
[photograph]
profile = "office-phone-3mp"
[transforms]
jpeg = [50]
"""


@pytest.fixture(scope="module")
def nodes():
    from ray.cluster_utils import Cluster as Nodes

    before = os.environ.get("PYTHONPATH", "")
    here = Path(__file__)
    os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, (here.parents[2], here.parents[1], here.parent)), before])
    found = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        found.add_node(num_cpus=1)
    found.wait_for_nodes()
    yield found
    ray.shutdown()
    found.shutdown()
    os.environ["PYTHONPATH"] = before


@pytest.fixture
def context(nodes):
    while len(nodes.list_all_nodes()) < 3:
        nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    return Context(workers=0, engine="ray", ray_address=nodes.address)


def doubled(number: int) -> int:
    return 2 * number


def refused(number: int) -> int:
    raise BadInput(f"number {number} is bad.", "Take another.")


def opened() -> int:
    return os.getpid()


def by_whom(number: int, shared: int) -> tuple[int, int]:
    time.sleep(0.05)
    return shared, os.getpid()


def deadly(number: int) -> int:
    if number == 2:
        os._exit(1)
    return number


def test_every_item_comes_with_its_result_once(context):
    assert sorted(engine.map(doubled, range(40), context, "double")) == [(number, 2 * number) for number in range(40)]
    assert list(engine.map(doubled, [], context, "double")) == []


def test_what_is_shared_is_opened_once_by_each_worker(context):
    found = dict(engine.map(by_whom, range(60), context, "shared", Shared(opened)))
    assert all(maker == user for maker, user in found.values()) and len({user for _, user in found.values()}) == 3


def test_an_error_keeps_its_hint_on_the_way(context):
    with pytest.raises(BadInput) as caught:
        list(engine.map(refused, [3, 4], context, "refuse"))
    assert caught.value.hint == "Take another."


def test_a_node_that_is_lost_in_the_middle_changes_nothing(context, nodes):
    found = {}
    for item, result in engine.map(by_whom, range(60), context, "shared", Shared(opened)):
        assert item not in found
        found[item] = result
        if len(found) == 10:
            nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)
    assert sorted(found) == list(range(60))


def test_an_item_that_ends_its_worker_again_and_again_is_a_clear_error(context):
    with pytest.raises(Unavailable, match="An item ended its worker 3 times"):
        list(engine.map(deadly, range(6), context, "end"))
    assert dict(engine.map(doubled, [4], context, "double")) == {4: 8}


def test_a_run_has_the_same_bytes_on_a_cluster_that_loses_a_node(context, nodes, tmp_path):
    """Alone, in processes, and on the cluster, whose node is lost as soon as the run has written something."""

    def digests(name: str, *flags: str) -> dict[str, str]:
        workspace = tmp_path / name
        (tmp_path / "run.toml").write_text(RUN, encoding="utf-8")
        assert main(["run", str(tmp_path / "run.toml"), "--workspace", str(workspace), "-q", *flags]) == 0
        paths = [path for path in workspace.rglob("*") if path.suffix in (".parquet", ".csv", ".png", ".jpg", ".pdf")]
        return {str(path.relative_to(workspace)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    def lose_one() -> None:
        while not list((tmp_path / "cluster").rglob("*.png")):
            time.sleep(0.05)
        nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)

    alone = digests("alone", "--engine", "local")
    assert len(alone) > 20 and digests("processes", "--workers", "2") == alone
    loses = threading.Thread(target=lose_one)
    loses.start()
    assert digests("cluster", "--engine", "ray", "--ray-address", nodes.address) == alone
    loses.join()
