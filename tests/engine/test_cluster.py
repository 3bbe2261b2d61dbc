"""Mapping over items on a Ray cluster of three nodes: the same results, lost nodes, lost workers, and a cluster that is gone."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import engine
from pipeline.cli import main
from pipeline.core.errors import BadInput, Unavailable
from pipeline.engine import Context, Shared
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.models.sending import shared_classifier
from pipeline.settings import ModelSettings

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
[explain]
n_images = 2
"""


# Whoever begins on the cluster cannot open, list or look at what lies in the folder that the file beside this one names.
BLINDED = """
import os, sys
from pathlib import Path

folder = Path(__file__).with_name("folder")

def unseen(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and arguments and isinstance(arguments[0], (str, bytes)):
        place = os.path.abspath(os.fsdecode(arguments[0]))
        if place != str(folder) and folder.exists() and place.startswith(folder.read_text()):
            raise PermissionError(13, "another machine's disk", place)

if any("default_worker" in word for word in sys.orig_argv):
    sys.addaudithook(unseen)
"""


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    """The file with the name of the folder that only this process sees."""
    folder = tmp_path_factory.mktemp("blinded")
    (folder / "sitecustomize.py").write_text(BLINDED)
    return folder / "folder"


@pytest.fixture(scope="module")
def nodes(unseen):
    from ray.cluster_utils import Cluster as Nodes

    before = os.environ.get("PYTHONPATH", "")
    here = Path(__file__)
    places = (unseen.parent, here.parents[2], here.parents[1], here.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, places), before])
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


def content_of(path: Path, more: Path) -> bytes:
    return path.read_bytes() + more.read_bytes()


def read_by_name(name: str) -> bytes:
    return Path(name).read_bytes()


def damaged(path: Path) -> None:
    raise BadInput(f"{path}: damaged.", f"Look at {path}.")


def test_files_travel_to_workers_that_do_not_see_them(context, unseen, tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    unseen.write_text(str(tmp_path))
    try:
        work = partial(content_of, more=tmp_path / "c")
        assert dict(engine.map(work, [tmp_path / "a", tmp_path / "b"], context, "read")) == {
            tmp_path / "a": b"ac",
            tmp_path / "b": b"bc",
        }
        with pytest.raises(PermissionError, match="another machine's disk"):
            list(engine.map(read_by_name, [str(tmp_path / "a")], context, "read"))
        with pytest.raises(BadInput) as caught:
            list(engine.map(damaged, [tmp_path / "a"], context, "read"))
        assert str(caught.value) == f"{tmp_path}/a: damaged. Look at {tmp_path}/a."
    finally:
        unseen.unlink()


def predicted(images: np.ndarray, classifier: Classifier) -> np.ndarray:
    return classifier.predict(images)


def test_a_users_network_travels_with_its_modules_and_weights(context, unseen, tmp_path):
    (tmp_path / "parts.py").write_text("import torch\n\ndef last():\n    return torch.nn.Linear(192, 3)\n")
    text = "import torch\nimport parts\n\ndef load():\n    return torch.nn.Sequential(torch.nn.Flatten(), parts.last())\n"
    (tmp_path / "net.py").write_text(text)
    torch.save({"1.weight": torch.eye(3, 192), "1.bias": torch.zeros(3)}, tmp_path / "net.pth")
    settings = ModelSettings(name=f"python:{tmp_path}/net.py:load", weights=f"{tmp_path}/net.pth", input_px=8)
    classifier = load_classifier(settings)
    images = np.random.default_rng(0).integers(0, 256, (4, 2, 8, 8, 3), np.uint8)
    unseen.write_text(str(tmp_path))
    try:
        found = list(engine.map(predicted, images, context, "ask", shared_classifier(settings, classifier)))
    finally:
        unseen.unlink()
    assert len(found) == 4 and all(np.array_equal(answer, classifier.predict(asked)) for asked, answer in found)


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


def inkproof(stage: str, workspace: Path, *flags: str) -> None:
    settings = workspace.with_name("run.toml")
    settings.write_text(RUN, encoding="utf-8")
    assert main([stage, str(settings), "--workspace", str(workspace), "-q", *flags]) == 0


def digests_of(workspace: Path) -> dict[str, str]:
    paths = [path for path in workspace.rglob("*") if path.suffix in (".parquet", ".csv", ".png", ".jpg", ".pdf")]
    return {str(path.relative_to(workspace)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_a_run_has_the_same_bytes_on_workers_that_do_not_see_the_workspace(nodes, context, unseen, tmp_path):
    inkproof("run", tmp_path / "alone", "--engine", "local")
    unseen.write_text(str(tmp_path))
    try:
        inkproof("run", tmp_path / "blind", "--engine", "ray", "--ray-address", nodes.address)
    finally:
        unseen.unlink()
    assert digests_of(tmp_path / "blind") == digests_of(tmp_path / "alone")


def test_a_run_has_the_same_bytes_on_a_cluster_that_loses_a_node(context, nodes, tmp_path):
    """Alone, in processes, and on the cluster, whose node is lost as soon as the run has written something."""

    def digests(name: str, *flags: str) -> dict[str, str]:
        inkproof("run", tmp_path / name, *flags)
        return digests_of(tmp_path / name)

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


def test_a_head_that_is_lost_ends_the_command_with_a_sentence_and_what_is_done_is_kept(unseen, tmp_path):
    """A cluster of its own, whose head is killed as soon as the run has made its first images; then it goes on without one."""
    from ray.cluster_utils import Cluster as Nodes

    inkproof("run", tmp_path / "alone", "--engine", "local")
    own = Nodes(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    flags = ["--workspace", str(tmp_path / "lost"), "-q", "--engine", "ray", "--ray-address", own.address]
    command = [sys.executable, "-m", "pipeline", "run", str(tmp_path / "run.toml"), *flags]
    place = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True) as running:
        while not list((tmp_path / "lost").rglob("images/fgsm-eps16/*.png")):
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.05)
        own.head_node.kill_gcs_server()
        lost_s = time.monotonic()
        told = next((line for line in running.stderr if line.startswith("inkproof:")), "nothing")
        took_s, code = time.monotonic() - lost_s, running.wait(60)
    own.shutdown()
    assert "The head of the Ray cluster does not answer any more. Type the same command again" in told
    assert code == Unavailable.exit_code and took_s < 15
    inkproof("run", tmp_path / "lost", "--engine", "local")
    assert digests_of(tmp_path / "lost") == digests_of(tmp_path / "alone")
    journal = [json.loads(line)["stage"] for line in (tmp_path / "lost/reports/same/journal.jsonl").read_text().splitlines()]
    assert len(journal) == len(set(journal)), "no stage that was done is done again"
