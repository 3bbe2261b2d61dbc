"""Digital transforms against closed forms and independent implementations."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.core.errors import WrongUse
from pipeline.specs.transforms import TRANSFORMS

RNG = np.random.default_rng(7)
IMAGE = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)


def apply(name, value, image=IMAGE, seed=1):
    return TRANSFORMS.find(name).apply(image, value, np.random.default_rng(seed))


@pytest.mark.parametrize("name", TRANSFORMS.own)
def test_the_result_is_a_new_8_bit_image_and_the_source_is_untouched(name):
    before = IMAGE.copy()
    result = apply(name, TRANSFORMS.find(name).grid[0])
    assert result.dtype == np.uint8 and result.shape == IMAGE.shape and result is not IMAGE
    assert (before == IMAGE).all()


@pytest.mark.parametrize("name", TRANSFORMS.own)
def test_turning_the_parameter_changes_the_result(name):
    first, last = TRANSFORMS.find(name).grid[0], TRANSFORMS.find(name).grid[-1]
    assert (apply(name, first) != apply(name, last)).any()


@pytest.mark.parametrize(("name", "neutral"), [("brightness", 0), ("contrast", 1), ("blur", 0), ("noise", 0)])
def test_the_neutral_value_changes_nothing(name, neutral):
    assert (apply(name, neutral) == IMAGE).all()
    assert TRANSFORMS.find(name).neutral in (neutral, None)
    assert all(way.start == neutral for way in TRANSFORMS.find(name).ways)


@pytest.mark.parametrize("name", TRANSFORMS.own)
def test_a_transform_allows_what_it_shows_and_what_it_looks_at(name):
    spec = TRANSFORMS.find(name)
    values = [*spec.grid, *(value for way in spec.ways for value in way.looks)]
    assert all(spec.minimum <= value <= spec.maximum for value in values)
    for way in spec.ways:
        outward = [way.start, *way.looks]
        assert outward == sorted(outward, reverse=way.name == "down") and way.name in ("up", "down")


@pytest.mark.parametrize("value", [-30, -7, 12, 30])
def test_brightness_adds_and_cuts(value):
    assert (apply("brightness", value) == np.clip(IMAGE.astype(int) + value, 0, 255)).all()


def test_contrast_scales_about_mid_grey():
    grey = np.array([[[0, 127, 128], [255, 100, 50]]], np.uint8)
    assert apply("contrast", 0.5, grey).tolist() == [[[64, 127, 128], [191, 114, 89]]]


def test_blur_equals_scipy_within_rounding():
    expected = np.stack([gaussian_filter(IMAGE[..., c].astype(float), 1.3, mode="mirror", radius=6) for c in range(3)], axis=-1)
    assert np.abs(apply("blur", 1.3) - expected).max() <= 0.51


@pytest.mark.parametrize("sigma", [5, 20])
def test_noise_has_the_standard_deviation_it_says(sigma):
    grey = np.full((200, 200, 3), 128, np.uint8)
    assert (apply("noise", sigma, grey).astype(float) - 128).std() == pytest.approx(sigma, rel=0.02)


def test_noise_is_drawn_from_the_generator_alone():
    assert (apply("noise", 10, seed=4) == apply("noise", 10, seed=4)).all()
    assert (apply("noise", 10, seed=4) != apply("noise", 10, seed=5)).any()


def test_jpeg_is_a_real_round_trip_with_4_2_0():
    buffer = io.BytesIO()
    Image.fromarray(IMAGE).save(buffer, "JPEG", quality=40, subsampling=2)
    assert (apply("jpeg", 40) == np.array(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB"))).all()


def test_lower_jpeg_quality_is_further_away():
    smooth = np.asarray(Image.fromarray(IMAGE[:5, :6]).resize((64, 64), Image.Resampling.BICUBIC))
    distances = [np.abs(apply("jpeg", quality, smooth).astype(float) - smooth).mean() for quality in (10, 50, 95)]
    assert distances == sorted(distances, reverse=True)


def test_an_unknown_transform_names_the_nearest():
    with pytest.raises(WrongUse, match='Did you mean "blur"'):
        TRANSFORMS.find("blurr")


def test_a_float_image_is_refused():
    with pytest.raises(ValueError, match="expected uint8"):
        apply("blur", 1, IMAGE.astype(np.float32))
