"""Residual networks: each block learns what to add to its input, so depth no longer blocks the gradient.

resnet18, 34, 50, 101, 152: ImageNet form, stem 7x7/2 and pooling, projection shortcuts (option B), 224 pixels
in the paper. Names and shapes of the weights are torchvision's, whose files load unchanged.
resnet20: CIFAR form, stem 3x3, shortcuts without parameters (option A), 32 pixels.
Source: He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition, table 1 and section 4.2.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn


class PadShortcut(nn.Module):
    """Option A: take every stride-th pixel and fill the new channels with zeros; no parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(
            x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.new // 2, self.new - self.new // 2)
        )


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Option B: a 1x1 convolution brings the input to the output's shape."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the input added to their output (paper, figure 5, left)."""

    expansion: ClassVar = 1

    def __init__(self, in_channels: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = starting_closed(nn.BatchNorm2d(width))
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.bn2(self.conv2(x))
        return F.relu(x + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """Down to a quarter of the channels, a 3x3 convolution there, up again (paper, figure 5, right).

    About as costly as a basic block of that quarter, with four times the channels between the blocks.
    The stride is on the 3x3, as in torchvision; the 2015 paper has it on the first 1x1, which never looks at
    three of four pixels and saves 0.23e9 of resnet50's 4.09e9 multiply-adds.
    """

    expansion: ClassVar = 4

    def __init__(self, in_channels: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = starting_closed(nn.BatchNorm2d(width * self.expansion))
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = self.bn3(self.conv3(x))
        return F.relu(x + shortcut, inplace=True)


def starting_closed(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """Give a block's last norm gain 0: each block starts as its shortcut (Goyal et al. 2017, section 5.1)."""
    nn.init.zeros_(norm.weight)
    return norm


class ResNet(nn.Module):
    """Stem, stages of blocks, global average pooling, one dense layer.

    blocks: how many in each stage. width: of the first stage; each later one doubles it and halves the maps.
    small: the stem and the shortcuts for pictures of 32 pixels.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        blocks: tuple[int, ...],
        *,
        classes: int,
        channels: int,
        width: int = 64,
        small: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            channels, width, 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, padding=1)
        self.stages = len(blocks)
        before = width
        for number, count in enumerate(blocks, 1):
            stride, after = 1 if number == 1 else 2, width * block.expansion
            change = None
            if stride > 1 or before != after:
                change = (PadShortcut if small else projection)(before, after, stride)
            first = block(before, width, stride, change)
            rest = [block(after, width, 1, None) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
            before, width = after, 2 * width
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015, as the paper's section 3.4 asks
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        for number in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


# Table 1: the blocks of the stages conv2_x to conv5_x, 64, 128, 256 and 512 channels wide.
TABLE_1: dict[int, tuple[type[BasicBlock | Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def resnet18(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build ResNet-18: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    >>> sum(p.numel() for p in resnet18().parameters())
    11689512
    """
    return ResNet(*TABLE_1[18], classes=classes, channels=channels)


def resnet34(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build ResNet-34: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     sum(p.numel() for p in resnet34().parameters())
    21797672
    """
    return ResNet(*TABLE_1[34], classes=classes, channels=channels)


def resnet50(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build ResNet-50: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in resnet50().parameters())
    25557032
    """
    return ResNet(*TABLE_1[50], classes=classes, channels=channels)


def resnet101(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build ResNet-101: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in resnet101().parameters())
    44549160
    """
    return ResNet(*TABLE_1[101], classes=classes, channels=channels)


def resnet152(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build ResNet-152: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in resnet152().parameters())
    60192808
    """
    return ResNet(*TABLE_1[152], classes=classes, channels=channels)


def resnet20(classes: int = 10, channels: int = 3) -> nn.Module:
    """Build the CIFAR ResNet-20: (N, channels, H, W) -> (N, classes), any H and W.

    >>> sum(p.numel() for p in resnet20().parameters())
    269722
    """
    return ResNet(BasicBlock, (3, 3, 3), classes=classes, channels=channels, width=16, small=True)
