"""BN-Inception, also called Inception v2: GoogLeNet with batch normalisation, and two 3x3 for each 5x5.

Normalising every layer over the batch let it train at rates that were too high before, without dropout.
Figure 5 of the paper contradicts itself: its branches in 4c and 4d add up to 608 maps, its depths say 576.
Here the branches are built; depth_576 builds what the depths say.
Input: 224 x 224 colour; other sizes work, as the last maps are averaged.
Source: Ioffe and Szegedy 2015, Batch normalization: accelerating deep network training by reducing internal
covariate shift, figure 5.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from striate.models.googlenet import convolution


class Inception(nn.Module):
    """Up to four branches, their maps put side by side (paper, figure 5).

    one: channels of the 1x1 branch, 0 for none. three, double: of the branches with one and two 3x3, after a
    1x1. pooling: avg or max, with a projection to `pool` channels.
    stride 2: halves the maps; the pooled maps are then passed on as they are.
    """

    def __init__(
        self,
        in_channels: int,
        one: int,
        three_reduce: int,
        three: int,
        double_reduce: int,
        double: int,
        pooling: Literal["avg", "max"],
        pool: int,
        *,
        stride: int = 1,
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        conv = partial(convolution, use_bias=use_bias)
        self.branches = nn.ModuleList()
        if one:
            self.branches.append(conv(in_channels, one, 1))
        self.branches.append(
            nn.Sequential(
                conv(in_channels, three_reduce, 1), conv(three_reduce, three, 3, stride=stride, padding=1)
            )
        )
        self.branches.append(
            nn.Sequential(
                conv(in_channels, double_reduce, 1),
                conv(double_reduce, double, 3, padding=1),
                conv(double, double, 3, stride=stride, padding=1),
            )
        )
        pooled = nn.Sequential((nn.AvgPool2d if pooling == "avg" else nn.MaxPool2d)(3, stride, padding=1))
        if pool:
            pooled.append(conv(in_channels, pool, 1))
        self.branches.append(pooled)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class BNInception(nn.Module):
    """The network of figure 5: (N, channels, H, W) -> (N, classes)."""

    def __init__(self, classes: int, channels: int, *, use_bias: bool, depth_576: bool, small: bool) -> None:
        super().__init__()
        conv = partial(convolution, use_bias=use_bias)
        inception = partial(Inception, use_bias=use_bias)
        narrow, wide = (96, 576) if depth_576 else (128, 608)  # pool projection of 4c and 4d; their depth
        self.conv1 = conv(channels, 64, 3, padding=1) if small else conv(channels, 64, 7, stride=2, padding=3)
        self.pool1 = nn.Identity() if small else nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2_reduce = conv(64, 64, 1)
        self.conv2 = conv(64, 192, 3, padding=1)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        # in, 1x1, 3x3 reduce, 3x3, double reduce, double 3x3, pool and its projection
        self.inception_3a = inception(192, 64, 64, 64, 64, 96, "avg", 32)
        self.inception_3b = inception(256, 64, 64, 96, 64, 96, "avg", 64)
        self.inception_3c = inception(320, 0, 128, 160, 64, 96, "max", 0, stride=2)
        self.inception_4a = inception(576, 224, 64, 96, 96, 128, "avg", 128)
        self.inception_4b = inception(576, 192, 96, 128, 96, 128, "avg", 128)
        self.inception_4c = inception(576, 160, 128, 160, 128, 160, "avg", narrow)
        self.inception_4d = inception(wide, 96, 128, 192, 160, 192, "avg", narrow)
        self.inception_4e = inception(wide, 0, 128, 192, 192, 256, "max", 0, stride=2)
        self.inception_5a = inception(wide + 448, 352, 192, 320, 160, 224, "avg", 128)
        self.inception_5b = inception(1024, 352, 192, 320, 192, 224, "max", 128)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(1024, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool2(self.conv2(self.conv2_reduce(self.pool1(self.conv1(x)))))
        x = self.inception_3c(self.inception_3b(self.inception_3a(x)))
        x = self.inception_4d(self.inception_4c(self.inception_4b(self.inception_4a(x))))
        x = self.inception_5b(self.inception_5a(self.inception_4e(x)))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def bn_inception(
    classes: int = 1000,
    channels: int = 3,
    *,
    use_bias: bool = True,
    depth_576: bool = False,
    small: bool = False,
) -> nn.Module:
    """Build BN-Inception: (N, channels, H, W) -> (N, classes), any H and W.

    use_bias: in the convolutions, as the usual ports have it; the norm after each makes it idle.
    depth_576: project the pooled maps of 4c and 4d to 96, so that their depths are those printed.
    small: a stem of 3x3 convolutions with one pooling, which keeps pictures of 32 pixels large.

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     sum(p.numel() for p in bn_inception().parameters())
    11295240
    """
    return BNInception(classes, channels, use_bias=use_bias, depth_576=depth_576, small=small)
