"""Multilayer perceptron: every pixel meets every unit; nothing knows that pixels have neighbours.

Input: any picture, flattened.  Source: LeCun, Bottou, Bengio and Haffner 1998, figure 9 (784-300-100-10).
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

RELU = partial(nn.ReLU, inplace=True)


def mlp(
    classes: int = 10,
    channels: int = 1,
    size: int = 28,
    widths: tuple[int, ...] = (300, 100),
    nonlinearity: Callable[[], nn.Module] = RELU,
    length: int | None = None,
) -> nn.Module:
    """Build a perceptron with a nonlinearity between its layers.

    Takes (N, channels, size, size), where there is a length (N, channels, length); gives (N, classes).

    >>> model = mlp(classes=26, channels=1, size=16, widths=(100,))
    >>> sum(p.numel() for p in model.parameters())
    28326
    """
    layers: list[nn.Module] = [nn.Flatten()]
    sizes = (channels * (length or size * size), *widths, classes)
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nonlinearity()]
    return nn.Sequential(*layers[:-1])
