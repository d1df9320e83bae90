"""VGG: nothing but 3x3 convolutions, stacked where others had one larger kernel.

Two 3x3 see as far as one 5x5, with 18 weights in place of 25 and a ReLU between. Most of the 133 to 144
million parameters are in the first dense layer: 102,764,544. Weights have torchvision's names and shapes.
vgg16_1x1 is column C, the only one with 1x1 convolutions.
Input: 224 x 224 colour; any size from 32 pixels works, as the last maps are averaged to 7 x 7.
small: for pictures of 32 pixels, whose last maps are one pixel, one dense layer in place of the three.
Source: Simonyan and Zisserman 2015, Very deep convolutional networks for large-scale image recognition,
table 1.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from striate.models.alexnet import response_norm

# Table 1: the kernels of each block, and their maps; a 2x2 pooling ends a block.
WIDTHS = (64, 128, 256, 512, 512)
COLUMNS = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}


def _vgg(
    column: str,
    classes: int,
    channels: int,
    *,
    small: bool,
    use_batch_norm: bool = False,
    use_response_norm: bool = False,
) -> nn.Module:
    features: list[nn.Module] = []
    for width, kernels in zip(WIDTHS, COLUMNS[column], strict=True):
        for kernel in kernels:
            features.append(nn.Conv2d(channels, width, kernel, padding=kernel // 2))
            if use_batch_norm:
                features.append(nn.BatchNorm2d(width))
            features.append(nn.ReLU(inplace=True))
            if use_response_norm and len(features) == 2:  # after the first convolution alone
                features.append(response_norm())
            channels = width
        features.append(nn.MaxPool2d(2))
    classifier: nn.Module
    if small:
        classifier = nn.Linear(channels, classes)
    else:
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
            avgpool=nn.AdaptiveAvgPool2d(1 if small else 7),
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


def vgg11(
    classes: int = 1000, channels: int = 3, *, small: bool = False, use_batch_norm: bool = False
) -> nn.Module:
    """Build column A: (N, channels, H, W) -> (N, classes), H and W from 32 pixels.

    small: one dense layer in place of three, for pictures of 32 pixels.
    use_batch_norm: normalise after each convolution (Ioffe and Szegedy 2015), which the paper did not have.

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     sum(p.numel() for p in vgg11().parameters())
    132863336
    """
    return _vgg("A", classes, channels, small=small, use_batch_norm=use_batch_norm)


def vgg11_lrn(classes: int = 1000, channels: int = 3, *, small: bool = False) -> nn.Module:
    """Build column A-LRN, which showed that the normalisation of 2012 does not help; the rest as in vgg11.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in vgg11_lrn().parameters())
    132863336
    """
    return _vgg("A", classes, channels, small=small, use_response_norm=True)


def vgg13(
    classes: int = 1000, channels: int = 3, *, small: bool = False, use_batch_norm: bool = False
) -> nn.Module:
    """Build column B; the rest as in vgg11.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in vgg13().parameters())
    133047848
    """
    return _vgg("B", classes, channels, small=small, use_batch_norm=use_batch_norm)


def vgg16_1x1(
    classes: int = 1000, channels: int = 3, *, small: bool = False, use_batch_norm: bool = False
) -> nn.Module:
    """Build column C, with a 1x1 at the end of its last three blocks; the rest as in vgg11.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in vgg16_1x1().parameters())
    133638952
    """
    return _vgg("C", classes, channels, small=small, use_batch_norm=use_batch_norm)


def vgg16(
    classes: int = 1000, channels: int = 3, *, small: bool = False, use_batch_norm: bool = False
) -> nn.Module:
    """Build column D, the usual one; the rest as in vgg11.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in vgg16().parameters())
    138357544
    """
    return _vgg("D", classes, channels, small=small, use_batch_norm=use_batch_norm)


def vgg19(
    classes: int = 1000, channels: int = 3, *, small: bool = False, use_batch_norm: bool = False
) -> nn.Module:
    """Build column E; the rest as in vgg11.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in vgg19().parameters())
    143667240
    """
    return _vgg("E", classes, channels, small=small, use_batch_norm=use_batch_norm)
