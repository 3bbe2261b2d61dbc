"""The copy that attacks use: the same answers within the tolerance, the module left alone, nothing bent that cannot be copied."""

import pytest
import torch
from torch import nn

from pipeline.models import load_classifier
from pipeline.models.torch_models import GRADIENT_TOLERANCE, TOLERANCE, faster_copy
from pipeline.settings import ModelSettings


def network(*parts):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), *parts, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5)
    )
    for part in net:
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.5, 2)
    return net.eval().requires_grad_(False)


IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def answers(module, images=IMAGES):
    inputs = images.clone().requires_grad_()
    logits = module(inputs)
    return logits.detach(), torch.autograd.grad(logits[:, 0].sum(), inputs)[0]


def test_batch_norms_are_folded_and_nothing_else_changes():
    module = network()
    copied = faster_copy(module, IMAGES)
    assert copied is not module
    assert not any(isinstance(part, nn.BatchNorm2d) for part in copied.modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    for found, wanted, tolerance in zip(answers(copied), answers(module), (TOLERANCE, GRADIENT_TOLERANCE), strict=True):
        assert (found - wanted).norm() <= tolerance * wanted.norm()
    assert all(part.weight.is_contiguous(memory_format=torch.contiguous_format) for part in module if isinstance(part, nn.Conv2d))


class Branching(nn.Module):
    """Cannot be traced: what it does depends on the image."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, images):
        return self.inner(images) if images.mean() > 0 else self.inner(-images)


def test_what_cannot_be_traced_is_copied_without_folding():
    module = Branching().eval()
    copied = faster_copy(module, IMAGES)
    assert copied is not module and isinstance(copied, Branching)
    assert torch.allclose(answers(copied)[0], answers(module)[0], atol=1e-5)


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, images):
        return self.inner(images + torch.randn_like(images))


@pytest.mark.parametrize("kind", ["hook", "training", "no-convolution", "random"])
def test_the_module_itself_is_used_where_a_copy_could_answer_otherwise(kind):
    module = network()
    if kind == "hook":
        module[0].register_forward_hook(lambda *_: None)
    elif kind == "training":
        module.train()
    elif kind == "no-convolution":
        module = nn.Sequential(nn.Flatten(), nn.Linear(768, 4)).eval()
    else:
        module = Noisy().eval()
        state = torch.get_rng_state()
        assert faster_copy(module, IMAGES) is module
        assert torch.equal(torch.get_rng_state(), state)
    assert faster_copy(module, IMAGES) is module


def test_the_classifier_gives_attacks_its_own_logits():
    classifier = load_classifier(ModelSettings(), "cpu")
    images = torch.rand(4, 3, *classifier.input_size, generator=torch.Generator().manual_seed(2))
    found, wanted = classifier.for_attacks()(images), classifier.logits(images)
    assert (found - wanted).abs().max() <= TOLERANCE * wanted.abs().max()
    assert classifier._faster is not classifier._module


def test_an_image_has_the_same_bits_in_batches_of_4_8_and_16():
    """What lets images leave a batch without touching their neighbours; it hangs on the processor's kernels."""
    logits = load_classifier(ModelSettings(), "cpu").for_attacks()
    images = torch.rand(16, 3, 112, 112, generator=torch.Generator().manual_seed(3))
    whole, gradient = answers(logits, images)
    is_equal = True
    for size in (4, 8):
        for start in range(0, 16, size):
            part, part_gradient = answers(logits, images[start : start + size])
            assert torch.allclose(part, whole[start : start + size], atol=1e-4)
            is_equal &= torch.equal(part, whole[start : start + size])
            is_equal &= torch.equal(part_gradient, gradient[start : start + size])
    if not is_equal:
        pytest.skip("this processor's kernels give other last bits in smaller batches")
