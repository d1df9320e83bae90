"""LeNet-5: two convolutions, two poolings, three dense layers; the first network that read cheques.

This is the usual modern form: ReLU and max pooling, every C3 map sees every S2 map (61,706 parameters).
Input: 28 x 28 grey, padded to 32 by the first layer.
Source: LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from striate.errors import ModelError


def lenet5(classes: int = 10, channels: int = 1, size: int = 28) -> nn.Module:
    """Build LeNet-5 for square pictures of any size from 12 pixels.

    Takes (N, channels, size, size), gives (N, classes).  Raises ModelError below 12 pixels.

    >>> sum(p.numel() for p in lenet5().parameters())
    61706
    """
    if size < 12:
        raise ModelError(
            f"lenet5 needs pictures of at least 12 pixels. Received: size={size}.",
            "The smallest input that works is 12x12.",
        )
    side = (size // 2 - 4) // 2  # after S4: 5 for 28 pixels
    return nn.Sequential(
        OrderedDict(
            c1=nn.Conv2d(channels, 6, 5, padding=2),
            relu1=nn.ReLU(inplace=True),
            s2=nn.MaxPool2d(2),
            c3=nn.Conv2d(6, 16, 5),
            relu3=nn.ReLU(inplace=True),
            s4=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            c5=nn.Linear(16 * side * side, 120),
            relu5=nn.ReLU(inplace=True),
            f6=nn.Linear(120, 84),
            relu6=nn.ReLU(inplace=True),
            output=nn.Linear(84, classes),
        )
    )
