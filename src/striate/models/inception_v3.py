"""Inception v3: large kernels taken apart, into 3x3 and into 1x7 after 7x1, so that depth costs less.

Names and shapes of the weights are torchvision's, whose files load unchanged.
Input: 299 x 299 colour; from 75 pixels, as the last maps are averaged.
Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2016, Rethinking the Inception architecture for computer
vision, table 1 and figures 5 to 8 and 10; layers as in torchvision, which has a 1x1 for table 1's fourth 3x3.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.models.googlenet import convolution


class InceptionOutputs(NamedTuple):
    """What a network with its auxiliary classifier returns in training: (N, K) each, torchvision's order."""

    logits: Tensor
    aux_logits: Tensor


class InceptionA(nn.Module):
    """Figure 5: each 5x5 is two 3x3; one 5x5 stayed. 224 channels and those of the pooled branch."""

    def __init__(self, in_channels: int, pool: int) -> None:
        super().__init__()
        self.branch1x1 = convolution(in_channels, 64, 1)
        self.branch5x5_1 = convolution(in_channels, 48, 1)
        self.branch5x5_2 = convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = convolution(in_channels, 64, 1)
        self.branch3x3dbl_2 = convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = convolution(96, 96, 3, padding=1)
        self.branch_pool = convolution(in_channels, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.branch1x1(x)
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([one, five, double, self.branch_pool(averaged(x))], 1)


class InceptionB(nn.Module):
    """Figure 10: halves the maps by convolution and by pooling at once. 480 channels and the input's."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3 = convolution(in_channels, 384, 3, stride=2)
        self.branch3x3dbl_1 = convolution(in_channels, 64, 1)
        self.branch3x3dbl_2 = convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = convolution(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class InceptionC(nn.Module):
    """Figure 6: each 7x7 is a 1x7 and a 7x1. 768 channels.

    width: channels between them.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.branch1x1 = convolution(in_channels, 192, 1)
        self.branch7x7_1 = convolution(in_channels, width, 1)
        self.branch7x7_2 = convolution(width, width, (1, 7), padding=(0, 3))
        self.branch7x7_3 = convolution(width, 192, (7, 1), padding=(3, 0))
        self.branch7x7dbl_1 = convolution(in_channels, width, 1)
        self.branch7x7dbl_2 = convolution(width, width, (7, 1), padding=(3, 0))
        self.branch7x7dbl_3 = convolution(width, width, (1, 7), padding=(0, 3))
        self.branch7x7dbl_4 = convolution(width, width, (7, 1), padding=(3, 0))
        self.branch7x7dbl_5 = convolution(width, 192, (1, 7), padding=(0, 3))
        self.branch_pool = convolution(in_channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(averaged(x))], 1)


class InceptionD(nn.Module):
    """Halves the maps as InceptionB does, after a 7x7 taken apart. 512 channels and those of the input."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3_1 = convolution(in_channels, 192, 1)
        self.branch3x3_2 = convolution(192, 320, 3, stride=2)
        self.branch7x7x3_1 = convolution(in_channels, 192, 1)
        self.branch7x7x3_2 = convolution(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = convolution(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = convolution(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, 2)], 1)


class InceptionE(nn.Module):
    """Figure 7: 1x3 and 3x1 side by side, as wide as it gets on the coarsest maps. 2048 channels."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch1x1 = convolution(in_channels, 320, 1)
        self.branch3x3_1 = convolution(in_channels, 384, 1)
        self.branch3x3_2a = convolution(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = convolution(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = convolution(in_channels, 448, 1)
        self.branch3x3dbl_2 = convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = convolution(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = convolution(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = convolution(in_channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(three),
                self.branch3x3_2b(three),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(averaged(x)),
            ],
            1,
        )


def averaged(x: Tensor) -> Tensor:
    """Average over 3x3, as every pooled branch does; the border counts as zeros."""
    return F.avg_pool2d(x, 3, 1, padding=1)


class InceptionAux(nn.Module):
    """The auxiliary classifier (figure 8): 17x17 maps averaged to 5x5, two convolutions, one dense layer."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.AvgPool2d(5, 3), nn.AdaptiveAvgPool2d(5))  # the second for other inputs
        self.conv0 = convolution(in_channels, 128, 1)
        self.conv1 = convolution(128, 768, 5)
        self.fc = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.conv1(self.conv0(self.pool(x))).flatten(1))
        return logits


class InceptionV3(nn.Module):
    """The network of table 1.

    Returns (N, classes); with its head and in training, InceptionOutputs.
    """

    heads: ClassVar[tuple[str, ...]] = ("AuxLogits",)
    auxiliary_weight: ClassVar = 0.4  # of the auxiliary loss; the paper names none, 0.4 is usual

    def __init__(self, classes: int, channels: int, *, use_heads: bool) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = convolution(channels, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = convolution(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = convolution(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, 128)
        self.Mixed_6c = InceptionC(768, 160)
        self.Mixed_6d = InceptionC(768, 160)
        self.Mixed_6e = InceptionC(768, 192)
        self.AuxLogits = InceptionAux(768, classes) if use_heads else None
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(2048, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor | InceptionOutputs:
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        middle = x
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        logits: Tensor = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if self.AuxLogits is None or not self.training:
            return logits
        return InceptionOutputs(logits, self.AuxLogits(middle))


def inception_v3(classes: int = 1000, channels: int = 3, *, use_heads: bool = False) -> nn.Module:
    """Build Inception v3: (N, channels, H, W) -> (N, classes), H and W from 75 pixels.

    use_heads: with the auxiliary classifier, whose logits come along in training: InceptionOutputs. It is
    then trained on 107 pixels or more, as it averages over 5x5 of the maps that are 17x17 for 299.

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     [sum(p.numel() for p in inception_v3(use_heads=heads).parameters()) for heads in (False, True)]
    [23834568, 27161264]
    """
    return InceptionV3(classes, channels, use_heads=use_heads)
