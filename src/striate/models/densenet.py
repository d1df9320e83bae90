"""DenseNet: each layer reads the outputs of all layers before it in its block, not only the last.

A layer adds few maps (the growth rate) to what is passed on, so the network is deep and has few parameters;
its memory in training is large, as every concatenation is kept.
densenet121: ImageNet form, with bottlenecks and compression, 224 pixels in the paper; names and shapes of the
weights are torchvision's. densenet40: the basic CIFAR form, 32 pixels (1,019,722 parameters, "1.0M").
Source: Huang, Liu, van der Maaten and Weinberger 2017, Densely connected convolutional networks, tables 1
and 2.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseLayer(nn.Sequential):
    """Norm, ReLU, 3x3 convolution; the result is put beside the input (paper, equation 2).

    bottleneck: first a 1x1 convolution to four times the growth, however many maps come in (section 3).
    """

    def __init__(self, in_channels: int, growth: int, *, bottleneck: bool) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if bottleneck:
            layers |= normed(in_channels, 4 * growth, 1, number=1)
            layers |= normed(4 * growth, growth, 3, number=2)
        else:
            layers |= normed(in_channels, growth, 3, number=1)
        super().__init__(layers)

    def forward(self, x: Tensor) -> Tensor:
        new: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return torch.cat([x, new], 1)


def normed(
    in_channels: int, out_channels: int, kernel: int, *, number: int | str = ""
) -> OrderedDict[str, nn.Module]:
    """Name the composite function of section 3, in its order: the norm comes before its convolution."""
    return OrderedDict(
        {
            f"norm{number}": nn.BatchNorm2d(in_channels),
            f"relu{number}": nn.ReLU(inplace=True),
            f"conv{number}": nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        }
    )


class DenseNet(nn.Module):
    """Stem, dense blocks with transitions between them, global average pooling, one dense layer.

    blocks: layers in each block; a transition halves the maps. stem: maps of the first convolution.
    compressed: bottlenecks in the layers, and transitions that halve the channels: the paper's DenseNet-BC.
    small: a stem of one 3x3 convolution, for pictures of 32 pixels.
    """

    def __init__(
        self,
        growth: int,
        blocks: tuple[int, ...],
        *,
        classes: int,
        channels: int,
        stem: int,
        compressed: bool,
        small: bool,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        if small:
            self.features.add_module("conv0", nn.Conv2d(channels, stem, 3, padding=1, bias=False))
        else:
            self.features.add_module("conv0", nn.Conv2d(channels, stem, 7, 2, padding=3, bias=False))
            self.features.add_module("norm0", nn.BatchNorm2d(stem))
            self.features.add_module("relu0", nn.ReLU(inplace=True))
            self.features.add_module("pool0", nn.MaxPool2d(3, 2, padding=1))
        width = stem
        for number, count in enumerate(blocks, 1):
            block = nn.Sequential()
            for index in range(1, count + 1):
                block.add_module(f"denselayer{index}", DenseLayer(width, growth, bottleneck=compressed))
                width += growth
            self.features.add_module(f"denseblock{number}", block)
            if number < len(blocks):
                after = width // 2 if compressed else width
                transition = OrderedDict(**normed(width, after, 1), pool=nn.AvgPool2d(2))
                self.features.add_module(f"transition{number}", nn.Sequential(transition))
                width = after
        self.features.add_module(f"norm{len(blocks) + 1}", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015, as the paper's section 4.2 asks
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.features(x), inplace=True)
        logits: Tensor = self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def densenet121(classes: int = 1000, channels: int = 3, *, small: bool = False) -> nn.Module:
    """Build DenseNet-121, table 1: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    small: a stem of one 3x3 convolution, which keeps pictures of 32 pixels large.

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     sum(p.numel() for p in densenet121().parameters())
    7978856
    """
    return DenseNet(
        32, (6, 12, 24, 16), classes=classes, channels=channels, stem=64, compressed=True, small=small
    )


def densenet40(classes: int = 10, channels: int = 3) -> nn.Module:
    """Build table 2's DenseNet, 40 layers, growth 12: (N, channels, H, W) -> (N, classes), from 4 pixels.

    >>> sum(p.numel() for p in densenet40().parameters())
    1019722
    """
    return DenseNet(
        12, (12, 12, 12), classes=classes, channels=channels, stem=16, compressed=False, small=True
    )
