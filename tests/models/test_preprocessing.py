"""A picture reaches a network as its makers' own transforms bring it there: to the bit, for all that they ship."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.core.errors import WrongUse
from pipeline.core.torchvision_import import import_torchvision
from pipeline.images.resizing import INTERPOLATIONS
from pipeline.models import load_classifier
from pipeline.models.preprocessing import Preprocessing, preprocessing_for, whole_picture
from pipeline.models.zoo import of_timm, of_torchvision
from pipeline.settings import ModelSettings

torch.set_num_threads(1)
SHAPES = [(48, 64), (64, 48), (61, 61), (33, 100), (7, 9)]


def picture(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), dtype=np.uint8)


def timm() -> Any:
    import_torchvision()
    pytest.importorskip("timm.data")
    return pytest.importorskip("timm")


def timm_configurations() -> list[dict[str, Any]]:
    """What timm makes of each of its weights, as trained and as tested."""
    package = timm()
    found = [package.get_pretrained_cfg(name).to_dict() for name in package.list_pretrained()]
    assert len(found) > 1000
    return [package.data.resolve_data_config({}, own, use_test_size=tested) for own in found for tested in (False, True)]


def by_their_transforms(steps: list[Any], pixels: np.ndarray) -> np.ndarray:
    """Returns the pixels after those of somebody's transforms that work on a Pillow image."""
    image = Image.fromarray(pixels)
    for step in steps:
        if "Tensor" in type(step).__name__:
            break
        image = step(image)
    return np.asarray(image)


def test_every_configuration_of_timm_means_the_same_steps() -> None:
    wrong = []
    for config in timm_configurations():
        resize, crop, *_, norm = timm().data.create_transform(**config).transforms
        ours = of_timm(config)
        keeps_ratio = type(resize).__name__ == "ResizeKeepRatio"
        size = resize.size if isinstance(resize.size, int) else tuple(resize.size)
        framing = ("border" if resize.longest else "center") if keeps_ratio else ("center" if isinstance(size, int) else "squash")
        theirs = (tuple(crop.size), size, framing, resize.interpolation.value)
        fill = list(getattr(crop, "fill", [0, 0, 0]))
        found = (ours.input_size, ours.resize_px, ours.framing, ours.interpolation)
        filled = [round(255 * value) for value in ours.mean] if framing == "border" else [0, 0, 0]
        same_norm = (
            norm.mean.tolist() == torch.tensor(ours.mean).tolist() and norm.std.tolist() == torch.tensor(ours.std).tolist()
        )
        if found != theirs or fill != filled or not same_norm:
            wrong.append((config, theirs, found))
    assert not wrong, f"{len(wrong)} differ, the first: {wrong[0]}"


def test_every_kind_of_timms_configurations_gives_the_same_pixels() -> None:
    kinds = {(c["input_size"], c["crop_pct"], c["crop_mode"], c["interpolation"], c["mean"]): c for c in timm_configurations()}
    small = [config for config in kinds.values() if max(config["input_size"]) <= 160] + [
        config for config in kinds.values() if config["crop_mode"] != "center" or len(set(config["input_size"][1:])) > 1
    ]
    for config in [{**config, "input_size": (3, *(side // 4 for side in config["input_size"][1:]))} for config in small]:
        steps = timm().data.create_transform(**config).transforms
        for shape in SHAPES:
            theirs = by_their_transforms(steps, picture(shape))
            np.testing.assert_array_equal(of_timm(config).framed(picture(shape)), theirs, err_msg=f"{config} {shape}")


@pytest.mark.parametrize("tested", [False, True], ids=["as-trained", "as-tested"])
def test_a_timm_network_takes_the_size_and_crop_that_are_asked_for(tested: bool) -> None:
    package = timm()
    arguments = {"use_test_size": True} if tested else {}
    classifier = load_classifier(ModelSettings(name="timm:resnet18.a1_in1k", weights="none", arguments=arguments))
    config = package.data.resolve_data_config({}, package.get_pretrained_cfg("resnet18.a1_in1k").to_dict(), use_test_size=tested)
    steps = package.data.create_transform(**config).transforms
    pixels = picture((300, 400))
    assert classifier.input_size == ((288, 288) if tested else (224, 224))
    np.testing.assert_array_equal(classifier.prepare(pixels), by_their_transforms(steps, pixels))


def test_a_vision_transformer_of_timm_is_built_for_the_size_that_is_asked_for() -> None:
    timm()
    classifier = load_classifier(ModelSettings(name="timm:vit_tiny_patch16_224", weights="none", input_px=(64, 48)))
    assert classifier.input_size == (64, 48) and classifier.n_classes == 1000


def test_every_published_weight_of_torchvision_means_the_same_pixels() -> None:
    models = import_torchvision().models
    weights = [weight for name in models.list_models(module=models) for weight in models.get_model_weights(name)]
    presets = {str(weight.transforms()): weight.transforms() for weight in weights}
    assert len(weights) > 100
    for preset in presets.values():
        functional = import_torchvision().transforms.functional
        for shape in SHAPES[:3]:
            how = {"interpolation": preset.interpolation, "antialias": preset.antialias}
            image = functional.resize(Image.fromarray(picture(shape)), preset.resize_size, **how)
            theirs = np.asarray(functional.center_crop(image, preset.crop_size))
            ours = of_torchvision(preset)
            np.testing.assert_array_equal(ours.framed(picture(shape)), theirs, err_msg=f"{preset}")
            assert list(ours.mean) == list(preset.mean) and list(ours.std) == list(preset.std)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_every_filter_of_pillow_can_be_named(interpolation: str) -> None:
    ours = Preprocessing((20, 30), (25, 35), interpolation=interpolation, framing="squash").framed(picture((50, 50)))
    theirs = Image.fromarray(picture((50, 50))).resize((35, 25), INTERPOLATIONS[interpolation])
    np.testing.assert_array_equal(ours, np.asarray(theirs)[2:22, 2:32])


@pytest.mark.parametrize(
    ("settings", "own", "expected"),
    [
        ({"input_px": (64, 48)}, None, Preprocessing((64, 48), (64, 48))),
        ({"input_px": 64}, None, Preprocessing((64, 64), 64)),
        ({"input_px": (64, 48), "resize_px": 72}, None, Preprocessing((64, 48), 72)),
        ({"input_px": (64, 48), "resize_px": (64, 48)}, None, Preprocessing((64, 48), (64, 48), framing="squash")),
        ({"input_px": 112}, Preprocessing((224, 224), 256), Preprocessing((112, 112), 128)),
        ({"input_px": (112, 56)}, Preprocessing((224, 224), 256), Preprocessing((112, 56), (128, 64))),
        ({"input_px": 112}, Preprocessing((224, 224), (224, 224), framing="squash"),
         Preprocessing((112, 112), (112, 112), framing="squash")),
    ],
    ids=["rectangle", "square", "shorter-side", "squashed", "own-crop", "own-crop-of-a-rectangle", "own-squash"],
)  # fmt: skip
def test_settings_lie_over_the_models_own_steps(settings: dict, own: Preprocessing | None, expected: Preprocessing) -> None:
    assert preprocessing_for(ModelSettings(name="python:a:b", **settings), own) == expected


def test_a_rectangle_is_filled_from_pictures_of_any_shape() -> None:
    for shape in [(30, 90), (90, 30), (64, 48)]:
        white = np.full((*shape, 3), 255, np.uint8)
        framed = whole_picture((64, 48)).framed(white)
        assert framed.shape == (64, 48, 3) and framed.min() == 255, "no border"


@pytest.mark.parametrize("resize_px", [60, (64, 40)])
def test_a_picture_must_not_become_smaller_than_the_input(resize_px: Any) -> None:
    with pytest.raises(WrongUse, match="smaller than the input"):
        preprocessing_for(ModelSettings(name="python:a:b", input_px=(64, 48), resize_px=resize_px), None)
