"""What is chosen by name: other installed packages bring their own, and none of them can stop the project."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.attacks import attack_named, attack_spec, attacks_listed
from pipeline.cli import main
from pipeline.cli.catalogue import check_names, listed
from pipeline.core.errors import Unavailable, WrongUse
from pipeline.core.registry import Registry, Scheme
from pipeline.datasets import open_dataset
from pipeline.models import MODELS, load_classifier
from pipeline.report.words import attack_title, axis_of
from pipeline.settings import DatasetSettings, ModelSettings
from pipeline.settings.reading import load_experiment
from pipeline.specs.attacks import ATTACKS
from pipeline.specs.transforms import TRANSFORMS

GUEST = """
import numpy as np
from pydantic.dataclasses import dataclass
from pipeline.attacks.attack import NO_EPSILON, Perturbed
from pipeline.specs.attacks import AttackSpec, NONE
from pipeline.core.registry import Scheme
from pipeline.settings import TABLE
from pipeline.specs.transforms import TransformSpec, Way

@dataclass(frozen=True, config=TABLE)
class Options:
    level: int = 3

class Greyed:
    targeted = False
    def __init__(self, options):
        self.identity = {"level": options.level}
    def perturb(self, classifier, images, labels, epsilons_8bit, targets=None):
        zeros = np.zeros(len(images), np.int64)
        return {e: Perturbed(np.full_like(images, self.identity["level"]), None, zeros, zeros) for e in epsilons_8bit}

MAKE, OPTIONS = "guest_package:Greyed", "guest_package:Options"
GREYED = AttackSpec("greyed", "all grey", "one grey level everywhere", MAKE, OPTIONS, targets=NONE)
TWICE = AttackSpec("fgsm", "", "another fgsm", MAKE)
LOST = AttackSpec("lost", "", "what it is made of is missing", "guest_package:Nothing")
MIRROR = TransformSpec("mirror", "Mirror", "times", "mirrored", (0, 1), 0, 1, "guest_package:mirror", (Way("up", 0, (1,)),))
HUB = Scheme("hub:NAME", "models of the hub", "guest_package:from_hub")
PILE = Scheme("pile:DIR", "a pile of pictures", "guest_package:from_pile")

def mirror(pixels, value, generator):
    return pixels[:, ::-1].copy() if value else pixels.copy()

def from_hub(name, settings, device):
    return f"the model {name} on {device}"

def from_pile(name, settings, labels, seed):
    return f"the pile {name}"
"""
POINTS = """
[inkproof.attacks]
greyed = guest_package:GREYED
fgsm = guest_package:TWICE
lost = guest_package:LOST
broken = guest_package_that_fails:ATTACK
wrong = guest_package:HUB

[inkproof.transforms]
mirror = guest_package:MIRROR

[inkproof.models]
hub = guest_package:HUB

[inkproof.datasets]
pile = guest_package:PILE
"""


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package, as pip would install it."""
    site = tmp_path / "site"
    told = site / "guest-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: guest\nVersion: 1.0\n", encoding="utf-8")
    (told / "entry_points.txt").write_text(POINTS, encoding="utf-8")
    (site / "guest_package.py").write_text(GUEST, encoding="utf-8")
    (site / "guest_package_that_fails.py").write_text("raise RuntimeError('no such luck.\\nat all')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))


@pytest.mark.usefixtures("guest")
class TestGuests:
    def test_an_attack_of_another_package_is_one_like_ours(self, tmp_path):
        file = tmp_path / "my.toml"
        file.write_text('[[attacks]]\nname = "greyed"\nepsilons_8bit = [4]\noptions = { level = 9 }\n', encoding="utf-8")
        experiment = load_experiment(file)
        check_names(experiment)
        assert attack_spec("greyed").takes_epsilon and attack_title("greyed") == "all grey"
        made = attack_named("greyed", options=experiment.attacks[0].options)
        assert (made.perturb(None, np.zeros((1, 2, 2, 3), np.uint8), np.zeros(1), [4])[4].images == 9).all()

    def test_its_wrong_option_is_refused_with_its_line(self, tmp_path):
        file = tmp_path / "my.toml"
        file.write_text('[[attacks]]\nname = "greyed"\nepsilons_8bit = [4]\noptions = { levle = 9 }\n', encoding="utf-8")
        with pytest.raises(WrongUse, match=r'my\.toml:4.*Did you mean "level"'):
            check_names(load_experiment(file))

    def test_a_transform_a_model_and_a_data_set_too(self):
        image = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
        found = TRANSFORMS.find("mirror").apply(image, 1, np.random.default_rng(0))
        assert (found == image[:, ::-1]).all() and TRANSFORMS.names()[-1] == "mirror"
        assert axis_of("mirror").title == "Mirror"
        assert load_classifier(ModelSettings(name="hub:small"), "cpu") == "the model small on cpu"
        assert open_dataset(DatasetSettings(name="pile:here"), ("a",)) == "the pile here"

    def test_a_near_match_may_be_a_guest(self):
        with pytest.raises(WrongUse, match='Did you mean "greyed"'):
            ATTACKS.find("grayed")
        with pytest.raises(WrongUse, match="Did you mean hub:NAME"):
            MODELS.find_scheme("hbu:small")

    def test_our_own_name_wins_and_the_clash_is_said(self):
        assert ATTACKS.find("fgsm").title == "fast"
        assert [line for name, line in attacks_listed() if name == "fgsm" and "package guest" in line]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("broken", "RuntimeError: no such luck"),
            ("wrong", "guest_package:HUB is no AttackSpec"),
            ("lost", "guest_package:Nothing"),
        ],
    )
    def test_a_broken_one_gives_a_sentence_when_it_is_used(self, name, reason):
        with pytest.raises(Unavailable) as caught:
            attack_named(name, "my.toml:3")
        assert str(caught.value).startswith("my.toml:3: ") and reason in str(caught.value) and "\n" not in str(caught.value)

    def test_a_broken_one_leaves_the_list_whole(self, capsys):
        lines = dict(listed("attacks"))
        assert lines["greyed"] == "one grey level everywhere (package guest)" and "cannot be used" in lines["broken"]
        assert main(["list", "attacks"]) == 0
        assert "no such luck" in capsys.readouterr().out


def test_without_guests_none_is_looked_for(monkeypatch):
    def refused(**_):
        raise AssertionError("no name was asked for that the project lacks")

    monkeypatch.setattr("pipeline.core.registry.entry_points", refused)
    assert ATTACKS.find("pgd").title == "PGD" and MODELS.find_scheme("timm:resnet18")[1] == "resnet18"


def test_a_name_without_a_colon_is_taken_for_one_of_the_usual_scheme():
    schemes = Registry("model", Scheme, {"zoo": Scheme("zoo:NAME", "", ""), "file": Scheme("file:PATH", "", "")})
    for name, hint in [
        ("resnet", "zoo:resnet"),
        ("fiel:x", "file:PATH"),
        ("zoo:", "zoo:NAME"),
        ("", "Known: zoo:NAME, file:PATH"),
    ]:
        with pytest.raises(WrongUse, match=hint):
            schemes.find_scheme(name, usual="zoo")


def test_a_reader_sees_the_title_of_an_attack_and_else_what_it_is_called():
    titles = {"bim": "basic iterative", "bim-long": "bim-long", "foolbox-LinfPGD": "foolbox-LinfPGD"}
    assert {key: attack_title(key) for key in titles} == titles


def test_an_option_called_norm_is_the_norm():
    assert attack_spec("pgd").norm == "linf" and attack_spec("pgd", options={"norm": "l2"}).norm == "l2"
    assert attack_spec("deepfool") == replace(ATTACKS.find("deepfool"), norm="l2")
