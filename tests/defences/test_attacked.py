"""Defences under attack: attackers who know them, the detector, signs of masked gradients, and a run from file to flags."""

import numpy as np
import pytest
import torch
from linear_classifier import Linear, pictures

from pipeline.attacks.crafting import craft_images
from pipeline.cli.catalogue import check_names
from pipeline.cli.numbers import run_numbers
from pipeline.core.errors import WrongUse
from pipeline.datasets import open_dataset
from pipeline.datasets.dataset import first_images
from pipeline.defences.coding import BitDepth
from pipeline.defences.options import BitDepthOptions, MedianOptions, SqueezingOptions
from pipeline.defences.smoothing import Median
from pipeline.defences.squeezing import FeatureSqueezing
from pipeline.engine import Context
from pipeline.evaluation.judges.asking import opened_judge
from pipeline.evaluation.masking import masking_rows
from pipeline.evaluation.outcomes import Outcomes
from pipeline.images import read_png, to_model
from pipeline.models import load_classifier
from pipeline.models.classifier import REFUSED_NAME
from pipeline.records import ATTACKED_MODEL, Judgement, Pair
from pipeline.records.views import REFUSED
from pipeline.settings import AttackSettings, DatasetSettings, ModelSettings
from pipeline.settings.reading import load_experiment
from pipeline.settings.writing import experiment_text
from pipeline.specs.defences import DEFENCES
from pipeline.stages.graph import run_stage
from pipeline.store import Run
from pipeline.store.artefacts import COUNTED, JUDGED, PAIRS

PLAIN = load_classifier(ModelSettings())
MINIMAL = '[[attacks]]\nname = "fgsm"\nepsilons_8bit = [16]\n'


def behind(name, **options):
    return load_classifier(ModelSettings(defence=name, defence_options=options))


def signs(n, split="test", n_images=200):
    settings = DatasetSettings(n_images=n_images, split=split)
    return first_images(open_dataset(settings, PLAIN.class_names, (), 0), PLAIN.prepare, n)


def attacked(classifier, images, labels, epsilon, **options):
    return np.stack(craft_images(classifier, AttackSettings("pgd", "", (epsilon,), options), images, labels))


def withstood(classifier, images, labels):
    """Which adversarial images a classifier is right about, or refuses to answer."""
    said = classifier.predict(images).argmax(axis=1)
    return (said == labels) | (classifier.refuses & (said == classifier.n_classes - 1))


KNOWN = {
    "jpeg": {},
    "bit-depth": {},
    "random-padding": {"n_expected": 2},
    "randomised-smoothing": {"sigma_8bit": 8, "n_samples": 8, "n_expected": 2},
}


@pytest.mark.parametrize(("name", "options"), KNOWN.items())
def test_an_attack_that_knows_the_defence_leaves_a_tenth_at_sixteen_levels(name, options):
    classifier, (images, labels) = behind(name, **options), signs(8)
    assert (classifier.predict(images).argmax(axis=1) == labels).mean() > 0.9
    assert withstood(classifier, attacked(classifier, images, labels, 16, n_steps=6), labels).mean() <= 0.1


def test_an_attack_that_knows_the_defence_gains_on_one_that_does_not():
    classifier, (images, labels) = behind("gaussian", sigma_px=2.0), signs(8)
    unaware, aware = (attacked(on, images, labels, 2, n_steps=6) for on in (PLAIN, classifier))
    assert withstood(classifier, aware, labels).sum() < withstood(classifier, unaware, labels).sum()


@pytest.mark.slow
@pytest.mark.parametrize("name", DEFENCES.names())
def test_no_defence_is_stronger_against_those_who_know_it(name):
    """At 3 levels, where most defences keep something from the unaware; refusing counts as withstanding."""
    classifier, (images, labels) = behind(name), signs(32)
    if classifier.refuses:
        classifier = behind(name, threshold=classifier.threshold_on(signs(200)[0][32:]))
    unaware, aware = (attacked(on, images, labels, 3, n_steps=10) for on in (PLAIN, classifier))
    assert withstood(classifier, aware, labels).sum() <= withstood(classifier, unaware, labels).sum()


def detector(**options):
    return FeatureSqueezing(Linear(0.03), SqueezingOptions(**options))


def test_a_detector_refuses_as_many_clean_pictures_as_its_threshold_was_set_for():
    clean, unset = pictures(40), detector(false_alarm_rate=0.1, bits=3)
    known = detector(threshold=unset.threshold_on(clean), bits=3)
    assert (known.predict(clean).argmax(axis=1) == 4).sum() == 4
    assert known.n_clean == 0 < unset.n_clean and not (unset.predict(clean).argmax(axis=1) == 4).any()


def test_a_score_is_the_largest_distance_of_probabilities_and_below_the_threshold_the_model_answers():
    images, plain = pictures(8), Linear(0.03)
    copies = [BitDepth(plain, BitDepthOptions(bits=2)), Median(plain, MedianOptions(size_px=5))]
    scores = np.stack([np.abs(copy.predict(images) - plain.predict(images)).sum(axis=1) for copy in copies]).max(axis=0)
    between = float(np.sort(scores)[3:5].mean())
    said = detector(bits=2, median_px=5, threshold=between).predict(images)
    assert np.array_equal(said[:, -1] > 0.5, scores > between) and np.isclose(said.sum(axis=1), 1).all()
    answered = scores < between
    assert answered.sum() == 4 and np.allclose(said[answered, :-1], plain.predict(images)[answered], atol=1e-6)


def test_an_attack_on_a_detector_follows_what_the_picture_and_its_copies_agree_on():
    x, plain = to_model(pictures(2), torch.device("cpu")), Linear(0.03)
    copies = [plain, BitDepth(plain, BitDepthOptions(bits=5)), Median(plain, MedianOptions())]
    least = torch.stack([copy.logits(x).double().softmax(dim=1) for copy in copies]).amin(dim=0)
    seen = FeatureSqueezing(plain, SqueezingOptions(threshold=0.1)).for_attacks()(x)
    assert torch.allclose(seen.double(), -torch.log(1 - least), atol=1e-4)


class FollowsTheMean(FeatureSqueezing):
    def for_attacks(self):
        ask = self._inner.for_attacks()
        return lambda x: torch.stack([ask(copy) for copy in self._copies(x)]).mean(dim=0)


@pytest.mark.slow
def test_to_follow_agreement_passes_a_detector_more_often_than_to_follow_the_mean():
    pictured, labels = signs(232, n_images=232)
    options = SqueezingOptions(threshold=behind("feature-squeezing").threshold_on(pictured[32:]))
    left = []
    for kind in (FeatureSqueezing, FollowsTheMean):
        judge = kind(PLAIN, options)
        left.append(withstood(judge, attacked(judge, pictured[:32], labels[:32], 8, n_steps=20), labels[:32]).sum())
    assert left[0] < left[1]


def test_to_refuse_is_right_of_an_adversarial_image_and_wrong_of_a_clean_one():
    judge = opened_judge("d", detector(threshold=1e-6), Linear(), range(4), "d")
    said = judge.answer(judge.kept(judge.predict(list(pictures(1)))[0], 0))
    assert (said.labels[0], said.names[0]) == (REFUSED, REFUSED_NAME)
    pair, answers = a_pair("fgsm", 16, 0), {"clean": (0, 1), "adversarial": (REFUSED, 1)}
    outcomes = Outcomes.of_judge("d", [a_judgement("d", pair, variant, labels) for variant, labels in answers.items()])
    assert outcomes.is_clean_right(pair, TOP_5) and not outcomes.works(pair, TOP_5)
    refused = Outcomes.of_judge("d", [a_judgement("d", pair, "clean", (REFUSED, 0))])
    assert refused.is_clean_right(pair, TOP_5) is False


class _Top5:
    def holds(self, answer, truth):
        return truth in answer[:5]


TOP_5 = _Top5()


def a_pair(attack, epsilon, number):
    return Pair(
        f"{attack}{epsilon}/{number}", f"i{number}", attack, epsilon, ("average",), 0, None, "", "", epsilon, 1.0, 0.9, 1, 1
    )


def a_judgement(judge, pair, variant, labels):
    place = (pair.image_id, pair.pair_id, variant, "source", "digital", 0)
    return Judgement(judge, f"{pair.pair_id}/{variant}", *place, labels, tuple(map(str, labels)), (), "", False)


def masked(*attacks):
    """The rows of attacks on forty images, each with how many it fools on the judge that it says."""
    cells, said = {}, {}
    for settings, fools in attacks:
        cell = ("average", settings.key, settings.epsilons_8bit[0])
        cells[cell] = [a_pair(settings.key, cell[2], number) for number in range(40)]
        for judge, n_fooled in fools.items():
            said.setdefault(judge, [])
            for number, pair in enumerate(cells[cell]):
                said[judge] += [
                    a_judgement(judge, pair, "clean", (0, 1)),
                    a_judgement(judge, pair, "adversarial", (int(number < n_fooled), 5)),
                ]
    outcomes = [Outcomes.of_judge(judge, rows) for judge, rows in said.items()]
    return masking_rows([settings for settings, _ in attacks], cells, outcomes)


def on(defence, name="pgd", epsilon=8, label="", **options):
    return AttackSettings(name, label or (f"{name}-vs-{defence}" if defence else ""), (epsilon,), options, defence or "model")


UNAWARE = on("")
MASKING = {
    "the attack on the model alone fools more": ((UNAWARE, {"jpeg": 30}), (on("jpeg"), {"jpeg": 20}), (on("jpeg"), {"jpeg": 28})),
    "a search without gradients": ((on("jpeg", "square"), {"jpeg": 30}), (on("jpeg"), {"jpeg": 20}), (on("jpeg"), {"jpeg": 28})),
    "a single step": ((on("jpeg", "fgsm"), {"jpeg": 30}), (on("jpeg", "bim"), {"jpeg": 20}), (on("jpeg", "bim"), {"jpeg": 28})),
    "fewer steps": (
        (on("jpeg", label="few", n_steps=10), {"jpeg": 30}),
        (on("jpeg", n_steps=40), {"jpeg": 20}),
        (on("jpeg", n_steps=40), {"jpeg": 28}),
    ),
    "on the model alone too": (
        (on("", "fgsm"), {ATTACKED_MODEL: 30}),
        (on("", "bim"), {ATTACKED_MODEL: 20}),
        (on("", "bim"), {ATTACKED_MODEL: 28}),
    ),
}


@pytest.mark.parametrize(("weak", "raised", "quiet"), MASKING.values(), ids=MASKING.keys())
def test_gradients_are_masked_where_what_should_be_weaker_fools_more_than_chance_explains(weak, raised, quiet):
    (row,) = masked(weak, raised)
    assert row.flag == "gradient-masking" and row.attack == raised[0].key and "20 of 40 files fool, 30 of those" in row.message
    assert masked(weak, quiet) == [] and masked(raised) == []


def test_an_attack_without_bounds_has_to_fool_with_every_image():
    (row,) = masked((on("jpeg", epsilon=128), {"jpeg": 39}))
    assert row.message.startswith("jpeg: 1 of 40 files do not fool")
    assert masked((on("jpeg", epsilon=128), {"jpeg": 40}), (on("jpeg", "fgsm", 128), {"jpeg": 30})) == []
    assert masked((on("jpeg", epsilon=127), {"jpeg": 39})) == []


def test_attacks_that_want_something_else_are_no_measure():
    assert masked((on("jpeg", "square"), {"jpeg": 30}), (on("jpeg", "eot"), {"jpeg": 20})) == []
    assert masked((on("jpeg", "square"), {"jpeg": 30}), (on("jpeg", target="least-likely"), {"jpeg": 20})) == []
    assert masked((UNAWARE, {"jpeg": 30}), (on("jpeg", n_steps=3), {"jpeg": 20})) == []


def read(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    experiment = load_experiment(path)
    check_names(experiment)
    return experiment


def test_an_attack_is_made_on_the_model_and_on_each_defence_unless_it_says_on_what(tmp_path):
    defences = '[[defences]]\nname = "jpeg"\n[[defences]]\nname = "gaussian"\nlabel = "blur"\n'
    experiment = read(tmp_path, MINIMAL + '[[attacks]]\nname = "bim"\nagainst = "blur"\n' + defences)
    made = {attack.key: attack.defence for attack in experiment.attacks}
    assert made == {"fgsm": "", "bim": "blur", "fgsm-vs-jpeg": "jpeg", "fgsm-vs-blur": "blur"}
    assert {attack.epsilons_8bit for attack in experiment.attacks if attack.name == "fgsm"} == {(16,)}
    assert [judge.label for judge in experiment.resolved_judges()] == ["jpeg", "blur"]
    again = read(tmp_path, experiment_text(experiment, tmp_path))
    assert again.attacks == experiment.attacks and again.defences == experiment.defences
    assert [attack.key for attack in read(tmp_path, MINIMAL).attacks] == ["fgsm"]


REFUSED_FILES = {
    "unknown defence": ('[[defences]]\nname = "jpg"\n', 'my.toml:5: unknown defence "jpg". Did you mean "jpeg"?'),
    "out of range": (
        '[[defences]]\nname = "jpeg"\noptions = { quality = 0 }\n',
        "my.toml:6: defences.jpeg.options.quality = 0 is out of range: expected 1 to 100.",
    ),
    "unknown option": ('[[defences]]\nname = "jpeg"\noptions = { qualty = 9 }\n', 'Did you mean "quality"?'),
    "listed twice": ('[[defences]]\nname = "jpeg"\n[[defences]]\nname = "jpeg"\n', 'my.toml:7: defence "jpeg" is listed twice.'),
    "no folder": ('[[defences]]\nname = "jpeg"\nlabel = "a/b"\n', 'my.toml:6: a defence called "a/b" cannot name a folder.'),
    "taken": ('[[defences]]\nname = "jpeg"\nlabel = "all"\n', 'my.toml:6: a defence cannot be called "all".'),
    "taken by a judge": (
        '[[defences]]\nname = "jpeg"\n[[judges]]\nname = "builtin:signs"\nlabel = "jpeg"\n',
        'my.toml:8: judge "jpeg" is listed twice.',
    ),
    "against nothing": ('[[attacks]]\nname = "bim"\nagainst = "jepg"\n[[defences]]\nname = "jpeg"\n', 'Did you mean "jpeg"?'),
    "a model that may refuse": ('[model]\ndefence = "feature-squeezing"\n', "Write it as a [[defences]] entry."),
    "an unknown defence of the model": ('[model]\ndefence = "jepg"\n', 'my.toml:5: unknown defence "jepg".'),
    "options of none": ("[model]\ndefence_options = { quality = 3 }\n", "my.toml:5: there are options, and no defence."),
}


@pytest.mark.parametrize(("text", "said"), REFUSED_FILES.values(), ids=REFUSED_FILES.keys())
def test_a_file_with_a_wrong_defence_is_refused_with_place_and_advice(tmp_path, text, said):
    with pytest.raises(WrongUse) as error:
        read(tmp_path, MINIMAL + text)
    assert said in str(error.value)


RUN = """
name = "run"
[dataset]
n_images = 20
[selection]
n_images = 2
cases = ["average"]
[[attacks]]
name = "fgsm"
epsilons_8bit = [16]
[[defences]]
name = "jpeg"
options = { quality = 30 }
[[defences]]
name = "feature-squeezing"
label = "squeezing"
options = { n_clean = 16 }
[transforms]
"""


def run_to(last, tmp_path, text=RUN, workers=1):
    experiment, run, stages = read(tmp_path, text), Run(tmp_path, "run"), ["select", "generate", "transform", "classify", "rate"]
    for stage in stages[: stages.index(last) + 1]:
        run_stage(stage, experiment, run, Context(workers=workers))
    return run


def test_a_run_makes_each_attack_on_each_defence_and_asks_them_all(tmp_path):
    run = run_to("rate", tmp_path)
    pairs, judged = PAIRS.read(run), JUDGED.read(run)
    assert {pair.attack for pair in pairs} == {"fgsm", "fgsm-vs-jpeg", "fgsm-vs-squeezing"}
    assert {row.judge for row in judged} == {"jpeg", "squeezing"}
    assert {row.pair_id for row in judged if row.judge == "jpeg" and row.pair_id} == {pair.pair_id for pair in pairs}
    table = COUNTED.read(run)
    assert {(row["judge"], row["attack"]) for row in table["transfer"]} >= {
        ("jpeg", "fgsm"), ("jpeg", "fgsm-vs-jpeg"), (ATTACKED_MODEL, "fgsm-vs-jpeg"), ("squeezing", "fgsm-vs-squeezing")
    }  # fmt: skip
    # what is said of the model itself rests on the attacks made on it alone
    overall = [row for row in table["overall"] if (row["case"], row["quantity"]) == ("average", "adversarial_accuracy")]
    assert [row["n_eligible"] for row in overall] == [2]
    # each stands beside no defence on the same images, and the detector's three copies count
    stands = {(row["defence"], row["attacker"]): row for row in table["defences"] if row["top_k"] == 1}
    assert list(stands) == [("", "none"), *((name, knows) for name in ("jpeg", "squeezing") for knows in ("adaptive", "unaware"))]
    assert [row["compared"]["n"] for row in stands.values()] == [0, 2, 2, 2, 2]
    assert [row["n_passes"] for row in stands.values()] == [1, 1, 1, 3, 3]
    assert [row["n_forward"] for row in stands.values()] == [1, 1, 1, 3, 1]
    assert run_numbers(run)["defences"] == table["defences"]
    by_hand = load_classifier(ModelSettings(defence="jpeg", defence_options={"quality": 30}))
    shown = [row for row in judged if row.judge == "jpeg" and row.variant == "adversarial"]
    paths = {pair.pair_id: run.printouts / pair.adversarial_path for pair in pairs}
    said = by_hand.predict(np.stack([read_png(paths[row.pair_id]) for row in shown])).argmax(axis=1)
    assert [row.labels[0] for row in shown] == said.tolist()


@pytest.mark.slow
def test_the_number_of_workers_changes_no_image_that_is_made_on_a_random_defence(tmp_path):
    text = RUN.replace('"jpeg"\noptions = { quality = 30 }', '"random-padding"')
    made = []
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        run = run_to("classify", tmp_path / str(workers), text, workers)
        made.append([(pair.pair_id, (run.printouts / pair.adversarial_path).read_bytes()) for pair in PAIRS.read(run)])
        made[-1] += [(row.view_id, row.labels) for row in JUDGED.read(run)]
    assert made[0] == made[1]


def test_a_defended_models_title_names_the_defence():
    assert ModelSettings().title == "builtin:signs"
    assert ModelSettings(defence="jpeg").title == "builtin:signs behind jpeg"
