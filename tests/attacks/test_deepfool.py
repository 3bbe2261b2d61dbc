"""DeepFool: the nearest plane in closed form, the authors' steps, and no more passes than needed."""

import numpy as np
import pytest
import torch

from pipeline.attacks import attack_named
from pipeline.attacks.attack import Differentiable
from pipeline.attacks.deepfool import walked
from pipeline.attacks.options import DeepFoolOptions
from pipeline.attacks.problem import Problem
from pipeline.images import to_model
from pipeline.models import load_classifier
from pipeline.settings import ModelSettings


class Linear(Differentiable):
    """Classes parted by planes; a grey image is of class 0, and `away` (k,) lies between it and the planes to the others."""

    device = torch.device("cpu")

    def __init__(self, away, px, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn((len(away) + 1, 3 * px * px), generator=generator, dtype=torch.float64)
        lengths = (self.weight[1:] - self.weight[0]).norm(dim=1)
        self.bias = -self.weight.sum(dim=1) / 2
        self.bias[1:] -= torch.as_tensor(away, dtype=torch.float64) * lengths

    def logits(self, images):
        return (images.flatten(1).double() @ self.weight.T + self.bias).float()

    def distances(self, images, labels, order):
        """From each image to the plane between its class and each class, on [0, 1]; infinite to its own."""
        found = []
        for image, label in zip(to_model(images), labels, strict=True):
            scores = image.flatten().double() @ self.weight.T + self.bias
            lengths = torch.linalg.vector_norm(self.weight - self.weight[label], ord=order, dim=1)
            found.append(((scores[label] - scores) / lengths).nan_to_num(nan=torch.inf).numpy())
        return np.stack(found)


class Bent(Differentiable):
    """A small smooth network with twelve classes that counts its passes."""

    device = torch.device("cpu")

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(8 * 25, 12)
        ).requires_grad_(False)

    def logits(self, images):
        return self.net(images)


def pictures(n, px, seed=0):
    return np.random.default_rng(seed).integers(90, 166, (n, px, px, 3), dtype=np.uint8)


def answers(network, images):
    with torch.no_grad():
        return network.logits(to_model(images)).argmax(dim=1).numpy()


def attacked(network, images, labels, targets=None, **options):
    return attack_named("deepfool", options=options).perturb(network, images, labels, [0], targets)[0]


def before_rounding(network, images, labels, targets=None, **options):
    """What the steps lead to, as real numbers in 0 to 255, and which of them fool."""
    return walked(Problem(network, images, labels, targets), DeepFoolOptions(**options))


@pytest.mark.parametrize("away", [[0.8], [0.9, 1.1, 0.8, 2, 0.85, 1]], ids=["two classes", "seven classes"])
@pytest.mark.parametrize(("norm", "order", "dual"), [("l2", 2, 2), ("linf", np.inf, 1)])
def test_on_planes_what_is_saved_lies_at_the_distance_of_the_nearest(norm, order, dual, away):
    network, images = Linear(away, 20), pictures(6, 20)
    labels = answers(network, images)
    distances = network.distances(images, labels, dual)
    found = attacked(network, images, labels, norm=norm, n_candidates=0)
    assert (answers(network, found.images) == distances.argmin(axis=1)).all()
    change = (found.images.astype(float) - images).reshape(6, -1) / 255
    length = np.linalg.norm(change, ord=order, axis=1)
    if norm == "l2":
        assert (np.abs(length / distances.min(axis=1) - 1) < 0.02).all()
    else:  # the largest change is a whole number of levels, so it is at most one level more
        assert (length >= distances.min(axis=1) * 0.999).all() and (length < distances.min(axis=1) * 1.02 + 1 / 255).all()


@pytest.mark.parametrize("overshoot", [0.02, 0.3])
def test_on_a_plane_one_step_goes_as_much_farther_as_the_overshoot_says(overshoot):
    network, images = Linear([1.0], 20), pictures(4, 20)
    labels = answers(network, images)
    pixels, fools = before_rounding(network, images, labels, overshoot=overshoot)
    length = (pixels / 255 - to_model(images)).flatten(1).norm(dim=1).numpy()
    wanted = (1 + overshoot) * (network.distances(images, labels, 2).min(axis=1) + 1e-4)
    assert fools.all() and np.allclose(length, wanted, rtol=1e-4)


def authors_steps(network, image, label, n_candidates, norm):
    """The paper's algorithm as its authors wrote it, one image and one class at a time, in double precision on [0, 1]."""
    clean = to_model(image[None]).double()
    net = network.net.double()
    order = net(clean)[0].argsort(descending=True)
    classes = [int(k) for k in order if k != label][: n_candidates - 1]
    total, at = torch.zeros_like(clean), clean.clone()
    for _ in range(50):
        at = at.detach().requires_grad_()
        scores = net(at)[0]
        gaps = (scores[label] - scores).detach()
        if int(scores.argmax()) != label:
            break
        best = (np.inf, None)
        for k in classes:
            (w,) = torch.autograd.grad(scores[k] - scores[label], at, retain_graph=True)
            length = float(w.norm() if norm == "l2" else w.abs().sum())
            if float(gaps[k] / length) < best[0]:
                best = (float(gaps[k] / length), w / length if norm == "l2" else w.sign())
        total = total + (best[0] + 1e-4) * best[1]
        at = (clean + 1.02 * total).clamp(0, 1)
    network.net.float()
    return at.detach().float()[0] * 255


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_steps_are_those_of_the_authors(norm):
    network, images = Bent(), pictures(6, 12)
    labels = answers(network, images)
    pixels, fools = before_rounding(network, images, labels, norm=norm, n_candidates=6)
    wanted = torch.stack([authors_steps(network, *pair, 6, norm) for pair in zip(images, labels, strict=True)])
    assert fools.all() and (pixels - wanted).abs().max() < 0.02


def test_classes_that_cannot_be_nearest_are_left_out_without_changing_the_result():
    network, images = Bent(), pictures(12, 12)
    labels = answers(network, images)
    every, pruned = (attacked(network, images, labels, prune=prune, n_candidates=0) for prune in (0.0, 2.0))
    assert (pruned.images == every.images).all() and (pruned.n_forward == every.n_forward).all()
    assert (pruned.n_backward < every.n_backward).all()


def test_only_candidates_are_looked_at():
    """Of two candidates the other one is the likeliest wrong class, even where another plane is nearer."""
    network, images = Linear([1.0] * 6, 20), pictures(24, 20)
    network.weight[1:] *= torch.linspace(0.5, 2, 6, dtype=torch.float64)[:, None]
    network.bias = -network.weight.sum(dim=1) / 2 - 40
    network.bias[0] = -network.weight[0].sum() / 2
    labels = answers(network, images)
    scores = network.logits(to_model(images)).numpy()
    second = scores.argsort(axis=1)[:, -2]
    nearest = network.distances(images, labels, 2).argmin(axis=1)
    assert (second != nearest).any()
    assert (answers(network, attacked(network, images, labels, n_candidates=0, prune=0.0).images) == nearest).all()
    two = attacked(network, images, labels, n_candidates=2)
    assert (answers(network, two.images) == second).mean() > (nearest == second).mean()


@pytest.mark.parametrize("n_candidates", [2, 4, 7])
def test_candidates_are_counted_with_the_true_class(n_candidates):
    """On planes there are one step and two looks, and the lattice takes as many passes forward as backward."""
    network, images = Linear([0.9, 1.1, 0.8, 2, 0.85, 1], 20), pictures(6, 20)
    found = attacked(network, images, answers(network, images), n_candidates=n_candidates, prune=0.0)
    assert (found.n_backward - found.n_forward == (n_candidates - 1) - 2).all()


def test_with_a_target_it_is_the_target_that_is_reached():
    network, images = Bent(), pictures(12, 12)
    labels = answers(network, images)
    targets = (labels + 5) % 12
    away, found = attacked(network, images, labels), attacked(network, images, labels, targets)
    assert (answers(network, found.images) == targets).all() and (found.targets == targets).all()
    lengths = [np.linalg.norm((one.images.astype(float) - images).reshape(12, -1), axis=1) for one in (away, found)]
    assert (lengths[1] >= lengths[0] * 0.99).all()


def test_fewer_steps_than_it_takes_find_less():
    network, images = Bent(), pictures(12, 12)
    labels = answers(network, images)
    targets = (labels + 5) % 12
    fooled = [int(before_rounding(network, images, labels, targets, n_steps=n)[1].sum()) for n in (1, 50)]
    assert fooled[0] < fooled[1] == 12


def test_an_image_that_is_wrong_already_stays_as_it_is():
    network, images = Bent(), pictures(6, 12)
    labels = (answers(network, images) + 1) % 12
    found = attacked(network, images, labels)
    assert (found.images == images).all() and set(found.rounding) == {"kept"}


@pytest.mark.slow
def test_on_a_real_network_what_fools_before_rounding_fools_when_saved(data_root):
    from pipeline.datasets import open_dataset
    from pipeline.settings import DatasetSettings

    network = load_classifier(
        ModelSettings(
            name=f"python:{data_root}/models_ref.py:load",
            input_px=224,
            resize_px=256,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            arguments={"path": str(data_root / "weights/mobilenet_v2_qat.pt"), "kind": "mobilenet_v2"},
        )
    )
    listed = DatasetSettings(
        name=f"csv:{data_root}/imagenet/labels.csv", root=str(data_root / "imagenet/images"), label_column="class_index"
    )
    dataset = open_dataset(listed, network.class_names, network.wordnet_ids)
    images = np.stack([network.prepare(dataset.image(k).pixels) for k in range(48)])
    labels = network.predict(images).argmax(axis=1)
    _, fools = before_rounding(network, images, labels)
    found = attacked(network, images, labels)
    saved = network.predict(found.images).argmax(axis=1) != labels
    assert fools.sum() >= 47 and saved.sum() >= 0.99 * int(fools.sum())
