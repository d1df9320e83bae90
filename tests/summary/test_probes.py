"""Seventeen small networks with multiply-adds counted by hand (facts/methods.md); most counters miss some."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import striate


class Does(nn.Module):
    """A network whose forward pass is a function of its parts and the input."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, Tensor) else part)
        self._forward = forward

    def forward(self, x: Tensor) -> Any:
        return self._forward(self, x)


def unshared(net: Any, x: Tensor) -> Tensor:
    columns = F.unfold(x, 3)  # (N, 18, 36)
    return torch.einsum("nkp,opk->nop", columns, net.w)


def cell_by_cell(net: Any, x: Tensor) -> Tensor:
    h = c = x.new_zeros(x.shape[0], 32)
    for t in range(10):
        h, c = net.cell(x[:, t], (h, c))
    return h


def bottleneck(net: Any, x: Tensor) -> Tensor:
    y = net.a(x) + x
    return net.b(torch.cat([x, y], 1))  # type: ignore[no-any-return]


# What methods.md gives in a line each; no bias unless said.
PROBES: dict[str, tuple[nn.Module, tuple[int, ...], int]] = {
    "convolution": (nn.Conv2d(3, 8, 3, padding=1, bias=False), (3, 16, 16), 55_296),
    "with bias": (nn.Conv2d(3, 8, 3, padding=1), (3, 16, 16), 55_296),
    "with batch norm": (
        nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)),
        (3, 16, 16),
        55_296,
    ),
    "as a function": (
        Does(lambda net, x: F.conv2d(x, net.w, padding=1), w=torch.zeros(8, 3, 3, 3)),
        (3, 16, 16),
        55_296,
    ),
    "transposed": (nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False), (8, 8, 8), 32_768),
    "depthwise": (nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), (8, 16, 16), 18_432),
    "dilated 1-D": (nn.Conv1d(4, 8, 3, dilation=2, bias=False), (4, 32), 2_688),
    "used twice": (
        Does(lambda net, x: net.c(F.relu(net.c(x))), c=nn.Conv2d(4, 4, 3, padding=1, bias=False)),
        (4, 8, 8),
        18_432,
    ),
    "residual and concatenation": (
        Does(
            bottleneck,
            a=nn.Conv2d(4, 4, 3, padding=1, bias=False),
            b=nn.Conv2d(8, 4, 1, bias=False),
        ),
        (4, 8, 8),
        11_264,
    ),
    "dense on a sequence": (nn.Linear(16, 32, bias=False), (10, 16), 5_120),
    "x @ W": (Does(lambda net, x: x @ net.w, w=torch.zeros(16, 32)), (10, 16), 5_120),
    "einsum": (
        Does(lambda net, x: torch.einsum("ntc,co->nto", x, net.w), w=torch.zeros(16, 32)),
        (10, 16),
        5_120,
    ),
    "locally connected": (Does(unshared, w=torch.zeros(4, 36, 18)), (2, 8, 8), 2_592),
    "LSTM": (nn.LSTM(16, 32, batch_first=True), (10, 16), 61_440),
    "GRU": (nn.GRU(16, 32, batch_first=True), (10, 16), 46_080),
    "LSTM, cell by cell": (Does(cell_by_cell, cell=nn.LSTMCell(16, 32)), (10, 16), 61_440),
    "beside a layer that is not used": (
        Does(lambda net, x: net.c(x), c=nn.Conv2d(3, 8, 3, bias=False), idle=nn.Linear(100, 100)),
        (3, 16, 16),
        42_336,
    ),
}


@pytest.mark.parametrize("name", PROBES)
def test_counted_by_hand(name: str) -> None:
    network, shape, truth = PROBES[name]
    found = striate.inspect(network, shape)
    assert found.totals.multiply_adds == truth == sum(layer.multiply_adds for layer in found.layers)
    assert found.totals.parameters == sum(p.numel() for p in network.parameters())


def test_there_are_seventeen() -> None:
    assert len(PROBES) == 17


def test_a_layer_used_twice_has_its_parameters_once_and_says_so() -> None:
    network, shape, _ = PROBES["used twice"]
    first, _, second = striate.inspect(network, shape).layers
    assert (first.parameters, second.parameters) == (144, 0)
    assert second.shared_with == first.name != second.name


def test_what_is_not_used_is_named() -> None:
    network, shape, _ = PROBES["beside a layer that is not used"]
    assert striate.inspect(network, shape).unused == (("idle", 10_100),)


@pytest.mark.parametrize(
    "network",
    [
        Does(lambda net, x: net.w.mv(x[0]), w=torch.zeros(5, 4)),
        Does(lambda net, x: net.w.dot(x[0]) + x.sum(), w=torch.zeros(4)),
    ],
)
def test_products_with_vectors_count_though_torchs_counter_passes_over_them(network: nn.Module) -> None:
    assert striate.inspect(network, (4,)).totals.multiply_adds == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("compute", "operator"),
    [
        (lambda _, x: torch.fft.rfft(x).real, "fft"),
        (lambda _, x: torch.linalg.inv(x), "linalg"),
        (lambda _, x: torch.cdist(x, x), "cdist"),
    ],
)
def test_an_operator_without_a_rule_is_named(compute: Callable[..., Tensor], operator: str) -> None:
    found = striate.inspect(Does(compute), (4, 4))
    assert any(operator in name for layer in found.layers for name in layer.uncounted)
    assert any(operator in warning for warning in found.warnings)


@given(
    channels=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    axes=st.integers(1, 3),
    has_bias=st.booleans(),
)
def test_equals_torchs_counter(
    channels: list[int], kernel: int, stride: int, padding: int, axes: int, has_bias: bool
) -> None:
    convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    layers: list[nn.Module] = []
    for into, out in pairwise(channels):
        layers += [convolution(into, out, kernel, stride, padding, bias=has_bias), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Flatten(1), nn.LazyLinear(3))
    shape = (channels[0], *[9 + axes] * axes)
    with torch.no_grad():
        try:
            network(torch.zeros(1, *shape))  # the lazy layer learns its size
        except RuntimeError:
            return  # too small for so many windows
    network = network.to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, *shape, device="meta"))
    assert striate.inspect(network, shape).totals.multiply_adds == counter.get_total_flops() // 2


@pytest.mark.parametrize(
    "network",
    [
        nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        nn.Sequential(nn.Linear(16, 8), nn.GELU(), nn.Linear(8, 2)),
        Does(lambda _, x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])),
    ],
)
def test_equals_torchs_counter_on_attention(network: nn.Module) -> None:
    network = network.to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 10, 16, device="meta"))
    assert striate.inspect(network, (10, 16)).totals.multiply_adds == counter.get_total_flops() // 2 > 0
