"""Whole runs: the loop closes, an interruption costs nothing, and a change reruns only what depends on it."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from kept_files import read_json, read_table
from PIL import ExifTags, Image

from pipeline.cli import main
from pipeline.core.errors import BadInput, Unavailable, Waiting, WrongUse
from pipeline.engine import Context, processes
from pipeline.exports import export
from pipeline.images import read_png
from pipeline.records import Capture, Discard, Pair, Prediction, View
from pipeline.settings import Experiment
from pipeline.settings.reading import load_experiment
from pipeline.stages import classify, thresholds
from pipeline.stages.graph import STAGES, run_all, run_stage, status, what_would_run
from pipeline.store import Run, locked, write_bytes
from pipeline.store.stage import StageStatus

CONTEXT = Context()


def opened(workspace: Path, *overrides: str):
    return load_experiment(workspace / "small.toml", overrides), Run(workspace, "small")


@pytest.fixture
def copy(tiny, tmp_path) -> Path:
    """A private copy of the tiny finished run, to change."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def run_up_to(stage: str, experiment: Experiment, run: Run, context: Context = CONTEXT) -> dict[str, StageStatus]:
    """Runs what can run up to a stage: the report costs more than all before it, and few tests look at it."""
    found = {}
    for state in run_all(experiment, run, context):
        found[state.stage] = state
        if state.stage == stage:
            break
    return found


def states(workspace: Path, *overrides: str) -> dict[str, str]:
    return {state.stage: state.state for state in status(*opened(workspace, *overrides))}


# Kept items are in the order in which they were made.
UNTOLD = ("items.sqlite", "journal.jsonl", "inkproof.log", ".hashes.json", ".being-made", ".is-made")


def tree(workspace: Path) -> dict[str, bytes]:
    files = (path for path in workspace.rglob("*") if path.is_file() and path.name not in UNTOLD)
    return {path.relative_to(workspace).as_posix(): path.read_bytes() for path in files}


def test_every_page_is_recognised_and_registered_within_half_a_pixel(finished):
    run = Run(finished, "small")
    captures = read_table(run.captures / "captures.parquet", Capture)
    layout = read_json(run.printouts / "layout.json")
    assert sorted(capture.page for capture in captures) == list(range(1, layout["n_pages"] + 1))
    assert all(capture.n_codes == 4 and capture.origin == "simulated" for capture in captures)
    views = read_table(run.captures / "views.parquet", View)
    assert len(views) == len(layout["placements"])
    assert np.sqrt(np.mean([view.registration_error_px**2 for view in views])) <= 0.5


def test_saved_images_stay_inside_the_ball(finished):
    run = Run(finished, "small")
    pairs = read_table(run.printouts / "pairs.parquet", Pair)
    assert {pair.epsilon_8bit for pair in pairs} == {4, 8, 16}
    for pair in pairs:
        clean, adversarial = (read_png(run.printouts / path).astype(int) for path in (pair.clean_path, pair.adversarial_path))
        assert np.abs(adversarial - clean).max() == pair.linf_8bit <= pair.epsilon_8bit


def test_every_rate_follows_from_the_predictions(finished):
    """Recounts Eq. 1 from the predictions alone, by another route than the rate stage."""
    run = Run(finished, "small")
    predictions = {row.view_id: row for row in read_table(run.reports / "predictions.parquet", Prediction)}
    views = {
        (v.transform, v.parameter, v.variant, v.pair_id or v.image_id): v for v in read_table(run.reports / "views.parquet", View)
    }
    pairs = read_table(run.printouts / "pairs.parquet", Pair)

    def right(transform, parameter, variant, subject, top_k):
        prediction = predictions[views[transform, parameter, variant, subject].view_id]
        return prediction.true_label in prediction.labels[:top_k]

    rows = read_json(run.reports / "rates.json")["destruction_rates"]
    assert {row["transform"] for row in rows} == {"photo", "blur", "noise", "jpeg"}
    for row in rows:
        cell = [p for p in pairs if (p.attack, p.epsilon_8bit) == (row["attack"], row["epsilon_8bit"]) and row["case"] in p.cases]
        works = [
            pair
            for pair in cell
            if right("source", None, "clean", pair.image_id, row["top_k"])
            and not right("source", None, "adversarial", pair.pair_id, row["top_k"])
        ]
        n_hit = sum(right(row["transform"], row["parameter"], "adversarial", pair.pair_id, row["top_k"]) for pair in works)
        assert (row["n_hit"], row["n_eligible"]) == (n_hit, len(works))


def test_prefiltered_pairs_are_confidently_right_and_confidently_wrong(finished):
    run = Run(finished, "small")
    predictions = {row.view_id: row for row in read_table(run.reports / "predictions.parquet", Prediction)}
    chosen = [pair for pair in read_table(run.printouts / "pairs.parquet", Pair) if "prefiltered" in pair.cases]
    assert chosen
    for pair in chosen:
        clean, adversarial = predictions[f"clean/{pair.image_id}/source"], predictions[f"{pair.pair_id}/source"]
        assert clean.labels[0] == pair.true_label and clean.probabilities[0] >= 0.8
        assert pair.true_label not in adversarial.labels and adversarial.probabilities[0] >= 0.8


def test_both_cases_and_every_cell_are_accounted_for(finished):
    fills = read_json(Run(finished, "small").printouts / "selection.json")["fills"]
    cells = {(fill["case"], fill["attack"], fill["epsilon_8bit"]) for fill in fills}
    assert cells == {(case, *cell) for case in ("average", "prefiltered") for cell in (("fgsm", 4), ("fgsm", 16), ("illc", 8))}
    assert all(fill["n_found"] == 3 for fill in fills if fill["case"] == "average")
    assert all(fill["n_tried"] == 40 for fill in fills if fill["n_found"] < 3)


def test_a_shared_draw_uses_one_set_of_images_and_a_fresh_draw_does_not(copy):
    def average_images(*overrides):
        experiment, run = opened(copy, "attacks.fgsm.epsilons_8bit=[4, 16]", *overrides)
        run_stage("select", experiment, run, CONTEXT)
        run_stage("generate", experiment, run, CONTEXT)
        cells = {}
        for pair in read_table(run.printouts / "pairs.parquet", Pair):
            cells.setdefault((pair.attack, pair.epsilon_8bit), set()).add(pair.image_id)
        return list(cells.values())

    shared = average_images()
    assert all(images == shared[0] for images in shared)
    fresh = average_images("selection.draw=per-cell")
    assert any(images != fresh[0] for images in fresh)


def test_a_finished_run_does_nothing(finished):
    before = tree(finished)
    assert set(states(finished).values()) == {"done"}
    assert [state.state for state in run_all(*opened(finished), CONTEXT)] == ["done"] * len(STAGES)
    assert tree(finished) == before


JUDGED = {"classify", "rate", "thresholds", "explain", "report"}
CHANGES = {
    "report-title": ("report.title=Other", {"report"}),
    "transform-grid": ("transforms.blur=[1]", {"transform", *JUDGED}),
    "strict": ("capture.strict=true", {"crop", *JUDGED}),
    "gallery": ("report.n_gallery=2", {"report"}),
    "profile": ("photograph.profile=ideal", {"photograph", "crop", *JUDGED}),
    "paper": ("layout.paper=Letter", {"layout", "photograph", "crop", *JUDGED}),
    "number-of-images": ("selection.n_images=2", None),
}


@pytest.mark.parametrize(("override", "affected"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_setting_makes_stale_only_what_depends_on_it(finished, override, affected):
    found = states(finished, override)
    expected = set(found) if affected is None else affected
    assert {name for name, state in found.items() if state != "done"} == expected
    assert {state.stage for state in what_would_run(*opened(finished, override))} == expected


def test_status_says_why(finished):
    reasons = {state.stage: state.reason for state in status(*opened(finished, "attacks.illc.epsilons_8bit=[12]"))}
    assert reasons["select"] == "attacks.illc.epsilons_8bit [8] → [12]"
    assert reasons["generate"] == "select is stale"


@pytest.mark.slow
def test_a_rerun_after_a_change_equals_a_fresh_run(tiny, copy):
    """Changed and changed back: what the other settings made is gone, and the rest is as in a run that never had them."""
    run_up_to("report", *opened(copy, "transforms.blur=[0.5, 2]", "report.n_gallery=2"))
    assert tree(copy) != tree(tiny)
    run_up_to("report", *opened(copy))
    assert tree(copy) == tree(tiny)


@pytest.mark.slow
def test_workers_that_hold_a_network_change_nothing(finished, tmp_path, monkeypatch):
    """Neither those that read files nor those that load the network, which get all that there is of several items."""
    asked = []

    def noted(self, function, items, recipe, mapped=processes._Workers.map):
        asked.append(bool(recipe))
        return mapped(self, function, items, recipe)

    monkeypatch.setattr(processes._Workers, "map", noted)
    monkeypatch.setattr(processes.Processes, "_until_it_is_worth", lambda *_: iter(()))
    monkeypatch.setattr(processes, "peak_bytes", lambda: 1)
    monkeypatch.setattr(classify, "_LEAST_VIEWS", 32)
    monkeypatch.setattr(classify, "_MOST_VIEWS", 32)
    monkeypatch.setattr(thresholds, "IMAGES_AT_ONCE", 4)
    shutil.copy(finished / "small.toml", tmp_path)
    list(run_all(*opened(tmp_path), Context(workers=2)))
    assert tree(tmp_path) == tree(finished)
    # classify, thresholds and explain with the network; photograph and crop without
    assert (asked.count(True), asked.count(False)) == (3, 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_network_on_another_device_is_shown_what_workers_make_and_says_the_same(copy, workers):
    """The CPU under another name is not where work begins with the network in every worker."""
    before = tree(copy / "reports")
    experiment, run = opened(copy)
    run_stage("classify", experiment, run, Context(device="cpu:0", workers=workers), force=True)
    after = tree(copy / "reports")
    for name in ("small/views.parquet", "small/predictions.parquet"):
        assert after[name] == before[name]


def test_packed_pictures_change_nothing_and_come_out_as_they_were(tiny, tmp_path, monkeypatch):
    shutil.copy(tiny / "small.toml", tmp_path)
    monkeypatch.setattr("pipeline.store.pictures.PACKED_ABOVE", 1)
    monkeypatch.setattr("pipeline.store.pictures.IN_A_SHARD", 2)
    experiment, run = opened(tmp_path)
    run_up_to("report", experiment, run, CONTEXT)
    plain, packed = tree(tiny), tree(tmp_path)
    pictures = {name for name in plain if name.startswith("printouts/small/images/")}
    shards = {name for name in packed if name.startswith("printouts/small/images/")}
    assert shards and all(name.endswith(".zip") for name in shards)
    kept = {name for name in plain.keys() - pictures if "/.stages/" not in name}
    assert kept == {name for name in packed.keys() - shards if "/.stages/" not in name}
    assert [name for name in sorted(kept) if packed[name] != plain[name]] == []
    export("images", experiment, run, str(tmp_path / "out"))
    out = tree(tmp_path / "out")
    assert {f"printouts/small/{name}": content for name, content in out.items()} == {name: plain[name] for name in pictures}
    assert {state.state for state in status(*opened(tmp_path))} == {"done"}


@pytest.fixture(params=["tiny", pytest.param("finished", marks=pytest.mark.slow)])
def made(request) -> Path:
    """The tiny finished run, and among the slow tests the small one too."""
    return request.getfixturevalue(request.param)


@pytest.mark.slow
def test_workers_change_nothing(made, tmp_path):
    shutil.copy(made / "small.toml", tmp_path)
    run_up_to("report", *opened(tmp_path), Context(workers=2))
    assert tree(tmp_path) == tree(made)


# The run is killed as soon as the first file of each pattern appears, one after the other, and goes on each time.
KILL_POINTS = (
    "printouts/small/.items/select-*/*",
    "printouts/small/.items/craft-*/*",
    "printouts/small/images/fgsm-eps16/*.png",
    "captures/small/photos/*.jpg",
    "captures/small/views/photo/*/*.png",
    "captures/small/.items/transform-*/*",
    "reports/small/.items/classify-*/*",
    "reports/small/rates.csv",
    "reports/small/.items/thresholds-*/*",
)


def appears(pattern: str, workspace: Path, is_running: Callable[[], bool]) -> bool:
    """Waits for the first file of a pattern; whether the run was still at work then."""
    deadline = time.monotonic() + 120
    while not any(workspace.glob(pattern)) and is_running() and time.monotonic() < deadline:
        time.sleep(0.005)
    return is_running()


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(tiny, tmp_path):
    """Each process is forked from one that has imported everything, which is what would take most of the time."""
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(
        ["pipeline.cli", "pipeline.stages.graph", "pipeline.document.figures", "torch", "scipy.optimize"]
    )
    shutil.copy(tiny / "small.toml", tmp_path)
    command = ["run", str(tmp_path / "small.toml"), "--workspace", str(tmp_path), "--workers", "1", "-q"]
    for pattern in KILL_POINTS[::2]:
        process = forked.Process(target=main, args=(command,))
        process.start()
        assert appears(pattern, tmp_path, process.is_alive), f"the run ended before {pattern} appeared"
        process.kill()
        process.join()
    assert main(command) == 0
    assert tree(tmp_path) == tree(tiny)


@pytest.mark.slow
def test_the_command_with_workers_may_be_killed_too(finished, tmp_path):
    shutil.copy(finished / "small.toml", tmp_path)
    command = [sys.executable, "-m", "pipeline", "run", "small.toml", "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for pattern in KILL_POINTS:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        is_running = appears(pattern, tmp_path, lambda process=process: process.poll() is None)
        assert is_running, f"the run ended before {pattern} appeared"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False).returncode == 0
    assert tree(tmp_path) == tree(finished)


def test_three_new_photos_cost_three_photos(copy, monkeypatch):
    experiment, run = opened(copy)
    photo = next(run.photos.glob("*.jpg"))
    for number in range(3):
        write_bytes(run.photos / f"again-{number}.jpg", photo.read_bytes() + bytes([number]))
    from pipeline.stages import crop as stage

    read = []
    original = stage.read_file
    monkeypatch.setattr(stage, "read_file", lambda item, **rest: read.append(item.name) or original(item, **rest))
    run_stage("crop", experiment, run, CONTEXT)
    assert sorted(read) == [f"again-{number}.jpg" for number in range(3)]


def as_if_taken(workspace: Path) -> tuple[Experiment, Run]:
    """Gives the simulated photographs other names, and returns the run as that of a person who photographs."""
    experiment, run = opened(workspace, "photograph.by=camera")
    for number, path in enumerate(sorted(run.photos.glob("simulated-*.jpg")), start=1):
        path.rename(run.photos / f"IMG_{number}.jpg")
    return experiment, run


def discards_of(run: Run) -> dict[str, str]:
    return {row.photo: row.reason for row in read_table(run.captures / "discards.parquet", Discard)}


def test_every_bad_photo_is_listed_with_its_reason_and_the_good_ones_are_kept(copy):
    experiment, run = as_if_taken(copy)
    good = sorted(run.photos.glob("*.jpg"))
    whole = good[0].read_bytes()
    write_bytes(run.photos / "truncated.jpg", whole[: len(whole) // 3])
    write_bytes(run.photos / "letter.jpg", b"Dear reader,\n")
    write_bytes(run.photos / "empty.jpg", b"")
    write_bytes(run.photos / "copy.jpg", whole)
    write_bytes(run.photos / "table.png", (run.printouts / "images" / "clean").glob("*.png").__next__().read_bytes())
    run_stage("crop", experiment, run, CONTEXT)
    found = discards_of(run)
    assert found["truncated.jpg"] == found["letter.jpg"] == found["empty.jpg"] == "unreadable"
    assert found["table.png"] == "no-code"
    assert "duplicate" in found.values() and len(found) == 5
    assert sum(capture.counts for capture in read_table(run.captures / "captures.parquet", Capture)) == len(good)


@pytest.mark.slow
def test_a_photo_of_another_run_is_refused(copy, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(copy / "small.toml", other)
    for stage in ("select", "generate", "layout", "photograph"):
        run_stage(stage, *opened(other, 'selection.cases=["average"]', "selection.n_images=1", "seed=8"), CONTEXT)
    experiment, run = opened(copy)
    write_bytes(run.photos / "stranger.jpg", next(Run(other, "small").photos.glob("*.jpg")).read_bytes())
    run_stage("crop", experiment, run, CONTEXT)
    assert discards_of(run)["stranger.jpg"] == "other-run"


def test_photos_without_any_page_give_digital_results_and_a_list(copy):
    experiment, run = opened(copy, "photograph.by=camera")
    shutil.rmtree(run.photos)
    write_bytes(run.photos / "nothing.png", next((run.printouts / "images" / "clean").glob("*.png")).read_bytes())
    found = {state.stage: state for state in run_all(experiment, run, CONTEXT)}
    assert found["crop"].state == "done" and found["crop"].summary["missing_pages"]
    assert found["report"].state == "done"
    assert not any(row["transform"] == "photo" for row in read_json(run.reports / "rates.json")["destruction_rates"])


def test_with_a_camera_the_run_stops_at_the_person_and_goes_on_when_the_photos_are_there(copy):
    experiment, run = opened(copy, "photograph.by=camera")
    kept = {path.name: path.read_bytes() for path in run.photos.glob("*.jpg")}
    shutil.rmtree(run.photos)
    found = {state.stage: state.state for state in run_all(experiment, run, CONTEXT)}
    assert (found["photograph"], found["crop"], found["report"]) == ("waiting", "waiting", "done")
    with pytest.raises(Waiting, match="photos"):
        run_stage("crop", experiment, run, CONTEXT)
    for number, content in enumerate(kept.values()):
        write_bytes(run.photos / f"IMG_{900 - number}.jpg", content)
    found = {state.stage: state.state for state in run_all(experiment, run, CONTEXT)}
    assert set(found.values()) == {"done"}
    assert any(row["transform"] == "photo" for row in read_json(run.reports / "rates.json")["destruction_rates"])


def test_photos_of_a_real_camera_are_read_turned_or_not_and_never_called_simulated(copy):
    experiment, run = opened(copy, "photograph.by=camera")
    photos = sorted(run.photos.glob("*.jpg"))
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model], exif[ExifTags.Base.Orientation] = "Acme", "Phone 9", 6
    sizes = []
    for number, path in enumerate(photos):
        with Image.open(path) as photo:
            sizes.append(photo.size)
            photo.transpose(Image.Transpose.ROTATE_90).save(run.photos / f"IMG_{number}.jpeg", quality=92, exif=exif)
        path.unlink()
    list(run_all(experiment, run, CONTEXT))
    captures = read_table(run.captures / "captures.parquet", Capture)
    assert len(captures) == len(photos)
    for capture in captures:
        assert (capture.device, capture.origin, capture.n_codes, capture.counts) == ("Acme Phone 9", "camera", 4, True)
    assert sorted((capture.width_px, capture.height_px) for capture in captures) == sorted(sizes)
    rows = read_json(run.reports / "rates.json")["destruction_rates"]
    assert {row["origin"] for row in rows if row["transform"] == "photo"} == {"camera"}
    with pypdfium2.PdfDocument(run.reports / "report.pdf") as report:
        text = "".join(page.get_textpage().get_text_range() for page in report)
    assert "SIMULATED" not in text


def test_the_simulators_photos_do_not_stand_in_for_a_cameras(copy):
    found = {state.stage: state.state for state in status(*opened(copy, "photograph.by=camera"))}
    assert (found["photograph"], found["crop"]) == ("waiting", "waiting")
    assert found["classify"] == "stale"
    run_up_to("rate", *opened(copy, "photograph.by=camera"))
    rows = read_json(Run(copy, "small").reports / "rates.json")["destruction_rates"]
    assert not any(row["transform"] == "photo" for row in rows)


def test_a_real_photo_counts_before_a_simulated_one(copy):
    experiment, run = as_if_taken(copy)
    path = sorted(run.photos.glob("*.jpg"))[0]
    with Image.open(path) as photo:
        photo.resize((photo.width // 2, photo.height // 2)).save(run.photos / "real.jpg", quality=80)
    run_stage("crop", experiment, run, CONTEXT)
    counts = {
        capture.photo: (capture.origin, capture.counts) for capture in read_table(run.captures / "captures.parquet", Capture)
    }
    assert counts["real.jpg"] == ("camera", True) and counts[path.name] == ("simulated", False)


def test_a_crop_that_was_changed_by_hand_is_made_again(copy):
    experiment, run = opened(copy)
    first, second, *_ = sorted((run.captures / "views" / "photo").rglob("*.png"))
    before = first.read_bytes()
    first.write_bytes(second.read_bytes())
    run_stage("crop", experiment, run, CONTEXT)
    assert first.read_bytes() == before


def test_force_makes_the_items_again_too(copy, monkeypatch):
    experiment, run = opened(copy)
    from pipeline.stages import crop as stage

    read = []
    original = stage.read_file
    monkeypatch.setattr(stage, "read_file", lambda item, **rest: read.append(item.name) or original(item, **rest))
    run_stage("crop", experiment, run, CONTEXT, force=True)
    assert len(read) == len(list(run.photos.glob("*.jpg")))


def test_strict_discards_a_photo_with_a_code_that_cannot_be_read(copy):
    _, run = opened(copy)
    path = sorted(run.photos.glob("*.jpg"))[0]
    codes = [
        code for code in read_json(run.printouts / "layout.json")["fiducials"] if code["page"] == 1 and code["corner"] == "BL"
    ]
    truth = np.reshape(read_json(run.captures / "truth/page-001.json")["photo_from_page"], (3, 3))
    x, y, w = truth @ (codes[0]["x_mm"] + codes[0]["size_mm"] / 2, codes[0]["y_mm"] + codes[0]["size_mm"] / 2, 1)
    with Image.open(path) as photo:
        photo.paste((90, 60, 30), (int(x / w) - 150, int(y / w) - 150, int(x / w) + 150, int(y / w) + 150))
        photo.save(run.photos / "covered.jpg", quality=90)
    path.unlink()
    lenient, strict = opened(copy, "photograph.by=camera"), opened(copy, "photograph.by=camera", "capture.strict=true")
    for other in run.photos.glob("simulated-*.jpg"):
        other.unlink()
    run_stage("crop", *lenient, CONTEXT)
    assert "covered.jpg" not in discards_of(run) and read_table(run.captures / "captures.parquet", Capture)[0].n_codes == 3
    run_stage("crop", *strict, CONTEXT)
    assert discards_of(run)["covered.jpg"] == "missing-code"


def test_the_arguments_of_a_factory_are_part_of_the_model(tmp_path, small_file):
    (tmp_path / "mine.py").write_text(
        "import torch\n\n\ndef make(roll):\n    def answer(x):\n"
        "        return x.mean((2, 3)).repeat(1, 11).roll(roll, 1)[:, :32]\n    return answer\n",
        encoding="utf-8",
    )
    shared = ("model.name=python:mine:make", "model.python_path=.", "model.input_px=32", 'selection.cases=["average"]')

    def fingerprint(roll):
        experiment = load_experiment(small_file, (*shared, f"model.arguments.roll={roll}"))
        run_stage("select", experiment, Run(tmp_path, "small"), CONTEXT)
        return read_json(Run(tmp_path, "small").printouts / "selection.json")["model"]["fingerprint"]

    assert fingerprint(0) != fingerprint(1)


def test_a_run_that_another_process_works_on_is_left_alone(tmp_path, small_file):
    run = Run(tmp_path, "small")
    with locked(run), pytest.raises(Unavailable, match="Another inkproof"):
        run_stage("select", load_experiment(small_file), run, CONTEXT)
    assert not (run.printouts / "selection.json").exists()


def test_a_stage_out_of_order_says_what_comes_first(tmp_path, small_file):
    with pytest.raises(WrongUse, match="inkproof run"):
        run_stage("crop", load_experiment(small_file), Run(tmp_path, "small"), CONTEXT)


def test_an_edited_clean_image_is_noticed(copy):
    experiment, run = opened(copy)
    first, second, *_ = sorted((run.printouts / "images" / "clean").glob("*.png"))
    first.write_bytes(second.read_bytes())
    assert states(copy)["select"] == "stale"
    from pipeline.stages.generate import generate

    with pytest.raises(BadInput, match="not the image that was drawn"):
        generate(experiment, run, CONTEXT)


def test_transformed_images_are_kept_as_files_when_asked(copy):
    experiment, run = opened(copy, "transforms.save_images=true")
    run_stage("transform", experiment, run, CONTEXT)
    views = read_table(run.captures / "transforms.parquet", View)
    from pipeline.images import pixels_sha256

    assert views and all(pixels_sha256(read_png(run.captures / view.path)) == view.sha256 for view in views)


def test_the_records_name_no_folder_of_this_machine(finished):
    for name, content in tree(finished).items():
        assert str(finished).encode() not in content, name
    assert json.loads((finished / "printouts/small/.stages/select.json").read_text())["stage"] == "select"


def test_a_model_without_gradients_is_refused_before_anything_is_attacked(tmp_path, small_file):
    (tmp_path / "blind.py").write_text(
        "import torch\n\n\nclass Blind(torch.nn.Module):\n    def forward(self, x):\n        return x.mean((2, 3)).detach()\n",
        encoding="utf-8",
    )
    settings = ("model.name=python:blind:Blind", "model.python_path=.", "model.input_px=32")
    with pytest.raises(WrongUse, match="gives predictions only, and fgsm, illc need gradients"):
        run_stage("select", load_experiment(small_file, settings), Run(tmp_path, "small"), CONTEXT)


def test_unreadable_images_of_a_folder_are_listed_and_the_others_used(tmp_path, small_file):
    from pipeline.images import png_bytes
    from pipeline.signs.dataset import CLASS_NAMES, SignsDataset

    signs = SignsDataset(6)
    for number in range(6):
        write_bytes(tmp_path / "mine" / CLASS_NAMES[signs.label(number)] / f"{number}.png", png_bytes(signs.image(number)))
    write_bytes(tmp_path / "mine" / CLASS_NAMES[0] / "broken.png", png_bytes(signs.image(0))[:200])
    write_bytes(tmp_path / "mine" / CLASS_NAMES[0] / "letter.jpg", b"Dear reader,")
    experiment = load_experiment(small_file, ("dataset.name=folder:mine", 'selection.cases=["average"]'))
    found = run_stage("select", experiment, Run(tmp_path, "small"), CONTEXT)
    assert found.summary["n_candidates"] == 6 and found.summary["n_rejected"] == 2
    assert sum("broken" in note or "letter" in note for note in found.summary["notes"]) == 2
