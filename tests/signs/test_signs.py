"""The rules of the built-in dataset and of the built-in classifier."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pipeline.signs import network as signs_net, training
from pipeline.signs.dataset import CLASS_NAMES, IMAGE_PX, SignsDataset, render
from pipeline.signs.shapes import PLATE_PX, draw_plate

MIRRORED = [("turn left", "turn right"), ("curve left", "curve right")]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def logits_of(images):
    with torch.inference_mode():
        return signs_net.load()(torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 255))


def test_every_class_renders_to_an_8_bit_rgb_picture_with_contrast(subtests):
    for class_index, name in enumerate(CLASS_NAMES):
        with subtests.test(name):
            image = render(class_index, seed=5)
            assert image.shape == (IMAGE_PX, IMAGE_PX, 3) and image.dtype == np.uint8
            assert image.std() > 8


def test_the_same_class_and_seed_give_the_same_bytes():
    first, others = render(3, 41), [render(c, s) for c, s in ((3, 42), (4, 41))]
    assert np.array_equal(first, render(3, 41))
    assert all(not np.array_equal(first, other) for other in others)


def test_an_image_does_not_depend_on_what_was_rendered_before_it():
    forward, backward = SignsDataset(12), SignsDataset(12)
    ahead = [forward.image(i) for i in range(12)]
    behind = [backward.image(i) for i in reversed(range(12))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(ahead, behind, strict=True))


def test_a_longer_dataset_starts_with_the_shorter_one():
    short, long = SignsDataset(40), SignsDataset(400)
    assert [short.item_id(i) for i in range(40)] == [long.item_id(i) for i in range(40)]
    assert np.array_equal(short.image(39), long.image(39))


def test_splits_and_seeds_share_no_image():
    sets = [SignsDataset(64, split, seed) for split in ("train", "validation", "test") for seed in (0, 1)]
    images = [dataset.image(i).tobytes() for dataset in sets for i in range(0, 64, 8)]
    assert len(set(images)) == len(images)


def test_item_ids_are_unique_safe_file_names_and_begin_with_the_class():
    dataset = SignsDataset(2_000)
    ids = [dataset.item_id(i) for i in range(len(dataset))]
    assert len({name.lower() for name in ids}) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-\d{4}", name) for name in ids)
    assert all(name.startswith(CLASS_NAMES[dataset.label(i)].replace(" ", "-")) for i, name in enumerate(ids))


def test_classes_are_balanced_to_within_one_image():
    dataset = SignsDataset(500)
    counts = np.bincount([dataset.label(i) for i in range(500)], minlength=len(CLASS_NAMES))
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: SignsDataset(5, "holdout"), ValueError),
        (lambda: SignsDataset(-1), ValueError),
        (lambda: SignsDataset(5).image(5), IndexError),
        (lambda: SignsDataset(5).label(-1), IndexError),
        (lambda: SignsDataset(5).item_id(5), IndexError),
        (lambda: render(len(CLASS_NAMES), 0), ValueError),
        (lambda: draw_plate("no such sign"), ValueError),
    ],
    ids=["split", "negative-size", "image-index", "negative-index", "id-index", "class-index", "sign-name"],
)
def test_an_argument_outside_its_range_is_refused(wrong, error):
    with pytest.raises(error, match="expected"):
        wrong()


def test_a_plate_is_premultiplied_and_has_clear_corners():
    for name in CLASS_NAMES:
        plate = draw_plate(name)
        assert plate.shape == (PLATE_PX, PLATE_PX, 4)
        assert (plate[..., :3] <= plate[..., 3:]).all(), name
        assert not plate[[0, 0, -1, -1], [0, -1, 0, -1], 3].any(), name


@pytest.mark.parametrize(("left", "right"), MIRRORED, ids=["turn", "curve"])
def test_left_and_right_are_mirror_images(left, right):
    gap = np.abs(draw_plate(left)[:, ::-1].astype(int) - draw_plate(right).astype(int))
    assert gap.mean() < 1
    assert np.abs(draw_plate(left).astype(int) - draw_plate(right).astype(int)).mean() > 5


def test_no_two_plates_look_alike():
    plates = [draw_plate(name).astype(float) for name in CLASS_NAMES]
    gaps = [np.abs(a - b).mean() for i, a in enumerate(plates) for b in plates[:i]]
    assert min(gaps) > 2


def test_the_network_names_the_classes_of_the_dataset_in_order():
    with safe_open(training.PACKAGED_WEIGHTS, framework="pt") as weights:
        assert json.loads(weights.metadata()["class_names"]) == list(CLASS_NAMES)
    assert signs_net.INPUT_PX == IMAGE_PX


def test_the_packaged_weights_weigh_at_most_3_megabytes():
    assert training.PACKAGED_WEIGHTS.stat().st_size <= 3_000_000


def test_the_packaged_network_is_right_on_97_percent_of_unseen_images():
    measured = training.measure(signs_net.load(), SignsDataset(320, "test", seed=7), n_workers=1)
    assert measured["top1_accuracy"] >= 0.97
    assert measured["top5_accuracy"] >= 0.99
    assert measured["sure_and_right_rate"] >= 0.9


def test_the_loaded_network_answers_the_same_alone_and_in_a_batch():
    images = [SignsDataset(8).image(i) for i in range(8)]
    together, alone = logits_of(images), torch.cat([logits_of([image]) for image in images])
    assert torch.allclose(together, alone, atol=1e-3)
    assert torch.equal(together, logits_of(images))


def test_normalisation_is_part_of_the_network():
    net, images = signs_net.load(), torch.rand(2, 3, IMAGE_PX, IMAGE_PX)
    with torch.inference_mode():
        inside = net(images)
        normalised = (images - net.mean) / net.std
        assert torch.allclose(inside, net.classify(net.features(normalised).mean((2, 3))), atol=1e-4)


def test_one_step_against_the_gradient_fools_the_network_more_than_noise_of_the_same_size():
    dataset, net = SignsDataset(48, "test", seed=3), signs_net.load()
    images, labels = training.render_all(dataset)
    clean = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32)).requires_grad_()
    truth = torch.from_numpy(labels)
    torch.nn.functional.cross_entropy(net(clean / 255), truth).backward()
    noise = torch.from_numpy(np.random.default_rng(0).choice([-16.0, 16.0], clean.shape).astype(np.float32))
    with torch.inference_mode():
        fooled, noisy = (
            (net((clean + step).clamp(0, 255) / 255).argmax(1) != truth).float().mean()
            for step in (16 * clean.grad.sign(), noise)
        )
    assert fooled > 0.6 > 0.3 > noisy


@pytest.mark.slow
def test_training_from_one_seed_gives_the_same_weights_and_from_another_does_not():
    first, again, other = (training.train(seed, n_images=16, n_epochs=2, n_workers=1).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["classify.weight"], other["classify.weight"])


def test_saved_weights_load_again_without_change(tmp_path, monkeypatch):
    net = training.train(0, n_images=16, n_epochs=2, n_workers=1)
    (tmp_path / "weights").mkdir()
    training.save(net, tmp_path / "weights" / "signs.safetensors")
    monkeypatch.setattr(signs_net, "files", lambda package: tmp_path)
    loaded = signs_net.load()
    x = torch.rand(2, 3, IMAGE_PX, IMAGE_PX)
    with torch.inference_mode():
        assert torch.equal(loaded(x), net(x))


def test_missing_weights_are_an_error_that_the_caller_can_name(tmp_path, monkeypatch):
    monkeypatch.setattr(signs_net, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError):
        signs_net.load()
