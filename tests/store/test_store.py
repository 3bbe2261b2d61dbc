"""Files are complete or absent, records survive the disk, and what is stale says why."""

import dataclasses
import os

import pytest

from pipeline.core.errors import BadInput
from pipeline.core.version import VERSION
from pipeline.records import Fiducial, Pair, Placement, Printout, View
from pipeline.store import (
    Items,
    Run,
    StageRecord,
    file_hash,
    photo_files,
    photo_name,
    read_layout,
    read_stage_record,
    read_table,
    remove_partial,
    replace_folder,
    why_stale,
    write_bytes,
    write_json,
    write_stage_record,
    write_table,
)

PAIR = Pair(
    "fgsm-eps4/a", "a", "fgsm", 4, ("average",), 3, None, "images/clean/a.png", "images/fgsm-eps4/a.png", 4, 1.5, 0.99, 1, 1
)
VIEW = View("a/source", "a", "clean", "", 0, "", "source", None, "images/clean/a.png", "00", "digital")


@pytest.mark.parametrize(
    "rows",
    [[PAIR], [dataclasses.replace(PAIR, target_label=7, cases=("average", "prefiltered"))], [VIEW], []],
    ids=["none-field", "filled", "defaults", "empty"],
)
def test_records_come_back_from_disk_as_they_were(tmp_path, rows):
    kind = type(rows[0]) if rows else Pair
    write_table(tmp_path / "t.parquet", kind, rows)
    assert read_table(tmp_path / "t.parquet", kind) == rows


def test_the_same_records_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_table(tmp_path / name, Pair, [PAIR] * 3)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("content", [b"", b"not parquet", None], ids=["empty", "text", "missing"])
def test_a_damaged_table_is_a_clear_error(tmp_path, content):
    if content is not None:
        (tmp_path / "t").write_bytes(content)
    with pytest.raises(BadInput, match="cannot be read"):
        read_table(tmp_path / "t", Pair)


def test_a_table_of_another_version_is_a_clear_error(tmp_path):
    write_table(tmp_path / "t", View, [VIEW])
    with pytest.raises(BadInput, match="another version"):
        read_table(tmp_path / "t", Pair)


def test_a_layout_comes_back_from_disk(tmp_path):
    run = Run(tmp_path, "r")
    placement = Placement(1, "p", "clean", "images/a.png", 1.0, 2.0, 3.0, 4.0, 5, 6)
    fiducial = Fiducial(1, "TL", "IP1", 10.0, 10.0, 14.0)
    printout = Printout(1, "r", "ABCDE", "A4", "portrait", 210.0, 297.0, 600, 0.7, 1, "00", (placement,), (fiducial,))
    write_json(run.layout, printout)
    assert read_layout(run) == printout
    write_json(run.layout, {"placements": [], "fiducials": []})
    with pytest.raises(BadInput, match="inkproof layout"):
        read_layout(run)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_bytes(tmp_path / "f", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_what_a_killed_write_left_is_removed(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".inkproof-x.partial").write_bytes(b"half")
    (tmp_path / "keep").write_bytes(b"whole")
    (tmp_path / "IMG_9.jpg.partial").write_bytes(b"a person's own download")
    remove_partial(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["IMG_9.jpg.partial", "keep"]


def test_items_are_kept_and_only_the_unused_are_pruned(tmp_path):
    Items(tmp_path).put("old", b"1")
    items = Items(tmp_path)
    items.put("new", b"2")
    assert items.get("missing") is None
    items.prune()
    assert Items(tmp_path).get("new") == b"2" and Items(tmp_path).get("old") is None


def test_a_damaged_item_counts_as_absent_and_cleared_items_are_gone(tmp_path):
    items = Items(tmp_path / "i")
    items.put("a", b"{")
    items.put("b", b"[1]")
    assert (items.get_json("a"), items.get_json("b"), items.get_json("c")) == (None, [1], None)
    items.clear()
    assert Items(tmp_path / "i").get_json("b") is None


def test_items_of_another_version_are_not_seen(tmp_path, monkeypatch):
    run = Run(tmp_path, "r")
    run.items("crop", run.captures).put("a", b"1")
    monkeypatch.setattr("pipeline.store.VERSION", "99")
    assert run.items("crop", run.captures).get_json("a") is None


def test_the_simulators_own_photos_do_not_count_for_a_camera(tmp_path):
    run = Run(tmp_path, "r")
    for name in ("simulated-page-001.jpg", "IMG_1.jpg"):
        write_bytes(run.photos / name, b"")
    assert [path.name for path in photo_files(run)] == ["IMG_1.jpg", "simulated-page-001.jpg"]
    assert [path.name for path in photo_files(run, by_camera=True)] == ["IMG_1.jpg"]


def test_a_folder_is_left_with_the_wanted_files_only(tmp_path):
    for name in ("a/1", "a/2", "b/3"):
        write_bytes(tmp_path / name, b"")
    replace_folder(tmp_path, ["a/1"])
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["a", "a/1"]


def test_photos_are_found_in_any_place_and_order_but_hidden_ones_are_not(tmp_path):
    run = Run(tmp_path, "r")
    for name in ("b.JPG", "a.png", "trip/c.jpg", ".hidden/d.jpg", ".DS_Store"):
        write_bytes(run.photos / name, b"")
    assert [path.relative_to(run.photos).as_posix() for path in photo_files(run)] == ["a.png", "b.JPG", "trip/c.jpg"]


def test_a_photo_whose_name_is_no_text_has_a_name_that_can_be_written(tmp_path):
    run = Run(tmp_path, "r")
    write_bytes(run.photos / os.fsdecode(b"caf\xe9.jpg"), b"")
    (name,) = (photo_name(run, path) for path in photo_files(run))
    assert name == "caf\\udce9.jpg" and name.encode()


RECORD = StageRecord("crop", VERSION, 0, {"capture": {"strict": False}, "eps": [4, 8]}, {"layout": "aa"}, {"out": ""})
STALE = {
    "setting": ({"capture": {"strict": True}, "eps": [4, 8]}, {"layout": "aa"}, 0, "capture.strict false → true"),
    "list": ({"capture": {"strict": False}, "eps": [4]}, {"layout": "aa"}, 0, "eps [4, 8] → [4]"),
    "seed": (RECORD.settings, {"layout": "aa"}, 5, "seed 0 → 5"),
    "input-changed": (RECORD.settings, {"layout": "bb"}, 0, "layout changed"),
    "input-new": (RECORD.settings, {"layout": "aa", "photos/x.jpg": "1"}, 0, "photos/x.jpg is new"),
    "input-gone": (RECORD.settings, {}, 0, "layout is gone"),
    "nothing": (RECORD.settings, {"layout": "aa"}, 0, ""),
}


@pytest.mark.parametrize(("settings", "inputs", "seed", "reason"), STALE.values(), ids=STALE.keys())
def test_a_stale_stage_says_why(tmp_path, settings, inputs, seed, reason):
    write_bytes(tmp_path / "out", b"x")
    record = dataclasses.replace(RECORD, outputs={"out": file_hash(tmp_path / "out")})
    assert why_stale(record, tmp_path, settings, inputs, seed) == reason


def test_another_version_makes_a_stage_stale(tmp_path):
    record = dataclasses.replace(RECORD, version="0.0.1", outputs={})
    assert why_stale(record, tmp_path, RECORD.settings, RECORD.inputs, 0) == f"inkproof 0.0.1 → {VERSION}"


def test_a_missing_or_edited_output_makes_a_stage_stale(tmp_path):
    write_bytes(tmp_path / "out", b"x")
    record = dataclasses.replace(RECORD, outputs={"out": file_hash(tmp_path / "out")})
    write_bytes(tmp_path / "out", b"y")
    assert why_stale(record, tmp_path, RECORD.settings, RECORD.inputs, 0) == "out was changed by hand"
    (tmp_path / "out").unlink()
    assert why_stale(record, tmp_path, RECORD.settings, RECORD.inputs, 0) == "out is missing"


def test_a_stage_record_comes_back_and_a_damaged_one_counts_as_missing(tmp_path):
    write_stage_record(tmp_path, RECORD)
    assert read_stage_record(tmp_path, "crop") == RECORD
    (tmp_path / ".stages" / "crop.json").write_text("{", encoding="utf-8")
    assert read_stage_record(tmp_path, "crop") is None
