"""Judges: other models and predictions from outside name classes for one run's images, and every count can be recounted."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from kept_files import read_json, read_table
from made_up_run import cluster_interval

from pipeline.cli import main
from pipeline.core.errors import BadInput, WrongUse
from pipeline.engine import Context
from pipeline.evaluation.judges.classes import NO_CLASS, Answers, check_every_class, class_map
from pipeline.evaluation.judges.counting import judges_of, transfers
from pipeline.images import read_png
from pipeline.models import load_classifier
from pipeline.records import Judgement, Pair, Transfer, View
from pipeline.settings.reading import load_experiment
from pipeline.settings.writing import experiment_text
from pipeline.signs.network import CLASS_NAMES
from pipeline.stages.graph import run_stage, status
from pipeline.statistics import l2_8bit, wilson
from pipeline.store import Run, artefacts, record_from
from pipeline.store.artefacts import LAYOUT
from pipeline.studies.szegedy2014.matrix import gaussian_of_norm

CONTEXT = Context()
# The built-in network, its weights shaken by `noise`, with its classes in the opposite order and under other spellings.
MODULE = """
import torch
from pipeline.signs import network as signs_net


class Mirrored(torch.nn.Module):
    def __init__(self, noise=0.0):
        super().__init__()
        self.net = signs_net.load()
        generator = torch.Generator().manual_seed(1)
        for weights in self.net.parameters():
            if weights.ndim > 1:
                weights.data += noise * weights.data.std() * torch.randn(weights.shape, generator=generator)

    def forward(self, x):
        return self.net(x).flip(1)
"""
JUDGES = """
[[judges]]
name = "python:mirrored:Mirrored"
label = "twin"
python_path = "."
input_px = 112
classes = "names.txt"

[[judges]]
name = "python:mirrored:Mirrored"
label = "cousin"
python_path = "."
input_px = 96
classes = "names.txt"
arguments = {noise = 0.2}
"""


def add_judges(workspace: Path, text: str = JUDGES) -> None:
    (workspace / "mirrored.py").write_text(MODULE, encoding="utf-8")
    names = [name.upper().replace(" ", "_") for name in reversed(CLASS_NAMES)]
    (workspace / "names.txt").write_text("\n".join(names), encoding="utf-8")
    path = workspace / "small.toml"
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def opened(workspace: Path, *overrides: str):
    return load_experiment(workspace / "small.toml", overrides), Run(workspace, "small")


def states(workspace: Path, *overrides: str) -> dict[str, str]:
    return {state.stage: state.state for state in status(*opened(workspace, *overrides))}


def transfer_of(workspace: Path) -> list[Transfer]:
    return [record_from(Transfer, row) for row in read_json(Run(workspace, "small").reports / "rates.json").get("transfer", ())]


@pytest.fixture(scope="module")
def judged(finished, tmp_path_factory) -> Path:
    """The finished run with two judges beside its model, classified and counted; tests only read it."""
    workspace = Path(shutil.copytree(finished, tmp_path_factory.mktemp("judged") / "copy"))
    add_judges(workspace)
    for stage in ("classify", "rate"):
        run_stage(stage, *opened(workspace), CONTEXT)
    return workspace


@pytest.fixture
def copy(tiny, tmp_path) -> Path:
    """A private copy of the tiny finished run without judges, to change."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


SHARK, TENCH = "great white shark, white shark, man-eater", "tench, Tinca tinca"
MAPS = {
    "other-order": (["b", "a"], [], ["a", "b"], [], [1, 0]),
    "spelling": (["Speed_Limit 30"], [], ["stop", "speed limit 30"], [], [1]),
    "a-synonym": (["white shark", "tench"], [], [TENCH, SHARK], [], [1, 0]),
    "more-synonyms": ([SHARK], [], ["tench", "white shark"], [], [1]),
    "no-such-class": (["toaster"], [], ["a", "b"], [], [NO_CLASS]),
    "wordnet-ids-before-names": (["crane", "x"], ["n2", "n1"], ["x", "crane"], ["n2", "n1"], [0, 1]),
    "an-id-the-model-lacks": (["a"], ["n9"], ["a"], ["n1"], [NO_CLASS]),
    "two-cranes-by-place": (["crane", "ox", "crane"], [], ["crane", "ox", "crane"], [], [0, 1, 2]),
    "anonymous-of-one-size": (["class 0", "class 1"], [], ["stop", "yield"], [], [0, 1]),
    "anonymous-of-another-size": (["class 0"], [], ["stop", "yield"], [], [NO_CLASS]),
    "a-number-is-no-place": (["1"], [], ["stop", "yield"], [], [NO_CLASS]),
}


@pytest.mark.parametrize(("judge", "judge_ids", "names", "ids", "expected"), MAPS.values(), ids=MAPS.keys())
def test_classes_are_matched_by_id_then_name_then_place(judge, judge_ids, names, ids, expected):
    assert class_map(judge, judge_ids, names, ids).tolist() == expected


def test_a_judge_that_cannot_name_a_true_label_is_refused_with_the_nearest_name():
    mapping = class_map(["stop sign", "yield"], [], ["stop", "yield"], [])
    check_every_class(mapping, [1], ["stop", "yield"], ["stop sign", "yield"], "judge")
    with pytest.raises(WrongUse, match=r'no class for "stop".*"stop sign"'):
        check_every_class(mapping, [0, 1], ["stop", "yield"], ["stop sign", "yield"], "judge")


def test_a_judge_without_a_true_label_stops_classify_with_file_and_line(copy):
    add_judges(copy, JUDGES.replace('classes = "names.txt"', 'classes = "wrong.txt"'))
    (copy / "wrong.txt").write_text("\n".join(f"thing {i}" for i in range(32)), encoding="utf-8")
    with pytest.raises(WrongUse, match=r'small\.toml:\d+: judge "twin" has no class for'):
        run_stage("classify", *opened(copy), CONTEXT)


def test_a_judge_with_the_same_network_in_another_class_order_says_the_same_as_the_attacked_model(judged):
    rows = {judge: [row for row in transfer_of(judged) if row.judge == judge] for judge in ("attacked model", "twin")}
    assert rows["twin"] and [dataclasses.replace(row, judge="attacked model") for row in rows["twin"]] == rows["attacked model"]
    assert {row.transform for row in rows["twin"]} == {"source", "photo"} and {row.top_k for row in rows["twin"]} == {1, 5}


def test_a_judge_of_another_input_size_sees_every_file_and_crop_through_its_own_preprocessing(judged):
    experiment, run = opened(judged)
    judge = load_classifier(experiment.resolved_judges()[1])
    views = {view.view_id: view for view in read_table(run.reports / "views.parquet", View)}
    found = [row for row in read_table(run.reports / "judged.parquet", Judgement) if row.judge == "cousin"]
    wanted = [view for view in views.values() if view.counts and view.transform in ("source", "photo")]
    assert {row.view_id for row in found} == {view.view_id for view in wanted} and len(found) == len(wanted)
    pairs = {pair.pair_id: pair for pair in read_table(run.printouts / "pairs.parquet", Pair)}
    for row in found[:3] + found[-3:]:
        if row.transform == "photo":
            path = run.captures / views[row.view_id].path
        else:
            path = run.printouts / (
                artefacts.CLEAN_IMAGES.file(row.image_id) if row.variant == "clean" else pairs[row.pair_id].adversarial_path
            )
        assert read_png(path).shape == (112, 112, 3) and judge.input_size == (96, 96)
        probabilities = judge.predict(judge.prepare(read_png(path))[None])[0]
        best = int(probabilities.argmax())
        assert row.labels[0] == len(CLASS_NAMES) - 1 - best and row.names[0] == judge.class_names[best]
        assert row.probabilities[0] == pytest.approx(probabilities[best], abs=1e-5)


def test_a_changed_judge_makes_classify_stale_and_nothing_earlier(judged, tmp_path):
    earlier = {"select", "generate", "layout", "photograph", "crop", "transform"}
    assert {name for name, state in states(judged).items() if state == "done"} == earlier | {"classify", "rate"}
    changed = states(judged, "judges.cousin.input_px=64")
    assert {name for name, state in changed.items() if state == "done"} == earlier
    copied = Path(shutil.copytree(judged, tmp_path / "copy"))
    (copied / "mirrored.py").write_text(MODULE + "# edited\n", encoding="utf-8")
    assert {name for name, state in states(copied).items() if state == "done"} == earlier
    (copied / "mirrored.py").write_text(MODULE, encoding="utf-8")
    (copied / "names.txt").write_text("\n".join(reversed(CLASS_NAMES)), encoding="utf-8")
    assert states(copied)["classify"] == "stale" and states(copied)["crop"] == "done"


def test_a_second_classify_asks_no_judge_again(judged, tmp_path, monkeypatch):
    copied = Path(shutil.copytree(judged, tmp_path / "copy"))
    before = (copied / "reports/small/judged.parquet").read_bytes()
    (copied / "reports/small/.stages/classify.json").unlink()
    from pipeline.evaluation.judges.asking import Judge

    monkeypatch.setattr(Judge, "predict", lambda *_: pytest.fail("asked again"))
    run_stage("classify", *opened(copied), CONTEXT)
    assert (copied / "reports/small/judged.parquet").read_bytes() == before


def test_without_judges_nothing_of_them_is_left(judged, tmp_path):
    copied = Path(shutil.copytree(judged, tmp_path / "copy"))
    path = copied / "small.toml"
    path.write_text(path.read_text(encoding="utf-8").partition("[[judges]]")[0], encoding="utf-8")
    for stage in ("classify", "rate"):
        run_stage(stage, *opened(copied), CONTEXT)
    assert transfer_of(copied) == [] and not list((copied / "reports/small").glob("judged.*"))
    assert not (copied / "reports/small/transfer.csv").exists()


def test_every_transfer_count_follows_from_the_judgements(judged):
    """Recounts by sets of pairs, another route than the counting."""
    _, run = opened(judged)
    said = {
        (j.judge, j.transform, j.variant, j.pair_id or j.image_id): j
        for j in read_table(run.reports / "judged.parquet", Judgement)
    }
    pairs = read_table(run.printouts / "pairs.parquet", Pair)
    pages = {placed.pair_id: placed.page for placed in LAYOUT.read(run).placements}
    rows = [row for row in transfer_of(judged) if row.judge == "cousin"]
    assert sum(row.fooled.n_hit for row in rows) > 0 and sum(row.destroyed.n_hit for row in rows) > 0
    for row in rows:
        cell = [p for p in pairs if (p.attack, p.epsilon_8bit) == (row.attack, row.epsilon_8bit) and row.case in p.cases]

        def right(transform, variant, row=row, cell=cell):
            key = {p.pair_id: p.image_id if (variant, transform) == ("clean", "source") else p.pair_id for p in cell}
            return {
                p.pair_id for p in cell if p.true_label in said["cousin", transform, variant, key[p.pair_id]].labels[: row.top_k]
            }

        everything = {pair.pair_id for pair in cell}
        clean, file, here = right("source", "clean"), right("source", "adversarial"), right(row.transform, "adversarial")
        assert (row.n_images, row.fooled.n_eligible, row.fooled.n_hit) == (len(everything), len(clean), len(clean - here))
        if row.transform == "photo":
            assert (row.destroyed.n_eligible, row.destroyed.n_hit) == (len(clean - file), len((clean - file) & here))
            assert (row.control.n_eligible, row.control.n_hit) == (len(clean), len(clean & right("photo", "clean")))
        if row.transform == "photo":
            fooled = [(pair not in here, pages[pair]) for pair in sorted(clean)]
            expected = cluster_interval([hit for hit, _ in fooled], [page for _, page in fooled])
            assert row.fooled.n_clusters == (len({page for _, page in fooled}) or None)
        else:
            expected = wilson(row.fooled.n_hit, row.fooled.n_eligible)
            assert (row.fooled.interval, row.fooled.n_clusters, row.destroyed.n_effective) == ("wilson", None, None)
        assert (row.fooled.low, row.fooled.high) == pytest.approx(expected or (None, None))
        assert (row.fooled.rate is None) == (row.fooled.n_eligible == 0)


def pair(number: int) -> Pair:
    values = {field.name: None for field in dataclasses.fields(Pair)}
    values |= {"pair_id": f"bim-eps8/i{number}", "image_id": f"i{number}", "attack": "bim", "epsilon_8bit": 8}
    return Pair(**values | {"cases": ("average",), "true_label": 0})


def said(number: int, variant: str, transform: str, *labels: int, imported: bool = True) -> Judgement:
    pair_id = "" if (variant, transform) == ("clean", "source") else f"bim-eps8/i{number}"
    origin = "digital" if transform == "source" else "camera"
    names = tuple(str(label) for label in labels)
    return Judgement("app", "", f"i{number}", pair_id, variant, transform, origin, 0, labels, names, (), "", imported)


def counted(judgements: list[Judgement], n_pairs: int) -> list[Transfer]:
    return transfers({("average", "bim", 8): [pair(number) for number in range(n_pairs)]}, judges_of(judgements, {}, {}))


def test_without_the_clean_file_the_clean_photo_is_the_control_and_there_is_no_destruction_rate():
    judgements = [said(i, "clean", "photo", 0 if i < 3 else 5) for i in range(4)]
    judgements += [said(i, "adversarial", "photo", 0 if i == 1 else NO_CLASS) for i in range(4)]
    (row,) = counted(judgements, 4)
    assert (row.clean_from, row.top_k, row.n_images, row.fooled.n_eligible, row.fooled.n_hit) == ("photo", 1, 4, 3, 2)
    assert (row.destroyed.n_eligible, row.destroyed.rate) == (0, None)


def test_with_answers_on_the_files_the_clean_file_decides():
    judgements = [said(i, "clean", "source", 0 if i < 3 else 5) for i in range(4)]
    judgements += [said(i, "adversarial", "source", 7) for i in range(4)]
    judgements += [said(i, "clean", "photo", 0 if i < 2 else 5) for i in range(4)]
    judgements += [said(i, "adversarial", "photo", 0 if i == 1 else 7) for i in range(4)]
    source, photo = counted(judgements, 4)
    assert (source.clean_from, source.fooled.n_eligible, source.fooled.n_hit) == ("file", 3, 3)
    assert (photo.fooled.n_eligible, photo.fooled.n_hit, photo.control.n_eligible, photo.control.n_hit) == (3, 2, 3, 2)
    assert (photo.destroyed.n_hit, photo.destroyed.n_eligible) == (1, 3)


def test_an_image_that_was_not_judged_enters_no_count():
    judgements = [said(0, "clean", "photo", 0), said(0, "adversarial", "photo", 3), said(1, "clean", "photo", 0)]
    judgements += [said(2, "adversarial", "photo", 3)]
    (row,) = counted(judgements, 3)
    assert (row.n_images, row.fooled.n_eligible, row.fooled.n_hit) == (1, 1, 1)


def test_top_5_is_left_out_where_fewer_than_five_answers_are_known():
    def rows(n_adversarial):
        judgements = [said(0, "clean", "photo", 0, 1, 2, 3, 4), said(0, "adversarial", "photo", *range(1, 1 + n_adversarial))]
        return counted(judgements, 1)

    assert [row.top_k for row in rows(5)] == [1, 5] and [row.top_k for row in rows(4)] == [1]


ANSWERS = {"stop": 0, " Speed-Limit 30": 1, "SHARK": 2, "2": 2, "a shoe": NO_CLASS}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.items(), ids=[*map(str.strip, ANSWERS)])
def test_an_answer_is_a_name_a_synonym_an_index_or_simply_wrong(answer, expected):
    assert Answers(["stop", "speed limit 30", "shark, man-eater", "crane", "crane"]).class_of(answer) == expected


@pytest.mark.parametrize("answer", ["crane", "5", "-1", " ", "shark, stop"])
def test_an_answer_that_could_mean_several_classes_or_none_is_refused(answer):
    with pytest.raises(ValueError, match=r"\w"):
        Answers(["stop", "speed limit 30", "shark, man-eater", "crane", "crane"]).class_of(answer)


def filled_in(workspace: Path, **changes: dict[int, str]) -> Path:
    """Returns a template filled in with the true labels; `changes` are column -> row (from 0) -> text."""
    path = workspace / "answers.csv"
    assert (
        main(
            [
                "import-predictions",
                str(workspace / "small.toml"),
                "--workspace",
                str(workspace),
                "--template",
                str(path),
                "--force",
            ]
        )
        == 0
    )
    truth = {found.pair_id: found.true_label for found in read_table(Run(workspace, "small").printouts / "pairs.parquet", Pair)}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["label"] = CLASS_NAMES[truth[row["pair_id"]]]
        row |= {column: texts[number] for column, texts in changes.items() if number in texts}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def importing(workspace: Path, path: Path, *more: str) -> int:
    return main(["import-predictions", str(workspace / "small.toml"), str(path), "--workspace", str(workspace), *more])


def test_a_template_lists_every_printed_image_in_reading_order(copy):
    path = filled_in(copy)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    layout = LAYOUT.read(Run(copy, "small"))
    assert len(rows) == len(layout.placements) == len({(row["pair_id"], row["variant"]) for row in rows})
    boxes = {(box.pair_id, box.variant): box for box in layout.placements}
    first, second = (boxes[row["pair_id"], row["variant"]] for row in rows[:2])
    assert (first.page, second.page, first.y_mm) == (1, 1, second.y_mm) and first.x_mm < second.x_mm
    assert next(row["place"] for row in rows if row["page"] == "2") == "1"


def test_filled_in_labels_become_counts_after_the_next_rate(copy, capsys):
    path = filled_in(copy, label={1: "a shoe", 3: "yeild"})
    assert importing(copy, path, "--judge", "app") == 0
    told = capsys.readouterr().out
    assert '"a shoe" (1 ×) is no class' in told and "did it mean yield?" in told
    found = states(copy)
    assert (found["classify"], found["rate"]) == ("done", "stale")
    run_stage("rate", *opened(copy), CONTEXT)
    rows = [row for row in transfer_of(copy) if row.judge == "app"]
    n_printed = len(LAYOUT.read(Run(copy, "small")).placements) // 2
    cases = {p.pair_id: len(p.cases) for p in read_table(Run(copy, "small").printouts / "pairs.parquet", Pair)}
    assert sum(row.n_images for row in rows) == sum(cases.values()) >= n_printed
    assert all((row.clean_from, row.transform, row.origin, row.top_k) == ("photo", "photo", "camera", 1) for row in rows)
    assert all(row.fooled.n_eligible == row.n_images for row in rows) and 2 <= sum(row.fooled.n_hit for row in rows) <= 4
    assert all(row.destroyed.rate is None and row.is_imported for row in rows)
    run_stage("report", *opened(copy), CONTEXT)
    assert (copy / "reports/small/figures/judges.png").is_file()


def test_page_and_place_or_image_and_cell_say_the_same_as_the_pair(copy):
    path = filled_in(copy)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = {found.pair_id: found for found in read_table(Run(copy, "small").printouts / "pairs.parquet", Pair)}
    by_place = ["page,place,label"] + [f"{row['page']},{row['place']},{row['label']}" for row in rows]
    by_cell = ["image_id;attack;epsilon_8bit;variant;label"]
    for row in rows:
        of = pairs[row["pair_id"]]
        by_cell.append(f"{of.image_id};{of.attack};{of.epsilon_8bit};{row['variant']};{row['label']}")
    kept = []
    for number, lines in enumerate((path.read_text(encoding="utf-8").splitlines(), by_place, by_cell)):
        other = copy / f"other-{number}.csv"
        other.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
        assert importing(copy, other, "--judge", f"app{number}") == 0
        found = read_table(copy / f"captures/small/judgements/app{number}.parquet", Judgement)
        kept.append([dataclasses.replace(row, judge="") for row in found])
    assert kept[0] == kept[1] == kept[2]


BAD_ROWS = {
    "no-label": ({"label": {0: ""}}, "line 2: it has no label"),
    "index-too-large": ({"label": {2: "99"}}, "line 4: index 99 is beyond"),
    "no-such-place": ({"place": {1: "77"}}, "line 3: there is no place 77"),
    "no-such-pair": ({"pair_id": {1: "fgsm-eps4/nothing"}}, 'line 3: there is no pair "fgsm-eps4/nothing"'),
    "wrong-variant": ({"variant": {0: "adversarial"}}, "line 2: page 1 place 1 is the clean image"),
    "unknown-variant": ({"variant": {0: "advers"}}, 'line 2: variant "advers"'),
    "unknown-condition": ({"condition": {0: "scan"}}, 'line 2: condition "scan"'),
    "contradiction": (
        {"page": {1: "1"}, "place": {1: "1"}, "variant": {1: "clean"}, "label": {1: "a shoe"}},
        "line 3: another answer",
    ),
}


@pytest.mark.parametrize(("changes", "words"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_one_bad_row_stops_the_import_and_is_named_with_its_line(copy, capsys, changes, words):
    path = filled_in(copy, **changes)
    n_rows = len(path.read_text(encoding="utf-8").splitlines()) - 1
    assert importing(copy, path, "--judge", "app") == 3
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1 and not (copy / "captures/small/judgements").exists()
    capsys.readouterr()
    assert importing(copy, path, "--judge", "app", "--keep-going", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n_imported"], told["n_left_out"]) == (n_rows - 1, 1) and words in " ".join(told["notes"])


def test_importing_twice_replaces_only_with_force_where_it_differs(copy, capsys):
    path = filled_in(copy)
    assert importing(copy, path, "--judge", "app") == 0 == importing(copy, path, "--judge", "app")
    assert "unchanged" in capsys.readouterr().out
    path = filled_in(copy, label={1: "a shoe"})
    assert importing(copy, path, "--judge", "app") == 3 and "--force" in capsys.readouterr().err
    assert importing(copy, path, "--judge", "app", "--force") == 0
    found = read_table(copy / "captures/small/judgements/app.parquet", Judgement)
    assert [row.names[0] for row in found].count("a shoe") == 1


@pytest.mark.slow
def test_force_of_stages_never_removes_what_a_person_brought(copy):
    assert importing(copy, filled_in(copy), "--judge", "app") == 0
    kept = (copy / "captures/small/judgements/app.parquet").read_bytes()
    for stage in ("photograph", "crop", "transform", "classify", "rate"):
        run_stage(stage, *opened(copy), CONTEXT, force=True)
    assert (copy / "captures/small/judgements/app.parquet").read_bytes() == kept
    assert any(row.judge == "app" for row in transfer_of(copy))


def test_predictions_of_images_that_were_made_again_are_not_counted_and_the_note_says_so(copy):
    assert importing(copy, filled_in(copy), "--judge", "app") == 0
    path = copy / "captures/small/judgements/app.parquet"
    rows = read_table(path, Judgement)
    from kept_files import write_table

    write_table(path, Judgement, [dataclasses.replace(rows[0], sha256="0" * 64), *rows[1:]])
    state = run_stage("rate", *opened(copy), CONTEXT)
    assert any(f'"app": 1 of {len(rows)} imported predictions' in note for note in state.summary["notes"])
    counted = [row for row in transfer_of(copy) if row.judge == "app"]
    cases = {p.pair_id: len(p.cases) for p in read_table(Run(copy, "small").printouts / "pairs.parquet", Pair)}
    assert sum(row.n_images for row in counted) == sum(cases.values()) - cases[rows[0].pair_id]


def test_a_stale_run_takes_no_predictions(copy, capsys):
    path = filled_in(copy)
    assert importing(copy, path, "--judge", "app", "--seed", "99") == 6
    assert "select is stale" in capsys.readouterr().err


TROUBLE = {
    "no-judge": ([], 2, "--judge"),
    "slash": (["--judge", "a/b"], 2, "cannot name a file"),
    "the-model-itself": (["--judge", "attacked model"], 2, "name of a model of this run"),
}


@pytest.mark.parametrize(("more", "code", "words"), TROUBLE.values(), ids=TROUBLE.keys())
def test_wrong_use_of_an_import_is_one_line(finished, tmp_path, capsys, more, code, words):
    (tmp_path / "a.csv").write_text("pair_id,label\n", encoding="utf-8")
    assert importing(finished, tmp_path / "a.csv", *more) == code
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


FILES = {
    "missing": (None, "cannot be read"),
    "no-label-column": ("pair_id,lable\nx,y\n", 'Did you mean "lable"?'),
    "no-image-column": ("label\nx\n", "no column says which image"),
    "twice": ("pair_id,label,label\nx,y,z\n", "there twice"),
    "empty": ("", "empty"),
    "nothing-in-it": ("pair_id,label\n", "nothing to import"),
    "not-text": (b"\xff\xfe\x00label", "not UTF-8"),
}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES.keys())
def test_a_file_that_is_no_table_of_labels_is_refused(finished, tmp_path, capsys, content, words):
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert importing(finished, path, "--judge", "app") == 3
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


@pytest.mark.parametrize("l2", [0, 1, 7.5, 60, 900, 6000])
@pytest.mark.parametrize("level", [0, 3, 128])
def test_control_noise_has_the_wanted_norm_after_rounding_and_clipping(l2, level):
    clean = np.full((40, 30, 3), level, np.uint8)
    noisy = gaussian_of_norm(clean, l2, np.random.default_rng(4))
    assert noisy.dtype == np.uint8 and l2_8bit(clean, noisy) == pytest.approx(l2, rel=0.02, abs=1)


@pytest.fixture(scope="module")
def two_runs(finished, tmp_path_factory) -> Path:
    """The finished run and one of another network, attacked."""
    workspace = Path(shutil.copytree(finished, tmp_path_factory.mktemp("two") / "copy"))
    add_judges(workspace, "")
    model = "[model]" + JUDGES.split("[[judges]]")[2].replace('label = "cousin"\n', "").replace("noise = 0.2", "noise = 0.7")
    text = (workspace / "small.toml").read_text(encoding="utf-8").replace('name = "small"', 'name = "other"')
    (workspace / "other.toml").write_text(text + model, encoding="utf-8")
    experiment, run = load_experiment(workspace / "other.toml", ('selection.cases=["average"]',)), Run(workspace, "other")
    for stage in ("select", "generate"):
        run_stage(stage, experiment, run, CONTEXT)
    (workspace / "other.toml").write_text(
        text.replace("[selection]", '[selection]\ncases = ["average"]') + model, encoding="utf-8"
    )
    return workspace


@pytest.mark.slow
def test_the_matrix_holds_the_error_of_every_model_on_every_runs_files(two_runs, capsys):
    words = [str(two_runs / "small.toml"), str(two_runs / "other.toml"), "--workspace", str(two_runs)]
    assert main(["transfer", *words, "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    written = json.loads((two_runs / "reports/small/transfer-matrix.json").read_text(encoding="utf-8"))
    assert written == {"runs": ["small", "other"], "cells": cells}
    assert len((two_runs / "reports/small/transfer-matrix.csv").read_text(encoding="utf-8").splitlines()) == len(cells) + 1
    keys = {(c["made_on"], c["judged_by"], c["kind"]) for c in cells if (c["attack"], c["epsilon_8bit"]) == ("fgsm", 16)}
    assert keys == {(a, b, kind) for a in ("small", "other") for b in ("small", "other") for kind in ("adversarial", "noise")}

    def n_wrong(made_on, judged_by, kind):
        return sum(
            c["n_wrong"]
            for c in cells
            if (c["made_on"], c["judged_by"], c["kind"], c["case"]) == (made_on, judged_by, kind, "average")
        )

    for own in ("small", "other"):
        assert n_wrong(own, own, "adversarial") > n_wrong(own, own, "noise")
    for cell in cells:
        if cell["kind"] == "noise" and cell["n_right"]:
            (twin,) = (
                c
                for c in cells
                if c
                == {**cell, "kind": "adversarial", **{k: c[k] for k in ("n_wrong", "error_rate", "low", "high", "mean_l2_8bit")}}
            )
            assert cell["mean_l2_8bit"] == pytest.approx(twin["mean_l2_8bit"], rel=0.005)


def test_a_cell_of_the_matrix_can_be_recounted_from_the_saved_files(two_runs):
    from pipeline.studies.szegedy2014.matrix import transfer_matrix

    runs = [(load_experiment(two_runs / f"{name}.toml"), Run(two_runs, name)) for name in ("small", "other")]
    cells = transfer_matrix(runs, CONTEXT)
    assert cells == transfer_matrix(runs, CONTEXT)
    (found,) = [
        c
        for c in cells
        if (c.case, c.attack, c.epsilon_8bit, c.made_on, c.judged_by, c.kind)
        == ("average", "fgsm", 16, "small", "other", "adversarial")
    ]
    judge = load_classifier(runs[1][0].resolved_model())
    n_right = n_wrong = 0
    for p in read_table(runs[0][1].printouts / "pairs.parquet", Pair):
        if (p.attack, p.epsilon_8bit) == ("fgsm", 16) and "average" in p.cases:
            images = [judge.prepare(read_png(runs[0][1].printouts / path)) for path in (p.clean_path, p.adversarial_path)]
            clean, adversarial = len(CLASS_NAMES) - 1 - judge.predict(np.stack(images)).argmax(axis=1)
            n_right += clean == p.true_label
            n_wrong += clean == p.true_label and adversarial != p.true_label
    assert (found.n_right, found.n_wrong, found.n_images) == (n_right, n_wrong, 3)
    assert any(cell.n_right < cell.n_images for cell in cells), "no model gets a clean image wrong: the denominator is not tested"
    assert all(cell.n_wrong <= cell.n_right for cell in cells)


def test_transfer_needs_generated_runs_and_different_names(two_runs, tmp_path, capsys):
    words = ["--workspace", str(two_runs)]
    assert main(["transfer", "small", "small", *words]) == 2 and "named twice" in capsys.readouterr().err
    assert main(["transfer", "small", *words, "--seed", "4"]) == 6 and "select is stale (seed 5 → 4)" in capsys.readouterr().err
    assert main(["transfer", "small", "other", *words, "--dry-run"]) == 0 and "2 models" in capsys.readouterr().out


WRONG = {
    "unknown-key": ('[[judges]]\nname = "onnx:a.onnx"\nlable = "x"\n', 'unknown key "lable".*Did you mean "label"'),
    "no-table": ('[judges]\nname = "onnx:a.onnx"\n', r"written as \[\[judges\]\]"),
    "twice": ('[[judges]]\nname = "onnx:a.onnx"\n[[judges]]\nname = "onnx:a.onnx"\n', "listed twice"),
    "the-attacked-model": ('[[judges]]\nlabel = "attacked model"\n', "Choose another label"),
    "out-of-range": ("[[judges]]\ninput_px = -1\n", r"judges\.0\.input_px"),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_judges_are_refused_with_their_line(small_file, text, words):
    small_file.write_text(small_file.read_text(encoding="utf-8") + text, encoding="utf-8")
    with pytest.raises(WrongUse, match=words) as refused:
        load_experiment(small_file)
    assert "small.toml:" in str(refused.value)


def test_a_judge_is_set_by_its_label_and_its_paths_start_from_the_file(tmp_path, small_file):
    small_file.write_text(small_file.read_text(encoding="utf-8") + JUDGES, encoding="utf-8")
    experiment = load_experiment(small_file, ("judges.cousin.weights=other.pth", "judges.0.label=first"))
    first, second = experiment.resolved_judges()
    assert (first.label, second.weights) == ("first", str(tmp_path / "other.pth")) and first.classes == str(
        tmp_path / "names.txt"
    )
    with pytest.raises(WrongUse, match='Did you mean "cousin"'):
        load_experiment(small_file, ("judges.cousine.weights=x",))
    text = experiment_text(experiment, tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/small.toml").write_text(text, encoding="utf-8")
    again = load_experiment(tmp_path / "elsewhere/small.toml")
    assert [judge.key for judge in again.judges] == ["first", "cousin"]
    assert Path(again.resolved_judges()[1].weights).resolve() == (tmp_path / "other.pth").resolve()


def test_a_judge_that_cannot_be_loaded_is_named(copy):
    add_judges(copy, '[[judges]]\nname = "onnx:missing.onnx"\nlabel = "phone model"\n')
    with pytest.raises(BadInput, match='judge "phone model": There is no ONNX file'):
        run_stage("classify", *opened(copy), CONTEXT)
