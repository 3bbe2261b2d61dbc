"""The weights of a first layer as pictures: whose make some, in which shape, and under which names."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.models import load_classifier
from pipeline.models.layers import first_filters
from pipeline.settings import ModelSettings

TEN = tuple("abcdefghij")


def filters_of(name, defence="", **arguments):
    classifier = load_classifier(ModelSettings(name=name, arguments=arguments, defence=defence))
    return classifier, classifier.first_filters()


@pytest.mark.parametrize(
    ("name", "arguments", "n_units", "shape"),
    [
        ("network:softmax", {}, 10, (1, 28, 28)),
        ("network:softmax", {"n_channels": 3}, 10, (3, 28, 28)),
        ("network:logistic", {}, 1, (1, 28, 28)),
        ("network:fc100-100-10", {}, 100, (1, 28, 28)),
        ("network:maxout", {"units": 30}, 150, (1, 28, 28)),
        ("network:carlini-mnist", {}, 32, (1, 3, 3)),
        ("network:resnet8", {}, 16, (3, 3, 3)),
        ("builtin:signs", {}, None, (3, 3, 3)),
    ],
)
def test_units_of_the_first_layer_are_its_weights_in_the_shape_of_its_input_a_hundred_at_most(name, arguments, n_units, shape):
    classifier, found = filters_of(name, **arguments)
    weights = next(parameter for parameter in classifier.trainable().parameters() if parameter.ndim > 1).detach()
    assert len(found) == min(100, len(weights)) and {unit.n_units for unit in found} == {n_units or len(weights)}
    assert {unit.shape for unit in found} == {shape} and [unit.number for unit in found] == list(range(len(found)))
    by_hand = weights[: len(found)].flatten(1).numpy()
    assert np.allclose([unit.weights for unit in found], by_hand, rtol=0, atol=1e-7)


def test_units_of_a_linear_network_are_named_by_their_classes_and_others_not():
    classifier, found = filters_of("network:softmax")
    assert tuple(unit.name for unit in found) == classifier.class_names
    assert first_filters(nn.Sequential(nn.Flatten(), nn.Linear(16, 1)), (1, 4, 4), ("no", "yes"))[0].name == "yes against no"
    assert {unit.name for unit in filters_of("network:fc100-100-10")[1]} == {""}


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(1, 4, 1), nn.Flatten(), nn.Linear(64, 10)),
        nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 10)),
        nn.Sequential(nn.Flatten()),
    ],
    ids=["1 x 1", "smaller than the input", "no weights"],
)
def test_weights_that_are_no_picture_of_the_input_are_not_shown(network):
    assert first_filters(network, (1, 4, 4), TEN) == ()


def test_a_fully_connected_layer_of_more_than_64_pixels_is_not_shown():
    shown = [first_filters(nn.Linear(side**2, 10), (1, side, side), TEN) for side in (64, 65)]
    assert [bool(found) for found in shown] == [True, False]


def test_behind_a_defence_the_first_layer_is_the_networks():
    torch.manual_seed(0)
    assert filters_of("network:softmax", "jpeg")[1] == filters_of("network:softmax")[1]
