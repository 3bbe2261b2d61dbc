"""How much of a transform undoes an attack: bisection against closed forms and dense grids, survival curves against SciPy."""

import json
import shutil
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kept_files import read_table
from scipy.stats import CensoredData, binom, ecdf

from pipeline.core.errors import BadInput, WrongUse
from pipeline.document import figures
from pipeline.engine import Context
from pipeline.images import png_bytes, read_png
from pipeline.models import load_classifier
from pipeline.records import Pair, Prediction, SurvivalCurve, ThresholdRow
from pipeline.report.transform_results import median_tables, survival_figure, survival_section
from pipeline.settings import ThresholdSettings
from pipeline.settings.reading import load_experiment
from pipeline.specs.transforms import TRANSFORMS
from pipeline.stages.graph import run_stage, status
from pipeline.stages.thresholds import survival_curves
from pipeline.statistics import wilson
from pipeline.statistics.survival import median_threshold, surviving
from pipeline.store import Run, write_bytes
from pipeline.transforms.thresholds import IMAGES_AT_ONCE, Direction, Subject, directions_of, find_thresholds, transformed

ALL = tuple(TRANSFORMS.own)
RESOLUTIONS = {"brightness": 1.0, "contrast": 0.01, "blur": 0.05, "noise": 0.5}
CONTEXT = Context()


def picture(mean: float, spread: float = 40, seed: int = 0) -> np.ndarray:
    """Pixels mean + spread and mean - spread in turn, so that nothing is cut where both stay within 0 .. 255."""
    signs = np.indices((16, 16)).sum(0) % 2 * 2 - 1
    return np.repeat((mean + spread * signs)[..., None], 3, 2).astype(np.uint8)


def by_measure(measure, is_one):
    """A classifier that says 1 where `is_one` of a number of the image holds, else 0."""

    def predict(images: np.ndarray) -> np.ndarray:
        ones = np.array([bool(is_one(measure(image.astype(float)))) for image in images])
        return np.stack([~ones, ones], 1).astype(np.float32)

    return predict


def only(transform: str, name: str) -> list[Direction]:
    return [direction for direction in directions_of([transform], RESOLUTIONS) if direction.name == name]


def searched(predict, transform, name, pixels):
    ((_, (found,)),) = find_thresholds([Subject("a", pixels, 1)], only(transform, name), predict, seed=3)
    return found


# A model that looks at the mean (or the spread) alone flips where a line crosses its limit: at the first step beyond it. Of the
# pixels 140 and 60 contrast 0.54 makes round(134.25) = 134 and round(91.05) = 91, a spread of 21.5; 0.55 makes 134 and 90.
CLOSED = {
    "brightness-up": ("brightness", "up", np.mean, lambda mean: mean >= 137, 37),
    "brightness-up-at-a-rung": ("brightness", "up", np.mean, lambda mean: mean >= 140, 40),
    "brightness-up-at-once": ("brightness", "up", np.mean, lambda mean: mean >= 101, 1),
    "brightness-down": ("brightness", "down", np.mean, lambda mean: mean <= 81, -19),
    "contrast-down": ("contrast", "down", np.std, lambda spread: spread < 21.6, 0.54),
    "contrast-up": ("contrast", "up", np.std, lambda spread: spread > 63.4, 1.59),
    "never": ("brightness", "up", np.mean, lambda mean: mean >= 181, None),
}


@pytest.mark.parametrize(("transform", "name", "measure", "is_one", "expected"), CLOSED.values(), ids=CLOSED.keys())
def test_a_threshold_in_closed_form_is_found_exactly(transform, name, measure, is_one, expected):
    found = searched(by_measure(measure, is_one), transform, name, picture(100))
    assert found.threshold == expected
    (direction,) = only(transform, name)
    end = direction.end if expected is None else round(expected - direction.step, 6)
    assert found.works_at == (end if abs(end - direction.start) > 1e-9 else None)


def test_noise_is_one_field_that_is_scaled_and_has_its_threshold_where_its_size_says():
    """The std of the difference to the grey file grows in proportion to sigma, so the flip is where it passes the limit."""
    grey = np.full((64, 64, 3), 128, np.uint8)
    found = searched(by_measure(np.std, lambda spread: spread > 7.2), "noise", "up", grey)
    (direction,) = only("noise", "up")
    unit = (transformed(Subject("a", grey, 1), direction, 20, 3).astype(float) - 128).std() / 10
    assert found.threshold == pytest.approx(7.2 / unit, abs=0.5)


def test_images_of_one_seed_have_noise_of_their_own_and_the_same_at_every_strength():
    (direction,) = only("noise", "up")
    grey = np.full((32, 32, 3), 128, np.uint8)
    weak, strong, other = (
        transformed(Subject(name, grey, 1), direction, k, 3).astype(float) - 128 for name, k in (("a", 20), ("a", 40), ("b", 20))
    )
    assert np.abs(strong - 2 * weak).max() <= 1.5
    assert abs(np.corrcoef(weak.ravel(), other.ravel())[0, 1]) < 0.1


def test_of_several_flips_the_first_bracket_counts_and_an_island_between_two_rungs_is_not_seen():
    """Destroyed at 12 .. 15 (between the rungs 10 and 20, not seen), at 33 .. 60 and, after it comes back, from 75 on."""
    destroyed = {*range(12, 16), *range(33, 61), *range(75, 81)}
    found = searched(by_measure(np.mean, lambda mean: round(mean) - 100 in destroyed), "brightness", "up", picture(100))
    assert (found.threshold, found.works_at) == (33, 32)


def test_a_jpeg_threshold_may_be_the_best_quality_of_all():
    found = searched(lambda images: np.tile(np.float32([0, 1]), (len(images), 1)), "jpeg", "down", picture(100))
    assert (found.threshold, found.works_at) == (100, None)


@pytest.mark.parametrize("resolution", [1.0, 4.0])
def test_a_finer_resolution_costs_looks_and_finds_the_threshold_more_closely(resolution):
    directions = directions_of(["brightness"], {"brightness": resolution})[1:]
    predict = by_measure(np.mean, lambda mean: mean >= 137)
    ((_, (found,)),) = find_thresholds([Subject("a", picture(100), 1)], directions, predict, seed=3)
    assert found.threshold - found.works_at == resolution and found.works_at < 37 <= found.threshold
    looks = {1.0: [10, 20, 40, 30, 35, 37, 36], 4.0: [8, 20, 40, 28, 32, 36]}
    assert found.n_forward == len(looks[resolution])


def test_what_is_found_of_an_image_does_not_depend_on_its_neighbours():
    predict = by_measure(np.mean, lambda mean: mean >= 137)
    subjects = [Subject(f"image-{mean}", picture(mean), 1) for mean in range(60, 136, 2)]
    assert len(subjects) > IMAGES_AT_ONCE
    directions = directions_of(ALL, RESOLUTIONS)
    together = dict(find_thresholds(subjects, directions, predict, seed=3))
    alone = [next(find_thresholds([subject], directions, predict, seed=3))[1] for subject in subjects]
    assert [together[place] for place in range(len(subjects))] == alone


def test_every_direction_walks_outward_from_the_unchanged_file_to_its_end():
    for direction in directions_of(ALL, RESOLUTIONS):
        assert list(direction.rungs) == sorted(set(direction.rungs)) and direction.rungs[0] >= 1
        if direction.transform != "jpeg":
            same = transformed(Subject("a", picture(100), 1), direction, 0, 3)
            assert (same == picture(100)).all()
        assert (direction.end > direction.start) == (direction.name == "up")
    assert {(d.transform, d.end) for d in directions_of(ALL, RESOLUTIONS)} >= {("blur", 4), ("noise", 40), ("jpeg", 10)}


# --- survival ---------------------------------------------


def drawn_thresholds(seed: int, n: int) -> list[float | None]:
    values = np.round(np.random.default_rng(seed).exponential(2, n), 1)
    return [None if value > 4 else float(value) for value in values]


@pytest.mark.parametrize(("seed", "n"), [(1, 7), (2, 20), (3, 102)])
def test_a_survival_curve_is_kaplan_and_meiers_with_wilsons_band(seed, n):
    values = drawn_thresholds(seed, n)
    start, *steps = surviving(values, 0.0)
    assert start == (0.0, n, *wilson(n, n))
    expected = ecdf(CensoredData.right_censored([4 if value is None else value for value in values], [v is None for v in values]))
    for load, n_left, low, high in steps:
        assert n_left / n == pytest.approx(float(expected.sf.evaluate(load)))
        assert (low, high) == wilson(n_left, n)
    assert steps[-1][1] == values.count(None)


def test_a_falling_parameter_gives_the_same_curve_as_the_growing_one_it_mirrors():
    values = drawn_thresholds(5, 30)
    mirrored = [None if value is None else -value for value in values]
    assert [(-load, *rest) for load, *rest in surviving(mirrored, -0.0, False)] == [
        tuple(step) for step in surviving(values, 0.0)
    ]
    median, opposite = median_threshold(values), median_threshold(mirrored, False)
    assert tuple(median) == tuple(None if value is None else -value for value in opposite)


MEDIANS = {
    "odd": ([3, 1, 2], 2),
    "even": ([4, 1, 3, 2], 2),
    "half-outlast": ([1, 2, None, None], 2),
    "most-outlast": ([1, None, None], None),
}


@pytest.mark.parametrize(("values", "expected"), MEDIANS.values(), ids=MEDIANS.keys())
def test_the_median_is_where_no_more_than_half_are_left(values, expected):
    assert median_threshold(values).median == expected
    left = [load for load, n_left, _, _ in surviving(values, 0)[1:] if 2 * n_left <= len(values)]
    assert (left[0] if left else None) == expected


def test_the_medians_interval_has_the_narrowest_ranks_that_cover_95_percent(subtests):
    for n in [*range(1, 60), 1500]:
        with subtests.test(n=n):
            low, high = median_threshold(list(range(1, n + 1)))[1:]
            rank = next((r for r in range(n // 2 + 1, 0, -1) if 1 - 2 * binom.cdf(r - 1, n, 0.5) >= 0.95), 0)
            assert (low, high) == ((rank, n + 1 - rank) if rank else (None, None))
            assert (low is None) == (n < 6)


def test_the_medians_interval_covers_the_true_median_in_95_percent_of_draws_or_more():
    generator, covered, n_draws = np.random.default_rng(8), 0, 2000
    for _ in range(n_draws):
        values = [None if value > 0.6 else value for value in generator.random(20)]
        _, low, high = median_threshold(values)
        covered += low is not None and low <= 0.5 and (high is None or high >= 0.5)
    assert 0.95 <= covered / n_draws <= 0.975


# --- the stage --------------------------------------------


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def opened(workspace: Path, *overrides: str):
    return load_experiment(workspace / "small.toml", overrides), Run(workspace, "small")


def rows_of(workspace: Path) -> list[ThresholdRow]:
    return read_table(Run(workspace, "small").reports / "thresholds.parquet", ThresholdRow)


def test_the_rows_are_of_working_attacks_of_every_cell_and_of_no_other(finished):
    run = Run(finished, "small")
    predictions = {row.view_id: row for row in read_table(run.reports / "predictions.parquet", Prediction)}

    def right(view_id: str) -> bool:
        return predictions[view_id].labels[0] == predictions[view_id].true_label

    expected = {
        (case, pair.pair_id)
        for pair in read_table(run.printouts / "pairs.parquet", Pair)
        for case in pair.cases
        if right(f"clean/{pair.image_id}/source") and not right(f"{pair.pair_id}/source")
    }
    rows = rows_of(finished)
    assert {(row.case, row.pair_id) for row in rows} == expected and expected
    assert len(rows) == 7 * len(expected)


def test_each_threshold_is_judged_again_as_destroyed_and_the_step_before_it_as_working(finished):
    """On the saved files and with the model itself, by another route than the search."""
    experiment, run = opened(finished)
    classifier = load_classifier(experiment.resolved_model(), "cpu")
    pairs = {pair.pair_id: pair for pair in read_table(run.printouts / "pairs.parquet", Pair)}
    directions = {(d.transform, d.name): d for d in directions_of(ALL, RESOLUTIONS)}
    images, expected = [], []
    for row in rows_of(finished):
        pair, direction = pairs[row.pair_id], directions[row.transform, row.direction]
        subject = Subject(pair.pair_id, read_png(run.printouts / pair.adversarial_path), pair.true_label)
        for value, is_right in ((row.threshold, True), (row.works_at, False)):
            if value is not None:
                k = round((value - direction.start) / direction.step)
                images.append(transformed(subject, direction, k, experiment.seed))
                expected.append((pair.true_label, is_right))
    labels = classifier.predict(np.stack(images)).argmax(1)
    assert [label == true for label, (true, _) in zip(labels, expected, strict=True)] == [is_right for _, is_right in expected]
    assert sum(is_right for _, is_right in expected) > 20


def test_the_first_rung_agrees_with_the_predictions_of_the_same_transform_on_a_grid(finished):
    """Blur 0.5 is the first value that is looked at: an attack is destroyed there just where its threshold is no stronger."""
    run = Run(finished, "small")
    predictions = {row.view_id: row for row in read_table(run.reports / "predictions.parquet", Prediction)}
    rows = [row for row in rows_of(finished) if row.transform == "blur"]
    on_grid = [predictions[f"{row.pair_id}/blur=0.5"] for row in rows]
    destroyed = [found.labels[0] == found.true_label for found in on_grid]
    assert destroyed == [row.threshold is not None and row.threshold <= 0.5 for row in rows]
    assert {True, False} == set(destroyed)


@pytest.mark.slow
def test_bisection_finds_what_a_dense_grid_finds_for_nearly_all_and_costs_a_tenth(finished):
    experiment, run = opened(finished)
    classifier = load_classifier(experiment.resolved_model(), "cpu")
    pairs = {pair.pair_id: pair for pair in read_table(run.printouts / "pairs.parquet", Pair)}
    directions = {(d.transform, d.name): d for d in directions_of(ALL, RESOLUTIONS)}
    rows = {(row.pair_id, row.transform, row.direction): row for row in rows_of(finished)}
    n_same = n_dense = n_forward = 0
    for (pair_id, *key), row in rows.items():
        pair, direction = pairs[pair_id], directions[tuple(key)]
        subject = Subject(pair_id, read_png(run.printouts / pair.adversarial_path), pair.true_label)
        steps = range(1, direction.rungs[-1] + 1)
        images = np.stack([transformed(subject, direction, k, experiment.seed) for k in steps])
        flips = [k for k, label in zip(steps, classifier.predict(images).argmax(1), strict=True) if label == pair.true_label]
        first = direction.value(flips[0]) if flips else None
        n_same += first == row.threshold
        n_dense += len(steps)
        n_forward += row.n_forward
    assert n_same / len(rows) >= 0.9
    assert n_forward / n_dense < 0.1


def test_a_second_run_and_an_interrupted_one_ask_the_model_nothing_again(copy, monkeypatch):
    from pipeline.stages import thresholds as stage

    run = Run(copy, "small")
    before = (run.reports / "thresholds.parquet").read_bytes()
    monkeypatch.setattr(stage, "find_thresholds", lambda *_: pytest.fail("searched again"))
    (run.reports / ".stages" / "thresholds.json").unlink()
    assert run_stage("thresholds", *opened(copy), CONTEXT).state == "done"
    assert (run.reports / "thresholds.parquet").read_bytes() == before


SETTINGS = {
    "fewer-images": (
        "thresholds.n_images=1",
        lambda rows: len({(r.case, r.attack, r.epsilon_8bit, r.pair_id) for r in rows}) <= 6,
    ),
    "none": ("thresholds.n_images=0", lambda rows: not rows),
    "one-transform": ('thresholds.transforms=["contrast"]', lambda rows: {row.transform for row in rows} == {"contrast"}),
}


@pytest.mark.parametrize(("override", "holds"), SETTINGS.values(), ids=SETTINGS.keys())
def test_a_setting_changes_what_is_looked_for_and_only_thresholds_and_report_become_stale(copy, override, holds):
    experiment, run = opened(copy, override)
    assert {s.stage for s in status(experiment, run) if s.state != "done"} == {"thresholds", "report"}
    run_stage("thresholds", experiment, run, CONTEXT)
    assert holds(rows_of(copy))


def test_a_whole_run_draws_the_curves_of_each_case_and_epsilon_and_a_run_without_thresholds_has_no_section(finished):
    rows = rows_of(finished)
    drawn = {path.stem for path in (finished / "reports/small/figures").glob("survival-*")}
    assert drawn == {f"survival-{row.case}-eps{row.epsilon_8bit}" for row in rows} and drawn
    assert survival_section(SimpleNamespace(survival=survival_curves(ThresholdSettings(), ()))) == ()


def test_each_resolution_is_that_of_its_own_transform(copy):
    """Each four times as coarse as it is unless set, which is another width for each."""
    coarse = {name: 4 * RESOLUTIONS[name] for name in RESOLUTIONS}
    settings = [f"thresholds.resolutions.{name}={width}" for name, width in coarse.items()]
    run_stage("thresholds", *opened(copy, "thresholds.n_images=2", *settings), CONTEXT)
    widths: dict[str, set[float]] = {}
    for row in rows_of(copy):
        if row.threshold and row.works_at:
            widths.setdefault(row.transform, set()).add(abs(round(row.threshold - row.works_at, 6)))
    assert widths == {name: {coarse.get(name, 1.0)} for name in widths} and widths.keys() >= coarse.keys()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ('thresholds.transforms=["blurr"]', 'thresholds.transforms.*blurr.*Did you mean "blur"'),
        ("thresholds.resolutions.blurr=1", 'thresholds.resolutions.*Did you mean "blur"'),
        ("thresholds.resolutions.blur=5", "expected 0.0005 to 4 for blur"),
        ("thresholds.resolutions.noise=0", "expected 0.005 to 40 for noise"),
        ("thresholds.resolutions.jpeg=1.5", "expected whole numbers from 1 to 91 for jpeg"),
    ],
)
def test_a_transform_or_step_that_cannot_be_is_refused(finished, override, words):
    with pytest.raises(WrongUse, match=words):
        opened(finished, override)


def test_a_changed_file_is_refused(copy):
    experiment, run = opened(copy, "thresholds.resolutions.blur=0.1")
    pair = next(pair for pair in read_table(run.printouts / "pairs.parquet", Pair) if pair.pair_id == rows_of(copy)[0].pair_id)
    pixels = read_png(run.printouts / pair.adversarial_path)
    write_bytes(run.printouts / pair.adversarial_path, png_bytes(255 - pixels))
    from pipeline.stages.thresholds import thresholds

    with pytest.raises(BadInput, match="not the pixels that were judged"):
        thresholds(experiment, run, CONTEXT)


def test_the_summary_counts_images_once_and_what_they_cost(finished):
    record = json.loads((finished / "reports/small/.stages/thresholds.json").read_text(encoding="utf-8"))
    rows = rows_of(finished)
    once = {(row.pair_id, row.transform, row.direction): row.n_forward for row in rows}
    assert record["summary"]["n_adversarial_images"] == len({row.pair_id for row in rows})
    assert record["summary"]["n_forward_passes"] == sum(once.values())


# --- the report -------------------------------------------


def made_rows(n: int = 20) -> list[ThresholdRow]:
    rows = []
    directions = directions_of(ALL, RESOLUTIONS)
    for attack, epsilon, direction in product(("fgsm", "bim", "illc"), (4, 16), directions):
        generator = np.random.default_rng([len(attack), epsilon, len(direction.transform)])
        for image in range(n):
            k = int(generator.exponential(direction.rungs[-1] * (0.3 if attack == "illc" else 0.8))) + 1
            threshold = direction.value(k) if k <= direction.rungs[-1] else None
            rows.append(
                ThresholdRow(f"{attack}/{image}", str(image), "average", attack, epsilon, direction.transform, direction.name,
                             threshold, None, 5)
            )  # fmt: skip
    return rows


def test_the_report_draws_every_curve_to_the_end_of_its_range_with_its_n():
    curves = [curve for curve in survival_curves(ThresholdSettings(), made_rows()) if curve.epsilon_8bit == 16]
    plot = survival_figure(curves)
    panels = [panel for panel in plot.axes if panel.get_title(loc="left")]
    assert len(panels) == 7
    for panel in panels:
        assert len(panel.lines) == 3 and panel.get_xlabel()
        for line in panel.lines:
            curve = next(
                c for c in curves if c.end == line.get_xdata()[-1] and 100 * c.steps[-1][1] / c.n == line.get_ydata()[-1]
            )
            assert list(line.get_xdata()[:-1]) == [step[0] for step in curve.steps]
    legend = [text.get_text() for panel in plot.axes if panel.get_legend() for text in panel.get_legend().get_texts()]
    assert legend == ["fast (n = 20)", "basic iterative (n = 20)", "least-likely class (n = 20)"]
    assert figures.png(plot)[:4] == b"\x89PNG"


def curve(direction: str, end: float, n: int, n_censored: int, median, low, high) -> SurvivalCurve:
    return SurvivalCurve(
        "average", "fgsm", 4, "brightness", direction, end, n, n_censored, ((0.0, n, 0.8, 1.0),), median, low, high
    )


CELLS = {
    "closed": (curve("up", 80, 20, 1, 12.0, 8.0, 31.0), "12", "8 to 31 · 1"),
    "open": (curve("down", -80, 20, 8, -40.0, -21.0, None), "−40", "from −21 · 8"),
    "beyond": (curve("up", 80, 20, 12, None, 40.0, None), "> 80", "from 40 · 12"),
    "all-outlast-downward": (curve("down", -80, 20, 20, None, None, None), "< −80", "· 20"),
}


@pytest.mark.parametrize(("given", "text", "note"), CELLS.values(), ids=CELLS.keys())
def test_a_median_is_told_with_its_interval_and_how_many_outlast_the_range(given, text, note):
    (table,) = median_tables([given])
    assert (table.rows[0][3].text, table.rows[0][3].note) == (text, note)
    assert table.rows[0][2].text == "20"
