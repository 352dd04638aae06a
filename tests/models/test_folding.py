"""Batch norm folded into convolutions: the same answers, in fewer passes."""

import pytest
import torch
from torch import nn

from shelfvision.models.csp_nano import CspNano
from shelfvision.models.efficientnet_lite import EfficientNetLite0
from shelfvision.models.folding import folded
from shelfvision.models.layers import ConvNorm


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def lived_in(module):
    """The module in evaluation mode, with statistics as after some training."""
    for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return module.eval()


def norms(module):
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


@pytest.mark.parametrize("backbone", [lambda: CspNano("silu"), EfficientNetLite0])
def test_a_backbone_answers_the_same_without_a_single_norm(backbone):
    network = lived_in(backbone())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    quick = folded(network)
    assert len(norms(network)) > 20
    assert norms(quick) == []
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(quick(pictures), network(pictures), strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * theirs.abs().max().item())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


class Backwards(nn.Sequential):
    """Its parts in another order."""

    def forward(self, x):
        return self[0](self[1](x))


class NormAndMore(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x).relu()


@pytest.mark.parametrize(
    "module",
    [
        Backwards(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 4, 1), NormAndMore(4)),
        nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)),
    ],
)
def test_what_would_answer_otherwise_keeps_its_norm(module):
    network = lived_in(module)
    quick = folded(network)
    x = torch.randn(2, 4, 5, 5)
    assert len(norms(quick)) == 1
    assert torch.equal(quick(x), network(x))


def test_a_norm_by_the_batch_stays():
    network = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(folded(network)(x), network(x))


def test_a_norm_without_gain_and_shift_is_folded():
    network = ConvNorm(3, 8, 3)
    network.norm = nn.BatchNorm2d(8, affine=False)
    lived = network.eval()
    lived.norm.running_mean.normal_()
    x = torch.randn(2, 3, 8, 8)
    quick = folded(lived)
    assert norms(quick) == []
    assert torch.allclose(quick(x), lived(x), atol=1e-5)
