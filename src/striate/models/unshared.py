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

    weight: (O, C, H', W', k, k), bias: (O, H', W'); (N, C, size, size) -> (N, O, H', W'). Starts as its twin
    does: N(0, 1/fan_in), biases 0.1.   ops.locally_connected spells it out; this is the same, faster.

    >>> layer = LocallyConnected2d(3, 16, 5, size=32, padding=2)
    >>> layer.weight.shape, layer.bias.shape, layer(torch.zeros(4, 3, 32, 32)).shape
    (torch.Size([16, 3, 32, 32, 5, 5]), torch.Size([16, 32, 32]), torch.Size([4, 16, 32, 32]))
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, size: int, padding: int = 0
    ) -> None:
        super().__init__()
        self.kernel, self.padding = kernel, padding
        places = size + 2 * padding - kernel + 1
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, places, places, kernel, kernel))
        self.bias = nn.Parameter(torch.full((out_channels, places, places), 0.1))
        nn.init.normal_(self.weight, std=1 / math.sqrt(in_channels * kernel**2))

    def forward(self, x: Tensor) -> Tensor:
        windows = F.unfold(x, self.kernel, padding=self.padding)  # (N, C k k, H' W')
        windows = windows.view(len(x), -1, self.kernel**2, windows.shape[-1])  # (N, C, k k, H' W')
        y = torch.einsum("nckp,ocpk->nop", windows, self.weight.flatten(4).flatten(2, 3))
        return y.view(len(x), *self.bias.shape) + self.bias

    def extra_repr(self) -> str:
        out_channels, in_channels, places, *_ = self.weight.shape
        return (
            f"{in_channels}, {out_channels}, kernel={self.kernel}, "
            f"places={places}x{places}, padding={self.padding}"
        )


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
