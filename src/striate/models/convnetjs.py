"""The ConvNetJS networks: small enough to train in a browser, in JavaScript, while one looks on.

Its own training: Adadelta on batches of 4, and a test that averages over six shifted or mirrored copies.
Input: convnetjs 32 x 32 colour (CIFAR-10); convnetjs_mnist 24 x 24 grey, crops of MNIST's 28.
Source: Karpathy, ConvNetJS, its demos of CIFAR-10 and MNIST (2013 to 2016).
"""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import nn

from striate.errors import ModelError


def convnetjs(classes: int = 10, channels: int = 3, size: int = 32) -> nn.Module:
    """Build the CIFAR-10 network: (N, channels, size, size) -> (N, classes).  Raises ModelError below 8.

    >>> sum(p.numel() for p in convnetjs().parameters())
    22466
    """
    needs("convnetjs", size, 8)
    return starting_as_the_page(
        nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 16, 5, padding=2),
                relu1=nn.ReLU(inplace=True),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(16, 20, 5, padding=2),
                relu2=nn.ReLU(inplace=True),
                pool2=nn.MaxPool2d(2),
                conv3=nn.Conv2d(20, 20, 5, padding=2),
                relu3=nn.ReLU(inplace=True),
                pool3=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc=nn.Linear(20 * (size // 8) ** 2, classes),
            )
        )
    )


def convnetjs_mnist(classes: int = 10, channels: int = 1, size: int = 24) -> nn.Module:
    """Build the MNIST network: (N, channels, size, size) -> (N, classes).  Raises ModelError below 6.

    >>> sum(p.numel() for p in convnetjs_mnist().parameters())
    5994
    """
    needs("convnetjs_mnist", size, 6)
    return starting_as_the_page(
        nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 8, 5, padding=2),
                relu1=nn.ReLU(inplace=True),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(8, 16, 5, padding=2),
                relu2=nn.ReLU(inplace=True),
                pool2=nn.MaxPool2d(3),
                flatten=nn.Flatten(),
                fc=nn.Linear(16 * (size // 2 // 3) ** 2, classes),
            )
        )
    )


def needs(name: str, size: int, smallest: int) -> None:
    """Raise ModelError for pictures of fewer pixels than a network's poolings can halve."""
    if size < smallest:
        raise ModelError(
            f"{name} needs pictures of at least {smallest} pixels. Received: size={size}.",
            f"The smallest input that works is {smallest}x{smallest}.",
        )


def starting_as_the_page(network: nn.Module) -> nn.Module:
    """Draw weights from N(0, 1/fan_in); biases are 0.1 where a ReLU follows, else 0."""
    for layer in network.children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.weight[0].numel()))
            nn.init.constant_(layer.bias, 0.1 if isinstance(layer, nn.Conv2d) else 0.0)
    return network
