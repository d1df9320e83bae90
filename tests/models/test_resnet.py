"""Residual blocks compute what the paper's figure 5 draws."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.errors import ModelError
from striate.models.resnet import (
    BasicBlock,
    Block,
    Bottleneck,
    Bottleneck2015,
    Option,
    PadShortcut,
    PlainBlock,
    ResNet,
    projection,
    resnet18,
    resnet20,
    resnet34,
    resnet50,
)
from striate.training.step import drawing


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


# ---- variants ------------------------------------------------------------------------------------------


def test_the_channels_that_option_a_adds_come_to_life() -> None:
    torch.manual_seed(0)
    network = resnet20(classes=2).train()
    rule = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):  # a closed block lets its own gain move first, and then what is before it
        rule.zero_grad()
        network(torch.randn(8, 3, 32, 32)).square().mean().backward()
        rule.step()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.flatten(1 if parameter.dim() > 1 else 0).abs().sum(-1).ne(0).all(), name


@pytest.mark.parametrize("stride", [1, 2])
def test_the_bottleneck_of_2015_strides_on_its_first_1x1(x: Tensor, stride: int) -> None:
    shortcut = projection(8, 16, stride)
    block = opened(Bottleneck2015(8, 4, stride, shortcut))
    y = F.relu(convolved(x, block, 1, stride=stride))
    y = F.relu(convolved(y, block, 2))
    torch.testing.assert_close(block(x), F.relu(convolved(y, block, 3) + shortcut(x)))


def test_a_plain_block_is_its_two_convolutions_and_starts_open(x: Tensor) -> None:
    block = PlainBlock(8, 16, 2, None)
    assert all(norm.weight.eq(1).all() for norm in (block.bn1, block.bn2))
    opened(block)
    torch.testing.assert_close(
        block(x), F.relu(convolved(F.relu(convolved(x, block, 1, stride=2)), block, 2))
    )


@pytest.mark.parametrize("builder", [resnet18, resnet20])
def test_a_plain_net_is_option_a_without_its_shortcuts(builder: Callable[..., nn.Module]) -> None:
    with torch.device("meta"):
        plain, residual = builder(shortcut=None), builder(shortcut="A")
    assert {name: p.shape for name, p in plain.state_dict().items()} == {
        name: p.shape for name, p in residual.state_dict().items()
    }
    assert not any(isinstance(module, PadShortcut) for module in plain.modules())
    assert sum(isinstance(module, PadShortcut) for module in residual.modules()) == (
        3 if builder is resnet18 else 2
    )


@pytest.mark.parametrize(("shortcut", "projections"), [("A", 0), ("B", 3), ("C", 16)])
def test_options_differ_in_their_projections(shortcut: Option, projections: int) -> None:
    with torch.device("meta"):
        model = resnet34(shortcut=shortcut)
    assert sum(isinstance(block.downsample, nn.Sequential) for block in blocks(model)) == projections


def test_a_cifar_net_has_6n_and_2_layers() -> None:
    with torch.device("meta"):
        assert len(blocks(resnet20(depth=56))) == 27
    for depth in (2, 21):
        with pytest.raises(ModelError, match=f"6n \\+ 2 layers. Received: depth={depth}"):
            resnet20(depth=depth)


def test_the_small_stem_keeps_maps_large_and_its_projections() -> None:
    with torch.device("meta"):
        model = resnet18(small=True)
        sizes: list[int] = []
        model.get_submodule("layer1").register_forward_hook(lambda _m, _i, y: sizes.append(y.shape[-1]))
        model(torch.empty(2, 3, 32, 32))
    assert sizes == [32]
    assert sum(isinstance(block.downsample, nn.Sequential) for block in blocks(model)) == 3


# ---- stochastic depth ----------------------------------------------------------------------------------


def blocks(model: nn.Module) -> list[Block]:
    return [module for module in model.modules() if isinstance(module, Block)]


def test_survival_falls_evenly_to_that_of_the_last_block() -> None:
    with torch.device("meta"):
        survival = [block.survival for block in blocks(resnet20(depth=110, survival=0.5))]
    assert survival == pytest.approx([1 - number / 54 * 0.5 for number in range(1, 55)])
    assert survival[-1] == 0.5
    assert all(block.survival == 1 for block in blocks(resnet20()))


def test_a_dropped_branch_leaves_the_shortcut_and_gets_no_gradient(x: Tensor) -> None:
    shortcut = projection(8, 16, 2)
    block = BasicBlock(8, 16, 2, shortcut, 0.0)  # never survives
    nn.init.ones_(block.bn2.weight)
    y = block(x)
    assert torch.equal(y, F.relu(shortcut(x)))
    y.sum().backward()
    assert block.conv1.weight.grad is None
    assert all(p.grad is not None for p in shortcut.parameters())


def test_in_training_a_branch_is_there_whole_or_not_at_all_as_often_as_it_survives(x: Tensor) -> None:
    torch.manual_seed(0)
    block = BasicBlock(8, 8, 1, None, 0.7)
    nn.init.ones_(block.bn2.weight)
    whole = F.relu(block.branch(x) + x)
    there = 0
    for _ in range(300):
        y = block(x)
        is_whole = torch.allclose(y, whole)
        assert is_whole or torch.equal(y, F.relu(x))
        there += is_whole
    assert abs(there / 300 - 0.7) < 4 * (0.7 * 0.3 / 300) ** 0.5


def test_in_evaluation_a_branch_counts_as_much_as_it_did_on_average(x: Tensor) -> None:
    block = BasicBlock(8, 8, 1, None, 0.7)
    opened(block)
    torch.testing.assert_close(block(x), F.relu(0.7 * block.branch(x) + x))


def test_what_is_dropped_follows_from_the_step() -> None:
    torch.manual_seed(0)
    model = resnet20(classes=2, depth=20, survival=0.5)
    for block in blocks(model):
        nn.init.ones_(block.get_submodule("bn2").get_parameter("weight"))
    x = torch.randn(2, 3, 8, 8)

    def outputs(step: int) -> Tensor:
        with drawing(0, step):
            y: Tensor = model(x)
        return y

    assert torch.equal(outputs(3), outputs(3))
    assert len({outputs(step)[0, 0].item() for step in range(8)}) > 4
