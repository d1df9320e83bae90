"""Convolution by Winograd's minimal filtering: two to four times fewer multiplications, float32 all the way.

Source: Lavin and Gray 2016, Fast algorithms for convolutional neural networks. All tensors are float32 and
channels last in memory; channel counts are multiples of 16; the stride is 1. Errors against float64 are a few
millionths (by norm), where the definition in float32 has a few tenths of a millionth.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from striate.native.library import load

LANES = 16
TILES = ((4, 3), (2, 3), (2, 5))  # (outputs a side, kernel) that there is a form for


class _Shape(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_long)
        for name in (
            "images", "height", "width", "channels", "out_height", "out_width", "out_channels",
            "padding", "kernel", "tile",
        )
    ]  # fmt: skip


def fits(weight: Tensor, stride: int, padding: int, tile: int) -> bool:
    """Whether there is a form for this convolution, forward and backward. weight: (K, C, r, r)."""
    outs, ins, kernel, width = weight.shape
    square = kernel == width and (tile, kernel) in TILES
    return square and stride == 1 and 0 <= padding < kernel and not (outs % LANES or ins % LANES)


def forward(x: Tensor, weight: Tensor, padding: int, tile: int) -> Tensor:
    """Convolve: (N, C, H, W) with (K, C, r, r) -> (N, K, H + 2 padding - r + 1, ...)."""
    return _convolve(x, weight, padding, tile, forward=True)


def to_input(gradient: Tensor, weight: Tensor, padding: int, tile: int) -> Tensor:
    """Carry the gradient of the output (N, K, H', W') back to the input (N, C, H, W)."""
    return _convolve(gradient, weight, weight.shape[2] - 1 - padding, tile, forward=False)


def to_weight(x: Tensor, gradient: Tensor, kernel: int, padding: int, tile: int) -> Tensor:
    """Give the gradient of the weight (K, C, r, r) from the input and the gradient of the output."""
    x, gradient = _plain(x), _plain(gradient)
    found = _empty(gradient.shape[1], x.shape[1], kernel, kernel)
    shape = _shape(x, gradient, padding, kernel, tile)
    _done(load().winograd_weight_gradient(ctypes.byref(shape), _at(x), _at(gradient), _at(found)))
    return found


def _convolve(x: Tensor, weight: Tensor, padding: int, tile: int, *, forward: bool) -> Tensor:
    x, weight, library = _plain(x), _plain(weight), load()
    outs, ins, kernel, _ = weight.shape
    rows, columns = (ins, outs) if forward else (outs, ins)
    numbers = [ctypes.c_long(n) for n in (tile, kernel, rows, columns)]
    transformed = torch.empty(library.winograd_weights_size(*numbers))
    sizes = [ctypes.c_long(n) for n in (tile, kernel)], [ctypes.c_long(n) for n in (outs, ins)]
    _done(library.winograd_weights(*sizes[0], _at(weight), *sizes[1], int(forward), _at(transformed)))
    n, _, height, width = x.shape
    grown = 2 * padding - kernel + 1
    y = _empty(n, columns, height + grown, width + grown)
    shape = _shape(x, y, padding, kernel, tile)
    _done(library.winograd_convolve(ctypes.byref(shape), _at(x), _at(transformed), _at(y)))
    return y


def _shape(x: Tensor, y: Tensor, padding: int, kernel: int, tile: int) -> _Shape:
    n, channels, height, width = x.shape
    return _Shape(n, height, width, channels, y.shape[2], y.shape[3], y.shape[1], padding, kernel, tile)


def _plain(x: Tensor) -> Tensor:
    if x.dtype != torch.float32 or x.device.type != "cpu":
        raise TypeError(f"float32 on the CPU is needed, not {x.dtype} on {x.device}")
    return x.contiguous(memory_format=torch.channels_last)


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, memory_format=torch.channels_last)


def _at(x: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.data_ptr())


def _done(code: int) -> None:
    if code:
        raise ValueError("there is no Winograd form for this kernel and tile")
