"""What a result depends on: all that can change it, and nothing else."""

import os
import random
import shutil
import time
from pathlib import Path

import pytest
from kept_files import item_names

from pipeline.engine import Context
from pipeline.images import png_bytes
from pipeline.settings.reading import load_experiment
from pipeline.signs.dataset import CLASS_NAMES, SignsDataset
from pipeline.stages.graph import STAGES, run_all, run_stage, status
from pipeline.store import Run, write_bytes
from pipeline.store.artefacts import CAPTURED, CERTIFIED, COUNTED, Artefact, Folder
from tests.stages.test_flow import CONTEXT, copy, discards_of, made, opened, run_up_to, tree

__all__ = ["copy", "made"]
NOT_TEXT = os.fsdecode(b"caf\xe9")


def signs_in(folder: Path, names: str = "{label}/{number}.png") -> list[tuple[str, str]]:
    """Writes eight pictures of signs and returns (path, class) of each."""
    signs = SignsDataset(8)
    rows = []
    for number in range(8):
        label = CLASS_NAMES[signs.label(number)]
        rows.append((names.format(label=label, number=number), label))
        write_bytes(folder / rows[-1][0], png_bytes(signs.image(number)))
    return rows


def names_of(folder: Path, stage: str) -> set[str]:
    """Returns the names of the items that a stage keeps."""
    return {name for kept in folder.glob(f".items/{stage}-*") for name in item_names(kept)}


def selected(workspace: Path, *overrides: str) -> str:
    """Selects, and returns the state of it afterwards."""
    experiment, run = opened(workspace, 'selection.cases=["average"]', *overrides)
    run_stage("select", experiment, run, CONTEXT)
    return status(experiment, run)[0].reason


def test_a_csv_beside_the_experiment_depends_on_the_files_that_it_names_alone(tmp_path, small_file):
    rows = signs_in(tmp_path, "{number}.png")
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(f"{path},{label}\n" for path, label in rows))
    for overrides in (["dataset.name=csv:labels.csv"], ["dataset.name=csv:labels.csv", "dataset.root=."]):
        assert selected(tmp_path, *overrides) == ""
        write_bytes(tmp_path / "beside.png", os.urandom(9))
        write_bytes(tmp_path / "captures/small/photos/IMG_1.jpg", os.urandom(9))
        write_bytes(tmp_path / "reports/other/report.pdf", os.urandom(9))
        found = status(*opened(tmp_path, 'selection.cases=["average"]', *overrides))[0]
        assert (found.state, found.reason) == ("done", "")
        write_bytes(tmp_path / rows[0][0], (tmp_path / rows[0][0]).read_bytes() + b" ")
        assert status(*opened(tmp_path, 'selection.cases=["average"]', *overrides))[0].reason == "images changed"


def test_what_runs_made_is_no_part_of_a_folder_of_images_around_them(tmp_path, small_file):
    signs_in(tmp_path)
    assert selected(tmp_path, "dataset.name=folder:.") == ""
    before = tree(tmp_path / "printouts/small")
    write_bytes(tmp_path / "captures/small/photos/IMG_1.jpg", b"x")
    write_bytes(tmp_path / "printouts/other/pairs.parquet", b"x")
    (tmp_path / "printouts/other/.stages").mkdir()
    (tmp_path / "small.toml").write_text(small_file.read_text() + "\n# a word\n")
    experiment, run = opened(tmp_path, 'selection.cases=["average"]', "dataset.name=folder:.")
    assert status(experiment, run)[0].state == "done"
    run_stage("select", experiment, run, CONTEXT, force=True)
    assert tree(tmp_path / "printouts/small") == before
    write_bytes(tmp_path / CLASS_NAMES[0] / "new.png", b"x")
    assert status(experiment, run)[0].reason == "images changed"


def test_file_names_that_are_no_text_end_nothing(tmp_path, small_file):
    signs_in(tmp_path / "mine")
    for name in (f"mine/{NOT_TEXT}.png", f"mine/{NOT_TEXT}/a.png", f"mine/{CLASS_NAMES[1]}/{NOT_TEXT}.png"):
        write_bytes(tmp_path / name, png_bytes(SignsDataset(1).image(0)))
    assert selected(tmp_path, "dataset.name=folder:mine") == ""
    rows = signs_in(tmp_path, "{number}.png")
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(f"{path},{label}\n" for path, label in rows))
    write_bytes(tmp_path / f"{NOT_TEXT}.png", b"x")
    assert selected(tmp_path, "dataset.name=csv:labels.csv") == ""


def test_a_photo_whose_name_is_no_text_is_told_like_any_other(copy):
    experiment, run = opened(copy)
    write_bytes(run.photos / f"{NOT_TEXT}.jpg", b"no picture")
    assert [state.state for state in run_all(experiment, run, CONTEXT)] == ["done"] * len(STAGES)
    assert discards_of(run)["caf\\udce9.jpg"] == "unreadable"


def camera_run(workspace: Path):
    """A run whose simulated photos pass for a person's."""
    experiment, run = opened(workspace, "photograph.by=camera")
    for number, path in enumerate(sorted(run.photos.glob("*.jpg"))):
        path.rename(run.photos / f"IMG_{number}.jpg")
    return experiment, run


@pytest.mark.parametrize("stage", ["crop", "classify", pytest.param("report", marks=pytest.mark.slow)])
def test_a_photo_that_comes_while_a_run_is_under_way_withholds_nothing(copy, stage):
    experiment, run = camera_run(copy)
    n_photos = len(list(run.photos.glob("*.jpg")))
    whole = (run.photos / "IMG_0.jpg").read_bytes()

    def begins(name: str, place: int, total: int) -> None:
        if name == stage:
            write_bytes(run.photos / "late.jpg", whole + b"1")

    found = list(run_all(experiment, run, Context(begins=begins)))
    if stage != "crop":  # it listed the photos before
        *found, later = found
        assert (later.stage, later.state) == ("crop", "stale") and later.reason.startswith("photos/late.jpg came while")
    assert [state.state for state in found] == ["done"] * len(STAGES)
    assert any(row["transform"] == "photo" for row in COUNTED.read(run)["destruction_rates"])
    assert len({row.photo for row in CAPTURED.read(run)}) == n_photos + (stage == "crop")
    again = run_up_to("rate", experiment, run)
    assert {state.state for state in again.values()} == {"done"} and "late.jpg" in {row.photo for row in CAPTURED.read(run)}


@pytest.mark.slow
def test_a_photo_that_is_still_being_copied_is_read_again_when_it_is_whole(copy):
    experiment, run = camera_run(copy)
    whole = (run.photos / "IMG_0.jpg").read_bytes()
    (run.photos / "IMG_0.jpg").write_bytes(whole[: len(whole) // 3])

    def begins(name: str, place: int, total: int) -> None:
        if name == "classify":
            (run.photos / "IMG_0.jpg").write_bytes(whole)

    *found, later = run_all(experiment, run, Context(begins=begins))
    assert [state.state for state in found] == ["done"] * len(STAGES) and "IMG_0.jpg" in later.reason
    assert discards_of(run)["IMG_0.jpg"] == "unreadable"
    run_stage("crop", experiment, run, CONTEXT)
    assert "IMG_0.jpg" not in discards_of(run)


def test_what_was_read_of_a_photo_that_changed_meanwhile_is_not_kept(copy, monkeypatch):
    from pipeline.stages import crop as stage

    experiment, run = camera_run(copy)
    read = stage.read_file

    def changed(photo, reading):
        pages = read(photo, reading)
        photo.path.write_bytes(photo.path.read_bytes() + b" ")
        return pages

    monkeypatch.setattr(stage, "read_file", changed)
    run_stage("crop", experiment, run, CONTEXT)
    assert not names_of(run.captures, "crop")


@pytest.mark.slow
def test_a_run_whose_folders_were_renamed_goes_by_its_new_name(copy):
    for kind in ("printouts", "captures", "reports"):
        (copy / kind / "small").rename(copy / kind / "renamed")
    experiment, run = load_experiment(copy / "small.toml", ("name=renamed",)), Run(copy, "renamed")
    stale = {state.stage for state in status(experiment, run) if state.state == "stale"}
    assert stale == {
        "crop",
        "classify",
        "rate",
        "thresholds",
        "explain",
        "report",
    }
    list(run_all(experiment, run, CONTEXT))
    page = (run.reports / "report.html").read_text(encoding="utf-8")
    assert "renamed" in page and "small, printed" not in page and "Run small" not in page


def test_a_file_that_a_model_turned_out_to_be_made_of_makes_its_stages_stale(tmp_path, small_file, monkeypatch):
    helper = tmp_path / "helper.py"
    helper.write_text("x = 1")
    from pipeline.models.classifier import Classifier

    monkeypatch.setattr(Classifier, "sources", (helper,))
    assert selected(tmp_path) == ""
    helper.write_text("x = 2")
    found = status(*opened(tmp_path, 'selection.cases=["average"]'))[0]
    assert (found.state, found.reason) == ("stale", "helper.py changed")
    helper.unlink()
    assert status(*opened(tmp_path, 'selection.cases=["average"]'))[0].reason == "helper.py is missing"


def test_a_run_with_nothing_to_do_hashes_nothing_and_verify_everything_once(copy, monkeypatch):
    for path in copy.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(time.time_ns() - 3600 * 10**9,) * 2)
    experiment, run = opened(copy)
    status(experiment, run)
    from pipeline.store import hashes

    read = []
    original = hashes.file_hash
    monkeypatch.setattr(hashes, "file_hash", lambda path: read.append(path) or original(path))
    list(run_all(experiment, run, CONTEXT))
    assert not read
    list(run_all(experiment, run, CONTEXT, verify=True))
    assert len(read) == len(set(read)) > 50


@pytest.mark.parametrize("name", ["classify", "thresholds", "explain"])
def test_what_was_kept_for_another_seed_is_not_taken(copy, name):
    """Beneath the records, which see the seed themselves: a kept noisy image is of one seed."""
    stage, run = STAGES[name], Run(copy, "small")
    kept = []
    for seed in (5, 6, 6):
        stage.run(load_experiment(copy / "small.toml", seed=seed), run, CONTEXT)
        kept.append(names_of(run.folder(stage.folder), name))
    assert kept[0] and kept[1] and not kept[0] & kept[1] and kept[1] == kept[2]


def test_a_stage_makes_what_its_record_says_and_nothing_else(finished):
    run = Run(finished, "small")
    from pipeline.store import read_stage_record

    for stage in STAGES.values():
        record = read_stage_record(run.folder(stage.folder), stage.name)
        files = {thing.name for thing in stage.makes if isinstance(thing, Artefact)}
        folders = tuple(f"{thing.name}/" for thing in stage.makes if isinstance(thing, Folder))
        assert all(thing.folder == stage.folder for thing in stage.makes)
        assert {name for name in record.outputs if name not in files and not name.startswith(folders)} == set(), stage.name
    makers = [(thing.folder, thing.name) for stage in STAGES.values() for thing in stage.makes]
    assert len(makers) == len(set(makers))


N_DAMAGED = 150


@pytest.mark.slow
def test_damaged_files_of_a_finished_run_heal(made, tmp_path):
    """Files of every kind are damaged in every way; after the next run every result is as it was, byte for byte.

    Of kept items only those are made again that are needed; the others are told by their own hash when they are.
    """
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    draw, before = random.Random(3), tree(copy)
    kinds: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(before.keys() - {"small.toml", "printouts/small/.lock"}):
        kinds.setdefault((*Path(name).parts[:4], Path(name).suffix), []).append(name)
    # every record of a stage is among them, or a stage would rightly not look at what it kept
    damaged = {name: group for group in kinds.values() for name in group if "/.stages/" in name}
    while len(damaged) < len(before) // 3:
        group = draw.choice(list(kinds.values()))
        damaged[draw.choice(group)] = group
    for number, (name, group) in enumerate(damaged.items()):
        content, other = before[name], before[draw.choice(group)]
        place = draw.randrange(len(content)) if content else 0
        turned = content[:place] + bytes([(content[place] + 1) % 256]) + content[place + 1 :] if content else b"x"
        damage = (content[:place], b"", b"{}", turned, other, None)[number % 6]
        (copy / name).unlink() if damage is None else (copy / name).write_bytes(damage)
    assert [state.state for state in run_all(*opened(copy), CONTEXT)] == ["done"] * len(STAGES)
    after = tree(copy)
    differ = sorted(name for name in before.keys() | after.keys() if after.get(name) != before.get(name))
    assert differ == []


def test_a_photo_that_comes_while_a_run_that_waits_is_under_way_is_told(copy):
    experiment, run = camera_run(copy)
    photo = (run.photos / "IMG_0.jpg").read_bytes()
    shutil.rmtree(run.photos)

    def begins(name: str, place: int, total: int) -> None:
        if name == "rate":
            write_bytes(run.photos / "IMG_0.jpg", photo)

    found = list(run_all(experiment, run, Context(begins=begins)))
    assert [state.state for state in found if state.stage == "crop"] == ["waiting", "stale"] and "IMG_0.jpg" in found[-1].reason


def test_what_is_certified_beside_the_run_makes_its_report_stale_and_nothing_else(copy):
    experiment, run = opened(copy)
    CERTIFIED.write(run, {"of": "another model", "certificates": []})
    stale = [(state.stage, state.reason) for state in status(experiment, run) if state.state != "done"]
    assert stale == [("report", "certified.json is new")]
