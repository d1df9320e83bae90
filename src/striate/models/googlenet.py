"""GoogLeNet: modules of four branches side by side (1x1, 3x3, 5x5, pooling), and no wide dense layer.

Two forms. googlenet_2014 is the paper's: biases, 5x5 convolutions, local response normalisation. googlenet is
torchvision's, whose files load unchanged: batch normalisation, and 3x3 in place of every 5x5.
Both with two auxiliary classifiers if asked for, which bring gradient to the middle of the network.
Input: 224 x 224 colour; other sizes work, as the last maps are averaged.
Source: Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke and Rabinovich 2015, Going deeper with
convolutions, table 1 and section 5.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

Size = int | tuple[int, int]


class GoogLeNetOutputs(NamedTuple):
    """What a network with auxiliary classifiers returns in training: (N, K) each, torchvision's order."""

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


def convolution(
    in_channels: int,
    out_channels: int,
    kernel: Size,
    *,
    stride: int = 1,
    padding: Size = 0,
    use_bias: bool = False,
    use_batch_norm: bool = True,
) -> nn.Sequential:
    """Name a convolution, its norm and its ReLU as torchvision does: conv, bn."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=use_bias)
    if use_batch_norm:
        layers["bn"] = nn.BatchNorm2d(out_channels, eps=0.001)
    layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


class Inception(nn.Module):
    """Four branches, their maps put side by side (paper, figure 2b).

    one, three, five, pool: channels that each gives; reduce: of the 1x1 before a costly kernel.
    """

    def __init__(
        self,
        in_channels: int,
        one: int,
        three_reduce: int,
        three: int,
        five_reduce: int,
        five: int,
        pool: int,
        *,
        as_published: bool = False,
    ) -> None:
        super().__init__()
        conv = partial(convolution, use_bias=as_published, use_batch_norm=not as_published)
        wide = 5 if as_published else 3
        self.branch1 = conv(in_channels, one, 1)
        self.branch2 = nn.Sequential(
            conv(in_channels, three_reduce, 1), conv(three_reduce, three, 3, padding=1)
        )
        self.branch3 = nn.Sequential(
            conv(in_channels, five_reduce, 1), conv(five_reduce, five, wide, padding=wide // 2)
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv(in_channels, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Head(nn.Module):
    """An auxiliary classifier (paper, section 5): average to 4x4, 1x1 convolution, two dense layers."""

    def __init__(self, in_channels: int, classes: int, *, as_published: bool = False) -> None:
        super().__init__()
        # The paper's windows, 5x5 at every 3rd place, give 4x4 for 14x14 maps; then the second does nothing.
        self.pool = nn.Sequential(nn.AvgPool2d(5, 3)) if as_published else nn.Sequential()
        self.pool.append(nn.AdaptiveAvgPool2d(4))
        self.conv = convolution(in_channels, 128, 1, use_bias=as_published, use_batch_norm=not as_published)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.pool(x)).flatten(1)
        logits: Tensor = self.fc2(self.dropout(self.relu(self.fc1(x))))
        return logits


class GoogLeNet(nn.Module):
    """The network of table 1.

    Returns (N, classes); with heads and in training, GoogLeNetOutputs.
    """

    heads: ClassVar[tuple[str, ...]] = ("aux1", "aux2")
    auxiliary_weight: ClassVar = 0.3  # of each auxiliary loss (section 5)

    def __init__(
        self, classes: int, channels: int, *, use_heads: bool, as_published: bool, small: bool
    ) -> None:
        super().__init__()
        conv = partial(convolution, use_bias=as_published, use_batch_norm=not as_published)
        inception = partial(Inception, as_published=as_published)
        norm = partial(nn.LocalResponseNorm, 5) if as_published else nn.Identity
        pool = partial(nn.MaxPool2d, kernel_size=3, stride=2, ceil_mode=True)
        self.conv1 = conv(channels, 64, 3, padding=1) if small else conv(channels, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.Identity() if small else pool()
        self.norm1 = norm()
        self.conv2 = conv(64, 64, 1)
        self.conv3 = conv(64, 192, 3, padding=1)
        self.norm2 = norm()
        self.maxpool2 = pool()
        # in, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
        self.inception3a = inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = pool()
        self.inception4a = inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = pool() if as_published else nn.MaxPool2d(2, ceil_mode=True)
        self.inception5a = inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = Head(512, classes, as_published=as_published) if use_heads else None
        self.aux2 = Head(528, classes, as_published=as_published) if use_heads else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.4 if as_published else 0.2)
        self.fc = nn.Linear(1024, classes)
        for module in self.modules():
            if isinstance(
                module, nn.Conv2d
            ):  # He et al. 2015: the published form has no norm to set it right
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        x = self.norm1(self.maxpool1(self.conv1(x)))
        x = self.maxpool2(self.norm2(self.conv3(self.conv2(x))))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        middle = x = self.inception4a(x)
        later = x = self.inception4d(self.inception4c(self.inception4b(x)))
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits: Tensor = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if self.aux1 is None or self.aux2 is None or not self.training:
            return logits
        return GoogLeNetOutputs(logits, self.aux2(later), self.aux1(middle))


def googlenet(
    classes: int = 1000, channels: int = 3, *, use_heads: bool = False, small: bool = False
) -> nn.Module:
    """Build torchvision's GoogLeNet: (N, channels, H, W) -> (N, classes), any H and W.

    use_heads: with the auxiliary classifiers, whose logits come along in training: GoogLeNetOutputs.
    small: a stem of 3x3 convolutions with one pooling, which keeps pictures of 32 pixels large.

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     [sum(p.numel() for p in googlenet(use_heads=heads).parameters()) for heads in (False, True)]
    [6624904, 13004888]
    """
    return GoogLeNet(classes, channels, use_heads=use_heads, as_published=False, small=small)


def googlenet_2014(
    classes: int = 1000, channels: int = 3, *, use_heads: bool = False, small: bool = False
) -> nn.Module:
    """Build the paper's GoogLeNet; the rest as in googlenet.

    With heads it is trained on 79 pixels or more: they average over 5x5 of the maps that are 14x14 for 224.

    >>> import torch
    >>> with torch.device("meta"):
    ...     [sum(p.numel() for p in googlenet_2014(use_heads=heads).parameters()) for heads in (False, True)]
    [6998552, 13378280]
    """
    return GoogLeNet(classes, channels, use_heads=use_heads, as_published=True, small=small)
