"""Network in Network: a small perceptron in place of each kernel, and no dense layer at the end.

mlpconv: a convolution, then two 1x1 convolutions, which are a perceptron that slides over the picture. The
last block has a map for each class; its global average is the class's score, with nothing to overfit.
Input: 32 x 32 colour for nin; 224 for nin_imagenet, the authors' later network, and for nin_textbook. Any
size works from 4 pixels (nin) and 39 (nin_imagenet). Pooling windows may hang over the edge (ceil).
Source: Lin, Chen and Yan 2014, Network in network, sections 3 and 4; the widths, the ReLU at the very end
and the pooling are those of the authors' Caffe files.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def mlpconv(
    channels: int, widths: tuple[int, int, int], kernel: int, *, stride: int = 1, padding: int = 0
) -> nn.Module:
    """Build a block: kernel x kernel, then 1x1 twice, each with ReLU (section 3.1).

    >>> [tuple(p.shape) for p in mlpconv(3, (8, 6, 4), 5).parameters() if p.dim() == 4]
    [(8, 3, 5, 5), (6, 8, 1, 1), (4, 6, 1, 1)]
    """
    first, second, third = widths
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels, first, kernel, stride, padding),
            relu=nn.ReLU(inplace=True),
            cccp1=nn.Conv2d(first, second, 1),  # the paper's cascaded cross-channel parametric pooling
            relu1=nn.ReLU(inplace=True),
            cccp2=nn.Conv2d(second, third, 1),
            relu2=nn.ReLU(inplace=True),
        )
    )


def nin(classes: int = 10, channels: int = 3) -> nn.Module:
    """Build the network for CIFAR-10: (N, channels, H, W) -> (N, classes).

    >>> sum(p.numel() for p in nin().parameters())
    966986
    """
    return _he(
        nn.Sequential(
            OrderedDict(
                mlpconv1=mlpconv(channels, (192, 160, 96), 5, padding=2),
                pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
                dropout1=nn.Dropout(0.5),
                mlpconv2=mlpconv(96, (192, 192, 192), 5, padding=2),
                pool2=nn.AvgPool2d(3, 2, ceil_mode=True),
                dropout2=nn.Dropout(0.5),
                mlpconv3=mlpconv(192, (192, 192, classes), 3, padding=1),
                average=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
            )
        )
    )


def nin_imagenet(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build the network for ImageNet: (N, channels, H, W) -> (N, classes).

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     sum(p.numel() for p in nin_imagenet().parameters())
    7595176
    """
    return _large(channels, last=(1024, 1024, classes), ceil=True)


def nin_textbook(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build the form that textbooks print: all of the last block as wide as there are classes, no ceil.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in nin_textbook(classes=10).parameters())
    2015398
    """
    return _large(channels, last=(classes, classes, classes), ceil=False)


def _large(channels: int, *, last: tuple[int, int, int], ceil: bool) -> nn.Module:
    return _he(
        nn.Sequential(
            OrderedDict(
                mlpconv1=mlpconv(channels, (96, 96, 96), 11, stride=4),
                pool1=nn.MaxPool2d(3, 2, ceil_mode=ceil),
                mlpconv2=mlpconv(96, (256, 256, 256), 5, padding=2),
                pool2=nn.MaxPool2d(3, 2, ceil_mode=ceil),
                mlpconv3=mlpconv(256, (384, 384, 384), 3, padding=1),
                pool3=nn.MaxPool2d(3, 2, ceil_mode=ceil),
                dropout3=nn.Dropout(0.5),
                mlpconv4=mlpconv(384, last, 3, padding=1),
                average=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
            )
        )
    )


def _he(network: nn.Module) -> nn.Module:
    # The paper set its starting weights by hand; with He's the nine layers of ReLU start by themselves.
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return network
