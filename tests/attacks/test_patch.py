"""The adversarial patch: where it lies, what it leaves alone, what it learns, what printing asks of it, and who keeps it."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kept_files import read_table

from pipeline.attacks import attack_named
from pipeline.attacks.attack import NO_EPSILON, Differentiable, Learnt
from pipeline.attacks.options import PatchOptions
from pipeline.attacks.patch import (
    AdversarialPatch,
    Placement,
    covered_by,
    draw_placement,
    non_printability,
    pasted,
    printable_colours,
    total_variation,
)
from pipeline.cli.catalogue import check_names
from pipeline.core.errors import WrongUse
from pipeline.engine import Context
from pipeline.images import png_bytes, read_png
from pipeline.models import load_classifier
from pipeline.physical.simulator import load_profile
from pipeline.records import Pair
from pipeline.settings import ModelSettings
from pipeline.settings.reading import load_experiment
from pipeline.signs.dataset import SignsDataset
from pipeline.stages.graph import run_stage, status
from pipeline.store import Run, content_hash

TARGET = 14
QUICK = {"n_steps": 3, "n_images": 4, "n_samples": 4}


class Toy(Differentiable):
    """A small smooth network for images of any size."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5, stride=2), torch.nn.Tanh(), torch.nn.AdaptiveAvgPool2d(3))
        self.net.extend([torch.nn.Flatten(), torch.nn.Linear(72, 6)])
        self.net.requires_grad_(False)

    def logits(self, images):
        return self.net(images)


def noise_images(n, height=30, width=38, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def made(images, classifier=None, **options):
    attack = AdversarialPatch(PatchOptions(**{**QUICK, **options}))
    return attack.perturb(classifier or Toy(), images, np.zeros(len(images), np.int64))[NO_EPSILON]


class TestPlacement:
    @pytest.mark.parametrize("shape", ["circle", "square"])
    def test_what_is_covered_has_the_area_of_the_shape_wherever_it_lies(self, shape):
        rng = np.random.default_rng(1)
        for _ in range(5):
            place = draw_placement(PatchOptions(shape=shape), (40, 50), (0.4, 0.5), rng)
            share = pasted(torch.zeros(1, 3, 40, 50), torch.full((3, 20, 20), 1.0), [place], shape, 8)[0, 0]
            area = place.side_px**2 * (math.pi / 4 if shape == "circle" else 1)
            assert float(share.sum()) == pytest.approx(area, rel=0.01), "none of it is outside the image"

    @pytest.mark.parametrize("fineness", [2, 4])
    def test_a_patch_the_size_of_its_place_is_pasted_pixel_by_pixel(self, fineness):
        """Half-pixel slips show here: pixel centres are whole numbers, so 8 pixels from 5 to 12 have their middle at 8.5."""
        ramp = torch.arange(8.0)[None, :, None] * 10 + torch.arange(8.0)[None, None, :]
        found = pasted(torch.full((1, 3, 20, 20), 7.0), ramp.expand(3, -1, -1), [Placement(8.5, 10.5, 8, 0)], "square", fineness)[
            0
        ]
        assert found[0, 8:14, 6:12].numpy() == pytest.approx(ramp[0, 1:7, 1:7].numpy(), abs=1e-4)
        outside = torch.ones(20, 20, dtype=torch.bool)
        outside[7:15, 5:13] = False
        assert (found[:, outside] == 7).all()

    def test_it_is_turned_clockwise(self):
        left_is_dark = torch.cat([torch.zeros(3, 16, 8), torch.full((3, 16, 8), 200.0)], dim=2)
        found = pasted(torch.full((1, 3, 20, 20), 99.0), left_is_dark, [Placement(9.5, 9.5, 12, 90)], "circle", 4)[0, 0]
        assert found[6, 9] < 1 and found[13, 9] > 199, "what was on the left is above"

    def test_its_edge_is_soft_and_beyond_it_not_a_bit_is_changed(self):
        images = noise_images(12)
        found = made(images, scale_rate=(0.5, 0.5)).images
        share = (found != images).any(axis=3).mean()
        assert share == pytest.approx(math.pi / 4 * 15**2 / (30 * 38), rel=0.2)
        place = Placement(15, 15, 12.6, 10)
        one = pasted(torch.zeros(1, 3, 32, 32), torch.full((3, 9, 9), 100.0), [place], "circle", 4)[0, 0].numpy()
        distance = np.hypot(*(np.mgrid[:32, :32] - 15))
        assert (one[distance > 7.1] == 0).all() and one[distance < 5.5] == pytest.approx(100)
        assert ((one > 1) & (one < 99)).sum() >= 10

    def test_off_centre_leaves_the_middle_of_every_image_alone(self):
        images = noise_images(20, 40, 40)
        free, off = (made(images, location=where, scale_rate=(0.35, 0.35)).images for where in ("anywhere", "off-centre"))
        middle = (slice(None), slice(19, 21), slice(19, 21))
        assert (off[middle] == images[middle]).all() and (free[middle] != images[middle]).any()

    @pytest.mark.parametrize("height_width", [(24, 24), (24, 40)])
    def test_places_are_spread_over_all_that_it_fits_in(self, height_width):
        rng = np.random.default_rng(2)
        found = [draw_placement(PatchOptions(rotation_deg=0.0), height_width, (0.5, 0.5), rng) for _ in range(400)]
        for values, n in ((np.array([p.x_px for p in found]), height_width[1]), (np.array([p.y_px for p in found]), 24)):
            assert values.min() == pytest.approx(5.5, abs=0.4) and values.max() == pytest.approx(n - 6.5, abs=0.4)
            assert values.mean() == pytest.approx((n - 1) / 2, abs=1)

    def test_gradients_are_those_of_the_pasted_numbers(self):
        patch = torch.rand(3, 9, 9, dtype=torch.float64, requires_grad=True)
        images, places = torch.rand(2, 3, 16, 16, dtype=torch.float64), [Placement(7, 8, 9.3, 12), Placement(5, 9, 6.1, -20)]
        assert torch.autograd.gradcheck(lambda canvas: pasted(images, canvas, places, "circle", 2), patch)


class TestPrintable:
    def test_printable_colours_are_fixed_where_the_printer_shows_them_as_they_are(self):
        colours = printable_colours(load_profile("office-phone"))
        assert colours.shape == (30, 3) and len(np.unique(colours.round(), axis=0)) == 30
        assert colours[26] == pytest.approx([255] * 3, abs=0.5), "paper is white"
        # black ink reflects 0.023 of paper's 0.86: sRGB of 0.0267
        assert colours[0] == pytest.approx([45.5] * 3, abs=1)
        red = colours[18]  # asked for 255, 0, 0: L* 54.5, a* 66.3, b* 52.2, which is 241, 63, 43, but no darker than black ink
        assert red == pytest.approx([241.3, 62.7, 45.5], abs=1)

    def test_non_printability_is_the_mean_distance_to_the_nearest_colour(self):
        colours = torch.tensor([[0.0, 0, 0], [255, 255, 255]])
        patch = torch.tensor([0.0, 51.0, 255.0, 204.0]).reshape(1, 2, 2).repeat(3, 1, 1)
        covered = torch.tensor([[True, True], [True, True]])
        expected = math.sqrt(3) * (0 + 0.2 + 0 + 0.2) / 4
        assert float(non_printability(patch, colours, covered)) == pytest.approx(expected, abs=1e-3)
        covered[0, 1] = False
        assert float(non_printability(patch, colours, covered)) == pytest.approx(math.sqrt(3) * 0.2 / 3, abs=1e-3)

    def test_total_variation_counts_neighbours_within_the_shape_alone(self):
        patch = torch.zeros(3, 4, 4)
        patch[:, :, 2:] = 51.0
        assert float(total_variation(patch, torch.ones(4, 4, dtype=torch.bool))) == pytest.approx(0.2 / 3)
        left = torch.zeros(4, 4, dtype=torch.bool)
        left[:, :2] = True
        assert float(total_variation(patch, left)) == 0

    def test_the_circle_holds_every_pixel_that_is_read(self):
        """Pasted at many scales, nothing of the white around a trained circle shows."""
        canvas = torch.where(covered_by("circle", 24), 0.0, 255.0).expand(3, -1, -1)
        for side in (6.0, 11.3, 24.0, 57.0):
            found = pasted(torch.zeros(1, 3, 64, 64), canvas, [Placement(31, 31, side, 9)], "circle", 4)
            assert found.max() == 0


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(ModelSettings(), "cpu")


@pytest.fixture(scope="module")
def trained(classifier):
    """A patch for whose looks nothing was asked."""
    plain = {"variation_weight": 0.0, "printable_weight": 0.0}
    attack = AdversarialPatch(PatchOptions(target=str(TARGET), n_steps=60, n_images=32, **plain))
    return attack.learn(classifier, (112, 112)).picture


class TestLearning:
    def held_out(self, n=24):
        signs = SignsDataset(n)
        return np.stack([signs.image(i) for i in range(n)]), np.array([signs.label(i) for i in range(n)])

    def hit_rate(self, classifier, patch, area):
        attack = AdversarialPatch(PatchOptions(target=str(TARGET), scale_rate=(2 * math.sqrt(area / math.pi),) * 2))
        attack.use(Learnt(patch, TARGET))
        images, labels = self.held_out()
        answers = classifier.predict(attack.perturb(classifier, images, labels)[NO_EPSILON].images).argmax(1)
        return (answers == TARGET)[labels != TARGET].mean()

    @pytest.mark.slow
    def test_images_that_it_never_saw_are_led_to_its_class_and_by_a_larger_patch_more(self, classifier, trained):
        small, large = (self.hit_rate(classifier, trained, area) for area in (0.05, 0.3))
        assert small < 0.5 < 0.85 < large

    def test_an_untrained_patch_of_that_size_leads_nowhere(self, classifier):
        grey = np.random.default_rng(0).integers(102, 153, (73, 73, 3), dtype=np.uint8)
        assert self.hit_rate(classifier, grey, 0.3) < 0.2

    @pytest.mark.slow
    def test_printing_weights_make_it_smoother_and_bring_its_colours_nearer_to_the_palette(self, classifier, trained):
        weights = {"variation_weight": 2.0, "printable_weight": 8.0}
        options = PatchOptions(target=str(TARGET), n_steps=60, n_images=32, **weights)
        printable = AdversarialPatch(options).learn(classifier, (112, 112)).picture
        colours, covered = torch.from_numpy(printable_colours(load_profile("office-phone"))), covered_by("circle", len(trained))
        plain, nicer = (torch.from_numpy(patch).permute(2, 0, 1).float() for patch in (trained, printable))
        assert non_printability(nicer, colours, covered) < 0.8 * non_printability(plain, colours, covered)
        assert total_variation(nicer, covered) < 0.9 * total_variation(plain, covered)

    @pytest.mark.parametrize(
        "option",
        [
            {"target": "3"},
            {"shape": "square"},
            {"trained_scale_rate": (0.4, 0.5)},
            {"scale_rate": (0.3, 0.4)},
            {"rotation_deg": 90.0},
            {"location": "off-centre"},
            {"over": "camera"},
            {"profile": "harsh"},
            {"variation_weight": 20.0},
            {"printable_weight": 0.0},
            {"n_steps": 5},
            {"n_samples": 5},
            {"learning_rate": 0.2},
            {"n_images": 6},
            {"seed": 1},
        ],
        ids=lambda option: next(iter(option)),
    )
    def test_every_option_changes_the_result_and_the_key(self, option):
        images = noise_images(4)
        plain, changed = made(images, target="2"), made(images, **{"target": "2", **option})
        assert (plain.images != changed.images).any()
        keys = {
            content_hash(AdversarialPatch(PatchOptions(**kind)).identity) for kind in ({"target": "2"}, {"target": "2", **option})
        }
        assert len(keys) == 2

    def test_the_size_on_paper_changes_what_is_trained_through_the_camera(self):
        images = noise_images(4)
        found = [made(images, over="camera", image_mm=mm).images for mm in (70.0, 20.0)]
        assert (found[0] != found[1]).any()

    def test_the_images_that_it_was_trained_on_are_in_the_key(self):
        keys = []
        for seed in (0, 0, 1):
            attack = AdversarialPatch(PatchOptions(**QUICK))
            attack.prepare(noise_images(4, seed=seed))
            keys.append(content_hash(attack.identity))
        assert keys[0] == keys[1] != keys[2]

    def test_a_random_target_is_one_class_for_all_images_and_another_for_another_seed(self):
        images = noise_images(3)
        targets = [made(images, seed=seed).targets for seed in range(6)]
        assert all((one == one[0]).all() for one in targets) and len({int(one[0]) for one in targets}) > 1

    def test_images_cost_no_pass_and_the_network_gets_none_when_the_patch_is_known(self):
        attack, images = AdversarialPatch(PatchOptions(**QUICK)), noise_images(3)
        attack.use(Learnt(np.zeros((8, 8, 3), np.uint8), 1))
        found = attack.perturb(Silent(), images, np.zeros(3, np.int64))[NO_EPSILON]
        assert found.n_forward.tolist() == found.n_backward.tolist() == [0, 0, 0]

    def test_it_says_how_many_of_the_gradients_in_training_were_not_finite(self):
        class Roots(Toy):
            def logits(self, images):
                return super().logits(images) + images.amin(dim=(1, 2, 3)).sqrt()[:, None]

        attack, images = AdversarialPatch(PatchOptions(**QUICK)), noise_images(4)
        images[:2] = np.maximum(images[:2], 1)
        attack.prepare(images)
        learnt = attack.learn(Roots(), images.shape[1:3])
        assert 0 < learnt.n_blind < learnt.n_gradients == attack._options.n_steps * attack._options.n_samples
        for told, is_blind in ((learnt, (True,) * 4), (replace(learnt, n_blind=0), ())):
            attack.use(told)
            assert attack.perturb(Silent(), images, np.zeros(4, np.int64))[NO_EPSILON].is_blind == is_blind

    @pytest.mark.parametrize("target", ["", "least-likely", "-1"])
    def test_a_target_that_differs_from_image_to_image_is_refused(self, target):
        with pytest.raises(WrongUse, match="is no target"):
            attack_named("patch", options={"target": target})

    def test_a_class_that_the_network_lacks_is_refused(self):
        with pytest.raises(WrongUse, match="classes 0 to 5"):
            made(noise_images(1), target="6")

    def test_the_picture_to_print_is_the_patch_on_white_paper(self):
        attack = AdversarialPatch(PatchOptions())
        attack.use(Learnt(np.full((20, 20, 3), 40, np.uint8), 0))
        picture = attack.picture(100)
        assert picture.shape == (100, 100, 3) and (picture[0, 0] == 255).all() and (picture[50, 3] == 40).all()
        assert (picture == 40).all(axis=2).mean() == pytest.approx(math.pi / 4, abs=0.02)


class Silent(Differentiable):
    device = torch.device("cpu")

    def logits(self, images):
        raise AssertionError("no pass is needed")


EXPERIMENT = """
name = "mine"
[dataset]
n_images = 12
[selection]
cases = ["average"]
n_images = 2
[[attacks]]
name = "patch"
options = { n_steps = 2, n_images = 4, n_samples = 2, IMAGES }
"""


class TestRun:
    def written(self, folder: Path, images: str = 'target = "3"') -> Path:
        path = folder / "mine.toml"
        path.write_text(EXPERIMENT.replace("IMAGES", images), encoding="utf-8")
        return path

    def test_a_run_keeps_the_patch_for_printing_and_pairs_of_it(self, tmp_path):
        experiment, run = load_experiment(self.written(tmp_path)), Run(tmp_path, "mine")
        check_names(experiment)
        for stage in ("select", "generate"):
            run_stage(stage, experiment, run, Context())
        pairs = read_table(run.printouts / "pairs.parquet", Pair)
        assert len(pairs) == 2 and {pair.target_label for pair in pairs} == {3}
        picture = read_png(run.printouts / "patches" / "patch.png")
        assert picture.shape == (1200, 1200, 3)
        before = {pair.pair_id: (run.printouts / pair.adversarial_path).read_bytes() for pair in pairs}
        (run.printouts / "patches" / "old.png").write_bytes(b"")
        run_stage("generate", experiment, run, Context(), force=True)
        assert {pair.pair_id: (run.printouts / pair.adversarial_path).read_bytes() for pair in pairs} == before
        assert [path.name for path in (run.printouts / "patches").iterdir()] == ["patch.png"]

    @pytest.mark.slow
    def test_it_trains_on_a_folder_of_pictures_beside_the_experiment_and_a_change_is_noticed(self, tmp_path):
        (tmp_path / "pictures").mkdir()
        for number in range(3):
            picture = noise_images(1, 60, 70, seed=number)[0]
            (tmp_path / "pictures" / f"{number}.png").write_bytes(png_bytes(picture))
        experiment = load_experiment(self.written(tmp_path, 'target = "3", images = "pictures"'))
        run = Run(tmp_path, "mine")
        for stage in ("select", "generate"):
            run_stage(stage, experiment, run, Context())
        first = (run.printouts / "patches" / "patch.png").read_bytes()
        assert [state.state for state in status(experiment, run)][:2] == ["done", "done"]
        (tmp_path / "pictures" / "0.png").write_bytes(png_bytes(noise_images(1, 80, 90, seed=9)[0]))
        assert status(experiment, run)[0].reason == "patch.images changed"
        for stage in ("select", "generate"):
            run_stage(stage, experiment, run, Context())
        assert (run.printouts / "patches" / "patch.png").read_bytes() != first

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ("scale_rate = [0.5]", "expected two values, the lower one first"),
            ("scale_rate = [0.6, 0.5]", "expected two values, the lower one first"),
            ("scale_rate = [0.5, 1.5]", "out of range"),
            ('target = "least"', "is no target"),
            ('images = "nowhere"', "no such picture or folder"),
        ],
    )
    def test_a_bad_option_is_refused_with_its_line(self, tmp_path, options, words):
        with pytest.raises(Exception, match=words) as caught:
            check_names(load_experiment(self.written(tmp_path, options)))
        assert "mine.toml:10" in str(caught.value) and "\n" not in str(caught.value)

    def test_an_epsilon_is_refused(self, tmp_path):
        path = self.written(tmp_path)
        path.write_text(path.read_text(encoding="utf-8") + "epsilons_8bit = [4]\n", encoding="utf-8")
        with pytest.raises(WrongUse, match="takes no epsilon"):
            load_experiment(path)
