"""Residual networks: each block learns what to add to its input, so depth no longer blocks the gradient.

ImageNet form (resnet18 to resnet152): stem 7x7/2 and pooling, 224 pixels in the paper; of its three shortcuts
option B. Names and shapes of the weights are torchvision's, whose files load unchanged.
CIFAR form (resnet20 to resnet1202): stem 3x3, three stages, 32 pixels, option A.
Beside them the plain nets, which are the same without shortcuts, and stochastic depth.
Sources: He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition, table 1 and section 4.2;
Huang, Sun, Liu, Sedra and Weinberger 2016, Deep networks with stochastic depth.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.errors import ModelError

# Section 4.1: what carries a block's input to its output. A: the input, with empty maps where there are more;
# B: a projection where the shape changes, else the input; C: a projection everywhere. None: a plain net.
Option = Literal["A", "B", "C"] | None


def shortcut_of(option: Option, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Make a block's shortcut; None where the input itself is taken, or nothing at all."""
    changes = stride > 1 or in_channels != out_channels
    if option == "C" or (option == "B" and changes):
        return projection(in_channels, out_channels, stride)
    return PadShortcut(in_channels, out_channels, stride) if option == "A" and changes else None


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
    """Options B and C: a 1x1 convolution brings the input to the output's shape."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class Block(nn.Module):
    """relu(branch(x) + shortcut(x)): what every residual block is; its kinds differ in the branch.

    survival: probability that the branch is there in a training step; Huang et al. 2016, equations 2 and 5.
    """

    expansion: ClassVar = 1
    downsample: nn.Module | None
    survival: float

    def branch(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        if self.survival == 1:
            return F.relu(self.branch(x) + shortcut, inplace=True)
        if not self.training:  # as strong as it was on average
            return F.relu(self.survival * self.branch(x) + shortcut, inplace=True)
        # One draw for the whole batch, so that a branch that is left out costs nothing; on the processor,
        # where its value is known at once, whatever device computes.
        if torch.rand((), device="cpu").item() < self.survival:
            return F.relu(self.branch(x) + shortcut, inplace=True)
        return F.relu(shortcut)


class BasicBlock(Block):
    """Two 3x3 convolutions and the input added to their output (paper, figure 5, left)."""

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        downsample: nn.Module | None,
        survival: float = 1.0,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = starting_closed(nn.BatchNorm2d(width), downsample)
        self.downsample = downsample
        self.survival = survival

    def branch(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y: Tensor = self.bn2(self.conv2(x))
        return y


class PlainBlock(BasicBlock):
    """The two convolutions alone, as in the plain nets (paper, figure 3, middle)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        nn.init.ones_(self.bn2.weight)  # the only way through may not start closed

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x), inplace=True)


class Bottleneck(Block):
    """Down to a quarter of the channels, a 3x3 convolution there, up again (paper, figure 5, right).

    About as costly as a basic block of that quarter, with four times the channels between the blocks.
    The stride is on the 3x3, as in torchvision.
    """

    expansion: ClassVar = 4
    strides_first: ClassVar = False

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        downsample: nn.Module | None,
        survival: float = 1.0,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if self.strides_first else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, width, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = starting_closed(nn.BatchNorm2d(width * self.expansion), downsample)
        self.downsample = downsample
        self.survival = survival

    def branch(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        y: Tensor = self.bn3(self.conv3(x))
        return y


class Bottleneck2015(Bottleneck):
    """The stride on the first 1x1, as published.

    It never looks at three of four pixels, and saves 0.23e9 of resnet50's 4.09e9 multiply-adds.
    """

    strides_first: ClassVar = True


def starting_closed(norm: nn.BatchNorm2d, shortcut: nn.Module | None) -> nn.BatchNorm2d:
    """Give a block's last norm gain 0: each block starts as its shortcut (Goyal et al. 2017, section 5.1).

    Not where the shortcut is 0 itself, in the channels that option A adds: the sum would be 0 there, ReLU's
    gradient with it, and the channels never come to life.
    """
    if not isinstance(shortcut, PadShortcut):
        nn.init.zeros_(norm.weight)
    return norm


class ResNet(nn.Module):
    """Stem, stages of blocks, global average pooling, one dense layer.

    blocks: how many in each stage. width: of the first stage; each later one doubles it and halves the maps.
    small: the stem for pictures of 32 pixels. survival: of the last block; it falls evenly from 1.
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
        shortcut: Option = "B",
        survival: float = 1.0,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            channels, width, 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, padding=1)
        self.stages = len(blocks)
        before, made = width, 0
        for number, count in enumerate(blocks, 1):
            after, stage = width * block.expansion, nn.Sequential()
            for index in range(count):
                stride, made = 2 if number > 1 and index == 0 else 1, made + 1
                change = shortcut_of(shortcut, before, after, stride)
                survives = 1 - made / sum(blocks) * (1 - survival)  # Huang et al. 2016, equation 4
                stage.append(block(before, width, stride, change, survives))
                before = after
            self.add_module(f"layer{number}", stage)
            width *= 2
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
TABLE_1 = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def resnet18(
    classes: int = 1000, channels: int = 3, *, small: bool = False, shortcut: Option = "B"
) -> nn.Module:
    """Build ResNet-18: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    small: a stem of one 3x3 convolution, which keeps pictures of 32 pixels large.
    shortcut: option A, B or C of the paper's table 3, or None for the plain net.

    >>> sum(p.numel() for p in resnet18().parameters())
    11689512
    """
    return _basic(18, classes, channels, small=small, shortcut=shortcut)


def resnet34(
    classes: int = 1000, channels: int = 3, *, small: bool = False, shortcut: Option = "B"
) -> nn.Module:
    """Build ResNet-34; the rest as in resnet18.

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     sum(p.numel() for p in resnet34().parameters())
    21797672
    """
    return _basic(34, classes, channels, small=small, shortcut=shortcut)


def _basic(depth: int, classes: int, channels: int, *, small: bool, shortcut: Option) -> nn.Module:
    block = PlainBlock if shortcut is None else BasicBlock
    return ResNet(block, TABLE_1[depth], classes=classes, channels=channels, small=small, shortcut=shortcut)


def resnet50(
    classes: int = 1000, channels: int = 3, *, small: bool = False, strides_first: bool = False
) -> nn.Module:
    """Build ResNet-50: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    small: as in resnet18. strides_first: on a block's first 1x1 as in 2015, in place of its 3x3.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in resnet50().parameters())
    25557032
    """
    return _bottleneck(50, classes, channels, small=small, strides_first=strides_first)


def resnet101(
    classes: int = 1000, channels: int = 3, *, small: bool = False, strides_first: bool = False
) -> nn.Module:
    """Build ResNet-101; the rest as in resnet50.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in resnet101().parameters())
    44549160
    """
    return _bottleneck(101, classes, channels, small=small, strides_first=strides_first)


def resnet152(
    classes: int = 1000, channels: int = 3, *, small: bool = False, strides_first: bool = False
) -> nn.Module:
    """Build ResNet-152; the rest as in resnet50.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in resnet152().parameters())
    60192808
    """
    return _bottleneck(152, classes, channels, small=small, strides_first=strides_first)


def _bottleneck(depth: int, classes: int, channels: int, *, small: bool, strides_first: bool) -> nn.Module:
    block = Bottleneck2015 if strides_first else Bottleneck
    return ResNet(block, TABLE_1[depth], classes=classes, channels=channels, small=small)


def resnet20(
    classes: int = 10,
    channels: int = 3,
    *,
    depth: int = 20,
    shortcut: Option = "A",
    survival: float = 1.0,
) -> nn.Module:
    """Build the CIFAR ResNet-20, or another depth of it: (N, channels, H, W) -> (N, classes), any H and W.

    depth: 6n + 2 layers; the paper has 20, 32, 44, 56, 110 and 1202. shortcut: as in resnet18.
    survival: of the last block in training, 0.5 in the paper on stochastic depth.   Raises ModelError: depth.

    >>> sum(p.numel() for p in resnet20().parameters())
    269722
    """
    if depth < 8 or depth % 6 != 2:
        raise ModelError(f"A CIFAR ResNet has 6n + 2 layers. Received: depth={depth}.", "The smallest has 8.")
    return ResNet(
        PlainBlock if shortcut is None else BasicBlock,
        (depth // 6,) * 3,
        classes=classes,
        channels=channels,
        width=16,
        small=True,
        shortcut=shortcut,
        survival=survival,
    )
