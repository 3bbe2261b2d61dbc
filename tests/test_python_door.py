"""`import inkproof`: quick to import, true to its documents, and the same results as a run."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import inkproof
from pipeline.core.errors import BadInput, Unavailable, WrongUse
from pipeline.records import Estimate
from pipeline.store.artefacts import PAIRS

ROOT = Path(__file__).parents[1]
EXPERIMENT = """
name = "signs"
seed = 3
[selection]
cases = ["average"]
[[attacks]]
name = "fgsm"
[transforms]
blur = [1]
[photograph]
profile = "office-phone-3mp"
[thresholds]
n_images = 0
[explain]
n_images = 0
[report]
n_gallery = 1
"""


@pytest.fixture(scope="module")
def drawn() -> tuple[Any, np.ndarray, np.ndarray]:
    model = inkproof.load_model("builtin:signs")
    return model, *inkproof.draw_images(inkproof.open_dataset("builtin:signs", model, n_images=32), model, 5)


def as_tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@pytest.mark.slow
def test_the_blocks_of_the_document_run_from_the_first_to_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "signs.toml").write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        assert 3 <= len(block.splitlines()) <= 6, block
        exec(block, names)
    assert names["accuracy"].rate == 1 and names["rate"].n_eligible > 0
    assert all(state.state == "done" for state in names["results"].states)
    assert len(names["photos"]) == 1 and list(names["frame"]) == list(names["rates"])
    capture = names["pages"][0].page.capture
    assert capture.page == 1 and capture.n_codes == 4 and capture.origin == "simulated" and len(names["crops"]) == 4


def test_every_name_is_documented_and_shown() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    for name in inkproof.__all__:
        assert (getattr(inkproof, name).__doc__ or "").strip(), name
        assert f"inkproof.{name}" in text, name


def test_the_import_is_quick_and_loads_nothing_that_is_slow() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import inkproof; took_s = time.perf_counter() - start\n"
        "print(took_s); print(sorted({'torch', 'numpy', 'cv2', 'PIL', 'pyarrow', 'pydantic', 'pandas'} & set(sys.modules)))"
    )
    best_s = 9.0
    for _ in range(3):
        told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        took_s, loaded = told.splitlines()
        best_s = min(best_s, float(took_s))
        assert loaded == "[]"
    assert best_s < 0.1


@pytest.mark.parametrize("name", ["fgsm", "patch"])
def test_an_attack_gives_what_it_is_given_within_its_budget(drawn: tuple[Any, np.ndarray, np.ndarray], name: str) -> None:
    model, images, labels = drawn
    options: dict[str, Any] = {"n_steps": 2} if name == "patch" else {}
    made = inkproof.attack(model, images, labels, name, 8, **options)
    assert made.dtype == np.uint8 and made.shape == images.shape and not np.array_equal(made, images)
    if name == "fgsm":
        assert np.abs(made.astype(int) - images).max() == 8
        of_tensor = inkproof.attack(model, as_tensor(images), labels, name, 8)
        assert torch.equal((of_tensor * 255).round(), as_tensor(made) * 255)
        np.testing.assert_array_equal(inkproof.attack(model, images[0], labels[:1], name, 8), made[0])


def test_an_attack_is_the_one_that_a_run_saves(finished: Path) -> None:
    results = inkproof.open_run("small", workspace=finished)
    pairs = [pair for pair in PAIRS.read(results.files) if (pair.attack, pair.epsilon_8bit) == ("fgsm", 16)][:2]
    read = [[inkproof_png(results, path) for path in (pair.clean_path, pair.adversarial_path)] for pair in pairs]
    model = inkproof.load_model("builtin:signs")
    made = inkproof.attack(model, np.stack([clean for clean, _ in read]), [pair.true_label for pair in pairs], "fgsm", 16)
    np.testing.assert_array_equal(made, np.stack([adversarial for _, adversarial in read]))


def inkproof_png(results: Any, path: str) -> np.ndarray:
    from pipeline.images import read_png

    return read_png(results.files.printouts / path)


def test_a_transform_draws_the_same_for_an_image_and_takes_either_kind(drawn: tuple[Any, np.ndarray, np.ndarray]) -> None:
    _, images, _ = drawn
    noisy = inkproof.transform(images, "noise", 10)
    np.testing.assert_array_equal(inkproof.transform(images[0], "noise", 10), noisy[0])
    assert torch.equal((inkproof.transform(as_tensor(images), "noise", 10) * 255).round(), as_tensor(noisy) * 255)
    assert not np.array_equal(inkproof.transform(images, "noise", 10, seed=1), noisy)


def test_a_photograph_keeps_size_and_gradient_and_follows_its_seed(drawn: tuple[Any, np.ndarray, np.ndarray]) -> None:
    _, images, _ = drawn
    seen = inkproof.photograph(images[:2])
    assert seen.dtype == np.uint8 and seen.shape == images[:2].shape
    np.testing.assert_array_equal(inkproof.photograph(images[:2]), seen)
    assert not np.array_equal(inkproof.photograph(images[:2], seed=1), seen)
    assert inkproof.photograph(images[0]).shape == images[0].shape
    tensor = as_tensor(images[:1]).requires_grad_()
    inkproof.photograph(tensor).sum().backward()
    assert tensor.grad is not None and tensor.grad.abs().sum() > 0


def test_a_destruction_rate_counts_probabilities_and_labels_alike() -> None:
    labels = [0, 1, 2, 0]
    clean, adversarial, after = np.array([0, 1, 2, 1]), np.array([1, 0, 2, 1]), np.array([0, 2, 2, 0])
    rate = inkproof.destruction_rate(labels, clean, adversarial, after)
    assert (rate.n_hit, rate.n_eligible, rate.rate) == (1, 2, 0.5)
    as_probabilities = [np.eye(3)[answers] for answers in (clean, adversarial, after)]
    assert inkproof.destruction_rate(labels, *as_probabilities) == rate
    assert inkproof.destruction_rate(labels, *as_probabilities, top_k=3).rate is None
    assert isinstance(inkproof.estimate([True, False], pages=[1, 1]), Estimate)


def test_a_network_of_torch_goes_in_as_it_is_and_stays_as_it_was() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).train()
    model = inkproof.load_model(network, input_px=16)
    assert model.n_classes == 4 and network.training and all(part.requires_grad for part in network.parameters())
    assert model.predict(np.zeros((2, 16, 16, 3), np.uint8)).shape == (2, 4)


def test_a_run_is_done_once_and_its_tables_are_typed(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = inkproof.open_run("small", workspace=finished)
    assert {"rates", "accuracies", "flags", "pairs", "captures", "predictions"} <= set(results.tables)
    rates = results.table("rates")
    assert {type(value) for value in rates["n_hit"]} == {int} and set(map(type, rates["destruction_rate"])) <= {float, type(None)}
    assert rates.rows[0]["attack"] == rates["attack"][0] and len(rates.frame()) == len(rates.rows)
    assert len(results.table("pairs")["pair_id"]) == len(PAIRS.read(results.files))
    with pytest.raises(WrongUse, match="rates"):
        results.table("rate")
    with pytest.raises(BadInput, match="small"):
        inkproof.open_run("smal", workspace=finished)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(Unavailable, match="pip install pandas"):
        rates.frame()


def test_photographs_of_a_run_are_read_as_its_crop_stage_reads_them(finished: Path) -> None:
    results = inkproof.open_run("small", workspace=finished)
    (first, *_) = sorted(results.files.photos.glob("*.jpg"))
    (found,) = inkproof.read_photos(results, [first])
    kept = dict(zip(*(results.table("views")[name] for name in ("view_id", "sha256")), strict=True))
    assert found.page.views and all(kept[view.view_id] == view.sha256 for view in found.page.views)
    with pytest.raises(BadInput, match="no such photo"):
        inkproof.read_photos(results, ["nowhere.jpg"])


def test_a_users_package_called_pipeline_can_use_the_door(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("number = 1\n")
    (tmp_path / "net.py").write_text(
        "import pipeline, inkproof\nassert pipeline.number == 1\ndef make(): return inkproof.load_model('builtin:signs').logits\n"
    )
    model = inkproof.load_model("python:net:make", python_path=str(tmp_path), input_px=112)
    assert model.n_classes == 32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, images: inkproof.attack(model, images, [0] * 5, "fgms"), "fgsm"),
        (lambda model, images: inkproof.attack(model, images, [0] * 5, "pgd", n_stps=3), "n_steps"),
        (lambda model, images: inkproof.attack(model, images, [0] * 5, epsilon_8bit=300), "1 to 255"),
        (lambda model, images: inkproof.transform(images, "blurr", 1), "blur"),
        (lambda model, images: inkproof.transform(images, "blur", -1), "0 to 50"),
        (lambda model, images: inkproof.load_model("builtin:signs", input=3), "input_px"),
        (lambda model, images: inkproof.open_dataset("bultin:signs", model), "builtin:signs"),
        (lambda model, images: inkproof.photograph(images, profile="ofice-phone"), "office-phone"),
    ],
)
def test_a_wrong_name_or_value_is_told_with_what_to_write(
    drawn: tuple[Any, np.ndarray, np.ndarray], call: Any, message: str
) -> None:
    with pytest.raises(WrongUse, match=message):
        call(*drawn[:2])


@pytest.mark.parametrize(
    "images", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), torch.zeros(1, 4, 4, 3), torch.full((1, 3, 4, 4), 2.0), "a.png"]
)
def test_images_of_another_kind_are_refused(images: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        inkproof.transform(images, "blur", 1)


@pytest.mark.slow
def test_the_notebook_runs_from_the_first_cell_to_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "examples" / "tour.ipynb", as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "reports" / "tour" / "report.html").is_file()
