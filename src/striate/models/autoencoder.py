"""Autoencoders: a network that says its input again from a few numbers in its middle, the code.

Input: any picture, or a sequence of fixed length.  `.encoder` gives the code, `.decoder` the input's shape
again: values as they went in, or before a sigmoid where the loss is cross-entropy.
Sources: Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks (logistic
units about a linear code); Baldi and Hornik 1989 (linear units reach the error of PCA, and none below it);
Masci, Meier, Ciresan and Schmidhuber 2011, Stacked convolutional auto-encoders (strides for its pooling).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from striate.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

MAPS = (32, 64, 128)  # of the convolutional encoder, at a half, a quarter and an eighth of the side


class Autoencoder(nn.Module):
    """What goes in comes out again, by way of a code (N, K)."""

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor) -> Tensor:
        said: Tensor = self.decoder(self.encoder(x))
        return said


def autoencoder(
    channels: int = 1,
    size: int = 28,
    length: int | None = None,
    widths: tuple[int, ...] = (1000, 500, 250, 30),
    nonlinearity: Callable[[], nn.Module] | None = nn.Sigmoid,
) -> Autoencoder:
    """Build a dense autoencoder; its last width is the code's, the decoder mirrors the encoder.

    Takes and gives (N, channels, size, size), or (N, channels, length).   nonlinearity: of the hidden layers;
    None is linear throughout.   The code is linear. First weights are those of Glorot and Bengio 2010, for
    sigmoids so scaled and shifted that the network is one of tanh; for ReLU those of He et al. 2015.

    >>> sum(p.numel() for p in autoencoder().parameters())
    2837314
    """
    shape = (channels, size, size) if length is None else (channels, length)
    sizes = (math.prod(shape), *widths)
    return Autoencoder(
        nn.Sequential(nn.Flatten(), *_stacked(sizes, nonlinearity)),
        nn.Sequential(*_stacked(sizes[::-1], nonlinearity), nn.Unflatten(1, shape)),
    )


def autoencoder_conv(channels: int = 3, size: int = 64, widths: tuple[int, ...] = (128,)) -> Autoencoder:
    """Build a convolutional autoencoder: 3x3 kernels at stride 2, a dense code, 4x4 kernels back.

    Takes and gives (N, channels, size, size).   widths: the code's, last, and before it the maps at a half,
    a quarter, ... of the side; alone it comes with 32, 64 and 128 maps, or fewer where the side is soon odd.
    A 4x4 kernel at stride 2 covers each place of its output equally often: no chequered pattern.
    Raises ModelError where the side cannot be halved so often.

    >>> autoencoder_conv(channels=1, size=28, widths=(30,)).encoder[-1]
    Linear(in_features=3136, out_features=30, bias=True)
    """
    even = next(n for n in range(size.bit_length(), -1, -1) if size % 2**n == 0)
    *maps, code = (*MAPS[:even], *widths) if len(widths) == 1 else widths
    if len(maps) > even or not maps:
        raise ModelError(
            f"autoencoder_conv halves its pictures, and {size} pixels only {even} times.",
            f"Give a --size that {2 ** max(1, len(maps))} divides.",
        )
    side, flat = size // 2 ** len(maps), maps[-1] * (size // 2 ** len(maps)) ** 2
    down: list[nn.Module] = []
    up: list[nn.Module] = []
    for before, after in pairwise((channels, *maps)):
        down += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        up = [nn.ReLU(), nn.ConvTranspose2d(after, before, 4, stride=2, padding=1), *up]
    return Autoencoder(
        nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, code)),
        nn.Sequential(nn.Linear(code, flat), nn.Unflatten(1, (maps[-1], side, side)), *up),
    )


def _stacked(sizes: tuple[int, ...], nonlinearity: Callable[[], nn.Module] | None) -> list[nn.Module]:
    """Chain dense layers with a nonlinearity between each two and none at the end."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(sizes), 1):
        layer = nn.Linear(before, after)
        _start(layer, nonlinearity, reads=number > 1, feeds=number < len(sizes) - 1)
        layers.append(layer)
        if nonlinearity is not None:
            layers.append(nonlinearity())
    return layers if nonlinearity is None else layers[:-1]


def _start(
    layer: nn.Linear, nonlinearity: Callable[[], nn.Module] | None, *, reads: bool, feeds: bool
) -> None:
    """Draw a layer's weights anew: for ReLU by its inputs, else by both its sides.

    A sigmoid is tanh at half its input, halved, and a half higher. So a layer that feeds one is drawn twice
    as wide, one that reads one again, and takes the half away.
    """
    nn.init.zeros_(layer.bias)
    if nonlinearity is nn.ReLU:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    elif nonlinearity is nn.Sigmoid:
        nn.init.xavier_uniform_(layer.weight, 2.0 ** (reads + feeds))
        if reads:
            with torch.no_grad():
                layer.bias.copy_(-layer.weight.sum(1) / 2)
    else:
        nn.init.xavier_uniform_(layer.weight)
