"""AlexNet: five convolutions, three dense layers, ReLU and dropout; the network that won ImageNet in 2012.

Three forms. alexnet_2012 is the paper's: two towers of half the maps each, one a graphics card, that see each
other in the third convolution and in the dense layers only (grouped convolutions); local response
normalisation; pooling windows that overlap (3x3 at stride 2). alexnet_one_tower has the same widths without
the towers. alexnet is torchvision's, after Krizhevsky's One weird trick (2014): 64 and 192 maps at first, no
normalisation; its weights have torchvision's names and shapes.
Input: 227 x 227 colour for the first two (the paper prints 224, which does not fit a window of 11 at stride
4), 224 for the third. Any size from 67 pixels works, 63 for the third: the last maps are averaged to 6 x 6.
Source: Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural
networks.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def alexnet_2012(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build the network of the paper, in two towers: (N, channels, H, W) -> (N, classes).

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     sum(p.numel() for p in alexnet_2012().parameters())
    60965224
    """
    return _paper(classes, channels, towers=2)


def alexnet_one_tower(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build the same widths with every map seeing every map; the rest as in alexnet_2012.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in alexnet_one_tower().parameters())
    62378344
    """
    return _paper(classes, channels, towers=1)


def _paper(classes: int, channels: int, *, towers: int) -> nn.Module:
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 96, 11, stride=4),
            relu1=nn.ReLU(inplace=True),
            norm1=response_norm(),
            pool1=nn.MaxPool2d(3, 2),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=towers),
            relu2=nn.ReLU(inplace=True),
            norm2=response_norm(),
            pool2=nn.MaxPool2d(3, 2),
            conv3=nn.Conv2d(256, 384, 3, padding=1),  # the towers meet
            relu3=nn.ReLU(inplace=True),
            conv4=nn.Conv2d(384, 384, 3, padding=1, groups=towers),
            relu4=nn.ReLU(inplace=True),
            conv5=nn.Conv2d(384, 256, 3, padding=1, groups=towers),
            relu5=nn.ReLU(inplace=True),
            pool5=nn.MaxPool2d(3, 2),
            avgpool=nn.AdaptiveAvgPool2d(6),  # at 227 pixels the maps are 6 x 6 and stay as they are
            flatten=nn.Flatten(),
            fc6=nn.Linear(256 * 6 * 6, 4096),
            relu6=nn.ReLU(inplace=True),
            dropout6=nn.Dropout(0.5),
            fc7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(inplace=True),
            dropout7=nn.Dropout(0.5),
            fc8=nn.Linear(4096, classes),
        )
    )
    # Section 5: weights N(0, 0.01^2); biases of 1 give these ReLUs positive inputs from the start.
    ones = {"conv2", "conv4", "conv5", "fc6", "fc7"}
    for name, layer in network.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, 1.0 if name in ones else 0.0)
    return network


def response_norm() -> nn.Module:
    """Damp each unit by its neighbours in the maps beside it: k = 2, n = 5, alpha = 1e-4, beta = 0.75.

    torch divides alpha by n, so that the paper's 1e-4 is 5e-4 here.   Source: the paper, section 3.3.

    >>> response_norm()
    LocalResponseNorm(5, alpha=0.0005, beta=0.75, k=2.0)
    """
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def alexnet(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build torchvision's form: (N, channels, H, W) -> (N, classes).

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in alexnet().parameters())
    61100840
    """
    features = nn.Sequential(
        nn.Conv2d(channels, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
    )
    classifier = nn.Sequential(
        nn.Dropout(0.5),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Linear(4096, classes),
    )
    return nn.Sequential(
        OrderedDict(
            features=features,
            avgpool=nn.AdaptiveAvgPool2d(6),
            flatten=nn.Flatten(),
            classifier=classifier,
        )
    )
