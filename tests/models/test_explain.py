"""Maps of what a model looks at: closed forms on toy networks, Captum as the independent implementation, and no trace left."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from kept_files import read_json, read_table
from torch import nn
from torch.nn import functional

from pipeline.cli import main
from pipeline.core.errors import WrongUse
from pipeline.core.seeds import generator_for
from pipeline.core.torchvision_import import import_torchvision
from pipeline.engine import Context
from pipeline.evaluation.examples import Examples
from pipeline.images import read_image, read_png, to_model
from pipeline.models import load_classifier
from pipeline.models.explaining import (
    OCCLUSION_BATCH,
    default_sizes,
    explained,
    fill_pictures,
    gradcam_maps,
    how_for,
    occlusion_maps,
)
from pipeline.models.layers import last_map_layer
from pipeline.models.preprocessing import Preprocessing
from pipeline.models.torch_models import TorchClassifier
from pipeline.records import Pair, Prediction
from pipeline.report.explanations import explanations_section, heat_picture, scale_of
from pipeline.settings import ExplainSettings, ModelSettings
from pipeline.settings.reading import load_experiment
from pipeline.stages.explain import read_explanations
from pipeline.stages.graph import run_stage, status
from pipeline.store import Run

TOLERANCE = 1e-4
SIZE = (12, 12)
CONTEXT = Context()


def toy(module: nn.Module, size: tuple[int, int] = SIZE) -> TorchClassifier:
    torch.manual_seed(0)
    for weights in module.parameters():
        nn.init.normal_(weights)
    return TorchClassifier(module, ModelSettings(name="python:toy:net"), Preprocessing(size, min(size)), "cpu")


def pictures(n: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(1)).integers(0, 256, (n, *size, 3)).astype(np.uint8)


def linear(size: tuple[int, int] = SIZE) -> TorchClassifier:
    return toy(nn.Sequential(nn.Flatten(), nn.Linear(3 * size[0] * size[1], 4)), size)


class Pooled(nn.Module):
    """Convolution, global average, linear: the network whose class activation map Zhou et al. 2016 define."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.relu(self.conv(x)).mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def signs():
    return load_classifier(ModelSettings(), "cpu")


@pytest.fixture(scope="module")
def sign_pictures(finished):
    folder = finished / "printouts/small/images"
    return np.stack([read_png(path) for path in sorted(folder.glob("*/*.png"))[:3]])


@pytest.mark.parametrize("value", ["mean", "random", "grey", "black"])
@pytest.mark.parametrize(("size", "patch", "stride"), [((12, 12), 4, 2), ((12, 12), 5, 3), ((9, 14), 4, 4), ((12, 12), 12, 1)])
def test_occlusion_of_a_linear_model_is_the_patches_own_part_of_the_score(size, patch, stride, value):
    """By hand: a patch P costs sum over P of w (x - value); a pixel has the mean over the patches that it lies in."""
    model, pixels = linear(size), pictures(2, size)
    x = to_model(pixels)
    labels = torch.tensor([1, 3])
    fills = fill_pictures(x, value, [generator_for(0, "explain", "a") for _ in x])
    found = occlusion_maps(model.logits, x, labels, fills, patch, stride).numpy()
    weights = dict(model._module.named_parameters())["1.weight"].reshape(4, 3, *size).double().numpy()
    for image, fill, label, map_ in zip(x.double().numpy(), fills.double().numpy(), labels, found, strict=True):
        part = (weights[label] * (image - fill)).sum(0)
        total, count = np.zeros(size), np.zeros(size)
        top = 0
        while top == 0 or top - stride + patch < size[0]:
            left = 0
            while left == 0 or left - stride + patch < size[1]:
                total[top : top + patch, left : left + patch] += part[top : top + patch, left : left + patch].sum()
                count[top : top + patch, left : left + patch] += 1
                left += stride
            top += stride
        assert count.min() >= 1
        np.testing.assert_allclose(map_, total / count, atol=TOLERANCE)


def test_fills_are_what_their_names_say():
    x = to_model(pictures(2))
    assert torch.allclose(fill_pictures(x, "mean")[1, 2], x[1, 2].mean())
    assert (fill_pictures(x, "grey") == 0.5).all() and (fill_pictures(x, "black") == 0).all()
    one, other = fill_pictures(x, "random", [generator_for(0, "explain", "a") for _ in x])
    assert torch.equal(one, other), "images to be compared are covered by the same noise"
    (seeded,) = fill_pictures(x[:1], "random", [generator_for(1, "explain", "a")])
    assert not torch.equal(seeded, one) and 0.45 < one.mean() < 0.55 and one.std() > 0.25


def test_gradcam_of_a_pooled_network_is_its_class_activation_map():
    model = toy(Pooled())
    x, labels = to_model(pictures(6)), torch.tensor([0, 1, 2, 3, 0, 1])
    with torch.no_grad():
        activations = functional.relu(model._module.conv(x))
        cam = torch.einsum("nkhw,nk->nhw", activations, model._module.head.weight[labels]) / activations[0, 0].numel()
    wanted = functional.interpolate(cam.relu()[:, None], SIZE, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(gradcam_maps(model, x, labels, "relu"), wanted, atol=TOLERANCE, rtol=0)
    assert wanted.amax(dim=(1, 2)).count_nonzero() >= 3


def test_a_layer_before_an_in_place_function_is_seen_as_it_was():
    model = toy(Pooled())
    x = to_model(pictures(1))
    found = model.layer_response(x, torch.tensor([0]), "conv").activations
    with torch.no_grad():
        torch.testing.assert_close(found, model._module.conv(x))
    assert found.min() < 0


@pytest.mark.parametrize("value", ["mean", "random", "grey", "black"])
@pytest.mark.parametrize(("patch", "stride"), [(32, 20), (40, 40)])
@pytest.mark.slow  # the peer takes half a minute to load
def test_occlusion_of_the_built_in_network_is_captums(signs, sign_pictures, patch, stride, value):
    captum = pytest.importorskip("captum.attr")
    x = to_model(sign_pictures)
    labels = signs.logits(x).argmax(1)
    fills = fill_pictures(x, value, [generator_for(0, "explain", "a") for _ in x]).contiguous()
    wanted = captum.Occlusion(signs.logits).attribute(x, (3, patch, patch), (3, stride, stride), fills, labels)[:, 0]
    for logits in (signs.logits, signs.for_attacks()):
        found = occlusion_maps(logits, x, labels, fills, patch, stride)
        torch.testing.assert_close(found, wanted, atol=TOLERANCE, rtol=0)
    assert wanted.abs().max() > 1


@pytest.mark.parametrize("layer", ["features", "features.1", "features.2.main.1", "features.3.shortcut", "features.0.0"])
@pytest.mark.slow  # the peer takes half a minute to load
def test_gradcam_of_the_built_in_network_is_captums(signs, sign_pictures, layer):
    captum = pytest.importorskip("captum.attr")
    x = to_model(sign_pictures)
    labels = signs.logits(x).argmax(1)
    small = captum.LayerGradCam(signs.logits, signs._module.get_submodule(layer)).attribute(x, labels, relu_attributions=True)
    wanted = captum.LayerAttribution.interpolate(small, signs.input_size, "bilinear")[:, 0].detach()
    torch.testing.assert_close(gradcam_maps(signs, x, labels, layer), wanted, atol=TOLERANCE, rtol=0)
    assert wanted.max() > 0


class Tokens(nn.Module):
    """A class token and 3 x 3 patches that one attention mixes; the class token is read out."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.norm = nn.LayerNorm(8)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = torch.cat([self.token.expand(len(x), -1, -1), self.cut(x).flatten(2).transpose(1, 2)], dim=1)
        tokens = self.norm(tokens)
        return self.head((tokens + self.mix(tokens, tokens, tokens)[0])[:, 0])


def test_a_transformer_is_explained_at_a_named_layer_of_tokens_and_not_by_default():
    model = toy(Tokens())
    x, labels = to_model(pictures(2)), torch.tensor([2, 0])
    found = model.layer_response(x, labels, "norm")
    weighted = found.activations[:, 1:] @ found.gradients[:, 1:].mean(1)[..., None]
    wanted = functional.interpolate(weighted.reshape(2, 1, 3, 3).relu(), SIZE, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(gradcam_maps(model, x, labels, "norm"), wanted, atol=TOLERANCE, rtol=0)
    how, notes = how_for(model, ExplainSettings())
    assert how.methods == ("occlusion",) and "name a layer" in notes[0]
    assert how_for(model, ExplainSettings(layer="norm"))[0].methods == ("occlusion", "gradcam")
    with pytest.raises(WrongUse, match="name a layer"):
        how_for(model, ExplainSettings(methods=("gradcam",)))


class Blocks(nn.Module):
    """Two blocks of attention over a class token, registers and patches; the class token is read out."""

    def __init__(self, n_registers: int = 0) -> None:
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 4, stride=4)
        self.spare = nn.Parameter(torch.zeros(1, 1 + n_registers, 8))
        self.norms = nn.ModuleList([nn.LayerNorm(8), nn.LayerNorm(8)])
        self.mixes = nn.ModuleList([nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2)])
        self.after, self.head = nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = torch.cat([self.spare.expand(len(x), -1, -1), self.cut(x).flatten(2).transpose(1, 2)], dim=1)
        for norm, mix in zip(self.norms, self.mixes, strict=True):
            seen = norm(tokens)
            tokens = tokens + mix(seen, seen, seen)[0]
        return self.head(self.after(tokens)[:, 0])


@pytest.mark.parametrize("layer", ["after", "head"], ids=["class token alone", "after the pooling"])
def test_a_layer_that_has_no_gradient_by_construction_is_refused_and_one_that_can_be_asked_is_named(layer):
    """Behind the last attention the score depends on the class token alone: an empty map there says nothing about the class."""
    model = toy(Blocks())
    with pytest.raises(WrongUse, match=r"cannot be asked|gives 4") as raised:
        how_for(model, ExplainSettings(layer=layer))
    assert 'explain.layer = "norms.1"' in str(raised.value)
    assert how_for(model, ExplainSettings(layer="norms.1"))[0].layer == "norms.1"
    _, notes = how_for(model, ExplainSettings())
    assert 'explain.layer = "norms.1"' in notes[0]
    assert gradcam_maps(model, to_model(pictures(4)), torch.arange(4), "norms.1").any()


@pytest.mark.parametrize(("size", "n_registers"), [((12, 12), 4), ((16, 8), 0), ((8, 16), 2)])
def test_tokens_are_read_as_a_map_of_the_image_whatever_its_shape_and_its_registers(size, n_registers):
    model = toy(Blocks(n_registers), size)
    x, labels = to_model(pictures(2, size)), torch.tensor([2, 0])
    found = model.layer_response(x, labels, "norms.1")
    n_spare, grid = 1 + n_registers, (size[0] // 4, size[1] // 4)
    weighted = found.activations[:, n_spare:] @ found.gradients[:, n_spare:].mean(1)[..., None]
    wanted = functional.interpolate(weighted.reshape(2, 1, *grid).relu(), size, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(gradcam_maps(model, x, labels, "norms.1"), wanted, atol=TOLERANCE, rtol=0)


class ChannelsLast(Pooled):
    """As Swin's: (height, width, channels) between the blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.LayerNorm(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.last(self.conv(x).permute(0, 2, 3, 1)).mean(dim=(1, 2)))


def test_a_map_with_its_channels_last_is_read_too():
    model = toy(ChannelsLast())
    x, labels = to_model(pictures(2)), torch.tensor([1, 3])
    with torch.no_grad():
        seen = model._module.last(model._module.conv(x).permute(0, 2, 3, 1))
        cam = torch.einsum("nhwk,nk->nhw", seen, model._module.head.weight[labels]) / seen[0, ..., 0].numel()
    wanted = functional.interpolate(cam.relu()[:, None], SIZE, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(gradcam_maps(model, x, labels, "last"), wanted, atol=TOLERANCE, rtol=0)


class Detached(Pooled):
    """Its last convolution looks at what the scores do not follow."""

    def __init__(self) -> None:
        super().__init__()
        self.side = nn.Conv2d(5, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.relu(self.conv(x))
        return self.head(seen.mean(dim=(2, 3))) + self.side(seen.detach()).detach().mean(dim=(2, 3))


def test_a_default_layer_that_cannot_be_asked_gives_way_to_one_that_can():
    assert how_for(toy(Detached()), ExplainSettings())[0].layer == "relu"


FAMILIES = {
    "resnet18": "layer4",
    "mobilenet_v2": "features",
    "squeezenet1_1": "classifier.2",
    "densenet121": "features",
    "shufflenet_v2_x0_5": "conv5",
    "regnet_y_400mf": "trunk_output",
    "convnext_tiny": "features",
    "swin_t": "",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_default_layer_is_the_last_map_of_a_convolution(name):
    network = import_torchvision().models.get_model(name, weights=None).eval()
    assert last_map_layer(network, lambda: network(torch.zeros(1, 3, 64, 64))) == FAMILIES[name]
    assert not any(part._forward_hooks for part in network.modules())


def test_the_relu_before_the_last_pooling_stands_for_a_vgg():
    parts = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    network = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    assert last_map_layer(network, lambda: network(torch.zeros(1, 3, 16, 16))) == "4"


def state(model: TorchClassifier) -> tuple:
    parts = [
        (part.training, len(part._forward_hooks), len(part._forward_pre_hooks), len(part._backward_hooks))
        for part in model._module.modules()
    ]
    weights = [(weight.requires_grad, weight.grad is None, weight.sum().item()) for weight in model._module.parameters()]
    return parts, weights, torch.get_rng_state().tolist(), torch.is_grad_enabled()


@pytest.mark.parametrize("layer", ["", "head"], ids=["done", "failed"])
def test_explaining_leaves_no_trace_on_the_model(layer):
    model, pixels = toy(Pooled()), pictures(3)
    model._module.conv.weight.requires_grad_(True)
    before, kept = state(model), pixels.copy()
    if layer:
        with pytest.raises(WrongUse):
            how_for(model, ExplainSettings(layer=layer))
    else:
        how, _ = how_for(model, ExplainSettings(patch_value="random"))
        explained(model, pixels, 1, how, lambda: generator_for(0, "explain", "a"))
    assert state(model) == before and (pixels == kept).all()


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU()
        self.spare, self.head = nn.Conv2d(3, 4, 1), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.second(self.act(self.first(x)))).mean(dim=(2, 3)))


def test_an_activation_that_serves_the_whole_network_is_passed_over():
    network = Shared()
    assert last_map_layer(network, lambda: network(torch.zeros(1, 3, 16, 16))) == "second"


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("secand", 'no layer "secand".*"second"'),
        ("x", 'Known: .*"first"'),
        ("act", "runs 2 times"),
        ("spare", "runs 0 times"),
        ("head", r"gives 3 for one image"),
    ],
    ids=["misspelt", "unlike-any", "shared", "unused", "no-map"],
)
def test_a_layer_that_cannot_be_explained_is_refused_with_the_reason(layer, words):
    with pytest.raises(WrongUse, match=words):
        how_for(toy(Shared()), ExplainSettings(layer=layer))


def test_a_model_without_layers_is_explained_by_occlusion_alone(signs):
    class Closed:
        """As an ONNX model: predictions only."""

        layer_names, last_map_layer, layer_response = (
            getattr(type(signs).__mro__[1], name) for name in ("layer_names", "last_map_layer", "layer_response")
        )
        name, input_size, device = "onnx:a.onnx", signs.input_size, signs.device

    how, notes = how_for(Closed(), ExplainSettings())
    assert how.methods == ("occlusion",) and "shows no layers" in notes[0]
    for settings in (ExplainSettings(methods=("gradcam",)), ExplainSettings(layer="conv")):
        with pytest.raises(WrongUse, match="shows no layers"):
            how_for(Closed(), settings)


def test_a_map_has_the_same_bits_alone_and_among_others(signs, sign_pictures):
    how, _ = how_for(signs, ExplainSettings(patch_px=40, stride_px=40, patch_value="random"))

    def maps(pixels):
        return explained(signs, pixels, 2, how, lambda: generator_for(0, "explain", "a"))

    together = maps(sign_pictures)
    for place, pixels in enumerate(sign_pictures):
        alone = maps(pixels[None])
        assert alone.logits[0] == together.logits[place] and alone.probabilities[0] == together.probabilities[place]
        for method in how.methods:
            assert np.array_equal(alone.maps[method][0], together.maps[method][place]), method


def test_every_batch_has_one_size():
    model, sizes = linear(), []

    def counted(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return model.logits(x)

    x = to_model(pictures(2))
    occlusion_maps(counted, x, torch.tensor([0, 1]), fill_pictures(x, "grey"), 4, 4)
    assert sizes == [OCCLUSION_BATCH, OCCLUSION_BATCH], "2 x (1 + 9) pictures, filled up"


@pytest.mark.parametrize(
    ("size", "asked", "wanted"),
    [((224, 224), (0, 0), (32, 16)), ((112, 112), (0, 0), (16, 8)), ((32, 32), (0, 0), (5, 2)), ((3, 9), (0, 0), (1, 1)),
     ((224, 224), (20, 0), (20, 10)), ((224, 224), (20, 7), (20, 7))],
)  # fmt: skip
def test_the_patch_is_a_share_of_the_input(size, asked, wanted):
    assert default_sizes(*size, *asked) == wanted


@pytest.mark.parametrize(("asked", "words"), [((300, 0), "larger than the image"), ((20, 30), "steps over pixels")])
def test_a_patch_that_does_not_fit_is_refused(asked, words):
    with pytest.raises(WrongUse, match=words):
        default_sizes(224, 224, *asked)


def test_a_map_is_drawn_on_the_scale_that_it_is_given():
    white = np.full((2, 2, 3), 255, np.uint8)
    maps = np.array([[[0.0, 1.0], [-1.0, 2.0]], [[0.0, 4.0], [0.0, 0.0]]])
    scale = scale_of(maps)
    drawn = heat_picture(white, maps[0], "occlusion", scale).astype(int)
    assert scale == 4 and scale_of(np.zeros((1, 2, 2))) > 0
    assert drawn[0, 0].min() > 235, "nothing is nearly white"
    assert drawn[0, 1, 0] > drawn[0, 1, 2] and drawn[1, 0, 2] > drawn[1, 0, 0], "orange for, purple against"
    assert drawn[1, 1].sum() < drawn[0, 1].sum() < drawn[0, 0].sum()
    assert not np.array_equal(heat_picture(white, maps[0], "occlusion", 2.0), drawn)
    assert heat_picture(np.zeros_like(white), maps[0], "gradcam", scale).max() < drawn.max()


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """A private copy of the finished run, to change."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def ran(workspace: Path, *overrides: str, force: bool = False) -> dict:
    experiment = load_experiment(workspace / "small.toml", tuple(f"explain.{override}" for override in overrides))
    run_stage("explain", experiment, Run(workspace, "small"), CONTEXT, force)
    return read_json(workspace / "reports/small/explain/explain.json")


def files(workspace: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (workspace / "reports/small/explain").iterdir()}


def test_the_stage_explains_the_same_class_in_all_pictures_of_a_pair(finished):
    run = Run(finished, "small")
    pairs = {pair.pair_id: pair for pair in read_table(run.printouts / "pairs.parquet", Pair)}
    predictions = {row.view_id: row for row in read_table(run.reports / "predictions.parquet", Prediction)}
    kept = read_json(run.reports / "explain/explain.json")
    maps = np.load(run.reports / "explain/maps.npz")
    assert kept["how"]["layer"] == "features" and len({row["pair_id"] for row in kept["views"]}) == 4
    for row in kept["views"]:
        judged = predictions[row["view_id"]]
        assert row["explained_label"] == pairs[row["pair_id"]].true_label == judged.true_label
        assert row["probability"] == judged.true_probability and row["predicted_label"] == judged.labels[0]
        for method in ("occlusion", "gradcam"):
            assert maps[f"{row['pair_id']}/{row['variant']}/{method}"].shape == (112, 112)
            picture = read_png(run.reports / "explain" / f"{row['pair_id'].replace('/', '-')}-{row['variant']}-{method}.png")
            assert picture.shape == (112, 112, 3)
    assert {row["variant"] for row in kept["views"]} == {"clean", "adversarial", "photo"}


def test_each_explained_attack_works_as_a_file(finished):
    kept = read_json(finished / "reports/small/explain/explain.json")
    rows = {(row["pair_id"], row["variant"]): row for row in kept["views"]}
    for pair_id in {row["pair_id"] for row in kept["views"]}:
        clean, adversarial = rows[pair_id, "clean"], rows[pair_id, "adversarial"]
        assert clean["predicted_label"] == clean["explained_label"] != adversarial["predicted_label"]


KNOBS = [
    "patch_px=40",
    "stride_px=16",
    "patch_value=random",
    "patch_value=black",
    'layer="features.1"',
    "target=predicted",
    "target=stop",
]


@pytest.mark.parametrize("knob", KNOBS)
@pytest.mark.slow
def test_every_setting_changes_the_maps(copy, knob):
    before = ran(copy, "n_images=1", "stride_px=8"), np.load(copy / "reports/small/explain/maps.npz")
    after = ran(copy, "n_images=1", *([] if "stride" in knob or "patch_px" in knob else ["stride_px=8"]), knob)
    maps = np.load(copy / "reports/small/explain/maps.npz")
    assert list(maps) == list(before[1]) and before[0] != after
    changed = {name.rsplit("/", 1)[1] for name in maps if not np.array_equal(maps[name], before[1][name])}
    assert changed == (
        {"gradcam"} if "layer" in knob else {"occlusion"} if "patch" in knob or "stride" in knob else {"occlusion", "gradcam"}
    )


def test_what_is_asked_for_by_name_is_explained(copy):
    image_id = read_table(copy / "printouts/small/pairs.parquet", Pair)[-1].image_id
    one = ran(copy, f'images=["illc-eps8/{image_id}"]', 'methods=["gradcam"]')
    assert {row["pair_id"] for row in one["views"]} == {f"illc-eps8/{image_id}"} and one["how"]["methods"] == ["gradcam"]
    assert all("gradcam" in name for name in files(copy) if name.endswith(".png"))
    by_image = ran(copy, f'images=["{image_id}", "illc-eps8/{image_id}"]', 'methods=["gradcam"]')
    assert {row["pair_id"].split("/")[1] for row in by_image["views"]} == {image_id}
    for override, words in ((f'images=["{image_id}x"]', image_id), ("target=stopp", 'mean "stop"'), ('target="99"', "beyond")):
        with pytest.raises(WrongUse, match=words):
            ran(copy, override)


@pytest.mark.slow
def test_a_second_run_has_the_same_bytes_and_computes_nothing_again(copy, monkeypatch):
    before = files(copy)
    ran(copy, force=True)
    assert files(copy) == before
    monkeypatch.setattr("pipeline.stages.explain.explained", lambda *_: pytest.fail("computed again"))
    assert len(ran(copy, "n_images=2")["views"]) < len(json.loads(before["explain.json"])["views"])
    assert set(files(copy)) < set(before)


def test_no_images_leave_the_section_out(copy):
    assert ran(copy, "n_images=0") == {"how": None, "target": "true", "views": []}
    assert set(files(copy)) == {"explain.json"}
    run = Run(copy, "small")
    assert read_explanations(run, [], Examples(run), []) is None
    assert explanations_section(SimpleNamespace(explanations=None)) == ()


def test_the_report_shows_every_pair_with_its_scores_and_one_scale_a_method(finished):
    run = Run(finished, "small")
    names = read_json(run.printouts / "selection.json")["class_names"]
    pairs = read_table(run.printouts / "pairs.parquet", Pair)
    found = read_explanations(run, pairs, Examples(run), names)
    text, *figures = explanations_section(SimpleNamespace(explanations=found))
    assert "the true one" in text.markup and len(figures) == len(found.pairs) == 4
    for figure, pair in zip(figures, found.pairs, strict=True):
        rows = [[axes for axes in figure.plot.axes if axes.get_ylabel() == unit] for unit in ("logits", "logits per cell")]
        assert [len(bars) for bars in rows] == [1, 1]
        for method, (bar,) in zip(found.methods, rows, strict=True):
            assert bar.get_ylim()[1] == pytest.approx(max(np.abs(picture.maps[method]).max() for picture in pair.pictures))
        beneath = " ".join(axes.get_xlabel() for axes in figure.plot.axes)
        for picture in pair.pictures:
            assert f"logit {picture.logit:.2f}".replace("-", "−") in beneath and f"{100 * picture.probability:.1f} %" in beneath


@pytest.mark.slow
def test_without_photographs_two_pictures_are_explained(copy):
    shutil.rmtree(copy / "captures/small/views")
    for name in ("crop", "photograph"):
        (copy / f"captures/small/.stages/{name}.json").unlink()
    assert main(["classify", str(copy / "small.toml"), "--workspace", str(copy), "--force", "--quiet"]) == 0
    kept = ran(copy, "n_images=1")
    assert [row["variant"] for row in kept["views"]] == ["clean", "adversarial"]


def test_a_changed_setting_makes_explain_and_report_stale_and_nothing_else(finished):
    experiment = load_experiment(finished / "small.toml", ("explain.patch_px=20",))
    states = {found.stage: found.state for found in status(experiment, Run(finished, "small"))}
    assert {name for name, state in states.items() if state == "stale"} == {"explain", "report"}


@pytest.mark.slow
def test_a_real_network_at_224_px_is_explained_as_by_captum(data_root):
    captum = pytest.importorskip("captum.attr")
    arguments = {"path": str(data_root / "weights/mobilenet_v2_qat.pt"), "kind": "mobilenet_v2"}
    settings = dataclasses.replace(
        ModelSettings("python:models_ref:load", python_path=str(data_root), arguments=arguments, input_px=224, resize_px=256),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    model = load_classifier(settings, "cpu")
    files = sorted((data_root / "imagenet/images").iterdir())[:2]
    x = to_model(np.stack([model.prepare(read_image(file).pixels) for file in files]))
    labels = model.logits(x).argmax(1)
    fills = fill_pictures(x, "mean").contiguous()
    wanted = captum.Occlusion(model.logits).attribute(x, (3, 32, 32), (3, 16, 16), fills, labels, perturbations_per_eval=8)[:, 0]
    torch.testing.assert_close(occlusion_maps(model.for_attacks(), x, labels, fills, 32, 16), wanted, atol=TOLERANCE, rtol=0)
    layer = model.last_map_layer()
    small = captum.LayerGradCam(model.logits, model._module.get_submodule(layer)).attribute(x, labels, relu_attributions=True)
    wanted = captum.LayerAttribution.interpolate(small, (224, 224), "bilinear")[:, 0].detach()
    torch.testing.assert_close(gradcam_maps(model, x, labels, layer), wanted, atol=TOLERANCE, rtol=0)
