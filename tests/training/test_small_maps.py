"""Convolution as a matrix product: the library's numbers, forward and both gradients; nothing left behind."""

from __future__ import annotations

import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from striate.models.resnet import resnet18
from striate.training.small_maps import MatrixConv2d, matrix_products


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 3),
    inputs=st.integers(1, 4),
    outputs=st.integers(1, 4),
    high=st.integers(1, 7),
    wide=st.integers(1, 7),
    kernel=st.sampled_from([1, 2, 3]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    bias=st.booleans(),
    last=st.booleans(),
)
def test_equals_the_library(
    n: int,
    inputs: int,
    outputs: int,
    high: int,
    wide: int,
    kernel: int,
    stride: int,
    padding: int,
    bias: bool,
    last: bool,
) -> None:
    if min(high, wide) + 2 * padding < kernel:
        return
    torch.manual_seed(n * high + wide)
    one = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias).double()
    other = copy.deepcopy(one)
    other.__class__ = MatrixConv2d
    x = torch.randn(n, inputs, high, wide, dtype=torch.float64)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    x1, x2 = x.clone().requires_grad_(), x.clone().requires_grad_()
    y1, y2 = one(x1), other(x2)
    torch.testing.assert_close(y1, y2, rtol=1e-12, atol=1e-12)
    g = torch.randn_like(y1)
    torch.autograd.backward([y1, y2], [g, g])
    torch.testing.assert_close(x1.grad, x2.grad, rtol=1e-12, atol=1e-12)
    for p1, p2 in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p1.grad, p2.grad, rtol=1e-12, atol=1e-12)


def test_only_small_maps_only_inside_and_the_same_network_after() -> None:
    model = resnet18(classes=3).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with matrix_products(model, torch.randn(4, 3, 64, 64)):
        chosen = {name for name, module in model.named_modules() if isinstance(module, MatrixConv2d)}
        assert "layer4.1.conv2" in chosen
        assert "layer3.1.conv2" in chosen  # 4x4 maps
        assert not any(name.startswith(("layer1", "layer2", "conv1")) for name in chosen)
    assert not any(isinstance(module, MatrixConv2d) for module in model.modules())
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_other_kinds_of_convolution_are_left_alone() -> None:
    class Own(nn.Conv2d):
        pass

    kinds = [
        nn.Conv2d(128, 128, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(128, 128, 3, padding=2, dilation=2),
        nn.Conv2d(128, 128, 3, padding="same"),
        nn.Conv2d(128, 128, (1, 3), padding=(0, 1)),
        Own(128, 128, 3, padding=1),
    ]
    model = nn.Sequential(*kinds)
    with matrix_products(model, torch.randn(2, 128, 4, 4)):
        assert not any(isinstance(module, MatrixConv2d) for module in model)


def test_bfloat16_is_as_close_to_float32_as_the_librarys() -> None:
    torch.manual_seed(0)
    one = nn.Conv2d(128, 64, 3, padding=1)
    x = torch.randn(8, 128, 4, 4)
    exact = one(x)
    with torch.autocast("cpu", torch.bfloat16):
        library = one(x)
        with matrix_products(one, x):
            assert type(one) is MatrixConv2d
            ours = one(x)
    assert ours.dtype == torch.bfloat16
    assert (ours.float() - exact).norm() < 1.5 * (library.float() - exact).norm()
