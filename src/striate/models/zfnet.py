"""ZFNet: AlexNet with a finer first layer, found by looking at what its layers respond to.

A first window of 7 at stride 2 in place of 11 at stride 4 keeps what AlexNet's lost. The poolings can keep
their switches (where each maximum came from), which a deconvnet needs to go back to the pixels.
The maps are 110, 55, 26, 13 and 6 pixels wide; figure 3 has no towers.
Input: 224 x 224 colour; any size from 53 pixels works, as the last maps are averaged to 6 x 6.
Source: Zeiler and Fergus 2014, Visualizing and understanding convolutional networks, figure 3; zfnet_wide is
its table 3's network with 512, 1024 and 512 maps in layers 3 to 5.
"""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from striate.models.alexnet import response_norm


class SwitchPool(nn.MaxPool2d):
    """Max pooling 3x3 at stride 2 that can be undone: each maximum put back where it came from.

    keep_switches: set to True, each forward pass leaves switches (N, C, H', W'), where each maximum was among
    the H W pixels of its map, and pixels, (H, W). Until then this is torch's pooling.
    Source: the paper, section 2.1 (unpooling).

    >>> import torch
    >>> pool = SwitchPool()
    >>> pool.keep_switches = True
    >>> pool.unpool(pool(torch.tensor([[[[1.0, 5.0, 2.0], [0.0, 3.0, 4.0], [6.0, 1.0, 1.0]]]]))).tolist()
    [[[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [6.0, 0.0, 0.0]]]]
    """

    padding: int
    switches: Tensor
    pixels: list[int]

    def __init__(self, padding: int = 0) -> None:
        super().__init__(3, 2, padding=padding)
        self.keep_switches = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.keep_switches:
            return F.max_pool2d(x, 3, 2, self.padding)
        self.pixels = [x.shape[-2], x.shape[-1]]
        y, self.switches = F.max_pool2d(x, 3, 2, self.padding, return_indices=True)
        return y

    def unpool(self, y: Tensor) -> Tensor:
        """Put (N, C, H', W') back to (N, C, H, W), zeros elsewhere, by the switches of the last pass.

        Where windows that overlap have one maximum in common, its value is put back once.
        """
        return F.max_unpool2d(y, self.switches, [3, 3], [2, 2], [self.padding] * 2, self.pixels)


def zfnet(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build the network of figure 3: (N, channels, H, W) -> (N, classes).

    >>> import torch
    >>> with torch.device("meta"):  # the shapes without the numbers: no memory
    ...     sum(p.numel() for p in zfnet().parameters())
    62357608
    """
    return _zfnet(classes, channels, maps=(384, 384, 256))


def zfnet_wide(classes: int = 1000, channels: int = 3) -> nn.Module:
    """Build the network with more maps in layers 3 to 5; the rest as in zfnet.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in zfnet_wide().parameters())
    107627624
    """
    return _zfnet(classes, channels, maps=(512, 1024, 512))


def _zfnet(classes: int, channels: int, *, maps: tuple[int, int, int]) -> nn.Module:
    third, fourth, fifth = maps
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 96, 7, stride=2, padding=1),
            relu1=nn.ReLU(inplace=True),
            pool1=SwitchPool(padding=1),
            norm1=response_norm(),  # the paper says contrast normalised, and no more; AlexNet's is taken
            conv2=nn.Conv2d(96, 256, 5, stride=2),
            relu2=nn.ReLU(inplace=True),
            pool2=SwitchPool(padding=1),
            norm2=response_norm(),
            conv3=nn.Conv2d(256, third, 3, padding=1),
            relu3=nn.ReLU(inplace=True),
            conv4=nn.Conv2d(third, fourth, 3, padding=1),
            relu4=nn.ReLU(inplace=True),
            conv5=nn.Conv2d(fourth, fifth, 3, padding=1),
            relu5=nn.ReLU(inplace=True),
            pool5=SwitchPool(),
            avgpool=nn.AdaptiveAvgPool2d(6),  # at 224 pixels the maps are 6 x 6 and stay as they are
            flatten=nn.Flatten(),
            fc6=nn.Linear(fifth * 6 * 6, 4096),
            relu6=nn.ReLU(inplace=True),
            dropout6=nn.Dropout(0.5),
            fc7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(inplace=True),
            dropout7=nn.Dropout(0.5),
            fc8=nn.Linear(4096, classes),
        )
    )
    for layer in network:  # section 3
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
    return network
