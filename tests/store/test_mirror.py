"""A workspace in an object store: the same run as on a disk, gone on with on another machine, and clear sentences without it."""

import json
import shutil
import time

import fsspec
import pytest
from far_run import RUN, as_on_a_disk, inkproof as inkproof_command

import inkproof
from pipeline.cli import main
from pipeline.cli.finding import found_run
from pipeline.core.errors import BadInput, Unavailable, WrongUse
from pipeline.stages.graph import run_stage
from pipeline.store import Items, mirror as room
from pipeline.store.mirror import mirrored

URL = "memory://bucket/run"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("INKPROOF_CACHE", str(tmp_path / "cache"))
    found = fsspec.filesystem("memory")
    found.store.clear()
    found.pseudo_dirs[:] = [""]
    yield found
    found.store.clear()


@pytest.fixture
def other_machine(tmp_path, monkeypatch):
    """Lets what follows see another cache folder."""
    numbers = iter(range(2, 9))
    return lambda: monkeypatch.setenv("INKPROOF_CACHE", str(tmp_path / f"cache{next(numbers)}"))


def names(store) -> set[str]:
    return {path.removeprefix("/bucket/run/") for path in store.find("/bucket/run")}


def test_files_come_before_a_command_and_go_after_it(store, other_machine):
    store.pipe_file("/bucket/run/captures/far/photos/a b.jpg", b"photo")
    with mirrored(URL) as found:
        assert (found.folder / "captures/far/photos/a b.jpg").read_bytes() == b"photo"
        (found.folder / "reports").mkdir()
        (found.folder / "reports/rates.csv").write_bytes(b"1")
    assert names(store) == {"captures/far/photos/a b.jpg", "reports/rates.csv"}
    other_machine()
    with mirrored(URL) as found:
        assert (found.folder / "reports/rates.csv").read_bytes() == b"1"
        (found.folder / "reports/rates.csv").write_bytes(b"22")
    other_machine()
    with mirrored(URL, writes=False) as found:
        assert (found.folder / "reports/rates.csv").read_bytes() == b"22"


def test_what_is_removed_during_a_command_is_removed_in_the_store_and_elsewhere(store, other_machine):
    with mirrored(URL) as first:
        for name in ("a", "b"):
            (first.folder / name).write_bytes(b"1")
    other_machine()
    with mirrored(URL) as second:
        (second.folder / "a").unlink()
    assert names(store) == {"b"}
    shutil.copytree(first.folder, second.folder, dirs_exist_ok=True)  # the first machine's copy, with its state
    with mirrored(URL, writes=False) as again:
        assert not (again.folder / "a").exists() and (again.folder / "b").exists()


def test_a_working_copy_that_was_cleaned_costs_the_store_nothing(store):
    with mirrored(URL) as found:
        (found.folder / "photo").write_bytes(b"1")
    (found.folder / "photo").unlink()
    with mirrored(URL) as found:
        assert (found.folder / "photo").read_bytes() == b"1"
    assert names(store) == {"photo"}


def test_of_two_versions_that_of_the_store_counts_and_what_only_one_has_is_kept(store):
    with mirrored(URL) as found:
        (found.folder / "a").write_bytes(b"1")
    (found.folder / "a").write_bytes(b"here")
    (found.folder / "b").write_bytes(b"here")
    store.pipe_file("/bucket/run/a", b"there")
    with mirrored(URL) as found:
        assert (found.folder / "a").read_bytes() == b"there"
    assert store.cat_file("/bucket/run/b") == b"here"


def test_a_record_is_sent_last_and_taken_away_first(store, monkeypatch):
    with mirrored(URL) as found:
        record = found.folder / "printouts/far/.stages/select.json"
        record.parent.mkdir(parents=True)
        for path in (record, found.folder / "printouts/far/pairs.parquet"):
            path.write_bytes(b"1")
    seen = []

    def noted(name):
        original = getattr(type(store), name)

        def call(self, *args, **rest):
            seen.append((name, "printouts/far/.stages/select.json" in names(store)))
            return original(self, *args, **rest)

        monkeypatch.setattr(type(store), name, call)

    noted("put")
    with mirrored(URL) as found:
        for path in (record, found.folder / "printouts/far/pairs.parquet"):
            path.write_bytes(b"22")
    assert seen == [("put", False)] and store.cat_file("/bucket/run/printouts/far/.stages/select.json") == b"22"


def test_an_error_does_not_keep_what_was_done_from_the_store(store):
    with pytest.raises(RuntimeError), mirrored(URL) as found:
        (found.folder / "item").write_bytes(b"1")
        raise RuntimeError
    assert names(store) == {"item"}


def test_what_a_long_stage_makes_is_sent_while_it_goes_on(store, monkeypatch):
    monkeypatch.setattr(room, "SEND_EVERY_S", 0.05)
    with mirrored(URL) as found:
        (found.folder / "item").write_bytes(b"1")
        ends_s = time.monotonic() + 5
        while "item" not in names(store) and time.monotonic() < ends_s:
            time.sleep(0.02)
        assert "item" in names(store)


def test_kept_results_are_sent_whole_or_not_at_all_and_are_found_elsewhere(store, other_machine):
    with mirrored(URL) as found:
        items = Items(found.folder / ".items/select-1")
        for number in range(200):
            items.put(str(number), bytes(5000))
        found.send()
        file = found.folder / ".items/select-1/items.sqlite"
        whole, sent = file.read_bytes(), store.cat_file("/bucket/run/.items/select-1/items.sqlite")
        file.with_name("items.sqlite-journal").write_bytes(b"what was under way")
        file.write_bytes(whole[: len(whole) // 2 + 100])
        found.send()
        assert store.cat_file("/bucket/run/.items/select-1/items.sqlite") == sent == whole
        file.write_bytes(whole)
    assert names(store) == {".items/select-1/items.sqlite"}
    other_machine()
    with mirrored(URL) as found:
        assert Items(found.folder / ".items/select-1").get("7") == bytes(5000)


def test_another_machine_waits_and_one_that_is_gone_is_not_waited_for(store, other_machine):
    with mirrored(URL):
        other_machine()
        with pytest.raises(Unavailable, match="Another inkproof is working in memory://bucket/run"), mirrored(URL):
            pass
        with mirrored(URL, writes=False):
            pass
    lock = {"token": "of another", "host": "elsewhere", "process": 1, "at_s": time.time() - 300}
    store.pipe_file("/bucket/run/inkproof.lock", json.dumps(lock).encode())
    with pytest.raises(Unavailable, match="on elsewhere"), mirrored(URL):
        pass
    store.pipe_file("/bucket/run/inkproof.lock", json.dumps(lock | {"at_s": time.time() - 601}).encode())
    with mirrored(URL):
        pass
    assert names(store) == set()


def test_a_name_that_leads_out_of_the_workspace_is_left_alone(store):
    store.pipe_file("/bucket/run/../../out", b"1")
    store.pipe_file("/bucket/run/in", b"1")
    with mirrored(URL) as found:
        assert {path.name for path in found.folder.parent.rglob("*") if path.is_file()} >= {"in"}
    assert not (found.folder.parent.parent / "out").exists() and not (found.folder / "../../out").exists()


@pytest.mark.parametrize(("url", "kind", "said"), [("nowhere://a/b", WrongUse, "there is no such kind of store")])
def test_a_store_that_cannot_be_used_is_a_sentence(store, url, kind, said):
    with pytest.raises(kind, match=said), mirrored(url):
        pass


def test_a_missing_package_is_named(store, monkeypatch):
    def lacks(*args, **rest):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", lacks)
    with pytest.raises(Unavailable, match=r'pip install "inkproof\[cloud\]"'), mirrored("s3://bucket/run"):
        pass


def test_a_command_takes_the_url_and_names_it_again(store, other_machine, tmp_path, capsys):
    settings = tmp_path / "far.toml"
    settings.write_text(RUN, encoding="utf-8")
    assert main(["select", str(settings), "--workspace", URL, "--workers", "1"]) == 0
    assert f"--workspace {URL}" in capsys.readouterr().out and "printouts/far/.stages/select.json" in names(store)
    other_machine()
    assert main(["status", "far", "--workspace", URL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stages"][0]["state"] == "done"


@pytest.mark.slow
def test_a_run_in_a_store_goes_on_elsewhere_and_has_the_bytes_of_one_on_a_disk(store, other_machine, tmp_path):
    as_on_a_disk(tmp_path, URL, other_machine, lambda to: store.get("/bucket/run/", f"{to}/", recursive=True))


def test_from_python_a_run_in_a_store_is_opened_gone_on_with_and_named_by_its_url(store, other_machine, tmp_path, monkeypatch):
    settings = tmp_path / "far.toml"
    settings.write_text(RUN, encoding="utf-8")
    assert inkproof_command("select", settings, URL) == 0
    other_machine()
    assert [state.stage for state in inkproof.open_run("far", workspace=URL).states if state.state == "done"] == ["select"]

    def generated_alone(experiment, run, context, force):
        return [run_stage("generate", experiment, run, context)]

    monkeypatch.setattr("pipeline.stages.graph.run_all", generated_alone)
    results = inkproof.run(settings, workspace=URL, engine="local")
    assert any(name.startswith("printouts/far/images/") for name in names(store)) and results.files.workspace.is_dir()
    with mirrored(URL, writes=False) as found:
        experiment, run = found_run("far", found.folder)
        assert run.workspace == found.folder and experiment.source.flags == ("--workspace", URL)
    with pytest.raises(BadInput, match=f'no run "fare" in {URL}'):
        inkproof.open_run("fare", workspace=URL)
