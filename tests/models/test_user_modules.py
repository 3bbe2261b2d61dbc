"""A user's own modules: their names are found first, nobody else sees them, and every file that was imported counts."""

import importlib
import os
import pickle
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pipeline.models
from pipeline.core.errors import BadInput
from pipeline.models import load_classifier
from pipeline.models.classifier import Classifier
from pipeline.settings import ModelSettings

NET = """
import torch
class Net(torch.nn.Module):
    def forward(self, x):
        {forward}
def make():
    {make}
    return Net()
"""
PLAIN = "return torch.stack([x.mean((1, 2, 3)) * number, x.amax((1, 2, 3))], 1)"


def write(folder: Path, texts: dict[str, str]) -> Path:
    """Writes modules, under paths without .py."""
    for name, text in texts.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def net(forward: str = PLAIN, make: str = "pass", imports: str = "") -> str:
    return imports + "\n" + NET.format(forward=forward, make=make)


def load(folder: Path, name: str = "net:make", **arguments: Any) -> Classifier:
    return load_classifier(ModelSettings(name=f"python:{name}", python_path=str(folder), input_px=8, arguments=arguments))


def number_of(classifier: Classifier) -> float:
    grey = torch.full((1, 3, 8, 8), 0.5)
    return round(float(classifier.logits(grey)[0, 0]) / 0.5, 3)


IMPORTS = {
    "a module": ("from helper import number", PLAIN, "pass"),
    "a package": ("from parts.sub import number", PLAIN, "pass"),
    "a name of a package": ("import parts.sub as sub", f"number = sub.number; {PLAIN}", "pass"),
    "relative, within a package": ("from parts import number", PLAIN, "pass"),
    "a star": ("from helper import *", PLAIN, "pass"),
    "in the factory": ("", PLAIN, "global number; from helper import number"),
    "at the first image": ("", f"from helper import number; {PLAIN}", "pass"),
    "by name in the factory": (
        "import importlib",
        PLAIN,
        "global number; number = importlib.import_module('parts.sub').number",
    ),
    "by name at every image": ("import importlib", f"number = importlib.import_module('helper').number; {PLAIN}", "pass"),
}
HELPERS = {
    "helper": "number = 3\n",
    "parts/__init__": "from .sub import number\n",
    "parts/sub": "from deeper import number\n",
    "deeper": "number = 3\n",
    "unused": "raise RuntimeError('nobody asked for this')\n",
}


@pytest.mark.parametrize("way", IMPORTS)
def test_every_module_that_was_imported_counts_and_no_other(tmp_path: Path, way: str) -> None:
    imports, forward, make = IMPORTS[way]
    write(tmp_path, {"net": net(forward, make, imports), **HELPERS})
    classifier = load(tmp_path)
    assert number_of(classifier) == 3
    names = {path.relative_to(tmp_path).as_posix() for path in classifier.sources}
    uses_package = "parts" in imports + make
    assert names == {"net.py"} | ({"parts/__init__.py", "parts/sub.py", "deeper.py"} if uses_package else {"helper.py"})
    write(tmp_path, {"unused": "other = 1\n"})
    assert load(tmp_path).fingerprint == classifier.fingerprint
    write(tmp_path, {"deeper" if uses_package else "helper": "number = 5\n"})
    mended = load(tmp_path)
    assert number_of(mended) == 5 and mended.fingerprint != classifier.fingerprint
    assert number_of(classifier) == 3


def test_an_edit_within_the_same_second_and_of_the_same_length_is_seen(tmp_path: Path) -> None:
    write(tmp_path, {"net": net(imports="from helper import number"), "helper": "number = 3\n"})
    first, stamp = load(tmp_path), (tmp_path / "helper.py").stat()
    write(tmp_path, {"helper": "number = 7\n"})
    os.utime(tmp_path / "helper.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert (number_of(first), number_of(load(tmp_path))) == (3, 7)
    assert not list(tmp_path.rglob("*.pyc"))


def test_modules_that_stay_as_they_are_run_once_and_their_lists_are_not_filled_twice(tmp_path: Path) -> None:
    make = "import registry; registry.known.append(1); global number; number = len(registry.known)"
    write(tmp_path, {"net": net(make=make), "registry": "known = []\n"})
    assert [number_of(load(tmp_path)) for _ in range(2)] == [1, 2]


OURS_OR_FREE, INSTALLED = ("pipeline", "inkproof", "utils"), ("qrcode", "captum")


@pytest.mark.parametrize("when", ["at the top", "at every image"])
@pytest.mark.parametrize(
    ("name", "kind"),  # a folder without __init__.py gives way to an installed package, as in Python
    [(name, kind) for kind in ("module", "package") for name in OURS_OR_FREE + INSTALLED]
    + [(name, "folder") for name in OURS_OR_FREE],
)
def test_a_users_module_may_be_called_like_ours_or_an_installed_one(tmp_path: Path, name: str, kind: str, when: str) -> None:
    importlib.import_module("qrcode")
    place = {"module": name, "package": f"{name}/__init__", "folder": f"{name}/sub"}[kind]
    statement = f"from {name}.sub import number" if kind == "folder" else f"from {name} import number"
    text = net(PLAIN if when == "at the top" else f"{statement}; {PLAIN}", imports=statement if when == "at the top" else "")
    write(tmp_path, {"net": text, place: "number = 4\n"})
    before, path = dict(sys.modules), list(sys.path)
    classifier = load(tmp_path)
    assert number_of(classifier) == 4 and tmp_path / f"{place}.py" in classifier.sources
    assert sys.path == path
    assert all(sys.modules.get(key) is module for key, module in before.items())
    assert not [key for key, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]
    assert importlib.import_module("pipeline").__path__ == list(pipeline.__path__)


def test_what_an_installed_package_imports_is_never_the_users(tmp_path: Path) -> None:
    installed = write(
        tmp_path / "site-packages", {"package/__init__": "import utils\nnumber = utils.number\n", "utils": "number = 2\n"}
    )
    write(
        tmp_path / "code",
        {"net": net(imports="import utils, package\nnumber = utils.number + package.number"), "utils": "number = 30\n"},
    )
    sys.path.insert(0, str(installed))
    try:
        assert number_of(load(tmp_path / "code")) == 32
        assert sys.modules["utils"].number == 2
    finally:
        sys.path.remove(str(installed))
        for name in ("package", "utils"):
            sys.modules.pop(name, None)


def test_two_models_with_equal_names_each_get_their_own(tmp_path: Path) -> None:
    for number in (1, 2):
        write(
            tmp_path / str(number),
            {"net": net(imports="from models.parts import number"), "models/parts": f"number = {number}\n"},
        )
    first, second = load(tmp_path / "1"), load(tmp_path / "2")
    assert (number_of(first), number_of(second), number_of(load(tmp_path / "1"))) == (1, 2, 1)
    assert first.fingerprint != second.fingerprint and not set(first.sources) & set(second.sources)


def test_the_built_in_network_is_found_by_a_user_without_an_own_pipeline(tmp_path: Path) -> None:
    text = "from pipeline.models import signs_net\ndef make(): return signs_net.load()\n"
    write(tmp_path, {"net": text})
    classifier = load_classifier(ModelSettings(name="python:net:make", python_path=str(tmp_path), input_px=112))
    assert classifier.n_classes == 32 and [path.name for path in classifier.sources] == ["net.py"]


def test_a_path_that_the_code_adds_is_followed_while_its_models_run(tmp_path: Path) -> None:
    imports = "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\nfrom utils import number"
    write(tmp_path, {"net": net(f"import later; {PLAIN}", imports=imports), "lib/utils": "number = 6\n", "lib/later": ""})
    path = list(sys.path)
    classifier = load(tmp_path)
    assert number_of(classifier) == 6 and sys.path == path
    assert {path.name for path in classifier.sources} == {"net.py", "utils.py", "later.py"}


def test_a_module_beside_a_file_and_on_the_path_of_python_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path / "here", {"net": net(imports="from helper import half\nfrom lab.numbers import number"), "helper": "half = 1\n"}
    )
    write(tmp_path / "there", {"lab/numbers": "number = 8\n"})
    monkeypatch.syspath_prepend(str(tmp_path / "there"))
    classifier = load_classifier(ModelSettings(name=f"python:{tmp_path}/here/net.py:make", input_px=8))
    assert number_of(classifier) == 8
    assert [path.name for path in classifier.sources] == ["helper.py", "numbers.py", "net.py"]
    assert "lab" not in sys.modules


def test_a_pickled_network_finds_its_classes(tmp_path: Path) -> None:
    make = "import pickle, pathlib\ndef make(path): return pickle.loads(pathlib.Path(path).read_bytes())\n"
    write(tmp_path, {"models/parts": net(imports="number = 9"), "net": make})
    code = "import pickle, models.parts; pickle.dump(models.parts.make(), open('net.pickle', 'wb'))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    classifier = load(tmp_path, path=str(tmp_path / "net.pickle"))
    assert number_of(classifier) == 9 and "parts.py" in [path.name for path in classifier.sources]


def test_a_copy_in_another_process_is_loaded_there_again(tmp_path: Path) -> None:
    write(tmp_path, {"net": net(f"from pipeline import number; {PLAIN}"), "pipeline": "number = 4\n"})
    classifier = load(tmp_path)
    (tmp_path / "classifier").write_bytes(pickle.dumps(classifier))
    code = (
        "import pickle, sys, torch; sys.path.append(sys.argv[2]); c = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(c.fingerprint, float(c.logits(torch.full((1, 3, 8, 8), 0.5))[0, 0]))"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "classifier"), str(Path(__file__).parents[1])]
    told = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()
    assert told == [classifier.fingerprint, "2.0"]


def test_a_compiled_network_is_compiled_again_for_another_batch(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "net": net("return helper.scores(x)", imports="import helper"),
            "helper": "import torch\ndef scores(x): return torch.stack([x.mean((1, 2, 3)), x.amax((1, 2, 3))], 1)\n",
        },
    )
    write(tmp_path, {"outer": "import torch, net\ndef make(): return torch.compile(net.Net(), backend='eager', dynamic=False)\n"})
    classifier = load(tmp_path, "outer:make")
    assert [len(classifier.logits(torch.rand(n, 3, 8, 8))) for n in (1, 2, 5)] == [1, 2, 5]


def test_a_scripted_network_and_one_with_a_dataclass_load(tmp_path: Path) -> None:
    imports = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom helper import number\n"
        "@dataclass\nclass Options:\n    n: 'int' = 3"
    )
    write(
        tmp_path,
        {"net": net("return torch.stack([x.mean((1, 2, 3)), x.amax((1, 2, 3))], 1)", imports=imports), "helper": "number = 1"},
    )
    write(
        tmp_path,
        {"scripted": "import torch, net\ndef make():\n    made = torch.jit.script(net.Net())\n    return lambda x: made(x)"},
    )
    assert number_of(load(tmp_path, "scripted:make")) == 1


def test_a_compiled_module_counts_and_loads_a_second_time(tmp_path: Path) -> None:
    source = Path(importlib.import_module("_heapq").__file__ or "")
    if not source.is_file():
        pytest.skip("this Python has no compiled module in a file")
    name = f"fast{sysconfig.get_config_var('EXT_SUFFIX')}"
    folder = write(tmp_path / "code", {"net": net(imports="import _heapq\nnumber = 1")})
    (folder / name.replace("fast", "_heapq")).write_bytes(source.read_bytes())
    classifier = load(folder)
    assert [path.name for path in classifier.sources] == [name.replace("fast", "_heapq"), "net.py"]
    write(folder, {"net": net(imports="import _heapq\nnumber = 2")})
    assert number_of(load(folder)) == 2


@pytest.mark.parametrize(
    ("texts", "place"),
    [
        ({"net": "x = 1\nimport helper\n", "helper": "\nraise ValueError('no')\n"}, "helper.py, line 2"),
        ({"net": "import helper\n", "helper": "def f(:\n"}, "helper.py, line 1"),
        ({"net": "\nimport no_such_module_here\n"}, "net.py, line 2"),
        ({"net": "import parts.missing\n", "parts/__init__": ""}, "net.py, line 1"),
        ({"net": net(make="import helper; helper.f()"), "helper": "def f():\n    return {}['k']\n"}, "helper.py, line 2"),
        ({"net": net("raise RuntimeError('odd')", imports="")}, "net.py, line 6"),
        ({"net": "import sys\nsys.exit(3)\n"}, "net.py, line 2"),
        ({"net": net(make="raise SystemExit('no GPU')")}, "no GPU"),
        ({"net": net("raise SystemExit(1)", imports="")}, "it ends the program, with 1"),
    ],
    ids=["import", "syntax", "missing", "missing in a package", "factory", "image", "exit", "exit in factory", "exit at image"],
)
def test_an_error_in_a_users_code_is_one_sentence_with_its_line(tmp_path: Path, texts: dict[str, str], place: str) -> None:
    write(tmp_path, texts)
    with pytest.raises(BadInput) as caught:
        load(tmp_path)
    assert place in str(caught.value) and "\n" not in str(caught.value)


def test_an_error_at_a_later_image_is_one_sentence_too(tmp_path: Path) -> None:
    write(tmp_path, {"net": net(f"if len(x) == 3: raise RuntimeError('three')\n        {PLAIN}", imports="number = 1")})
    classifier = load(tmp_path)
    with pytest.raises(BadInput, match=r"three \(.*net\.py, line 6\)"):
        classifier.logits(torch.rand(3, 3, 8, 8))
    assert np.isfinite(classifier.predict(np.zeros((3, 8, 8, 3), np.uint8))).all()


def test_a_users_own_thread_finds_the_users_modules(tmp_path: Path) -> None:
    forward = (
        """with ThreadPoolExecutor(1) as pool: number = pool.submit(importlib.import_module, 'helper').result().number
        """
        + PLAIN
    )
    write(
        tmp_path,
        {
            "net": net(forward, imports="import importlib\nfrom concurrent.futures import ThreadPoolExecutor"),
            "helper": "number = 4",
        },
    )
    assert number_of(load(tmp_path)) == 4
