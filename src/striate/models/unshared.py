"""The ConvNetJS network with a kernel of its own at every place: what sharing the kernels is worth.

Each convolution is a locally connected layer. With equal kernels everywhere it is the convolution; apart they
are 3,942,794 parameters for the twin's 22,466, at the same 3,920,000 multiply-adds, and what is learnt in one
place is known there only.
Input: 32 x 32 colour.
Source: LeCun 1989, Generalization and network design strategies; the twin is in convnetjs.py.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.models.convnetjs import needs, starting_as_the_page


class LocallyConnected2d(nn.Module):
    """Look through the windows of a convolution at stride 1, with weights of their own at every place.

    (N, in_channels, size, size) -> (N, out_channels, places, places), where places is size + 2 padding -
    kernel + 1. A place is one matrix of weight (places^2, in_channels kernel^2, out_channels), and one row of
    bias (places^2, 1, out_channels). Starts as its twin does: N(0, 1/fan_in), biases 0.1.
    ops.locally_connected spells the same out.

    >>> layer = LocallyConnected2d(3, 16, 5, size=32, padding=2)
    >>> layer.weight.shape, layer.bias.shape, layer(torch.zeros(4, 3, 32, 32)).shape
    (torch.Size([1024, 75, 16]), torch.Size([1024, 1, 16]), torch.Size([4, 16, 32, 32]))
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, size: int, padding: int = 0
    ) -> None:
        super().__init__()
        self.kernel, self.padding = kernel, padding
        self.places = size + 2 * padding - kernel + 1
        fan_in = in_channels * kernel**2
        self.weight = nn.Parameter(torch.empty(self.places**2, fan_in, out_channels))
        self.bias = nn.Parameter(torch.full((self.places**2, 1, out_channels), 0.1))
        nn.init.normal_(self.weight, std=1 / math.sqrt(fan_in))

    def forward(self, x: Tensor) -> Tensor:
        windows = F.unfold(x, self.kernel, padding=self.padding)  # (N, fan_in, places^2)
        y = torch.baddbmm(self.bias, windows.permute(2, 0, 1), self.weight)  # (places^2, N, out_channels)
        return y.permute(1, 2, 0).reshape(len(x), -1, self.places, self.places)

    def extra_repr(self) -> str:
        places, fan_in, out_channels = self.weight.shape
        in_channels = fan_in // self.kernel**2
        return f"{in_channels}, {out_channels}, {self.kernel}, places={places}, padding={self.padding}"


def unshared(classes: int = 10, channels: int = 3, size: int = 32) -> nn.Module:
    """Build the twin of convnetjs: (N, channels, size, size) -> (N, classes).  Raises ModelError below 8.

    >>> sum(p.numel() for p in unshared().parameters())
    3942794
    """
    needs("unshared", size, 8)
    network = nn.Sequential(
        OrderedDict(
            local1=LocallyConnected2d(channels, 16, 5, size=size, padding=2),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(2),
            local2=LocallyConnected2d(16, 20, 5, size=size // 2, padding=2),
            relu2=nn.ReLU(inplace=True),
            pool2=nn.MaxPool2d(2),
            local3=LocallyConnected2d(20, 20, 5, size=size // 4, padding=2),
            relu3=nn.ReLU(inplace=True),
            pool3=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc=nn.Linear(20 * (size // 8) ** 2, classes),
        )
    )
    return starting_as_the_page(network)
