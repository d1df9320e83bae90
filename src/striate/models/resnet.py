"""Residual networks: each block learns what to add to its input, so depth no longer blocks the gradient.

resnet18: ImageNet form, stem 7x7/2 and pooling, projection shortcuts (option B), 224 pixels in the paper.
resnet20: CIFAR form, stem 3x3, shortcuts without parameters (option A), 32 pixels.
Source: He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition, table 1 and section 4.2.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

#        channels, blocks, stride of the first block
STAGES = {
    "resnet18": ((64, 2, 1), (128, 2, 2), (256, 2, 2), (512, 2, 2)),
    "resnet20": ((16, 3, 1), (32, 3, 2), (64, 3, 2)),
}


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

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.bn2(self.conv2(x))
        return F.relu(x + shortcut, inplace=True)


class ResNet(nn.Module):
    """Stem, stages of basic blocks, global average pooling, one dense layer."""

    def __init__(self, name: str, classes: int, channels: int) -> None:
        super().__init__()
        stages, small = STAGES[name], name == "resnet20"
        width = stages[0][0]
        self.conv1 = nn.Conv2d(
            channels, width, 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, padding=1)
        self.stages = len(stages)
        for number, (out_channels, blocks, stride) in enumerate(stages, 1):
            shape = (width, out_channels, stride)
            change = (PadShortcut if small else projection)(*shape) if stride > 1 else None
            rest = [BasicBlock(out_channels, out_channels, 1, None) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(BasicBlock(*shape, change), *rest))
            width = out_channels
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015, as the paper's section 3.4 asks
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, BasicBlock):  # each block starts as its shortcut (Goyal et al. 2017, 5.1)
                nn.init.zeros_(module.bn2.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        for number in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def resnet18(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build ResNet-18: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    >>> sum(p.numel() for p in resnet18().parameters())
    11689512
    """
    return ResNet("resnet18", classes, channels)


def resnet20(classes: int = 10, channels: int = 3) -> nn.Module:
    """Build the CIFAR ResNet-20: (N, channels, H, W) -> (N, classes), any H and W.

    >>> sum(p.numel() for p in resnet20().parameters())
    269722
    """
    return ResNet("resnet20", classes, channels)
