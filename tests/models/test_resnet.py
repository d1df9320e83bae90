"""Residual blocks compute what the paper's figure 5 draws."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.models.resnet import BasicBlock, Bottleneck, PadShortcut, ResNet, projection, resnet50


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 8, 9, 7)


def opened(block: nn.Module) -> nn.Module:
    """Give every norm gains and statistics of its own, so that no step of a block can hide."""
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 2)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor)
    return block.eval()


def convolved(x: Tensor, block: nn.Module, number: int, *, stride: int = 1) -> Tensor:
    """Convolution and norm of a block, spelled out."""
    conv, norm = block.get_submodule(f"conv{number}"), block.get_submodule(f"bn{number}")
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    y = F.conv2d(x, conv.weight, stride=stride, padding=conv.weight.shape[-1] // 2)
    return F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_basic_block_is_figure_5_left(x: Tensor, stride: int) -> None:
    shortcut = projection(8, 16, stride)
    block = opened(BasicBlock(8, 16, stride, shortcut))
    y = F.relu(convolved(x, block, 1, stride=stride))
    torch.testing.assert_close(block(x), F.relu(convolved(y, block, 2) + shortcut(x)))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_bottleneck_is_figure_5_right_with_its_stride_on_the_3x3(x: Tensor, stride: int) -> None:
    shortcut = projection(8, 16, stride)
    block = opened(Bottleneck(8, 4, stride, shortcut))
    y = F.relu(convolved(x, block, 1))
    y = F.relu(convolved(y, block, 2, stride=stride))
    torch.testing.assert_close(block(x), F.relu(convolved(y, block, 3) + shortcut(x)))


@pytest.mark.parametrize("block", [BasicBlock(8, 8, 1, None), Bottleneck(8, 2, 1, None)])
def test_a_new_block_is_its_shortcut(block: nn.Module, x: Tensor) -> None:
    assert torch.equal(block(x), F.relu(x))


def test_a_shortcut_without_parameters_takes_every_other_pixel_and_adds_empty_maps(x: Tensor) -> None:
    y = PadShortcut(8, 11, 2)(x)
    assert torch.equal(y[:, 1:9], x[:, :, ::2, ::2])
    assert y.shape == (2, 11, 5, 4)
    assert not y[:, 0].any()
    assert not y[:, 9:].any()


def test_only_a_changed_shape_gets_a_projection() -> None:
    with torch.device("meta"):
        model = resnet50()
    projected = [name for name, module in model.named_modules() if name.endswith("downsample")]
    assert projected == [f"layer{number}.0.downsample" for number in (1, 2, 3, 4)]


def test_a_narrow_network_of_bottlenecks_learns_in_every_parameter() -> None:
    torch.manual_seed(0)
    model = ResNet(Bottleneck, (1, 2), classes=4, channels=1, width=4)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):  # the last norms start at 0 and let nothing inside a block at first
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(torch.randn(4, 1, 32, 32)), torch.arange(4)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
