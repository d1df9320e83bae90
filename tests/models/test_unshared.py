"""A locally connected layer is the convolution when its kernels are equal, and is not when they differ."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.models.convnetjs import convnetjs
from striate.models.unshared import LocallyConnected2d, unshared
from striate.ops import locally_connected, unshare


def as_own(weight: torch.Tensor) -> torch.Tensor:
    """Bring (O, C, H', W', k, k), which the operator takes, to the layer's (H' W', C k k, O)."""
    return weight.permute(2, 3, 1, 4, 5, 0).flatten(2, 4).flatten(0, 1)


@pytest.mark.parametrize(("kernel", "padding"), [(5, 2), (3, 0)])
def test_equal_kernels_make_a_convolution(kernel: int, padding: int) -> None:
    torch.manual_seed(0)
    shared = nn.Conv2d(3, 4, kernel, padding=padding).double()
    layer = LocallyConnected2d(3, 4, kernel, size=9, padding=padding).double()
    assert shared.bias is not None
    with torch.no_grad():
        layer.weight.copy_(as_own(unshare(shared.weight, (9, 9), padding=padding)))
        layer.bias.copy_(shared.bias.expand_as(layer.bias))
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    assert torch.allclose(layer(x), shared(x), atol=1e-12)


def test_kernels_of_its_own_are_the_operator_spelled_out() -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(4, 3, 6, 6, 3, 3), torch.randn(4, 6, 6)
    layer = LocallyConnected2d(3, 4, 3, size=6, padding=1)
    with torch.no_grad():
        layer.weight.copy_(as_own(weight))
        layer.bias.copy_(bias.flatten(1).T[:, None])
    x = torch.randn(2, 3, 6, 6)
    assert torch.allclose(layer(x), locally_connected(x, weight, bias, padding=1), atol=1e-5)


def test_the_whole_network_is_its_twin_when_the_kernels_are_equal() -> None:
    torch.manual_seed(0)
    twin, network = convnetjs(size=16), unshared(size=16)
    state = {name.replace("conv", "local"): tensor for name, tensor in twin.state_dict().items()}
    for name, size in (("local1", 16), ("local2", 8), ("local3", 4)):
        state[f"{name}.weight"] = as_own(unshare(state[f"{name}.weight"], (size, size), padding=2))
        state[f"{name}.bias"] = state[f"{name}.bias"].expand(size**2, 1, -1)
    network.load_state_dict(state)
    x = torch.randn(2, 3, 16, 16)
    assert torch.allclose(network(x), twin(x), atol=1e-5)


def test_what_is_learnt_in_one_place_is_known_there_only() -> None:
    layer = LocallyConnected2d(1, 1, 3, size=5, padding=1)
    x = torch.ones(1, 1, 5, 5)
    before = layer(x)
    with torch.no_grad():
        layer.weight[12] += 1  # the middle
    changed = (layer(x) != before).nonzero().tolist()
    assert changed == [[0, 0, 2, 2]]
