"""What is sent to another machine goes with the files that it names, and is the same there without this machine's disk."""

import os
import pickle
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.travelling import packed, unpacked, worker_folder
from pipeline.models import load_classifier
from pipeline.models.sending import shared_classifier
from pipeline.settings import ModelSettings

NETWORK = """
from pathlib import Path
import torch
from layers import last

class Net(torch.nn.Module):
    def __init__(self, table):
        super().__init__()
        self.flat, self.last = torch.nn.Flatten(), last()
        self.last.weight.data += float(Path(table).read_text())

    def forward(self, x):
        return self.last(self.flat(x))

def load(table):
    return Net(table)
"""


@dataclass(frozen=True)
class Item:
    path: Path
    places: dict[str, Path]
    name: str


def sent(thing: object, root: Path, files: tuple[Path, ...] = ()):
    """Packs, takes away what lay here, and unpacks; the files' bytes wait in a list, as in an object store."""
    store: list[bytes] = []

    def put(content: bytes) -> int:
        store.append(content)
        return len(store) - 1

    parcel = packed(thing, files, put, pickle.Pickler)
    for path in parcel.files:
        os.rename(path, f"{path}.gone")
    return unpacked(parcel, root, store.__getitem__), parcel


def test_a_path_of_a_file_is_that_of_a_copy_with_its_name_and_bytes(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    for name in ("a.png", "b.png"):
        (here / name).write_bytes(name.encode())
    item = Item(here / "a.png", {"b": here / "b.png", "none": here / "none.png"}, str(here / "a.png"))
    found, parcel = sent(item, there)
    assert found.path.read_bytes() == b"a.png" and found.places["b"].read_bytes() == b"b.png"
    assert found.path == there / str(here / "a.png").lstrip("/") and found.places["none"] == here / "none.png"
    assert found.name == item.name, "a text is left alone unless its file was asked for"
    assert sorted(parcel.files) == [str(here / "a.png"), str(here / "b.png")]


def test_a_text_names_the_copy_where_its_file_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(b"net")
    texts = ["onnx:net.onnx", f"python:{tmp_path}/net.onnx:load", str(tmp_path), "net", "a:b", str(tmp_path / "other")]
    found, _ = sent(texts, tmp_path / "there", (Path("net.onnx"),))
    copied = f"{tmp_path}/there{tmp_path}"
    assert found == [f"onnx:{copied}/net.onnx", f"python:{copied}/net.onnx:load", copied, "net", "a:b", str(tmp_path / "other")]
    assert Path(copied, "net.onnx").read_bytes() == b"net"


def test_a_parcel_goes_by_another_name_when_a_file_changes(tmp_path):
    file = tmp_path / "weights"
    names = []
    for content in (b"1", b"2", b"1"):
        file.write_bytes(content)
        names.append(packed(partial(len, file), (), len, pickle.Pickler).name)
    assert names[0] == names[2] != names[1]


@pytest.mark.parametrize("is_relative", [False, True])
def test_a_users_network_is_the_same_where_its_files_are_not(is_relative, tmp_path, monkeypatch):
    """Its module, the module that this imports, a file among the factory's arguments, and the names of its classes."""
    monkeypatch.chdir(tmp_path)
    Path("layers.py").write_text("import torch\n\ndef last():\n    return torch.nn.Linear(192, 3)\n")
    Path("net.py").write_text(NETWORK)
    Path("shift.txt").write_text("0.25")
    Path("names.txt").write_text("a\nb\nc\n")
    base = Path() if is_relative else tmp_path
    settings = ModelSettings(
        name=f"python:{base / 'net.py'}:load", input_px=8, classes=str(base / "names.txt"), python_path=str(base),
        arguments={"table": str(base / "shift.txt")},
    )  # fmt: skip
    classifier = load_classifier(settings)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    before = classifier.predict(images)
    shared = shared_classifier(settings, classifier)
    found, parcel = sent(shared, tmp_path / "there", shared.files)
    assert {Path(path).name for path in parcel.files} == {"net.py", "layers.py", "shift.txt", "names.txt"}
    opened = found.opened()
    assert np.array_equal(opened.predict(images), before) and opened.fingerprint == classifier.fingerprint
    assert opened.class_names == ("a", "b", "c")


def test_a_trained_network_goes_with_its_folder(tmp_path):
    from pipeline.engine import Context
    from pipeline.settings.training import load_training
    from pipeline.training.run import train

    (tmp_path / "tiny.toml").write_text(
        'name = "tiny"\n[model]\nname = "network:softmax"\n[dataset]\nname = "builtin:signs"\nn_images = 20\n'
        "[training]\nn_epochs = 1\nn_validation = 4\n"
    )
    folder = tmp_path / "models" / "tiny"
    train(load_training(tmp_path / "tiny.toml"), folder, Context())
    settings = ModelSettings(name=f"trained:{folder}")
    classifier = load_classifier(settings)
    shared = shared_classifier(settings, classifier)
    found, _ = sent(shared, tmp_path / "there", shared.files)
    assert found.opened().fingerprint == classifier.fingerprint


def test_a_built_in_network_takes_nothing_along(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("signs").mkdir()
    Path("signs", "note.txt").write_text("a folder of the same name is not the network")
    settings = ModelSettings()
    shared = shared_classifier(settings, load_classifier(settings))
    assert shared.files == () and shared.arguments[0].name == "builtin:signs"


def test_what_a_worker_that_is_gone_left_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(process, 0)
    gone, young, alive = (tmp_path / f"inkproof-worker-{name}" for name in (f"{process}-a", f"{process}-b", f"{os.getpid()}-c"))
    for folder in (gone, young, alive):
        folder.mkdir()
        (folder / "weights").write_bytes(b"1")
    for folder in (gone, alive):
        os.utime(folder, (time.time() - 7200,) * 2)
    mine = worker_folder()
    assert mine.is_dir() and not gone.exists() and young.exists() and alive.exists()
