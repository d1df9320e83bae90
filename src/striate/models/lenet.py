"""LeNet-5: two convolutions, two poolings, three dense layers; the first network that read cheques.

Two forms. lenet5 is the usual modern one: ReLU and max pooling, every C3 map sees every S2 map (61,706
parameters). lenet5_1998 is the paper's: subsampling that learns, C3's table of connections, outputs that
measure the distance to a picture of each digit (60,000).
Input: 28 x 28 grey, padded to 32 by the first layer.
Source: LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition,
section II-B and table 1.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.errors import ModelError


def lenet5(classes: int = 10, channels: int = 1, size: int = 28) -> nn.Module:
    """Build LeNet-5 for square pictures of any size from 12 pixels.

    Takes (N, channels, size, size), gives (N, classes).  Raises ModelError below 12 pixels.

    >>> sum(p.numel() for p in lenet5().parameters())
    61706
    """
    side = side_after_s4("lenet5", size)
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


def side_after_s4(name: str, size: int) -> int:
    """Give the side of S4's maps, pixels. Raises ModelError for pictures that leave none.

    >>> side_after_s4("lenet5", 28)
    5
    """
    if size < 12:
        raise ModelError(
            f"{name} needs pictures of at least 12 pixels. Received: size={size}.",
            "The smallest input that works is 12x12.",
        )
    return (size // 2 - 4) // 2


# ---- the network of 1998 ---------------------------------------------------------------------------------

# Table 1: the maps of S2 that each map of C3 sees. 60 kernels in place of 96, and no two maps see the same.
TABLE_1 = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)

# Section II-B: what F6 should say for each digit is a stylised picture of it, 7 pixels wide and 12 high.
DIGITS = """
    .......  .......  .......  .......  .......  .......  .......  .......  .......  .......
    ..###..  ...##..  .#####.  .#####.  ....##.  #######  ..####.  #######  .#####.  .#####.
    .##.##.  ..###..  ##...##  ##...##  ...###.  ##.....  .##....  ##...##  ##...##  ##...##
    ##...##  .####..  ##...##  .....##  ..####.  ##.....  ##.....  .....##  ##...##  ##...##
    ##...##  ...##..  .....##  .....##  .##.##.  ##.....  ##.....  ....##.  ##...##  ##...##
    ##...##  ...##..  ....##.  ..####.  .##.##.  ######.  ######.  ....##.  .#####.  .######
    ##...##  ...##..  ...##..  .....##  ##..##.  .....##  ##...##  ...##..  ##...##  .....##
    ##...##  ...##..  ..##...  .....##  #######  .....##  ##...##  ...##..  ##...##  .....##
    ##...##  ...##..  .##....  .....##  ....##.  .....##  ##...##  ..##...  ##...##  .....##
    .##.##.  ...##..  ##.....  ##...##  ....##.  ##...##  ##...##  ..##...  ##...##  ....##.
    ..###..  .######  #######  .#####.  ....##.  .#####.  .#####.  ..##...  .#####.  .####..
    .......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""


def codes(classes: int) -> Tensor:
    """Give what F6 should say for each class, (classes, 84) of +1 and -1.

    Ten classes: pictures of the digits, drawn here after the paper's figure 3. Any other number: drawn at
    random, the same each time.

    >>> code = codes(10)[7].view(12, 7)
    >>> print("".join("#" if bit > 0 else "." for bit in code[2]))
    ##...##
    """
    if classes == 10:
        rows = [line.split() for line in DIGITS.split("\n") if line.strip()]
        bits = [[2.0 * (pixel == "#") - 1 for row in rows for pixel in row[digit]] for digit in range(10)]
    else:
        random = torch.Generator("cpu").manual_seed(1998)
        bits = torch.randint(2, (classes, 84), generator=random, device="cpu").mul(2).sub(1.0).tolist()
    return torch.tensor(bits)


class ScaledTanh(nn.Module):
    """A tanh(S a) with A = 1.7159 and S = 2/3, so that 1 gives 1 and -1 gives -1 (appendix A).

    >>> round(ScaledTanh()(torch.tensor(1.0)).item(), 4)
    1.0
    """

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * x)


class Subsampling(nn.Module):
    """Add up 2x2 pixels, times a weight, plus a bias, which each map learns (section II-B, layer S2)."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((maps, 1, 1), 1 / 4))  # an average, to start from
        self.bias = nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * F.avg_pool2d(x, 2, divisor_override=1) + self.bias


class TableConv2d(nn.Module):
    """Convolve, with kernels only where a table connects an input map with an output map.

    table: for each output map the input maps that it sees; maps that see equally many stand side by side and
    are one grouped convolution.
    """

    def __init__(self, table: tuple[tuple[int, ...], ...], kernel: int) -> None:
        super().__init__()
        self.table = table
        self.convolutions = nn.ModuleList()
        self.seen = []
        for fan_in, rows in groupby(table, key=len):
            seen = [number for row in rows for number in row]
            maps = len(seen) // fan_in
            self.convolutions.append(nn.Conv2d(len(seen), maps, kernel, groups=maps))
            self.seen.append(seen)

    def forward(self, x: Tensor) -> Tensor:
        maps = x.split(1, dim=1)  # type: ignore[no-untyped-call]
        parts = zip(self.convolutions, self.seen, strict=True)
        return torch.cat([convolve(torch.cat([maps[i] for i in seen], 1)) for convolve, seen in parts], 1)


class EuclideanRBF(nn.Module):
    """Report how near the input is to each class's code: minus the squared distance (equation 7, negated).

    (N, 84) -> (N, classes). The codes are fixed: a buffer, which is saved and never trained. Its
    multiply-adds, 84 for a class, are counted apart, as element-wise operations.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.codes: Tensor
        self.register_buffer("codes", codes(classes))

    def forward(self, x: Tensor) -> Tensor:
        return -(x[:, None] - self.codes).square().sum(dim=2)


def lenet5_1998(classes: int = 10, channels: int = 1, size: int = 28) -> nn.Module:
    """Build LeNet-5 as published: (N, channels, size, size) -> (N, classes), from 12 pixels.

    Subsampling that learns, the partial connections of C3, and outputs that measure the distance to a fixed
    code; 60,000 parameters. The outputs are minus the paper's, so that cross-entropy trains them (at low
    rates, as distances are large). The paper's criterion is that with one class more, for rubbish, at a fixed
    distance (equation 9).
    Raises ModelError below 12 pixels.

    >>> sum(p.numel() for p in lenet5_1998().parameters())
    60000
    """
    side = side_after_s4("lenet5_1998", size)
    network = nn.Sequential(
        OrderedDict(
            c1=nn.Conv2d(channels, 6, 5, padding=2),
            tanh1=ScaledTanh(),
            s2=Subsampling(6),
            tanh2=ScaledTanh(),
            c3=TableConv2d(TABLE_1, 5),
            tanh3=ScaledTanh(),
            s4=Subsampling(16),
            tanh4=ScaledTanh(),
            c5=nn.Conv2d(16, 120, side),  # its kernel covers the whole map
            tanh5=ScaledTanh(),
            flatten=nn.Flatten(),
            f6=nn.Linear(120, 84),
            tanh6=ScaledTanh(),
            output=EuclideanRBF(classes),
        )
    )
    for layer in network.modules():  # appendix A: uniform within 2.4 / fan-in
        if isinstance(layer, nn.Conv2d | nn.Linear | Subsampling):
            fan_in = 4 if isinstance(layer, Subsampling) else layer.weight[0].numel()
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -2.4 / fan_in, 2.4 / fan_in)
    return network
