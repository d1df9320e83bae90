"""Convolution by Winograd's minimal filtering: two to four times fewer multiplications, float32 all the way.

Source: Lavin and Gray 2016, Fast algorithms for convolutional neural networks. All tensors are float32 and
channels last in memory; channel counts are multiples of 16; the stride is 1. Errors against float64 are a few
millionths (by norm), where the definition in float32 has a few tenths of a millionth.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from striate.native.library import address, load

LANES = 16
TILES = {3: (4, 2), 5: (2,)}  # kernel -> outputs a side of a tile that there is a form for


class _Shape(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_long)
        for name in (
            "images", "height", "width", "channels", "out_height", "out_width", "out_channels",
            "padding", "kernel", "tile",
        )
    ]  # fmt: skip


def fits(weight: Tensor, stride: int, padding: int) -> bool:
    """Whether there is a form for this convolution, forward and backward. weight: (K, C, r, r)."""
    outs, ins, kernel, width = weight.shape
    square = kernel == width and kernel in TILES
    return square and stride == 1 and 0 <= padding < kernel and not (outs % LANES or ins % LANES)


def forward(x: Tensor, weight: Tensor, padding: int, tile: int | None = None) -> Tensor:
    """Convolve: (N, C, H, W) with (K, C, r, r) -> (N, K, H + 2 padding - r + 1, ...).

    tile: outputs a side that are computed at once, one of TILES[r]; None takes what multiplies least.
    """
    return _convolve(x, weight, padding, tile, forward=True)


def to_input(gradient: Tensor, weight: Tensor, padding: int, tile: int | None = None) -> Tensor:
    """Carry the gradient of the output (N, K, H', W') back to the input (N, C, H, W)."""
    return _convolve(gradient, weight, weight.shape[2] - 1 - padding, tile, forward=False)


def to_weight(x: Tensor, gradient: Tensor, kernel: int, padding: int, tile: int | None = None) -> Tensor:
    """Give the gradient of the weight (K, C, r, r) from the input and the gradient of the output."""
    x, gradient = _plain(x), _plain(gradient)
    found = _empty(gradient.shape[1], x.shape[1], kernel, kernel)
    shape = _shape(x, gradient, padding, kernel, tile)
    _done(load().winograd_weight_gradient(ctypes.byref(shape), address(x), address(gradient), address(found)))
    return found


def best_tile(kernel: int, height: int, width: int) -> int:
    """Choose the tile with the fewest multiplications for a map of outputs, the larger of two equal ones.

    >>> best_tile(3, 8, 8), best_tile(3, 2, 2)
    (4, 2)
    """
    return min(TILES[kernel], key=lambda m: -(-height // m) * -(-width // m) * (m + kernel - 1) ** 2)


class Kernel:
    """A weight (K, C, r, r) transformed for tiles of ``tile`` outputs a side.

    forward: to convolve with it; else to carry a gradient of the output back.
    """

    def __init__(self, weight: Tensor, tile: int, *, forward: bool) -> None:
        weight, library = _plain(weight), load()
        outs, ins, self.size, _ = weight.shape
        self.tile, self.rows, self.columns = (tile, ins, outs) if forward else (tile, outs, ins)
        sizes = [ctypes.c_long(size) for size in (tile, self.size, self.rows, self.columns)]
        self.transformed = torch.empty(library.winograd_weights_size(*sizes))
        to = address(self.transformed)
        _done(
            library.winograd_weights(
                *sizes[:2], address(weight), ctypes.c_long(outs), ctypes.c_long(ins), int(forward), to
            )
        )

    def convolve(self, x: Tensor, padding: int) -> Tensor:
        """(N, C, H, W) -> (N, K, H + 2 padding - r + 1, ...). Raises ValueError for another C."""
        x = _plain(x)
        n, channels, height, width = x.shape
        if channels != self.rows:
            raise ValueError(f"{self.rows} channels are expected, not {channels}")
        grown = 2 * padding - self.size + 1
        y = _empty(n, self.columns, height + grown, width + grown)
        if not y.numel():  # no pictures have no blocks to share out
            return y
        shape = _shape(x, y, padding, self.size, self.tile)
        _done(
            load().winograd_convolve(ctypes.byref(shape), address(x), address(self.transformed), address(y))
        )
        return y


def _convolve(x: Tensor, weight: Tensor, padding: int, tile: int | None, *, forward: bool) -> Tensor:
    size, (height, width) = weight.shape[2], x.shape[2:]
    grown = 2 * padding - size + 1
    tile = best_tile(size, height + grown, width + grown) if tile is None else tile
    return Kernel(weight, tile, forward=forward).convolve(x, padding)


def _shape(x: Tensor, y: Tensor, padding: int, kernel: int, tile: int | None) -> _Shape:
    (n, channels, height, width), (_, outs, high, wide) = x.shape, y.shape
    tile = best_tile(kernel, high, wide) if tile is None else tile
    return _Shape(n, height, width, channels, high, wide, outs, padding, kernel, tile)


def _plain(x: Tensor) -> Tensor:
    if x.dtype != torch.float32 or x.device.type != "cpu":
        raise TypeError(f"float32 on the CPU is needed, not {x.dtype} on {x.device}")
    return x.contiguous(memory_format=torch.channels_last)


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, memory_format=torch.channels_last)


def _done(code: int) -> None:
    if code:
        raise ValueError("there is no Winograd form for this kernel and tile")
