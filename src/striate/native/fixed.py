"""A Winograd convolution whose weight no longer changes, with what follows it: for prediction."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from striate.native import winograd
from striate.native.library import address, load


class _After(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("rows", "channels", "relu")]


class Fixed:
    """relu(convolve(x, weight) + bias + shortcut); the weight is transformed once.

    weight: (K, C, r, r) that :func:`winograd.fits`.   bias: (K,).   tile: one of ``winograd.TILES[r]``.
    Called with x (N, C, H, W) and a shortcut of the result's shape or None; float32, channels last.
    """

    def __init__(self, weight: Tensor, bias: Tensor, padding: int, tile: int, *, relu: bool) -> None:
        self.kernel = winograd.Kernel(weight, tile, forward=True)
        self.bias, self.padding, self.relu = bias.contiguous(), padding, relu

    def __call__(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        y = self.kernel.convolve(x, self.padding)
        if shortcut is not None and shortcut.shape != y.shape:
            raise ValueError(f"the shortcut has the shape {tuple(shortcut.shape)}, not {tuple(y.shape)}")
        shape = _After(y.numel() // y.shape[1], y.shape[1], int(self.relu))
        added = None if shortcut is None else shortcut.contiguous(memory_format=torch.channels_last)
        load().after_convolution(ctypes.byref(shape), address(self.bias), address(added), address(y))
        return y
