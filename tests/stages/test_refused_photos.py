"""No photo can stop the others: what cannot be read is listed, and a reason that most share is what a person reads first."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pipeline.cli import main
from pipeline.core.errors import BadInput, Unavailable, Waiting
from pipeline.engine import Context
from pipeline.images import NoReader
from pipeline.physical.calibration import command
from pipeline.physical.fiducials import detection
from pipeline.physical.fiducials.codes import modules
from pipeline.physical.fiducials.detection import search
from pipeline.physical.fiducials.pyramid import Pyramid
from pipeline.physical.registration import photo_reading
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import run_stage
from pipeline.store import Run, photo_files, photo_name
from pipeline.store.artefacts import CAPTURED, DISCARDS

pillow_heif.register_heif_opener()


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "workspace", symlinks=True))


def as_heic(run: Run) -> None:
    """Replaces every photo by a HEIC of it."""
    for photo in [path for path in run.photos.iterdir() if path.is_file()]:
        with Image.open(photo) as image:
            image.convert("RGB").save(
                run.photos / f"mine-{photo.stem}.heic", format="HEIF", quality=80, enc_params={"preset": "ultrafast"}
            )
        photo.unlink()


def test_whatever_reading_a_photo_raises_is_listed_with_its_place_and_tried_again(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, experiment = Run(copy, "small"), load_experiment(copy / "small.toml", ("photograph.by=camera",))
    photo = next(run.photos.glob("*.jpg"))
    shutil.copy(photo, run.photos / "mine.jpg")
    with (run.photos / "mine.jpg").open("ab") as file:
        file.write(b"another file")
    shutil.copy(run.photos / "mine.jpg", run.photos / "theirs.jpg")
    with (run.photos / "theirs.jpg").open("ab") as file:
        file.write(b"yet another")
    whole = photo_reading.read_pages

    def fails(picture: object, capture: object, *rest: object) -> object:
        if capture.photo == "mine.jpg":
            raise ValueError("-1 is not what a library expects")
        return whole(picture, capture, *rest)

    with monkeypatch.context() as broken:
        broken.setattr(photo_reading, "read_pages", fails)
        run_stage("crop", experiment, run, Context())
    (row,) = [row for row in DISCARDS.read(run) if row.photo == "mine.jpg"]
    assert row.reason == "failed" and "ValueError: -1 is not what a library expects (test_refused_photos.py, line" in row.detail
    assert {capture.photo for capture in CAPTURED.read(run) if capture.counts} == {"theirs.jpg"}
    (run.photos / "note.txt").write_text("anything new lets the photos be read again")
    run_stage("crop", experiment, run, Context())
    assert not [row for row in DISCARDS.read(run) if row.reason == "failed"]


@pytest.mark.slow
def test_a_reason_that_all_photos_share_is_the_first_line_and_the_exit_code(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(copy, "small")
    as_heic(run)
    monkeypatch.chdir(copy)
    crop = ["crop", "small.toml", "--set", "photograph.by=camera"]
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pillow_heif", None)
        assert main(crop) == Unavailable.exit_code
        first = capsys.readouterr().out.splitlines()[0]
        assert "2 of 2 photos" in first and "HEIC" in first and "pip install pillow-heif" in first
        assert main(["run", *crop[1:]]) == Unavailable.exit_code
        assert capsys.readouterr().out.splitlines()[0] == first
        assert main([*crop, "--json"]) == Unavailable.exit_code
        assert json.loads(capsys.readouterr().out)["refused"] == first
    assert main(crop) == 0 and "photos gave nothing" not in capsys.readouterr().out


@pytest.mark.parametrize(("n_damaged", "code"), [(1, Waiting.exit_code), (3, BadInput.exit_code)])
def test_what_most_photos_share_is_told_and_not_what_one_has(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], n_damaged: int, code: int
) -> None:
    run = Run(copy, "small")
    first, *others = sorted(run.photos.glob("*.jpg"))
    for other in others:
        other.unlink()
    first.rename(run.photos / "mine.jpg")
    with Image.open(run.photos / "mine.jpg") as image:
        Image.new("RGB", image.size).save(run.photos / "nothing.jpg")
    data = (run.photos / "mine.jpg").read_bytes()
    for number in range(n_damaged):
        (run.photos / f"cut-{number}.jpg").write_bytes(data[: len(data) // (2 + number)] + b"\xff\xd9")
    monkeypatch.chdir(copy)
    assert main(["crop", "small.toml", "--set", "photograph.by=camera"]) == code
    assert ("3 of 5 photos gave nothing" in capsys.readouterr().out) == (code == BadInput.exit_code)


def test_a_photo_that_cannot_be_used_does_not_keep_the_others_from_calibrating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("good.jpg", "bad.jpg", "odd.jpg"):
        (tmp_path / name).write_bytes(b"a photo")

    def read(path: Path) -> str:
        match path.name:
            case "bad.jpg":
                raise NoReader(f"{path} is a HEIC picture.", "Install it.")
            case "odd.jpg":
                raise ValueError("unexpected")
        return path.name

    monkeypatch.setattr(command, "read_chart_photo", read)
    used, refused = command._read([tmp_path / name for name in ("bad.jpg", "good.jpg", "odd.jpg")], lambda what: None)
    assert used == ["good.jpg"] and [path.name for path, _ in refused] == ["bad.jpg", "odd.jpg"]
    assert "ValueError: unexpected" in str(refused[1][1])
    with pytest.raises(NoReader, match=r"None of 2 photos can be used.*HEIC.*Install it"):
        command._read([tmp_path / "bad.jpg", tmp_path / "odd.jpg"], lambda what: None)
    with pytest.raises(BadInput, match="no such photo"):
        command._read([tmp_path / "good.jpg", tmp_path / "misspelt.jpg"], lambda what: None)


def test_a_code_whose_orientation_zbar_does_not_tell_stops_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    pyzbar = pytest.importorskip("pyzbar.pyzbar")
    picture = cv2.copyMakeBorder(np.kron(modules("IP1AB2CD3EF4GH56"), np.ones((6, 6))).astype(np.uint8), *[40] * 4, 0)
    grey = np.uint8(255) - 255 * picture
    *_, found = search(Pyramid(grey))
    assert {one.decoder for one in found} and detection._read(grey, "pyzbar")
    monkeypatch.setattr(pyzbar, "zbar_symbol_get_orientation", lambda symbol: -7)
    with pytest.raises(ValueError, match="-7"):
        pyzbar.decode(grey)
    assert detection._read(grey, "pyzbar") == [] and list(search(Pyramid(grey)))


@pytest.mark.slow
def test_every_real_photograph_of_foreign_codes_is_listed(copy: Path, data_root: Path) -> None:
    run, experiment = Run(copy, "small"), load_experiment(copy / "small.toml", ("photograph.by=camera",))
    shutil.rmtree(run.photos)
    shutil.copytree(data_root / "real_qr", run.photos)
    run_stage("crop", experiment, run, Context(workers=2))
    rows = DISCARDS.read(run)
    assert {row.photo for row in rows} == {photo_name(run, path) for path in photo_files(run)}
    assert "failed" not in {row.reason for row in rows}
    assert sum(row.reason == "foreign-code" for row in rows) > 60
