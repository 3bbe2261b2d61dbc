"""Files are complete or absent, records survive the disk, and what is stale says why."""

import dataclasses
import errno
import io
import os
import shutil
import sqlite3
import time
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kept_files import read_table, write_json, write_table

from pipeline.core.errors import BadInput
from pipeline.core.version import VERSION
from pipeline.records import Fiducial, Pair, Placement, Printout, View
from pipeline.store import (
    Disk,
    Hashes,
    Items,
    Run,
    StageRecord,
    artefacts,
    content_hash,
    file_hash,
    photo_files,
    photo_name,
    read_stage_record,
    remove_partial,
    replace_folder,
    save_images,
    saved_image,
    why_stale,
    write_bytes,
    write_stage_record,
)
from pipeline.store.artefacts import LAYOUT
from pipeline.store.hashes import named_files
from pipeline.store.stage_records import digests_of_read

PACKAGE = Path(__file__).parents[2] / "pipeline"
STILL_TO_MOVE = {PACKAGE / "stages" / "against.py"}
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
    LAYOUT.write(run, printout)
    assert LAYOUT.read(run) == printout
    shutil.move(run.printouts, Run(tmp_path, "other").printouts)
    assert LAYOUT.read(Run(tmp_path, "other")) == dataclasses.replace(printout, run="other")
    write_json(run.printouts / "layout.json", {"placements": [], "fiducials": []})
    with pytest.raises(BadInput, match="inkproof layout"):
        LAYOUT.read(run)


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


def test_cleared_items_are_gone(tmp_path):
    items = Items(tmp_path / "i")
    items.put("a", b"[1]")
    assert (items.get_json("a"), items.get_json("b")) == ([1], None)
    items.clear()
    assert items.get_json("a") is None and Items(tmp_path / "i").get_json("a") is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"\0" * 9000], ids=["empty", "object", "zeros"])
@pytest.mark.parametrize("place", [0, 300], ids=["from the start", "within"])
def test_a_damaged_file_of_items_counts_as_empty(tmp_path, damage, place):
    Items(tmp_path).put("a", b"[2]")
    kept = tmp_path / "items.sqlite"
    kept.write_bytes(kept.read_bytes()[:place] + damage)
    items = Items(tmp_path)
    assert items.get_json("a") is None
    items.put("a", b"[3]")
    assert Items(tmp_path).get_json("a") == [3]


@pytest.mark.parametrize("change", ["content = x'5b395d'", "name = 'b.json'"], ids=["its content", "its key"])
def test_an_item_that_was_changed_counts_as_absent(tmp_path, change):
    items = Items(tmp_path)
    items.put("a", b"[2]")
    items.put("c", b"[1]")
    with sqlite3.connect(tmp_path / "items.sqlite") as kept:
        kept.execute(f"UPDATE items SET {change} WHERE name = 'a.json'")
    assert [Items(tmp_path).get_json(key) for key in "abc"] == [None, None, [1]]


def test_a_full_disk_is_told_as_such(tmp_path):
    items = Items(tmp_path)
    items.put("a", b"1")
    items._connection().execute("PRAGMA max_page_count = 2")
    with pytest.raises(OSError, match="No space") as told:
        items.put("b", b"1" * 100_000)
    assert told.value.errno == errno.ENOSPC and Items(tmp_path).get("a") == b"1"


def test_items_of_another_version_are_not_seen(tmp_path, monkeypatch):
    run = Run(tmp_path, "r")
    run.items("crop", run.captures).put("a", b"1")
    monkeypatch.setattr("pipeline.store.run.VERSION", "99")
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


def why(record, folder, settings=None, inputs=None, seed=0):
    hashes = Hashes(folder / ".hashes.json", folder)
    settings, inputs = RECORD.settings if settings is None else settings, RECORD.inputs if inputs is None else inputs
    return why_stale(record, folder, settings, inputs, seed, hashes, folder)


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
    assert why(record, tmp_path, settings, inputs, seed) == reason


def test_another_version_makes_a_stage_stale(tmp_path):
    record = dataclasses.replace(RECORD, version="0.0.1", outputs={})
    assert why(record, tmp_path) == f"inkproof 0.0.1 → {VERSION}"


def test_a_missing_or_edited_output_makes_a_stage_stale(tmp_path):
    write_bytes(tmp_path / "out", b"x")
    record = dataclasses.replace(RECORD, outputs={"out": file_hash(tmp_path / "out")})
    write_bytes(tmp_path / "out", b"y")
    assert why(record, tmp_path) == "out was changed by hand"
    (tmp_path / "out").unlink()
    assert why(record, tmp_path) == "out is missing"


@pytest.mark.parametrize("damage", ["{", "{}", '"seed": 1'], ids=["cut", "empty", "digit"])
def test_a_stage_record_comes_back_and_a_damaged_one_counts_as_missing(tmp_path, damage):
    write_stage_record(tmp_path, RECORD)
    assert read_stage_record(tmp_path, "crop") == RECORD
    path = tmp_path / ".stages" / "crop.json"
    path.write_text(path.read_text().replace('"seed": 0', damage) if "seed" in damage else damage, encoding="utf-8")
    assert read_stage_record(tmp_path, "crop") is None


def test_a_record_of_an_earlier_form_says_so(tmp_path):
    earlier = {"stage": "crop", "version": VERSION, "seed": 0, "settings": {}, "inputs": {}, "outputs": {}, "summary": {}}
    write_json(tmp_path / ".stages" / "crop.json", earlier)
    assert why(read_stage_record(tmp_path, "crop"), tmp_path) == "made by an earlier inkproof"


def test_files_that_a_result_turned_out_to_depend_on_make_it_stale(tmp_path):
    write_bytes(tmp_path / "code" / "helper.py", b"x")
    hashes = Hashes(tmp_path / ".hashes.json", tmp_path)
    record = dataclasses.replace(RECORD, outputs={}, read=digests_of_read((tmp_path / "code/helper.py",), tmp_path, hashes))
    assert record.read.keys() == {"code/helper.py"} and why(record, tmp_path) == ""
    write_bytes(tmp_path / "code" / "helper.py", b"y")
    assert why(record, tmp_path) == "code/helper.py changed"
    (tmp_path / "code" / "helper.py").unlink()
    assert why(record, tmp_path) == "code/helper.py is missing"


@pytest.fixture
def n_hashed(monkeypatch):
    """The files that were read to hash them."""
    found = []
    monkeypatch.setattr("pipeline.store.hashes.file_hash", lambda path: found.append(path.name) or file_hash(path))
    return found


def old_file(path, content):
    """Writes a file as if that had been an hour ago."""
    path.write_bytes(content)
    os.utime(path, ns=(time.time_ns() - 3600 * 10**9,) * 2)


def kept_hash(folder, name="f", verify=False):
    hashes = Hashes(folder / ".hashes.json", folder, verify)
    found = hashes.of(folder / name)
    hashes.keep()
    return found


def test_a_file_is_hashed_again_only_when_inode_size_or_time_changed(tmp_path, n_hashed):
    old_file(tmp_path / "f", b"one")
    first = kept_hash(tmp_path)
    assert kept_hash(tmp_path) == first and n_hashed == ["f"]
    os.utime(tmp_path / "f", ns=(1, 1))
    assert kept_hash(tmp_path) == first and len(n_hashed) == 2
    old_file(tmp_path / "g", b"two")
    os.utime(tmp_path / "g", ns=(1, 1))
    os.replace(tmp_path / "g", tmp_path / "f")
    assert kept_hash(tmp_path) != first and len(n_hashed) == 3


def test_a_change_that_leaves_inode_size_and_time_is_what_verify_is_for(tmp_path, n_hashed):
    old_file(tmp_path / "f", b"one")
    first, state = kept_hash(tmp_path), (tmp_path / "f").stat()
    (tmp_path / "f").write_bytes(b"two")
    os.utime(tmp_path / "f", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert kept_hash(tmp_path) == first
    assert kept_hash(tmp_path, verify=True) == file_hash(tmp_path / "f")


def test_the_hash_of_a_file_that_had_just_changed_is_not_kept(tmp_path, n_hashed):
    (tmp_path / "f").write_bytes(b"one")
    state = (tmp_path / "f").stat()
    kept_hash(tmp_path)
    (tmp_path / "f").write_bytes(b"two")
    os.utime(tmp_path / "f", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert kept_hash(tmp_path) == file_hash(tmp_path / "f") and len(n_hashed) == 2


@pytest.mark.parametrize("damage", ["", "{}", "digit"])
def test_damaged_kept_hashes_are_not_believed(tmp_path, damage):
    old_file(tmp_path / "f", b"one")
    first, kept = kept_hash(tmp_path), tmp_path / ".hashes.json"
    kept.write_text(kept.read_text().replace(first, first[::-1]) if damage == "digit" else damage)
    assert kept_hash(tmp_path) == first


def test_a_folder_is_walked_once_and_what_runs_made_is_left_out(tmp_path, monkeypatch):
    for name in ("a/1", "b/2", "own/3", "own/.stages/layout.json"):
        write_bytes(tmp_path / name, b"xyz")
    write_bytes(Path(os.fsdecode(os.fsencode(tmp_path / "a") + b"/caf\xe9")), b"")
    walked = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: walked.append(path) or scandir(path))
    hashes = Hashes(tmp_path / ".hashes.json", tmp_path)
    listings = [hashes.listing(tmp_path) for _ in range(3)]
    assert listings[0] == [("a/1", 3), ("a/caf\udce9", 0), ("b/2", 3)] == listings[2] and len(walked) == 4
    assert content_hash(listings[0])


def test_a_table_depends_on_the_files_that_it_names_alone(tmp_path):
    write_bytes(tmp_path / "img" / "a.png", b"12")
    write_bytes(tmp_path / "img" / "other.png", b"1")
    (tmp_path / "labels.csv").write_bytes(b"path;label\nimg/a.png;stop\nimg/gone.png;yield\ncaf\xe9.png;stop\n")
    assert named_files(tmp_path / "labels.csv", tmp_path) == [("img/a.png", 2)]


def test_every_file_name_of_a_run_is_spelt_once():
    found = [thing for thing in vars(artefacts).values() if isinstance(thing, artefacts.Artefact | artefacts.Folder)]
    places = [(thing.folder, thing.name) for thing in found if thing is not artefacts.SIMULATED_PHOTO_FILES]
    assert len(places) == len(set(places))
    names = {thing.name for thing in found if "." in thing.name}
    spelt = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "store" and path not in STILL_TO_MOVE
        for name in names
        if f'/ "{name}"' in path.read_text(encoding="utf-8")
    }
    assert not spelt


def test_an_artefact_is_read_and_written_through_the_runs_own_store(tmp_path):
    class Elsewhere(Disk):
        kept: dict = {}

        def read(self, path):
            return self.kept[path]

        def open(self, path):
            return io.BytesIO(self.kept[path])

        def write(self, path, content):
            self.kept[path] = content

    run = Run(tmp_path, "r", Elsewhere())
    for artefact, value in ((artefacts.COUNTED, {"a": 1}), (artefacts.DISCARDS, []), (artefacts.PDF, b"%PDF")):
        artefact.write(run, value)
        assert artefact.read(run) == value
    assert not list(tmp_path.rglob("*.*"))


def test_a_hash_depends_on_values_and_not_on_the_order_of_keys():
    assert content_hash({"a": 1, "b": {"c": 2, "d": 3}}) == content_hash({"b": {"d": 3, "c": 2}, "a": 1})
    assert content_hash({"a": 1, "b": 2}) != content_hash({"a": 2, "b": 1})


class TestPictures:
    """Where there are many, a thousand lie in one file, and nobody who reads one sees a difference."""

    FOLDER = artefacts.images_of_cell("bim", 4)
    STEMS = ("a-1", "a", "b/deep", "c", "z.y")

    @pytest.fixture(autouse=True)
    def few_in_a_file(self, monkeypatch):
        monkeypatch.setattr("pipeline.store.pictures.IN_A_SHARD", 2)

    @pytest.fixture(params=[True, False], ids=["packed", "a file each"])
    def run(self, request, tmp_path, monkeypatch):
        monkeypatch.setattr("pipeline.store.pictures.PACKED_ABOVE", 4 if request.param else 5)
        return Run(tmp_path, "r")

    def saved(self, run, stems=STEMS):
        return save_images(run, self.FOLDER, stems, lambda stem: stem.encode() * 3)

    def test_each_is_found_by_its_path(self, run):
        self.saved(run)
        for stem in self.STEMS:
            assert saved_image(run.printouts, f"images/bim-eps4/{stem}.png") == stem.encode() * 3
        for missing in ("images/bim-eps4/0.png", "images/bim-eps4/zz.png", "images/clean/a.png"):
            with pytest.raises(BadInput, match="is missing"):
                saved_image(run.printouts, missing)

    def test_the_same_pictures_are_the_same_bytes_whatever_order_they_come_in(self, run, tmp_path):
        other = Run(tmp_path, "other")
        names = self.saved(run)
        assert names == self.saved(other, self.STEMS[::-1])
        assert [(run.printouts / name).read_bytes() for name in names] == [
            (other.printouts / name).read_bytes() for name in names
        ]

    def test_what_was_there_before_is_gone_however_it_lay(self, run, monkeypatch):
        self.saved(run)
        for most in (0, 9):
            monkeypatch.setattr("pipeline.store.pictures.PACKED_ABOVE", most)
            names = save_images(run, self.FOLDER, ["c"], lambda stem: b"new")
            assert saved_image(run.printouts, "images/bim-eps4/c.png") == b"new"
            assert [path.relative_to(run.printouts).as_posix() for path in Disk().list(run.printouts)] == names

    def test_a_damaged_file_is_told(self, run):
        (first, *_) = self.saved(run)
        if first.endswith(".zip"):
            (run.printouts / first).write_bytes(b"no ZIP file")
            with pytest.raises(BadInput, match="cannot be read"):
                saved_image(run.printouts, "images/bim-eps4/a.png")


def test_a_packed_file_holds_a_thousand_pictures_that_any_program_opens(tmp_path):
    run = Run(tmp_path, "r")
    names = save_images(run, artefacts.CLEAN_IMAGES, [f"{number:04}" for number in range(2001)], lambda stem: stem.encode())
    assert names == ["images/clean-000.zip", "images/clean-001.zip", "images/clean-002.zip"]
    with zipfile.ZipFile(run.printouts / names[1]) as packed:
        assert packed.namelist() == [f"{number:04}.png" for number in range(1000, 2000)] and packed.read("1500.png") == b"1500"
    assert saved_image(run.printouts, "images/clean/2000.png") == b"2000"


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    value: float | None
    labels: tuple[int, ...] = ()


def test_a_table_is_written_and_read_in_pieces_and_is_the_same_as_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.store.tables.ROW_GROUP", 3)
    table, run = artefacts.Table("reports", "rows.parquet", Row), Run(tmp_path, "r")
    rows = [Row(f"n{number % 2}", number / 2 if number else None, tuple(range(number))) for number in range(8)]
    with table.writing(run) as write:
        for row in rows:
            write([row])
    in_pieces = table.stored(run)
    table.write(run, rows)
    assert table.stored(run) == in_pieces and pq.ParquetFile(table.path(run)).num_row_groups == 3
    assert table.read(run) == rows
    assert list(table.rows(run, artefacts.field_of("name") == "n1")) == rows[1::2]
    assert list(table.values(run, "value", "name")) == [(row.value, row.name) for row in rows]


def test_a_table_that_is_not_ended_is_absent(tmp_path):
    table, run = artefacts.Table("reports", "rows.parquet", Row), Run(tmp_path, "r")
    with pytest.raises(RuntimeError), table.writing(run) as write:
        write([Row("a", 1.0)])
        raise RuntimeError
    assert not table.exists(run) and not list(tmp_path.rglob("*.partial"))
