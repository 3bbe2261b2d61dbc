"""The networks of the literature have the parts that their papers say."""

import numpy as np
import pytest
import torch

from pipeline.core.errors import InkproofError
from pipeline.models import load_classifier
from pipeline.models.networks import NETWORKS
from pipeline.settings import ModelSettings

# By hand: weights and biases of each layer.
N_PARAMETERS = {
    "softmax": 784 * 10 + 10,
    "fc10": 784 * 10 + 10,
    "fc100-100-10": 784 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10,
    "fc200-200-10": 784 * 200 + 200 + 200 * 200 + 200 + 200 * 10 + 10,
    "fc123-456-10": 784 * 123 + 123 + 123 * 456 + 456 + 456 * 10 + 10,
    "maxout": 785 * 1200 + 241 * 1200 + 241 * 10,
    "carlini-mnist": 10 * 32 + 289 * 32 + 289 * 64 + 577 * 64 + 1025 * 200 + 201 * 200 + 201 * 10,
    "carlini-cifar": 28 * 64 + 577 * 64 + 577 * 128 + 1153 * 128 + 3201 * 256 + 257 * 256 + 257 * 10,
}


def network(name, **settings):
    return load_classifier(ModelSettings(name=f"network:{name}", **settings))


@pytest.mark.parametrize("name", N_PARAMETERS)
def test_networks_have_as_many_weights_as_their_papers_say(name):
    found = network(name)
    assert sum(weight.numel() for weight in found.trainable().parameters()) == N_PARAMETERS[name]
    assert found.n_classes == 10 and found.preprocessing.n_channels == (3 if name == "carlini-cifar" else 1)


def test_a_residual_network_of_20_layers_has_20_layers():
    """One convolution, 18 in blocks, one linear layer; shortcuts that change the width are counted apart, as by He et al."""
    modules = [module for name, module in network("resnet20").trainable().named_modules() if "shortcut" not in name]
    assert sum(isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) for module in modules) == 20


def test_a_maxout_unit_is_the_largest_of_its_pieces():
    found = network("maxout", arguments={"units": 3, "pieces": 2, "layers": 1})
    x = torch.rand((4, 3, 28, 28), generator=torch.Generator().manual_seed(0))
    first, last = (part for part in found.trainable().modules() if isinstance(part, torch.nn.Linear))
    grey = np.tensordot(x.numpy(), [0.299, 0.587, 0.114], axes=(1, 0)).reshape(4, -1)
    pieces = grey @ first.weight.detach().numpy().T + first.bias.detach().numpy()
    units = pieces.reshape(4, 3, 2).max(axis=2)
    wanted = units @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    assert np.allclose(found.logits(x).detach().numpy(), wanted, atol=1e-4)


def test_a_network_starts_from_its_seed():
    one, same, other = (network("softmax", arguments={"seed": seed}).fingerprint for seed in (1, 1, 2))
    state = [network("softmax", arguments={"seed": seed}).trainable()[1].weight for seed in (1, 1, 2)]
    assert one == same != other
    assert torch.equal(state[0], state[1]) and not torch.equal(state[0], state[2])


def test_a_network_may_see_colours():
    found = network("softmax", arguments={"n_channels": 3}, input_px=32)
    assert found.preprocessing.n_channels == 3 and found.input_size == (32, 32)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("sofmax", {}, 'unknown network "sofmax".*softmax'),
        ("fc", {}, "has no size.*fc100-100-10"),
        ("resnet9", {}, "8, 14, 20"),
        ("fc100-7", {}, "last layer has 7 units, and there are 10 classes"),
        ("logistic", {"n_classes": 3}, "2 classes apart, not 3"),
        ("softmax", {"arguments": {"widht": 3}}, "unexpected keyword.*model.arguments"),
        ("carlini-mnist", {"input_px": 10}, "cannot be built.*model.input_px"),
    ],
)
def test_what_is_no_network_is_refused_with_advice(name, settings, words):
    with pytest.raises(InkproofError, match=words):
        network(name, **settings)


def test_every_network_is_listed_under_a_name_that_loads():
    for shown, _ in NETWORKS.listed():
        settings = {"n_classes": 2} if shown.endswith("logistic") else {}
        assert load_classifier(ModelSettings(name=shown, **settings)).n_classes
