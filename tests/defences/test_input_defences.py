"""Each input defence: what the network is shown, against other implementations, and how gradients lead back through it."""

import io

import cv2
import numpy as np
import pytest
import torch
from linear_classifier import SIDE, Linear, pictures
from PIL import Image
from scipy import ndimage
from scipy.optimize import minimize

from inkproof import load_model
from pipeline.core.errors import WrongUse
from pipeline.core.registry import load
from pipeline.core.seeds import generator_for
from pipeline.defences.coding import BitDepth
from pipeline.defences.options import BitDepthOptions
from pipeline.images import pixels_sha256, to_model
from pipeline.models import load_classifier
from pipeline.models.examination import examine
from pipeline.settings import ModelSettings
from pipeline.specs.defences import BPDA, DEFENCES, EXACT

ANSWERING = [name for name, spec in DEFENCES.own.items() if not spec.refuses]


def defended(name, **options):
    spec = DEFENCES.find(name)
    return load(spec.make)(Linear(), load(spec.options)(**options))


def shown(classifier, images):
    """What the network behind a defence is shown, float64 (N, H, W, 3) in 8-bit levels."""
    classifier.logits(to_model(images, torch.device("cpu")))
    return classifier._inner.shown.double().permute(0, 2, 3, 1).numpy() * 255


def of_each_channel(images, function):
    return np.stack([np.stack([function(image[..., c].astype(float)) for c in range(3)], -1) for image in images])


def test_fewer_bits_are_pillows_posterised_levels_stretched_to_both_ends():
    images = pictures()
    exact = np.rint(images / 255 * 7) * 255 / 7
    assert np.allclose(shown(defended("bit-depth", bits=3), images), exact, atol=1e-3)
    one_bit = np.stack([np.asarray(Image.fromarray(image).point(lambda v: 255 * (v > 127))) for image in images])
    assert np.allclose(shown(defended("bit-depth", bits=1), images), one_bit, atol=1e-3)


def test_all_eight_bits_are_the_classifier_itself_bit_for_bit():
    images, plain = to_model(pictures(), torch.device("cpu")), Linear()
    assert torch.equal(defended("bit-depth", bits=8).logits(images), plain.logits(images))


def test_jpeg_is_what_pillow_reads_back():
    images, files = pictures(), []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=40, subsampling="4:2:0")
        files.append(np.asarray(Image.open(file)))
    assert np.allclose(shown(defended("jpeg", quality=40), images), np.stack(files), atol=1e-3)


def diffused(plane):
    """Floyd and Steinberg's error diffusion in floating point, pixel by pixel."""
    plane, dots = np.pad(plane.astype(float), ((0, 1), (1, 1))), np.zeros(plane.shape)
    for y, x in np.ndindex(dots.shape):
        dots[y, x] = 255 * (plane[y, x + 1] > 127.5)
        error = plane[y, x + 1] - dots[y, x]
        plane[y, x + 2] += error * 7 / 16
        plane[y + 1, x : x + 3] += error * np.array([3, 5, 1]) / 16
    return dots


def test_halftone_is_error_diffusion_and_its_blur_scipys():
    images = pictures(1)
    dots = shown(defended("halftone", sigma_px=0), images)
    assert set(np.unique(dots.round())) == {0, 255}
    wanted = of_each_channel(images, diffused)
    assert (np.abs(dots - wanted) < 1).mean() > 0.75  # a rounded error moves a dot; tones stay
    smooth = [ndimage.gaussian_filter(some, (0, 3, 3, 0)) for some in (dots, wanted)]
    assert np.abs(smooth[0] - smooth[1]).mean() < 2
    tones = ndimage.gaussian_filter(dots, (0, 1.5, 1.5, 0), mode="mirror", truncate=4)
    assert np.allclose(shown(defended("halftone", sigma_px=1.5), images), tones, atol=0.01)


def test_gaussian_is_scipys():
    images = pictures()
    wanted = ndimage.gaussian_filter(images.astype(float), (0, 1.3, 1.3, 0), mode="mirror", truncate=4.5)
    assert np.abs(shown(defended("gaussian", sigma_px=1.3), images) - wanted).max() < 0.05


@pytest.mark.parametrize("size", [3, 5])
def test_median_is_scipys(size):
    images = pictures()
    wanted = of_each_channel(images, lambda plane: ndimage.median_filter(plane, size, mode="mirror"))
    assert np.allclose(shown(defended("median", size_px=size), images), wanted, atol=1e-3)


def test_bilateral_is_tomasis_and_manduchis_sum_pixel_by_pixel_and_on_grey_opencvs():
    image = pictures(1)[0].astype(float)
    padded, wanted = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect"), np.empty_like(image)
    places = np.hypot(*np.mgrid[-2:3, -2:3])
    for y, x in np.ndindex(SIDE, SIDE):
        square = padded[y : y + 5, x : x + 5]
        colours = np.linalg.norm(square - image[y, x], axis=-1)
        weights = np.exp(-((places / 2) ** 2) / 2 - (colours / 30) ** 2 / 2)
        wanted[y, x] = (square * weights[..., None]).sum((0, 1)) / weights.sum()
    found = shown(defended("bilateral", size_px=5, sigma_px=2.0, sigma_8bit=30.0), pictures(1))[0]
    assert np.allclose(found, wanted, atol=1e-2)
    # OpenCV looks at a disc: of 3 x 3 pixels at the cross alone, so that the corners are to have no weight here either
    grey = np.repeat(pictures(1)[..., :1], 3, -1)
    cross = cv2.bilateralFilter(grey[0, ..., 0].astype(np.float32), 3, 30.0, 0.3)
    found = shown(defended("bilateral", size_px=3, sigma_px=0.3, sigma_8bit=30.0 * 3**0.5), grey)[0, ..., 0]
    assert np.abs(found - cross).max() < 0.05


def test_total_variation_reaches_the_minimum_of_its_objective():
    plane, weight = pictures(1)[0, :10, :10, 0].astype(float), 12.0

    def objective(u, smoothing=0.0):
        u = u.reshape(plane.shape)
        down, across = np.diff(u, axis=0, append=u[-1:]), np.diff(u, axis=1, append=u[:, -1:])
        return ((u - plane) ** 2).sum() / (2 * weight) + np.sqrt(down**2 + across**2 + smoothing).sum()

    best = objective(minimize(objective, plane.ravel(), args=(1e-3,), method="L-BFGS-B", options={"maxfun": 40_000}).x)
    images = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    images[0, :10, :10] = plane.astype(np.uint8)[..., None]
    images[0, 10:, :10], images[0, :, 10:] = images[0, 9, :10], images[0, :, 9:10]  # continued, so that the border is free
    classifier = defended("total-variation", weight_8bit=weight, n_steps=1000)
    small = classifier.shown(torch.from_numpy(np.repeat(plane[None, None], 3, 1)).float())[0, 0].double().numpy()
    assert best <= objective(small) * 1.001 and objective(small) < best * 1.01 < objective(plane)
    assert shown(classifier, images).shape == images.shape


def test_random_padding_is_opencvs_resize_on_black_by_the_images_own_draw():
    images, wanted = pictures(4), []
    for image in images:
        draw = generator_for(5, "random-padding defence", pixels_sha256(image))
        side = round(draw.uniform(0.6, 1) * SIDE)
        top, left = (int(draw.integers(0, SIDE - side + 1)) for _ in range(2))
        wanted.append(np.zeros((SIDE, SIDE, 3)))
        wanted[-1][top : top + side, left : left + side] = cv2.resize(image.astype(float), (side, side))
    found = shown(defended("random-padding", least_rate=0.6, seed=5), images)
    assert np.allclose(found, np.stack(wanted), atol=1e-2)
    assert len({tuple(np.argwhere(picture.any(-1)).min(0)) for picture in found}) > 1


def gradient_of(classifier, x, ask=None):
    x = x.clone().requires_grad_()
    objective = (ask or classifier.logits)(x)[:, 0].sum()
    return torch.autograd.grad(objective, x)[0]


@pytest.mark.parametrize("name", [name for name in ANSWERING if DEFENCES.find(name).gradient != BPDA])
def test_an_exact_gradient_is_that_of_finite_differences(name):
    # all different, for the median's sake, and off the edge of rounding, where a random defence would draw anew
    draw = np.random.default_rng(1)
    pixels = torch.from_numpy(draw.integers(0, 256, (1, 3, 5, 6)) + draw.uniform(-0.4, 0.4, (1, 3, 5, 6)))
    assert torch.autograd.gradcheck(defended(name).shown, pixels.requires_grad_(), eps=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["bit-depth", "total-variation"])
def test_bpda_goes_back_as_if_the_defence_were_not_there(name):
    classifier, x = defended(name), to_model(pictures(), torch.device("cpu"))
    plain = gradient_of(Linear(), x)
    assert torch.allclose(gradient_of(classifier, x), plain, rtol=1e-5)
    assert not torch.equal(classifier.logits(x), Linear().logits(x))


def test_bpda_of_halftone_goes_back_through_the_blur_alone_and_of_jpeg_keeps_luma():
    x = to_model(pictures(), torch.device("cpu")) * 0.8 + 0.1
    through, blur = (gradient_of(defended(name, sigma_px=1.2), x) for name in ("halftone", "gaussian"))
    assert torch.allclose(through, blur, rtol=1e-4, atol=1e-6)
    grey = gradient_of(defended("jpeg"), x).mean(dim=1), gradient_of(Linear(), x).mean(dim=1)
    assert torch.nn.functional.cosine_similarity(grey[0].flatten(1), grey[1].flatten(1)).min() > 0.5


def test_eot_is_the_mean_over_its_draws_and_none_of_them_is_the_defences_own():
    x = to_model(pictures(2), torch.device("cpu"))
    few, many = (defended("random-padding", least_rate=0.5, n_expected=n) for n in (1, 3))
    by_hand = torch.stack([many._inner.logits(many._drawn(x * 255, f"attack {n}") / 255) for n in range(3)]).mean(dim=0)
    assert torch.equal(many.for_attacks()(x), by_hand) and not torch.equal(few.for_attacks()(x), by_hand)
    assert not torch.equal(few.for_attacks()(x), few.logits(x))


@pytest.mark.parametrize("name", ANSWERING)
def test_neither_order_nor_neighbours_nor_batches_change_what_an_image_is_answered(name):
    images, classifier = pictures(5), defended(name)
    together = classifier.predict(images, 8)
    assert np.array_equal(classifier.predict(images[::-1], 8)[::-1], together)
    alone = np.concatenate([shown(classifier, images[i : i + 1]) for i in range(5)])
    assert np.array_equal(alone, shown(classifier, images))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("bit-depth", {"bits": 2}, {"bits": 4}),
        ("jpeg", {"quality": 20}, {"quality": 90}),
        ("halftone", {"sigma_px": 0.5}, {"sigma_px": 2}),
        ("gaussian", {"sigma_px": 0.5}, {"sigma_px": 2}),
        ("median", {"size_px": 3}, {"size_px": 7}),
        ("bilateral", {"sigma_8bit": 5}, {"sigma_8bit": 50}),
        ("bilateral", {"sigma_px": 0.5}, {"sigma_px": 5}),
        ("bilateral", {"size_px": 3}, {"size_px": 9}),
        ("total-variation", {"weight_8bit": 2}, {"weight_8bit": 20}),
        ("total-variation", {"n_steps": 1}, {"n_steps": 50}),
        ("random-padding", {"least_rate": 0.5}, {"least_rate": 0.9}),
        ("random-padding", {"seed": 1}, {"seed": 2}),
        ("randomised-smoothing", {"sigma_8bit": 5}, {"sigma_8bit": 50}),
        ("randomised-smoothing", {"n_samples": 3}, {"n_samples": 4}),
        ("randomised-smoothing", {"seed": 1}, {"seed": 2}),
    ],
)
def test_each_option_changes_what_is_shown_and_the_fingerprint(name, one, other):
    first, second = defended(name, **one), defended(name, **other)
    assert not np.array_equal(shown(first, pictures()), shown(second, pictures()))
    assert len({first.fingerprint, second.fingerprint, defended(name, **one).fingerprint, Linear().fingerprint}) == 3


def test_a_model_is_loaded_behind_its_defence():
    plain, behind = load_classifier(ModelSettings()), load_classifier(ModelSettings(defence="gaussian"))
    assert behind.name == "builtin:signs behind gaussian" and behind.class_names == plain.class_names
    assert (behind.input_size, behind.n_ranked, behind.layer_names()) == (plain.input_size, plain.n_ranked, plain.layer_names())
    none = load_classifier(ModelSettings(defence="gaussian", defence_options={"sigma_px": 0}))
    images = np.random.default_rng(0).integers(0, 256, (2, *plain.input_size, 3), dtype=np.uint8)
    assert np.allclose(none.predict(images), plain.predict(images), atol=1e-6)
    layer, x = plain.last_map_layer(), to_model(images, plain.device)
    labels = torch.zeros(2, dtype=torch.int64)
    found, wanted = (model.layer_response(x, labels, layer).activations for model in (behind, plain))
    assert found.shape == wanted.shape and not torch.equal(found, wanted)


def test_the_network_behind_a_defence_is_examined_too():
    network = torch.nn.Sequential(torch.nn.Dropout(0.0), torch.nn.Flatten(), torch.nn.Linear(3 * 8**2, 4))
    behind = BitDepth(load_model(network, input_px=8), BitDepthOptions(bits=8))
    images, labels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8), np.zeros(8, int)
    assert "train-mode" not in {flag.name for flag in examine(behind, images, labels)}
    behind._inner._module.train()
    assert "train-mode" in {flag.name for flag in examine(behind, images, labels)}
    assert behind._inner._module.training


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"defence": "gausian"}, 'unknown defence "gausian". Did you mean "gaussian"?'),
        (
            {"defence": "jpeg", "defence_options": {"quality": 101}},
            'defence "jpeg": defence_options.quality = 101 is out of range',
        ),
        ({"defence": "jpeg", "defence_options": {"sigma": 1}}, 'defence "jpeg": unknown key "sigma" in [defence_options].'),
        ({"defence": "median", "defence_options": {"size_px": 4}}, "defence_options.size_px = 4 is not allowed"),
    ],
)
def test_what_no_defence_can_be_is_refused_in_a_sentence(settings, said):
    with pytest.raises(WrongUse) as error:
        load_classifier(ModelSettings(**settings))
    assert said in str(error.value)


def test_every_entry_says_how_its_gradient_comes_and_has_a_line():
    assert all(spec.gradient in (EXACT, BPDA, "eot") and spec.summary for spec in DEFENCES.own.values())
    assert [name for name, spec in DEFENCES.own.items() if load(spec.make).defence != name] == []
