"""The tiny data set, and a place to train on it."""

from functools import cache

import pytest
from tiny import training_file, write_bars

from pipeline.engine import Context
from pipeline.settings.training import load_training
from pipeline.training import results, run
from pipeline.training.images import read_images

FIGURE, PICTURES = results._figure, results._pictures


@pytest.fixture(scope="session")
def bars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "bars"
    for part, n, seed in (("train", 40, 0), ("test", 10, 1)):
        write_bars(folder / part, n, seed)
        write_bars(folder / "two" / part, n, seed, names=("left", "right"))
    return folder


@pytest.fixture(scope="session")
def read_once():
    return cache(read_images)


@pytest.fixture
def trained(tmp_path, bars, monkeypatch, read_once):
    """Trains with these tables of a training file, and returns the folder and the card; draws where that is asked."""

    def train(name="bars", say=lambda _: None, force=False, overrides=(), images="", figures=False, **tables):
        monkeypatch.setattr(results, "_figure", FIGURE if figures else lambda *_: b"")
        monkeypatch.setattr(results, "_pictures", PICTURES if figures else lambda *_: b"")
        file = training_file(tmp_path, name, images=str(bars / images), **tables)
        folder = tmp_path / "models" / name
        return folder, run.train(load_training(file, overrides), folder, Context(), say, force)

    monkeypatch.setattr(run, "read_images", read_once)
    return train
