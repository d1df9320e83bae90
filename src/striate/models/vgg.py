"""VGG: nothing but 3x3 convolutions, stacked where others had one larger kernel.

Two 3x3 see as far as one 5x5, with 18 weights in place of 25 and a ReLU between. Most of the 133 to 144
million parameters are in the first dense layer: 102,764,544. Weights have torchvision's names and shapes.
Input: 224 x 224 colour; any size from 32 pixels works, as the last maps are averaged to 7 x 7.
Source: Simonyan and Zisserman 2015, Very deep convolutional networks for large-scale image recognition,
table 1.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

# Table 1: convolutions in each block; a 2x2 pooling ends a block.
WIDTHS = (64, 128, 256, 512, 512)
COLUMNS = {
    "A": (1, 1, 2, 2, 2),
    "B": (2, 2, 2, 2, 2),
    "D": (2, 2, 3, 3, 3),
    "E": (2, 2, 4, 4, 4),
}


def _vgg(column: str, classes: int, channels: int, *, use_batch_norm: bool) -> nn.Module:
    features: list[nn.Module] = []
    for width, convolutions in zip(WIDTHS, COLUMNS[column], strict=True):
        for _ in range(convolutions):
            features.append(nn.Conv2d(channels, width, 3, padding=1))
            if use_batch_norm:
                features.append(nn.BatchNorm2d(width))
            features.append(nn.ReLU(inplace=True))
            channels = width
        features.append(nn.MaxPool2d(2))
    classifier = nn.Sequential(
        nn.Linear(channels * 7 * 7, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(4096, classes),
    )
    network = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            avgpool=nn.AdaptiveAvgPool2d(7),
            flatten=nn.Flatten(),
            classifier=classifier,
        )
    )
    # The paper started its deep columns from a trained A; with He's initialisation they start by themselves.
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    return network


def vgg11(classes: int = 1000, channels: int = 3, *, use_batch_norm: bool = False) -> nn.Module:
    """Build column A: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    use_batch_norm: normalise after each convolution (Ioffe and Szegedy 2015), which the paper did not have.

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     sum(p.numel() for p in vgg11().parameters())
    132863336
    """
    return _vgg("A", classes, channels, use_batch_norm=use_batch_norm)


def vgg13(classes: int = 1000, channels: int = 3, *, use_batch_norm: bool = False) -> nn.Module:
    """Build column B; the rest as in vgg11.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in vgg13().parameters())
    133047848
    """
    return _vgg("B", classes, channels, use_batch_norm=use_batch_norm)


def vgg16(classes: int = 1000, channels: int = 3, *, use_batch_norm: bool = False) -> nn.Module:
    """Build column D, the usual one; the rest as in vgg11.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in vgg16().parameters())
    138357544
    """
    return _vgg("D", classes, channels, use_batch_norm=use_batch_norm)


def vgg19(classes: int = 1000, channels: int = 3, *, use_batch_norm: bool = False) -> nn.Module:
    """Build column E; the rest as in vgg11.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in vgg19().parameters())
    143667240
    """
    return _vgg("E", classes, channels, use_batch_norm=use_batch_norm)
