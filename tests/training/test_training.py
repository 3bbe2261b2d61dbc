"""Each recipe learns, goes on after an interruption with the same bytes, and leaves a card that is true."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from safetensors.torch import load_file
from tiny import SIDE

import inkproof
from pipeline.core.errors import InkproofError
from pipeline.engine import Context
from pipeline.models import load_classifier
from pipeline.models.trained import CARD, CLASSES, WEIGHTS
from pipeline.settings import ModelSettings
from pipeline.settings.reading import load_experiment
from pipeline.stages.graph import run_stage
from pipeline.store import Run
from pipeline.store.artefacts import FIRST_LAYER
from pipeline.training.loop import CHECKPOINT
from pipeline.training.results import CURVES, FIGURE, PICTURES

FC = "fc16-3"
RECIPES = {
    "plain": {},
    "plain fc, adam, dropout": {
        "network": FC,
        "model": {"arguments": {"dropout": 0.1}},
        "training": {"optimiser": "adam", "learning_rate": 0.02, "schedule": "one-cycle", "n_epochs": 8},
    },
    "label smoothing, weight decay": {"training": {"label_smoothing": 0.1, "weight_decay": 0.001}},
    "fgsm": {"training": {"recipe": "fgsm"}},
    "fast": {"training": {"recipe": "fast", "alpha": 0.0}},
    "pgd": {"training": {"recipe": "pgd", "alpha": 0.0}, "attack": {"n_steps": 3}},
    "linear": {"network": "logistic", "images": "two", "training": {"recipe": "linear", "alpha": 0.0}},
    "distillation": {"training": {"temperature": 10.0, "learning_rate": 10.0, "n_epochs": 6}},
    "camera": {"training": {"recipe": "fgsm", "n_epochs": 1, "batch_size": 8}, "camera": {"rate": 0.13, "image_mm": 20.0}},
    "autoencoder": {
        "network": FC,
        "training": {"optimiser": "adam", "learning_rate": 0.02, "pretrain_epochs": 5, "n_epochs": 5},
    },
    "maxout": {"network": "maxout", "model": {"arguments": {"units": 8, "pieces": 2, "dropout": 0.0}}},
    "resnet": {"network": "resnet8", "model": {"arguments": {"width": 4}}, "training": {"n_epochs": 9}},
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns(name, trained):
    _, card = trained(**RECIPES[name])
    test = card["accuracies"]["test"]
    assert test["n_images"] == 10 * (2 if name == "linear" else 3)
    assert test["clean_accuracy"] >= 0.9, card["accuracies"]


def test_training_against_the_attack_makes_it_weaker(trained):
    """Columns that tell nothing get weights by chance, which the attack uses."""
    found = {}
    for recipe in ("plain", "fgsm"):
        _, card = trained(recipe, training={"recipe": recipe, "n_epochs": 10}, attack={"epsilon_8bit": 30.0})
        found[recipe] = card["accuracies"]["test"]["fgsm_accuracy"]
    assert found["fgsm"] > found["plain"] + 0.1, found


INTERRUPTED = {
    "dropout, adam, pgd, the best epoch": {
        "network": FC,
        "model": {"arguments": {"dropout": 0.3}},
        "training": {"recipe": "pgd", "optimiser": "adam", "keep": "adversarial", "n_epochs": 4},
    },
    "after an autoencoder": {"network": FC, "training": {"optimiser": "adam", "pretrain_epochs": 3, "n_epochs": 4}},
    "norms, momentum, random start, the last epoch": {
        "network": "resnet8",
        "model": {"arguments": {"width": 2}},
        "training": {"recipe": "fast", "schedule": "cosine", "n_epochs": 4},
    },
}


@pytest.mark.parametrize("tables", INTERRUPTED.values(), ids=INTERRUPTED)
def test_an_interrupted_training_ends_with_the_same_bytes(trained, tables):
    whole, card = trained("whole", figures=True, **tables)

    def interrupt(line):
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained("whole2", say=interrupt, **tables)
    lines = []
    again, again_card = trained("whole2", say=lines.append, figures=True, **tables)
    assert lines[0].startswith("going on after epoch 2") and len(lines) == 3
    for file in (WEIGHTS, CURVES, FIGURE, PICTURES, CLASSES):
        assert (whole / file).read_bytes() == (again / file).read_bytes(), file
    assert again_card | {"name": "", "settings_sha256": ""} == card | {"name": "", "settings_sha256": ""}
    assert not (again / CHECKPOINT).exists()


KNOBS = (
    "training.recipe=fast", "training.alpha=0.4", "training.n_epochs=2", "training.batch_size=25", "training.optimiser=adam",
    "training.learning_rate=0.11", "training.schedule=cosine", "training.schedule=one-cycle", "training.weight_decay=0.01",
    "training.label_smoothing=0.1", "training.pretrain_epochs=1", "training.n_validation=30", "attack.epsilon_8bit=90",
    "attack.n_steps=2", "attack.step_8bit=5", "attack.clip=false", "model.arguments={dropout=0.1}", "seed=4",
)  # fmt: skip


def test_every_knob_changes_the_weights(trained, subtests):
    tables = {"network": FC, "training": {"recipe": "pgd", "n_epochs": 1}, "attack": {"epsilon_8bit": 100.0, "n_steps": 3}}
    usual, again = (trained(name, **tables)[0] for name in ("usual", "again"))
    assert (usual / WEIGHTS).read_bytes() == (again / WEIGHTS).read_bytes()
    for knob in KNOBS:
        with subtests.test(knob=knob):
            turned, _ = trained("turned", force=True, overrides=(knob,), **tables)
            assert (usual / WEIGHTS).read_bytes() != (turned / WEIGHTS).read_bytes()


def test_what_is_trained_already_is_not_trained_again_and_other_settings_need_force(trained):
    folder, card = trained()
    before = (folder / WEIGHTS).read_bytes()
    assert trained(say=pytest.fail)[1] == card
    with pytest.raises(InkproofError, match=r"other settings.*--force"):
        trained(overrides=("training.n_epochs=2",))
    _, other = trained(overrides=("training.n_epochs=2",), force=True)
    assert other["n_epochs_trained"] == 2 and (folder / WEIGHTS).read_bytes() != before


def test_two_processes_do_not_train_into_one_folder_at_once(trained):
    """The second waits, says so, and takes what the first has made."""
    folder, card = trained()
    held = FileLock(folder.parent / f".{folder.name}.lock")
    held.acquire()
    said = []

    def say(line: str) -> None:
        said.append(line)
        held.release()

    assert trained(say=say)[1] == card and said == ["another process trains it: waiting"]


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(trained):
    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(say=interrupt)
    with pytest.raises(InkproofError, match="training with other settings"):
        trained(overrides=("training.learning_rate=0.2",))


def test_the_card_is_true(trained, bars):
    """Its hash is that of the file; its accuracies are those that predictions and attacks of files find."""
    folder, card = trained(attack={"epsilon_8bit": 30.0})
    assert card == json.loads((folder / CARD).read_text(encoding="utf-8"))
    assert card["weights_sha256"] == hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    model = inkproof.load_model(f"trained:{folder}")
    assert model.class_names == ("left", "middle", "right")
    images, labels = inkproof.draw_images(inkproof.open_dataset(f"folder:{bars}/test", model), model)
    attacked = inkproof.attack(model, images, labels, "fgsm", 30)
    told = card["accuracies"]["test"]
    for kind, pixels in (("clean", images), ("fgsm", attacked)):
        probabilities = model.predict(pixels)
        wrong = probabilities.argmax(1) != labels
        assert told[f"{kind}_accuracy"] == pytest.approx(1 - wrong.mean())
        sure = probabilities.max(1)[wrong]
        assert told[f"{kind}_confidence_when_wrong"] == (pytest.approx(sure.mean(), abs=1e-4) if wrong.any() else None)
    assert 0 < told["fgsm_accuracy"] < 1


def test_the_best_epoch_is_kept_and_waiting_ends(trained):
    """A rate that is far too large makes later epochs worse by chance."""
    _, card = trained(
        network=FC,
        training={"keep": "adversarial", "patience": 2, "n_epochs": 40, "learning_rate": 0.5, "recipe": "fgsm"},
        attack={"epsilon_8bit": 30.0},
    )
    assert card["n_epochs_trained"] == card["epoch_kept"] + 2 < 40


def test_curves_and_card_say_which_epoch_was_best(trained):
    recipe = {"keep": "adversarial", "n_epochs": 6}
    folder, card = trained(network=FC, training=recipe, attack={"epsilon_8bit": 24.0}, figures=True)
    head, *rows = (folder / CURVES).read_text(encoding="utf-8").splitlines()
    assert head == "epoch,loss,clean_accuracy,adversarial_accuracy"
    table = np.array([list(map(float, row.split(","))) for row in rows])
    best = max(range(6), key=lambda i: (table[i, 3], table[i, 2], -i))
    assert card["epoch_kept"] == best + 1
    assert card["accuracies"]["validation"]["fgsm_accuracy"] == table[best, 3]
    with Image.open(folder / FIGURE) as picture:
        assert picture.width > 600


def test_a_student_learns_its_teachers_probabilities_at_the_temperature_and_predicts_at_one(trained):
    """Logits learnt at T are about T times as large, and softmax(logits / T) of both is alike (Papernot et al. 2016)."""
    recipe = {"n_epochs": 20, "learning_rate": 10.0}
    plain, _ = trained("plain", training={"n_epochs": 12})
    folder, card = trained("distilled", training=recipe | {"temperature": 20.0})
    assert card["teacher_sha256"] == hashlib.sha256((folder / "teacher" / WEIGHTS).read_bytes()).hexdigest()
    x = torch.rand((64, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    places = (folder, folder / "teacher", plain)
    student, teacher, usual = (load_classifier(ModelSettings(name=f"trained:{place}")).logits(x) for place in places)
    assert torch.allclose((student / 20).softmax(1), (teacher / 20).softmax(1), atol=0.05)
    assert student.abs().mean() > 4 * usual.abs().mean()


BY_LOSS = {"fgsm": {}, "jsma": {"of": "probabilities", "gamma": 1.0}}
BY_LOGITS = {"jsma": {"of": "logits", "gamma": 1.0}, "cw-l2": {}, "cw-l0": {}, "cw-linf": {}}


def test_distillation_hides_the_gradients_of_loss_and_probabilities_and_not_those_of_logits(trained, bars):
    """A student is so sure that they are 0 in float32: that is no sign that it is robust (Carlini and Wagner 2017, Sec. VIII)."""
    for temperature, rate in ((0.0, 0.02), (100.0, 3.0)):
        told = {"optimiser": "adam", "learning_rate": rate, "n_epochs": 8, "temperature": temperature}
        folder, _ = trained(f"T{temperature:.0f}", training=told)
        model = inkproof.load_model(f"trained:{folder}")
        images, labels = inkproof.draw_images(inkproof.open_dataset(f"folder:{bars}/test", model, n_images=6), model)
        assert (model.predict(images).argmax(1) == labels).all()
        for attacks, fools in ((BY_LOSS, not temperature), (BY_LOGITS, True)):
            for name, options in attacks.items():
                found = inkproof.attack(model, images, labels, name, 60, **options)
                assert ((model.predict(found).argmax(1) != labels) == fools).all(), (temperature, name)


def test_a_distillation_that_is_interrupted_keeps_its_teacher(trained):
    lines = []

    def interrupt(line):
        lines.append(line)
        if len(lines) == 4:
            raise KeyboardInterrupt

    whole, _ = trained("whole", training={"temperature": 10.0})
    with pytest.raises(KeyboardInterrupt):
        trained("again", say=interrupt, training={"temperature": 10.0})
    lines.clear()
    again, _ = trained("again", say=lines.append, training={"temperature": 10.0})
    assert lines[0].startswith("going on after epoch 1") and len(lines) == 3
    assert (whole / WEIGHTS).read_bytes() == (again / WEIGHTS).read_bytes()


def test_images_that_cannot_be_read_are_counted(trained, bars, tmp_path):
    shutil.copytree(bars, tmp_path / "bars")
    (tmp_path / "bars/train/left/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "bars/train/left/notes.txt").write_text("no image")
    _, card = trained(overrides=(f"dataset.name=folder:{tmp_path}/bars/train",))
    assert (card["n_images"], card["n_rejected"]) == (100, 2)


def test_a_network_of_ones_own_is_trained_and_its_folder_can_be_moved(trained, tmp_path):
    code = "import torch\ndef build(width):\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(432, width))\n"
    (tmp_path / "own.py").write_text(code, encoding="utf-8")
    folder, card = trained(model={"name": f"python:{tmp_path}/own.py:build", "arguments": {"width": 3}})
    assert card["model"]["name"] == "python:../../own.py:build" and str(tmp_path) not in json.dumps(card["model"])
    before = load_classifier(ModelSettings(name=f"trained:{folder}"))
    shutil.copytree(tmp_path / "models", tmp_path / "else" / "models")
    shutil.copy(tmp_path / "own.py", tmp_path / "else")
    after = load_classifier(ModelSettings(name=f"trained:{tmp_path}/else/models/bars"))
    assert after.fingerprint == before.fingerprint


def test_training_goes_on_from_a_trained_network(trained):
    first, _ = trained("first")
    second, card = trained("second", model={"name": f"trained:{first}"}, training={"learning_rate": 0.0, "n_epochs": 1})
    assert (second / WEIGHTS).read_bytes() == (first / WEIGHTS).read_bytes()
    assert card["model"]["name"] == "network:softmax"


def test_weights_that_are_not_those_of_the_card_are_refused(trained):
    folder, _ = trained()
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(InkproofError, match="not those of its card"):
        load_classifier(ModelSettings(name=f"trained:{folder}"))


def test_no_trained_network_is_said_plainly(tmp_path):
    with pytest.raises(InkproofError, match=r"no trained network in .*empty.*inkproof train"):
        load_classifier(ModelSettings(name=f"trained:{tmp_path}/empty"))


def test_a_loss_beyond_all_numbers_ends_with_advice(trained):
    deep = {"units": 8, "layers": 4, "dropout": 0.0}
    with pytest.raises(InkproofError, match=r"not finite in epoch \d.*learning_rate"):
        trained(network="maxout", model={"arguments": deep}, training={"learning_rate": 100.0, "n_epochs": 9})


@pytest.mark.slow
def test_reading_with_two_processes_gives_the_same_bytes(trained, bars):
    from pipeline.engine import Context
    from pipeline.models.preprocessing import whole_picture
    from pipeline.settings import DatasetSettings
    from pipeline.training.images import read_images

    settings, names = DatasetSettings(name=f"folder:{bars}/train"), ("left", "middle", "right")
    one, two = (
        read_images(settings, names, whole_picture((SIDE, SIDE)), 0, Context(workers=workers), "reading") for workers in (1, 2)
    )
    assert torch.equal(one.pixels, two.pixels) and torch.equal(one.labels, two.labels)


def test_a_run_keeps_the_first_layer_of_a_trained_network_and_of_no_other(trained, bars, tmp_path):
    folder, _ = trained(network=FC)
    run, file = Run(tmp_path, "my"), tmp_path / "my.toml"
    models = {f'name = "trained:{folder}"': f"folder:{bars}/test", 'name = "builtin:signs"': "builtin:signs"}
    for model, images in models.items():
        text = f'[dataset]\nname = "{images}"\n[model]\n{model}\n[selection]\nn_images = 2\ncases = ["average"]\n'
        file.write_text(text + '[[attacks]]\nname = "fgsm"\nepsilons_8bit = [16]\n', encoding="utf-8")
        run_stage("select", load_experiment(file), run, Context())
        if images == "builtin:signs":
            assert not FIRST_LAYER.exists(run)
        else:
            weights = load_file(folder / WEIGHTS)["1.weight"].numpy()
            assert np.array_equal(np.array([unit.weights for unit in FIRST_LAYER.read(run)], np.float32), weights)


@pytest.mark.slow
def test_a_trained_network_is_attacked_printed_and_judged_like_any_other(trained, bars, tmp_path, monkeypatch, capsys):
    from pipeline.cli import main

    recipe = {"n_epochs": 4, "optimiser": "adam", "learning_rate": 0.003}
    trained(network="carlini-mnist", model={"input_px": 28, "arguments": {"dropout": 0.1}}, training=recipe)
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text(
        f'[dataset]\nname = "folder:{bars}/test"\n[model]\nname = "trained:models/bars"\n'
        '[selection]\nn_images = 4\ncases = ["average"]\n[[attacks]]\nname = "fgsm"\nepsilons_8bit = [16]\n'
        '[photograph]\nby = "simulator"\n[thresholds]\nn_images = 0\n[explain]\nn_images = 0\n',
        encoding="utf-8",
    )
    assert main(["run", "my.toml", "--workers", "1"]) == 0
    assert Path("reports/my/figures/first-layer.png").is_file()
    assert Path("reports/my/report.pdf").is_file() and ",photo," in Path("reports/my/rates.csv").read_text(encoding="utf-8")
    trained(force=True)
    capsys.readouterr()
    main(["status", "my.toml", "--json"])
    states = {stage["stage"]: stage["state"] for stage in json.loads(capsys.readouterr().out)["stages"]}
    assert states["select"] == "stale"
