"""Kernels and maps are the network's own numbers, of every kind of convolution."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.explain import feature_maps, kernels


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_kernels_are_the_weights_raw_and_signed_and_a_copy() -> None:
    conv = nn.Conv2d(3, 4, 5)
    net = nn.Sequential(conv, nn.ReLU(), nn.Conv2d(4, 6, 3, groups=2), nn.Flatten())
    found = kernels(net)
    assert list(found) == ["0", "2"]
    assert torch.equal(found["0"], conv.weight)
    assert found["2"].shape == (6, 2, 3, 3)
    found["0"].zero_()
    assert conv.weight.any()
    assert not found["2"].requires_grad


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolutions_kernels_are_those_of_its_outputs(groups: int) -> None:
    net = nn.ConvTranspose2d(4, 6, 3, groups=groups, bias=False)
    kernel = kernels(net)[""]
    assert kernel.shape == (6, 4 // groups, 3, 3)
    # A single bright pixel in channel c paints the kernel of each output that reads c.
    for c in range(4):
        x = torch.zeros(1, 4, 1, 1)
        x[0, c] = 1
        painted = net(x)[0].detach()
        group, inside = divmod(c, 4 // groups)
        outputs = slice(group * 6 // groups, (group + 1) * 6 // groups)
        assert torch.equal(painted[outputs], kernel[outputs, inside])


def test_weight_norm_and_series_have_kernels() -> None:
    normed = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 3, 5))
    torch.testing.assert_close(kernels(nn.Sequential(normed))["0"], normed.weight.detach())


def test_a_network_without_convolutions_has_no_kernels() -> None:
    assert kernels(nn.Linear(3, 2)) == {}


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x), inplace=True).mean((2, 3))


def test_the_most_active_unit_comes_first_whatever_its_sign() -> None:
    net = InPlace()
    with torch.no_grad():
        net.conv.weight.copy_(torch.tensor([1.0, -3.0, 2.0]).view(3, 1, 1, 1))
    x = torch.rand(2, 1, 4, 4) + 0.1
    maps, order = feature_maps(net, x, "conv")
    torch.testing.assert_close(maps, torch.cat([x, -3 * x, 2 * x], 1))
    assert order.tolist() == [[1, 2, 0]] * 2
