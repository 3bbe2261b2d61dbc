"""A first layer that learns to reconstruct before it learns classes: against principal components, and after an interruption."""

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from pipeline.core.errors import WrongUse
from pipeline.settings.training import RecipeSettings
from pipeline.training.images import Images
from pipeline.training.loop import CHECKPOINT, Job
from pipeline.training.pretraining import AUTOENCODER, Autoencoder, pretrain
from pipeline.training.results import WEIGHTS

UNITS, SIDE = 4, 5


def job(network, folder, n_epochs=2):
    draw = torch.Generator().manual_seed(0)
    mixed = torch.rand((60, 6), generator=draw) @ (torch.rand((6, SIDE * SIDE), generator=draw) > 0.6).float()
    pixels = (255 * mixed / mixed.max()).to(torch.uint8).view(-1, 1, SIDE, SIDE)
    settings = RecipeSettings(optimiser="adam", learning_rate=0.02, n_epochs=n_epochs, batch_size=20, schedule="cosine")
    images = Images(pixels, torch.zeros(len(pixels), dtype=torch.int64))
    return Job(network, images, images.labels, None, None, settings, 3, "this", folder, lambda items, *_: items, lambda _: None)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, UNITS), nn.Sigmoid(), nn.Linear(UNITS, 3))


def test_what_four_units_give_back_is_nearer_than_three_principal_components_and_no_nearer_than_four(tmp_path):
    """A linear decoder of k units lies in k dimensions, where principal components are the best there is."""
    net = network()
    made = job(net, tmp_path)
    x = made.images.batch(torch.arange(60))[0]
    before, last = net[1].weight.detach().clone(), net[3].weight.detach().clone()
    pretrain(made, 400, lambda images: images)
    kept = torch.load(tmp_path / AUTOENCODER / CHECKPOINT, weights_only=True)["network"]
    autoencoder = Autoencoder(net[1], 0)
    autoencoder.load_state_dict(kept)
    error = float(mse_loss(autoencoder(x), x).detach())
    flat = x.flatten(1) - x.flatten(1).mean(0)
    shares = torch.linalg.svdvals(flat).square() / flat.numel()
    assert float(shares[UNITS:].sum()) <= error < float(shares[UNITS - 1 :].sum())
    assert torch.equal(net[1].weight, kept["first.weight"]) and not torch.equal(net[1].weight, before)
    assert torch.equal(net[3].weight, last), "the classes are not learnt yet"


@pytest.mark.parametrize(
    "other", [nn.Linear(9, 3), nn.Conv2d(1, 3, 3), nn.Sequential(nn.Linear(9, 4), nn.ReLU(), nn.Linear(4, 3))]
)
def test_a_first_layer_of_other_units_is_refused(other, tmp_path):
    with pytest.raises(WrongUse, match="sigmoid units"):
        pretrain(job(nn.Sequential(nn.Flatten(), other), tmp_path), 1, lambda images: images)


def test_an_interruption_while_it_reconstructs_ends_with_the_same_bytes(trained):
    tables = {"network": "fc16-3", "training": {"optimiser": "adam", "pretrain_epochs": 3, "n_epochs": 2}}
    whole, _ = trained("whole", **tables)

    def interrupt(line):
        if line.startswith("autoencoder: epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained("again", say=interrupt, **tables)
    lines = []
    again, _ = trained("again", say=lines.append, **tables)
    assert lines[0] == "autoencoder: going on after epoch 2 of 3"
    assert (whole / WEIGHTS).read_bytes() == (again / WEIGHTS).read_bytes() and not (again / AUTOENCODER).exists()
