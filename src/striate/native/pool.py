"""The maximum over windows, with the ReLU before it, in one pass over memory.

float32, channels last, any number of channels. A byte an output keeps where the maximum was.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from striate.native.library import address, load

LARGEST_KERNEL = 15  # its places fit a byte


class _Pool(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_long)
        for name in (
            "images", "height", "width", "channels", "out_height", "out_width", "kernel", "stride", "padding",
            "relu",
        )
    ]  # fmt: skip


class ReLUMaxPool(torch.autograd.Function):
    """y = max over windows of relu(x), or of x.

    x: (N, C, H, W).   size: (H', W') of y; windows that stick out of the picture count what is inside.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, size: tuple[int, int], kernel: int, stride: int, padding: int, relu: bool
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        n, channels, height, width = x.shape
        y = torch.empty((n, channels, *size), memory_format=torch.channels_last)
        place = torch.empty_like(y, dtype=torch.uint8)
        ctx.pool = _Pool(n, height, width, channels, *size, kernel, stride, padding, int(relu))
        ctx.shape = x.shape
        load().pool_forward(ctypes.byref(ctx.pool), *map(address, (x, y, place)))
        ctx.save_for_backward(place)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (place,) = ctx.saved_tensors
        g = gradients[0].contiguous(memory_format=torch.channels_last)
        to = torch.empty(ctx.shape, memory_format=torch.channels_last)
        load().pool_backward(ctypes.byref(ctx.pool), *map(address, (g, place, to)))
        return to, None, None, None, None, None
