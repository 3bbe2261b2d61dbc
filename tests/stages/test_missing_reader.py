"""A photo that was refused because this machine lacked something is read as soon as it no longer lacks it."""

import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.engine import Context
from pipeline.images import formats
from pipeline.images.colour_profiles import matrix_profile
from pipeline.images.formats import unreadable
from pipeline.images.pictures import Picture, pictures
from pipeline.physical.registration import photo_reading
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import run_stage, status
from pipeline.store import Run
from pipeline.store.artefacts import CAPTURED, DISCARDS

CONTEXT = Context()

CAMERA = ("photograph.by=camera",)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny, tmp_path / "workspace", symlinks=True)
    return tmp_path / "workspace"


def discards_of(run: Run) -> dict[str, str]:
    return {row.photo: row.reason for row in DISCARDS.read(run)}


def state_of_crop(workspace: Path) -> tuple[str, str]:
    experiment = load_experiment(workspace / "small.toml", CAMERA)
    (found,) = [found for found in status(experiment, Run(workspace, "small")) if found.stage == "crop"]
    return found.state, found.reason


def as_an_iphone_writes_it(photo: Path, path: Path) -> None:
    """The photo as a HEIC of tiles, in Display P3, turned by 90 degrees."""
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    exif, wide = Image.Exif(), matrix_profile("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)))
    exif[0x0112] = 6
    with Image.open(photo) as image:
        colours = ImageCms.profileToProfile(
            image.convert("RGB"), ImageCms.createProfile("sRGB"), io.BytesIO(wide), outputMode="RGB"
        )
    options = {"quality": 80, "tile_size": 512, "enc_params": {"preset": "ultrafast"}}
    colours.rotate(90, expand=True).save(path, format="HEIF", exif=exif.tobytes(), icc_profile=wide, **options)


def test_an_iphones_heic_is_read_once_its_plug_in_is_there_and_needs_no_extra(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, experiment = Run(copy, "small"), load_experiment(copy / "small.toml", CAMERA)
    photo = next(run.photos.glob("*.jpg"))
    as_an_iphone_writes_it(photo, run.photos / "mine.heic")
    for extra in ("rawpy", "timm", "onnxruntime", "foolbox", "art"):
        monkeypatch.setitem(sys.modules, extra, None)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pillow_heif", None)
        run_stage("crop", experiment, run, CONTEXT)
        assert discards_of(run)["mine.heic"] == "no-reader" and state_of_crop(copy)[0] == "done"
    state, why = state_of_crop(copy)
    assert state != "done" and "mine.heic" in why
    run_stage("crop", experiment, run, CONTEXT)
    assert discards_of(run).get("mine.heic", "") in ("", "superseded")
    (capture,) = (capture for capture in CAPTURED.read(run) if capture.photo == "mine.heic")
    assert capture.page and capture.notes == ("colours converted to sRGB from Display P3",)
    assert list((run.captures / "overlays").glob("mine-*.jpg"))
    (own,), (plain,) = pictures(run.photos / "mine.heic"), pictures(photo)
    assert np.abs(own.pixels.astype(int) - plain.pixels).mean() < 3


@pytest.mark.parametrize("error", [MemoryError(), PermissionError(13, "Permission denied")], ids=["memory", "rights"])
def test_a_refusal_that_another_try_may_undo_is_not_kept(copy: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    run, experiment = Run(copy, "small"), load_experiment(copy / "small.toml", CAMERA)
    with Image.open(next(run.photos.glob("*.jpg"))) as image:
        image.save(run.photos / "mine.png")

    def fails(path: Path) -> Iterator[Picture]:
        raise unreadable(path, error)

    with monkeypatch.context() as lacking:
        lacking.setattr(photo_reading, "pictures", fails)
        run_stage("crop", experiment, run, CONTEXT)
        assert discards_of(run)["mine.png"] == "no-reader"
    (run.photos / "note.txt").write_text("anything new lets the photos be read again")
    run_stage("crop", experiment, run, CONTEXT)
    assert discards_of(run).get("mine.png", "") in ("", "superseded")


def test_a_kind_of_picture_that_this_pillow_cannot_read_is_told_apart_from_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp")
    monkeypatch.delitem(Image.OPEN, "WEBP")
    assert "WEBP" in formats.missing_reader(tmp_path / "a.webp")
    with pytest.raises(formats.NoReader, match="WEBP"):
        formats.readable_formats(tmp_path / "a.webp")
