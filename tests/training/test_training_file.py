"""A training file is read and refused as an experiment is; the command says what it does."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from tiny import training_file

from pipeline.cli import main
from pipeline.core.errors import InkproofError
from pipeline.datasets import own_classes
from pipeline.settings import DatasetSettings, described
from pipeline.settings.training import (
    RecipeSettings,
    TrainingAttackSettings,
    TrainingCameraSettings,
    load_training,
)
from pipeline.settings.writing import toml_value

ROOT = Path(__file__).parents[2]
KINDS = {"training": RecipeSettings, "attack": TrainingAttackSettings, "camera": TrainingCameraSettings}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.recip=fgsm", r'unknown key "recip" in \[training\].*"recipe"'),
        ("training.recipe=fsgm", 'training.recipe = "fsgm" is not allowed.*"fgsm"'),
        ("attack.epsilon_8bit=300", 'epsilon_8bit above 255 is more than a pixel can change, in the norm "linf"'),
        ("attack.norm=l1", 'attack.norm = "l1" is not allowed'),
        ("training.alpha=1.5", "training.alpha = 1.5 is out of range"),
        ("training.n_epochs=0.5", "training.n_epochs = 0.5: expected a whole number"),
        ("training.keep=clean", 'keep = "clean" needs n_validation above 0'),
        ("training.patience=3", "patience needs keep"),
        ("model.defence=jpeg", "put around a network that is trained already"),
        ("training.temperature=20", 'recipe = "linear" knows no temperature'),
        ("camera.rate=0.5", 'recipe = "linear" has no exact worst case behind a camera'),
        ("name=a/b", "cannot name a folder"),
        ("base=x", 'unknown key "base"'),
    ],
)
def test_wrong_settings_are_refused_with_their_place(tmp_path, override, words):
    linear = override.startswith(("training.temperature", "camera"))
    file = training_file(tmp_path, training={"n_validation": 0, "recipe": "linear" if linear else "plain"})
    with pytest.raises(InkproofError, match=f"--set.*{words}|{file}:.*{words}"):
        load_training(file, (override,))


def test_a_file_that_is_not_there_says_how_one_is_made(tmp_path):
    with pytest.raises(InkproofError, match=r"no such training file.*--template train-signs"):
        load_training(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "splits"),
    [
        ("", ("train", "test")),
        ('[dataset]\nname = "torchvision:MNIST"\nn_images = 9', ("train", "test")),
        ('[dataset]\nname = "folder:x"', ("train", "")),
        ('[test]\nsplit = "validation"', ("train", "validation")),
        ('[dataset]\nname = "folder:x"\n[test]\nname = "folder:y"', ("train", "test")),
    ],
)
def test_data_sets_with_parts_are_tested_on_another_part(tmp_path, text, splits):
    (tmp_path / "my.toml").write_text(text, encoding="utf-8")
    found = load_training(tmp_path / "my.toml")
    assert (found.dataset.split, found.test.split if found.test.name else "") == splits
    assert not found.test.n_images


def test_paths_start_from_the_files_folder(tmp_path):
    (tmp_path / "my.toml").write_text(
        '[dataset]\nname = "folder:x"\n[model]\nname = "python:net.py:build"\n[camera]\nprofile = "p.toml"\n', encoding="utf-8"
    )
    found = load_training(tmp_path / "my.toml").resolved()
    assert found.dataset.name == f"folder:{tmp_path}/x" and found.model.name == f"python:{tmp_path}/net.py:build"
    assert found.camera.profile == f"{tmp_path}/p.toml"


def test_the_classes_of_a_data_set_are_its_own(bars, tmp_path):
    (tmp_path / "my.csv").write_text("path,label\na.png,10\nb.png,9\nc.png,10\n", encoding="utf-8")
    assert own_classes(DatasetSettings(name=f"folder:{bars}/train")) == ("left", "middle", "right")
    assert own_classes(DatasetSettings(name=f"csv:{tmp_path}/my.csv")) == ("9", "10")
    assert len(own_classes(DatasetSettings(name="builtin:signs"))) == 32


def test_the_classes_of_mnist_are_its_own(data_root):
    found = own_classes(DatasetSettings(name="torchvision:MNIST", root=str(data_root / "torchvision")))
    assert found[3] == "3 - three" and len(found) == 10


def test_one_class_is_too_few(bars, trained, tmp_path):
    (tmp_path / "only" / "left").mkdir(parents=True)
    (tmp_path / "only" / "left" / "00.png").write_bytes((bars / "train" / "left" / "00.png").read_bytes())
    with pytest.raises(InkproofError, match="has one class, left"):
        trained(overrides=(f"dataset.name=folder:{tmp_path}/only",))


def test_the_classes_of_a_file_choose_from_the_data(trained):
    folder, card = trained(overrides=('classes=["right", "left"]',))
    assert json.loads((folder / "classes.json").read_text(encoding="utf-8")) == ["right", "left"]
    assert card["n_images"] == 2 * 40 - 20 and card["accuracies"]["test"]["n_images"] == 20


def test_a_model_that_cannot_be_trained_is_refused(trained, tmp_path):
    (tmp_path / "own.py").write_text("def build():\n    return lambda x: x.flatten(1)[:, :3]\n", encoding="utf-8")
    with pytest.raises(InkproofError, match="has no weights to train"):
        trained(model={"name": f"python:{tmp_path}/own.py:build"})


def test_more_images_held_back_than_there_are_is_refused(trained):
    with pytest.raises(InkproofError, match=r"There are 120 training images, and training\.n_validation = 120"):
        trained(training={"n_validation": 120})


def test_the_command_trains_tells_and_names_the_model(bars, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = training_file(tmp_path, images=str(bars))
    assert main(["train", str(file), "--dry-run"]) == 0
    assert "would run train" in capsys.readouterr().out and not (tmp_path / "models").exists()
    assert main(["train", str(file), "--workers", "1"]) == 0
    out, err = capsys.readouterr()
    assert "test, 30 images, right (ε = 16): clean " in out and 'name = "trained:models/bars"' in out
    assert "epoch 3 of 3: loss" in err
    assert main(["train", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "trained:models/bars" and told["card"]["epoch_kept"] == 3
    assert main(["train", str(file), "--set", "training.n_epochs=4"]) == 3
    assert "--force" in capsys.readouterr().err


def test_networks_are_listed(capsys):
    assert main(["list", "networks"]) == 0
    assert "network:carlini-mnist" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("train-*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_valid(path, monkeypatch, tmp_path):
    assert load_training(path).name == path.stem


def test_init_writes_a_training_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my.toml", "--template", "train-signs"]) == 0
    assert "inkproof train my.toml" in capsys.readouterr().out
    assert load_training(Path("my.toml")).name == "my"
    assert main(["init", "other.toml", "--template", "train-signs", "--camera"]) == 2


def test_every_setting_is_documented_with_its_default():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for kind in KINDS.values():
        assert {item.name for item in described(kind)} == {item.name for item in fields(kind)}
        for item in described(kind):
            assert f"| `{item.name}` | `{toml_value(item.default)}` | {item.text} |" in text, item.name
