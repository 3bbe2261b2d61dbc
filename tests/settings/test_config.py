"""The experiment file: what is accepted, and how everything else is refused."""

import dataclasses
from pathlib import Path

import pytest

from pipeline.core.errors import BadInput, WrongUse
from pipeline.settings import SECTIONS, AttackSettings, JudgeSettings, described, resolve_path
from pipeline.settings.reading import load_experiment
from pipeline.settings.writing import experiment_text

MINIMAL = '[[attacks]]\nname = "fgsm"\nepsilons_8bit = [4]\n'


def written(folder: Path, text: str, name: str = "my.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_fill_what_the_file_leaves_out(tmp_path):
    experiment = load_experiment(written(tmp_path, MINIMAL))
    assert (experiment.name, experiment.seed) == ("my", 0)
    assert experiment.cells() == [("fgsm", 4)]
    assert experiment.selection.min_confidence == 0.8


def test_attacks_have_the_papers_epsilons_or_none(tmp_path):
    entries = ('name = "fgsm"', 'name = "cw-l2"', 'name = "cw-l2"\nlabel = "sure"\noptions = {kappa = 5}')
    text = "".join(f"[[attacks]]\n{entry}\n" for entry in entries)
    experiment = load_experiment(written(tmp_path, text))
    assert experiment.cells() == [("fgsm", 4), ("fgsm", 16), ("cw-l2", 0), ("sure", 0)]
    again = load_experiment(written(tmp_path, experiment_text(experiment, tmp_path), "again.toml"))
    assert again.attacks == experiment.attacks


def test_a_label_is_the_name_that_overrides_know(tmp_path):
    text = MINIMAL + 'label = "weak"\n' + MINIMAL
    experiment = load_experiment(written(tmp_path, text), overrides=("attacks.weak.epsilons_8bit=[2]",))
    assert experiment.cells() == [("weak", 2), ("fgsm", 4)]


REFUSED = {
    "unknown-top-key": ("naem = 'x'\n" + MINIMAL, "my.toml:1", 'Did you mean "name"?'),
    "unknown-key": (MINIMAL + "[selection]\nn_imagse = 3\n", "my.toml:5", 'Did you mean "n_images"?'),
    "unknown-attack-key": ('[[attacks]]\nname = "fgsm"\nepsilon = [4]\n', "my.toml:3", 'Did you mean "epsilons_8bit"?'),
    "second-attack-is-located": (MINIMAL + '[[attacks]]\nname = "bim"\nepsilons_8bit = [0]\n', "my.toml:6", "expected 1 to 255"),
    "negative-epsilon": ('[[attacks]]\nname = "fgsm"\nepsilons_8bit = [-1]\n', "my.toml:3", "expected 1 to 255"),
    "fractional-epsilon": ('[[attacks]]\nname = "fgsm"\nepsilons_8bit = [1.5]\n', "my.toml:3", "whole number"),
    "epsilon-not-a-list": ('[[attacks]]\nname = "fgsm"\nepsilons_8bit = 4\n', "my.toml:3", "expected a list"),
    "no-epsilon": ('[[attacks]]\nname = "fgsm"\nepsilons_8bit = []\n', "my.toml:3", "has no epsilon"),
    "attack-twice": (MINIMAL + MINIMAL, "my.toml:5", "listed twice"),
    "epsilon-for-none": ('[[attacks]]\nname = "cw-l2"\nepsilons_8bit = [4]\n', "my.toml:3", "takes no epsilon"),
    "label-twice": (MINIMAL + MINIMAL.replace("fgsm", "bim") + 'label = "fgsm"\n', "my.toml:5", "listed twice"),
    "label-with-slash": (MINIMAL + 'label = "a/b"\n', "my.toml:4", "cannot name a folder"),
    "label-of-the-clean-images": (MINIMAL + 'label = "clean"\n', "my.toml:4", "cannot name a folder"),
    "label-of-another-cell": (MINIMAL + 'label = "bim-eps4"\n', "my.toml:4", "cannot name a folder"),
    "epsilon-twice": ('[[attacks]]\nname = "fgsm"\nepsilons_8bit = [8, 8]\n', "my.toml:3", "listed twice"),
    "transform-value-twice": (MINIMAL + "[transforms]\nblur = [1, 1.0]\n", "my.toml:5", "listed twice"),
    "no-case": (MINIMAL + "[selection]\ncases = []\n", "my.toml:5", "is empty"),
    "not-a-number": (MINIMAL + "[selection]\nmin_confidence = nan\n", "my.toml:5", "expected a number"),
    "infinite": (MINIMAL + "[layout]\nimage_mm = inf\n", "my.toml:5", "expected a number"),
    "no-attack": ("seed = 1\n", "my.toml", "no [[attacks]]"),
    "bad-choice": (MINIMAL + '[layout]\npaper = "A44"\n', "my.toml:5", 'Did you mean "A4"?'),
    "bad-case": (MINIMAL + '[selection]\ncases = ["averag"]\n', "my.toml:5", 'Did you mean "average"?'),
    "text-for-number": (MINIMAL + '[selection]\nn_images = "many"\n', "my.toml:5", "whole number"),
    "true-for-number": (MINIMAL + "[selection]\nn_images = true\n", "my.toml:5", "whole number"),
    "confidence-above-one": (MINIMAL + "[selection]\nmin_confidence = 80\n", "my.toml:5", "expected 0 to 1"),
    "run-name-with-slash": ('name = "a/b"\n' + MINIMAL, "my.toml:1", "cannot name a folder"),
    "run-name-of-a-device": ('name = "Con.1"\n' + MINIMAL, "my.toml:1", "Windows keeps this name for a device"),
    "run-name-with-a-last-dot": ('name = "run."\n' + MINIMAL, "my.toml:1", "cannot name a folder"),
    "label-of-a-device": (MINIMAL + 'label = "aux"\n', "my.toml:4", "cannot name a folder"),
    "negative-seed": ("seed = -1\n" + MINIMAL, "my.toml:1", "0 or more"),
    "transform-without-values": (MINIMAL + "[transforms]\nblur = []\n", "my.toml:5", "transforms.blur is empty"),
    "transform-of-text": (MINIMAL + '[transforms]\nblur = ["much"]\n', "my.toml:5", "expected a number"),
    "attacks-not-tables": ("attacks = [3]\n", "my.toml:1", "must be written as [[attacks]] tables"),
    "one-table-for-many": (MINIMAL + '[judges]\nname = "onnx:a.onnx"\n', "my.toml:4", "must be written as [[judges]] tables"),
    "a-key-of-ours": ("source = 1\n" + MINIMAL, "my.toml:1", 'unknown key "source"'),
    "section-not-a-table": ('model = "builtin:signs"\n' + MINIMAL, "my.toml:1", "must be a table"),
}


@pytest.mark.parametrize(("text", "place", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_file_is_refused_with_place_and_advice(tmp_path, text, place, words):
    with pytest.raises(WrongUse) as caught:
        load_experiment(written(tmp_path, text))
    assert place in str(caught.value) and words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_toml_names_the_line(tmp_path):
    with pytest.raises(BadInput, match=r"my\.toml:2: not valid TOML"):
        load_experiment(written(tmp_path, "seed = 1\nname = \n"))


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(BadInput, match="inkproof init"):
        load_experiment(tmp_path / "none.toml")


OVERRIDES = {
    "number": ("selection.n_images=12", lambda found: found.selection.n_images == 12),
    "text-without-quotes": ("layout.paper=Letter", lambda found: found.layout.paper == "Letter"),
    "list": ("transforms.blur=[1, 2]", lambda found: found.transforms.grids["blur"] == (1.0, 2.0)),
    "attack-by-name": ("attacks.fgsm.epsilons_8bit=[8]", lambda found: found.cells() == [("fgsm", 8)]),
    "attack-by-place": ("attacks.0.epsilons_8bit=[2]", lambda found: found.cells() == [("fgsm", 2)]),
    "top-level": ("name=other", lambda found: found.name == "other"),
}


@pytest.mark.parametrize(("override", "holds"), OVERRIDES.values(), ids=OVERRIDES.keys())
def test_an_override_wins_over_the_file(tmp_path, override, holds):
    assert holds(load_experiment(written(tmp_path, MINIMAL), (override,)))


@pytest.mark.parametrize(
    "override", ["selection.n_imges=3", "attacks.bmi.name=x", "nothing", "seed.deep=1", "selection.n_images=-4"]
)
def test_a_bad_override_is_refused(tmp_path, override):
    with pytest.raises(WrongUse):
        load_experiment(written(tmp_path, MINIMAL), (override,))


def test_a_bad_override_is_blamed_on_itself_and_not_on_the_file(tmp_path):
    with pytest.raises(WrongUse, match=r"^--set: selection\.n_images"):
        load_experiment(written(tmp_path, MINIMAL + "[selection]\nn_images = 3\n"), ("selection.n_images=-4",))


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load_experiment(tmp_path / "bom.toml").cells() == [("fgsm", 4)]


def test_advice_repeats_what_changes_the_result_or_the_place(tmp_path):
    path = written(tmp_path, MINIMAL)
    experiment = load_experiment(path, ("layout.paper=Letter",), 7, ("--seed", "7", "--workspace", "a b"))
    assert experiment.words == f"{path} --set layout.paper=Letter --seed 7 --workspace 'a b'"


def test_the_seed_flag_wins(tmp_path):
    assert load_experiment(written(tmp_path, "seed = 3\n" + MINIMAL), seed=9).seed == 9


def test_paths_take_variables_and_start_from_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_DATA", str(tmp_path / "d"))
    monkeypatch.delenv("NOT_SET", raising=False)
    assert resolve_path("$MY_DATA/x.csv", tmp_path) == tmp_path / "d" / "x.csv"
    assert resolve_path("${NOT_SET:-fallback}/x", tmp_path) == tmp_path / "fallback" / "x"
    assert resolve_path("x.csv", tmp_path) == tmp_path / "x.csv"
    with pytest.raises(WrongUse, match="NOT_SET"):
        resolve_path("$NOT_SET/x", tmp_path)


def test_a_relative_variable_starts_from_where_the_person_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_DATA", "data")
    assert resolve_path("$MY_DATA/x", Path("/elsewhere")) == tmp_path / "data" / "x"


def test_model_paths_are_filled_in(tmp_path):
    text = MINIMAL + '[model]\nname = "onnx:net.onnx"\nclasses = "names.txt"\narguments = { path = "./w.pt", kind = "resnet" }\n'
    model = load_experiment(written(tmp_path, text)).resolved_model()
    assert model.name == f"onnx:{tmp_path / 'net.onnx'}"
    assert model.classes == str(tmp_path / "names.txt")
    assert model.arguments == {"path": str(tmp_path / "w.pt"), "kind": "resnet"}
    assert model.weights == "DEFAULT"


def test_the_written_file_says_the_same_experiment(tmp_path):
    text = (
        MINIMAL + '[model]\nclasses = "names.txt"\narguments = { depth = 3 }\n[transforms]\nblur = [0.4, 2]\nsave_images = true\n'
    )
    experiment = load_experiment(written(tmp_path, text))
    deeper = tmp_path / "runs" / "one"
    deeper.mkdir(parents=True)
    again = load_experiment(written(deeper, experiment_text(experiment, deeper)))
    assert dataclasses.replace(again, base=experiment.base) == experiment
    assert again.path("x").resolve() == experiment.path("x").resolve()


def test_an_experiment_without_paths_names_no_folder(tmp_path):
    assert "base" not in experiment_text(load_experiment(written(tmp_path, MINIMAL)), tmp_path / "deep" / "er")


def test_a_variables_relative_default_keeps_its_place(tmp_path, monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    experiment = load_experiment(written(tmp_path, MINIMAL + '[dataset]\nroot = "${NOT_SET:-pictures}"\n'))
    again = load_experiment(written(tmp_path, experiment_text(experiment, tmp_path / "deep"), "again.toml"))
    assert again.base == tmp_path / ".."


def test_every_setting_is_explained():
    tables = (*SECTIONS.values(), AttackSettings, JudgeSettings)
    assert not [(kind.__name__, item.name) for kind in tables for item in described(kind) if not item.doc.endswith(".")]


def test_a_changed_record_is_checked_again(tmp_path):
    selection = load_experiment(written(tmp_path, MINIMAL)).selection
    assert dataclasses.replace(selection, n_images=3).n_images == 3
    with pytest.raises(ValueError, match="n_images"):
        dataclasses.replace(selection, n_images=-3)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "examples").glob("[!t]*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_valid(path):
    assert load_experiment(path).name == path.stem
